package proxy

import (
	"portside/proxy/http1"
	"portside/proxy/socket"
)

// mend keeps back those of the client's fields that we say anew.
func (s *httpSession) mend(how Forwarded) {
	r := &s.x.req
	switch how {
	case ForwardedAppend:
		r.OmitAll(http1.XForwardedFor)
	case ForwardedReplace:
		r.OmitPrefixed("x-forwarded-") // -Port, -Prefix and the like are believed as well
		r.OmitPrefixed("x-real-ip")    // nginx's word for the same
		r.OmitAll(http1.Forwarded)
	}
}

// appendForwarded says who the client is and what it asked for, and Via, which a
// gateway must say (RFC 9110 7.6.3).
func (s *httpSession) appendForwarded(dst []byte, how Forwarded) []byte {
	if how == ForwardedOff {
		return dst
	}
	r := &s.x.req
	dst = append(dst, "X-Forwarded-For: "...)
	if how == ForwardedAppend {
		for i := r.Next(http1.XForwardedFor, 0); i >= 0; i = r.Next(http1.XForwardedFor, i+1) {
			if v := r.Value(i); len(v) > 0 {
				dst = append(dst, v...)
				dst = append(dst, ", "...)
			}
		}
	}
	dst = append(dst, s.clientAddress()...)
	dst = append(dst, "\r\n"...)
	if how == ForwardedReplace || !r.Has(http1.XForwardedHost) {
		dst = http1.AppendField(dst, "X-Forwarded-Host", r.Host)
	}
	if how == ForwardedReplace || !r.Has(http1.XForwardedProto) {
		dst = append(dst, "X-Forwarded-Proto: http\r\n"...)
	}
	if r.Minor == 0 {
		return append(dst, "Via: 1.0 portside\r\n"...)
	}
	return append(dst, "Via: 1.1 portside\r\n"...)
}

// clientAddress is the client's IP address, as text.
func (s *httpSession) clientAddress() []byte {
	if s.address == nil {
		a := socket.Peer(s.client.Stream).Addr()
		if !a.IsValid() {
			return []byte("unknown")
		}
		s.address = a.AppendTo(nil)
	}
	return s.address
}

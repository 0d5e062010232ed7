package http1

// Name is a field name that means something to a proxy. Recognising it once,
// while parsing, spares every later comparison.
type Name uint8

// The names known. Other stands for every other one.
const (
	Other Name = iota
	Host
	ContentLength
	TransferEncoding
	Connection
	Expect
	Upgrade
	TE
	Trailer
	KeepAlive
	ProxyConnection
	HTTP2Settings
	ProxyAuthenticate
	ProxyAuthorization
	ProxyAuthenticationInfo
	MaxForwards
	Authorization
	CacheControl
	ContentEncoding
	ContentRange
	ContentType
	Cookie
	SetCookie
	Date
	Age
	Expires
	Location
	RetryAfter
	Vary
	Warning
	Pragma
	Range
	Via
	Forwarded
	XForwardedFor
	XForwardedHost
	XForwardedProto
	XForwardedPort
	XRealIP
	XRequestID
	WWWAuthenticate
	AuthenticationInfo
	IfMatch
	IfNoneMatch
	IfModifiedSince
	IfUnmodifiedSince
	IfRange
	IdempotencyKey
	XIdempotencyKey
	XPortsideError
	names // how many there are; at most 64, for Fields.seen
)

// trait is what a name asks of a proxy, one bit each.
type trait uint8

const (
	// hop: for the next recipient alone, or rebuilt by us; never copied on.
	//
	// RFC 9110 7.6.1 names Connection, Proxy-Connection, Keep-Alive, TE,
	// Transfer-Encoding and Upgrade. HTTP2-Settings (RFC 7540 3.2.1) goes with
	// the h2c upgrade, which is never passed on. The Proxy-* credentials are
	// between a client and the first proxy (RFC 9110 11.7): they must not leak
	// to a backend, and a backend is in no place to ask for them. Host,
	// Content-Length, Expect and Trailer are rebuilt.
	hop trait = 1 << iota
	// noTrailer: must not be honoured when it comes after the body (RFC 9110
	// 6.5.1: framing, routing, authentication, request modifiers, response
	// controls, and what says how to read the content).
	noTrailer
	// noted: looked at while parsing, see Fields.note.
	noted
)

type entry struct {
	lower  string // in lower case, at most 32 bytes
	traits trait
}

var known = [names]entry{
	Host:                    {"host", hop | noTrailer | noted},
	ContentLength:           {"content-length", hop | noTrailer | noted},
	TransferEncoding:        {"transfer-encoding", hop | noTrailer},
	Connection:              {"connection", hop | noTrailer | noted},
	Expect:                  {"expect", hop | noTrailer | noted},
	Upgrade:                 {"upgrade", hop | noTrailer | noted},
	TE:                      {"te", hop | noTrailer},
	Trailer:                 {"trailer", hop | noTrailer},
	KeepAlive:               {"keep-alive", hop | noTrailer},
	ProxyConnection:         {"proxy-connection", hop | noTrailer},
	HTTP2Settings:           {"http2-settings", hop | noTrailer},
	ProxyAuthenticate:       {"proxy-authenticate", hop | noTrailer},
	ProxyAuthorization:      {"proxy-authorization", hop | noTrailer},
	ProxyAuthenticationInfo: {"proxy-authentication-info", hop | noTrailer},
	MaxForwards:             {"max-forwards", noTrailer},
	Authorization:           {"authorization", noTrailer},
	CacheControl:            {"cache-control", noTrailer},
	ContentEncoding:         {"content-encoding", noTrailer},
	ContentRange:            {"content-range", noTrailer},
	ContentType:             {"content-type", noTrailer},
	Cookie:                  {"cookie", noTrailer},
	SetCookie:               {"set-cookie", noTrailer},
	Date:                    {"date", noTrailer},
	Age:                     {"age", noTrailer},
	Expires:                 {"expires", noTrailer},
	Location:                {"location", noTrailer},
	RetryAfter:              {"retry-after", noTrailer},
	Vary:                    {"vary", noTrailer},
	Warning:                 {"warning", noTrailer},
	Pragma:                  {"pragma", noTrailer},
	Range:                   {"range", noTrailer},
	Via:                     {"via", noTrailer},
	Forwarded:               {"forwarded", noTrailer},
	XForwardedFor:           {"x-forwarded-for", noTrailer},
	XForwardedHost:          {"x-forwarded-host", noTrailer},
	XForwardedProto:         {"x-forwarded-proto", noTrailer},
	XForwardedPort:          {"x-forwarded-port", noTrailer},
	XRealIP:                 {"x-real-ip", noTrailer},
	XRequestID:              {"x-request-id", noTrailer},
	WWWAuthenticate:         {"www-authenticate", noTrailer},
	AuthenticationInfo:      {"authentication-info", 0}, // RFC 9110 11.6.3 allows it
	IfMatch:                 {"if-match", noTrailer},
	IfNoneMatch:             {"if-none-match", noTrailer},
	IfModifiedSince:         {"if-modified-since", noTrailer},
	IfUnmodifiedSince:       {"if-unmodified-since", noTrailer},
	IfRange:                 {"if-range", noTrailer},
	IdempotencyKey:          {"idempotency-key", noTrailer},
	XIdempotencyKey:         {"x-idempotency-key", noTrailer},
	XPortsideError:          {"x-portside-error", noTrailer},
}

// String is the name in lower case; empty for Other.
func (n Name) String() string { return known[n].lower }

// byHash finds a name by nameHash, which no two known names share.
var byHash = func() (table [256]Name) {
	for n := Other + 1; n < names; n++ {
		table[nameHash([]byte(known[n].lower))] = n
	}
	return table
}()

// nameHash mixes the length with two bytes, whatever their case.
func nameHash(name []byte) uint8 {
	n := len(name)
	return (name[0] | 0x20) + 3*(name[n*3/4]|0x20) + 30*uint8(n)
}

// lookup recognises a valid, hence non-empty, field name.
func lookup(name []byte) Name {
	n := byHash[nameHash(name)]
	if n != Other && equalFold(name, known[n].lower) {
		return n
	}
	return Other
}

// equalFold reports whether token b is lower, ASCII letters' case apart. Lower
// holds lower-case letters, digits and dashes only; or-ing 0x20 maps no other
// byte of a token (RFC 9110 5.6.2) onto one of those.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range len(lower) {
		if b[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// Is reports whether b is the token lower, whose letters are in lower case,
// whatever the case of b's: how tokens such as "websocket" compare.
func Is(b []byte, lower string) bool { return isToken(b) && equalFold(b, lower) }

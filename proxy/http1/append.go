package http1

import "strconv"

// AppendHead appends the head to send to a backend, rebuilt, without the empty
// line that ends it: the request line in origin-form and HTTP/1.1, Host, the
// fields that may be forwarded in their order and with their names as written,
// then what we say ourselves: framing, Expect, TE. The caller adds fields of its
// own, then calls [AppendEnd].
func (r *Request) AppendHead(dst []byte) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	if len(r.Path) == 0 || r.Path[0] != '/' && r.Path[0] != '*' {
		dst = append(dst, '/')
	}
	dst = append(dst, r.Path...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, r.Host...)
	dst = append(dst, "\r\n"...)
	dst = r.appendFields(dst)
	dst = r.appendFraming(dst, r.Framing)
	if r.Expect100 {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	if r.Trailers {
		// RFC 9110 10.1.4: a sender of TE MUST also name it in Connection.
		dst = append(dst, "TE: trailers\r\nConnection: TE\r\n"...)
	}
	return dst
}

// AppendHead appends the head to send to a client, rebuilt, without the empty
// line that ends it: see [Request.AppendHead]. A client of HTTP/1.0 cannot take
// Chunked; set Framing to UntilClose for it, and unwrap the body.
func (r *Response) AppendHead(dst []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = append(dst, byte('0'+r.Status/100), byte('0'+r.Status/10%10), byte('0'+r.Status%10), ' ')
	dst = append(dst, r.Reason...)
	dst = append(dst, "\r\n"...)
	dst = r.appendFields(dst)
	if r.Declared >= 0 && r.Kind == None {
		return r.appendFraming(dst, Framing{Length, r.Declared})
	}
	return r.appendFraming(dst, r.Framing)
}

// AppendField appends one field line. The name and value must be valid.
func AppendField[T, U string | []byte](dst []byte, name T, value U) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// AppendEnd appends the empty line that ends a head.
func AppendEnd(dst []byte) []byte { return append(dst, "\r\n"...) }

func (f *Fields) appendFields(dst []byte) []byte {
	for i := range f.lines[:f.n] {
		if l := &f.lines[i]; !l.omit {
			dst = AppendField(dst, f.buf[l.name:l.colon], f.buf[l.value:l.end])
		}
	}
	return dst
}

// appendFraming says how the body ends. Trailer goes along only where there will
// be a trailer section.
func (f *Fields) appendFraming(dst []byte, framing Framing) []byte {
	switch framing.Kind {
	case Length:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, framing.Length, 10)
		dst = append(dst, "\r\n"...)
	case Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
		dst = f.appendTrailer(dst)
	}
	return dst
}

// appendTrailer announces the trailers announced to us (RFC 9110 6.6.2), less
// those that ChunkReader would not let through.
func (f *Fields) appendTrailer(dst []byte) []byte {
	announced := false
	for i := f.Next(Trailer, 0); i >= 0; i = f.Next(Trailer, i+1) {
		for name := range items(f.Value(i)) {
			if !isToken(name) || known[lookup(name)].traits&noTrailer != 0 {
				continue
			}
			if announced {
				dst = append(dst, ", "...)
			} else {
				dst = append(dst, "Trailer: "...)
			}
			dst = append(dst, name...)
			announced = true
		}
	}
	if announced {
		dst = append(dst, "\r\n"...)
	}
	return dst
}

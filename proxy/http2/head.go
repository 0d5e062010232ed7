package http2

import (
	"slices"
	"strconv"
	"strings"
)

// Request is a request's head.
type Request struct {
	Method, Scheme, Authority, Path string
	Fields                          []Field // without pseudo-fields; valid while the stream is accepted
	Length                          int64   // that it declares; -1: none
	Bad                             string  // what is wrong with it, where it can be answered; empty: nothing
	Large                           bool    // it is larger than it may be: the fields are not all
	Ended                           bool    // nothing follows
}

// Get is the value of the first field of that name.
func (r *Request) Get(name string) string { return Get(r.Fields, name) }

// Get is the value of the first of fields that has that name, in lower case.
func Get(fields []Field, name string) string {
	for i := range fields {
		if fields[i].Name == name {
			return fields[i].Value
		}
	}
	return ""
}

// Has reports whether one of fields has that name.
func Has(fields []Field, name string) bool {
	for i := range fields {
		if fields[i].Name == name {
			return true
		}
	}
	return false
}

// request makes a request of a block. An error is a stream that is to be reset (RFC 9113
// 8.1.1).
func (d *decoder) request(r *Request, ended bool) error {
	*r = Request{Length: -1, Ended: ended, Large: d.large}
	if d.bad != "" {
		return &malformedError{d.bad}
	}
	n := 0
	seen := 0
	for _, f := range d.fields {
		if f.Name[0] != ':' {
			break
		}
		n++
		var at *string
		bit := 0
		switch f.Name {
		case ":method":
			at, bit = &r.Method, 1
		case ":scheme":
			at, bit = &r.Scheme, 2
		case ":path":
			at, bit = &r.Path, 4
		case ":authority":
			at, bit = &r.Authority, 8
		}
		if at == nil || seen&bit != 0 {
			return &malformedError{"a pseudo-field that is not known, or twice there"}
		}
		seen |= bit
		*at = f.Value
	}
	r.Fields = d.fields[n:]
	if r.Large {
		return nil
	}
	switch {
	case r.Method == "CONNECT":
		if r.Scheme != "" || r.Path != "" || r.Authority == "" {
			return &malformedError{"CONNECT with more than an authority"}
		}
	case r.Method == "", r.Path == "", r.Scheme != "http" && r.Scheme != "https":
		return &malformedError{"a method, a path or a scheme is missing"}
	}
	r.look()
	return nil
}

// look takes in what fields mean to a connection (RFC 9113 8.2.2, 8.3.1).
func (r *Request) look() {
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Name {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			r.Bad = "HTTP/2 has no field " + f.Name
		case "te":
			if f.Value != "" && f.Value != "trailers" {
				r.Bad = "HTTP/2 has no other te than trailers"
			}
		case "host":
			switch {
			case r.Authority == "":
				r.Authority = f.Value
			case r.Authority != f.Value:
				r.Bad = "host and :authority differ"
			}
		case "content-length":
			n, ok := length(f.Value)
			if !ok || r.Length >= 0 && r.Length != n {
				r.Bad = "content-length is not one number"
			}
			r.Length = n
		}
	}
}

// length is a content-length (RFC 9110 8.6).
func length(text string) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || text[0] == '+' {
		return -1, false
	}
	return int64(n), true
}

// Response is a response's head.
type Response struct {
	Status int
	Fields []Field // without pseudo-fields
	Length int64   // that it declares; -1: none
	Ended  bool    // nothing follows
}

// response makes a response of a block.
func (d *decoder) response(r *Response, ended bool) error {
	switch {
	case d.bad != "":
		return &malformedError{d.bad}
	case d.large:
		return &malformedError{"its head is larger than this proxy takes"}
	case len(d.fields) == 0, d.fields[0].Name != ":status", len(d.fields) > 1 && d.fields[1].Name[0] == ':':
		return &malformedError{"it has no status"}
	}
	status, err := strconv.ParseUint(d.fields[0].Value, 10, 16)
	if err != nil || len(d.fields[0].Value) != 3 || status < 100 {
		return &malformedError{"its status is not valid"}
	}
	*r = Response{Status: int(status), Fields: slices.Clone(d.fields[1:]), Length: -1, Ended: ended}
	for i := range r.Fields {
		r.Fields[i].Value = trim(r.Fields[i].Value)
		if r.Fields[i].Name == "content-length" {
			n, ok := length(r.Fields[i].Value)
			if !ok || r.Length >= 0 && r.Length != n {
				return &malformedError{"its content-length is not one number"}
			}
			r.Length = n
		}
	}
	return nil
}

// trailers are a block's fields behind a body, those that may be there.
func (d *decoder) trailers(trails func(string) bool) ([]Field, error) {
	switch {
	case d.bad != "":
		return nil, &malformedError{d.bad}
	case d.large:
		return nil, &malformedError{"its trailers are larger than this proxy takes"}
	case len(d.fields) > 0 && d.fields[0].Name[0] == ':':
		return nil, &malformedError{"a pseudo-field in trailers"}
	}
	var fields []Field
	for _, f := range d.fields {
		f.Value = trim(f.Value)
		if trails == nil || trails(f.Name) {
			fields = append(fields, f)
		}
	}
	return fields, nil
}

// trim takes off what is no part of a value (RFC 9110 5.5) and must not be passed on
// (RFC 9113 8.2.1). A gRPC server escapes no space at the end of an error's message,
// and clients and servers take it: it is no reason to break a call.
func trim(value string) string { return strings.Trim(value, " \t") }

// Block is fields as they are sent.
func Block(b []byte, fields []Field) []byte {
	for _, f := range fields {
		b = AppendField(b, f)
	}
	return b
}

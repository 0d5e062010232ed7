package http1

// Method is a request method that a proxy treats in its own way.
type Method uint8

// The methods known. OtherMethod stands for every other one.
const (
	OtherMethod Method = iota
	GET
	HEAD
	POST
	PUT
	DELETE
	OPTIONS
	TRACE
	PATCH
)

func methodID(name []byte) Method {
	switch string(name) {
	case "GET":
		return GET
	case "HEAD":
		return HEAD
	case "POST":
		return POST
	case "PUT":
		return PUT
	case "DELETE":
		return DELETE
	case "OPTIONS":
		return OPTIONS
	case "TRACE":
		return TRACE
	case "PATCH":
		return PATCH
	}
	return OtherMethod
}

// Safe reports whether the method is read-only by definition (RFC 9110 9.2.1).
func (m Method) Safe() bool { return m == GET || m == HEAD || m == OPTIONS || m == TRACE }

// Idempotent reports whether several requests with the method mean what one does
// (RFC 9110 9.2.2): only those may be tried again once sent.
func (m Method) Idempotent() bool { return m.Safe() || m == PUT || m == DELETE }

package http1

import "math"

// parseLength reads a Content-Length: digits and nothing else (RFC 9110 8.6),
// no sign, no list, no overflow of 63 bits.
func parseLength(value []byte) (int64, error) {
	if len(value) == 0 || len(value) > 19 {
		return 0, errLength
	}
	var n uint64 // 19 digits fit
	for _, c := range value {
		if !isDigit(c) {
			return 0, errLength
		}
		n = n*10 + uint64(c-'0')
	}
	if n > math.MaxInt64 {
		return 0, errLength
	}
	return int64(n), nil
}

// framing decides how a body ends from Content-Length and Transfer-Encoding, as
// RFC 9112 6.3 does, but refuses whatever two recipients could read in two ways.
// A head with neither yields None.
func (f *Fields) framing(minor int) (Framing, error) {
	switch {
	case f.Has(TransferEncoding):
		if err := f.codingError(minor); err != nil {
			return Framing{}, err
		}
		return Framing{Kind: Chunked}, nil
	case f.Has(ContentLength):
		return Framing{Kind: Length, Length: f.length}, nil
	}
	return Framing{}, nil
}

// codingError is nil if Transfer-Encoding says chunked, once, and can be trusted.
func (f *Fields) codingError(minor int) error {
	// RFC 9112 6.1: "a server MAY reject a request that contains both"; an
	// intermediary must not forward both, and no honest sender makes both.
	if f.Has(ContentLength) {
		return errBoth
	}
	// RFC 9112 6.1: in HTTP/1.0 "the framing is faulty".
	if minor == 0 {
		return errCodingOld
	}
	i := f.Next(TransferEncoding, 0)
	if f.Next(TransferEncoding, i+1) < 0 && equalFold(f.Value(i), "chunked") {
		return nil
	}
	return f.codingFault()
}

// codingFault says what is wrong with a Transfer-Encoding that is not the one
// word chunked. Empty elements, parameters and quotes are faults too: they are
// how one recipient is made to see the coding and another not to.
func (f *Fields) codingFault() error {
	var chunked, last, foreign, identity int
	n := 0
	for i := f.Next(TransferEncoding, 0); i >= 0; i = f.Next(TransferEncoding, i+1) {
		value := f.Value(i)
		listed := 0
		for coding := range items(value) {
			n++
			listed++
			switch {
			case !isToken(coding):
				return errCodings
			case equalFold(coding, "chunked"):
				chunked++
				last = n
			case equalFold(coding, "identity"):
				identity++
			case !registered(coding):
				foreign++
			}
		}
		if listed != 1+count(value, ',') {
			return errCodings
		}
	}
	switch {
	case identity > 0:
		return errIdentity
	case chunked > 1, chunked == 1 && last != n:
		return errNotFinal
	case chunked == 0 && foreign == 0:
		// RFC 9112 6.3: codings we know, chunked not final: 400, a MUST.
		return errNotFinal
	}
	// RFC 9112 6.1: a coding we do not understand: 501.
	return errCoding
}

// registered reports whether a transfer coding is one of RFC 9112 7.2.
func registered(coding []byte) bool {
	for _, name := range [...]string{"gzip", "x-gzip", "deflate", "compress", "x-compress"} {
		if equalFold(coding, name) {
			return true
		}
	}
	return false
}

func count(b []byte, c byte) (n int) {
	for i := range b {
		if b[i] == c {
			n++
		}
	}
	return n
}

package http1

import (
	"encoding/binary"
	"math/bits"
)

// Classes of bytes, one bit each.
const (
	token   = 1 << iota // tchar (RFC 9110 5.6.2)
	hex                 // HEXDIG
	regName             // of a host, as strictly as hostError says
)

var class = classify()

func classify() (table [256]uint8) {
	mark := func(bytes string, as uint8) {
		for i := range len(bytes) {
			table[bytes[i]] |= as
		}
	}
	const digits, letters = "0123456789", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	mark(digits+letters+"!#$%&'*+-.^_`|~", token)
	mark(digits+"abcdefABCDEF", hex)
	mark(digits+letters+"-._~", regName)
	return table
}

func isToken(b []byte) bool {
	for _, c := range b {
		if class[c]&token == 0 {
			return false
		}
	}
	return len(b) > 0
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// Eight bytes at a time: a byte of a word is marked by its top bit. Marks above
// the lowest one may be false (a borrow), the lowest never is.
const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// below marks the bytes of x less than n, for n up to 0x80.
func below(x, n uint64) uint64 { return (x - ones*n) &^ x & tops }

// equal marks the bytes of x that are c, for c less than 0x80.
func equal(x, c uint64) uint64 { return below(x^ones*c, 1) }

// valueEnd is the index, at or after i, of the first byte that cannot be part of
// a field value: a control byte other than HTAB, or DEL. len(b) if there is none.
func valueEnd(b []byte, i int) int {
	for i+8 <= len(b) {
		x := word(b[i:])
		stop := below(x, ' ') | equal(x, 0x7f)
		if stop == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(stop) >> 3
		if b[i] != '\t' {
			return i
		}
		i++
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' && c != '\t' || c == 0x7f {
			return i
		}
	}
	return i
}

// targetEnd is the index, at or after i, of the first byte that cannot be part
// of a request-target: control, space, DEL, non-ASCII, or the # of a fragment.
// len(b) if there is none.
//
// RFC 3986 forbids a few more bytes (" < > \ ^ ` { | }), which browsers send all
// the same (the WHATWG's query state leaves them alone); they mislead nobody
// about where the target ends.
func targetEnd(b []byte, i int) int {
	for i+8 <= len(b) {
		x := word(b[i:])
		stop := below(x, '!') | equal(x, 0x7f) | equal(x, '#') | x&tops
		if stop == 0 {
			i += 8
			continue
		}
		return i + bits.TrailingZeros64(stop)>>3
	}
	for ; i < len(b); i++ {
		if c := b[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return i
		}
	}
	return i
}

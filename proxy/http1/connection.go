package http1

import "bytes"

// option is what the Connection fields of a head list, one bit each, and what
// else decides about the connection.
type option uint8

const (
	optClose option = 1 << iota
	optKeepAlive
	optUpgrade
	optNamed // others: fields that must not be forwarded
	upgrades // several Upgrade lines
)

// maxOptions bounds the work of one head: each option is sought among all
// fields. Nobody needs more than a handful.
const maxOptions = 32

// noteConnection takes in the value of one Connection field.
func (f *Fields) noteConnection(value []byte) error {
	for opt := range items(value) {
		switch {
		case equalFold(opt, "keep-alive"):
			f.options |= optKeepAlive
		case equalFold(opt, "close"):
			f.options |= optClose
		case equalFold(opt, "upgrade"):
			f.options |= optUpgrade
		case isToken(opt):
			f.options |= optNamed
		default:
			return errOption
		}
	}
	return nil
}

// omitNamed keeps back the fields that Connection names (RFC 9110 7.6.1: an
// intermediary MUST parse it and remove them).
//
// A known field that is not hop-by-hop stays whatever Connection says: "a sender
// MUST NOT send a connection option corresponding to a field that is intended
// for all recipients of the content", and options such as Cookie, Authorization
// or X-Forwarded-For have been sent to make a proxy drop what the backend
// relies on (Davison, "hop-by-hop headers abuse", 2019).
func (f *Fields) omitNamed() error {
	if f.options&optNamed == 0 {
		return nil
	}
	left := maxOptions
	for i := f.Next(Connection, 0); i >= 0; i = f.Next(Connection, i+1) {
		for opt := range items(f.Value(i)) {
			if left--; left < 0 {
				return errOptions
			}
			if lookup(opt) == Other {
				f.omitOther(opt)
			}
		}
	}
	return nil
}

func (f *Fields) omitOther(name []byte) {
	for i := range f.n {
		l := &f.lines[i]
		if l.known == Other && int(l.colon-l.name) == len(name) && bytes.EqualFold(f.Name(i), name) {
			l.omit = true
		}
	}
}

// keepAlive decides persistence by RFC 9112 9.3: close wins, HTTP/1.1 persists,
// HTTP/1.0 only where keep-alive is asked for.
func (f *Fields) keepAlive(minor int) bool {
	if f.options&optClose != 0 {
		return false
	}
	return minor == 1 || f.options&optKeepAlive != 0
}

// upgrade is the protocol list of an Upgrade that counts, else nil.
//
// RFC 9110 7.8: it must be named by Connection, and a server MUST ignore it in
// HTTP/1.0. Several lines are one list too many; a server MAY ignore it. So is
// h2c, alone or in a list: its HTTP2-Settings is never passed on, and behind an
// upgrade nobody checks what is asked for ("h2c smuggling", Bishop Fox 2020).
func (f *Fields) upgrade(minor int) []byte {
	if minor == 0 || f.options&(optUpgrade|upgrades) != optUpgrade || f.lists(Upgrade, "h2c") {
		return nil
	}
	return f.Get(Upgrade)
}

// lists reports whether a comma-separated field of that name lists token.
func (f *Fields) lists(name Name, token string) bool {
	for i := f.Next(name, 0); i >= 0; i = f.Next(name, i+1) {
		for item := range items(f.Value(i)) {
			if equalFold(item, token) {
				return true
			}
		}
	}
	return false
}

// items yields the elements of a comma-separated list without the space around
// them; empty ones are skipped (RFC 9110 5.6.1.2).
func items(list []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(list) > 0 {
			item := list
			if i := bytes.IndexByte(list, ','); i >= 0 {
				item, list = list[:i], list[i+1:]
			} else {
				list = nil
			}
			if item = trimSpace(item); len(item) > 0 && !yield(item) {
				return
			}
		}
	}
}

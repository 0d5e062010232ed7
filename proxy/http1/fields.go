package http1

// Fields are the field lines of a head, in the order received. They are views
// into the buffer that was parsed: valid until the caller changes it.
type Fields struct {
	buf   []byte
	lines [MaxAnswerFields]line
	n     int

	first   line   // where the parts of the start line are
	seen    uint64 // the known names present, one bit each
	length  int64  // Content-Length; -1: absent
	options option // what Connection lists
	pos     int    // where the first line not yet understood starts
	started bool   // the start line is understood: pos is behind it
	answer  bool   // these are the fields of a response
}

// line is a field line as offsets into the buffer, which may move between two
// calls of Parse: buf[name:colon] is the name, buf[value:end] the value.
type line struct {
	name, colon, value, end uint32
	known                   Name
	omit                    bool // must not be forwarded
}

// Name is the name of line i as it was sent.
func (f *Fields) Name(i int) []byte { l := &f.lines[i]; return f.buf[l.name:l.colon:l.colon] }

// Value is the value of line i without the space around it; it may be empty.
func (f *Fields) Value(i int) []byte { l := &f.lines[i]; return f.buf[l.value:l.end:l.end] }

// Omit keeps line i from the next recipient: AppendHead leaves it out.
func (f *Fields) Omit(i int) { f.lines[i].omit = true }

// Has reports whether a field of that known name is present.
func (f *Fields) Has(name Name) bool { return f.seen&(1<<name) != 0 }

// Next is the index of the first line at or after i with that known name; -1 if
// there is none. It costs next to nothing when the name is absent.
func (f *Fields) Next(name Name, i int) int {
	if !f.Has(name) {
		return -1
	}
	for ; i < f.n; i++ {
		if f.lines[i].known == name {
			return i
		}
	}
	return -1
}

// Get is the value of the first line of that known name; nil if there is none.
func (f *Fields) Get(name Name) []byte {
	if i := f.Next(name, 0); i >= 0 {
		return f.Value(i)
	}
	return nil
}

// OmitAll keeps every line of that known name from the next recipient, as one
// does before appending a value of one's own.
func (f *Fields) OmitAll(name Name) {
	for i := f.Next(name, 0); i >= 0; i = f.Next(name, i+1) {
		f.Omit(i)
	}
}

// OmitPrefixed keeps every line whose name begins with prefix, which is in lower case,
// from the next recipient. An underscore counts as a dash: CGI, and what has its
// variables (WSGI, Rack, PHP), cannot tell them apart, and X-Forwarded_For has stood
// there for the proxy's own word (CVE-2024-45614, Puma).
func (f *Fields) OmitPrefixed(prefix string) {
	for i := range f.n {
		if begins(f.Name(i), prefix) {
			f.Omit(i)
		}
	}
}

func begins(name []byte, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i, c := range name[:len(prefix)] {
		if c == '_' {
			c = '-'
		}
		if c|0x20 != prefix[i] {
			return false
		}
	}
	return true
}

// reset forgets what was parsed, for a head that begins anew.
func (f *Fields) reset() {
	f.buf, f.n, f.seen, f.length, f.options = nil, 0, 0, -1, 0
	f.pos, f.started, f.answer = 0, false, false
}

// outcome ends a call of Parse that came to err, full if the head's limit left
// no more to read. All but an incomplete head is over: the next begins anew.
func (f *Fields) outcome(err error, full bool) (n int, _ error) {
	switch {
	case err == nil:
		n = f.pos
		f.pos, f.started = 0, false
		return n, nil
	case err == ErrIncomplete && !full:
		return 0, err
	case err == ErrIncomplete:
		err = errHeadLong
	}
	f.reset()
	return 0, err
}

// parse reads field lines from f.pos on, up to and with the empty line, and
// moves f.pos behind what it understood: an incomplete line is read again from
// its start, a complete one never.
func (f *Fields) parse(buf []byte, most int) error {
	for {
		start := f.pos
		if start >= len(buf) {
			return ErrIncomplete
		}
		if class[buf[start]]&token == 0 {
			return f.last(buf, start)
		}
		if f.n == most {
			return errFields
		}
		i := start + 1
		for i < len(buf) && class[buf[i]]&token != 0 {
			i++
		}
		if i == len(buf) {
			return ErrIncomplete
		}
		if buf[i] != ':' {
			return nameError(buf[i])
		}
		colon := i
		for i++; i < len(buf) && isSpace(buf[i]); i++ {
		}
		value := i
		end := valueEnd(buf, i)
		if end+1 >= len(buf) || buf[end] != '\r' || buf[end+1] != '\n' {
			return endError(buf, end)
		}
		f.pos = end + 2
		for end > value && isSpace(buf[end-1]) {
			end--
		}
		// Member by member: a literal is put together elsewhere, then copied.
		l := &f.lines[f.n]
		l.name, l.colon, l.value, l.end = uint32(start), uint32(colon), uint32(value), uint32(end)
		l.known, l.omit = lookup(buf[start:colon]), false
		f.n++
		if l.known != Other {
			if err := f.note(l.known, buf[value:end]); err != nil {
				return err
			}
		}
	}
}

// last judges a line that does not start with a name: the empty line that ends
// the head (nil), or a fault.
func (f *Fields) last(buf []byte, i int) error {
	switch buf[i] {
	case '\r':
		if i+1 == len(buf) {
			return ErrIncomplete
		}
		if buf[i+1] != '\n' {
			return errBareCR
		}
		f.pos = i + 2
		f.buf = buf[:f.pos]
		return nil
	case ' ', '\t':
		// RFC 9112 5.2: a server that receives an obs-fold must reject or unfold
		// it; 2.2: space between the start line and the first field, likewise.
		return errFold
	case ':':
		return errEmptyName
	case '\n':
		return errBareLF
	}
	return errName
}

// nameError says what is wrong with byte c, which ends a name and is no colon.
func nameError(c byte) error {
	switch c {
	case ' ', '\t':
		// RFC 9112 5.1: a server MUST reject it: "differences in the handling of
		// such whitespace have led to security vulnerabilities".
		return errSpaceColon
	case '\r', '\n':
		return errNoColon
	}
	return errName
}

// endError says what is wrong at end, where a value stops without CRLF.
func endError(buf []byte, end int) error {
	if end == len(buf) {
		return ErrIncomplete
	}
	switch buf[end] {
	case '\n':
		return errBareLF
	case '\r':
		if end+1 == len(buf) {
			return ErrIncomplete
		}
		return errBareCR
	}
	return errControl
}

// note takes in a field whose name is known.
func (f *Fields) note(name Name, value []byte) error {
	again := f.Has(name)
	f.seen |= 1 << name
	traits := known[name].traits
	f.lines[f.n-1].omit = traits&hop != 0
	switch {
	case traits&noted == 0:
		return nil
	case f.answer && (name == Host || name == Expect):
		// They mean nothing in a response, and are fields like any other.
		f.lines[f.n-1].omit = false
		return nil
	}
	switch name {
	case Host:
		if again {
			return errHosts
		}
		return hostError(value)
	case ContentLength:
		// RFC 9112 6.3 lets a recipient collapse equal ones ("5, 5"); no sender
		// makes them but by a fault or a ruse, and we refuse.
		if again {
			return errLengths
		}
		n, err := parseLength(value)
		f.length = n
		return err
	case Connection:
		return f.noteConnection(value)
	case Expect:
		// RFC 9110 10.1.1 has 417 for other expectations. "Expect: y
		// 100-continue" and the like have split proxies from servers (Kettle,
		// "HTTP/1.1 must die", 2025).
		if again || !Is(value, "100-continue") {
			return errExpect
		}
	case Upgrade:
		if again {
			f.options |= upgrades
		}
	}
	return nil
}

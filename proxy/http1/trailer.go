package http1

// trailerLine takes in one byte of the trailer section. A line is gathered at
// the end of c.Trailer, judged when it is whole, and kept there or cut off.
func (c *ChunkReader) trailerLine(b byte) error {
	if c.line++; c.line > maxTrailer {
		return errTrailerLong
	}
	switch c.state {
	case atLine:
		if b == '\r' {
			c.state = atLastLF
			return nil
		}
		c.start = len(c.Trailer)
		c.state = inLine
		fallthrough
	case inLine:
		switch b {
		case '\r':
			c.state = atLineLF
		case '\n':
			return errBareLF
		default:
			c.Trailer = append(c.Trailer, b)
		}
		return nil
	}
	if b != '\n' {
		return errBareCR
	}
	if c.state == atLastLF {
		c.state = done
		return nil
	}
	c.state = atLine
	return c.keepTrailer()
}

// keepTrailer judges the line at the end of c.Trailer.
func (c *ChunkReader) keepTrailer() error {
	line := c.Trailer[c.start:]
	c.Trailer = c.Trailer[:c.start]
	name, value, err := splitLine(line)
	if err != nil {
		return err
	}
	if known[lookup(name)].traits&noTrailer != 0 {
		return nil
	}
	// The canonical line may be longer than the one it is made of, by a space and
	// its CRLF: make it behind, then move it here.
	whole := AppendField(c.Trailer[:c.start+len(line)], name, value)
	n := copy(whole[c.start:], whole[c.start+len(line):])
	c.Trailer = whole[:c.start+n]
	return nil
}

// splitLine takes a field line without its CRLF apart, as Fields.parse does.
func splitLine(line []byte) (name, value []byte, err error) {
	if isSpace(line[0]) {
		return nil, nil, errFold
	}
	colon := 0
	for colon < len(line) && class[line[colon]]&token != 0 {
		colon++
	}
	switch {
	case colon == len(line):
		return nil, nil, errNoColon
	case line[colon] != ':':
		return nil, nil, nameError(line[colon])
	case colon == 0:
		return nil, nil, errEmptyName
	}
	value = line[colon+1:]
	if valueEnd(value, 0) != len(value) {
		return nil, nil, errControl
	}
	return line[:colon], trimSpace(value), nil
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// Trails reports whether a field of that name, in whatever case, may come behind a body
// (RFC 9110 6.5.1).
func Trails(name string) bool {
	return name != "" && known[lookup([]byte(name))].traits&noTrailer == 0
}

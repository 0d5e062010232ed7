package http1

import "bytes"

const (
	versionLen = len("HTTP/1.1")
	// The versions, as word reads them.
	version11 = 0x312e312f50545448
	version10 = 0x302e312f50545448

	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" // RFC 9113 3.4
	// maxMethod bounds a method; the longest registered has 17 bytes.
	maxMethod = 64
)

var asterisk = []byte("*")

// version reads the HTTP-version that b starts with. It is case-sensitive
// (RFC 9112 2.3). HTTP/1.2 to 1.9 do not exist: RFC 9110 2.5 would have them read
// as 1.1, we answer 505, since none but a probe sends them.
func version(b []byte) (minor int, err error) {
	if len(b) >= versionLen {
		switch word(b) {
		case version11:
			return 1, nil
		case version10:
			return 0, nil
		}
	}
	const form = "HTTP/0.0"
	for i := range min(len(b), versionLen) {
		if form[i] == '0' && isDigit(b[i]) {
			continue
		}
		if b[i] != form[i] {
			return 0, errVersion
		}
	}
	if len(b) < versionLen {
		return 0, ErrIncomplete
	}
	return 0, errUnsupported
}

// lineEnd is nil if b starts with CRLF; otherwise is the fault of another byte.
func lineEnd(b []byte, otherwise error) error {
	switch {
	case len(b) == 0:
		return ErrIncomplete
	case b[0] == '\n':
		return errBareLF
	case b[0] != '\r':
		return otherwise
	case len(b) == 1:
		return ErrIncomplete
	case b[1] != '\n':
		return errBareCR
	}
	return nil
}

// skipEmptyLines is the index of the first byte that is no empty line's.
func skipEmptyLines(b []byte) (i int, err error) {
	for lines := 0; i < len(b) && b[i] == '\r'; lines++ {
		if lines == maxEmptyLines {
			return 0, errEmptyLines
		}
		if err := lineEnd(b[i:], nil); err != nil {
			return 0, err
		}
		i += 2
	}
	return i, nil
}

// methodEnd is the index of the single space behind the method at start.
func methodEnd(b []byte, start int) (int, error) {
	i := start
	for i < len(b) && class[b[i]]&token != 0 {
		if i++; i-start > maxMethod {
			return 0, errMethodLong
		}
	}
	if i == len(b) {
		return 0, ErrIncomplete
	}
	if b[i] != ' ' || i == start {
		return 0, methodError(b, start, i)
	}
	if i-start == 3 && b[start] == 'P' && string(b[start:i]) == "PRI" {
		return 0, prefaceError(b[start:])
	}
	return i, nil
}

// methodError says what byte b[i] is doing where a method should be or end.
func methodError(b []byte, start, i int) error {
	switch {
	case i == 0 && b[0] == 0x16:
		return ErrTLS
	case b[i] == '\n':
		return errBareLF
	case b[i] == '\r' && i > start:
		return errTargetForm
	}
	return errMethod
}

// prefaceError tells the HTTP/2 preface, or a part of it, from an attempt at a
// method that RFC 9113 3.4 reserves.
func prefaceError(b []byte) error {
	n := min(len(b), len(preface))
	switch {
	case string(b[:n]) != preface[:n]:
		return errPRI
	case n < len(preface):
		return ErrIncomplete
	}
	return ErrHTTP2Preface
}

// targetByteError says what is wrong with byte c, which ends a request-target
// and is no space.
func targetByteError(c byte) error {
	switch c {
	case '\r':
		return errNoVersion
	case '\n':
		return errBareLF
	}
	return errTarget
}

// targetError is nil if target has a form that its method may have here
// (RFC 9112 3.2). Every byte of it is already known to be a VCHAR.
func targetError(method, target []byte) error {
	if string(method) == "CONNECT" {
		return errConnect
	}
	switch {
	case len(target) == 0:
		return errTargetForm
	case target[0] == '/':
		return percentError(target)
	case string(target) == "*":
		if string(method) != "OPTIONS" {
			return errAsterisk
		}
		return nil
	}
	authority, path := splitAbsolute(target)
	if authority == nil {
		return errTargetForm
	}
	if err := hostError(authority); err != nil {
		return err
	}
	return percentError(path)
}

// percentError finds a % without two digits behind it, in the path alone: a bare
// % in a query is common ("?q=100%") and is passed on as it is.
func percentError(target []byte) error {
	i := bytes.IndexByte(target, '%')
	if i < 0 {
		return nil
	}
	if query := bytes.IndexByte(target, '?'); query >= 0 {
		target = target[:query]
	}
	for ; i < len(target); i++ {
		if target[i] != '%' {
			continue
		}
		if i+2 >= len(target) || class[target[i+1]]&hex == 0 || class[target[i+2]]&hex == 0 {
			return errPercent
		}
	}
	return nil
}

// splitAbsolute takes an absolute-form apart into authority and what follows;
// authority is nil if target is not an http or https URI.
func splitAbsolute(target []byte) (authority, path []byte) {
	i := bytes.Index(target, []byte("://"))
	if i < 0 || !equalFold(target[:i], "http") && !equalFold(target[:i], "https") {
		return nil, nil
	}
	rest := target[i+len("://"):]
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	return rest[:end:end], rest[end:]
}

// takeApart reads an absolute-form, which targetError has accepted, or "*".
//
// RFC 9112 3.2.2: the Host field received is ignored, replaced by the authority
// of the target. 3.2.4: OPTIONS with neither path nor query goes on as "*".
func (r *Request) takeApart(target []byte) {
	if target[0] == '*' {
		return
	}
	r.Host, r.Path = splitAbsolute(target)
	if len(r.Path) == 0 && r.MethodID == OPTIONS {
		r.Path = asterisk
	}
}

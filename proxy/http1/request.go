package http1

// Request is a request head. The zero value is ready; reuse it, it is large.
// It is not safe for concurrent use, and its slices are views into the buffer
// parsed, valid until the caller changes that.
type Request struct {
	Method   []byte // as sent; methods are case-sensitive
	MethodID Method // Method, if it is one of the known
	// Path is the request-target in origin-form, query included, or "*". From
	// the absolute-form it may come empty or start with '?'; AppendHead puts the
	// missing "/" before it.
	Path []byte
	// Host is the authority: of the request-target where that has one, else
	// the Host field. It is empty only for an HTTP/1.0 request that names none;
	// the caller may set it before AppendHead.
	Host  []byte
	Minor int // 1 for HTTP/1.1, 0 for HTTP/1.0
	Framing
	// KeepAlive: the client wants the connection to last (RFC 9112 9.3).
	KeepAlive bool
	// Expect100: the client waits for a 100 before it sends content. False
	// without content and in HTTP/1.0, where it means nothing (RFC 9110 10.1.1).
	Expect100 bool
	// Trailers: the client takes a trailer section (TE: trailers).
	Trailers bool
	// Upgrade is the value of a valid Upgrade field, nil if there is none or if
	// it lists h2c. AppendHead leaves it out: whether it is passed on is the caller's
	// choice.
	Upgrade []byte
	Fields
}

// maxEmptyLines is how many empty lines may come before a request line.
// RFC 9112 2.2: a server SHOULD ignore at least one.
const maxEmptyLines = 4

// Reset forgets the part of a head that was understood so far. It is needed only
// after ErrIncomplete, when the rest of that head will not come.
func (r *Request) Reset() { r.Fields.reset() }

// Parse reads the head that buf starts with and returns how many bytes it has.
//
// On [ErrIncomplete], call Parse again with the same bytes and more of them, in
// the same buffer or another; lines already understood are not read again. On
// any other error, a [*SyntaxError], [ErrHTTP2Preface] or [ErrTLS], r holds
// nothing of use. The next Parse begins anew. Parse does not depend on how the
// bytes arrived, does not change them, and does not allocate.
func (r *Request) Parse(buf []byte, lim Limits) (n int, err error) {
	most := lim.head()
	err = r.parse(buf[:min(len(buf), most)], lim)
	return r.outcome(err, len(buf) >= most)
}

func (r *Request) parse(buf []byte, lim Limits) error {
	if !r.started {
		r.Fields.reset()
		n, err := r.requestLine(buf, lim)
		if err != nil {
			return err
		}
		r.pos, r.started = n, true
	}
	if err := r.Fields.parse(buf, lim.fields()); err != nil {
		return err
	}
	return r.finish(buf)
}

// requestLine checks the first line and returns its length, empty lines before
// it included. What it holds is taken out by finish, when the buffer stays put.
func (r *Request) requestLine(buf []byte, lim Limits) (int, error) {
	start, err := skipEmptyLines(buf)
	if err != nil {
		return 0, err
	}
	method, err := methodEnd(buf, start)
	if err != nil {
		return 0, err
	}
	most := min(len(buf), method+1+lim.target()+1)
	target := targetEnd(buf[:most], method+1)
	if target == most {
		if target-method-1 > lim.target() || len(buf) >= lim.head() {
			return 0, errTargetLong
		}
		return 0, ErrIncomplete
	}
	if buf[target] != ' ' {
		return 0, targetByteError(buf[target])
	}
	if err := targetError(buf[start:method], buf[method+1:target]); err != nil {
		return 0, err
	}
	r.first = line{name: uint32(start), colon: uint32(method), value: uint32(method + 1), end: uint32(target)}
	if r.Minor, err = version(buf[target+1:]); err != nil {
		return 0, err
	}
	end := target + 1 + versionLen
	return end + len("\r\n"), lineEnd(buf[end:], errVersion)
}

// finish judges the head as a whole and fills in what it says.
func (r *Request) finish(buf []byte) (err error) {
	r.Method = buf[r.first.name:r.first.colon]
	r.MethodID = methodID(r.Method)
	target := buf[r.first.value:r.first.end]
	r.Host = r.Get(Host)
	// RFC 9112 3.2: 400 to any HTTP/1.1 request that lacks a Host.
	if r.Host == nil && r.Minor == 1 {
		return errNoHost
	}
	r.Path = target
	if target[0] != '/' {
		r.takeApart(target)
	}
	if r.Framing, err = r.framing(r.Minor); err != nil {
		return err
	}
	if r.MethodID == TRACE && !r.Empty() {
		return errTrace
	}
	if err := r.omitNamed(); err != nil {
		return err
	}
	r.KeepAlive = r.keepAlive(r.Minor)
	r.Upgrade = r.upgrade(r.Minor)
	r.Expect100 = r.Minor == 1 && r.Has(Expect) && !r.Empty()
	r.Trailers = r.lists(TE, "trailers")
	return nil
}

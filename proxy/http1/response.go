package http1

import "time"

// Response is a response head. The zero value is ready; reuse it, it is large.
// It is not safe for concurrent use, and its slices are views into the buffer
// parsed, valid until the caller changes that.
type Response struct {
	Status int    // 100 to 599
	Reason []byte // as sent; may be empty
	Minor  int    // 1 for HTTP/1.1, 0 for HTTP/1.0
	// Framing is how the body ends; the caller may change it before AppendHead,
	// say from UntilClose to Chunked.
	Framing
	// Declared is the Content-Length where it says how long a body would have
	// been, in answers without one (to HEAD, and 304); -1 if there is none.
	Declared int64
	// KeepAlive: the backend keeps the connection after this message.
	KeepAlive bool
	// Idle is how long it keeps it when idle, as its Keep-Alive says; 0: unsaid.
	Idle time.Duration
	// Upgrade is the value of a valid Upgrade field, nil if there is none.
	// AppendHead leaves it out.
	Upgrade []byte
	Fields
}

// Reset forgets the part of a head that was understood so far. It is needed only
// after ErrIncomplete, when the rest of that head will not come.
func (r *Response) Reset() { r.Fields.reset() }

// Interim reports whether another response follows this one (RFC 9110 15.2).
// 101 is final: what follows is not HTTP.
func (r *Response) Interim() bool { return r.Status < 200 && r.Status != 101 }

// Parse reads the head that buf starts with, the answer to a request with that
// method, and returns how many bytes it has. See [Request.Parse], which it is
// like in all else: as strict, and as free of allocation.
func (r *Response) Parse(buf []byte, method Method, lim Limits) (n int, err error) {
	most := lim.head()
	err = r.parse(buf[:min(len(buf), most)], method)
	return r.outcome(err, len(buf) >= most)
}

func (r *Response) parse(buf []byte, method Method) error {
	if !r.started {
		r.Fields.reset()
		r.answer = true
		n, err := r.statusLine(buf)
		if err != nil {
			return err
		}
		r.pos, r.started = n, true
	}
	if err := r.Fields.parse(buf, MaxAnswerFields); err != nil {
		return err
	}
	return r.finish(buf, method)
}

// statusLine checks the first line and returns its length. The space behind the
// status may be missing with the reason: RFC 9112 4 demands it, servers forget it.
func (r *Response) statusLine(buf []byte) (n int, err error) {
	if r.Minor, err = version(buf); err != nil {
		return 0, err
	}
	const status, reason = versionLen + 1, versionLen + len(" 200")
	r.Status = 0
	for i := versionLen; i < reason; i++ {
		if i == len(buf) {
			return 0, ErrIncomplete
		}
		if i == versionLen && buf[i] != ' ' || i > versionLen && !isDigit(buf[i]) {
			return 0, errStatusLine
		}
		if i == status && (buf[i] < '1' || buf[i] > '5') {
			return 0, errStatus
		}
		if i >= status {
			r.Status = r.Status*10 + int(buf[i]-'0')
		}
	}
	r.first = line{value: uint32(reason), end: uint32(reason)}
	if len(buf) > reason && buf[reason] == ' ' {
		r.first.value++
		r.first.end = uint32(valueEnd(buf, reason+1))
	}
	end := int(r.first.end)
	return end + len("\r\n"), lineEnd(buf[end:], errStatusLine)
}

// finish judges the head as a whole and fills in what it says.
func (r *Response) finish(buf []byte, method Method) (err error) {
	r.Reason = buf[r.first.value:r.first.end]
	if r.Framing, err = r.framing(r.Minor); err != nil {
		return err
	}
	if err := r.omitNamed(); err != nil {
		return err
	}
	r.KeepAlive = r.keepAlive(r.Minor)
	r.Upgrade = r.upgrade(r.Minor)
	r.Idle = r.idle()
	r.Declared = -1
	switch {
	case r.Status < 200 || r.Status == 204:
		// RFC 9110 8.6 and 9112 6.1: no framing field may be here. There is no
		// body whatever it says, but what comes next cannot be trusted.
		r.KeepAlive = r.KeepAlive && r.Empty()
		r.Framing = Framing{}
	case method == HEAD || r.Status == 304:
		r.Declared = r.length
		r.Framing = Framing{}
	case r.Kind == None:
		r.Framing, r.KeepAlive = Framing{Kind: UntilClose}, false
	}
	return nil
}

// idle reads timeout=N, in seconds, of Keep-Alive (RFC 2068 19.7.1.1).
func (r *Response) idle() time.Duration {
	const param = "timeout="
	for item := range items(r.Get(KeepAlive)) {
		if len(item) <= len(param) || !equalFold(item[:len(param)-1], "timeout") || item[len(param)-1] != '=' {
			continue
		}
		seconds, err := parseLength(item[len(param):])
		if err != nil {
			return 0
		}
		return time.Duration(min(seconds, int64(24*time.Hour/time.Second))) * time.Second
	}
	return 0
}

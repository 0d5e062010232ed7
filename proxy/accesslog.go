package proxy

import (
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// AccessLog writes a line for each request. It is safe for concurrent use, and
// may serve several services. Lines are gathered and written together, at the
// latest after a second.
//
// A request whose client left before it was answered has status 499; one that was
// not understood has neither method nor path. A JSON line has an error, of the kinds
// of X-Portside-Error, if there was one, be it in the middle of a response.
type AccessLog struct {
	// Out takes whole lines. Its errors are not reported: a full disk must not
	// end requests. Requests wait for it.
	Out io.Writer
	// Common chooses the Common Log Format; otherwise a line is JSON.
	Common bool
	// Sample is the share of requests that leave a line. Zero: all.
	Sample float64
	// ErrorsOnly leaves out answers below 500.
	ErrorsOnly bool

	mu  sync.Mutex
	buf []byte
}

// gathered is how many bytes of lines are written together.
const gathered = 16 << 10

// wants reports whether a request that was answered with status leaves a line.
func (l *AccessLog) wants(status int) bool {
	return l != nil && (!l.ErrorsOnly || status >= 500) && (l.Sample == 0 || l.Sample >= 1 || rand.Float64() < l.Sample)
}

// Flush writes the lines that were gathered. A nil AccessLog has none.
func (l *AccessLog) Flush() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write()
}

func (l *AccessLog) write() {
	if len(l.buf) > 0 {
		_, _ = l.Out.Write(l.buf)
		l.buf = l.buf[:0]
	}
}

// line is what is known of one request.
type line struct {
	client, method, path, host []byte
	backend, fault             string
	major, minor               int // of HTTP's version; major 0 is 1
	status, tries              int
	began                      time.Time
	took                       time.Duration
}

func (l *AccessLog) add(e *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Common {
		l.buf = e.appendCommon(l.buf)
	} else {
		l.buf = e.appendJSON(l.buf)
	}
	if len(l.buf) >= gathered {
		l.write()
	}
}

func (e *line) appendCommon(b []byte) []byte {
	b = append(b, e.client...)
	b = append(b, " - - ["...)
	b = e.began.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, "] \""...)
	if len(e.method) == 0 {
		b = append(b, '-') // a request that was not understood
	} else {
		b = appendQuoted(b, e.method)
		b = append(b, ' ')
		b = appendQuoted(b, e.path)
		b = append(b, " HTTP/"...)
		b = strconv.AppendInt(b, int64(max(e.major, 1)), 10)
		b = append(b, '.')
		b = strconv.AppendInt(b, int64(e.minor), 10)
	}
	b = append(b, "\" "...)
	b = strconv.AppendInt(b, int64(e.status), 10)
	return append(b, " -\n"...)
}

func (e *line) appendJSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = e.began.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = appendText(b, `","client":"`, e.client)
	b = appendText(b, `","method":"`, e.method)
	b = appendText(b, `","host":"`, e.host)
	b = appendText(b, `","path":"`, e.path)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(e.status), 10)
	b = append(b, `,"backend":"`...)
	b = appendQuoted(b, e.backend)
	b = append(b, `","attempts":`...)
	b = strconv.AppendInt(b, int64(e.tries), 10)
	b = append(b, `,"duration_ms":`...)
	b = strconv.AppendFloat(b, float64(e.took)/float64(time.Millisecond), 'f', 3, 64)
	if e.fault != "" {
		b = append(b, `,"error":"`...)
		b = append(append(b, e.fault...), '"')
	}
	return append(b, "}\n"...)
}

func appendText(b []byte, key string, value []byte) []byte {
	return appendQuoted(append(b, key...), value)
}

// clientLeft is what stands for a status in the log where there was nobody left
// to answer (nginx's).
const clientLeft = 499

// appendQuoted appends what goes between quotes, in JSON as in the common format:
// nothing of a client's may end the quotes or the line. What is not ASCII, which a head
// in HTTP/2 may have where it is refused, is escaped all of it: some terminals take
// U+009B for ESC [, some readers U+0085 and U+2028 for the end of a line.
func appendQuoted[T string | []byte](b []byte, text T) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20 || c == 0x7f:
			b = appendEscaped(b, rune(c))
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
			if high, low := utf16.EncodeRune(r); low != utf8.RuneError { // two units
				b = appendEscaped(b, high)
				r = low
			}
			b = appendEscaped(b, r)
			i += n - 1
		}
	}
	return b
}

// appendEscaped appends a unit of UTF-16 as JSON has it.
func appendEscaped(b []byte, unit rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[unit>>12&15], hex[unit>>8&15], hex[unit>>4&15], hex[unit&15])
}

// cfgLog is the access log in force, or nil.
func (h *HTTP) cfgLog() *AccessLog { return h.config().HTTP.AccessLog }

package http2

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// backend greets with settings and answers each request's head.
func backend(t *testing.T, settings []http2.Setting, answer func(f *http2.Framer) (more bool)) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		if _, err := io.ReadFull(c, make([]byte, len(Preface))); err != nil {
			return
		}
		f := http2.NewFramer(c, c)
		_ = f.WriteSettings(settings...)
		for {
			got, err := f.ReadFrame()
			if err != nil {
				return
			}
			if _, head := got.(*http2.HeadersFrame); head && !answer(f) {
				return
			}
		}
	})
}

// listen serves one connection.
func listen(t *testing.T, serve func(c net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if c, err := ln.Accept(); err == nil {
			serve(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-gone })
	return ln.Addr().String()
}

// connect has net/http speak to address over a link.
func connect(t *testing.T, address string) (*http.ClientConn, *Link) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	link := NewLink(conn.(*net.TCPConn), new(atomic.Int64))
	tr := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return link, nil },
		Protocols:   new(http.Protocols),
	}
	tr.Protocols.SetUnencryptedHTTP2(true)
	cc, err := tr.NewClientConn(t.Context(), "http", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	<-link.Greeted()
	return cc, link
}

// failure is how a request with that field ends.
func failure(t *testing.T, cc *http.ClientConn, field string) error {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://backend/", nil)
	req.Header.Set("X-Field", field)
	resp, err := cc.RoundTrip(req)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	if err == nil {
		t.Fatal("the request was answered: nothing was tested")
	}
	return err
}

// The texts of net/http's errors are held to net/http.
func TestErrorsOfNetHTTPAreRecognized(t *testing.T) {
	for name, c := range map[string]struct {
		answer                                             func(f *http2.Framer)
		reset                                              Code
		isReset, cancelled, wentAway, endedInOrder, calmed bool
	}{
		"refused": {
			answer: func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeRefusedStream) },
			reset:  RefusedStream, isReset: true,
		},
		"cancelled": {
			answer: func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeCancel) },
			reset:  Cancel, isReset: true, cancelled: true,
		},
		"calm": {
			answer: func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm) },
			reset:  EnhanceYourCalm, isReset: true, calmed: true,
		},
		"insecure": {
			answer: func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeInadequateSecurity) },
			reset:  InadequateSecurity, isReset: true,
		},
		"went away":       {answer: func(f *http2.Framer) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) }, wentAway: true},
		"ended in order":  {answer: func(f *http2.Framer) { _ = f.WriteGoAway(1, http2.ErrCodeNo, nil) }, endedInOrder: true},
		"ended calmly":    {answer: func(f *http2.Framer) { _ = f.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too much")) }, calmed: true},
		"refused calmly":  {answer: func(f *http2.Framer) { _ = f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, nil) }, calmed: true},
		"ended with code": {answer: func(f *http2.Framer) { _ = f.WriteGoAway(1, http2.ErrCodeInternal, nil) }},
		"broken":          {answer: func(*http2.Framer) {}},
	} {
		t.Run(name, func(t *testing.T) {
			cc, _ := connect(t, backend(t, nil, func(f *http2.Framer) bool { c.answer(f); return false }))
			err := failure(t, cc, "")
			if code, ok := Reset(err); code != c.reset || ok != c.isReset {
				t.Errorf("%v is a reset with %d: %t", err, code, ok)
			}
			if got := Cancelled(err); got != c.cancelled {
				t.Errorf("%v is a cancelled stream: %t", err, got)
			}
			if got := WentAway(err); got != c.wentAway {
				t.Errorf("%v is a stream not looked at: %t", err, got)
			}
			if got := EndedInOrder(err); got != c.endedInOrder {
				t.Errorf("%v is an announced end: %t", err, got)
			}
			if got := Calmed(err); got != c.calmed {
				t.Errorf("%v is a request for calm: %t", err, got)
			}
			if TooLarge(err) {
				t.Errorf("%v is a head that is too large", err)
			}
		})
	}
}

func TestHeadsTooLargeForTheBackend(t *testing.T) {
	few := []http2.Setting{{ID: http2.SettingMaxHeaderListSize, Val: 1000}}
	cc, _ := connect(t, backend(t, few, func(*http2.Framer) bool { return false }))
	if err := failure(t, cc, strings.Repeat("x", 2000)); !TooLarge(err) {
		t.Errorf("%v, want an error that TooLarge knows", err)
	}
	if err := failure(t, cc, "x"); TooLarge(err) {
		t.Errorf("%v is said to be too large, for a small head", err)
	}
}

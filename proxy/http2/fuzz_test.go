package http2

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// message is what two readers can be asked of a request or a response.
type message struct {
	Start          string // method, scheme, authority and path, or the status
	Fields         []Field
	Body           string
	Trailers       []Field
	begun, whole   bool
	unlike, failed bool // it is not to be compared; the other reader resets it
}

// reference is how x/net/http2 reads frames: the messages, by their streams, and what
// there was to say against the connection. Fields are trimmed, as we do.
func reference(in []byte, limit uint32) (map[uint32]*message, error) {
	f := http2.NewFramer(io.Discard, bytes.NewReader(in))
	f.SetMaxReadFrameSize(largest)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.MaxHeaderListSize = limit
	all := map[uint32]*message{}
	at := func(id uint32) *message {
		if all[id] == nil {
			all[id] = &message{}
		}
		return all[id]
	}
	for {
		got, err := f.ReadFrame()
		if stream, ok := errors.AsType[http2.StreamError](err); ok {
			m := at(stream.StreamID)
			m.failed = !m.whole
			continue
		}
		if err != nil {
			return all, err
		}
		m := at(got.Header().StreamID)
		switch got := got.(type) {
		case *http2.MetaHeadersFrame:
			m.headed(got)
		case *http2.DataFrame:
			if !m.whole {
				m.Body += string(got.Data())
			}
			m.whole = m.whole || got.StreamEnded()
		}
	}
}

func (m *message) headed(f *http2.MetaHeadersFrame) {
	m.unlike = m.unlike || f.Truncated
	fields := f.RegularFields()
	for i := range fields {
		fields[i].Value = trim(fields[i].Value)
	}
	switch {
	case m.whole:
	case m.begun:
		m.Trailers, m.whole = fields, f.StreamEnded()
	default:
		status := f.PseudoValue("status")
		m.Start = cmp.Or(status, startOf(f.PseudoValue("method"), f.PseudoValue("scheme"), f.PseudoValue("authority"), f.PseudoValue("path")))
		if strings.HasPrefix(status, "1") {
			return
		}
		m.Fields, m.begun, m.whole = fields, true, f.StreamEnded()
	}
}

func startOf(parts ...string) string { return fmt.Sprintf("%q", parts) }

// compare holds ours to what the reference has read on that stream.
func compare(t *testing.T, id uint32, ours message, theirs map[uint32]*message, err error) {
	t.Helper()
	m := theirs[id]
	switch {
	case m != nil && m.failed:
		t.Fatalf("stream %d is %+v to us, and malformed to x/net", id, ours)
	case m == nil || !m.begun:
		t.Fatalf("stream %d is %+v to us, and x/net has not come to it (%v)", id, ours, err)
	case m.unlike:
		return
	}
	m.begun, m.whole = false, false
	if diff := gocmp.Diff(ours, *m, gocmp.AllowUnexported(message{}), gocmp.Comparer(func(a, b Field) bool {
		return a.Name == b.Name && a.Value == b.Value
	}), gocmp.Comparer(func(a, b []Field) bool {
		return fmt.Sprintf("%q", a) == fmt.Sprintf("%q", b)
	})); diff != "" {
		t.Fatalf("stream %d is another message to x/net: ours -, theirs +\n%s", id, diff)
	}
}

// Whatever a client sends, its connection ends with it, and all its streams do; what is
// accepted is what another reader of HTTP/2 understands.
func FuzzServer(f *testing.F) {
	add := func(frames []byte) { f.Add(append([]byte(Preface), frames...)) }
	head := ask()
	add(appendBlock(appendSettings(nil), head, true, 1, largest))
	add(append(appendBlock(appendSettings(nil), head, false, 1, 9), append(appendHead(nil, 3, kindData, flagEndStream, 1), "abc"...)...))
	add(appendWord(appendWord(appendBlock(appendSettings(nil, setting{settingWindow, 1}), head, true, 1, largest), kindWindowUpdate, 1, 5), kindReset, 1, 8))
	for _, odd := range []Field{{Name: "X-Capital", Value: "1"}, {Name: "x", Value: "a\r\nb: c"}, {Name: ":path", Value: "/twice"}, {Name: "x y", Value: ""}, {Name: "x", Value: " padded\t"}, {Name: "content-length", Value: "3"}} {
		add(appendBlock(appendSettings(nil), ask(odd), true, 1, largest))
	}
	add(appendHead(append(appendHead(appendSettings(nil), 8, kindPing, 0, 0), "pingpong"...), 0, kindSettings, flagAck, 0))
	f.Fuzz(func(t *testing.T, in []byte) {
		ours, theirs := pair(t)
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		_ = theirs.CloseWrite()
		c := NewServer(ours, in, new(atomic.Int64), usual)
		var owners []*owner
		accepted := map[uint32]message{}
		err := c.Serve(func(st *ServerStream, by *Batch) {
			r := &st.Request
			// What pseudo-fields say is for whoever accepts to judge (http1.Limits.Refuse).
			if r.Bad == "" && !r.Large && httpguts.ValidHeaderFieldValue(r.Method+r.Authority+r.Path) {
				m := message{Start: startOf(r.Method, r.Scheme, r.Authority, r.Path)}
				for _, f := range r.Fields {
					m.Fields = append(m.Fields, Field{Name: f.Name, Value: trim(f.Value)})
				}
				accepted[st.id] = m
			}
			o := &owner{st: st, news: make(chan struct{}, 1)}
			owners = append(owners, o)
			st.Own(o)
			if len(owners)%2 == 0 {
				well(st, by)
			}
		})
		if err == nil {
			t.Error("the connection has ended without a reason")
		}
		if len(accepted) > 0 {
			theirs, err := reference(in[len(Preface):], uint32(usual.Head))
			for id, ours := range accepted {
				if m := theirs[id]; m != nil {
					m.Body, m.Trailers, m.failed = "", nil, m.failed && !m.begun // it is about the head
				}
				compare(t, id, ours, theirs, err)
			}
		}
		for i, o := range owners {
			if gone := o.gone.Load(); i%2 == 0 && !gone {
				t.Errorf("stream %d is left", o.st.id)
			}
			o.st.Body.End()
		}
		if c.Streams() != 0 {
			t.Errorf("%d streams are left", c.Streams())
		}
		if lost := c.credits - c.credit - c.due; lost != 0 && c.credit >= 0 {
			t.Errorf("%d bytes of the connection's window are lost: %v", lost, err)
		}
	})
}

// Whatever a backend answers, every request comes to an end; what is taken for an answer
// is what another reader of HTTP/2 understands.
func FuzzClient(f *testing.F) {
	add := func(frames ...[]byte) {
		all := appendSettings(nil)
		for _, fr := range frames {
			all = append(all, fr...)
		}
		f.Add(all)
	}
	add(appendBlock(nil, status("200"), true, 1, largest))
	add(appendBlock(nil, status("103"), false, 1, largest), appendBlock(nil, status("200", Field{Name: "content-length", Value: "3"}), false, 1, 4),
		append(appendHead(nil, 3, kindData, 0, 1), "abc"...), appendBlock(nil, Block(nil, []Field{{Name: "grpc-status", Value: "0"}}), true, 1, largest))
	for _, odd := range []Field{{Name: "X-Capital", Value: "1"}, {Name: "x", Value: "a\x00"}, {Name: ":status", Value: "201"}, {Name: "x y", Value: ""}, {Name: "x", Value: " padded\t"}, {Name: "content-length", Value: "3"}} {
		add(appendBlock(nil, status("200", odd), true, 1, largest))
	}
	add(appendGoAway(nil, 1, NoError), appendWord(nil, kindReset, 3, 8), appendWord(nil, kindWindowUpdate, 1, 100))
	add(appendSettings(nil, setting{settingStreams, 1}, setting{settingWindow, 3}, setting{settingListSize, 10}))
	f.Fuzz(func(t *testing.T, in []byte) {
		ours, theirs := pair(t)
		nowhere, _ := pair(t)
		c := NewClient(ours, new(atomic.Int64), ClientConfig{Window: 1000, All: 70_000, Head: 4 << 10})
		type asked struct {
			cs *ClientStream
			l  *listener
		}
		var all []asked
		for i := range 2 {
			if err := c.Reserve(); err != nil {
				t.Fatal(err)
			}
			st := NewStream(Request{Ended: i == 0, Length: -1})
			st.c.sock, st.c.sent = nowhere, new(atomic.Int64)
			st.events = &owner{news: make(chan struct{}, 1)}
			l := newListener()
			cs, err := c.Open(Out{Block: ask(), Body: &st.Body}, l, nil)
			if err != nil {
				t.Fatal(err)
			}
			st.Body.push([]byte("some of a body"), false, nil, &Batch{})
			all = append(all, asked{cs, l})
		}
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		var running sync.WaitGroup
		running.Go(c.Run)
		_, _ = theirs.Write(in)
		_ = theirs.CloseWrite()
		answers := map[uint32]message{}
		for i, a := range all {
			head, body, trailers, err := outcome(t, a.cs, a.l)
			if err == nil {
				answers[uint32(2*i+1)] = message{Start: fmt.Sprint(head.Status), Fields: head.Fields, Body: body, Trailers: trailers}
			}
			a.cs.Close(nil)
		}
		running.Wait()
		if len(answers) > 0 {
			theirs, err := reference(in, 4<<10)
			for id, ours := range answers {
				compare(t, id, ours, theirs, err)
			}
		}
		if n := c.InFlight(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
		if lost := c.credits - c.credit - c.due; lost != 0 && c.credit >= 0 {
			t.Errorf("%d bytes of the connection's window are lost", lost)
		}
	})
}

package http2

import (
	"io"
	"sync"
	"sync/atomic"
	"testing"
)

// Whatever a client sends, its connection ends with it, and all its streams do.
func FuzzServer(f *testing.F) {
	add := func(frames []byte) { f.Add(append([]byte(Preface), frames...)) }
	head := ask()
	add(appendBlock(appendSettings(nil), head, true, 1, largest))
	add(append(appendBlock(appendSettings(nil), head, false, 1, 9), append(appendHead(nil, 3, kindData, flagEndStream, 1), "abc"...)...))
	add(appendWord(appendWord(appendBlock(appendSettings(nil, setting{settingWindow, 1}), head, true, 1, largest), kindWindowUpdate, 1, 5), kindReset, 1, 8))
	add(appendHead(append(appendHead(appendSettings(nil), 8, kindPing, 0, 0), "pingpong"...), 0, kindSettings, flagAck, 0))
	f.Fuzz(func(t *testing.T, in []byte) {
		ours, theirs := pair(t)
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		_ = theirs.CloseWrite()
		c := NewServer(ours, in, new(atomic.Int64), usual)
		var owners []*owner
		err := c.Serve(func(st *ServerStream, by *Batch) {
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

// Whatever a backend answers, every request comes to an end.
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
		for _, a := range all {
			_, _, _, _ = outcome(t, a.cs, a.l)
			a.cs.Close(nil)
		}
		running.Wait()
		if n := c.InFlight(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
		if lost := c.credits - c.credit - c.due; lost != 0 && c.credit >= 0 {
			t.Errorf("%d bytes of the connection's window are lost", lost)
		}
	})
}

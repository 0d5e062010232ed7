package relay

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// early runs a relay that is expected to end early, and checks that the client
// is untouched: it can be relayed again, to a backend that answers.
func early(t *testing.T, r *running, unsent string) {
	t.Helper()
	res := r.result()
	if res.End != Early {
		t.Fatalf("ended %v, %v; want early, because nobody had noticed anything", res.End, res.Err)
	}
	if string(res.Unsent) != unsent {
		t.Errorf("unsent %q; want %q, the next backend is to get it", res.Unsent, unsent)
	}
	if res.ToBackend != 0 || res.ToClient != 0 {
		t.Errorf("counted %d and %d bytes; want none, none was delivered", res.ToBackend, res.ToClient)
	}
	second := &running{t: t, client: r.client, innerClient: r.innerClient, done: make(chan Result, 1)}
	second.backend, second.innerBackend = tcpPair(t)
	go func() { second.done <- Run(second.innerClient, second.innerBackend, Config{Head: res.Unsent}) }()
	defer second.backend.Close()
	go second.client.Write([]byte("rest"))
	expect(t, second.backend, unsent+"rest")
	write(t, second.backend, "answer")
	expect(t, second.client, "answer")
	second.client.CloseWrite()
	second.backend.CloseWrite()
	if res := second.result(); res.End != Done {
		t.Errorf("the second attempt ended %v, %v; want done", res.End, res.Err)
	}
}

func TestBackendThatEndsUnnoticedIsEarly(t *testing.T) {
	each(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		r := start(t, pair, Config{Early: time.Minute})
		r.backend.Close()
		early(t, r, "")
	})
}

func TestBackendThatResetsUnnoticedIsEarly(t *testing.T) {
	eachTCP(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		r := start(t, pair, Config{Early: time.Minute})
		reset(t, r.backend)
		early(t, r, "")
	})
}

func TestBytesTheBackendRefusedAreHandedBack(t *testing.T) {
	// The backend is gone before the relay starts, and the client has spoken:
	// whichever direction meets it first, the bytes come back.
	for _, how := range []string{"reset", "closed with unread bytes"} {
		t.Run(how, func(t *testing.T) {
			for range 50 {
				client, innerClient := tcpPair(t)
				backend, innerBackend := tcpPair(t)
				write(t, client, "hello")
				if how == "reset" {
					reset(t, backend)
				} else {
					write(t, innerBackend, "greeting of another layer")
					waitUntil(t, "the backend has it", func() bool { return unsentBytes(t, innerBackend) == 0 })
					backend.Close()
				}
				r := &running{t: t, client: client, innerClient: innerClient, done: make(chan Result, 1)}
				go func() { r.done <- Run(innerClient, innerBackend, Config{Early: time.Minute, Head: []byte("head ")}) }()
				res := <-r.done
				if res.End != Early {
					t.Fatalf("ended %v, %v; want early", res.End, res.Err)
				}
				rest := make([]byte, len("hello"))
				if got := string(res.Unsent); got != "head " {
					t.Fatalf("unsent %q; want the head alone, for nothing else was read", got)
				}
				if _, err := io.ReadFull(innerClient, rest); err != nil || string(rest) != "hello" {
					t.Fatalf("read %q, %v from the client; want hello: it was not the relay's", rest, err)
				}
				innerClient.Close()
				client.Close()
			}
		})
	}
}

func TestEarlyRacesWithTheClientsFirstBytes(t *testing.T) {
	// The backend ends just as the client speaks. Either the bytes were
	// delivered and the end is an ordinary one, or it is early and they are
	// handed back, or still wait in the client: none is lost, none is doubled.
	for range 300 {
		client, innerClient := tcpPair(t)
		backend, innerBackend := tcpPair(t)
		done := make(chan Result, 1)
		go func() { done <- Run(innerClient, innerBackend, Config{Early: time.Minute}) }()
		go client.Write([]byte("hello"))
		backend.CloseWrite()
		got := make(chan string, 1)
		go func() {
			backend.SetReadDeadline(time.Now().Add(10 * time.Second))
			b, _ := io.ReadAll(backend)
			got <- string(b)
		}()
		ended := make(chan error, 1)
		go func() {
			client.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, err := client.Read(make([]byte, 1))
			ended <- err
		}()
		select {
		case res := <-done:
			if res.End != Early {
				t.Fatalf("ended %v, %v; want early, for the client is still there", res.End, res.Err)
			}
			rest := make([]byte, len("hello")-len(res.Unsent))
			if _, err := io.ReadFull(innerClient, rest); err != nil || string(res.Unsent)+string(rest) != "hello" {
				t.Fatalf("handed back %q, then %q, %v; want hello", res.Unsent, rest, err)
			}
			innerClient.Close()
			<-ended
			if b := <-got; b != "" {
				t.Fatalf("the backend got %q of an attempt called early", b)
			}
		case err := <-ended: // delivered
			if err != io.EOF {
				t.Fatalf("the client got %v; want the backend's end", err)
			}
			client.CloseWrite()
			if res := <-done; res.End != Done {
				t.Fatalf("ended %v, %v; want done", res.End, res.Err)
			}
			if b := <-got; b != "hello" {
				t.Fatalf("the backend got %q; want hello", b)
			}
		}
		client.Close()
		backend.Close()
	}
}

func TestEarlyIsOver(t *testing.T) {
	cases := map[string]func(t *testing.T, r *running){
		"after the client's first byte": func(t *testing.T, r *running) {
			write(t, r.client, "x")
			expect(t, r.backend, "x")
			r.backend.CloseWrite()
		},
		"after the backend's first byte": func(t *testing.T, r *running) {
			write(t, r.backend, "x")
			expect(t, r.client, "x")
			r.backend.CloseWrite()
		},
		"after the client's end": func(t *testing.T, r *running) {
			r.client.CloseWrite()
			expectEOF(t, r.backend)
			r.backend.CloseWrite()
		},
		"after its time": func(t *testing.T, r *running) {
			time.Sleep(150 * time.Millisecond)
			r.backend.CloseWrite()
		},
	}
	for name, act := range cases {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
				r := start(t, pair, Config{Early: 100 * time.Millisecond})
				act(t, r)
				expectEOF(t, r.client)
				r.client.CloseWrite()
				if res := r.result(); res.End != Done {
					t.Errorf("ended %v, %v; want done: the client has seen this backend", res.End, res.Err)
				}
			})
		})
	}
}

func TestBytesBeforeAResetAreNotEarly(t *testing.T) {
	eachTCP(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		r := start(t, pair, Config{Early: time.Minute})
		write(t, r.backend, "sorry")
		waitUntil(t, "the relay has it", func() bool { return unsentBytes(t, r.backend) == 0 })
		reset(t, r.backend)
		expect(t, r.client, "sorry")
		expectReset(t, r.client)
		if res := r.result(); res.End != BackendReset || res.ToClient != 5 {
			t.Errorf("ended %v with %d bytes to the client; want backend reset and 5", res.End, res.ToClient)
		}
	})
}

func TestFirstByteIsToldOnce(t *testing.T) {
	for _, head := range []string{"", "head "} {
		eachTCP(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
			told := 0
			r := start(t, pair, Config{Early: time.Minute, FirstByte: func() { told++ }, BackendHead: []byte(head)})
			write(t, r.client, "x")
			expect(t, r.backend, "x")
			write(t, r.backend, "one")
			expect(t, r.client, head+"one")
			write(t, r.backend, "two")
			expect(t, r.client, "two")
			r.backend.Close()
			r.client.Close()
			if r.result(); told != 1 {
				t.Errorf("FirstByte was called %d times; want once", told)
			}
		})
	}
}

func TestHeadsComeFirst(t *testing.T) {
	each(t, func(t *testing.T, pair func(testing.TB) (Conn, Conn)) {
		head := bytes.Repeat([]byte("h"), 3*size)
		r := start(t, pair, Config{Head: head, BackendHead: head})
		go func() { r.client.Write([]byte("up")); r.client.CloseWrite() }()
		go func() { r.backend.Write([]byte("down")); r.backend.CloseWrite() }()
		got := make(chan []byte)
		go func() { b, _ := io.ReadAll(plain{r.client}); got <- b }()
		up, _ := io.ReadAll(plain{r.backend})
		if down := <-got; string(up) != string(head)+"up" || string(down) != string(head)+"down" {
			t.Errorf("got %d and %d bytes; want the heads and what followed", len(up), len(down))
		}
		if res := r.result(); res.ToBackend != int64(len(head)+2) || res.ToClient != int64(len(head)+4) {
			t.Errorf("counted %d and %d; want the heads included", res.ToBackend, res.ToClient)
		}
	})
}

var _ Conn = (*net.TCPConn)(nil)

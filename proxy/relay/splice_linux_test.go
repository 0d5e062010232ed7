package relay

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portside/proxy/socket"
)

// startSplicing is start with every bufferful taken for a long flow.
func startSplicing(t *testing.T, pair func(testing.TB) (Conn, Conn), cfg Config) *running {
	t.Helper()
	return startWith(t, pair, cfg, func(r *relay) { r.up.splice.after, r.down.splice.after = 1, 1 })
}

// closeFreePipes makes sure that a test sees pipes of its own making only.
func closeFreePipes() {
	for {
		select {
		case p := <-freePipes:
			p.close()
		default:
			return
		}
	}
}

func TestSplicedBytesArriveWhole(t *testing.T) {
	for _, k := range kinds {
		if !k.socket {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			closeFreePipes()
			var counters Counters
			r := startSplicing(t, k.pair, Config{Idle: time.Minute, Counters: &counters})
			exchange(t, r, volume())
			res := r.result()
			if res.End != Done || res.ToBackend != volume() || res.ToClient != volume() {
				t.Errorf("ended %v with %d and %d bytes; want done with %d each", res.End, res.ToBackend, res.ToClient, volume())
			}
			if counters.ToBackend.Load() != volume() || counters.ToClient.Load() != volume() {
				t.Errorf("shared counters say %d and %d; want %d each", counters.ToBackend.Load(), counters.ToClient.Load(), volume())
			}
			if len(freePipes) == 0 {
				t.Error("no pipe was used; the test was to splice")
			}
			noPipeInUse(t)
		})
	}
}

func noPipeInUse(t *testing.T) {
	t.Helper()
	if open, free := int(openPipes.Load()), len(freePipes); open != free {
		t.Errorf("%d pipes are open and %d free; want none in use", open, free)
	}
}

func TestLongFlowIsSpliced(t *testing.T) {
	closeFreePipes()
	r := start(t, tcpPair, Config{})
	exchange(t, r, 50<<20)
	r.result()
	if len(freePipes) == 0 {
		t.Error("50 MiB each way used no pipe; long flows cost twice as much without")
	}
}

func TestLongFlowToASlowReaderIsSpliced(t *testing.T) {
	closeFreePipes()
	r := start(t, tcpPair, Config{Idle: time.Hour})
	fill(r.backend)
	const n = 40 << 20
	for got, b := 0, make([]byte, 16<<10); got < n; {
		m, err := r.client.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got += m
	}
	waitUntil(t, "a pipe was used, though the relay always waits for the reader", func() bool { return openPipes.Load() > 0 })
	r.client.Close()
	r.result()
	noPipeInUse(t)
}

func TestSplicedBytesPrecedeTheReset(t *testing.T) {
	sent := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	r := startSplicing(t, tcpPair, Config{})
	if _, err := r.backend.Write(sent); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the relay's kernel has the bytes", func() bool { return unsentBytes(t, r.backend) == 0 })
	reset(t, r.backend)
	got, err := io.ReadAll(plain{r.client})
	if !isReset(err) || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes, %v; want %d and a reset", len(got), err, len(sent))
	}
	if res := r.result(); res.End != BackendReset {
		t.Errorf("ended %v, %v; want backend reset", res.End, res.Err)
	}
	noPipeInUse(t)
}

// splice(2) does not get past the mark of urgent data: what is behind that, be it the
// end of the stream as well, is copied.
func TestUrgentDataDoesNotStopALongFlow(t *testing.T) {
	block := bytes.Repeat([]byte("x"), 20_000)
	for _, behind := range []string{"bytes", "bytes and the end", "bytes that come later"} {
		t.Run(behind, func(t *testing.T) {
			marked := func(c Conn) {
				write(t, c, string(block))
				writeUrgent(t, c)
				if behind != "bytes that come later" {
					write(t, c, string(block))
				}
				if behind == "bytes and the end" {
					_ = c.CloseWrite()
				}
			}
			made := 0
			pair := func(t testing.TB) (Conn, Conn) {
				a, b := tcpPair(t)
				if made++; made == 1 { // the client's: all that is there before the relay looks
					marked(a)
				}
				return a, b
			}
			r := startWith(t, pair, Config{Idle: 2 * time.Second}, func(r *relay) {
				r.up.splice.after, r.up.splice.full = 1, 1 // as if it were a long flow already
			})
			want := 2 * len(block)
			if behind == "bytes that come later" {
				_, _ = io.ReadFull(r.backend, make([]byte, len(block)))
				want = len(block)
				write(t, r.client, string(block))
			}
			if n, err := io.ReadFull(r.backend, make([]byte, want)); err != nil {
				t.Fatalf("%d of %d bytes arrived, then %v; want all of them", n, want, err)
			}
			_ = r.client.CloseWrite()
			_ = r.backend.CloseWrite()
			if res := r.result(); res.End != Done || res.ToBackend != int64(2*len(block)) {
				t.Errorf("ended %v with %d bytes to the backend; want done with %d", res.End, res.ToBackend, 2*len(block))
			}
			noPipeInUse(t)
		})
	}
}

func TestPipeWithBytesInItIsNotReused(t *testing.T) {
	closeFreePipes()
	r := startSplicing(t, tcpPair, Config{Idle: time.Hour})
	fill(r.backend) // the client reads nothing
	waitUntil(t, "a pipe is in use", func() bool { return int(openPipes.Load()) > len(freePipes) })
	time.Sleep(50 * time.Millisecond)
	r.innerClient.Close()
	r.innerBackend.Close()
	if res := r.result(); res.End != Closed {
		t.Errorf("ended %v, %v; want closed", res.End, res.Err)
	}
	noPipeInUse(t)
	for range len(freePipes) {
		p := <-freePipes
		if n, _ := unix.Read(p.r, make([]byte, 1)); n > 0 {
			t.Error("a free pipe held bytes; another relay would send them")
		}
		p.close()
	}
}

func TestWithoutPipesBytesAreCopied(t *testing.T) {
	closeFreePipes()
	var taken []*pipe
	for p := takePipe(); p != nil; p = takePipe() {
		taken = append(taken, p)
	}
	if len(taken) != maxPipes {
		t.Errorf("%d pipes were to be had; want %d at the most", len(taken), maxPipes)
	}
	r := startSplicing(t, tcpPair, Config{})
	exchange(t, r, 20<<20)
	if res := r.result(); res.End != Done {
		t.Errorf("ended %v, %v; want done", res.End, res.Err)
	}
	for _, p := range taken {
		p.free()
	}
	noPipeInUse(t)
}

func TestShortMessagesEndSplicing(t *testing.T) {
	s := splice{after: 1, full: 1}
	for range spliceSmall {
		if !s.on() {
			t.Fatal("splicing ended too soon")
		}
		s.spliced(spliceMin - 1)
	}
	if s.on() {
		t.Errorf("still splicing after %d calls that moved little; want copying, it is cheaper", spliceSmall)
	}
}

// Pipes are not to take what clients and backends leave to everything else: sixty-four
// descriptors at the most, which is all of it.
func TestPipesLeaveTheReserveOfDescriptors(t *testing.T) {
	const few, limit = "PORTSIDE_TEST_FEW_DESCRIPTORS", 64
	if os.Getenv(few) == "" {
		cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" -test.run='^%s$'`, limit, t.Name()), os.Args[0])
		cmd.Env = append(os.Environ(), few+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("with %d descriptors: %v\n%s", limit, err, out)
		}
		return
	}
	if p := takePipe(); p == nil {
		t.Fatal("no pipe is to be had though there are descriptors")
	}
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if socket.Reserved(int(f.Fd()) + 1) {
			break
		}
	}
	var taken []*pipe
	for p := takePipe(); p != nil; p = takePipe() {
		taken = append(taken, p)
	}
	if len(taken) > 0 {
		t.Errorf("%d pipes are of the descriptors that traffic leaves to etcd and to whoever asks how we are, want none", len(taken))
	}
}

package health

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"portside/pool"
)

func ask(t *testing.T, c Check, address string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	return c(ctx, address)
}

func TestTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ask(t, TCP(), ln.Addr().String()); err != nil {
		t.Errorf("a listening port: %v", err)
	}
	_ = ln.Close()
	if err := ask(t, TCP(), ln.Addr().String()); err == nil {
		t.Error("a closed port passed")
	}
}

func TestHTTP(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/gone", http.StatusFound)
		case "/sick":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/hangs":
			<-r.Context().Done()
		}
	}))
	defer srv.Close()
	address := srv.Listener.Addr().String()
	for path, healthy := range map[string]bool{"/": true, "/moved": true, "/sick": false} {
		if err := ask(t, HTTP(path), address); (err == nil) != healthy {
			t.Errorf("%s: %v, want healthy %v", path, err, healthy)
		}
	}
	if err := ask(t, HTTP(srv.URL+"/"), "203.0.113.1:1"); err != nil {
		t.Errorf("a whole URL: %v, want it asked instead of the address", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := HTTP("/hangs")(ctx, address); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a hanging server: %v, want the deadline", err)
	}
}

func TestGRPC(t *testing.T) {
	serve := func(register func(*grpc.Server)) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := grpc.NewServer()
		register(srv)
		go func() { _ = srv.Serve(ln) }()
		t.Cleanup(srv.Stop)
		return ln.Addr().String()
	}
	hs := health.NewServer()
	hs.SetServingStatus("sick", healthpb.HealthCheckResponse_NOT_SERVING)
	knows := serve(func(s *grpc.Server) { healthpb.RegisterHealthServer(s, hs) })
	if err := ask(t, GRPC(""), knows); err != nil {
		t.Errorf("a serving server: %v", err)
	}
	if err := ask(t, GRPC("sick"), knows); err == nil {
		t.Error("a service that does not serve passed")
	}
	if err := ask(t, GRPC(""), serve(func(*grpc.Server) {})); err != nil {
		t.Errorf("a server without the health protocol: %v, want it healthy (gRFC A17)", err)
	}
	if err := ask(t, GRPC(""), "127.0.0.1:1"); err == nil {
		t.Error("a closed port passed")
	}
}

func TestExec(t *testing.T) {
	if err := ask(t, Exec([]string{"sh", "-c", "test $PORTSIDE_ADDRESS = a:1"}), "a:1"); err != nil {
		t.Errorf("a command that exits with 0: %v", err)
	}
	err := ask(t, Exec([]string{"sh", "-c", "echo no database; exit 3"}), "a:1")
	if err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("a command that fails: %v, want what it printed", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := Exec([]string{"sleep", "10"})(ctx, ""); err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("a command that hangs: %v after %s, want it killed at the deadline", err, time.Since(start))
	}
}

// What a check's command has started ends with it, or at its deadline.
func TestExecLeavesNobodyBehind(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"a pipeline that hangs", "sleep 60 | cat"},
		{"one left in the background", "sleep 60 >/dev/null 2>&1 & exit 0"},
		{"one that keeps the output open", "sleep 60 & exit 1"},
	} {
		name := filepath.Join(t.TempDir(), "held")
		if err := syscall.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
		pipe, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_ = Exec([]string{"sh", "-c", "exec 3>" + name + "; " + c.script})(ctx, "")
		cancel()
		_ = pipe.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := pipe.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: %v, want the end of the pipe that all of them held: somebody lives on", c.name, err)
		}
		_ = pipe.Close()
	}
}

// Without a descriptor of ours to spare, none of the checks has asked the server anything.
func TestWantOfDescriptorsIsOurFault(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	address := ln.Addr().String()
	checks := map[string]Check{"tcp": TCP(), "http": HTTP("/"), "grpc": GRPC(""), "exec": Exec([]string{"true"})}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none, got := limit, map[string]error{}
	none.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	for name, check := range checks {
		got[name] = ask(t, check, address)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for name, err := range got {
		if !pool.OwnFault(err) {
			t.Errorf("%s: %v, want it told as our own fault: the server was not asked", name, err)
		}
	}
}

func TestMonitorOfWhatCannotBeAskedSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer atomic.Pointer[error]
		well, starved := error(nil), error(&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)})
		answer.Store(&well)
		m := Monitor{Check: func(context.Context, string) error { return *answer.Load() }, Interval: time.Second, Fall: 2}
		ctx, cancel := context.WithCancel(t.Context())
		var said []error
		done := make(chan struct{})
		go func() { m.Run(ctx, func(err error) { said = append(said, err) }); close(done) }()
		time.Sleep(3 * time.Second)
		answer.Store(&starved)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(said) != 1 || said[0] != nil {
			t.Errorf("said %v, want that the server is healthy, as when it was last asked", said)
		}
		cancel()
		<-done
	})
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		answers string // + good, - bad
		want    string // at each answer: + or - a new verdict, . none
	}{
		{"+++", "+.."},
		{"---", "..-"},
		{"--+", "..+"},
		{"+--+---", "+.....-"},
		{"+---+", "+..-+"},
		{"+--+--+--", "+........"}, // flapping below the threshold
	} {
		v := verdict{rise: 1, fall: 3}
		got := ""
		for _, a := range c.answers {
			good := a == '+'
			switch {
			case !v.take(good):
				got += "."
			default:
				got += string(a)
			}
		}
		if got != c.want {
			t.Errorf("answers %s give verdicts %s, want %s", c.answers, got, c.want)
		}
	}
}

func TestMonitorGraceIgnoresBadAnswersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sick := errors.New("starting")
		var well atomic.Bool
		m := Monitor{Check: func(context.Context, string) error {
			if well.Load() {
				return nil
			}
			return sick
		}, Interval: time.Second, Fall: 2, Grace: 10 * time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		var said []error
		done := make(chan struct{})
		go func() { m.Run(ctx, func(err error) { said = append(said, err) }); close(done) }()
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if len(said) != 0 {
			t.Fatalf("said %v within the grace, want nothing", said)
		}
		well.Store(true)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if len(said) != 1 || said[0] != nil {
			t.Fatalf("said %v, want healthy though the grace is not over", said)
		}
		well.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(said) != 2 || said[1] == nil {
			t.Fatalf("said %v, want unhealthy at last", said)
		}
		cancel()
		<-done
	})
}

// A server that has just been started is asked often until it passes; what it fails
// meanwhile counts as seldom as ever.
func TestMonitorIsEagerUntilTheFirstPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		m := Monitor{Check: func(context.Context, string) error {
			if well.Load() {
				return nil
			}
			return errors.New("starting")
		}, Interval: 10 * time.Second, Fall: 2}
		ctx, cancel := context.WithCancel(t.Context())
		var said []error
		done := make(chan struct{})
		go func() { m.Run(ctx, func(err error) { said = append(said, err) }); close(done) }()
		time.Sleep(time.Second)
		synctest.Wait()
		if len(said) != 0 {
			t.Fatalf("said %v within a second, want nothing: two bad answers 10 s apart make it unhealthy", said)
		}
		well.Store(true)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(said) != 1 || said[0] != nil {
			t.Fatalf("said %v two seconds after it came up, want that it is healthy", said)
		}
		cancel()
		<-done
	})
}

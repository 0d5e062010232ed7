package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestNoCommandAfterDashesIsAMistake(t *testing.T) {
	for _, args := range [][]string{
		{"run", "--admin", "", "orders=" + freeAddress(t) + ",endpoints=127.0.0.1:1", "--"},
		{"run", "--admin", "", "orders=" + freeAddress(t) + ",endpoints=127.0.0.1:1", "--", ""},
		{"register", "orders", "127.0.0.1:1", "--"},
	} {
		p := start(t, "portside", nil, args...)
		if code := p.wait(10 * time.Second); code != 2 {
			t.Errorf("%v: exit code %d, want 2", args, code)
		}
		if out := p.out.String(); !strings.Contains(out, "no command after --") || strings.Contains(out, "portside started") {
			t.Errorf("%v: it said %q, want what is missing, before anything starts", args, out)
		}
	}
}

// A command that could not start yet was not done: a Job is to be tried again.
func TestACommandThatNeverStartedIsNotDone(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	p := start(t, "portside", nil, "run", "--admin", "", "--etcd", "http://"+freeAddress(t),
		"orders="+freeAddress(t), "fixed="+freeAddress(t)+",endpoints=127.0.0.1:1", "--", "touch", ran)
	eventually(t, "it does not say what it waits for", func() bool {
		return strings.Contains(p.out.String(), "the command starts when the first list of endpoints is in services=[orders]")
	})
	eventually(t, "it does not say what that means", func() bool {
		out := p.out.String()
		return strings.Contains(out, "WRN no endpoints yet: HTTP clients get 503, TCP clients are closed, and the command is not started services=[orders] reason=\"etcd unreachable")
	})
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 128+15 {
		t.Errorf("exit code %d, want 143: the command never ran", code)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("it ran")
	}
}

func TestASecondSignalEndsTheCommandToo(t *testing.T) {
	ticks := filepath.Join(t.TempDir(), "ticks")
	p := start(t, "portside", nil, "run", "--admin", "", "orders="+freeAddress(t)+",endpoints=127.0.0.1:1", "--",
		"sh", "-c", `trap "" TERM INT; while :; do echo >>"$0"; sleep 0.02; done`, ticks)
	size := func() int64 {
		st, err := os.Stat(ticks)
		if err != nil {
			return 0
		}
		return st.Size()
	}
	eventually(t, "the command never ran", func() bool { return size() > 0 })
	p.signal(syscall.SIGTERM)
	eventually(t, "the command was never told to end", func() bool { return strings.Contains(p.out.String(), "ending the command") })
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 128+15 {
		t.Errorf("exit code %d, want 143", code)
	}
	was := size()
	time.Sleep(300 * time.Millisecond)
	if size() != was {
		t.Error("the command outlives portside")
	}
}

// The command's end may come between the second signal and the exit that it asks for: the
// code is the signal's all the same.
func TestASecondSignalSaysHowItEndsThoughTheCommandHasEnded(t *testing.T) {
	well := startChild([]string{"true"}, stdio{}, slog.New(slog.DiscardHandler))
	<-well.done
	p := &process{}
	if err := p.verdict(reason{command: well, signal: syscall.SIGTERM}); err != nil {
		t.Errorf("the verdict on a command that ended well is %v", err)
	}
	p.second.Store(int32(syscall.SIGINT))
	if err := p.verdict(reason{command: well, signal: syscall.SIGTERM}); err != error(exit{code: 130}) {
		t.Errorf("after a second signal the verdict is %v, want exit code 130", err)
	}
}

func TestASecondSignalLeavesNoFolderBehind(t *testing.T) {
	tmp, adm := t.TempDir(), freeAddress(t)
	p := start(t, "portside", []string{"TMPDIR=" + tmp}, "demo", "--port", "0", "--admin", adm)
	eventually(t, "the demo never ran", func() bool { return strings.Contains(p.out.String(), "Ctrl-C ends it all") })
	if code, body := askReload(t, adm); code != http.StatusUnprocessableEntity {
		t.Errorf("POST reload answers %d %s, want a refusal", code, body)
	}
	p.signal(syscall.SIGHUP)
	eventually(t, "SIGHUP was not answered in the log", func() bool { return strings.Contains(p.out.String(), "INF nothing to read again") })
	if strings.Contains(p.out.String(), "service removed") {
		t.Error("SIGHUP took its service")
	}
	p.signal(syscall.SIGINT)
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 128+15 && code != 128+2 {
		t.Errorf("exit code %d, want 128 and the second signal", code)
	}
	if left, err := os.ReadDir(tmp); len(left) > 0 || err != nil {
		t.Errorf("%v, %v is left behind", left, err)
	}
}

func TestAStoppedCommandHearsItsEnd(t *testing.T) {
	stopped := filepath.Join(t.TempDir(), "stopped")
	p := start(t, "portside", nil, "run", "--admin", "", "orders="+freeAddress(t)+",endpoints=127.0.0.1:1", "--",
		"sh", "-c", `trap "exit 7" TERM; echo >"$0"; kill -STOP $$; while :; do sleep 0.02; done`, stopped)
	eventually(t, "the command never ran", func() bool { _, err := os.Stat(stopped); return err == nil })
	time.Sleep(100 * time.Millisecond)
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 7 {
		t.Errorf("exit code %d, want the command's answer to SIGTERM, 7", code)
	}
}

// Whoever answers on the port before the command runs is somebody else.
func TestRegisterChecksOnceItsCommandRuns(t *testing.T) {
	endpoint, _ := startEtcd(t)
	a, _ := echo(t)
	p := register(t, endpoint, "orders", a, "--leave-delay", "0s", "--", "sh", "-c", "sleep 1; exit 9")
	if code := p.wait(10 * time.Second); code != 9 {
		t.Errorf("exit code %d, want 9", code)
	}
	out := p.out.String()
	started, passed := strings.Index(out, "command started"), strings.Index(out, "passes its check")
	if started < 0 || passed < started {
		t.Errorf("want the command's start, then the check:\n%s", out)
	}
	if !strings.Contains(out, "WRN command exited; stopping code=9") {
		t.Errorf("want to be told why it stops:\n%s", out)
	}
}

func TestWhatWasNeverRegisteredNeedsNoLeave(t *testing.T) {
	endpoint, _ := startEtcd(t)
	a := freeAddress(t)
	for code, command := range map[int][]string{
		0:   {"true"},
		127: {"/does/not/exist"},
		5:   {"sh", "-c", "sleep 0.5; exit 5"},
	} {
		began := time.Now()
		p := register(t, endpoint, append([]string{"orders", a, "--leave-delay", "8s", "--"}, command...)...)
		if got := p.wait(7 * time.Second); got != code {
			t.Errorf("%v: exit code %d, want %d", command, got, code)
		}
		if strings.Contains(p.out.String(), "registration is") {
			t.Errorf("%v: the log speaks of a registration that never was, %s after the start:\n%s", command, time.Since(began), p.out)
		}
	}
}

func TestTheFirstFailedCheckTakesNothingOut(t *testing.T) {
	endpoint, c := startEtcd(t)
	a := freeAddress(t)
	file := filepath.Join(t.TempDir(), "portside.yaml")
	text := fmt.Sprintf("etcd: {endpoints: [%s]}\nregister:\n  orders: {address: %s, leave_delay: 0s, check: {tcp: {}, interval: 50ms}}\n", endpoint, a)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "portside", nil, "run", "--admin", "", "-c", file)
	eventually(t, "the failing check was not reported", func() bool { return strings.Contains(p.out.String(), "fails its check") })
	if out := p.out.String(); !strings.Contains(out, "is not registered yet") || strings.Contains(out, "taken out of etcd") {
		t.Errorf("it took out what was never in:\n%s", out)
	}
	ln, err := net.Listen("tcp", a)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	eventually(t, "never registered", func() bool { return value(t, c, "service/orders/"+a) != "" })
	_ = ln.Close()
	eventually(t, "it does not say that it is taken out", func() bool { return strings.Contains(p.out.String(), "taken out of etcd") })
}

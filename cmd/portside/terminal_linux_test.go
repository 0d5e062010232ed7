package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// typed is a process on a terminal of its own.
type typed struct {
	*proc
	keys *os.File
}

// onTerminal runs script in a bash that has a terminal; $P in it is portside run,
// with a service, up to its --.
func onTerminal(t *testing.T, script string) *typed {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &proc{t: t, cmd: exec.Command("bash", "-c", script), out: &output{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "PORTSIDE_TEST_AS=portside", "P="+self+" run --admin= orders="+freeAddress(t)+",endpoints=127.0.0.1:1 --")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	read := make(chan struct{})
	go func() { _, _ = io.Copy(p.out, master); close(read) }()
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		_ = master.Close() // hangs up on whoever is left
		<-read
		if t.Failed() {
			t.Logf("%s printed:\n%s", script, p.out)
		}
	})
	return &typed{p, master}
}

func (p *typed) sees(text string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%q never appeared on the terminal", text), func() bool { return strings.Contains(p.out.String(), text) })
}

func (p *typed) types(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.keys, text); err != nil {
		p.t.Fatal(err)
	}
}

// The command reads what is typed, and when it has ended whoever is next does.
func TestACommandReadsItsTerminal(t *testing.T) {
	p := onTerminal(t, `$P sh -c 'echo ready; read x; echo got $x; exit 3'; echo code $?; read y; echo then $y`)
	p.sees("ready")
	p.types("a line\n")
	p.sees("got a line")
	p.sees("code 3")
	p.types("another\n")
	p.sees("then another")
	if code := p.wait(10 * time.Second); code != 0 {
		t.Errorf("exit code %d of the shell around it, want 0", code)
	}
}

// The log on a terminal is coloured, unless its user has said no (no-color.org: a
// NO_COLOR that is not empty).
func TestTheLogIsColouredUnlessToldNotTo(t *testing.T) {
	for env, coloured := range map[string]bool{"": true, "NO_COLOR=": true, "NO_COLOR=1": false, "NO_COLOR=0": false} {
		p := onTerminal(t, "unset NO_COLOR; "+env+" $P true")
		p.sees("portside started")
		if code := p.wait(10 * time.Second); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		if got := strings.Contains(p.out.String(), "\x1b["); got != coloured {
			t.Errorf("with %q the log is coloured: %t, want %t", env, got, coloured)
		}
	}
}

func TestCtrlCEndsTheCommandAndPortsideAsIt(t *testing.T) {
	// The shell around it ignores SIGINT in what it starts unless it traps it.
	p := onTerminal(t, `trap : INT; $P sh -c 'echo ready; exec sleep 60'; echo code $?; read y; echo then $y`)
	p.sees("ready")
	p.types("\x03")
	p.sees("code 130")
	if strings.Contains(p.out.String(), "draining") {
		t.Error("Ctrl-C reached portside, which is not in the foreground")
	}
	p.types("another\n")
	p.sees("then another")
}

func TestACommandThatCannotBeExecutedLeavesTheTerminal(t *testing.T) {
	p := onTerminal(t, `$P /; echo code $?; read y; echo then $y`)
	p.sees("code 126")
	p.types("a line\n")
	p.sees("then a line")
}

// What reads a pipe from us, and the terminal as well, comes to that in the end.
func TestAPagerBehindTheCommandGetsTheTerminal(t *testing.T) {
	p := onTerminal(t, `set -m; $P sh -c 'echo text; sleep 0.3' | bash -c 'cat; read z </dev/tty; echo pager got $z'; echo code $?`)
	p.sees("text")
	p.types("q\n")
	p.sees("pager got q")
	p.sees("code 0")
}

// Ctrl-Z stops the command, and the shell's job with it; fg has both go on.
func TestCtrlZStopsTheJob(t *testing.T) {
	p := onTerminal(t, `set -m; $P sh -c 'echo ready; read x; echo got $x; exit 3'; echo code $?; read y; echo then $y; fg; echo code $?`)
	p.sees("ready")
	p.types("\x1a")
	p.sees("code 148")
	p.types("the shell's\n")
	p.sees("then the shell's")
	p.types("the command's\n")
	p.sees("got the command's")
	p.sees("code 3")
}

// Where no shell is there to go on with it, nothing is stopped for good.
func TestCtrlZWithoutAShellIsNothing(t *testing.T) {
	p := onTerminal(t, `exec $P sh -c 'echo ready; read x; echo got $x; exit 3'`)
	p.sees("ready")
	p.types("\x1a")
	time.Sleep(300 * time.Millisecond)
	p.types("a line\n")
	p.sees("got a line")
	if code := p.wait(10 * time.Second); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
}

func TestTermReachesACommandOnATerminal(t *testing.T) {
	p := onTerminal(t, `exec $P sh -c 'trap "exit 7" TERM; echo ready; while :; do sleep 0.02; done'`)
	p.sees("ready")
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
}

// Who looks at a large portside in a small window sees its first services again and
// again, not the last lines rushing by.
func TestTopKeepsToItsTerminal(t *testing.T) {
	p := runPortside(t, "", "a="+freeAddress(t)+",endpoints=h1:1+h2:2+h3:3+h4:4+h5:5", "b="+freeAddress(t)+",endpoints=last:1")
	onScreen := onTerminal(t, `stty rows 6 cols 200; ${P%% *} top --admin `+p.admin)
	onScreen.sees("h1:1")
	onScreen.sees("… 8 lines more")
	onScreen.types("\x03")
	onScreen.wait(10 * time.Second)
	if seen := onScreen.out.String(); strings.Contains(seen, "last:1") {
		t.Errorf("in 6 rows there is no room for the last backend:\n%s", seen)
	}
}

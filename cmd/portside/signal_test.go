package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Whoever reads the log may go: clients notice nothing.
func TestNobodyReadsTheLogAnyMore(t *testing.T) {
	a, _ := echo(t)
	local := freeAddress(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	adm := freeAddress(t)
	cmd := exec.Command(self, "run", "--admin", adm, "--log-level", "debug", "orders="+local+",endpoints="+a)
	cmd.Env = append(os.Environ(), "PORTSIDE_TEST_AS=portside")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	if _, err := bufio.NewReader(log).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_ = log.Close()
	go func() { ended <- cmd.Wait(); close(ended) }()
	eventually(t, "it does not serve", func() bool { _, err := who(local); return err == nil })
	for range 5 {
		reloaded(t, adm) // which is logged
		time.Sleep(50 * time.Millisecond)
	}
	if got, err := who(local); got != a || err != nil {
		t.Errorf("the service answers %q, %v", got, err)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not end")
	}
}

// Each of many SIGHUPs may take a reload's time; what is to end the process meanwhile does.
func TestSIGTERMIsHeardBehindManySIGHUPs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "portside.yaml")
	text := "admin: \"\"\nservices:\n"
	for i := range 400 { // a reload that takes a while
		text += fmt.Sprintf("  s%d: {listen: \"127.0.0.1:0\", endpoints: [\"127.0.0.1:9\"]}\n", i)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "portside", nil, "run", "-c", file)
	eventually(t, "it does not start", func() bool { return strings.Contains(p.out.String(), "portside started") })
	for range 12 {
		p.signal(syscall.SIGHUP)
		time.Sleep(4 * time.Millisecond) // lest the kernel makes one of two
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(15 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0: SIGTERM drains", code)
	}
}

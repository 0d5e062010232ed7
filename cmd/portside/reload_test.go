package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"portside/cmd/portside/config"
)

// askReload asks for a reload over the admin API.
func askReload(t *testing.T, admin string) (code int, body string) {
	t.Helper()
	resp, err := http.Post("http://"+admin+"/api/v1/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// What register runs is its command line, whatever lies in the current directory.
func TestRegisterKeepsItsServerThroughAReload(t *testing.T) {
	endpoint, c := startEtcd(t)
	a, _ := echo(t)
	adm, other := freeAddress(t), freeAddress(t)
	t.Chdir(t.TempDir())
	p := register(t, endpoint, "orders", a, "--admin", adm, "--leave-delay", "0s")
	eventually(t, "never registered", func() bool { return value(t, c, "service/orders/"+a) == a })
	if err := os.WriteFile("portside.yaml", fmt.Appendf(nil, "services:\n  other: {listen: %s, endpoints: [%s]}\n", other, a), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, body := askReload(t, adm); code != http.StatusUnprocessableEntity || !strings.Contains(body, "the configuration is the command line") {
		t.Errorf("POST reload answers %d %s, want a refusal that says why", code, body)
	}
	p.signal(syscall.SIGHUP)
	eventually(t, "SIGHUP was not answered in the log", func() bool { return strings.Contains(p.out.String(), "INF nothing to read again") })
	if strings.Contains(p.out.String(), "configuration applied") {
		t.Error("something was applied")
	}
	if _, err := who(other); err == nil {
		t.Error("a file in the current directory was applied")
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if out := p.out.String(); strings.Count(out, "etcd: deregistered") != 1 || strings.Index(out, "etcd: deregistered") < strings.Index(out, "draining") {
		t.Errorf("it left etcd before it was told to end:\n%s", out)
	}
}

func TestStandardInputIsNotReadAgain(t *testing.T) {
	for path, again := range map[string]bool{"-": false, "portside.yaml": true, "": true} {
		p := &process{rereading: rereading{options: &config.Options{Path: path}}}
		if err := p.nothingToRead(); (err == nil) != again {
			t.Errorf("a configuration from %q: %v", path, err)
		}
	}
}

// A file that is emptied or deleted changes nothing, and is reported.
func TestAnEmptyOrMissingFileIsReported(t *testing.T) {
	a, _ := echo(t)
	local := freeAddress(t)
	t.Chdir(t.TempDir()) // the file is found by itself: once gone, nothing else is meant
	good := fmt.Appendf(nil, "services:\n  orders: {listen: %s, endpoints: [%s]}\n", local, a)
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile("portside.yaml", text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(good)
	p := runPortside(t, "")
	for i, ruin := range []func(){func() { write(nil) }, func() { _ = os.Remove("portside.yaml") }} {
		ruin()
		eventually(t, "it was not reported", func() bool { return strings.Count(p.out.String(), "not applied") == i+1 })
		if answer, err := who(local); answer != a || err != nil {
			t.Errorf("%q, %v: the service did not stand", answer, err)
		}
		write(good)
		eventually(t, "the file was not taken when it was back", func() bool { return strings.Count(p.out.String(), "configuration applied") == i+1 })
	}
	if err := os.Remove("portside.yaml"); err != nil {
		t.Fatal(err)
	}
	if code, body := askReload(t, p.admin); code != http.StatusUnprocessableEntity || !strings.Contains(body, "portside.yaml") {
		t.Errorf("POST reload without the file answers %d %s, want a refusal that names it", code, body)
	}
}

// Editors, and links that are turned, leave a moment without a file.
func TestAMomentWithoutAFileIsNoChange(t *testing.T) {
	was, now := look{content: "a: 1"}, look{content: "a: 2"}
	missing, emptied := look{fault: "no such file"}, look{content: "\n"}
	blind := look{blind: true}
	type seen struct {
		after time.Duration
		look
		changed bool
	}
	for name, looks := range map[string][]seen{
		"unchanged":                  {{0, was, false}, {time.Hour, was, false}},
		"changed":                    {{0, now, true}, {0, now, false}},
		"replaced by another":        {{0, missing, false}, {absence / 2, now, true}},
		"replaced by its like":       {{0, missing, false}, {absence / 2, was, false}, {time.Hour, missing, false}},
		"truncated, then written":    {{0, emptied, false}, {absence / 2, now, true}},
		"missing":                    {{0, missing, false}, {absence / 2, missing, false}, {absence, missing, true}, {time.Hour, missing, false}},
		"emptied":                    {{0, emptied, false}, {absence, emptied, true}, {absence, emptied, false}},
		"missing, then as it was":    {{0, missing, false}, {absence, missing, true}, {absence, was, true}},
		"unseen, be it for long":     {{0, blind, false}, {absence, blind, false}, {time.Hour, blind, false}, {0, was, false}},
		"changed while unseen":       {{0, blind, false}, {absence, now, true}},
		"missing, unseen, missing":   {{0, missing, false}, {absence / 2, blind, false}, {absence, missing, true}},
		"emptied, then missing":      {{0, emptied, false}, {absence, missing, true}},
		"two moments without a file": {{0, missing, false}, {absence / 2, now, true}, {absence, missing, false}, {absence / 2, was, true}},
	} {
		file, at := watched{last: was}, time.Now()
		for i, s := range looks {
			at = at.Add(s.after)
			changed, again := file.see(s.look, at)
			if changed != s.changed {
				t.Errorf("%s: changed is %t after look %d, want %t", name, changed, i, s.changed)
			}
			if again <= 0 || again > unnoticed || !changed && s.empty() && !file.gone.IsZero() && again > absence {
				t.Errorf("%s: the next look after look %d is in %s", name, i, again)
			}
		}
	}
}

// Want of descriptors says nothing of the file: that it cannot be read is no change.
func TestAFileThatCannotBeSeenForWantOfDescriptorsIsNoNews(t *testing.T) {
	c := newConfigured(t, "services: {}\n")
	p := start(t, "blind", nil, c.name)
	if code := p.wait(10 * time.Second); code != 0 || p.out.String() != "blind\nseen\n" {
		t.Errorf("exit code %d, %q; want it blind without descriptors, and not with some", code, p.out)
	}
}

// blindMain looks at a file without descriptors, and with some.
func blindMain() {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	none := limit
	none.Cur = 0
	for _, l := range []syscall.Rlimit{none, limit} {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		switch l := lookAt(os.Args[1]); {
		case l.blind:
			fmt.Println("blind")
		case l == (look{content: "services: {}\n"}):
			fmt.Println("seen")
		default:
			fmt.Printf("%+v\n", l)
		}
	}
	os.Exit(0)
}

// Who begins to drain while a reload is prepared is not left with what it would start.
func TestAReloadIsGivenUpWhenTheDrainBegins(t *testing.T) {
	p := &process{cfg: &config.Config{}, log: slog.New(slog.DiscardHandler)}
	p.draining.Store(true)
	if p.replace(&config.Config{}, nil) {
		t.Error("a configuration was applied to a process that drains: nobody would stop what it starts")
	}
	if err := p.apply(&config.Config{}); !errors.Is(err, errDraining) {
		t.Errorf("apply = %v, want %v", err, errDraining)
	}
}

// A pipe is read once: whoever waits for more of it hears no signal.
func TestAPipeIsReadOnce(t *testing.T) {
	a, _ := echo(t)
	pipe := filepath.Join(t.TempDir(), "portside.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	local := freeAddress(t)
	go func() {
		_ = os.WriteFile(pipe, fmt.Appendf(nil, "services:\n  a: {listen: %q, endpoints: [%q]}\n", local, a), 0o600)
	}()
	p := runPortside(t, "", "-c", pipe)
	if got, err := who(local); got != a {
		t.Errorf("a client was answered by %q (%v), want %q", got, err, a)
	}
	p.signal(syscall.SIGHUP)
	eventually(t, "SIGHUP was not answered in the log", func() bool { return strings.Contains(p.out.String(), "INF nothing to read again") })
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// Nor is it waited for where a file was.
func TestAFileThatBecomesAPipeIsRefused(t *testing.T) {
	a, _ := echo(t)
	c := newConfigured(t, "services:\n  a: {listen: %q, endpoints: [%q]}\n", freeAddress(t), a)
	p := runPortside(t, "", "-c", c.name)
	if err := os.Remove(c.name); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(c.name, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, body := askReload(t, p.admin); code != http.StatusUnprocessableEntity || !strings.Contains(body, "not a regular file") {
		t.Errorf("POST reload answers %d %s, want a refusal that says why", code, body)
	}
	p.signal(syscall.SIGHUP)
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// setups are one for each way in which configurations differ.
func setups(t *testing.T) (all []setup) {
	t.Helper()
	addr, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	backends := []string{"127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8003"}
	for _, protocol := range []string{"http", "grpc", "tcp"} {
		for _, balance := range []string{"", "least_conn", "ewma", "random", "hash"} {
			all = append(all, setup{Listen: addr, Backends: backends, Protocol: protocol, Balance: balance})
		}
		all = append(all, setup{Listen: addr, Backends: backends, Protocol: protocol, Bulk: true})
	}
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprintf("127.1.%d.%d:80", i/250, i%250+1)
	}
	return append(all, setup{Listen: addr, Backends: many, Protocol: "http"})
}

func TestPeersAcceptTheirConfigurations(t *testing.T) {
	checks := map[string]struct {
		find func() (peer, error)
		flag string
	}{
		"haproxy": {haproxyPeer, "-c"},
		"nginx":   {nginxPeer, "-t"},
	}
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			p, err := check.find()
			if err != nil {
				t.Skipf("%s: %v", name, err)
			}
			for _, s := range setups(t) {
				if why := p.doubts(s); why != nil {
					t.Logf("%s: %v", name, why)
					continue
				}
				cmd, err := p.command(t.TempDir(), s)
				if err != nil {
					t.Fatal(err)
				}
				if out, err := exec.Command(cmd.Path, append(cmd.Args[1:], check.flag)...).CombinedOutput(); err != nil {
					t.Errorf("%s refuses what %s %q with %d backends needs: %v\n%s", name, s.Protocol, s.Balance, len(s.Backends), err, out)
				}
			}
		})
	}
}

func TestWhichNginxPassesEndsOn(t *testing.T) {
	for version, want := range map[string]bool{
		"nginx version: nginx/1.18.0 (Ubuntu)": false,
		"nginx version: nginx/1.21.3":          false,
		"nginx version: nginx/1.21.4":          true,
		"nginx version: nginx/1.22.1":          true,
		"nginx version: openresty/1.21.4":      false,
		"":                                     false,
	} {
		if got := nginxHalfCloses(version); got != want {
			t.Errorf("%q: %v, want %v", version, got, want)
		}
	}
}

func TestPortsideAcceptsItsConfiguration(t *testing.T) {
	if testing.Short() {
		t.Skip("builds portside")
	}
	bin := t.TempDir() + "/portside"
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/portside").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, s := range append(setups(t), setup{Listen: "127.0.0.1:1", Protocol: "http", Etcd: "http://127.0.0.1:1", Admin: "127.0.0.1:2"}) {
		cmd := exec.Command(bin, "check", "-c", "-")
		cmd.Stdin = strings.NewReader(portsideConfig(s))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("portside refuses what %s %q with %d backends needs: %v\n%s", s.Protocol, s.Balance, len(s.Backends), err, out)
		}
	}
}

// A measurement that shared code with its subject would share its mistakes.
func TestNothingOfPortsideIsImported(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		if path := strings.TrimSpace(line); strings.HasPrefix(path, "portside/") && path != "portside/bench" {
			t.Errorf("bench depends on %s: it measures from outside, through sockets", path)
		}
	}
}

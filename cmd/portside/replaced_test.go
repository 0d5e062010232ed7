package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Two services on ports of the kernel's choice have two: that their listen reads the
// same does not make one the other.
func TestPortsOfTheKernelsChoiceAreNotShared(t *testing.T) {
	a, _ := echo(t)
	b, _ := echo(t)
	const format = "services:\n  a: {listen: '127.0.0.1:0', protocol: %s, endpoints: [%q]}\n"
	c := newConfigured(t, format, "tcp", a)
	p := runPortside(t, "", "-c", c.name)
	local := p.service("a").Listen
	c.write(format+"  b: {listen: '127.0.0.1:0', endpoints: [%q]}\n", "tcp", a, b)
	reloaded(t, p.admin)
	for range 50 {
		if got, err := who(local); err != nil || got != a {
			t.Fatalf("a client of a was answered by %q (%v), want %q; b has %s, and a %s", got, err, a, p.service("b").Listen, local)
		}
	}
	c.write(format, "http", a)
	reloaded(t, p.admin)
	if got := p.service("a").Listen; got != local {
		t.Errorf("a service that speaks otherwise now listens on %s, want %s as before", got, local)
	}
}

func TestReloadMayBeTheFirstToNeedTheEmbeddedEtcd(t *testing.T) {
	a, _ := echo(t)
	const format = "etcd: {endpoints: embedded}\nservices:\n  a: {listen: %q, endpoints: [%q]}\n"
	local, more := freeAddress(t), freeAddress(t)
	c := newConfigured(t, format, local, a)
	p := runPortside(t, "", "-c", c.name)
	c.write(format+"  b: {listen: %q}\nregister:\n  b: {address: %q}\n", local, a, more, a)
	reloaded(t, p.admin)
	eventually(t, "what is in the embedded etcd is never served", func() bool {
		got, err := who(more)
		return err == nil && got == a
	})
}

// What a reload has cut is told then, and is no reason to end with 1 days later.
func TestConnectionsCutByAReloadAreNotTheDrains(t *testing.T) {
	a, _ := echo(t)
	local, other := freeAddress(t), freeAddress(t)
	const format = "drain: {delay: 0s, timeout: 100ms}\nservices:\n  a: {listen: %q, endpoints: [%q]}\n"
	c := newConfigured(t, format+"  b: {listen: %q, endpoints: [%q]}\n", local, a, other, a)
	p := runPortside(t, "", "-c", c.name)
	conn, err := net.Dial("tcp", other)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	c.write(format, local, a)
	reloaded(t, p.admin)
	eventually(t, "nothing is said of the connection that was cut", func() bool { return strings.Contains(p.out.String(), "WRN connections had not finished") })
	p.signal(syscall.SIGTERM)
	if code := p.wait(10 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0: nothing was open\n%s", code, p.out.String())
	}
}

// A service that a reload adds drains as that reload says.
func TestAnAddedServiceDrainsAsTheReloadSays(t *testing.T) {
	a, _ := echo(t)
	local, other := freeAddress(t), freeAddress(t)
	const format = "drain: {delay: 0s, timeout: %s}\nservices:\n  a: {listen: %q, endpoints: [%q]}\n"
	c := newConfigured(t, format, "30s", local, a)
	p := runPortside(t, "", "-c", c.name)
	c.write(format+"  b: {listen: %q, endpoints: [%q]}\n", "200ms", local, a, other, a)
	reloaded(t, p.admin)
	conn, err := net.Dial("tcp", other)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(5 * time.Second); code != 1 {
		t.Errorf("exit code %d, want 1: the connection is cut after 200ms", code)
	}
}

// A service that drains because another has its name now keeps its hands off that
// one's saved endpoints.
func TestReplacedServiceSavesNothing(t *testing.T) {
	endpoint, etcd := startEtcd(t)
	a, _ := echo(t)
	put(t, etcd, "v1/1", a)
	put(t, etcd, "v2/1", a)
	folder := t.TempDir()
	const format = "state_dir: %q\nservices:\n  a: {listen: %q, prefix: %s}\n"
	local := freeAddress(t)
	c := newConfigured(t, format, folder, local, "v1/")
	p := runPortside(t, endpoint, "-c", c.name)
	eventually(t, "not served", func() bool { _, err := who(local); return err == nil })
	conn, err := net.Dial("tcp", local) // which has the former one drain
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	c.write(format, folder, freeAddress(t), "v2/")
	reloaded(t, p.admin)
	saved := func() string {
		all, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil || len(all) != 1 {
			return ""
		}
		text, _ := os.ReadFile(all[0])
		return string(text)
	}
	eventually(t, "the successor's endpoints are not saved", func() bool { return strings.Contains(saved(), "v2/") })
	put(t, etcd, "v1/2", freeAddress(t))
	for until := time.Now().Add(2500 * time.Millisecond); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if strings.Contains(saved(), "v1/") {
			t.Fatalf("the former one has written:\n%s", saved())
		}
	}
}

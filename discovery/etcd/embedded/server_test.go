//go:build !lean

package embedded_test

import (
	"context"
	"os"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"portside/discovery/etcd/embedded"
)

func TestKeepsItsDataAcrossRestartsInADirectory(t *testing.T) {
	dir := t.TempDir()
	first := start(t, embedded.Options{Dir: dir})
	put(t, first.Endpoint(), "a", "1")
	if err := first.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	again := start(t, embedded.Options{Dir: dir, ClientURL: first.Endpoint()})
	defer again.Close()
	if got := get(t, again.Endpoint(), "a"); got != "1" {
		t.Errorf("after a restart on the same directory and port key a holds %q, want 1: a demo's registrations survive its restart", got)
	}
}

func TestATemporaryDirectoryIsRemovedAtClose(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s := start(t, embedded.Options{})
	put(t, s.Endpoint(), "a", "1")
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	left, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("close left %v behind, want nothing: every test run would fill the disk", left)
	}
}

func TestATakenPortIsAnErrorThatNamesIt(t *testing.T) {
	first := start(t, embedded.Options{})
	defer first.Close()
	if second, err := embedded.Start(embedded.Options{ClientURL: first.Endpoint()}); err == nil {
		second.Close()
		t.Errorf("two servers on %s started, want an error for the second", first.Endpoint())
	}
}

func start(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	begin := time.Now()
	s, err := embedded.Start(o)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Logf("ready after %v", time.Since(begin))
	return s
}

func client(t *testing.T, url string) (*clientv3.Client, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, ctx
}

func put(t *testing.T, url, key, value string) {
	t.Helper()
	c, ctx := client(t, url)
	if _, err := c.Put(ctx, key, value); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func get(t *testing.T, url, key string) string {
	t.Helper()
	c, ctx := client(t, url)
	r, err := c.Get(ctx, key)
	if err != nil || len(r.Kvs) == 0 {
		t.Fatalf("get %s: %v, %v", key, r, err)
	}
	return string(r.Kvs[0].Value)
}

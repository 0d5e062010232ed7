package etcd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portside/discovery"
	records "portside/discovery/record"
	"portside/pool"
	"portside/proxy"
)

const (
	// soon is how long a change may take to reach the clients when etcd is
	// there to tell of it; atLast, when it has to be found again first. Both are for a
	// machine that has much else to do.
	soon   = 10 * time.Second
	atLast = 30 * time.Second
)

// traffic is a service as portside runs it, with everything at its default: a
// source, its pool, an HTTP proxy, and clients that ask it all the while.
// Whatever befalls etcd, not one of their requests may fail.
type traffic struct {
	*view
	fleet *fleet
	pool  *pool.Pool
	front *proxy.HTTP
	url   string
	safe  atomic.Bool // ask only for what may be asked twice: a server stops

	mu       sync.Mutex
	asked    int
	failures []string
	since    time.Time
	answers  map[string]int // by backend, to what was asked since
}

// drive follows prefix as portside does, and sends n clients.
func (f *fleet) drive(c *Client, prefix string, n int) *traffic {
	f.Helper()
	tr := &traffic{fleet: f, answers: map[string]int{}}
	tr.pool = pool.New(pool.Config{OnEvent: func(e pool.Event) {
		if e.To == pool.Gone {
			tr.front.BackendLeft(e.Backend)
		}
	}})
	tr.front = proxy.NewHTTP(tr.pool, proxy.Config{})
	tr.open(f.TB)
	source := c.Source(prefix, decodeRecords(f, prefix))
	source.Reuse = true // a pool keeps no slice; the race detector would tell
	tr.view = runSource(f, source, tr.pool.Update)
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for i := range n {
		clients.Go(func() { tr.client(ctx, i) })
	}
	f.Cleanup(func() {
		defer func() {
			cancel()
			clients.Wait()
			tr.verdict()
		}()
		within(f, atLast, func() string {
			if n := tr.requests(); n < 20 {
				return fmt.Sprintf("%d requests: too few to prove anything", n)
			}
			return ""
		})
	})
	return tr
}

// ride is drive with the usual four clients.
func (f *fleet) ride(c *Client, prefix string) *traffic {
	f.Helper()
	return f.drive(c, prefix, 4)
}

// open lets clients in until the test ends.
func (tr *traffic) open(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := proxy.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr.url = "http://" + ln.Addr().String()
	var own sync.WaitGroup
	own.Go(func() { tr.pool.Run(ctx) })
	own.Go(func() {
		if _, err := tr.front.Serve(ctx, ln); err != nil {
			t.Errorf("the proxy's Serve returned %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		own.Wait()
	})
}

// decodeRecords reads what portside reads.
func decodeRecords(t testing.TB, prefix string) Decode {
	d, err := records.New(prefix+"/", records.Options{Protocol: "http"})
	if err != nil {
		t.Fatal(err)
	}
	return func(key string, value []byte) ([]discovery.Endpoint, string, error) {
		r, err := d.Decode(key, value)
		return r.Endpoints, r.Reason, err
	}
}

// client asks some fifty times a second once there is somebody to ask: half of
// the clients on a connection that they keep, half on a new one each time.
func (tr *traffic) client(ctx context.Context, i int) {
	select {
	case <-tr.pool.Synced():
	case <-ctx.Done():
		return
	}
	transport := &http.Transport{DisableKeepAlives: i%2 == 1}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for n := i; ; n++ {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		at := time.Now()
		who, err := tr.ask(c, n)
		tr.note(at, who, err)
	}
}

// ask makes the nth request: every third one has a body and may not be asked
// twice, every tenth one is answered slowly.
func (tr *traffic) ask(c *http.Client, n int) (who string, err error) {
	url, method, body := tr.url, http.MethodGet, io.Reader(nil)
	if n%10 == 0 {
		url += "/slowly"
	}
	if n%3 == 0 && !tr.safe.Load() {
		method, body = http.MethodPost, bytes.NewReader(make([]byte, 1000))
	}
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		return "", err
	}
	a, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	said, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s (%s)", a.Status, a.Header.Get("X-Portside-Error"))
	}
	return string(said), err
}

func (tr *traffic) note(at time.Time, who string, err error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.asked++
	switch {
	case err != nil:
		tr.failures = append(tr.failures, fmt.Sprintf("asked at %s, %v later: %v", at.Format("05.000"), time.Since(at), err))
	case at.After(tr.since):
		tr.answers[who]++
	}
}

// recount has answers begin from nothing, with what is asked from now on.
func (tr *traffic) recount() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.since = time.Now()
	clear(tr.answers)
}

func (tr *traffic) answered() map[string]int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return maps.Clone(tr.answers)
}

// requests is how many there have been.
func (tr *traffic) requests() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.asked
}

// verdict says what became of the clients.
func (tr *traffic) verdict() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if n := len(tr.failures); n > 0 {
		tr.Errorf("%d of %d requests failed, want none: %s", n, tr.asked, strings.Join(tr.failures[:min(n, 5)], "; "))
	}
	if tr.safe.Load() {
		return
	}
	// Nobody stopped, so nobody needed a second try either.
	stats, ejections := tr.front.Stats(), tr.pool.Status().Ejections
	maps.DeleteFunc(ejections, func(_ string, n uint64) bool { return n == 0 })
	if stats.Retries.Load() != 0 || len(ejections) != 0 {
		tr.Errorf("%d retries and %v ejections among servers that were all well", stats.Retries.Load(), ejections)
	}
}

// stop ends a server that etcd has forgotten and whose absence was doubted.
func (tr *traffic) stop(address string) {
	tr.Helper()
	tr.safe.Store(true)
	time.Sleep(slowAnswer + 50*time.Millisecond) // what may not be asked twice is answered
	tr.fleet.stop(address)
}

// knows waits until the pool has want, and besides only suspects.
func (tr *traffic) knows(d time.Duration, want ...string) {
	tr.Helper()
	slices.Sort(want)
	tr.within(d, func() string {
		active := []string{}
		for _, b := range tr.pool.Status().Backends {
			switch b.State {
			case pool.Active:
				active = append(active, b.Address)
			case pool.Suspect:
			default:
				return fmt.Sprintf("%s is %s (%s)", b.Address, b.State, b.Reason)
			}
		}
		return cmp.Diff(want, active)
	})
}

// converges waits until every one of want answers the clients, and nobody else.
func (tr *traffic) converges(d time.Duration, want ...string) {
	tr.Helper()
	began := time.Now()
	tr.knows(d, want...)
	tr.within(d-time.Since(began), func() string {
		if have := tr.pool.Status().Backends; len(have) != len(want) {
			return fmt.Sprintf("%d backends, want %d", len(have), len(want))
		}
		return ""
	})
	tr.Logf("converged after %v", time.Since(began).Round(time.Millisecond))
	tr.recount()
	var now map[string]int
	tr.within(atLast, func() string {
		now = tr.answered()
		for _, a := range want {
			if now[a] < 3 {
				return fmt.Sprintf("%s gave %d answers, want some: %v", a, now[a], now)
			}
		}
		return ""
	})
	for a, n := range now {
		if !slices.Contains(want, a) {
			tr.Errorf("%s has left, and got %d requests since", a, n)
		}
	}
}

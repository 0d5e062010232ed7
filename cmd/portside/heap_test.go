package main

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"
)

func TestGarbageMayGatherToAFixedAmount(t *testing.T) {
	for alive, want := range map[uint64]int{0: 400, 1 << 20: 400, 6 << 20: 400, 12 << 20: 200, 24 << 20: 100, 1 << 30: 100} {
		if got := gcPercent(alive); got != want {
			t.Errorf("with %d bytes alive: %d percent, want %d", alive, got, want)
		}
	}
}

// A process that runs goes by that, unless its environment says something else.
func TestARunningProcessLetsGarbageGather(t *testing.T) {
	for name, c := range map[string]struct {
		env   []string
		roomy bool
	}{
		"by itself":           {[]string{"GOGC=", "GOMEMLIMIT="}, true},
		"with GOGC set":       {[]string{"GOGC=40", "GOMEMLIMIT="}, false},
		"with GOMEMLIMIT set": {[]string{"GOGC=", "GOMEMLIMIT=1GiB"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &portside{admin: freeAddress(t)}
			p.proc = start(t, "portside", c.env, "run", "--admin", p.admin, "--pprof", "orders="+freeAddress(t)+",endpoints="+refusing(t))
			// The next collection is due when there is as much garbage as is let gather.
			next := func() uint64 {
				resp, err := http.Get("http://" + p.admin + "/debug/pprof/heap?gc=1&debug=1")
				if err != nil {
					return 0
				}
				defer resp.Body.Close()
				text, _ := io.ReadAll(resp.Body)
				found := regexp.MustCompile(`(?m)^# NextGC = (\d+)$`).FindSubmatch(text)
				if found == nil {
					return 0
				}
				n, _ := strconv.ParseUint(string(found[1]), 10, 64)
				return n
			}
			const roomy = 16 << 20 // little is alive: the least heap of the runtime, four times
			if c.roomy {
				eventually(t, "garbage may not gather", func() bool { return next() >= roomy })
				return
			}
			eventually(t, "it does not tell of its heap", func() bool { return next() > 0 })
			for range 20 {
				if n := next(); n >= roomy/2 {
					t.Fatalf("the next collection is due at %d bytes: what the environment says was overruled", n)
				}
			}
		})
	}
}

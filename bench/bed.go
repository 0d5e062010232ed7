package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/term"
)

// bed is where workloads run: options, peers, and a folder for what is temporary.
type bed struct {
	options options
	peers   []peer
	missing []string
	dir     string
	machine machine
	live    bool // standard error is a terminal
}

func newBed(ctx context.Context, o options) (*bed, error) {
	dir, err := os.MkdirTemp("", "portside-bench-")
	if err != nil {
		return nil, err
	}
	b := &bed{options: o, dir: dir, machine: describe(), live: term.IsTerminal(int(os.Stderr.Fd()))}
	if o.portside == "" {
		b.options.portside = filepath.Join(dir, "portside")
		build := exec.CommandContext(ctx, "go", "build", "-o", b.options.portside, "./cmd/portside")
		if out, err := build.CombinedOutput(); err != nil {
			b.close()
			return nil, fmt.Errorf("build portside: %w\n%s", err, out)
		}
	}
	found, missing := findPeers(b.options.portside)
	b.missing = missing
	for _, p := range found {
		if p.name == "portside" || o.peers.MatchString(p.name) {
			b.peers = append(b.peers, p)
			b.machine.Versions = append(b.machine.Versions, p.name+": "+p.version)
		}
	}
	if len(b.peers) == 0 || b.peers[0].name != "portside" {
		b.close()
		return nil, fmt.Errorf("no portside to measure: %v", missing)
	}
	return b, os.MkdirAll(o.out, 0o755)
}

func (b *bed) close() { _ = os.RemoveAll(b.dir) }

// enter prepares the stage of a workload: its backends, and what else it needs. The caller
// clears it.
func (b *bed) enter(ctx context.Context, w workload) (st *stage, err error) {
	st = &stage{bed: b, workload: w, rate: b.options.rate}
	defer func() {
		if err != nil {
			st.clear()
			st = nil
		}
	}()
	if st.dir, err = os.MkdirTemp(b.dir, "work-"); err != nil {
		return st, err
	}
	st.setup = setup{Protocol: w.protocol, Balance: w.balance, Bulk: w.bulk}
	if w.backends != nil {
		if st.backend, st.setup.Backends, err = w.backends(); err != nil {
			return st, err
		}
	}
	if w.prepare != nil {
		err = w.prepare(ctx, st)
	}
	return st, err
}

// bring starts a peer on a stage, unless the workload is cold and does that itself.
func (st *stage) bring(ctx context.Context, p peer) (a actor, err error) {
	a = actor{peer: p, setup: st.setup}
	a.backend = st.backend
	if a.setup.Listen, err = freeAddr(); err != nil {
		return a, err
	}
	a.addr = a.setup.Listen
	if a.dir, err = os.MkdirTemp(st.dir, p.name+"-"); err != nil || st.workload.cold {
		return a, err
	}
	a.proxy, err = p.start(ctx, a.dir, a.setup)
	return a, err
}

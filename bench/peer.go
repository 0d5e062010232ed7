package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"
)

// peer is a proxy that does the same work as portside, or portside itself.
type peer struct {
	name    string
	version string
	// can returns why the peer cannot do what s asks for, if it cannot. Nil: it always can.
	can func(s setup) error
	// command writes the configuration for s to dir, and returns what to start.
	command func(dir string, s setup) (*exec.Cmd, error)
}

const direct = "direct" // no proxy at all

// findPeers are portside and its peers on this machine, and which are missing.
func findPeers(portside string) (found []peer, missing []string) {
	for _, find := range []func() (peer, error){
		func() (peer, error) { return portsidePeer(portside) },
		haproxyPeer, nginxPeer, caddyPeer, goPeer,
	} {
		p, err := find()
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s: %v", p.name, err))
			continue
		}
		found = append(found, p)
	}
	return found, missing
}

// versionOf is the first line that a command prints.
func versionOf(command string, args ...string) (string, error) {
	out, err := exec.Command(command, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errNotHere
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line, err
}

var errNotHere = errors.New("not on PATH")

func (p peer) doubts(s setup) error {
	if p.can == nil {
		return nil
	}
	return p.can(s)
}

// start runs the peer and waits until it serves.
func (p peer) start(ctx context.Context, dir string, s setup) (*process, error) {
	cmd, err := p.command(dir, s)
	if err != nil {
		return nil, err
	}
	proc, err := startProcess(cmd)
	if err != nil {
		return nil, err
	}
	proc.watch()
	if err := proc.await(ctx, 5*time.Millisecond, func() error { return serves(s) }); err != nil {
		proc.stop()
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return proc, nil
}

// serves is nil if a request comes through the proxy.
func serves(s setup) error {
	if s.Protocol == "tcp" {
		conn, err := net.Dial("tcp", s.Listen)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	c := &client{addr: s.Listen, limit: 2 * time.Second, buf: make([]byte, 16<<10)}
	if s.Protocol == "grpc" {
		defer c.close()
		if err := c.openChannel(1); err != nil {
			return err
		}
		return c.call()
	}
	if err := c.dial(); err != nil {
		return err
	}
	defer c.close()
	return c.exchange(get(""))
}

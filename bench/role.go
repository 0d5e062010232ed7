package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// Backends and the Go peer are processes of their own: this program again, told
// by the environment which part to play.
const roleEnv = "PORTSIDE_BENCH_ROLE"

// part is what a role is told on its command line.
type part struct {
	listen   string
	count    int           // listeners, on ports of their own
	wild     bool          // one listener for every address of the loopback network
	size     int           // bytes of a response's body
	slow     time.Duration // what the last listener waits before it answers
	protocol string        // of the Go peer
	backends []string      // of the Go peer
}

// play is main of a child. The child ends with its parent, since its standard input ends then.
func play(role string, args []string) {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if err := perform(role, parsePart(args)); err != nil {
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", role, err)
		os.Exit(1)
	}
	select {}
}

func parsePart(args []string) (p part) {
	f := flag.NewFlagSet("role", flag.ExitOnError)
	f.StringVar(&p.listen, "listen", "", "")
	f.IntVar(&p.count, "count", 1, "")
	f.BoolVar(&p.wild, "wild", false, "")
	f.IntVar(&p.size, "size", 32, "")
	f.DurationVar(&p.slow, "slow", 0, "")
	f.StringVar(&p.protocol, "protocol", "http", "")
	backends := f.String("backends", "", "file with an address a line")
	_ = f.Parse(args) // exits on error
	p.backends = strings.Fields(text(*backends))
	return p
}

// perform binds, serves in the background, and prints the addresses on standard output.
func perform(role string, p part) error {
	var addrs []string
	for i := range p.count {
		ln, err := p.bind()
		if err != nil {
			return err
		}
		addrs = append(addrs, ln.Addr().String())
		delay := time.Duration(0)
		if i == p.count-1 {
			delay = p.slow
		}
		switch role {
		case "http":
			go acceptAll(ln, func(c *net.TCPConn) { answer(c, p.size, delay) })
		case "grpc":
			go acceptAll(ln, unary)
		case "echo":
			go acceptAll(ln, echo)
		case "bulk":
			go acceptAll(ln, bulk)
		case "go":
			go goProxy(ln, p)
		default:
			return fmt.Errorf("no such role: %s", role)
		}
	}
	fmt.Println(strings.Join(addrs, " "))
	return nil
}

func (p part) bind() (net.Listener, error) {
	if p.wild {
		return listenLoopbackNet()
	}
	if p.listen == "" {
		return listenLow()
	}
	return net.Listen("tcp", p.listen)
}

func acceptAll(ln net.Listener, serve func(*net.TCPConn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			time.Sleep(time.Millisecond) // out of descriptors: the clients will see it
			continue
		}
		go func() {
			defer c.Close()
			serve(c.(*net.TCPConn))
		}()
	}
}

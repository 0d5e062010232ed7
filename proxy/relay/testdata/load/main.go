// Load is a client and a backend for measuring a relay from outside: they run
// as processes of their own, so that what the relay's process spends is the
// relay's alone.
//
//	load echo ADDR                   answers everything with itself
//	load source ADDR                 sends zeros to everybody for as long as they read
//	load pingpong ADDR N SIZE TIME   N conns, one message of SIZE in flight each
//	load bulk ADDR N BYTES           reads BYTES over N conns
//	load idle ADDR N                 opens N conns, one byte each, and holds them until stdin ends
//
// The first line written is the address listened at; the clients write what they did.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: load echo|source|pingpong|bulk|idle ADDR …")
	}
	addr := os.Args[2]
	switch os.Args[1] {
	case "echo":
		serve(addr, func(c net.Conn) { echo(c) })
	case "source":
		serve(addr, func(c net.Conn) { send(c) })
	case "pingpong":
		d, err := time.ParseDuration(os.Args[5])
		if err != nil {
			log.Fatal(err)
		}
		pingpong(addr, number(3), number(4), d)
	case "bulk":
		bulk(addr, number(3), number(4))
	case "idle":
		hold(addr, number(3))
	}
}

func number(i int) int {
	n, err := strconv.Atoi(os.Args[i])
	if err != nil {
		log.Fatal(err)
	}
	return n
}

func serve(addr string, handle func(net.Conn)) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer c.Close()
			handle(c)
		}()
	}
}

func echo(c net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

func send(c net.Conn) {
	b := make([]byte, 256<<10)
	for {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

func dial(addr string) net.Conn {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	return c
}

func pingpong(addr string, conns, size int, d time.Duration) {
	var (
		wg    sync.WaitGroup
		total atomic.Int64
		mu    sync.Mutex
		all   []time.Duration
		end   = time.Now().Add(d)
	)
	for range conns {
		c := dial(addr)
		wg.Go(func() {
			defer c.Close()
			var took []time.Duration
			b := make([]byte, size)
			for now := time.Now(); now.Before(end); {
				if _, err := c.Write(b); err != nil {
					log.Fatal(err)
				}
				if _, err := io.ReadFull(c, b); err != nil {
					log.Fatal(err)
				}
				then := now
				now = time.Now()
				took = append(took, now.Sub(then))
			}
			total.Add(int64(len(took)))
			mu.Lock()
			all = append(all, took...)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.Sort(all)
	fmt.Println(total.Load(), all[len(all)/2].Nanoseconds(), all[len(all)*99/100].Nanoseconds())
}

func bulk(addr string, conns, n int) {
	var wg sync.WaitGroup
	for range conns {
		c := dial(addr)
		wg.Go(func() {
			defer c.Close()
			b := make([]byte, 256<<10)
			for left := n / conns; left > 0; {
				m, err := c.Read(b)
				if err != nil {
					log.Fatal(err)
				}
				left -= m
			}
		})
	}
	wg.Wait()
	fmt.Println(n)
}

func hold(addr string, conns int) {
	held := make([]net.Conn, conns)
	b := make([]byte, 1)
	for i := range held {
		held[i] = dial(addr)
		held[i].Write(b)
		io.ReadFull(held[i], b)
	}
	fmt.Println(conns)
	io.Copy(io.Discard, os.Stdin)
}

// Proxy joins every client to one backend with the relay, for measuring it.
//
//	proxy BACKEND [fresh|plain|iocopy]
//
// It writes the address it listens at. "fresh" relays on a goroutine other than
// the one that dialled; "plain" copies in two goroutines with 32 KiB each, and
// "iocopy" with io.Copy, to compare with.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"portside/proxy/relay"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	var counters relay.Counters
	mode := ""
	if len(os.Args) > 2 {
		mode = os.Args[2]
	}
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			b, err := net.Dial("tcp", os.Args[1])
			if err != nil {
				log.Fatal(err)
			}
			client, backend := c.(*net.TCPConn), b.(*net.TCPConn)
			switch mode {
			case "plain":
				plain(client, backend)
			case "iocopy":
				iocopy(client, backend)
			case "fresh": // a stack that no dialling has grown
				go relay.Run(client, backend, relay.Config{Idle: 5 * time.Minute, Early: time.Second, Counters: &counters})
			default:
				relay.Run(client, backend, relay.Config{Idle: 5 * time.Minute, Early: time.Second, Counters: &counters})
			}
		}()
	}
}

func plain(a, b *net.TCPConn) {
	cp := func(to, from *net.TCPConn) {
		io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 32<<10))
		to.CloseWrite()
	}
	go cp(a, b)
	cp(b, a)
}

func iocopy(a, b *net.TCPConn) {
	cp := func(to, from *net.TCPConn) { io.Copy(to, from); to.CloseWrite() }
	go cp(a, b)
	cp(b, a)
}

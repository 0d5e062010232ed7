package main

import (
	"bytes"
	"fmt"
	"net"
	"time"
)

// answer is an HTTP/1.1 server that costs as little as one can: it reads heads
// and bodies by their length, and writes the same answer each time. The body
// begins with the address that was asked, so that a client can tell who answered.
func answer(c *net.TCPConn, size int, delay time.Duration) {
	body := make([]byte, max(size, 24))
	for i := range body {
		body[i] = '.'
	}
	copy(body, c.LocalAddr().String()+" ")
	response := append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(body)), body...)
	buf := make([]byte, 16<<10)
	for have := 0; ; {
		head, length, err := messageHead(buf[:have])
		for err == errShort && have < len(buf) {
			var n int
			if n, err = c.Read(buf[have:]); err != nil {
				return
			}
			have += n
			head, length, err = messageHead(buf[:have])
		}
		if err != nil {
			return
		}
		last := bytes.Contains(buf[:head], []byte("onnection: close\r\n"))
		if have, err = skip(c, buf, have, head+length); err != nil {
			return
		}
		if delay > 0 {
			time.Sleep(delay)
		}
		if _, err := c.Write(response); err != nil || last {
			return
		}
	}
}

// skip drops a message of that length from buf and the connection, and reports
// how many bytes of the next one buf has.
func skip(c *net.TCPConn, buf []byte, have, length int) (int, error) {
	if have >= length {
		return copy(buf, buf[length:have]), nil
	}
	for rest := length - have; rest > 0; {
		n, err := c.Read(buf[:min(rest, len(buf))])
		if err != nil {
			return 0, err
		}
		rest -= n
	}
	return 0, nil
}

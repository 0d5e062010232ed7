package main

import "net"

// echo sends back what comes, as it comes.
func echo(c *net.TCPConn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// The first byte on a bulk connection says which way the rest goes.
const (
	bulkDown = 'd' // to the client
	bulkUp   = 'u' // from the client
	bulkBoth = 'b'
)

const bulkChunk = 128 << 10

// bulk moves bytes that mean nothing until the client has gone.
func bulk(c *net.TCPConn) {
	buf := make([]byte, bulkChunk)
	if _, err := c.Read(buf[:1]); err != nil {
		return
	}
	switch buf[0] {
	case bulkDown:
		pour(c, buf)
	case bulkUp:
		swallow(c, buf)
	case bulkBoth:
		go pour(c, make([]byte, bulkChunk))
		swallow(c, buf)
	}
}

func pour(c *net.TCPConn, buf []byte) {
	for {
		if _, err := c.Write(buf); err != nil {
			return
		}
	}
}

func swallow(c *net.TCPConn, buf []byte) {
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

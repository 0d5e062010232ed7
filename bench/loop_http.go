package main

import (
	"errors"
	"fmt"
	"io"
)

// keepAlive sends one request after the other on each connection.
func keepAlive(conns int, request []byte) loop {
	return loop{conns: conns, open: (*client).dial, step: func(c *client) error { return c.exchange(request) }}
}

// newConnection dials for each request, and the far side closes.
func newConnection(conns int, request []byte) loop {
	return loop{
		conns: conns,
		open:  func(*client) error { return nil },
		step: func(c *client) error {
			if err := c.dial(); err != nil {
				return err
			}
			defer c.close()
			if err := c.exchange(request); err != nil {
				return err
			}
			return c.drained()
		},
	}
}

var errGone = errors.New("the connection is closed")

// exchange writes a request and reads the whole response.
func (c *client) exchange(request []byte) error {
	conn := c.conn.Load()
	if conn == nil {
		return errGone
	}
	if _, err := conn.Write(request); err != nil {
		return err
	}
	_, err := c.receive()
	return err
}

// receive reads a response, which must be a 200, and returns the beginning of its
// body, valid until the next call.
func (c *client) receive() ([]byte, error) {
	conn := c.conn.Load()
	if conn == nil {
		return nil, errGone
	}
	for {
		head, length, err := messageHead(c.buf[:c.have])
		if err == nil {
			if code := status(c.buf); code != 200 {
				return nil, fmt.Errorf("status %d", code)
			}
			return c.body(head, length)
		}
		if !errors.Is(err, errShort) || c.have == len(c.buf) {
			return nil, err
		}
		n, err := conn.Read(c.buf[c.have:])
		if err != nil {
			return nil, err
		}
		c.have += n
	}
}

func (c *client) body(head, length int) ([]byte, error) {
	conn := c.conn.Load()
	if conn == nil {
		return nil, errGone
	}
	begin := c.buf[head:min(head+length, len(c.buf))]
	for missing := head + length - c.have; missing > 0; {
		// What does not fit in front of the rest is read over it.
		at := min(c.have, len(c.buf)/2)
		n, err := conn.Read(c.buf[at:min(at+missing, len(c.buf))])
		if err != nil {
			return nil, err
		}
		missing -= n
		c.have += n
	}
	c.bytes.Add(int64(head + length))
	c.have = 0
	return begin, nil
}

// drained waits for the end of the stream.
func (c *client) drained() error {
	conn := c.conn.Load()
	if conn == nil {
		return errGone
	}
	n, err := conn.Read(c.buf)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%d bytes after the response", n)
	}
	return err
}

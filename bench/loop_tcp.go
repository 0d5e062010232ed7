package main

import "io"

// pingPong sends a message and waits for its echo.
func pingPong(conns, size int) loop {
	return loop{conns: conns, open: (*client).dial, step: func(c *client) error { return c.ping(size) }}
}

// connectClose dials, has one message echoed, and closes.
func connectClose(conns, size int) loop {
	return loop{
		conns: conns,
		open:  func(*client) error { return nil },
		step: func(c *client) error {
			if err := c.dial(); err != nil {
				return err
			}
			defer c.close()
			return c.ping(size)
		},
	}
}

func (c *client) ping(size int) error {
	conn := c.conn.Load()
	if conn == nil {
		return errGone
	}
	if _, err := conn.Write(c.buf[:size]); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, c.buf[:size])
	c.bytes.Add(int64(2 * size))
	return err
}

// stream moves bytes in the named direction as fast as they go.
func stream(conns int, way byte) loop {
	return loop{
		conns: conns,
		open: func(c *client) error {
			if len(c.buf) < bulkChunk {
				c.buf = make([]byte, bulkChunk)
			}
			if err := c.dial(); err != nil {
				return err
			}
			conn := c.conn.Load()
			if _, err := conn.Write([]byte{way}); err != nil {
				return err
			}
			if way == bulkBoth {
				go c.pourCounted(make([]byte, bulkChunk))
			}
			return nil
		},
		step: func(c *client) error {
			conn := c.conn.Load()
			if conn == nil {
				return errGone
			}
			move := conn.Read
			if way == bulkUp {
				move = conn.Write
			}
			n, err := move(c.buf)
			c.bytes.Add(int64(n))
			return err
		},
	}
}

// pourCounted writes until the connection is closed.
func (c *client) pourCounted(buf []byte) {
	conn := c.conn.Load()
	for conn != nil {
		n, err := conn.Write(buf)
		c.bytes.Add(int64(n))
		if err != nil {
			return
		}
	}
}

package http2

// Batch is what one goroutine has put down for connections while it took in what had come
// on its own, and sends before it waits for more. A nil one sends at once.
type Batch struct{ conns []*conn }

// add has c flushed.
func (b *Batch) add(c *conn) {
	if b == nil {
		c.flush()
		return
	}
	for _, other := range b.conns {
		if other == c {
			return
		}
	}
	b.conns = append(b.conns, c)
}

// flush has all of them flushed.
func (b *Batch) flush() {
	for i, c := range b.conns {
		c.flush()
		b.conns[i] = nil
	}
	b.conns = b.conns[:0]
}

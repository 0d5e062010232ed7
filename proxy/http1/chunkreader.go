package http1

import "math"

// ChunkReader unwraps a body in the chunked transfer coding (RFC 9112 7.1) from
// pieces of any size. The zero value is ready; it is not safe for concurrent use.
//
// Chunk extensions are checked, bounded and dropped. Trailer fields are checked,
// and those that may be merged or passed on are kept.
type ChunkReader struct {
	// Trailer is, once the body is done, the trailer fields that may be passed
	// on, as field lines to put behind the last chunk: see [AppendLastChunk].
	// Lend it memory with Reset to avoid allocating when there are some.
	Trailer []byte

	state  chunkState
	digits uint8  // of the size read so far
	size   uint64 // of the chunk being read: what is left of its data
	line   int    // bytes of the current size line; of the trailer section, later
	start  int    // in Trailer: the line being read
	excess int64  // see overhead
	err    error
}

type chunkState uint8

const (
	atSize   chunkState = iota // first digit of a size
	inSize                     // further digits
	inSpace                    // bad whitespace before a ';'
	inExt                      // an extension, to its CR
	atSizeLF                   // LF of a size line
	inData                     // chunk data
	atDataCR                   // CR behind chunk data
	atDataLF                   // its LF
	atLine                     // start of a trailer line, or of the last, empty one
	inLine                     // in a trailer line
	atLineLF                   // its LF
	atLastLF                   // LF of the last, empty line
	done
)

const (
	maxSizeLine = 1 << 10 // bytes of a size line with its extensions
	maxExcess   = 8 << 10 // see overhead
	maxTrailer  = 8 << 10 // bytes of a trailer section
)

// Reset makes c ready for another body; trailer, emptied, is what Trailer grows in.
func (c *ChunkReader) Reset(trailer []byte) { *c = ChunkReader{Trailer: trailer[:0]} }

// Done reports whether the body has ended, trailer section and all.
func (c *ChunkReader) Done() bool { return c.state == done && c.err == nil }

// Decode unwraps what buf holds of the body and returns the data in it, moved
// together within buf, and the number of bytes taken: all of buf, unless the
// body ended (see [ChunkReader.Done]) or is malformed, so that nothing need be
// given twice. On an error, a [*SyntaxError], data is what came before the
// fault; every later call returns that error again.
func (c *ChunkReader) Decode(buf []byte) (data []byte, n int, err error) {
	if c.err != nil {
		return nil, 0, c.err
	}
	from, to := 0, 0
	for n < len(buf) && c.state != done {
		if c.state != inData {
			if c.err = c.step(buf[n]); c.err != nil {
				break
			}
			n++
			continue
		}
		if from == to {
			from, to = n, n
		}
		span := int(min(c.size, uint64(len(buf)-n)))
		if to != n {
			copy(buf[to:], buf[n:n+span])
		}
		to += span
		n += span
		if c.size -= uint64(span); c.size == 0 {
			c.state = atDataCR
		}
	}
	return buf[from:to], n, c.err
}

// step takes in one byte that is not chunk data.
func (c *ChunkReader) step(b byte) error {
	switch c.state {
	case atSize, inSize, inSpace, inExt, atSizeLF:
		return c.sizeLine(b)
	case atDataCR:
		if b != '\r' {
			return errChunkEnd
		}
		c.state = atDataLF
	case atDataLF:
		if b != '\n' {
			return errChunkEnd
		}
		c.state = atSize
	default:
		return c.trailerLine(b)
	}
	return nil
}

// sizeLine takes in one byte of chunk-size [ chunk-ext ] CRLF.
func (c *ChunkReader) sizeLine(b byte) error {
	if c.line++; c.line > maxSizeLine {
		return errChunkExtLong
	}
	switch {
	case c.state == atSizeLF:
		if b != '\n' {
			return errBareCR
		}
		return c.sizeDone()
	case c.state == inExt:
		// An extension ends at CR LF and nowhere else: a bare LF in one has split
		// parsers ("Funky chunks", 2025; CVE-2025-58056 in Netty and others).
		if b < ' ' && b != '\t' && b != '\r' || b == 0x7f {
			return errChunkExt
		}
		if b == '\r' {
			c.state = atSizeLF
		}
	case c.state <= inSize && class[b]&hex != 0:
		return c.digit(b)
	case c.state == atSize:
		return errChunkSize
	case b == ';':
		c.state = inExt
	case isSpace(b):
		// RFC 9112 7.1.1: bad whitespace, which must be put up with, but only
		// where an extension follows.
		c.state = inSpace
	case b == '\r' && c.state == inSize:
		c.state = atSizeLF
	default:
		return errChunkSize
	}
	return nil
}

func (c *ChunkReader) digit(b byte) error {
	if c.state == atSize {
		c.state, c.size, c.digits = inSize, 0, 0
	}
	if c.digits++; c.digits > 16 {
		return errChunkBig
	}
	v := b - '0'
	if v > 9 {
		v = (b | 0x20) - 'a' + 10
	}
	if c.size = c.size<<4 | uint64(v); c.size > math.MaxInt64 {
		return errChunkBig
	}
	return nil
}

func (c *ChunkReader) sizeDone() error {
	if err := c.overhead(); err != nil {
		return err
	}
	c.line = 0
	c.state = inData
	if c.size == 0 {
		c.state = atLine
	}
	return nil
}

// overhead bounds what is not data over the whole body, by net/http's rule
// (CVE-2023-39326): one byte a chunk is fine for ever, large extensions are not.
func (c *ChunkReader) overhead() error {
	c.excess = max(0, c.excess+int64(c.line)+2-16-2*int64(min(c.size, 1<<40)))
	if c.excess > maxExcess {
		return errChunkExtLong
	}
	return nil
}

package http1

import "strconv"

// ChunkRoom is how many bytes [WrapChunk] may need before the data, and
// ChunkTail how many behind it.
const (
	ChunkRoom = 16 + len("\r\n")
	ChunkTail = len("\r\n")
)

// AppendChunkHead appends the size line of a chunk of n bytes, n > 0: a size of
// zero would end the body. The data must follow, then CRLF.
func AppendChunkHead(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, "\r\n"...)
}

// AppendChunk appends data as one chunk; nothing if there is no data.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = AppendChunkHead(dst, len(data))
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

// AppendLastChunk appends the end of a body: the last chunk and the trailer
// section, whose lines are those of ChunkReader.Trailer, or empty.
func AppendLastChunk(dst, trailer []byte) []byte {
	dst = append(dst, "0\r\n"...)
	dst = append(dst, trailer...)
	return append(dst, "\r\n"...)
}

// WrapChunk makes a chunk of buf[from:to] where it lies, for one write without a
// copy. It writes into the [ChunkRoom] bytes before from and the [ChunkTail]
// bytes behind to, which must exist, and returns the chunk; nothing for no data.
func WrapChunk(buf []byte, from, to int) []byte {
	n := to - from
	if n == 0 {
		return nil
	}
	const digits = "0123456789abcdef"
	buf[to], buf[to+1] = '\r', '\n'
	from -= 2
	buf[from], buf[from+1] = '\r', '\n'
	for ; n > 0; n >>= 4 {
		from--
		buf[from] = digits[n&15]
	}
	return buf[from : to+2]
}

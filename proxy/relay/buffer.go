package relay

import "sync"

// size is of the buffers. Half of it costs a fifth more CPU per byte of a long
// flow, twice of it saves a tenth, and long flows are spliced where that works.
const size = 32 << 10

type buffer [size]byte

// buffers are free buffers. A direction holds one only while it has bytes to move.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

package relay

import "sync"

// size is of the buffers, 32 KiB: see the commit that set it for what others cost.
const size = 32 << 10

type buffer [size]byte

// buffers are free buffers. A direction holds one only while it has bytes to move.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

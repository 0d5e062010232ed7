package http2

import (
	"encoding/binary"
	"fmt"
)

// The frames (RFC 9113 6).
const (
	kindData = iota
	kindHeaders
	kindPriority
	kindReset
	kindSettings
	kindPushPromise
	kindPing
	kindGoAway
	kindWindowUpdate
	kindContinuation
)

const (
	flagEndStream  = 1
	flagAck        = 1
	flagEndHeaders = 4
	flagPadded     = 8
	flagPriority   = 32
)

const (
	// frameHead is the length of a frame's head (RFC 9113 4.1).
	frameHead = 9
	// largest is how long a frame's payload may be without being asked for
	// (SETTINGS_MAX_FRAME_SIZE); longer ones are neither sent nor taken.
	largest = 16 << 10
	// lastID is the last number that a stream can have.
	lastID = 1<<31 - 1
)

// The settings (RFC 9113 6.5.2).
const (
	settingTableSize = iota + 1
	settingPush
	settingStreams
	settingWindow
	settingFrameSize
	settingListSize
)

// frame is a frame as it came. Its payload is valid until the next one is read.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

func (f *frame) has(flag byte) bool { return f.flags&flag != 0 }

// word is the four bytes of the payload at i.
func (f *frame) word(i int) uint32 { return binary.BigEndian.Uint32(f.payload[i:]) }

// appendHead appends the head of a frame with n bytes of payload.
func appendHead(b []byte, n int, kind, flags byte, stream uint32) []byte {
	b = append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	return binary.BigEndian.AppendUint32(b, stream)
}

// appendWord appends a frame that says one number.
func appendWord(b []byte, kind byte, stream, word uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHead(b, 4, kind, 0, stream), word)
}

// setting is a setting and its value.
type setting struct {
	id    uint16
	value uint32
}

func appendSettings(b []byte, settings ...setting) []byte {
	b = appendHead(b, 6*len(settings), kindSettings, 0, 0)
	for _, s := range settings {
		b = binary.BigEndian.AppendUint16(b, s.id)
		b = binary.BigEndian.AppendUint32(b, s.value)
	}
	return b
}

func appendGoAway(b []byte, last uint32, code Code) []byte {
	b = appendHead(b, 8, kindGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

// appendBlock appends a block of fields, in as many frames as it takes.
func appendBlock(b, block []byte, end bool, stream uint32, limit int) []byte {
	kind, flags := byte(kindHeaders), byte(0)
	if end {
		flags = flagEndStream
	}
	for {
		n := min(len(block), limit)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		b = append(appendHead(b, n, kind, flags, stream), block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return b
		}
		kind, flags = kindContinuation, 0
	}
}

// unpad takes padding and priorities off a payload (RFC 9113 6.1, 6.2).
func (f *frame) unpad() error {
	p := f.payload
	pad := 0
	if f.has(flagPadded) {
		if len(p) < 1 {
			return fault(FrameSizeError, "no room for padding's length")
		}
		pad, p = int(p[0]), p[1:]
	}
	if f.kind == kindHeaders && f.has(flagPriority) {
		if len(p) < 5 {
			return fault(FrameSizeError, "no room for a priority")
		}
		p = p[5:]
	}
	if pad > len(p) {
		return fault(ProtocolError, "more padding than payload")
	}
	f.payload = p[:len(p)-pad]
	return nil
}

// check holds a frame to the length and the stream that its kind has.
func (f *frame) check() error {
	n := len(f.payload)
	var sized bool
	switch f.kind {
	case kindPriority:
		sized = n == 5
	case kindReset, kindWindowUpdate:
		sized = n == 4
	case kindSettings:
		sized = n%6 == 0 && (n == 0 || !f.has(flagAck))
	case kindPing:
		sized = n == 8
	case kindGoAway:
		sized = n >= 8
	default:
		sized = true
	}
	if !sized {
		return fault(FrameSizeError, fmt.Sprintf("%d bytes in a frame of kind %d", n, f.kind))
	}
	switch f.kind {
	case kindData, kindHeaders, kindPriority, kindReset, kindContinuation, kindPushPromise:
		if f.stream == 0 {
			return fault(ProtocolError, fmt.Sprintf("a frame of kind %d without a stream", f.kind))
		}
	case kindSettings, kindPing, kindGoAway:
		if f.stream != 0 {
			return fault(ProtocolError, fmt.Sprintf("a frame of kind %d on a stream", f.kind))
		}
	}
	return nil
}

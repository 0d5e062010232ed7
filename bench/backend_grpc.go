package main

import (
	"bufio"
	"bytes"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// unary is a gRPC server that costs as little as one can: it looks at frames, not
// at what they say, and answers every call alike, as soon as its request has ended.
func unary(c *net.TCPConn) {
	in := bufio.NewReaderSize(c, 32<<10)
	if _, err := in.Discard(len(http2.ClientPreface)); err != nil {
		return
	}
	out := bufio.NewWriterSize(c, 32<<10)
	f := http2.NewFramer(out, in)
	f.SetReuseFrames()
	head := fields(":status", "200", "content-type", "application/grpc")
	trailer := fields("grpc-status", "0")
	_ = f.WriteSettings()
	for credit := uint32(0); ; {
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return
			}
		}
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				_ = f.WritePing(true, frame.Data)
			}
		case *http2.DataFrame:
			ended = frame.StreamEnded()
			if credit += frame.Length; credit > 16<<10 {
				_ = f.WriteWindowUpdate(0, credit)
				credit = 0
			}
		}
		if ended {
			id := frame.Header().StreamID
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head, EndHeaders: true})
			_ = f.WriteData(id, false, grpcMessage)
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: trailer, EndHeaders: true, EndStream: true})
		}
	}
}

// grpcMessage is a message of 32 bytes behind its prefix.
var grpcMessage = append([]byte{0, 0, 0, 0, 32}, bytes.Repeat([]byte{'x'}, 32)...)

// fields are names and values, as a block that changes no table: it may be sent again.
func fields(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1], Sensitive: true})
	}
	return b.Bytes()
}

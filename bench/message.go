package main

import (
	"bytes"
	"errors"
	"fmt"
)

var (
	errShort   = errors.New("the head is not complete")
	errChunked = errors.New("the body is chunked: this program reads lengths only")
)

// messageHead is the length of the head that b begins with, and of the body that
// it announces.
func messageHead(b []byte) (head, body int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, 0, errShort
	}
	head = end + 4
	for rest := b[:end+2]; len(rest) > 0; {
		eol := bytes.IndexByte(rest, '\n')
		line := rest[:eol-1]
		rest = rest[eol+1:]
		switch {
		case len(line) > 15 && line[14] == ':' && bytes.EqualFold(line[:14], []byte("content-length")):
			for _, c := range bytes.TrimSpace(line[15:]) {
				body = body*10 + int(c-'0')
			}
		case len(line) > 17 && line[17] == ':' && bytes.EqualFold(line[:17], []byte("transfer-encoding")):
			return 0, 0, errChunked
		}
	}
	return head, body, nil
}

// status is the code of the response that b begins with.
func status(b []byte) int {
	const skip = len("HTTP/1.1 ")
	if len(b) < skip+3 || b[0] != 'H' {
		return 0
	}
	return int(b[skip]-'0')*100 + int(b[skip+1]-'0')*10 + int(b[skip+2]-'0')
}

// get and post are whole requests.
func get(more string) []byte {
	return fmt.Appendf(nil, "GET /orders/17?fields=all HTTP/1.1\r\nHost: orders\r\nUser-Agent: bench\r\nAccept: */*\r\n%s\r\n", more)
}

func post(size int) []byte {
	head := fmt.Appendf(nil, "POST /orders HTTP/1.1\r\nHost: orders\r\nUser-Agent: bench\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", size)
	return append(head, bytes.Repeat([]byte{'x'}, size)...)
}

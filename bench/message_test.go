package main

import "testing"

func TestMessageHead(t *testing.T) {
	for _, c := range []struct {
		message    string
		head, body int
		err        error
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\nxx", 39, 32, nil},
		{"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length:7\r\nA: b\r\n\r\n", 54, 7, nil},
		{"GET / HTTP/1.1\r\n\r\n", 18, 0, nil},
		{"GET / HTTP/1.1\r\nHost: a\r\n", 0, 0, errShort},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0, errChunked},
	} {
		head, body, err := messageHead([]byte(c.message))
		if head != c.head || body != c.body || err != c.err {
			t.Errorf("messageHead(%q) = %d, %d, %v, want %d, %d, %v", c.message, head, body, err, c.head, c.body, c.err)
		}
	}
	if got := status([]byte("HTTP/1.1 503 Service Unavailable\r\n")); got != 503 {
		t.Errorf("status = %d, want 503", got)
	}
}

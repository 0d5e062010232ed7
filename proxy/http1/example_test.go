package http1_test

import (
	"fmt"
	"strings"

	"portside/proxy/http1"
)

func ExampleRequest() {
	buf := []byte("POST http://orders.example/new HTTP/1.1\r\nHost: ignored\r\n" +
		"Connection: X-Secret\r\nX-Secret: 1\r\nAccept:*/*\r\nContent-Length: 002\r\n\r\nhi")

	var req http1.Request
	n, err := req.Parse(buf, http1.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	out := req.AppendHead(nil)
	out = http1.AppendField(out, "X-Forwarded-Proto", "http")
	out = http1.AppendEnd(out)
	fmt.Print(strings.ReplaceAll(string(out)+string(buf[n:]), "\r\n", "\n"))
	// Output:
	// POST /new HTTP/1.1
	// Host: orders.example
	// Accept: */*
	// Content-Length: 2
	// X-Forwarded-Proto: http
	//
	// hi
}

func ExampleRequest_refused() {
	var req http1.Request
	_, err := req.Parse([]byte("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), http1.Limits{})
	fmt.Println(err)
	// Output: parse message: space before the colon of a field line (RFC 9112 5.1)
}

func ExampleChunkReader() {
	var body http1.ChunkReader
	for _, piece := range []string{"5\r\nhel", "lo\r\n7; x=y\r\n, world\r", "\n0\r\nX-Sum: 1\r\n\r\nGET /"} {
		buf := []byte(piece)
		data, n, err := body.Decode(buf)
		fmt.Printf("%q %v, %q is not of the body\n", data, err, buf[n:])
	}
	fmt.Printf("done: %v, trailer: %q\n", body.Done(), body.Trailer)
	// Output:
	// "hel" <nil>, "" is not of the body
	// "lo, world" <nil>, "" is not of the body
	// "" <nil>, "GET /" is not of the body
	// done: true, trailer: "X-Sum: 1\r\n"
}

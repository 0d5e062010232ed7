package http1

import "testing"

const (
	minimal = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	curl    = "GET /orders/42 HTTP/1.1\r\nHost: localhost:7001\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"
	browser = "GET /assets/app/main.js?v=20261122 HTTP/1.1\r\n" +
		"Host: www.example.com\r\n" +
		"Connection: keep-alive\r\n" +
		"Cache-Control: max-age=0\r\n" +
		"sec-ch-ua: \"Chromium\";v=\"130\", \"Google Chrome\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n" +
		"sec-ch-ua-mobile: ?0\r\n" +
		"sec-ch-ua-platform: \"Linux\"\r\n" +
		"Upgrade-Insecure-Requests: 1\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
		"Sec-Fetch-Site: same-origin\r\n" +
		"Sec-Fetch-Mode: navigate\r\n" +
		"Referer: https://www.example.com/orders?page=3\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n" +
		"Cookie: session=3f1c9be0d6b64a6d9f2f4f3c6e0c1f2a; theme=dark; _ga=GA1.1.123456789.1700000000\r\n\r\n"
	answer = "HTTP/1.1 200 OK\r\n" +
		"Date: Sun, 22 Nov 2026 10:00:00 GMT\r\n" +
		"Content-Type: application/json; charset=utf-8\r\n" +
		"Content-Length: 1024\r\n" +
		"Server: Go\r\n" +
		"X-Request-Id: 0f8b1c2d\r\n\r\n"
)

var requests = []struct{ name, raw string }{
	{"minimal", minimal}, {"curl", curl}, {"browser", browser},
}

func BenchmarkParseRequest(b *testing.B) {
	for _, bc := range requests {
		b.Run(bc.name, func(b *testing.B) {
			buf := []byte(bc.raw)
			var r Request
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := r.Parse(buf, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseResponse(b *testing.B) {
	buf := []byte(answer)
	var r Response
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := r.Parse(buf, GET, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	for _, bc := range requests {
		b.Run(bc.name, func(b *testing.B) {
			var r Request
			if _, err := r.Parse([]byte(bc.raw), Limits{}); err != nil {
				b.Fatal(err)
			}
			out := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				out = AppendEnd(r.AppendHead(out[:0]))
			}
		})
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	var r Response
	if _, err := r.Parse([]byte(answer), GET, Limits{}); err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		out = AppendEnd(r.AppendHead(out[:0]))
	}
}

// One byte a chunk is the worst an honest sender does; 4 KiB is ordinary.
func BenchmarkDecodeChunks(b *testing.B) {
	for _, bc := range []struct {
		name string
		size int
	}{{"1B", 1}, {"4KiB", 4 << 10}, {"32KiB", 32 << 10}} {
		b.Run(bc.name, func(b *testing.B) {
			chunk := AppendChunk(nil, make([]byte, bc.size))
			var wire []byte
			for len(wire) < 32<<10 {
				wire = append(wire, chunk...)
			}
			buf := make([]byte, len(wire))
			var c ChunkReader
			b.ReportAllocs()
			b.SetBytes(int64(len(wire)))
			for b.Loop() {
				copy(buf, wire)
				if _, _, err := c.Decode(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

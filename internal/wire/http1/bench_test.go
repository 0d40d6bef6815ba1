package http1

import (
	"testing"

	"evenkeel/internal/message"
)

const browserRequest = "GET /assets/app.js?v=20240501 HTTP/1.1\r\n" +
	"Host: www.example.com\r\n" +
	"Connection: keep-alive\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\n" +
	"Accept-Language: en-GB,en;q=0.9\r\n" +
	"Cache-Control: max-age=0\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n" +
	"Referer: https://www.example.com/index.html\r\n\r\n"

const nginxResponse = "HTTP/1.1 200 OK\r\n" +
	"Server: nginx/1.22.1\r\n" +
	"Date: Wed, 01 May 2024 10:00:00 GMT\r\n" +
	"Content-Type: text/html\r\n" +
	"Content-Length: 1024\r\n" +
	"Last-Modified: Tue, 30 Apr 2024 09:00:00 GMT\r\n" +
	"Connection: keep-alive\r\n" +
	"ETag: \"6630b1c0-400\"\r\n" +
	"Accept-Ranges: bytes\r\n\r\n"

const smallRequest = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"

func benchmarkRequest(b *testing.B, text string) {
	buf := []byte(text)
	var h message.Head
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := ParseRequest(buf, &h, nil); err != nil {
			b.Fatal(err)
		}
		if _, err := RequestFraming(&h); err != nil {
			b.Fatal(err)
		}
		ConnectionTokens(&h)
	}
}

func BenchmarkRequestBrowser(b *testing.B) { benchmarkRequest(b, browserRequest) }
func BenchmarkRequestSmall(b *testing.B)   { benchmarkRequest(b, smallRequest) }

func BenchmarkResponseNginx(b *testing.B) {
	buf := []byte(nginxResponse)
	var h message.Head
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := ParseResponse(buf, &h, nil); err != nil {
			b.Fatal(err)
		}
		if _, err := ResponseFraming(&h, message.MethodGet); err != nil {
			b.Fatal(err)
		}
		ConnectionTokens(&h)
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	var h message.Head
	if _, err := ParseRequest([]byte(browserRequest), &h, nil); err != nil {
		b.Fatal(err)
	}
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendFields(AppendRequestLine(dst[:0], &h), &h)
	}
}

// A head that arrives byte by byte must cost a small multiple of one that does not.
func BenchmarkRequestTrickle(b *testing.B) {
	buf := []byte(browserRequest)
	var h message.Head
	b.ReportAllocs()
	for b.Loop() {
		var p Parser
		for n := 1; n <= len(buf); n++ {
			if _, err := p.Request(buf[:n], &h, nil); err != nil && err != ErrMore {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkDecodeChunks(b *testing.B) {
	body := make([]byte, 0, 32<<10)
	for range 4 {
		body = AppendChunk(body, make([]byte, 4096))
	}
	body = AppendLastChunk(body, nil)
	p := make([]byte, len(body))
	var c ChunkReader
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		c.Reset()
		copy(p, body)
		if _, _, done, err := c.Decode(p); !done || err != nil {
			b.Fatal(done, err)
		}
	}
}

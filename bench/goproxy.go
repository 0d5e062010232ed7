package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"
)

// goProxy is what the standard library offers, well tuned: what portside must
// beat to deserve its own HTTP.
func goProxy(ln net.Listener, p part) {
	var turn atomic.Uint64
	next := func() string { return p.backends[turn.Add(1)%uint64(len(p.backends))] }
	if p.protocol == "tcp" {
		acceptAll(ln, func(c *net.TCPConn) { copyBoth(c, next()) })
		return
	}
	proxy, protocols := reverseProxy(next), new(http.Protocols)
	if p.protocol == "grpc" {
		protocols.SetUnencryptedHTTP2(true)
		proxy.FlushInterval = -1 // at once
	} else {
		protocols.SetHTTP1(true)
	}
	proxy.Transport.(*http.Transport).Protocols = protocols
	server := &http.Server{Handler: proxy, Protocols: protocols, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	_ = server.Serve(ln)
}

func reverseProxy(next func() string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", next()
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		BufferPool: &bufferPool{sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}},
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: 512,
			IdleConnTimeout:     10 * time.Minute,
			DisableCompression:  true,
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte  { return *p.pool.Get().(*[]byte) }
func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }

// copyBoth is the proxy everybody writes first. io.Copy splices.
func copyBoth(client *net.TCPConn, address string) {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return
	}
	backend := c.(*net.TCPConn)
	defer backend.Close()
	var wait sync.WaitGroup
	wait.Go(func() {
		_, _ = io.Copy(backend, client)
		_ = backend.CloseWrite()
	})
	_, _ = io.Copy(client, backend)
	_ = client.CloseWrite()
	wait.Wait()
}

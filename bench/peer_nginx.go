package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func nginxPeer() (peer, error) {
	version, err := versionOf("nginx", "-v")
	stream := nginxStream()
	can := func(s setup) error {
		if s.Protocol == "tcp" && stream == "" {
			return errors.New("has no stream module here (BENCH_NGINX_STREAM names one)")
		}
		return needsList(s)
	}
	return peer{name: "nginx", version: version, can: can, command: func(dir string, s setup) (*exec.Cmd, error) {
		path, err := writeConfig(dir, "nginx.conf", nginxConfig(s, nginxPlace{dir: dir, stream: stream, halfClose: nginxHalfCloses(version), files: descriptors()}))
		if err != nil {
			return nil, err
		}
		return exec.Command("nginx", "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", path), nil
	}}, err
}

// nginxStream is the module that proxies TCP: a file, "built in", or nothing.
func nginxStream() string {
	if path := os.Getenv("BENCH_NGINX_STREAM"); path != "" {
		return path
	}
	out, _ := exec.Command("nginx", "-V").CombinedOutput()
	built := string(out) + " "
	if strings.Contains(built, "--with-stream ") {
		return "built in"
	}
	_, rest, _ := strings.Cut(built, "--modules-path=")
	folder, _, _ := strings.Cut(rest, " ")
	path := filepath.Join(folder, "ngx_stream_module.so")
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// nginxPlace is where nginx lives, and what it may use.
type nginxPlace struct {
	dir       string
	stream    string
	halfClose bool
	files     uint64
}

// nginxHalfCloses reports whether it can pass the end of a client's stream on, as
// the others do, and wait for the backend's; by itself it closes both at once.
func nginxHalfCloses(version string) bool {
	_, number, _ := strings.Cut(version, "nginx/")
	var major, minor, patch int
	if _, err := fmt.Sscanf(number, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return false
	}
	return slices.Compare([]int{major, minor, patch}, []int{1, 21, 4}) >= 0
}

func nginxConfig(s setup, at nginxPlace) string {
	var b strings.Builder
	if os.Geteuid() == 0 {
		b.WriteString("user root;\n") // its workers must reach dir
	}
	if s.Protocol == "tcp" && at.stream != "built in" {
		fmt.Fprintf(&b, "load_module %s;\n", at.stream)
	}
	fmt.Fprintf(&b, `daemon off;
worker_processes 2;
worker_rlimit_nofile %d;
pid %s/nginx.pid;
error_log %[2]s/error.log crit;
events { worker_connections %d; }
`, at.files, at.dir, at.files-100)
	if s.Protocol == "tcp" {
		halfClose := ""
		if at.halfClose {
			halfClose = "proxy_half_close on; "
		}
		fmt.Fprintf(&b, `stream {
  access_log off;
  upstream servers {
%s  }
  server { listen %s backlog=4096; proxy_pass servers; proxy_timeout 10m; proxy_connect_timeout 1s; proxy_buffer_size %s; tcp_nodelay on; %s}
}
`, nginxServers(s), s.Listen, nginxBuffer(s), halfClose)
		return b.String()
	}
	http2, pass := "", nginxHTTP
	if s.Protocol == "grpc" {
		http2, pass = " http2", nginxGRPC
	}
	fmt.Fprintf(&b, `http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  keepalive_timeout 10m;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  upstream servers {
%[2]s    keepalive 128;
    keepalive_requests 1000000000;
    keepalive_timeout 10m;
  }
  server {
    listen %[3]s%[4]s backlog=4096;
    client_body_buffer_size 16k;
    location / {
%[5]s    }
  }
}
`, at.dir, nginxServers(s), s.Listen, http2, pass)
	return b.String()
}

const (
	nginxHTTP = `      proxy_pass http://servers;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_connect_timeout 1s;
      proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_busy_buffers_size 32k; proxy_max_temp_file_size 0;
`
	nginxGRPC = `      grpc_pass grpc://servers;
      grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      grpc_connect_timeout 1s;
`
)

func nginxBuffer(s setup) string {
	if s.Bulk {
		return "64k"
	}
	return "16k" // its default
}

func nginxServers(s setup) string {
	var b strings.Builder
	policy := map[string]string{
		"least_conn": "least_conn", "ewma": "least_conn", "random": "random",
		"hash": "hash $remote_addr consistent",
	}[s.Balance]
	if policy != "" {
		// Only through a zone do the workers know each other's counts.
		fmt.Fprintf(&b, "    zone servers 1m;\n    %s;\n", policy)
	}
	for _, a := range s.Backends {
		fmt.Fprintf(&b, "    server %s;\n", a)
	}
	return b.String()
}

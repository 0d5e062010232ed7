// Package admin is the window into a running portside: its API, its metrics and
// its dashboard, on a port of their own.
//
//	err := admin.Serve(ctx, listener, admin.View{Services: run.services, …})
//
// It reads snapshots and passes commands such as drain on. It keeps nothing but the
// last events, changes nothing by itself, and never shares a port with traffic.
package admin

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"time"

	"portside/pool"
)

// View is what admin can see and do. Every func is safe for concurrent use.
type View struct {
	Services      func() []Service
	Registrations func() []Registration
	// Ready is nil once all listeners are bound and every service has had its
	// first list or a snapshot; otherwise it says what is missing.
	Ready func() error
	// Drain and Undrain take a backend out of rotation and back; Forget lets go
	// of a suspect. Each answers [pool.ErrNotFound] for what is not there.
	Drain, Undrain, Forget func(service, address string) error
	// Reload reads the configuration again and applies the difference.
	Reload func() error
	Events *Events
	// Metrics answers /metrics.
	Metrics http.Handler
	// Profiling opens /debug/pprof/.
	Profiling bool
	// Log takes what net/http logs, at debug. Nil: it goes to standard error.
	Log *slog.Logger
}

//go:embed dashboard.html
var dashboard []byte

// Serve answers on ln until ctx ends. It closes ln and returns when all that it
// started has ended.
func Serve(ctx context.Context, ln net.Listener, v View) error {
	srv := &http.Server{
		Handler:           handler(v, ctx.Done()),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	if v.Log != nil {
		srv.ErrorLog = slog.NewLogLogger(v.Log.Handler(), slog.LevelDebug)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if srv.Shutdown(grace) != nil {
		_ = srv.Close()
	}
	<-ended
	return nil
}

func handler(v View, stop <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
		_, _ = w.Write(dashboard)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", v.ready)
	mux.Handle("GET /metrics", v.Metrics)
	mux.HandleFunc("GET /api/v1/services", func(w http.ResponseWriter, _ *http.Request) { answer(w, v.Services()) })
	mux.HandleFunc("GET /api/v1/services/{name...}", v.service)
	// For other methods: by itself the mux would redirect some, and name methods in Allow
	// that only the paths below have.
	mux.HandleFunc("/api/v1/services", func(w http.ResponseWriter, _ *http.Request) { refuse(w, "GET, HEAD") })
	mux.HandleFunc("/api/v1/services/{path...}", v.verb)
	mux.HandleFunc("GET /api/v1/registrations", func(w http.ResponseWriter, _ *http.Request) { answer(w, v.Registrations()) })
	mux.HandleFunc("GET /api/v1/events", func(w http.ResponseWriter, r *http.Request) { v.Events.serve(w, r, stop) })
	mux.HandleFunc("POST /api/v1/reload", func(w http.ResponseWriter, _ *http.Request) { done(w, v.Reload()) })
	if v.Profiling {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	// A page in somebody's browser must not be able to drain a backend; nor, under a name
	// of its own that resolves to loopback, to read anything.
	return localNames(http.NewCrossOriginProtection().Handler(mux))
}

// localNames refuses requests to a loopback address that name another host: a browser only
// makes such a request after DNS rebinding.
func localNames(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if local != nil && local.IP.IsLoopback() && r.Host != "" && !loopbackName(r.Host) { // a browser names one
			fail(w, http.StatusForbidden, "this address answers only to localhost")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopbackName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func (v View) ready(w http.ResponseWriter, _ *http.Request) {
	if err := v.Ready(); err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}

func (v View) service(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	for _, s := range v.Services() {
		if s.Name == name {
			answer(w, s)
			return
		}
	}
	if _, _, do := v.object(name); do != nil {
		refuse(w, http.MethodPost)
		return
	}
	fail(w, http.StatusNotFound, "no service named "+name)
}

// object splits {service}/backends/{address}/{verb}; do is nil if path is none of that form.
// A service's name may hold slashes, so the path is read from its end.
func (v View) object(path string) (service, address string, do func(service, address string) error) {
	path, name := cutLast(path)
	path, address = cutLast(path)
	service, backends := cutLast(path)
	if backends != "backends" {
		return "", "", nil
	}
	verbs := map[string]func(service, address string) error{"drain": v.Drain, "undrain": v.Undrain, "forget": v.Forget}
	return service, address, verbs[name]
}

// verb answers POST …/{service}/backends/{address}/{verb}.
func (v View) verb(w http.ResponseWriter, r *http.Request) {
	path := r.PathValue("path")
	service, address, do := v.object(path)
	if do == nil {
		if path == "" || slices.ContainsFunc(v.Services(), func(s Service) bool { return s.Name == path }) {
			refuse(w, "GET, HEAD")
			return
		}
		fail(w, http.StatusNotFound, "want /api/v1/services/{service}/backends/{address}/drain, undrain or forget")
		return
	}
	if r.Method != http.MethodPost {
		refuse(w, http.MethodPost)
		return
	}
	err := do(service, address)
	if errors.Is(err, pool.ErrNotFound) {
		code, why := v.notFound(service, address)
		fail(w, code, why)
		return
	}
	done(w, err)
}

// notFound says why a verb had nothing to act on: there is no such service, no such backend,
// or it is not a suspect that could be forgotten.
func (v View) notFound(service, address string) (code int, why string) {
	for _, s := range v.Services() {
		if s.Name != service {
			continue
		}
		for _, b := range s.Backends {
			if b.Address == address { // so the verb was forget
				return http.StatusConflict, fmt.Sprintf("%s of service %s is not a suspect: it is %s", address, service, b.State)
			}
		}
		return http.StatusNotFound, fmt.Sprintf("service %s has no backend %s", service, address)
	}
	return http.StatusNotFound, fmt.Sprintf("no service is named %s, so it has no backend %s", service, address)
}

func cutLast(path string) (before, last string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	_ = enc.Encode(what)
}

func done(w http.ResponseWriter, err error) {
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	answer(w, map[string]bool{"ok": true})
}

// refuse says which methods a path has.
func refuse(w http.ResponseWriter, allowed string) {
	w.Header().Set("Allow", allowed)
	fail(w, http.StatusMethodNotAllowed, "method not allowed; want "+allowed)
}

func fail(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": why})
}

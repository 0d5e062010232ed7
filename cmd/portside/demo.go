package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"portside/cmd/portside/config"
)

func newDemo(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The whole thing on one machine, with nothing installed",
		Long: `Starts an etcd inside this process, three small HTTP servers that register
themselves in it, and a portside that balances one port over them. Ctrl-C ends it
and leaves nothing behind.`,
		Args: argsBetween(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLog(cmd, std)
			if err != nil {
				return err
			}
			return demo(cmd, runOptions{log: log, std: std})
		},
	}
	f := cmd.Flags()
	f.String("port", "7001", "port of the proxied service")
	f.String("admin", "127.0.0.1:7070", "address of the admin API and the dashboard")
	f.Int("etcd-port", 0, "port of the embedded etcd; 0 is any")
	return cmd
}

func demo(cmd *cobra.Command, l runOptions) error {
	if port, _ := cmd.Flags().GetInt("etcd-port"); port != 0 {
		l.etcd.ClientURL = fmt.Sprintf("http://127.0.0.1:%d", port)
	}
	var backends [3]*demoBackend
	for i := range backends {
		b, err := startDemoBackend(i + 1)
		if err != nil {
			return err
		}
		defer b.stop()
		backends[i] = b
	}
	cfg, err := demoConfig(cmd, backends[:])
	if err != nil {
		return err
	}
	l.started = func(p *process) { printInvitation(l.std.out, p, p.config().Etcd.Endpoints[0], backends[:]) }
	return serve(cmd.Context(), cfg, l)
}

// demoConfig is what a user would write for this.
func demoConfig(cmd *cobra.Command, backends []*demoBackend) (*config.Config, error) {
	port, _ := cmd.Flags().GetString("port")
	admin, _ := cmd.Flags().GetString("admin")
	set := []config.Setting{
		{Origin: "demo", Path: []string{"etcd", "endpoints"}, Value: "embedded"},
		{Origin: "flag --admin", Path: []string{"admin"}, Value: admin},
		{Origin: "flag --port", Path: []string{"services", "hello", "listen"}, Value: port},
		{Origin: "demo", Path: []string{"services", "hello", "protocol"}, Value: "http"},
	}
	for _, b := range backends {
		name := fmt.Sprintf("hello-%d", b.number)
		for key, value := range map[string]string{
			"address": b.address, "key": "service/hello/" + b.address, "ttl": "5s", "leave_delay": "0s",
		} {
			set = append(set, config.Setting{Origin: "demo", Path: []string{"register", name, key}, Value: value})
		}
	}
	// What the user has in files and in the environment is none of the demo's.
	return config.Load(config.Options{Search: []string{}, Set: set, Env: func(string) (string, bool) { return "", false }})
}

// demoBackend is a small HTTP server that can be told to die.
type demoBackend struct {
	number  int
	address string
	server  *http.Server
	wait    sync.WaitGroup
}

func startDemoBackend(number int) (*demoBackend, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &demoBackend{number: number, address: ln.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "hello from backend %d at %s\n", b.number, b.address)
	})
	mux.HandleFunc("POST /die", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "backend %d is no more\n", b.number)
		go func() { _ = b.server.Shutdown(context.Background()) }()
	})
	b.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	b.wait.Go(func() { _ = b.server.Serve(ln) })
	return b, nil
}

func (b *demoBackend) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if errors.Is(b.server.Shutdown(ctx), context.DeadlineExceeded) {
		_ = b.server.Close()
	}
	b.wait.Wait()
}

// printInvitation says what to try.
func printInvitation(w io.Writer, p *process, endpoint string, backends []*demoBackend) {
	s := p.running()[0]
	admin := p.config().Admin
	self := os.Args[0]
	fmt.Fprintf(w, "\n  http://%s leads to three backends that portside found in etcd. Try this in another terminal:\n\n", s.ln.Addr())
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	try := func(what, command string, args ...any) {
		fmt.Fprintf(t, "    %s\t# %s\n", fmt.Sprintf(command, args...), what)
	}
	try("again and again: each backend in turn", "curl %s", s.ln.Addr())
	if admin != "" {
		try("what portside sees", "%s status --admin %s", self, admin)
		try("and why, and what happened", "%s explain hello --admin %s", self, admin)
	}
	try("kill backend 1 and see it leave", "curl -X POST %s/die", backends[0].address)
	try("what etcd has", "%s resolve hello --etcd %s", self, endpoint)
	try("one more backend, as long as it runs", "%s register hello 127.0.0.1:9000 --etcd %s -- python3 -m http.server 9000", self, endpoint)
	try("or by hand", "etcdctl --endpoints=%s put service/hello/mine 127.0.0.1:9000", endpoint)
	_ = t.Flush()
	if admin != "" {
		fmt.Fprintf(w, "\n  The dashboard is at http://%s.", admin)
	}
	fmt.Fprintf(w, " Ctrl-C ends it all.\n\n")
}

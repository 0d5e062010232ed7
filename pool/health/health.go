// Package health asks a server whether it can serve.
//
//	ask := health.HTTP("/healthz")
//	err := ask(ctx, "10.0.0.5:8080")   // nil: it can
//
// A [Check] asks once. A [Monitor] asks again and again and says when enough
// answers in a row agree. Neither keeps a connection between two questions.
package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"portside/pool"
)

// Check asks the server at address once. Nil means that it can serve; an error that is
// a [pool.OwnFault], that it could not be asked. It returns by ctx's deadline and is safe
// for concurrent use.
type Check func(ctx context.Context, address string) error

// TCP is a check that a connection is accepted.
func TCP() Check {
	return func(ctx context.Context, address string) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// HTTP is a check that a GET of path, at whatever address is asked, is answered
// with 2xx or 3xx. A whole URL in the place of a path is asked instead of the
// address. Redirects are not followed: they are an answer.
func HTTP(path string) Check {
	client := &http.Client{
		// A connection of its own each time: the question is whether the server
		// accepts one, too.
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, address string) error {
		url := path
		if strings.HasPrefix(path, "/") {
			url = "http://" + address + path
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		req.Header.Set("User-Agent", "portside-health")
		resp, err := client.Do(req)
		if err != nil {
			return plain(err)
		}
		defer resp.Body.Close()
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
		if resp.StatusCode >= 400 {
			return fmt.Errorf("answered %s", resp.Status)
		}
		return nil
	}
}

// plain takes the method and URL off an error of net/http: the caller knows them.
func plain(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// GRPC is a check by grpc.health.v1 of the named service; empty asks about the
// server as a whole. A server that does not know the protocol is healthy if it
// answers at all (gRFC A17).
func GRPC(service string) Check {
	return func(ctx context.Context, address string) error {
		var dialed atomic.Pointer[net.OpError] // of which gRPC keeps only the text
		conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				var d net.Dialer
				conn, err := d.DialContext(ctx, "tcp", address)
				if failed, ok := errors.AsType[*net.OpError](err); ok {
					dialed.Store(failed)
				}
				return conn, err
			}))
		if err != nil {
			return err
		}
		defer conn.Close()
		resp, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: service})
		switch failed := dialed.Load(); {
		case err != nil && failed != nil && pool.OwnFault(failed):
			return failed
		case unimplemented(err):
			return nil
		case err != nil:
			return err
		case resp.GetStatus() != healthpb.HealthCheckResponse_SERVING:
			return fmt.Errorf("answered %s", resp.GetStatus())
		}
		return nil
	}
}

// Exec is a check that command, the program first, exits with 0. The address is
// in its environment as PORTSIDE_ADDRESS. At the deadline, and of what it leaves
// behind when it ends, its process group is killed.
func Exec(command []string) Check {
	return func(ctx context.Context, address string) error {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = append(cmd.Environ(), "PORTSIDE_ADDRESS="+address)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		kill := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		// The shell's death alone would leave its children to run on, a few more each time.
		cmd.Cancel = func() error {
			if err := kill(); !errors.Is(err, syscall.ESRCH) {
				return err
			}
			return os.ErrProcessDone
		}
		// One that left the group and keeps the pipe open must not keep the check waiting.
		cmd.WaitDelay = 100 * time.Millisecond
		out, err := cmd.CombinedOutput()
		if cmd.Process != nil {
			_ = kill() // no other has got its number in the moment since it ended
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n"); line != "" {
			return fmt.Errorf("%w: %.200s", err, line)
		}
		return err
	}
}

func unimplemented(err error) bool { return status.Code(err) == codes.Unimplemented }

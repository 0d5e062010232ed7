package etcd

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What ends a stream or a watch besides what etcd says.
var (
	errSilent    = errors.New("no answer")
	errBehind    = errors.New("too many events waiting")
	errCompacted = errors.New("history compacted")
	errEnded     = errors.New("watch ended by etcd")
	errToken     = errors.New("the token has expired") // a new stream has a new one
)

// refused reports whether etcd has refused, or we have refused its certificate. Trying again
// soon will not help: somebody has to change something.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated:
		return true
	}
	return err != nil && containsAny(err.Error(), "permission denied", "authentication failed",
		"user name is empty", "invalid auth token", "certificate", "tls: ")
}

// brokenOff reports whether err is that of a connection that ended without a reason.
func brokenOff(err error) bool {
	return err != nil && containsAny(err.Error(), "broken pipe", "connection reset", "EOF")
}

// tokenRefused reports whether the stream's own token is at fault: a new
// stream has a new one.
func tokenRefused(reason string) bool {
	return containsAny(reason, "invalid auth token", "revision in header is old", "user name is empty")
}

// leaderless reports whether etcd answers, yet has no quorum.
func leaderless(err error) bool {
	return err != nil && containsAny(err.Error(), "no leader", "request timed out", "leader changed")
}

func containsAny(s string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// plain says in a user's words why there is no answer from etcd. What is what was asked for,
// user is who asked, and since is when the last answer came.
func plain(err error, what, user string, since time.Time) string {
	cause := cause(err)
	switch {
	case err == nil:
		return "not connected yet"
	case refused(err):
		if containsAny(cause, "certificate", "tls: ") {
			return "TLS handshake with etcd failed: " + cause
		}
		if strings.Contains(cause, "permission denied") {
			cause = "permission denied for " + what
		}
		if user == "" && strings.Contains(cause, "user name is empty") {
			cause += " (it has authentication enabled: set etcd.username and etcd.password)"
		}
		if user != "" {
			cause += " (user " + user + ")"
		}
		return "etcd refuses: " + cause
	case leaderless(err):
		return "etcd has no leader since " + clock(since)
	}
	if answered(err) {
		return "etcd cannot do it: " + cause
	}
	if strings.Contains(err.Error(), "server preface") { // what answers does not speak gRPC
		cause += " (is it http:// where etcd serves TLS?)"
	}
	return "etcd unreachable since " + clock(since) + ": " + cause
}

// answered reports whether err is etcd's own answer.
func answered(err error) bool {
	switch status.Code(rpctypes.Error(err)) {
	case codes.ResourceExhausted, codes.FailedPrecondition, codes.InvalidArgument, codes.OutOfRange:
		return true
	}
	var said rpctypes.EtcdError
	return errors.As(rpctypes.Error(err), &said) && said.Code() != codes.Unavailable
}

func clock(t time.Time) string { return t.Format(time.TimeOnly) }

// cause is the text at the core of err, without what gRPC and etcd have wrapped around it.
func cause(err error) string {
	if err == nil {
		return ""
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	text := err.Error()
	var etcd rpctypes.EtcdError
	if errors.As(err, &etcd) {
		text = etcd.Error()
	} else if s, ok := status.FromError(err); ok {
		text = s.Message()
	}
	for _, wrap := range []string{
		"latest balancer error: ", `desc = "`, "desc = ", "transport: ", "Error while dialing: ", "authentication handshake failed: ",
		"error reading server preface: ", "error reading from server: ", "etcdserver: ",
	} {
		if _, inner, found := strings.Cut(text, wrap); found {
			text = inner
		}
	}
	text = strings.ReplaceAll(text, `\"`, `"`)
	text = strings.Trim(strings.TrimSpace(text), `"`)
	if containsAny(text, "context deadline exceeded", "context canceled while waiting for connections", "use of closed network connection") {
		return "no answer in time"
	}
	if strings.HasPrefix(text, "dial ") || strings.HasPrefix(text, "read ") || strings.HasPrefix(text, "write ") {
		if i := strings.LastIndex(text, ": "); i >= 0 {
			text = text[i+2:]
		}
	}
	return text
}

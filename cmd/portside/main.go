// Command portside balances a local port over the backends that a name has in
// etcd now, and keeps servers registered there.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"

	"portside/cmd/portside/config"
	"portside/discovery/etcd"
)

func main() {
	etcd.SilenceGRPC()
	if os.Getenv("GOGC") == "" {
		// Until roomyHeap decides, and where GOMEMLIMIT has it decide nothing: what runs
		// beside every application should be small.
		debug.SetGCPercent(50)
	}
	go spareThreads()
	go roomyHeap()
	os.Exit(run(context.Background(), os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// stdio is where a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	logs     *asyncWriter // writes to err
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, std stdio) int {
	std.logs = newAsyncWriter(std.err, func(bytes int64, err error) {
		if err != nil {
			return // there is nowhere to say it
		}
		fmt.Fprintf(std.err, "portside: %d bytes of the log were lost: nobody was reading\n", bytes)
	})
	root := newRoot(std)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	std.logs.flush()
	if err == nil {
		return 0
	}
	code := 1
	if e, ok := errors.AsType[exit](err); ok {
		if code = e.code; e.err == nil {
			return code
		}
	}
	faults, faulty := errors.AsType[config.Faults](err)
	if faulty {
		code = 2
	}
	format, _ := cmd.Flags().GetString("log-format")
	runs := slices.Contains([]string{"run", "register", "demo"}, cmd.Name())
	switch log, bad := newLog(cmd, std); {
	case runs && format == "json" && bad == nil: // whoever reads the log reads nothing else
		log.Error(err.Error(), "exit_code", code)
		std.logs.flush()
	case faulty:
		fmt.Fprint(std.err, faults.Pretty())
	default:
		fmt.Fprintln(std.err, "portside:", err)
	}
	return code
}

// exit is an error with an exit code of its own. Without an err nothing is printed.
type exit struct {
	code int
	err  error
}

func (e exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e exit) Unwrap() error { return e.err }

// usage is an error in how portside was called.
func usage(format string, args ...any) error { return exit{2, fmt.Errorf(format, args...)} }

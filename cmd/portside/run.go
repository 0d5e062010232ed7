package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"portside/cmd/portside/admin"
	"portside/cmd/portside/config"
	"portside/discovery/etcd/embedded"
)

func newRun(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [NAME=LISTEN[,key=value…] …] [-- COMMAND …]",
		Short: "Proxy the configured services and keep the configured registrations",
		Long: `Proxies every service of the configuration and of the arguments, and registers
what register: names. With -- COMMAND it lives exactly as long as that command,
which starts once every service has its first list of endpoints, from etcd or saved
in the state directory, and not before.

SIGTERM or SIGINT drains, a second one exits at once; SIGHUP reads the
configuration again.`,
		Example: `  portside run -c portside.yaml
  portside run --etcd http://10.0.0.1:2379 orders=7001 ledger=127.0.0.1:7002,balance=least_conn
  portside run web=7001,protocol=http,endpoints=10.0.0.5:80+10.0.0.6:80 -- ./app`,
		RunE: func(cmd *cobra.Command, args []string) error {
			log, err := newLog(cmd, std)
			if err != nil {
				return err
			}
			args, command, err := splitCommand(cmd, args)
			if err != nil {
				return err
			}
			options := configOptions(cmd, std, args)
			cfg, err := loadToRun(options)
			if err != nil {
				return err
			}
			// A reload must not take the next file of the search should this one go.
			options.Path, options.Again = cfg.Source, true
			pprof, _ := cmd.Flags().GetBool("pprof")
			return serve(cmd.Context(), cfg, runOptions{log: log, options: &options, pprof: pprof, command: command, std: std})
		},
	}
	addConfigFlags(cmd)
	addRunFlags(cmd)
	return cmd
}

// splitCommand splits args at --. A -- with nothing behind it is a mistake, such as a
// variable that is not set, and must not be taken for no command at all.
func splitCommand(cmd *cobra.Command, args []string) (before, command []string, err error) {
	at := cmd.ArgsLenAtDash()
	if at < 0 {
		return args, nil, nil
	}
	if before, command = args[:at], args[at:]; len(command) == 0 || command[0] == "" {
		return nil, nil, usage("no command after --; see %s --help", cmd.CommandPath())
	}
	return before, command, nil
}

// loadToRun loads a configuration. One that names nothing to run is an error.
func loadToRun(o config.Options) (*config.Config, error) {
	cfg, err := load(o)
	if err != nil {
		return nil, err
	}
	if cfg.Nothing() {
		return nil, usage("nothing to run: no services and no registrations; write some in portside.yaml or say NAME=LISTEN, such as orders=7001")
	}
	return cfg, nil
}

// runOptions are what a process needs besides its configuration.
type runOptions struct {
	log     *slog.Logger
	options *config.Options // what a reload reads again; nil: nothing, all is on the command line
	etcd    embedded.Options
	pprof   bool
	command []string // the process lives as long as this one does; nil: none
	std     stdio
	// started, when set, is called when all ports are bound and everything runs.
	started func(*process)
}

// serve runs a process from its start to its end.
func serve(ctx context.Context, cfg *config.Config, l runOptions) error {
	// Go drops a signal whose channel is full. Those that are to end us have a channel of
	// their own, so that they are not lost behind those that wait for a reload.
	ends, others := make(chan os.Signal, 2), make(chan os.Signal, 4)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(others, syscall.SIGHUP)
	if l.command != nil {
		signal.Notify(others, passedOn...)
	}
	defer signal.Stop(ends)
	defer signal.Stop(others)
	// Whoever reads our log may go away, which is no reason for us to end: but without this
	// a write to a pipe on standard output or error that nobody reads ends a Go program.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ended := make(chan struct{}) // the embedded etcd too
	defer close(ended)

	file := watched{last: lookAt(cfg.Source)} // as soon as possible: a change since it was read would be missed
	abandon := func() {}
	if cfg.Etcd.Embedded { // even if nothing needs it yet: a reload may
		server, err := embedded.Start(l.etcd)
		if err != nil {
			return err
		}
		defer func() { _ = server.Close() }()
		abandon = func() { _ = server.Abandon() }
		cfg.Etcd.Endpoints = []string{server.Endpoint()}
		l.log.Info("embedded etcd started, for development only", "endpoint", server.Endpoint())
	}
	p, err := newProcess(cfg, l.log)
	if err != nil {
		return err
	}
	p.options, p.file, p.pprof, p.logs = l.options, file, l.pprof, l.std.logs
	p.notRereadable = file.last.notRereadable
	p.abandon, p.ended = abandon, ended
	return p.live(ctx, ends, others, l)
}

// live starts everything, waits for a reason to end, drains, and returns when
// nothing of the process runs any more.
func (p *process) live(ctx context.Context, ends, others <-chan os.Signal, l runOptions) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	p.group, p.ctx = errgroup.WithContext(ctx)
	window, at, err := p.listenAdmin()
	if err != nil {
		p.closeListeners()
		return err
	}
	if l.command == nil {
		close(p.begun)
	}
	p.start()
	p.log.Info("portside started", "services", len(p.services), "registrations", len(p.registrations), "admin", at, "configuration", p.cfg.Source)
	if window != nil { // not before: the API can reload, which needs something that runs
		p.group.Go(func() error { return admin.Serve(p.ctx, window, p.view()) })
	}
	if l.started != nil {
		l.started(p)
	}
	p.group.Go(p.watchConfig)
	p.group.Go(func() error { return reap(p.ctx) })
	tellSystemd("READY=1", p.log)

	why := p.wait(ends, others, l)
	p.drain(ends, why)
	end()
	if err := p.group.Wait(); err != nil {
		return err
	}
	return p.verdict(why)
}

// passedOn are the signals that mean nothing to us and may to the command.
var passedOn = []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT, syscall.SIGWINCH}

// reason is why a process ends: a signal, its command's end, or neither when something has
// failed for good.
type reason struct {
	signal  os.Signal
	command *child // the command, if it was started: it has ended, or is to be ended
	unbegun bool   // there is a command, and nobody tried to start it
}

// wait waits for a reason to end. It starts the command, if there is one, when every service
// has had its first list, so that the command can use its ports at once.
func (p *process) wait(ends, others <-chan os.Signal, l runOptions) (why reason) {
	var ready, exited <-chan struct{}
	if l.command != nil {
		why.unbegun = true
		ready = p.synced()
	}
	for {
		select {
		case <-p.ctx.Done():
			return why
		case <-ready:
			ready, why.unbegun = nil, false
			why.command = startChild(l.command, l.std, p.log)
			exited = why.command.done
			if why.command.started() {
				close(p.begun)
			}
		case <-exited:
			why.command.report()
			return why
		case why.signal = <-ends:
			return why
		case s := <-others:
			p.onOther(s, why.command)
		}
	}
}

// onOther handles a signal that does not end the process: SIGHUP reloads, any other is for the
// command, if it runs.
func (p *process) onOther(s os.Signal, command *child) {
	if n, ok := s.(syscall.Signal); ok && n != syscall.SIGHUP {
		if command != nil {
			command.signal(n)
		}
		return
	}
	if err := p.nothingToRead(); err != nil {
		p.log.Info(err.Error())
		return
	}
	_ = p.reload() // it has said what is wrong
}

// synced returns a channel that is closed when every service has had its first list.
func (p *process) synced() <-chan struct{} {
	all := make(chan struct{})
	var awaited []string
	for _, s := range p.running() {
		if len(s.config().Endpoints) == 0 { // a fixed list is here in a moment
			awaited = append(awaited, s.name)
		}
	}
	if len(awaited) > 0 {
		p.log.Info("the command starts when the first list of endpoints is in", "services", awaited)
	}
	p.group.Go(func() error {
		again := time.NewTicker(250 * time.Millisecond) // a reload may change whom to wait for
		defer again.Stop()
		for {
			s := p.unsynced()
			if s == nil {
				close(all)
				return nil
			}
			select {
			case <-s.pool.Synced():
			case <-again.C:
			case <-p.ctx.Done():
				return nil
			}
		}
	})
	return all
}

// unsynced is a service that has no list yet, or nil.
func (p *process) unsynced() *service {
	for _, s := range p.running() {
		if !s.following.synced() {
			return s
		}
	}
	return nil
}

// drain ends the process's work: first registrations leave etcd, then no new clients are
// accepted, and at drain.timeout the last ones are cut. A second signal ends the process at
// once.
func (p *process) drain(ends <-chan os.Signal, why reason) {
	began, cfg := time.Now(), p.config()
	p.mu.Lock()
	p.draining.Store(true) // from now on nothing is started
	p.hurry()
	p.mu.Unlock()
	tellSystemd("STOPPING=1", p.log)
	go p.exitOnSecond(ends, why.command)
	if why.signal != nil {
		p.log.Info("draining", "signal", why.signal, "delay", cfg.Drain.Delay, "timeout", cfg.Drain.Timeout)
	}
	p.leaveRegistry(why.command != nil && why.signal == nil)
	if why.command != nil {
		why.command.end(why.signal, p.stopTimeout())
	} else if p.ctx.Err() == nil {
		pause(p.ctx, cfg.Drain.Delay-time.Since(began))
	}
	for _, s := range p.running() {
		s.stop()
	}
	p.serving.Wait()
	p.log.Info("drained", "took", time.Since(began).Round(time.Millisecond), "cut", p.cuts.Load())
}

// exitOnSecond ends the process at once when a second signal comes. The command does not
// outlive it, nor does the folder of an embedded etcd in /tmp.
func (p *process) exitOnSecond(ends <-chan os.Signal, command *child) {
	select {
	case <-p.ended:
	case s := <-ends:
		p.log.Warn("second signal: leaving at once", "signal", s)
		n, _ := s.(syscall.Signal)
		p.second.Store(int32(n)) // for verdict: the command's end may end the process before os.Exit
		if command != nil {
			command.kill()
		}
		p.abandon()
		p.logs.flush()
		os.Exit(128 + int(n))
	}
}

// pause waits for d or ctx.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// verdict is the exit code, as an error, of a process in which nothing has failed for good.
func (p *process) verdict(why reason) error {
	if n := p.second.Load(); n != 0 {
		return exit{128 + int(n), nil}
	}
	if why.command != nil {
		return why.command.verdict()
	}
	if n, ok := why.signal.(syscall.Signal); ok && why.unbegun {
		return exit{128 + int(n), nil} // 0 would say that the command has run
	}
	if n := p.cuts.Load(); n > 0 {
		return exit{1, fmt.Errorf("cut %s that had not finished after drain.timeout (%s)", count(int(n), "connection"), p.config().Drain.Timeout)}
	}
	return nil
}

// listenAdmin opens the admin port, if there is to be one, and says where it is.
func (p *process) listenAdmin() (ln net.Listener, at string, err error) {
	if p.cfg.Admin == "" {
		return nil, "", nil
	}
	if ln, err = listen(p.ctx, "admin", p.cfg.Admin); err != nil {
		return nil, "", err
	}
	return ln, ln.Addr().String(), nil
}

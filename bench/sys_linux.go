package main

import (
	"context"
	"net"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the processor time of a whole process so far, ended threads
// included, in nanoseconds of the scheduler rather than in ticks:
// clock_getcpuclockid(3) spells the clock of another process like this.
func cpuTime(pid int) (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}

// listenLoopbackNet listens on all of 127.0.0.0/8 at once, and nowhere else:
// ten thousand backends for one socket.
func listenLoopbackNet() (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), "lo") }); e != nil {
			return e
		}
		return err
	}}
	return lc.Listen(context.Background(), "tcp4", "0.0.0.0:0")
}

// pace gives this goroutine a thread whose sleeps end when they should.
func pace() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// sleepUntil sleeps finer than the runtime's timers, which an idle process
// rounds up to a millisecond.
func sleepUntil(t time.Time) {
	if d := time.Until(t); d > 0 {
		ts := unix.NsecToTimespec(int64(d))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
	}
}

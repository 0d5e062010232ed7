//go:build !linux

package main

import (
	"errors"
	"net"
	"time"
)

var errLinux = errors.New("bench measures on Linux only")

func cpuTime(int) (time.Duration, error) { return 0, errLinux }

func listenLoopbackNet() (net.Listener, error) { return nil, errLinux }

func pace() {}

func sleepUntil(t time.Time) { time.Sleep(time.Until(t)) }

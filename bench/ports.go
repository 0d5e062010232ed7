package main

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// listenLow listens on a port of the loopback below those that the kernel gives to
// clients, as services do.
func listenLow() (net.Listener, error) {
	const low, high = 12000, 32000
	for range 100 {
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(low+rand.IntN(high-low))))
		if err == nil {
			return ln, nil
		}
	}
	return nil, errors.New("find a free port: a hundred were taken")
}

// freeAddr is an address that nobody listens on now. A load's clients will not take
// it before its proxy does.
func freeAddr() (string, error) {
	ln, err := listenLow()
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

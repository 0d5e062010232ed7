package main

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// freeAddr is an address of the loopback that nobody listens on now, below the
// ports that the kernel gives to clients: those of a load would take it before
// its proxy does.
func freeAddr() (string, error) {
	const low, high = 12000, 32000
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(low+rand.IntN(high-low)))
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			return addr, ln.Close()
		}
	}
	return "", errors.New("find a free port: a hundred were taken")
}

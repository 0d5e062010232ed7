package main

import (
	"net"
	"testing"
)

func TestAddressAuto(t *testing.T) {
	ip := func(s string) net.Addr { return &net.IPNet{IP: net.ParseIP(s)} }
	loopback, four, six, link := ip("127.0.0.1"), ip("10.0.0.5"), ip("2001:db8::5"), ip("fe80::1")
	for _, c := range []struct {
		address, pod string
		interfaces   []net.Addr
		want         string
		fails        bool
	}{
		{"auto:80", "", []net.Addr{loopback, link, six, four}, "10.0.0.5:80", false},
		{"auto:80", "", []net.Addr{loopback, link, six}, "[2001:db8::5]:80", false},
		{"auto:80", "10.9.9.9", []net.Addr{four}, "10.9.9.9:80", false},
		{"auto:80", "", []net.Addr{loopback, link}, "", true},
		{"127.0.0.1:80", "10.9.9.9", []net.Addr{four}, "127.0.0.1:80", false},
	} {
		got, err := resolveAuto(c.address, func(string) string { return c.pod }, func() ([]net.Addr, error) { return c.interfaces, nil })
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s with POD_IP %q became %q (%v), want %q", c.address, c.pod, got, err, c.want)
		}
	}
}

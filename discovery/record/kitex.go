package record

import (
	"encoding/json"
	"strings"
)

// kitexOrdinary is the weight Kitex and Hertz assume.
const kitexOrdinary = 10

// readKitex reads Kitex' and Hertz' {"network","address","weight","tags"}.
func readKitex(in entry) (Reading, error) {
	var v struct {
		Network, Address, Port, Weight loose
		Tags                           json.RawMessage
	}
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	if offNetwork(string(v.Network)) {
		return absent("network is %q, not TCP", short(string(v.Network)))
	}
	return in.one(said{
		address: string(v.Address), port: string(v.Port), weight: string(v.Weight),
		ordinary: kitexOrdinary, more: metadata(v.Tags),
	})
}

// offNetwork names the transports that no TCP connection reaches.
func offNetwork(network string) bool {
	switch strings.ToLower(network) {
	case "unix", "unixgram", "unixpacket", "udp", "udp4", "udp6", "quic", "kcp", "memu", "inprocess", "rdma":
		return true
	}
	return false
}

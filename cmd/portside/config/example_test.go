package config_test

import (
	"errors"
	"fmt"
	"strings"

	"portside/cmd/portside/config"
)

func ExampleLoad() {
	const file = `
services:
  orders:
    listen: 7001
    balance: leastconn
    timeouts: {connect: 5}
`
	_, err := config.Load(config.Options{Path: "-", Stdin: strings.NewReader(file)})
	if faults, ok := errors.AsType[config.Faults](err); ok {
		fmt.Print(faults.Pretty())
	}
	// Output:
	// standard input:5:14: services.orders.balance: unknown balance "leastconn"
	//     5 |     balance: leastconn
	//       |              ^
	//       = did you mean least_conn? one of round_robin, least_conn, ewma, random, hash
	// standard input:6:25: services.orders.timeouts.connect: a duration without a unit
	//     6 |     timeouts: {connect: 5}
	//       |                         ^
	//       = write 5s
}

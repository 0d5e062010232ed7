package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The test binary plays the backends, too.
func TestMain(m *testing.M) {
	if name := os.Getenv(roleEnv); name != "" {
		play(name, os.Args[1:])
		return
	}
	goleak.VerifyTestMain(m)
}

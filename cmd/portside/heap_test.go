package main

import "testing"

func TestGarbageMayGatherToAFixedAmount(t *testing.T) {
	for alive, want := range map[uint64]int{0: 400, 1 << 20: 400, 6 << 20: 400, 12 << 20: 200, 24 << 20: 100, 1 << 30: 100} {
		if got := gcPercent(alive); got != want {
			t.Errorf("with %d bytes alive: %d percent, want %d", alive, got, want)
		}
	}
}

package main

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestMedianIsTheMiddle(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, math.NaN()},
		{[]float64{7}, 7},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{1, 100, 2, 3}, 2.5},
	} {
		if got := median(c.values); !cmp.Equal(got, c.want, cmpopts.EquateNaNs()) {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestSpreadIsHalfTheRange(t *testing.T) {
	if got := spread([]float64{90, 100, 120}); got != 15 {
		t.Errorf("spread = %v %%, want 15: half of 30 over 100", got)
	}
	if got := spread([]float64{5}); got != 0 {
		t.Errorf("one round has spread %v, want 0", got)
	}
}

// The machine was three times slower in the second round, for all: the ratio
// does not care.
var drifting = []round{
	{"portside": {"cpu": 8, "rate": 90}, "haproxy": {"cpu": 10, "rate": 100}, "nginx": {"cpu": 16, "rate": 120}},
	{"portside": {"cpu": 24, "rate": 30}, "haproxy": {"cpu": 48, "rate": 20}, "nginx": {"cpu": 30, "rate": 40}},
	{"haproxy": {"cpu": 1, "rate": 1}},
}

func TestRatiosAreTakenWithinRounds(t *testing.T) {
	if diff := cmp.Diff([]float64{0.8, 0.8}, ratios(drifting, cpuOp, "portside", "haproxy", "nginx")); diff != "" {
		t.Errorf("cpu over the lowest of each round (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]float64{0.75, 0.75}, ratios(drifting, rate, "portside", "haproxy", "nginx")); diff != "" {
		t.Errorf("rate over the highest of each round (-want +got):\n%s", diff)
	}
	if got := ratios(drifting, cpuOp, "portside", "caddy"); len(got) != 0 {
		t.Errorf("ratios to a peer that never ran: %v, want none", got)
	}
}

func TestVerdictNeedsEveryRound(t *testing.T) {
	for want, values := range map[string][]float64{
		"portside wins":   {0.7, 0.9},
		"portside loses":  {1.2, 1.01},
		"rounds disagree": {0.9, 1.1},
	} {
		if got := judge(cpuOp, values); got != want {
			t.Errorf("judge(%v) = %q, want %q", values, got, want)
		}
	}
	if got := judge(rate, []float64{1.2}); got != "portside wins" {
		t.Errorf("more requests a second: %q, want a win", got)
	}
}

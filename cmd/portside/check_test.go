package main

import (
	"bytes"
	"strings"
	"testing"
)

// What is read from standard input is named alike, be it good or bad.
func TestCheckNamesStandardInput(t *testing.T) {
	for text, want := range map[string]string{
		"services: {a: {listen: 17101, endpoints: [\"10.0.0.7:1\"]}}\n": "standard input: ok",
		"services: {a: {listen: x}}\n":                                  "standard input:1:",
	} {
		var out bytes.Buffer
		run(t.Context(), []string{"check", "-c", "-"}, stdio{in: strings.NewReader(text), out: &out, err: &out})
		if !strings.Contains(out.String(), want) {
			t.Errorf("it says %q, want %q", out.String(), want)
		}
	}
}

// The environment is part of what would run.
func TestCheckReadsTheLogLevelOfTheEnvironment(t *testing.T) {
	t.Setenv("PORTSIDE_LOG_LEVEL", "debu")
	if code, _, complaint := says(t, "check", "a=17101"); code != 2 || !strings.Contains(complaint, `"debu"`) {
		t.Errorf("exit code %d, %q; want 2 and the level that is unknown", code, complaint)
	}
}

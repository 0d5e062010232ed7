package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

var someResult = result{
	workload: workload{name: "http/a<b", says: "a test", figures: perRequest},
	names:    []string{"portside", "haproxy", "nginx", direct},
	rounds:   drifting,
	skipped:  []string{"caddy not on PATH"},
}

func TestPlotIsXML(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(plot(someResult)))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("a browser will not show this plot: %v\n%s", err, plot(someResult))
		}
	}
}

func TestTableTellsLossesToo(t *testing.T) {
	var b strings.Builder
	printResult(&b, someResult)
	for _, want := range []string{"  ÷ best", "nginx ÷ best  ×1.62", "×0.80", "×0.75", "without caddy"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
	if got := summary([]result{someResult}); !strings.Contains(got, "portside wins") {
		t.Errorf("portside spends 0.8 of the better peer in each round, the summary says:\n%s", got)
	}
}

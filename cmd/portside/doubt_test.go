package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"portside/discovery/record"
)

// Twenty servers of one mistake are one line, and another mistake is another.
func TestADoubtIsSaidOnceOfItsKind(t *testing.T) {
	d, err := record.New("service/a/", record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	read := decode(d, slog.New(slog.NewTextHandler(&log, nil)))
	for i := range 20 {
		for _, host := range []string{"127.0.0.1", "0.0.0.0", "10.0.0.1"} {
			address := fmt.Sprintf("%s:%d", host, 8000+i)
			if _, _, err := read("service/a/"+address, []byte(address)); err != nil {
				t.Fatal(err)
			}
		}
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "127.0.0.1:8000") || !strings.Contains(lines[1], "0.0.0.0:8000") {
		t.Errorf("want a line of loopback and one of 0.0.0.0, got:\n%s", &log)
	}
}

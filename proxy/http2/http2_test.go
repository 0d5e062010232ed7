package http2

import "testing"

func TestGreets(t *testing.T) {
	for text, want := range map[string]bool{
		string(frame(typeSettings, 0, 0)):                                  true,
		string(frame(typeSettings, 0, 0, 0, 3, 0, 0, 0, 100)) + "\x00\x00": true,
		string(frame(typeSettings, 0, 0)[:frameHead-1]):                    false,
		string(frame(typeSettings, 1, 0)):                                  false, // an acknowledgement
		string(frame(typeSettings, 0, 1)):                                  false,
		string(frame(typeHeaders, 0, 0)):                                   false,
		"HTTP/1.1 200 OK\r\n":                                              false,
		"":                                                                 false,
	} {
		if got := Greets([]byte(text)); got != want {
			t.Errorf("%q greets: %t", text, got)
		}
	}
}

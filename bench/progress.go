package main

import (
	"fmt"
	"os"
)

// progress shows what goes on, on one line of a terminal.
func (b *bed) progress(text string) {
	if b.live {
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", text)
	}
}

func (b *bed) clearLine() { b.progress("") }

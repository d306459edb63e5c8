package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// std is where a command reads and writes.
type std struct {
	in       io.Reader
	out, err io.Writer
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// A usageError is the person's mistake on the command line: exit code 2.
type usageError struct{ error }

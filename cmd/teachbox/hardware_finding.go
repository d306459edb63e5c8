package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// A finding is how one part fared in a test.
type finding struct {
	part   string
	result result
	note   string // what was seen, or what is wrong and what to do
}

// A result is how a part fared, in a word.
type result string

// The results of a test.
const (
	passed   result = "ok"
	failed   result = "FAILED"
	skipped  result = "skipped"    // by the person's wish, or because it is simulated
	untested result = "not tested" // the test ended before
)

// conclude prints what was found. The error, which is told by that, says that
// not all is well.
func conclude(w io.Writer, found []finding) error {
	count := make(map[result]int)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PART\tRESULT\tNOTE")
	for _, f := range found {
		count[f.result]++
		printf(t, "%s\t%s\t%s\n", f.part, string(f.result), f.note)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d ok, %d failed, %d skipped, %d not tested\n", count[passed], count[failed], count[skipped], count[untested])
	if count[failed]+count[untested] > 0 {
		return reported{errors.New("hardware test: not all is well")}
	}
	return err
}

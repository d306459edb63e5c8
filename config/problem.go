package config

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid is wrapped by every error about what a configuration says.
var ErrInvalid = errors.New("invalid configuration")

// maxProblems bounds the lines of one error.
const maxProblems = 20

// A problem is one thing that is wrong.
type problem struct {
	line, column int    // counted from one; 0: not known or of no use
	key          string // "": not about one key
	text         string // such as "out of range (got 0; want 1 to 60)"
}

// An invalid is the error of a configuration with problems. It has one line
// for each, "file:line: key: what is wrong (got …; want …)".
type invalid struct {
	file     string // "": not from a file
	problems []problem
}

func (e *invalid) Error() string {
	var lines []string
	for i, p := range e.problems {
		if i == maxProblems {
			p.key, p.column, p.text = "", 0, "more problems, not listed (mend these first)"
		}
		line := ""
		if e.file != "" {
			line = e.file
			if p.line > 0 {
				line += fmt.Sprintf(":%d", p.line)
			}
			if p.column > 0 {
				line += fmt.Sprintf(":%d", p.column)
			}
			line += ": "
		}
		if p.key != "" {
			line += p.key + ": "
		}
		lines = append(lines, line+p.text)
		if i == maxProblems {
			break
		}
	}
	return strings.Join(lines, "\n")
}

func (e *invalid) Unwrap() error { return ErrInvalid }

// nearest returns the candidate that a person most likely meant by the unknown
// key name, or "".
func nearest(name string, candidates []string) string {
	name = strings.ToLower(name)
	last := lastPart(name)
	best, least := "", 1+min(3, max(1, len(last)/2))
	for _, c := range candidates {
		// The right key in the wrong table is as near as one wrong letter.
		d := min(distance(name, c), 1+distance(last, lastPart(c)))
		if d < least {
			best, least = c, d
		}
	}
	return best
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// distance is the Levenshtein distance of two names, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1) // distances of a[:i] to every prefix of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

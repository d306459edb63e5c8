package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"

	"teachbox/internal/api"
)

// exitNoBox is the exit code of status where no box runs.
const exitNoBox = 3

// statusCmd shows how a box is. Its exit code is 0 if the box is well, 1 if
// something is wrong with it and 3 if none runs.
type statusCmd struct {
	boxFlags
	Once bool `help:"Print it once, on a terminal, too."`
	JSON bool `help:"Print it once, as JSON."`
}

// Help explains the exit codes.
func (*statusCmd) Help() string {
	return "The exit code is 0 if the box is well, 1 if something is wrong with it, and 3 if no box runs."
}

// errUnwell is told by the exit code alone: what is wrong was printed.
var errUnwell = errors.New("the box is not well")

func (c *statusCmd) Run(ctx context.Context, top *cli, s std) error {
	r, err := c.running(ctx, top, s)
	if errors.Is(err, errNoBox) {
		return exitError{err, exitNoBox}
	}
	if err != nil {
		return err
	}
	defer r.close()
	out, terminal := s.out.(*os.File)
	if terminal && isTerminal(out) && !c.Once && !c.JSON {
		return c.live(ctx, r, out)
	}
	now, err := r.Snapshot(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(s.out).Encode(now)
	} else {
		_, err = io.WriteString(s.out, strings.Join(statusLines(now), "\n")+"\n")
	}
	return errors.Join(err, unwell(now))
}

// unwell is an error that needs no words if something is wrong with the box.
func unwell(s api.Snapshot) error {
	if len(s.Health) > 0 {
		return reported{errUnwell}
	}
	return nil
}

// redrawStatus is how often the live line is drawn anew.
const redrawStatus = 250 * time.Millisecond

// live shows the box until ctx ends.
func (c *statusCmd) live(ctx context.Context, r *reached, out *os.File) error {
	var last api.Snapshot
	drawn := 0
	for s, err := range r.Snapshots(ctx, redrawStatus) {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		width, height, err := term.GetSize(int(out.Fd()))
		if err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
		lines := fold(statusLines(s), width, height)
		if _, err := io.WriteString(out, redrawn(lines, drawn)); err != nil {
			return err
		}
		drawn, last = len(lines), s
	}
	fmt.Fprintln(out)
	if ctx.Err() == nil {
		return exitError{fmt.Errorf("the box has ended: %w", errNoBox), exitNoBox}
	}
	return unwell(last)
}

// redrawn is lines of text in the place of those drawn before. The cursor stays
// in the last one.
func redrawn(lines []string, before int) string {
	up := "\r"
	if before > 1 {
		up = fmt.Sprintf("\r\x1b[%dA", before-1)
	}
	return up + "\x1b[J" + strings.Join(lines, "\n")
}

// fold breaks lines between words so that they fit on a terminal; what does not
// fit at all is cut off. The last column stays free.
func fold(lines []string, width, height int) []string {
	const indent = "  "
	cells := new(runewidth.Condition)
	width = max(width-1, 10)
	var folded []string
	for _, line := range lines {
		text := ""
		for word := range strings.FieldsSeq(line) {
			switch {
			case text == "":
				text = word
			case cells.StringWidth(text+" "+word) <= width:
				text += " " + word
			default:
				folded = append(folded, cells.Truncate(text, width, "…"))
				text = indent + word
			}
		}
		folded = append(folded, cells.Truncate(text, width, "…"))
	}
	return folded[:min(len(folded), max(height-1, 1))]
}

// statusLines is the box in words: how it is, then what is wrong.
func statusLines(s api.Snapshot) []string {
	parts := []string{state(s)}
	if v := sees(s); v != "" {
		parts = append(parts, "sees "+v)
	}
	c := s.Contents
	parts = append(parts, titled("lesson", c.Name)+": "+amounts(len(c.Classes), c.Presses, c.Frames))
	if s.Hint && len(s.Health) == 0 && s.Looks > 0 && !s.Locked {
		parts = append(parts, "it asks for the empty desk: clear it, then tap nothing")
	}
	lines := []string{strings.Join(parts, "; ")}
	for _, p := range s.Health {
		line := p.Part + ", since " + p.Since.Local().Format("2006-01-02 15:04:05")
		if p.Blinks > 0 {
			line += fmt.Sprintf(", %d blinks", p.Blinks)
		}
		line += ": " + p.Message
		if p.Remedy != "" {
			line += " [" + p.Remedy + "]"
		}
		lines = append(lines, line)
	}
	return lines
}

// state says in a few words how a box is.
func state(s api.Snapshot) string {
	text := "well"
	switch {
	case len(s.Health) > 0:
		var parts []string
		for _, p := range s.Health {
			parts = append(parts, p.Part)
		}
		text = "unwell (" + strings.Join(parts, ", ") + ")"
	case s.Recomputing != nil:
		text = fmt.Sprintf("looking at %d of %d kept pictures again", s.Recomputing.Done, s.Recomputing.Total)
	case s.Looks == 0:
		text = "starting"
	case s.Asleep:
		text = "asleep"
	}
	if s.Locked {
		text += ", teaching is locked"
	}
	return text
}

// sees is what the LEDs say, in a word, or "" before the first look.
func sees(s api.Snapshot) string {
	switch {
	case s.Looks == 0:
		return ""
	case s.Nothing:
		return "nothing"
	}
	for _, k := range s.Contents.Classes {
		if s.Known && k.Button == s.Lit {
			return nameOf(k)
		}
	}
	return "nothing that it knows"
}

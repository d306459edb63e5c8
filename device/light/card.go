package light

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"teachbox/device"
)

const (
	cardLeft  = 22       // columns of what one does or sees
	cardRight = 48       // columns of what it means, two after the left ones
	cardDot   = 150 * ms // of one dot, but every span has one
	cardStrip = cardLeft // dots that are drawn
)

// Card writes the card for the classroom wall: what to do, what the lights say
// and what to do then, for a box that is wired like w. It is plain text of 72
// columns; a dot is about a sixth of a second.
func Card(out io.Writer, w device.Wiring) error {
	var c card
	fmt.Fprintln(&c, "TEACHBOX")
	c.text("Show it something and press a button. Show it something else and press another one. From then on the box lights up by itself.")

	c.head("TEACHING")
	c.row("tap a button", "One example of what the camera sees.")
	c.row("hold a button", "More examples, 5 a second. Move the thing while you hold.")
	if w.Nothing {
		c.row("tap NOTHING", "Teaches the empty desk: no light for what you see now. Keep the desk empty for a second.")
		c.row("hold NOTHING, tap a button", "Takes back the last press of that button. Again takes back one more.")
		c.row("hold NOTHING, hold a button for 2 s", "Forgets all that the button was taught. Letting go in time stops it.")
		c.row("hold NOTHING alone for 5 s", "A new lesson. Letting go in time stops it. The old lesson is kept: do it again at once and it comes back.")
	}

	c.head("THE LIGHT OF A BUTTON")
	c.row(strip(Rhythm{time.Second}, false), "I see what this button was taught.")
	c.row(strip(guess(), false), "I guess so. Press once more to make me sure.")
	c.row("all dark", "I do not know this.")
	kept := "An example was kept."
	switch {
	case w.Nothing && w.Status:
		kept += " (Of NOTHING: the status light winks.)"
	case w.Nothing:
		kept += " (Of NOTHING: all lights wink.)"
	}
	c.row("one quick wink", kept)
	c.row("slow ticks", "Too much like the last one: move the thing.")
	if w.Nothing {
		c.row("two slow winks", "The last press was taken back.")
		c.row("quicker and quicker", "About to be forgotten; one long wink: forgotten.")
		c.row("going out one by one", "About to begin a new lesson; all blink long: begun.")
		c.row("coming on one by one", "The last lesson is back.")
	}
	if w.Nothing {
		c.row("all flicker together", "Not done: nothing to take back or bring back, no picture came, or teaching is locked.")
	} else {
		c.row("all flicker together", "Not done: no picture came, or teaching is locked.")
	}
	if w.Status {
		c.row("once, one by one", "Starting: every light must come on.")
	} else {
		c.row("once, one by one", "Starting: every light must come on. Every ten seconds: all is well, but I do not know this.")
	}

	if w.Status {
		c.head("THE STATUS LIGHT")
	} else {
		c.head("ALL BUTTON LIGHTS TOGETHER")
	}
	signals := Signals()
	slices.Reverse(signals) // good news first, then by the count of blinks
	slices.SortStableFunc(signals, func(a, b Signal) int { return len(a.Rhythm) - len(b.Rhythm) })
	for _, g := range signals {
		if g.When == Hint && !w.Nothing || g.When&Faults == 0 && !w.Status {
			continue
		}
		c.row(strip(g.Rhythm, false), strings.TrimSpace(g.Means+" "+g.Do))
		if g.When == Well {
			c.row(strip(g.Rhythm, true), "Upside down: someone is watching through the camera.")
		}
	}
	if w.Status {
		c.row("dark", "The box is off or broken. Fetch an adult.")
	} else {
		c.row("dark for 10 s and more", "The box is off or broken. Fetch an adult.")
	}
	c.text("Count the blinks between two pauses. Colour and brightness mean nothing.")
	_, err := out.Write(c.Bytes())
	return err
}

// A card is a page of two columns.
type card struct{ bytes.Buffer }

func (c *card) head(title string) { fmt.Fprintf(c, "\n%s\n", title) }

func (c *card) text(s string) {
	fmt.Fprintln(c)
	for _, line := range wrap(s, cardLeft+2+cardRight) {
		fmt.Fprintln(c, line)
	}
}

func (c *card) row(left, right string) {
	l, r := wrap(left, cardLeft), wrap(right, cardRight)
	for i := range max(len(l), len(r)) {
		var a, b string
		if i < len(l) {
			a = l[i]
		}
		if i < len(r) {
			b = r[i]
		}
		fmt.Fprintln(c, strings.TrimRight(fmt.Sprintf("%-*s  %s", cardLeft, a, b), " "))
	}
}

// wrap breaks s at spaces into lines of at most width runes. Longer words stand
// alone.
func wrap(s string, width int) []string {
	var lines []string
	for _, word := range strings.Fields(s) {
		last := len(lines) - 1
		if last >= 0 && utf8.RuneCountInString(lines[last]+" "+word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

// strip draws a rhythm, or its opposite.
func strip(r Rhythm, inverted bool) string {
	var dots []string
	for i := 0; len(dots) < cardStrip; i = (i + 1) % len(r) {
		dot := "●"
		if i%2 == 0 == inverted {
			dot = "○"
		}
		for range max(1, int(r[i].Round(cardDot)/cardDot)) {
			dots = append(dots, dot)
		}
	}
	return strings.Join(dots[:cardStrip], "")
}

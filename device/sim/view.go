package sim

import (
	"cmp"
	"fmt"
	"image"
	"io"
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"

	"teachbox/device"
)

// The size in which View.Picture is drawn, in half-blocks.
const (
	PreviewWidth  = 32
	PreviewHeight = 24
)

// A View is what there is to see of a simulated box. Whoever runs the box fills
// it; all words are the box's own.
type View struct {
	Wiring   device.Wiring
	Lights   device.Lights
	Down     [device.MaxSlots + 1]bool   // by button
	Taught   [device.MaxSlots + 1]Taught // by button
	Desk     string                      // what lies there; "" if it is empty
	Verdict  string                      // a class, or "unknown"; "" before the first one
	Familiar string                      // how familiar it looks; may be ""
	State    string                      // how the box is, such as "well"; may be ""
	Said     string                      // the last words of a script; may be ""
	// Picture is what the camera sees, PreviewWidth×PreviewHeight; nil: none.
	Picture *image.RGBA
}

// Taught is what was taught with one button.
type Taught struct {
	Name     string // of the class; "" if there is none
	Examples int
}

// Draw writes a view as one screen of at most 80 columns and 24 lines, over the
// one before it, in one write. In colour the picture is shown too.
func Draw(w io.Writer, v View, colour bool) error {
	lines := []string{styled(colour, "1", " Teachbox, simulated"), ""}
	words := v.words()
	if colour && v.Picture != nil {
		for y := 0; y < PreviewHeight; y += 2 {
			line := " " + blocks(v.Picture, y)
			if i := y/2 - 1; i >= 0 && i < len(words) {
				line += "  " + fit(words[i], 78-PreviewWidth-3)
			}
			lines = append(lines, line)
		}
	} else {
		for _, word := range words {
			lines = append(lines, " "+fit(word, 78))
		}
	}
	lines = append(lines, "")
	lines = append(lines, v.panel(colour)...)
	buttons := fmt.Sprintf(" 1 to %d tap", v.Wiring.Slots)
	if v.Wiring.Nothing {
		buttons += "   0 nothing"
	}
	lines = append(lines, "",
		buttons+"   with Shift, or after h: hold, again: let go",
		" n next thing   p previous   c next class   e empty desk   q quit")

	// The screen is painted over, not cleared first, and held back until it is
	// whole by terminals that know how (mode 2026): it does not flicker.
	screen := "\x1b[?2026h\x1b[H" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J\x1b[?2026l"
	_, err := io.WriteString(w, screen)
	return err
}

// words are the lines beside the picture.
func (v View) words() []string {
	return []string{
		"desk      " + cmp.Or(v.Desk, "empty"),
		"verdict   " + cmp.Or(v.Verdict, "none yet"),
		"familiar  " + cmp.Or(v.Familiar, "–"),
		"box       " + cmp.Or(v.State, "–"),
		"",
		v.Said,
	}
}

// panel draws the LEDs above their buttons, what was taught with each and how
// many examples it has.
func (v View) panel(colour bool) []string {
	// The usual colours of the LEDs, by slot, then the status LED's.
	palette := [device.MaxSlots + 1]string{"91", "94", "93", "92", "95", "96", "33", "97", "97"}
	const column = 8
	rows := make([]string, 4)
	add := func(i int, button, led, lit bool, taught Taught) {
		cells := [4]string{" ", "   ", taught.Name, ""}
		style := ""
		if led {
			cells[0] = "○"
			if lit {
				cells[0], style = "●", palette[i]
			}
		}
		if button {
			face := fmt.Sprint(i + 1)
			if i == int(device.Nothing) {
				face, cells[2] = "0", "nothing"
			}
			if cells[1] = "[" + face + "]"; v.Down[i] {
				cells[1] = ">" + face + "<"
			}
			cells[3] = fmt.Sprint(taught.Examples)
		}
		for row, cell := range cells {
			cell = fit(cell, column-1)
			width := new(runewidth.Condition).StringWidth(cell)
			left := (column - width) / 2
			right := column - left - width
			if row == 0 && style != "" {
				cell = styled(colour, style, cell)
			}
			rows[row] += strings.Repeat(" ", left) + cell + strings.Repeat(" ", right)
		}
	}
	for i := range v.Wiring.Slots {
		add(i, true, true, v.Lights&device.Slot(i) != 0, v.Taught[i])
	}
	if v.Wiring.Nothing {
		add(int(device.Nothing), true, false, false, v.Taught[device.Nothing])
	}
	if v.Wiring.Status {
		add(device.MaxSlots, false, true, v.Lights&device.Status != 0, Taught{Name: "status"})
	}
	return rows
}

// styled sets text in a style of ECMA-48.
func styled(colour bool, style, text string) string {
	if !colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// blocks draws two rows of a picture as one line of upper half-blocks.
func blocks(img *image.RGBA, y int) string {
	var b strings.Builder
	for x := range PreviewWidth {
		top, bottom := img.RGBAAt(x, y), img.RGBAAt(x, y+1)
		fmt.Fprintf(&b, "\x1b[38;2;%d;%d;%d;48;2;%d;%d;%dm▀", top.R, top.G, top.B, bottom.R, bottom.G, bottom.B)
	}
	b.WriteString("\x1b[0m")
	return b.String()
}

// fit cuts text to a width in columns and takes out what would move the cursor.
func fit(text string, width int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text)
	// A Condition of our own, since the package's depends on the environment.
	return new(runewidth.Condition).Truncate(text, width, "…")
}

// Line is the view in one line, without what changes all the time: the LEDs,
// the buttons, and how familiar a thing looks.
func Line(v View) string {
	var taught []string
	for i, t := range v.Taught {
		if device.Button(i) == device.Nothing {
			t.Name = "nothing"
		}
		if t.Examples > 0 {
			taught = append(taught, fmt.Sprintf("%s %d", t.Name, t.Examples))
		}
	}
	line := fmt.Sprintf("desk: %s; verdict: %s; taught: %s; box: %s", cmp.Or(v.Desk, "empty"),
		cmp.Or(v.Verdict, "none yet"), cmp.Or(strings.Join(taught, ", "), "none yet"), cmp.Or(v.State, "–"))
	if v.Said != "" {
		line += "; " + v.Said
	}
	return fit(line, 1000)
}

// A Log shows views where there is no terminal: one line for each change.
type Log struct {
	w    io.Writer
	last string
}

// NewLog returns a log that writes to w.
func NewLog(w io.Writer) *Log { return &Log{w: w} }

// Draw writes the view's line if it differs from the one before it.
func (l *Log) Draw(v View) error {
	line := Line(v)
	if line == l.last {
		return nil
	}
	l.last = line
	_, err := fmt.Fprintln(l.w, line)
	return err
}

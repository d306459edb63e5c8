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

// The size in which View.Picture is drawn, in half-blocks, and the smaller one
// of a screen that is not high enough for it.
const (
	PreviewWidth  = 32
	PreviewHeight = 24
	smallWidth    = 24
	smallHeight   = 18
)

// The size of the screen that a view takes, in columns and lines. In less than
// the least it does not fit, and of more than the most the rest stays empty.
const (
	leastWidth  = 72
	leastHeight = 20
	mostWidth   = 80
	mostHeight  = 24
)

// maxNotes is the greatest number of lines for what was said and for notes.
const maxNotes = 4

// A View is what there is to see of a simulated box. Whoever runs the box fills
// it; all words are the box's own.
type View struct {
	Wiring   device.Wiring
	Lights   device.Lights
	Down     [device.MaxSlots + 1]bool   // by button
	Taught   [device.MaxSlots + 1]Taught // by button
	NoDesk   bool                        // the camera is not a simulated one
	Desk     string                      // what lies there; "" if it is empty
	Verdict  string                      // a class, "nothing" or "unknown"; "" before the first one
	Familiar string                      // how familiar it looks; may be ""
	State    string                      // how the box is, in a word or two; may be ""
	Said     string                      // the last words of a script, or about the last key; may be ""
	// Notes are sentences for the person, the most urgent one first: what is
	// wrong and what to do about it, and what was done last.
	Notes []string
	// Picture is what the camera sees, PreviewWidth×PreviewHeight; nil: none.
	Picture *image.RGBA
}

// Taught is what was taught with one button.
type Taught struct {
	Name     string // of the class; "" if there is none
	Examples int
}

// A Screen is what a view is drawn on.
type Screen struct {
	Width, Height int  // in columns and lines
	Colour        bool // and with it the picture
}

// Draw writes a view as one screen of at most 80 columns and 24 lines, over the
// one before it, in one write. On one of less than 72 columns or 20 lines it
// only says so. In colour the picture is shown too.
func Draw(w io.Writer, v View, s Screen) error {
	s.Width, s.Height = min(s.Width, mostWidth), min(s.Height, mostHeight)
	var lines []string
	if s.Width < leastWidth || s.Height < leastHeight {
		lines = wrap([]string{fmt.Sprintf("Make the window at least %d×%d.", leastWidth, leastHeight)}, s.Width, s.Height)
	} else {
		lines = v.lines(s)
	}
	// The screen is painted over, not cleared first, and held back until it is
	// whole by terminals that know how (mode 2026): it does not flicker.
	screen := "\x1b[?2026h\x1b[H" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J\x1b[?2026l"
	_, err := io.WriteString(w, screen)
	return err
}

// lines is the view on a screen that is large enough.
func (v View) lines(s Screen) []string {
	lines := []string{styled(s.Colour, "1", " Teachbox, simulated")}
	words := v.words()
	if s.Colour && v.Picture != nil {
		picture := v.Picture
		if s.Height < mostHeight {
			picture = stretch(picture, smallWidth, smallHeight)
		}
		width, height := picture.Rect.Dx(), picture.Rect.Dy()
		for y := 0; y < height; y += 2 {
			line := " " + blocks(picture, y)
			if i := y/2 - 1; i >= 0 && i < len(words) {
				line += "  " + fit(words[i], s.Width-2-width-3)
			}
			lines = append(lines, line)
		}
	} else {
		lines = append(lines, "")
		for _, word := range words {
			lines = append(lines, " "+fit(word, s.Width-2))
		}
		lines = append(lines, "")
	}
	below := append(v.panel(s), "")
	below = append(below, v.help()...)

	// What is said takes as many lines whether it is long or short, so that
	// the panel stays where it is.
	room := min(maxNotes, s.Height-len(lines)-len(below))
	notes := wrap(append([]string{v.Said}, v.Notes...), s.Width-2, room)
	for i := range room {
		line := ""
		if i < len(notes) {
			line = " " + notes[i]
		}
		lines = append(lines, line)
	}
	return append(lines, below...)
}

// words are the lines beside the picture.
func (v View) words() []string {
	words := []string{
		"verdict   " + cmp.Or(v.Verdict, "none yet"),
		"familiar  " + cmp.Or(v.Familiar, "–"),
		"box       " + cmp.Or(v.State, "–"),
	}
	if v.NoDesk {
		return words
	}
	return append([]string{"desk      " + cmp.Or(v.Desk, "empty")}, words...)
}

// help says what the keys do.
func (v View) help() []string {
	buttons := fmt.Sprintf(" 1 to %d tap", v.Wiring.Slots)
	if v.Wiring.Nothing {
		buttons += "   0 nothing"
	}
	buttons += "   h 1 hold, h 1 again let go (US keys: Shift 1)"
	if v.NoDesk {
		return []string{buttons, " q quit"}
	}
	return []string{buttons, " c next kind   n next of this kind   p previous   e empty desk   q quit"}
}

// panel draws the LEDs above their buttons, what was taught with each and how
// many examples it has.
func (v View) panel(s Screen) []string {
	// The usual colours of the LEDs, by slot, then the status LED's.
	palette := [device.MaxSlots + 1]string{"91", "94", "93", "92", "95", "96", "33", "97", "97"}
	places := v.Wiring.Slots
	if v.Wiring.Nothing {
		places++
	}
	if v.Wiring.Status {
		places++
	}
	column := min(8, s.Width/places)
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
				cell = styled(s.Colour, style, cell)
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
	for x := range img.Rect.Dx() {
		top, bottom := img.RGBAAt(x, y), img.RGBAAt(x, y+1)
		fmt.Fprintf(&b, "\x1b[38;2;%d;%d;%d;48;2;%d;%d;%dm▀", top.R, top.G, top.B, bottom.R, bottom.G, bottom.B)
	}
	b.WriteString("\x1b[0m")
	return b.String()
}

// fit cuts text to a width in columns and takes out what would move the cursor.
func fit(text string, width int) string {
	// A Condition of our own, since the package's depends on the environment.
	return new(runewidth.Condition).Truncate(printable(text), width, "…")
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, text)
}

// wrap breaks paragraphs into at most most lines of a width in columns, between
// words where it can. The last line ends in … if there is more.
func wrap(paragraphs []string, width, most int) []string {
	var lines []string
	columns := new(runewidth.Condition).StringWidth
	for _, paragraph := range paragraphs {
		line := ""
		for word := range strings.FieldsSeq(printable(paragraph)) {
			switch {
			case line == "":
				line = word
			case columns(line)+1+columns(word) <= width:
				line += " " + word
			default:
				lines = append(lines, line)
				line = word
			}
			// A word that is longer than a line, such as a path.
			for columns(line) > width {
				part := new(runewidth.Condition).Truncate(line, width, "")
				if part == "" { // not even one character fits
					return nil
				}
				lines = append(lines, part)
				line = line[len(part):]
			}
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) > most {
		lines = lines[:max(0, most)]
		if most > 0 {
			lines[most-1] = fit(lines[most-1]+" …", width)
		}
	}
	return lines
}

// maxLogLine is the greatest width of a line of a log, in columns. Notes may be
// long, but not without end.
const maxLogLine = 1000

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
	var parts []string
	if !v.NoDesk {
		parts = append(parts, "desk: "+cmp.Or(v.Desk, "empty"))
	}
	parts = append(parts,
		"verdict: "+cmp.Or(v.Verdict, "none yet"),
		"taught: "+cmp.Or(strings.Join(taught, ", "), "none yet"),
		"box: "+cmp.Or(v.State, "–"))
	parts = append(parts, v.Notes...)
	if v.Said != "" {
		parts = append(parts, v.Said)
	}
	return fit(strings.Join(parts, "; "), maxLogLine)
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

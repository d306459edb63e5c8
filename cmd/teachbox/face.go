package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"teachbox/device"
	"teachbox/device/sim"
	"teachbox/internal/box"
	"teachbox/internal/supervise"
)

// remarkTime is how long a remark stays on the screen.
const remarkTime = 4 * time.Second

// redraw is how often the screen is drawn anew.
const redraw = 80 * time.Millisecond

// tap is how long a tapped key pushes its button: well below what counts as
// holding it.
const tap = 150 * time.Millisecond

// A face shows a box to a person: on a terminal it can also be played with,
// elsewhere it writes a line for every change, and with --json nothing.
type face struct {
	a        *appliance
	out      io.Writer // of words before and after the views; nil with --json
	draw     func(sim.View) error
	terminal *sim.Terminal // nil if there is none

	mu    sync.Mutex
	said  string
	until time.Time // when said goes away; zero: with the next words
	last  box.Event // the last thing that was done, or not done; its kind is 0 if nothing was yet
}

func (c *runCmd) face(a *appliance, s std) (*face, error) {
	f := &face{a: a, draw: func(sim.View) error { return nil }}
	in, okIn := s.in.(*os.File)
	out, okOut := s.out.(*os.File)
	switch {
	case c.JSON:
	case okIn && okOut && isTerminal(in) && isTerminal(out):
		t, err := sim.OpenTerminal(in, out)
		if err != nil {
			return nil, err
		}
		f.terminal, f.draw, f.out = t, t.Draw, s.out
	default:
		f.draw, f.out = sim.NewLog(s.out).Draw, s.out
		if c.Script == "" {
			fmt.Fprintln(f.out, "Teachbox runs until it is interrupted; each change is a line.")
		}
	}
	return f, nil
}

// close gives the terminal back; where there is none it tells how the box was
// at its end, which must have come.
func (f *face) close() {
	if f.terminal != nil {
		f.terminal.Close()
		return
	}
	_ = f.draw(f.view())
}

// bye closes the face and says where the lesson is.
func (f *face) bye(dir string) {
	f.close()
	if f.out != nil {
		fmt.Fprintln(f.out, "the lesson is kept in", dir)
	}
}

// say shows words until there are others, or a key.
func (f *face) say(text string) { f.tell(text, time.Time{}) }

// remark shows words that go away by themselves.
func (f *face) remark(text string) { f.tell(text, time.Now().Add(remarkTime)) }

func (f *face) tell(text string, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said, f.until = text, until
}

// observe takes note of what was done. It may be called from any goroutine, and
// does not wait.
func (f *face) observe(e box.Event) {
	switch e.Kind {
	case box.Kept, box.Skipped, box.TakenBack, box.Forgotten, box.NewLesson, box.Restored, box.Refused, box.Edited, box.Locked, box.Unlocked:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.last = e
	}
}

// run draws and takes keys until ctx ends; quit ends the box.
func (f *face) run(ctx context.Context, quit func()) {
	var keys sync.WaitGroup
	defer keys.Wait()
	if f.terminal != nil {
		keys.Go(func() {
			defer quit()
			_ = f.terminal.Run(ctx, func(k sim.Key) { f.key(k, quit) })
		})
	}
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// A log that nobody reads any more is no reason to end the box; a
			// terminal that has gone is.
			if f.draw(f.view()) != nil && f.terminal != nil {
				quit()
				return
			}
		}
	}
}

// key does what a key asks for. What cannot be done is said on the screen.
func (f *face) key(k sim.Key, quit func()) {
	var err error
	f.say("") // what was said about the key before is over
	switch desk, panel := f.a.desk, f.a.panel; k.Action {
	case sim.Quit:
		quit()
	case sim.TapButton:
		err = panel.Tap(k.Button, tap)
	case sim.HoldButton:
		if panel.Down(k.Button) {
			err = panel.Release(k.Button)
		} else {
			err = panel.Press(k.Button)
		}
	case sim.WhichButton:
		f.say("hold: which button?")
	case sim.Unknown:
		f.remark("this key does nothing: see below for those that do")
	default:
		if desk == nil {
			err = errors.New("nothing can be put on the desk: the camera is not a simulated one")
			break
		}
		switch k.Action {
		case sim.NextThing:
			err = desk.Next()
		case sim.PreviousThing:
			err = desk.Previous()
		case sim.NextClass:
			err = desk.NextClass()
		case sim.EmptyDesk:
			desk.Clear()
		}
	}
	if err != nil {
		f.remark(err.Error())
	}
}

// view is what the screen shows of the box.
func (f *face) view() sim.View {
	s := f.a.box.Snapshot()
	v := sim.View{
		Wiring: f.a.wiring, Lights: s.Lights, NoDesk: f.a.desk == nil,
		Verdict: verdict(&s), Familiar: familiar(&s), State: condition(&s),
	}
	for b := range v.Down {
		v.Down[b] = f.a.panel.Down(device.Button(b))
	}
	for _, k := range s.Contents.Classes {
		v.Taught[k.Button] = sim.Taught{Name: k.Name, Examples: k.Frames}
	}
	if f.a.desk != nil {
		v.Desk = f.a.desk.Shown()
		if f.terminal != nil {
			v.Picture = f.a.desk.Preview(sim.PreviewWidth, sim.PreviewHeight)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.until.IsZero() || time.Now().Before(f.until) {
		v.Said = f.said
	}
	v.Notes = notes(&s, f.last)
	return v
}

// verdict is what the LEDs say, in a word, or "" before the first look. The
// LEDs are dark for *nothing* as they are for a strange thing; a screen can tell
// them apart.
func verdict(s *box.Snapshot) string {
	switch {
	case s.Looks == 0:
		return ""
	case s.Nothing:
		return device.Nothing.String()
	}
	for _, k := range s.Contents.Classes {
		if s.Known && k.Button == s.Lit {
			return k.Name
		}
	}
	return "unknown"
}

// condition says in a few words how the box is.
func condition(s *box.Snapshot) string {
	switch {
	case len(s.Problems) > 0:
		var parts []string
		for _, p := range s.Problems {
			parts = append(parts, p.Part)
		}
		return "unwell (" + strings.Join(parts, ", ") + ")"
	case s.Recomputing.Pending > 0:
		return fmt.Sprintf("busy, %d kept pictures are still to be looked at again", s.Recomputing.Pending)
	case s.Looks == 0:
		return "starting"
	case s.Asleep:
		return "asleep"
	case s.Locked:
		return "well, teaching is locked"
	}
	return "well"
}

// notes are what is wrong, what the box asks for and what was done last, in this
// order.
func notes(s *box.Snapshot, last box.Event) []string {
	var notes []string
	for _, p := range s.Problems {
		notes = append(notes, complaint(p))
	}
	if len(notes) == 0 && s.Hint && s.Looks > 0 && !s.Locked {
		notes = append(notes, "it asks for the empty desk: clear it, then tap nothing")
	}
	if text := deed(last, s.Problems); text != "" {
		notes = append(notes, "last: "+text)
	}
	return notes
}

// complaint is a problem in words. The name of the part comes first, unless the
// error names it itself.
func complaint(p supervise.Problem) string {
	text := p.Err.Error()
	if subject, _, _ := strings.Cut(text, ":"); strings.Contains(subject, p.Part) {
		return text
	}
	return p.Part + ": " + text
}

// deed is what an event did, in words; "" if nothing. A refusal does not repeat
// what is told as a problem anyway.
func deed(e box.Event, told []supervise.Problem) string {
	button := label(e.Button)
	switch e.Kind {
	case box.Kept:
		return "kept an example of " + button
	case box.Skipped:
		return "left out a picture of " + button + ": it is like the one before (move the thing a little)"
	case box.TakenBack:
		return "took back a press of " + button
	case box.Forgotten:
		return "forgot " + button
	case box.NewLesson:
		return "new lesson (the old one is kept)"
	case box.Restored:
		return "the last lesson is back"
	case box.Edited:
		return "lesson changed: " + strings.TrimSpace(e.Step.Kind+" "+e.Step.What)
	case box.Locked:
		return "teaching is locked"
	case box.Unlocked:
		return "teaching is unlocked"
	case box.Refused:
		for _, p := range told {
			if strings.Contains(e.Err.Error(), p.Err.Error()) {
				return "not done, because of that"
			}
		}
		return "not done: " + e.Err.Error()
	}
	return ""
}

// label is what a button is called beside its number key.
func label(b device.Button) string {
	if b == device.Nothing {
		return b.String()
	}
	return strconv.Itoa(int(b) + 1)
}

// How familiar a thing looks, in words: people take a number for a certainty.
// The steps are fractions of the way from the threshold for unknown to an
// exact copy.
const (
	wellKnown = 0.5
	known     = 0.2
)

func familiar(s *box.Snapshot) string {
	r := s.Report()
	if r == nil || s.Nothing { // the figure is of the things that light an LED
		return ""
	}
	switch way := (s.Accept - r.Theta) / (1 - r.Theta); {
	case way >= wellKnown:
		return "very familiar"
	case way >= known:
		return "familiar"
	case way >= 0:
		return "hardly familiar"
	}
	return "not familiar"
}

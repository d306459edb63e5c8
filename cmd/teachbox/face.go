package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"teachbox/device"
	"teachbox/device/sim"
	"teachbox/internal/box"
)

// A face shows a box to a person: on a terminal it can also be played with,
// elsewhere it writes a line for every change, and with --json nothing.
type face struct {
	a        *appliance
	draw     func(sim.View) error
	terminal *sim.Terminal // nil if there is none

	mu   sync.Mutex
	said string
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
		f.terminal, f.draw = t, t.Draw
	default:
		f.draw = sim.NewLog(s.out).Draw
	}
	return f, nil
}

func (f *face) close() {
	if f.terminal != nil {
		f.terminal.Close()
	}
}

func (f *face) say(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = text
}

// redraw is how often the screen is drawn anew.
const redraw = 80 * time.Millisecond

// tap is how long a tapped key pushes its button: well below what counts as
// holding it.
const tap = 150 * time.Millisecond

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
			if f.draw(f.view()) != nil {
				quit() // whoever looked has gone
				return
			}
		}
	}
}

// key does what a key asks for. What cannot be done is said on the screen.
func (f *face) key(k sim.Key, quit func()) {
	var err error
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
	default:
		if desk == nil {
			err = errors.New("there is no simulated desk: the camera is another one")
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
		f.say(err.Error())
	}
}

// view is what the screen shows of the box.
func (f *face) view() sim.View {
	s := f.a.box.Snapshot()
	v := sim.View{Wiring: f.a.wiring, Lights: s.Lights, Verdict: "unknown", State: condition(&s)}
	for b := range v.Down {
		v.Down[b] = f.a.panel.Down(device.Button(b))
	}
	for _, k := range s.Contents.Classes {
		v.Taught[k.Button] = sim.Taught{Name: k.Name, Examples: k.Frames}
		if s.Known && k.Button == s.Lit {
			v.Verdict = k.Name
		}
	}
	if s.Looks == 0 {
		v.Verdict = ""
	}
	v.Familiar = familiar(&s)
	if f.a.desk != nil {
		v.Desk = f.a.desk.Shown()
		if f.terminal != nil {
			v.Picture = f.a.desk.Preview(sim.PreviewWidth, sim.PreviewHeight)
		}
	}
	f.mu.Lock()
	v.Said = f.said
	f.mu.Unlock()
	return v
}

// condition says in a few words how the box is.
func condition(s *box.Snapshot) string {
	switch {
	case len(s.Problems) > 0:
		return s.Problems[0].Part + ": " + s.Problems[0].Err.Error()
	case s.Looks == 0:
		return "starting"
	case s.Asleep:
		return "asleep"
	case s.Locked:
		return "well, teaching is locked"
	case s.Hint:
		return "well; it wants to see the empty desk and nothing tapped"
	}
	return "well"
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
	if r == nil {
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

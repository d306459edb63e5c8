package main

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
	"teachbox/device/devicetest"
)

// A tester is a person who does what the walk asks, at a panel that may be
// wired wrongly.
type tester struct {
	panel  *devicetest.FakePanel
	wiring device.Wiring
	typed  *io.PipeWriter
	busy   sync.WaitGroup // what the tester still does

	dark    device.Lights                   // LEDs that never light
	wired   map[device.Button]device.Button // which button comes for which
	missed  map[device.Button]bool          // buttons that the person mistakes for the next, once
	broken  map[device.Button]bool          // buttons that never come
	instead map[string]func()               // what is done when something is said that begins so
	said    []string                        // all that was said
}

// testWalk lets a tester walk. The findings come as a text, "LED of slot 1: ok".
func testWalk(t *testing.T, prepare func(p *tester, cancel func())) (p *tester, found []string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		in, out := io.Pipe()
		p = &tester{
			panel: devicetest.NewFakePanel(), wiring: device.Wiring{Slots: 3, Nothing: true, Status: true}, typed: out,
			wired: make(map[device.Button]device.Button), missed: make(map[device.Button]bool), broken: make(map[device.Button]bool),
			instead: make(map[string]func()),
		}
		prepare(p, cancel)
		w := walk{panel: p.panel, wiring: p.wiring, out: p, wait: 30 * time.Second, answers: typedLines(ctx, in)}
		var fs []finding
		fs, err = w.run(ctx)
		for _, f := range fs {
			found = append(found, joined(": ", f.part, string(f.result), f.note))
		}
		if l := p.panel.Lights(); l != 0 {
			t.Errorf("after the walk the LEDs show %v (want them dark)", l)
		}
		cancel()
		_ = out.Close()
		p.busy.Wait()
	})
	return p, found, err
}

// Write reads what the walk says and does it.
func (p *tester) Write(said []byte) (int, error) {
	for line := range strings.Lines(string(said)) {
		p.said = append(p.said, strings.TrimSpace(line))
		p.busy.Go(func() { p.act(line) })
	}
	return len(said), nil
}

func (p *tester) act(line string) {
	time.Sleep(time.Second)
	for question, do := range p.instead {
		if strings.HasPrefix(line, question) {
			do()
			return
		}
	}
	if answer, ok := answerTo(line, p.panel.Lights()&^p.dark); ok {
		_, _ = io.WriteString(p.typed, answer)
	}
	if b, ok := buttonOf(line); ok {
		p.push(b)
	}
}

// answerTo is what a person types who sees these lights, if a line is a
// question about an LED.
func answerTo(line string, lit device.Lights) (answer string, ok bool) {
	m := regexp.MustCompile(`^Is the (.*) lit, and no other\?`).FindStringSubmatch(line)
	switch {
	case m == nil:
		return "", false
	case lit != 0 && lit&(lit-1) == 0 && ledName(lit) == m[1]:
		return " Yes \n", true
	}
	return "n\n", true
}

// buttonOf is the button that a line asks a person to press, if it does.
func buttonOf(line string) (b device.Button, ok bool) {
	m := regexp.MustCompile(`^Press the (.*)\. \[s skips|If it was the (.*), the two are swapped`).FindStringSubmatch(line)
	if m == nil {
		return 0, false
	}
	for b = range device.Nothing {
		if buttonName(b) == m[1]+m[2] {
			return b, true
		}
	}
	return device.Nothing, true
}

// push pushes a button, with the bounce of a real one.
func (p *tester) push(b device.Button) {
	if p.broken[b] {
		return
	}
	if p.missed[b] {
		delete(p.missed, b)
		b++
	}
	if other, ok := p.wired[b]; ok {
		b = other
	}
	for range 3 {
		p.panel.Press(b)
		p.panel.Release(b)
	}
	p.panel.Press(b)
	time.Sleep(200 * time.Millisecond)
	p.panel.Release(b)
	p.panel.Press(b)
	p.panel.Release(b)
}

// allWell is what a walk finds where every part is well.
func allWell() []string {
	return []string{
		"LED of slot 1: ok", "LED of slot 2: ok", "LED of slot 3: ok", "status LED: ok",
		"button of slot 1: ok", "button of slot 2: ok", "button of slot 3: ok", "nothing button: ok",
	}
}

func TestWalk(t *testing.T) {
	const swapped = " came: the two are swapped, on the box or in the configuration"
	for _, tt := range []struct {
		name    string
		prepare func(p *tester, cancel func())
		but     map[int]string // what is found other than ok
		err     error
	}{
		{name: "well", prepare: func(*tester, func()) {}},
		{name: "LEDs that stay dark", prepare: func(p *tester, _ func()) { p.dark = device.Slot(1) | device.Status }, but: map[int]string{
			1: "LED of slot 2: FAILED: check its pin, its resistor, which way round it sits, and active",
			3: "status LED: FAILED: check its pin, its resistor, which way round it sits, and active",
		}},
		{name: "swapped", prepare: func(p *tester, _ func()) { p.wired[0], p.wired[2] = 2, 0 }, but: map[int]string{
			4: "button of slot 1: FAILED: the button of slot 3" + swapped,
			6: "button of slot 3: FAILED: the button of slot 1" + swapped,
		}},
		{name: "nothing swapped", prepare: func(p *tester, _ func()) { p.wired[device.Nothing] = 1 }, but: map[int]string{
			7: "nothing button: FAILED: the button of slot 2" + swapped,
		}},
		{name: "another one once, then none", prepare: func(p *tester, _ func()) {
			p.wired[2] = 0
			p.instead["You pressed"] = func() {}
		}, but: map[int]string{6: "button of slot 3: FAILED: the button of slot 1 came, then no press within 30s: check its pin, its wires, and pull"}},
		{name: "mistaken once", prepare: func(p *tester, _ func()) { p.missed[1] = true }},
		{name: "mistaken for two others", prepare: func(p *tester, _ func()) {
			p.instead["Press the button of slot 1"] = func() { p.push(1) }
			p.instead["You pressed the button of slot 2"] = func() { p.push(2) }
		}},
		{name: "mistaken for two others, the second one twice", prepare: func(p *tester, _ func()) {
			p.instead["Press the button of slot 1"] = func() { p.push(1) }
			p.instead["You pressed the"] = func() { p.push(2) }
		}, but: map[int]string{4: "button of slot 1: FAILED: the button of slot 3" + swapped}},
		{name: "a button that never comes", prepare: func(p *tester, _ func()) { p.broken[1] = true }, but: map[int]string{
			5: "button of slot 2: FAILED: no press within 30s: check its pin, its wires, and pull",
		}},
		{name: "a button that is always down", prepare: func(p *tester, _ func()) {
			p.panel.Press(1)
			p.broken[1] = true
		}, but: map[int]string{
			5: "button of slot 2: FAILED: pressed though nobody touches it: check its wires, pull, and active",
		}},
		{name: "a button that trembles", prepare: func(p *tester, cancel func()) {
			p.instead["Is the status LED"] = func() {
				_, _ = io.WriteString(p.typed, "y\n")
				for range 6000 {
					p.panel.Press(2)
					time.Sleep(5 * time.Millisecond)
					p.panel.Release(2)
					time.Sleep(5 * time.Millisecond)
				}
			}
		}, but: map[int]string{
			6: "button of slot 3: FAILED: comes and goes though nobody touches it: check its wires, and pull",
		}},
		{name: "skipped", prepare: func(p *tester, _ func()) {
			p.instead["Is the LED of slot 2"] = p.types("s\n")
			p.instead["Press the nothing button"] = p.types("what?\ns\n")
		}, but: map[int]string{1: "LED of slot 2: skipped", 7: "nothing button: skipped"}},
		{name: "asked again", prepare: func(p *tester, _ func()) {
			p.instead["Is the LED of slot 2"] = p.types("perhaps\n\ny\n")
		}},
		{name: "quit at an LED", prepare: func(p *tester, _ func()) { p.instead["Is the LED of slot 3"] = p.types("q\n") }, err: errEarly, but: untestedFrom(2)},
		{name: "quit at a button", prepare: func(p *tester, _ func()) { p.instead["Press the button of slot 2"] = p.types("q\n") }, err: errEarly, but: untestedFrom(5)},
		{name: "answers given before", prepare: func(p *tester, _ func()) {
			p.instead["Is the"] = func() {}
			p.busy.Go(p.types("y\nn\ny\ny\n"))
		}, but: map[int]string{1: "LED of slot 2: FAILED: check its pin, its resistor, which way round it sits, and active"}},
		{name: "end of the input at an LED", prepare: func(p *tester, _ func()) {
			p.instead["Is the LED of slot 2"] = func() { _ = p.typed.Close() }
		}, err: errNoAnswer, but: untestedFrom(1)},
		{name: "end of the input at a button", prepare: func(p *tester, _ func()) {
			p.instead["Press the button of slot 1"] = func() {
				_ = p.typed.Close()
				p.push(0)
			}
		}},
		{name: "told to end at an LED", prepare: func(p *tester, cancel func()) { p.instead["Is the LED of slot 1"] = cancel }, err: errEarly, but: untestedFrom(0)},
		{name: "told to end at a button", prepare: func(p *tester, cancel func()) { p.instead["Press the nothing"] = cancel }, err: errEarly, but: untestedFrom(7)},
		{name: "told to end before", prepare: func(_ *tester, cancel func()) { cancel() }, err: errEarly, but: untestedFrom(0)},
		{name: "the panel fails", prepare: func(p *tester, _ func()) {
			p.instead["Press the button of slot 1"] = func() { p.panel.Fail(device.ErrAbsent) }
		}, err: device.ErrAbsent, but: untestedFrom(4)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := allWell()
			for i, text := range tt.but {
				want[i] = text
			}
			p, found, err := testWalk(t, tt.prepare)
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v (want %v)", err, tt.err)
			}
			if t.Failed() {
				t.Log(strings.Join(p.said, "\n"))
			}
		})
	}
}

// TestWalkSays holds what a person reads.
func TestWalkSays(t *testing.T) {
	p, _, _ := testWalk(t, func(p *tester, _ func()) {
		p.wiring = device.Wiring{Slots: 2}
		p.missed[0] = true
		p.panel.Press(1)
		p.instead["Let go"] = func() { p.panel.Release(1) }
	})
	want := []string{
		"Is the LED of slot 1 lit, and no other? [y/n, s skips, q quits]",
		"Is the LED of slot 2 lit, and no other? [y/n, s skips, q quits]",
		"Let go of all buttons.",
		"Press the button of slot 1. [s skips, q quits]",
		"You pressed the button of slot 2. If it was the button of slot 1, the two are swapped, on the box or in the configuration. Press it once more, to be sure.",
		"Press the button of slot 2. [s skips, q quits]",
	}
	if diff := cmp.Diff(want, p.said); diff != "" {
		t.Errorf("what was said (-want +got):\n%s", diff)
	}
}

// untestedFrom is what is found if a walk ends at that part.
func untestedFrom(from int) map[int]string {
	but := make(map[int]string)
	for i, text := range allWell()[from:] {
		but[from+i] = strings.Replace(text, ": ok", ": not tested", 1)
	}
	return but
}

// types returns a function that types lines.
func (p *tester) types(lines string) func() {
	return func() { _, _ = io.WriteString(p.typed, lines) }
}

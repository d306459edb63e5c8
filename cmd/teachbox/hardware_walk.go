package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"teachbox/device"
)

const (
	// bounce is how long all contacts must have been quiet for the buttons to
	// count as let go.
	bounce = 50 * time.Millisecond
	// remind is after how long a person is asked to let them go, and letGo how
	// long that may take.
	remind, letGo = time.Second, 5 * time.Second
)

// errNoAnswer is the end of the input before the last question.
var errNoAnswer = errors.New("hardware test: nobody answers: run it in a terminal, or give it a line for each answer")

// A walk leads a person along the LEDs and buttons of a panel.
type walk struct {
	panel   device.Panel
	wiring  device.Wiring
	answers <-chan string // from typedLines; nil once they have ended
	out     io.Writer
	wait    time.Duration // for each button

	hands *hands
	bad   [device.MaxSlots + 1]string // what is wrong with a button that is not listened to
}

// run tests all LEDs and then all buttons, in the panel's order. There is a
// finding for each even if it ends early; the error says why it did. The LEDs
// are dark and the panel is released when it returns.
func (w *walk) run(ctx context.Context) (found []finding, err error) {
	defer func() { err = errors.Join(err, w.panel.Halt()) }()
	w.hands = watch(ctx, w.panel)
	defer w.hands.stop()
	for _, s := range w.steps() {
		if err == nil && ctx.Err() != nil {
			err = errEarly
		}
		f := finding{result: untested}
		if err == nil {
			f, err = s.test(ctx)
		}
		f.part = s.part
		found = append(found, f)
	}
	return found, err
}

// A step tests one part.
type step struct {
	part string
	test func(ctx context.Context) (finding, error)
}

func (w *walk) steps() []step {
	var leds, buttons []step
	led := func(l device.Lights) {
		leds = append(leds, step{ledName(l), func(ctx context.Context) (finding, error) { return w.led(ctx, l) }})
	}
	button := func(b device.Button) {
		buttons = append(buttons, step{buttonName(b), func(ctx context.Context) (finding, error) { return w.button(ctx, b) }})
	}
	for i := range w.wiring.Slots {
		led(device.Slot(i))
		button(device.Button(i))
	}
	if w.wiring.Status {
		led(device.Status)
	}
	if w.wiring.Nothing {
		button(device.Nothing)
	}
	return append(leds, buttons...)
}

// led lights one LED and asks.
func (w *walk) led(ctx context.Context, l device.Lights) (finding, error) {
	if err := w.panel.Show(l); err != nil {
		return finding{result: untested}, fmt.Errorf("hardware test: %w", err)
	}
	for {
		fmt.Fprintf(w.out, "Is the %s lit, and no other? [y/n, s skips, q quits]\n", ledName(l))
		answer, err := w.answer(ctx)
		switch {
		case err != nil:
			return finding{result: untested}, err
		case answer == "y" || answer == "yes":
			return finding{result: passed}, nil
		case answer == "n" || answer == "no":
			return finding{result: failed, note: "check its pin, its resistor, which way round it sits, and active"}, nil
		case answer == "s":
			return finding{result: skipped}, nil
		}
	}
}

// answer waits for a line, whatever the buttons do.
func (w *walk) answer(ctx context.Context) (string, error) {
	for {
		if w.answers == nil {
			return "", errNoAnswer
		}
		h, err := w.hands.next(ctx, time.Time{}, w.answers)
		switch {
		case err != nil:
			return "", err
		case h.kind == hungUp:
			w.answers = nil
		case h.kind == typed && h.line == "q":
			return "", errEarly
		case h.kind == typed:
			return h.line, nil
		}
	}
}

// button asks for one press, and for another one while other buttons come:
// anybody may mistake a button. The same wrong one twice is no mistake.
func (w *walk) button(ctx context.Context, b device.Button) (finding, error) {
	if err := w.panel.Show(0); err != nil {
		return finding{result: untested}, fmt.Errorf("hardware test: %w", err)
	}
	prompt := fmt.Sprintf("Press the %s. [s skips, q quits]", buttonName(b))
	var other *device.Button // the one that came instead
	for {
		if err := w.settle(ctx); err != nil {
			return finding{result: untested}, err
		}
		if w.bad[b] != "" {
			return finding{result: failed, note: w.bad[b]}, nil
		}
		fmt.Fprintln(w.out, prompt)
		h, err := w.press(ctx)
		switch {
		case err != nil:
			return finding{result: untested}, err
		case h.kind == typed:
			return finding{result: skipped}, nil
		case h.kind == moved && h.edge.Button == b:
			return finding{result: passed}, nil
		case h.kind == late && other != nil:
			return finding{result: failed, note: fmt.Sprintf("the %s came, then no press within %v: check its pin, its wires, and pull", buttonName(*other), w.wait)}, nil
		case h.kind == late:
			return finding{result: failed, note: fmt.Sprintf("no press within %v: check its pin, its wires, and pull", w.wait)}, nil
		case other != nil && *other == h.edge.Button:
			return finding{result: failed, note: "the " + buttonName(*other) + " came: the two are swapped, on the box or in the configuration"}, nil
		}
		other = &h.edge.Button
		prompt = fmt.Sprintf("You pressed the %s. If it was the %s, the two are swapped, on the box or in the configuration. Press it once more, to be sure.", buttonName(*other), buttonName(b))
	}
}

// press waits for a button to be pressed, for the letter s, or for too long.
// The end of the input is none of these: a button needs no answer.
func (w *walk) press(ctx context.Context) (happening, error) {
	until := time.Now().Add(w.wait)
	for {
		h, err := w.hands.next(ctx, until, w.answers)
		switch {
		case err != nil || h.kind == late:
			return h, err
		case h.kind == moved && h.edge.Down && w.bad[h.edge.Button] == "":
			return h, nil
		case h.kind == hungUp:
			w.answers = nil
		case h.kind == typed && h.line == "s":
			return h, nil
		case h.kind == typed && h.line == "q":
			return h, errEarly
		}
	}
}

// settle waits until all buttons are up and quiet, so that nothing of one
// press is taken for the next. A button that does not become so is bad.
func (w *walk) settle(ctx context.Context) error {
	began := time.Now()
	until := began.Add(bounce)
	for asked := false; ; {
		h, err := w.hands.next(ctx, until, nil)
		if err != nil {
			return err
		}
		over := time.Since(began) >= letGo
		if h.kind == moved {
			if b := h.edge.Button; w.bad[b] == "" {
				if over {
					w.bad[b] = "comes and goes though nobody touches it: check its wires, and pull"
				}
				until = time.Now().Add(bounce)
			}
			continue
		}
		held := false
		for b, down := range w.hands.down {
			if down && w.bad[b] == "" {
				held = true
				if over {
					w.bad[b] = "pressed though nobody touches it: check its wires, pull, and active"
				}
			}
		}
		switch {
		case !held || over:
			return nil
		case time.Since(began) < remind:
			until = began.Add(remind)
			continue
		case !asked:
			fmt.Fprintln(w.out, "Let go of all buttons.")
			asked = true
		}
		until = began.Add(letGo)
	}
}

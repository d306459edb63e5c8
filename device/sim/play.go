package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"teachbox/device"
)

// What a script takes for an answer of the LEDs.
const (
	settled = time.Second            // how long it must last
	blink   = 700 * time.Millisecond // the longest that a blinking LED is dark
	look    = 5 * time.Millisecond   // how often a script looks
)

// A Box is what a script plays with.
type Box struct {
	Desk interface {
		Show(name string) error
		Clear()
	}
	Panel interface {
		Press(device.Button) error
		Release(device.Button) error
		Lights() device.Lights
		Wiring() device.Wiring
	}
	Kept func() int        // how many examples were kept so far, in all
	Say  func(text string) // nil: nobody listens
}

// Run plays the script. The error names the line, and what was expected beside
// what the LEDs showed; if ctx ends before the script does, it wraps ctx's
// error. No button that the script pushed is down afterwards.
func (s *Script) Run(ctx context.Context, box Box) error {
	p := player{box: box}
	defer func() {
		for b, held := range p.held {
			if held {
				_ = box.Panel.Release(device.Button(b)) // it was there to be pressed
			}
		}
	}()
	line, err := p.play(ctx, s.steps)
	if err != nil {
		return fmt.Errorf("%s:%d: %w", s.name, line, err)
	}
	return nil
}

type player struct {
	box  Box
	held [device.MaxSlots + 1]bool
}

// play plays steps; with an error comes its line.
func (p *player) play(ctx context.Context, steps []step) (line int, err error) {
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return s.line, err
		}
		if s.verb == "repeat" {
			for range s.number {
				if line, err := p.play(ctx, s.body); err != nil {
					return line, err
				}
			}
		} else if err := p.step(ctx, s); err != nil {
			return s.line, err
		}
	}
	return 0, nil
}

func (p *player) step(ctx context.Context, s step) error {
	switch s.verb {
	case "show":
		return p.box.Desk.Show(s.text)
	case "clear":
		p.box.Desk.Clear()
	case "say":
		if p.box.Say != nil {
			p.box.Say(s.text)
		}
	case "tap", "hold":
		if err := p.push(s.button, true); err != nil || s.time == 0 {
			return err
		}
		if err := sleep(ctx, s.time); err != nil {
			return err
		}
		return p.push(s.button, false)
	case "release":
		return p.push(s.button, false)
	case "wait":
		return sleep(ctx, s.time)
	case "led":
		return p.expectLights(ctx, device.Slot(int(s.button)), fmt.Sprintf("LED %d", s.button+1), s.time)
	case "dark":
		return p.expectLights(ctx, 0, "dark", s.time)
	case "kept":
		return p.expectKept(ctx, s.number, s.time)
	}
	return nil
}

func (p *player) push(b device.Button, down bool) error {
	push := p.box.Panel.Release
	if down {
		push = p.box.Panel.Press
	}
	if err := push(b); err != nil {
		return err
	}
	p.held[b] = down
	return nil
}

// expectLights waits until the class LEDs have said one thing for a while: want
// is the LED that is on or blinks, or 0 for dark, and name what people call it.
func (p *player) expectLights(ctx context.Context, want device.Lights, name string, within time.Duration) error {
	var since, seen time.Time // the answer's beginning (zero: none yet), and when it was last seen
	ok, err := poll(ctx, within, func(now time.Time) bool {
		lit := p.box.Panel.Lights() &^ device.Status
		switch {
		case lit == want:
			if since.IsZero() {
				since = now
			}
			seen = now
		case lit != 0 || now.Sub(seen) > blink:
			since = time.Time{}
		}
		return lit == want && now.Sub(since) >= settled
	})
	if ok || err != nil {
		return err
	}
	return fmt.Errorf("expected %s within %v, but the LEDs show %s", name, within, p.lights())
}

// lights draws the LEDs that the panel has, such as "●○○○ ●".
func (p *player) lights() string {
	w := p.box.Panel.Wiring()
	drawn := []rune(p.box.Panel.Lights().String()) // the slots, a space, the status LED
	text := string(drawn[:w.Slots])
	if w.Status {
		text += string(drawn[device.MaxSlots:])
	}
	return text
}

func (p *player) expectKept(ctx context.Context, want int, within time.Duration) error {
	if p.box.Kept == nil {
		return errors.New("this box does not tell how many examples it kept; expect its LEDs instead")
	}
	ok, err := poll(ctx, within, func(time.Time) bool { return p.box.Kept() >= want })
	if ok || err != nil {
		return err
	}
	return fmt.Errorf("expected %d examples kept within %v, but there are %d; the LEDs show %s",
		want, within, p.box.Kept(), p.lights())
}

// poll looks until ok says so, within passed or ctx ended, and reports ok.
func poll(ctx context.Context, within time.Duration, ok func(now time.Time) bool) (bool, error) {
	end := time.Now().Add(within)
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		now := time.Now()
		if ok(now) {
			return true, nil
		}
		if !now.Before(end) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-tick.C:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

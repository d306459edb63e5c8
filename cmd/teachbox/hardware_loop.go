package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/gpio"
)

const (
	// loopRounds is how often each output is driven there and back.
	loopRounds = 3
	// loopPatience is how long an input may take to follow.
	loopPatience = time.Second
)

// A wire leads from an output line to an input line.
type wire struct {
	from, to string    // as the person named them
	slot     gpio.Slot // the output as its LED, the input as its button
}

// level names the level of the output.
func (w wire) level(lit bool) string {
	if lit != w.slot.LED.ActiveLow {
		return "high"
	}
	return "low"
}

// parseWires reads the arguments of --loop. The errors are those of a person.
func parseWires(args []string, ps []purpose, chips []gpio.Chip) ([]wire, error) {
	if len(args) > device.MaxSlots {
		return nil, fmt.Errorf("--loop: %d wires are too many; test up to %d at once", len(args), device.MaxSlots)
	}
	var wires []wire
	used := make(map[place]bool)
	for _, arg := range args {
		if parts := strings.Split(arg, ","); len(parts) > 1 && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(p, "=") }) {
			return nil, fmt.Errorf("--loop %s: repeat --loop for each wire: --loop %s", arg, strings.Join(parts, " --loop "))
		}
		from, to, ok := strings.Cut(arg, "=")
		if !ok || from == "" || to == "" {
			return nil, fmt.Errorf("--loop %s: write FROM=TO, such as led1=button1", arg)
		}
		out, err := wireEnd(from, ps, chips, true)
		if err != nil {
			return nil, fmt.Errorf("--loop %s: %w", arg, err)
		}
		in, err := wireEnd(to, ps, chips, false)
		if err != nil {
			return nil, fmt.Errorf("--loop %s: %w", arg, err)
		}
		for _, l := range []gpio.Line{out.line, in.line} {
			at := placeOf(chips, l)
			if used[at] {
				return nil, fmt.Errorf("--loop %s: line %v has two wires; test them one after the other", arg, l)
			}
			used[at] = true
		}
		// The input reads as pressed where the wire is as when the LED is lit,
		// and a wire that is broken as dark.
		pull := gpio.PullDown
		if out.activeLow {
			pull = gpio.PullUp
		}
		wires = append(wires, wire{from, to, gpio.Slot{
			Button: gpio.Button{Line: in.line, Pull: pull, ActiveLow: out.activeLow},
			LED:    gpio.LED{Line: out.line, ActiveLow: out.activeLow},
		}})
	}
	return wires, nil
}

// A place is where a line is, so that two names of one line are alike.
type place struct {
	chip   string // its path
	offset int
	line   gpio.Line // instead, if there is no such line
}

func placeOf(chips []gpio.Chip, l gpio.Line) place {
	chip, info, err := gpio.Find(chips, l)
	if err != nil {
		return place{line: l}
	}
	return place{chip: chip.Path, offset: info.Offset}
}

// wireEnd finds the line that one end of a wire names. A line that the
// configuration uses the other way round is refused, by whatever name: an
// output that meets a pressed button is a short circuit.
func wireEnd(name string, ps []purpose, chips []gpio.Chip, out bool) (purpose, error) {
	end, err := namedEnd(name, ps, out)
	if err != nil {
		return end, err
	}
	at := placeOf(chips, end.line)
	for _, p := range ps {
		switch {
		case placeOf(chips, p.line) != at:
		case p.led != out && out:
			return end, fmt.Errorf("%s is the %s; begin with an output, such as led1", name, p.people)
		case p.led != out:
			return end, fmt.Errorf("%s is the %s; end at an input, such as button1", name, p.people)
		default:
			end = p
		}
	}
	return end, nil
}

// namedEnd is the line of a purpose, of a BCM number, at a chip's offset, or of
// a name. What is shaped like one of the first two and is none is a mistake.
func namedEnd(name string, ps []purpose, out bool) (purpose, error) {
	shaped := func(pattern string) bool { return regexp.MustCompile("^(" + pattern + ")$").MatchString(name) }
	end := purpose{key: name, led: out, line: gpio.Line{Name: name}}
	for _, p := range ps {
		if p.key == name {
			return p, nil
		}
	}
	if shaped(`led\d+|button\d+|status|nothing`) {
		return end, fmt.Errorf("the configuration has no %s; it has %s", name, keys(ps, shaped(`led\d+|status`)))
	}
	if shaped(`[+-]?\d+`) {
		pin, err := strconv.Atoi(name)
		if err != nil || pin < 0 || pin > 27 || strconv.Itoa(pin) != name {
			return end, fmt.Errorf("%s is no BCM number; those of a Raspberry Pi's header are 0 to 27", name)
		}
		end.line.Name = config.Line{Pin: config.Pin(pin)}.KernelName()
	} else if chip, offset, ok := (config.Line{Name: name}).Offset(); ok {
		end.line = gpio.Line{Chip: chip, Offset: offset}
	}
	return end, nil
}

// keys lists the LEDs or the buttons of a configuration: "led1 to led4 and
// status".
func keys(ps []purpose, led bool) string {
	var slots, others []string
	for _, p := range ps {
		switch {
		case p.led != led:
		case strings.ContainsAny(p.key, "12345678"):
			slots = append(slots, p.key)
		default:
			others = append(others, p.key)
		}
	}
	return strings.Join(append([]string{slots[0] + " to " + slots[len(slots)-1]}, others...), " and ")
}

// A loop drives outputs and sees whether the inputs that are wired to them
// follow.
type loop struct {
	panel device.Panel // with the wires as its slots
	wires []wire
	hands *hands
}

// run tests one wire after the other. There is a finding for each even if it
// ends early; the error says why it did. The outputs are dark and the panel is
// released when it returns.
func (l *loop) run(ctx context.Context) (found []finding, err error) {
	defer func() { err = errors.Join(err, l.panel.Halt()) }()
	l.hands = watch(ctx, l.panel)
	defer l.hands.stop()
	if err = l.panel.Show(0); err == nil {
		err = l.quiet(ctx)
	}
	for i, w := range l.wires {
		f := finding{result: untested}
		if err == nil {
			f, err = l.test(ctx, i)
		}
		f.part = w.from + "=" + w.to
		found = append(found, f)
	}
	return found, err
}

// test drives one output there and back.
func (l *loop) test(ctx context.Context, i int) (finding, error) {
	var lit, dark int                 // how often the input was as the output
	var follows [device.MaxSlots]bool // which inputs became lit with it
	for range loopRounds {
		before := l.hands.down
		if err := l.drive(ctx, i, true); err != nil {
			return finding{result: untested}, err
		}
		for j := range l.wires {
			follows[j] = follows[j] || l.hands.down[j] && !before[j]
		}
		if l.hands.down[i] {
			lit++
		}
		if err := l.drive(ctx, i, false); err != nil {
			return finding{result: untested}, err
		}
		if !l.hands.down[i] {
			dark++
		}
	}
	var others []string
	for j, w := range l.wires {
		if follows[j] && j != i {
			others = append(others, w.to)
		}
	}
	w := l.wires[i]
	var note string
	switch {
	case lit+dark == 2*loopRounds && others == nil:
		return finding{result: passed}, nil
	case lit+dark == 2*loopRounds:
		note = fmt.Sprintf("%s moves %s, too: a short circuit?", w.from, strings.Join(others, " and "))
		return finding{result: failed, note: note}, nil
	case lit == 0 && dark == loopRounds:
		note = fmt.Sprintf("%s stays %s", w.to, w.level(false))
	case dark == 0 && lit == loopRounds:
		note = fmt.Sprintf("%s stays %s", w.to, w.level(true))
	default:
		note = fmt.Sprintf("%s follows %d times of %d", w.to, lit+dark, 2*loopRounds)
	}
	if others != nil {
		note += fmt.Sprintf("; %s moves %s instead", w.from, strings.Join(others, " and "))
	}
	return finding{result: failed, note: note}, nil
}

// drive sets one output, waits for its input to follow, and then until all
// inputs are quiet.
func (l *loop) drive(ctx context.Context, i int, lit bool) error {
	var lights device.Lights
	if lit {
		lights = device.Slot(i)
	}
	if err := l.panel.Show(lights); err != nil {
		return fmt.Errorf("hardware test: %w", err)
	}
	until := time.Now().Add(loopPatience)
	for l.hands.down[i] != lit {
		h, err := l.hands.next(ctx, until, nil)
		if err != nil {
			return err
		}
		if h.kind == late {
			break
		}
	}
	return l.quiet(ctx)
}

// quiet waits until no input changes any more, or for too long.
func (l *loop) quiet(ctx context.Context) error {
	limit := time.Now().Add(loopPatience)
	for time.Now().Before(limit) {
		h, err := l.hands.next(ctx, time.Now().Add(bounce), nil)
		if err != nil || h.kind == late {
			return err
		}
	}
	return nil
}

// Package light turns what a box has to say into the levels of its LEDs, told
// by rhythm alone. It is pure: it starts nothing and reads no clock. One table,
// Signals, defines what the status LED says and what the card for the wall
// explains.
package light

import (
	"slices"
	"time"

	"teachbox/device"
)

// None is the Lit of a box whose verdict is unknown.
const None = -1

const (
	minPulse   = 100 * ms         // no LED changes twice within it
	maxWait    = time.Second      // a wink that would come later than this is dropped
	sweepStep  = 200 * ms         // each LED of the sweep at start
	aliveEvery = 10 * time.Second // from one "alive, unknown" to the next
	aliveStep  = 120 * ms         // each LED of it
	fillStep   = 200 * ms         // each LED of a lesson that comes back
)

// A State is what a box shows. Set the exported fields and call the methods as
// things happen, with the present as their time, then ask Levels. What the
// methods say is over by itself. It is used from one goroutine.
//
// With a status LED the class LEDs show the verdict and the status LED shows
// the first of Signals that holds. Without one, a fault makes all class LEDs
// blink together (the lit one the other way round, and a guess is not told from
// a verdict meanwhile), and in a dark box, asleep or not, the LEDs light one
// after another every ten seconds: alive, unknown. Nothing else is shown then.
type State struct {
	Conditions Conditions // all that hold; the first of Signals is shown
	Watched    bool       // someone sees the camera's picture: the status LED is upside down
	Lit        int        // slot of the verdict, or None
	Guess      bool       // the verdict is a guess: its LED blinks

	wiring  device.Wiring
	signals []Signal
	guess   Rhythm
	status  phase // of the rhythm that tells the condition
	class   phase // of the verdict's LED, or since the class LEDs went dark
	plays   []play
	scene   scene
	shown   device.Lights                  // what Levels said last
	changed [device.MaxSlots + 1]time.Time // when each LED of it changed
}

// New returns the state of a box that is well and shows no verdict.
func New(w device.Wiring) *State {
	w.Slots = min(max(w.Slots, 0), device.MaxSlots)
	return &State{Lit: None, wiring: w, signals: Signals(), guess: guess()}
}

// A phase knows for how long something has been shown.
type phase struct {
	key   int // what is shown
	since time.Time
}

func (p *phase) elapsed(key int, now time.Time) time.Duration {
	if p.key != key || p.since.IsZero() {
		p.key, p.since = key, now
	}
	return now.Sub(p.since)
}

// A play is something short that LEDs say together over whatever they show.
type play struct {
	leds       device.Lights
	pattern    Rhythm // on: the opposite of ground
	start, end time.Time
	begun      bool
	ground     device.Lights // what they showed when it began
}

// A scene moves light along the LEDs, step by step, over everything else.
type scene struct {
	kind  sceneKind
	start time.Time
	step  time.Duration
	steps int
}

type sceneKind uint8

const (
	noScene  sceneKind = iota
	sweeping           // one after another, the status LED last
	emptying           // all class LEDs on, then out one by one
	filling            // on one by one, then all for a moment
)

// Wink says that an example of b was kept. Nothing winks with the status LED,
// or with all class LEDs where there is none. Winks wait for each other, so
// that none is lost, but not for longer than a second.
//
// A wink and its rest are as long as the time from one example to the next in a
// burst. Like all that follow it shows the opposite of what the LED showed.
func (s *State) Wink(b device.Button, at time.Time) {
	s.add(s.leds(b), Rhythm{100 * ms, 100 * ms}, at, true)
}

// WinkTwice says that the last press of b was taken back.
func (s *State) WinkTwice(b device.Button, at time.Time) {
	s.add(s.leds(b), Rhythm{200 * ms, 150 * ms, 200 * ms, 150 * ms}, at, true)
}

// Tick says that a frame of b was skipped, being nearly the last one kept: a
// slow blink in place of the quick winks. It gives way to winks.
func (s *State) Tick(b device.Button, at time.Time) {
	s.add(s.leds(b), Rhythm{300 * ms, 100 * ms}, at, false)
}

// Refuse says that something was not done: all class LEDs flicker together.
func (s *State) Refuse(at time.Time) {
	s.add(device.AllSlots(s.wiring.Slots), blinks(4, 100*ms, 100*ms), at, false)
}

// CountForget counts down to forgetting b, with ever quicker blinks, until it
// is cancelled or over.
func (s *State) CountForget(b device.Button, from, until time.Time) {
	leds := s.leds(b)
	if leds == 0 {
		return
	}
	s.stop(leds)
	r := Rhythm{250 * ms, 150 * ms, 200 * ms, 150 * ms, 150 * ms, 100 * ms, 100 * ms, 100 * ms, 100 * ms, 100 * ms, 100 * ms, 100 * ms}
	s.plays = append(s.plays, play{leds: leds, pattern: r, start: from, end: until})
}

// CancelForget ends the countdown of b.
func (s *State) CancelForget(b device.Button) { s.stop(s.leds(b)) }

// Forgot says that b was forgotten: one long blink.
func (s *State) Forgot(b device.Button, at time.Time) {
	s.add(s.leds(b), Rhythm{600 * ms, 100 * ms}, at, true)
}

// CountNew counts down to a new lesson: the class LEDs go out one by one until
// it is cancelled or over.
func (s *State) CountNew(from, until time.Time) {
	s.scene = scene{emptying, from, until.Sub(from) / time.Duration(max(s.wiring.Slots, 1)), s.wiring.Slots}
}

// CancelNew ends that countdown.
func (s *State) CancelNew() {
	if s.scene.kind == emptying {
		s.scene = scene{}
	}
}

// NewLesson says that a new lesson has begun: one long blink of all class LEDs.
func (s *State) NewLesson(at time.Time) {
	s.add(device.AllSlots(s.wiring.Slots), Rhythm{600 * ms, 100 * ms}, at, true)
}

// Restored says that the last lesson is back: the class LEDs light one by one.
func (s *State) Restored(at time.Time) {
	s.scene = scene{filling, at, fillStep, s.wiring.Slots + 2}
}

// Sweep lights every LED of the panel once, one after another, the status LED
// last, which shows a dead one.
func (s *State) Sweep(at time.Time) {
	n := s.wiring.Slots
	if s.wiring.Status {
		n++
	}
	s.scene = scene{sweeping, at, sweepStep, n}
}

// leds are where the box talks about b.
func (s *State) leds(b device.Button) device.Lights {
	switch {
	case int(b) < s.wiring.Slots:
		return device.Slot(int(b))
	case b != device.Nothing:
		return 0
	case s.wiring.Status:
		return device.Status
	}
	return device.AllSlots(s.wiring.Slots)
}

// add lets leds play the pattern at the time at, or as soon as they have played
// what they are playing if wait is set.
func (s *State) add(leds device.Lights, pattern Rhythm, at time.Time, wait bool) {
	s.forget(at)
	start := at
	for i := range s.plays {
		if p := &s.plays[i]; p.leds&leds != 0 && p.end.After(start) {
			start = p.end
		}
	}
	if leds == 0 || start.After(at) && !wait || start.Sub(at) > maxWait {
		return
	}
	s.plays = append(s.plays, play{leds: leds, pattern: pattern, start: start, end: start.Add(pattern.cycle())})
}

// forget drops what has been played.
func (s *State) forget(now time.Time) {
	s.plays = slices.DeleteFunc(s.plays, func(p play) bool { return !p.end.After(now) })
}

// stop ends whatever the LEDs play.
func (s *State) stop(leds device.Lights) {
	s.plays = slices.DeleteFunc(s.plays, func(p play) bool { return p.leds&leds != 0 })
}

// Levels returns the LEDs as they are to be at now, and the time at which they
// change next by themselves, which is after now; the zero time if they do not.
func (s *State) Levels(now time.Time) (device.Lights, time.Time) {
	m := moment{now: now}
	s.base(&m)
	s.overlay(&m)
	s.stage(&m)
	s.steady(&m)
	s.shown = m.lights
	return m.lights, m.next
}

// A moment is the LEDs at one time, while Levels makes them up.
type moment struct {
	now    time.Time
	lights device.Lights
	next   time.Time
}

// in says that the lights change after d.
func (m *moment) in(d time.Duration) {
	if t := m.now.Add(d); m.next.IsZero() || t.Before(m.next) {
		m.next = t
	}
}

// set makes the LEDs of mask as they are in l.
func (m *moment) set(mask, l device.Lights) { m.lights = m.lights&^mask | l&mask }

// signal is the row of the table that is shown.
func (s *State) signal() int {
	return slices.IndexFunc(s.signals, func(g Signal) bool {
		// Whoever is watched must see it, and asleep looks much the same upside down.
		return g.When == Well || s.Conditions&g.When != 0 && !(g.When == Asleep && s.Watched)
	})
}

// base is what lasts: verdict and condition.
func (s *State) base(m *moment) {
	all := device.AllSlots(s.wiring.Slots)
	row := s.signal()
	g := s.signals[row]
	fault := !s.wiring.Status && g.When&Faults != 0

	var beat bool
	if s.wiring.Status || fault {
		inverted := s.Watched && s.wiring.Status
		key := 2 * row
		if inverted {
			key++
		}
		// It begins with its pause: a group of blinks is never added to the
		// half of another one.
		pause := g.Rhythm[len(g.Rhythm)-1]
		on, left := g.Rhythm.at(s.status.elapsed(key, m.now) - pause)
		m.in(left)
		beat = on
		if on != inverted {
			m.lights |= device.Status
		}
	}

	lit, guess := s.Lit, s.Guess && !fault
	if lit < 0 || lit >= s.wiring.Slots || s.Conditions&Asleep != 0 {
		lit, guess = None, false
	}
	key := 2 * lit
	if guess {
		key++
	}
	d := s.class.elapsed(key, m.now)
	switch {
	case guess:
		on, left := s.guess.at(d)
		m.in(left)
		if on {
			m.lights |= device.Slot(lit)
		}
	case lit != None:
		m.lights |= device.Slot(lit)
	case !s.wiring.Status && !fault && s.wiring.Slots > 0:
		quiet := aliveEvery - aliveStep*time.Duration(s.wiring.Slots)
		if d %= aliveEvery; d < quiet {
			m.in(quiet - d)
		} else {
			d -= quiet
			m.lights |= device.Slot(int(d / aliveStep))
			m.in(aliveStep - d%aliveStep)
		}
	}
	if fault && beat {
		m.lights ^= all
	}
	if !s.wiring.Status {
		m.lights &= all
	}
}

// overlay is what is said in passing.
func (s *State) overlay(m *moment) {
	s.forget(m.now)
	for i := range s.plays {
		p := &s.plays[i]
		if p.start.After(m.now) {
			m.in(p.start.Sub(m.now))
			continue
		}
		if !p.begun {
			p.begun, p.ground = true, s.shown
		}
		on, left := p.pattern.at(m.now.Sub(p.start))
		m.in(min(left, p.end.Sub(m.now)))
		if on {
			m.set(p.leds, ^p.ground)
		} else {
			m.set(p.leds, p.ground)
		}
	}
}

// stage moves the scene along.
func (s *State) stage(m *moment) {
	c := &s.scene
	d := m.now.Sub(c.start)
	switch {
	case c.kind == noScene:
		return
	case d < 0:
		m.in(-d)
		return
	case d >= c.step*time.Duration(c.steps):
		*c = scene{}
		return
	}
	m.in(c.step - d%c.step)
	n, k := s.wiring.Slots, int(d/c.step)
	all := device.AllSlots(n)
	switch c.kind {
	case sweeping:
		lit := device.Status
		if k < n {
			lit = device.Slot(k)
		}
		m.set(all|device.Status, lit)
	case emptying:
		m.set(all, device.AllSlots(n-k))
	case filling:
		m.set(all, device.AllSlots(min(k+1, n)))
	}
}

// steady keeps every LED as it is for minPulse at least: what happens between
// two rhythms is never a pulse too short to see.
func (s *State) steady(m *moment) {
	for i := range s.changed {
		bit := device.Slot(i)
		if (m.lights^s.shown)&bit == 0 {
			continue
		}
		if wait := minPulse - m.now.Sub(s.changed[i]); wait > 0 {
			m.lights ^= bit
			m.in(wait)
		} else {
			s.changed[i] = m.now
		}
	}
}

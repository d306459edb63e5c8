// Package press turns the edges of a panel's buttons into gestures: what the
// person meant by pushing, holding and letting go. It is pure. It starts
// nothing and reads no clock: the caller says what time it is, so that every
// order of downs and ups is one row of a table in the tests.
package press

import (
	"fmt"
	"time"

	"teachbox/device"
)

// The times that gestures are made of.
const (
	Tap         = 400 * time.Millisecond  // a push shorter than this is a tap, any other a hold
	Every       = 200 * time.Millisecond  // from one Sample of a held class button to the next
	ForgetAfter = 2 * time.Second         // nothing and a class held this long together: Forget
	NewAfter    = 5 * time.Second         // nothing held this long alone: NewLesson
	StuckAfter  = 60 * time.Second        // no person holds a button longer
	seriesEvery = 500 * time.Millisecond  // between the Samples of a nothing tap
	seriesLen   = 3                       // how many there are
	bounce      = 20 * time.Millisecond   // contacts that keep still for so long are at rest
	bootDown    = 100 * time.Millisecond  // a wired button down this early was down before the start
	bootStuck   = 1000 * time.Millisecond // and is stuck if it is still down then
)

// A Kind says what a gesture asks for.
type Kind uint8

// The kinds of gesture. What a Begin starts is ended by exactly one Cancel or
// one completion.
const (
	Sample       Kind = iota + 1 // take one example for Button, in Press: the first frame taken at or after At
	Release                      // Press is over
	TakeBack                     // take back the last press of Button
	ForgetBegin                  // the countdown to forgetting Button shows, and ends at Until
	ForgetCancel                 // it was let go
	Forget                       // forget Button
	NewBegin                     // the countdown to a new lesson shows, and ends at Until
	NewCancel                    // it was let go, or became a chord
	NewLesson                    // begin a new lesson
	Stuck                        // Button of Source is stuck down and is left out from now on
	Unstuck                      // it came up and counts again
)

// String is the name of the kind, such as "TakeBack".
func (k Kind) String() string {
	names := [...]string{
		Sample: "Sample", Release: "Release", TakeBack: "TakeBack",
		ForgetBegin: "ForgetBegin", ForgetCancel: "ForgetCancel", Forget: "Forget",
		NewBegin: "NewBegin", NewCancel: "NewCancel", NewLesson: "NewLesson",
		Stuck: "Stuck", Unstuck: "Unstuck",
	}
	if k == 0 || int(k) >= len(names) {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return names[k]
}

// A Gesture is one thing that the person meant.
type Gesture struct {
	Kind   Kind
	Button device.Button // Nothing for NewBegin, NewCancel and NewLesson
	Press  int           // Sample, Release: counts the presses that teach, from 1
	At     time.Time     // when it was meant
	Until  time.Time     // ForgetBegin, NewBegin: when it completes unless cancelled
	Source device.Source // Stuck, Unstuck: which of the button's sources
}

// A Machine follows the buttons of one panel. It is used from one goroutine.
//
//   - A class button teaches as soon as it goes down: one Sample, more from Tap
//     on while it is held, and a Release. A Sample is never retracted, so a
//     nothing button that follows it means nothing until it goes up.
//   - A tap of nothing alone teaches it: three Samples over one second. A class
//     button that goes down meanwhile ends them early, since by then the desk
//     is no longer empty.
//   - A class button that goes down while nothing is held makes a chord: its tap
//     is a TakeBack, whichever is let go first, and its hold a Forget. From then
//     on nothing serves for chords only, until it goes up.
//   - Nothing held alone is a NewLesson. It then serves for chords.
//   - A chord or a cancelled hold never becomes a tap or a press.
//
// An edge acts at once. The level is read again when its contacts have stopped
// bouncing. A button is down while any of its sources holds it down.
//
// A source that holds a button longer than StuckAfter is left out until it goes
// up; other sources of that button still work. A wired button that was down
// before the machine started teaches nothing and is reported a second later
// (a child who pushed that early pushes again). Whoever loses a source without
// a lease sends an up edge for each of its buttons.
type Machine struct {
	wiring  device.Wiring
	born    time.Time // the first Step
	last    time.Time // the last thing that happened
	lines   [device.NumSources][device.MaxSlots + 1]line
	buttons [device.MaxSlots + 1]button
	series  series
	presses int
	out     []Gesture
}

// A line is one source of one button.
type line struct {
	raw      bool      // the level as last read
	level    bool      // the level as acted on
	masked   bool      // left out until it goes up
	reported bool      // as stuck
	settling bool      // raw is read again at settle
	read     time.Time // when raw was read
	settle   time.Time // bounce ends, or ended
	expires  time.Time // the lease; zero for none
	stuck    time.Time // when to report it; zero for never
}

// A role is what a button that is down may still become.
type role uint8

const (
	inert     role = iota // nothing more, until it goes up
	teaching              // a class button alone
	undecided             // a tap or a hold: nothing alone, or a class button in a chord
	loose                 // at most a tap: a class button whose nothing button was let go
	counting              // a hold whose countdown shows
	chording              // nothing, which class buttons make chords with
)

// A button is the sources of one button or-ed together.
type button struct {
	down  bool
	role  role
	press int       // while teaching
	next  time.Time // when time alone changes the role or takes a Sample; zero for never
}

// A series is the Samples of one nothing tap.
type series struct {
	left  int
	press int
	next  time.Time // zero for none
}

// New returns a machine for a panel. Edges of buttons that w lacks are ignored.
func New(w device.Wiring) *Machine {
	return &Machine{wiring: w}
}

// Step takes the edge e and returns what was meant up to e.At; with nil, it
// returns what was meant up to now. Gestures come in order of time. The
// machine's life starts with its first Step.
//
// The edge counts at e.At, but not after now and not before what was already
// acted on; of edges of one line that arrive out of order the latest reading
// stands. A caller that has both an edge and a deadline to hand gives the edge
// first: then being late changes nothing. The slice is valid until the next
// Step.
func (m *Machine) Step(now time.Time, e *device.Edge) []Gesture {
	m.out = m.out[:0]
	if m.born.IsZero() {
		m.born, m.last = now, now
	}
	switch {
	case e == nil:
		m.advance(now)
	case e.Source < device.NumSources && m.has(e.Button):
		at := e.At
		if at.After(now) {
			at = now
		}
		m.advance(at)
		m.take(e, at)
	}
	return m.out
}

// Next reports when Step must be called without an edge if none comes before,
// and false if nothing happens by itself. The time may have passed already.
// Before the first Step it is the zero time: at once.
func (m *Machine) Next() (time.Time, bool) {
	if m.born.IsZero() {
		return time.Time{}, true
	}
	var next time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for i := range m.buttons {
		sooner(m.buttons[i].next)
	}
	sooner(m.series.next)
	for s := range m.lines {
		for b := range m.lines[s] {
			l := &m.lines[s][b]
			if l.settling {
				sooner(l.settle)
			}
			sooner(l.expires)
			sooner(l.stuck)
		}
	}
	return next, !next.IsZero()
}

func (m *Machine) has(b device.Button) bool {
	if b == device.Nothing {
		return m.wiring.Nothing
	}
	return b < device.MaxSlots && int(b) < m.wiring.Slots
}

func (m *Machine) emit(g Gesture) { m.out = append(m.out, g) }

// advance lets time pass up to and including t.
func (m *Machine) advance(t time.Time) {
	for {
		next, ok := m.Next()
		if !ok || next.After(t) {
			return
		}
		m.last = later(m.last, next)
		m.fire(m.last)
	}
}

// fire does all that is due at t. Buttons come before lines: what completes at
// the very moment of letting go is complete.
func (m *Machine) fire(t time.Time) {
	due := func(d time.Time) bool { return !d.IsZero() && !d.After(t) }
	for b := range m.buttons {
		if due(m.buttons[b].next) {
			m.hold(device.Button(b), t)
		}
	}
	if due(m.series.next) {
		m.continueSeries(t)
	}
	for s := range m.lines {
		for b := range m.lines[s] {
			src, btn, l := device.Source(s), device.Button(b), &m.lines[s][b]
			if due(l.expires) {
				l.expires = time.Time{}
				l.raw = false
				if !l.settling {
					m.set(src, btn, t)
				}
			}
			if l.settling && due(l.settle) {
				l.settling = false
				m.set(src, btn, t)
			}
			if due(l.stuck) {
				l.stuck = time.Time{}
				l.masked, l.reported = true, true
				m.or(btn, t)
				m.emit(Gesture{Kind: Stuck, Button: btn, Source: src, At: t})
			}
		}
	}
}

// take reads the level of e's line, at the time at.
func (m *Machine) take(e *device.Edge, at time.Time) {
	l := &m.lines[e.Source][e.Button]
	if at.Before(l.read) {
		return
	}
	l.read, l.raw = at, e.Down
	l.expires = time.Time{}
	if e.Down && e.Lease != 0 {
		l.expires = at.Add(e.Lease)
	}
	m.last = later(m.last, at)
	switch {
	case !at.Before(l.settle):
		m.set(e.Source, e.Button, m.last)
	default:
		// The contacts have not come to rest: whatever the level is, it counts
		// once they have. (A bounce may come late: the window had closed before
		// it was known.)
		l.settling = true
		l.settle = m.last.Add(bounce)
	}
}

// set acts on the level of a line as last read.
func (m *Machine) set(s device.Source, b device.Button, t time.Time) {
	l := &m.lines[s][b]
	if l.level == l.raw {
		return
	}
	l.level = l.raw
	l.settling, l.settle = true, t.Add(bounce)
	switch {
	case !l.level:
		if l.reported {
			m.emit(Gesture{Kind: Unstuck, Button: b, Source: s, At: t})
		}
		l.masked, l.reported, l.stuck = false, false, time.Time{}
	case s == device.FromPanel && !t.After(m.born.Add(bootDown)):
		l.masked, l.stuck = true, m.born.Add(bootStuck)
	default:
		l.stuck = t.Add(StuckAfter)
	}
	m.or(b, t)
}

// or brings a button up to date with its lines.
func (m *Machine) or(b device.Button, t time.Time) {
	down := false
	for s := range m.lines {
		l := &m.lines[s][b]
		down = down || l.level && !l.masked
	}
	k := &m.buttons[b]
	if down == k.down {
		return
	}
	k.down = down
	switch {
	case down && b == device.Nothing:
		m.nothingDown(t)
	case down:
		m.classDown(b, t)
	case b == device.Nothing:
		m.nothingUp(t)
	default:
		m.classUp(b, t)
	}
}

func (m *Machine) nothingDown(t time.Time) {
	n := &m.buttons[device.Nothing]
	n.role, n.next = undecided, t.Add(Tap)
	for b := range device.Nothing {
		if m.buttons[b].down { // class first, nothing second
			n.role, n.next = inert, time.Time{}
		}
	}
}

func (m *Machine) nothingUp(t time.Time) {
	n := &m.buttons[device.Nothing]
	was := n.role
	n.role, n.next = inert, time.Time{}
	switch was {
	case undecided:
		m.beginSeries(t)
	case counting:
		m.emit(Gesture{Kind: NewCancel, Button: device.Nothing, At: t})
	case chording:
		for b := range device.Nothing {
			switch k := &m.buttons[b]; k.role {
			case undecided:
				k.role = loose
			case counting:
				k.role, k.next = inert, time.Time{}
				m.emit(Gesture{Kind: ForgetCancel, Button: b, At: t})
			}
		}
	}
}

func (m *Machine) classDown(b device.Button, t time.Time) {
	m.endSeries(t)
	k, n := &m.buttons[b], &m.buttons[device.Nothing]
	k.next = t.Add(Tap)
	if n.role != inert {
		if n.role == counting {
			m.emit(Gesture{Kind: NewCancel, Button: device.Nothing, At: t})
		}
		n.role, n.next = chording, time.Time{}
		k.role = undecided
		return
	}
	m.presses++
	k.role, k.press = teaching, m.presses
	m.emit(Gesture{Kind: Sample, Button: b, Press: k.press, At: t})
}

func (m *Machine) classUp(b device.Button, t time.Time) {
	k := &m.buttons[b]
	switch k.role {
	case teaching:
		m.emit(Gesture{Kind: Release, Button: b, Press: k.press, At: t})
	case undecided, loose:
		m.emit(Gesture{Kind: TakeBack, Button: b, At: t})
	case counting:
		m.emit(Gesture{Kind: ForgetCancel, Button: b, At: t})
	}
	k.role, k.next = inert, time.Time{}
}

// hold does what holding a button down until its deadline t means.
func (m *Machine) hold(b device.Button, t time.Time) {
	begin, complete, after := ForgetBegin, Forget, ForgetAfter
	if b == device.Nothing {
		begin, complete, after = NewBegin, NewLesson, NewAfter
	}
	switch k := &m.buttons[b]; k.role {
	case teaching:
		k.next = t.Add(Every)
		m.emit(Gesture{Kind: Sample, Button: b, Press: k.press, At: t})
	case undecided:
		k.role, k.next = counting, t.Add(after-Tap)
		m.emit(Gesture{Kind: begin, Button: b, At: t, Until: k.next})
	case loose:
		k.role, k.next = inert, time.Time{}
	case counting:
		k.role, k.next = inert, time.Time{}
		if b == device.Nothing {
			k.role = chording
		}
		m.emit(Gesture{Kind: complete, Button: b, At: t})
	}
}

func (m *Machine) beginSeries(t time.Time) {
	m.endSeries(t)
	m.presses++
	m.series = series{left: seriesLen, press: m.presses}
	m.continueSeries(t)
}

func (m *Machine) continueSeries(t time.Time) {
	s := &m.series
	m.emit(Gesture{Kind: Sample, Button: device.Nothing, Press: s.press, At: t})
	s.left--
	s.next = t.Add(seriesEvery)
	if s.left == 0 {
		m.endSeries(t)
	}
}

func (m *Machine) endSeries(t time.Time) {
	if m.series.press != 0 {
		m.emit(Gesture{Kind: Release, Button: device.Nothing, Press: m.series.press, At: t})
	}
	m.series = series{}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

package box

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"teachbox/device"
	"teachbox/device/light"
	"teachbox/device/press"
	"teachbox/inference"
	"teachbox/internal/lesson"
	"teachbox/internal/supervise"
)

// The parts of the box as the health list names them.
const (
	partCamera  = "camera"
	partPicture = "picture" // frames come, but cannot be read or stand still
	partPanel   = "panel"   // its buttons
	partLights  = "lights"  // its LEDs
	partModel   = "model"
	partStorage = "storage" // the lesson cannot be written
	partLesson  = "lesson"  // the lesson cannot be used

	// For Report.
	PartLessonFile    = "lesson file"   // it was set aside at the start
	PartConfiguration = "configuration" // it is wrong, and another one is used
)

// toldApart is how many presses make a class more than a guess.
const toldApart = 2

// countable is how long a fault is shown at least, even if it has passed: a
// person has to be able to count its blinks, and a camera that fails for an
// instant again and again has to look ill.
const countable = 3 * time.Second

// A machine is the appliance's whole state, and step its only way to change. It
// does nothing itself: what is to be done comes out as effects. It reads no
// clock.
type machine struct {
	wiring     device.Wiring
	nightAfter time.Duration
	dark       func(inference.Fitness) bool

	press    *press.Machine
	light    *light.State
	verdict  steady
	locked   bool
	contents lesson.Contents
	seen     look // the last one, with the slot filled in
	looks    uint64
	dusk     time.Time // when it became dark; zero while it is light
	asleep   bool
	problems []supervise.Problem
	faults   light.Conditions         // shown by the status LED
	lingers  time.Time                // until when these are shown at least
	waiting  int                      // requests that the teacher has not done yet
	stuck    [device.MaxSlots + 1]int // how many sources of each button are stuck
	refused  [device.MaxSlots + 1]int // the last press of each button that was refused

	out []effect
}

// An effect is something that the loop does for the machine: a request to the
// teacher, an event to tell, or an entry in the health list.
type effect struct {
	request request // if its action is set
	at      time.Time
	event   Event  // if its kind is set
	part    string // if set, problem is what is wrong with it from now on
	problem error
}

// An input is one thing that happened.
type input struct {
	kind     inputKind
	edge     device.Edge         // inEdge
	look     look                // inLook
	outcome  outcome             // inOutcome
	fold     *lesson.Fold        // inFold
	problems []supervise.Problem // inHealth
}

// An inputKind says which field of an input is set.
type inputKind uint8

const (
	inDeadline inputKind = iota // a time that the machine asked for has come
	inEdge
	inLook
	inOutcome
	inFold
	inHealth
)

// step takes one input at the time now and returns what is to be done. The
// slice is used again by the next step.
func (m *machine) step(now time.Time, in *input) []effect {
	m.out = m.out[:0]
	switch in.kind {
	case inDeadline:
		m.gestures(now, nil)
	case inEdge:
		m.gestures(now, &in.edge)
	case inLook:
		m.look(now, &in.look)
	case inOutcome:
		m.outcome(now, &in.outcome)
	case inFold:
		m.tell(Event{Kind: Learned, At: now, Fold: in.fold})
	case inHealth:
		m.health(now, in.problems)
	}
	m.shine(now)
	return m.out
}

func (m *machine) tell(e Event) { m.out = append(m.out, effect{event: e}) }

// request asks the teacher for what a gesture means, unless too much waits for
// it already. A release is never refused, since it ends what has begun.
func (m *machine) request(now time.Time, a action, g press.Gesture) {
	if m.waiting >= backlog && a != actRelease {
		m.refuse(now, g.Button, g.Press, errBusy)
		return
	}
	m.waiting++
	m.out = append(m.out, effect{request: request{action: a, button: g.Button, press: g.Press}, at: g.At})
}

// darken puts the verdict out.
func (m *machine) darken(now time.Time) {
	if m.verdict.lit != unknown {
		m.tell(Event{Kind: VerdictChanged, At: now, Button: buttonOf(unknown)})
	}
	m.verdict = newSteady()
}

// look takes what was seen on one frame.
func (m *machine) look(now time.Time, l *look) {
	m.seen = *l
	m.seen.opinion.slot = m.slot(m.winner(l))
	m.looks++
	m.asleep = m.isNight(l)
	before := m.verdict.lit
	if lit := m.verdict.next(m.seen.opinion, l.taken); lit != before {
		m.tell(Event{Kind: VerdictChanged, At: now, Button: buttonOf(lit), Known: lit != unknown})
	}
	m.tell(Event{Kind: Looked, At: now})
}

// isNight reports whether the scene has been dark for so long.
func (m *machine) isNight(l *look) bool {
	if !m.dark(l.fitness) {
		m.dusk = time.Time{}
		return false
	}
	if m.dusk.IsZero() {
		m.dusk = l.taken
	}
	return l.taken.Sub(m.dusk) >= m.nightAfter
}

// gestures takes an edge, or the passing of a deadline.
func (m *machine) gestures(now time.Time, e *device.Edge) {
	for _, g := range m.press.Step(now, e) {
		m.gesture(now, g)
	}
}

// gesture takes what a person meant with the buttons.
func (m *machine) gesture(now time.Time, g press.Gesture) {
	if m.locked {
		switch g.Kind {
		case press.Sample, press.TakeBack, press.ForgetBegin, press.NewBegin:
			m.refuse(now, g.Button, g.Press, ErrLocked)
			return
		case press.Release, press.Forget, press.ForgetCancel, press.NewLesson, press.NewCancel:
			return
		}
	}
	switch g.Kind {
	case press.Sample:
		m.request(now, actSample, g)
	case press.Release:
		m.request(now, actRelease, g)
	case press.TakeBack:
		m.request(now, actTakeBack, g)
	case press.ForgetBegin:
		m.light.CountForget(g.Button, g.At, g.Until)
	case press.ForgetCancel:
		m.light.CancelForget(g.Button)
	case press.Forget:
		m.request(now, actForget, g)
	case press.NewBegin:
		m.light.CountNew(g.At, g.Until)
	case press.NewCancel:
		m.light.CancelNew()
	case press.NewLesson:
		m.request(now, actNew, g)
	case press.Stuck:
		m.stuck[g.Button]++
		m.out = append(m.out, effect{part: partOf(g.Button), problem: errStuck})
	case press.Unstuck:
		if m.stuck[g.Button]--; m.stuck[g.Button] == 0 {
			m.out = append(m.out, effect{part: partOf(g.Button)})
		}
	}
}

// refuse says visibly that nothing was done: once for each press, however long
// the button is held. An operation is press 0.
func (m *machine) refuse(now time.Time, b device.Button, press int, err error) {
	if press != 0 {
		if m.refused[b] == press {
			return
		}
		m.refused[b] = press
	}
	m.light.Refuse(now)
	m.tell(Event{Kind: Refused, At: now, Button: b, Err: err})
}

// outcome takes what became of a request, or of a lesson that nobody had asked
// for.
func (m *machine) outcome(now time.Time, o *outcome) {
	m.contents = o.contents
	if o.action != 0 {
		m.waiting--
	}
	if lit := m.verdict.lit; lit != unknown && m.class(lit) == nil {
		// The head does not know yet that the class is gone.
		m.darken(now)
	}
	e := Event{At: now, Button: o.button, Press: o.press}
	switch {
	case o.err != nil:
		m.refuse(now, o.button, o.press, o.err)
		return
	case o.action == actSample && o.full:
		return
	case o.action == actSample && o.skipped:
		m.light.Tick(o.button, now)
		e.Kind = Skipped
	case o.action == actSample:
		m.light.Wink(o.button, now)
		e.Kind, e.Example = Kept, o.kept
	case o.action == actTakeBack:
		m.light.WinkTwice(o.button, now)
		e.Kind = TakenBack
	case o.action == actForget:
		m.light.Forgot(o.button, now)
		e.Kind = Forgotten
	case o.action == actNew && o.restored:
		m.light.Restored(now)
		e.Kind = Restored
	case o.action == actNew:
		m.light.NewLesson(now)
		e.Kind = NewLesson
	default:
		return
	}
	m.tell(e)
}

// health takes the list of what is wrong and tells what changed in it.
func (m *machine) health(now time.Time, problems []supervise.Problem) {
	for _, p := range problems {
		if was, known := find(m.problems, p.Part); !known || was.Err.Error() != p.Err.Error() {
			m.tell(Event{Kind: HealthChanged, At: now, Part: p.Part, Err: p.Err})
		}
	}
	for _, was := range m.problems {
		if _, still := find(problems, was.Part); !still {
			m.tell(Event{Kind: HealthChanged, At: now, Part: was.Part})
		}
	}
	m.problems = problems
	if blind(problems) != nil {
		// What was lit was about a picture that is gone.
		m.darken(now)
	}
}

// blind says why the box sees nothing, or nil if it does see.
func blind(problems []supervise.Problem) error {
	for _, part := range []string{partCamera, partPicture, partModel} {
		if p, ok := find(problems, part); ok {
			return p.Err
		}
	}
	return nil
}

func find(problems []supervise.Problem, part string) (supervise.Problem, bool) {
	i := slices.IndexFunc(problems, func(p supervise.Problem) bool { return p.Part == part })
	if i < 0 {
		return supervise.Problem{}, false
	}
	return problems[i], true
}

// shine derives what the LEDs say from the state.
func (m *machine) shine(now time.Time) {
	m.light.Lit, m.light.Guess = m.verdict.lit, false
	if k := m.class(m.verdict.lit); k != nil {
		m.light.Guess = k.Presses < toldApart
	}
	var c light.Conditions
	for _, p := range m.problems {
		switch {
		case errors.Is(p.Err, errStuck):
			// The rest of the box works, and no adult need come at once.
		case p.Part == partCamera, p.Part == partPicture:
			c |= light.FaultCamera
		case p.Part == partStorage, p.Part == PartLessonFile:
			c |= light.FaultStorage
		default:
			c |= light.FaultSoftware
		}
	}
	if m.seen.taken.IsZero() {
		c |= light.Busy // nothing seen yet
	}
	if m.asleep {
		c |= light.Asleep
	}
	if m.wantsNothing() {
		c |= light.Hint
	}
	m.light.Conditions = c | m.linger(now, c&light.Faults)
}

// linger is the faults to be shown where now are the faults that there are.
func (m *machine) linger(now time.Time, faults light.Conditions) light.Conditions {
	switch {
	case faults&^m.faults != 0:
		m.faults |= faults
		m.lingers = now.Add(countable)
	case !now.Before(m.lingers):
		m.faults = faults
	}
	return m.faults
}

// class is the live class of a slot, or nil.
func (m *machine) class(slot int) *lesson.Class {
	for i := range m.contents.Classes {
		if k := &m.contents.Classes[i]; slot != unknown && k.Presses > 0 && m.slot(k) == slot {
			return k
		}
	}
	return nil
}

// winner is the class that a look was answered with, as it is now. It is nil if
// there was none, or if it was forgotten since the head was folded.
func (m *machine) winner(l *look) *lesson.Class {
	if l.fold == nil {
		return nil
	}
	for i := range m.contents.Classes {
		if k := &m.contents.Classes[i]; k.Presses > 0 && k.ID == l.fold.Classes[l.winner].ID {
			return k
		}
	}
	return nil
}

// slot is the one that a verdict for the class lights: unknown for no class,
// for nothing and for a slot that the panel lacks.
func (m *machine) slot(k *lesson.Class) int {
	if k == nil || int(k.Button) >= m.wiring.Slots {
		return unknown
	}
	return int(k.Button)
}

// wantsNothing reports whether the box asks for the empty desk: until nothing
// has been taught once, an untaught thing before the same background is nearly
// always taken for a taught one.
func (m *machine) wantsNothing() bool {
	return m.wiring.Nothing && !slices.ContainsFunc(m.contents.Classes, func(k lesson.Class) bool {
		return k.Button == device.Nothing && k.Presses > 0
	})
}

func buttonOf(slot int) device.Button {
	if slot == unknown {
		return device.Nothing
	}
	return device.Button(slot)
}

// partOf is a button as the health list names it.
func partOf(b device.Button) string {
	if b == device.Nothing {
		return "nothing button"
	}
	return fmt.Sprintf("button %d", int(b)+1) // people count from one
}

// Why a press may be refused, and what may be wrong with a button.
var (
	ErrLocked = errors.New("teaching is locked (unlock it in the configuration: locked = false)")
	errBusy   = errors.New("too many presses wait to be stored (let go for a moment)")
	errStuck  = errors.New("down all the time (see what lies on it, or check its wiring)")
)

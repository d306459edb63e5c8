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
	partStorage = "storage"          // the lesson cannot be written
	partBackup  = "backup"           // no backup of it can be written
	partLesson  = "lesson"           // the lesson cannot be used
	partLeftOut = "left out"         // some of its examples cannot be used
	partAside   = "lesson put aside" // because it could not be used

	// PartLessonFile is a lesson file that did not open as it was left.
	PartLessonFile = "lesson file"

	// PartConfiguration, for Report, is one that is wrong, so that another one is
	// used.
	PartConfiguration = "configuration"
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

	press       *press.Machine
	numbered    int // presses that the press machines before this one have counted
	presses     int // presses counted so far
	light       *light.State
	verdict     steady
	locked      bool
	lockedFirst bool // the configuration's word on it
	contents    lesson.Contents
	recomputing lesson.Coverage // zero while nothing is
	seen        look            // the last one, with the slot filled in
	looks       uint64
	dusk        time.Time // when it became dark; zero while it is light
	asleep      bool
	problems    []supervise.Problem
	faults      light.Conditions         // shown by the status LED
	lingers     time.Time                // until when these are shown at least
	waiting     int                      // requests that the teacher has not done yet
	stuck       [device.MaxSlots + 1]int // how many sources of each button are stuck
	refused     [device.MaxSlots + 1]int // the last press of each button that was refused

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
	news     news                // inNews
	problems []supervise.Problem // inHealth
	lock     *command            // inLock
	change   *change             // inChange
	wiring   device.Wiring       // inWiring
}

// An inputKind says which field of an input is set.
type inputKind uint8

const (
	inDeadline inputKind = iota // a time that the machine asked for has come
	inEdge
	inLook
	inOutcome
	inNews
	inHealth
	inLock
	inChange
	inWiring // another panel has taken over
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
	case inNews:
		m.learn(now, in.news)
	case inHealth:
		m.health(now, in.problems)
	case inLock:
		m.setLocked(now, in.lock.locked)
		m.out = append(m.out, effect{request: request{action: actLock, command: in.lock}})
	case inChange:
		m.reconfigure(now, &in.change.Change)
	case inWiring:
		m.rewire(now, in.wiring)
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
	if g.Press != 0 {
		g.Press += m.numbered
		m.presses = max(m.presses, g.Press)
	}
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

// setLocked locks or unlocks teaching.
func (m *machine) setLocked(now time.Time, locked bool) {
	if locked == m.locked {
		return
	}
	m.locked = locked
	if !locked {
		m.tell(Event{Kind: Unlocked, At: now})
		return
	}
	m.letGo(now)
	m.tell(Event{Kind: Locked, At: now})
}

// letGo ends whatever buttons have begun, as if they were let go of.
func (m *machine) letGo(now time.Time) {
	for b := range device.Button(device.MaxSlots) {
		m.light.CancelForget(b)
	}
	m.light.CancelNew()
	m.waiting++
	m.out = append(m.out, effect{request: request{action: actRelease, press: allPresses}, at: now})
}

// reconfigure takes what a change says of how the box behaves, and forgets what
// was seen if other eyes see from now on.
func (m *machine) reconfigure(now time.Time, c *Change) {
	m.nightAfter, m.dark = c.Options.NightAfter, c.Dark
	if first := c.Options.Locked; first != m.lockedFirst {
		m.lockedFirst = first
		m.setLocked(now, first || m.contents.Locked)
	}
	if c.Camera != nil || c.OpenEmbedder != nil {
		m.darken(now)
		m.seen = look{opinion: opinion{slot: unknown}}
		m.dusk, m.asleep = time.Time{}, false
	}
	if c.Panel != nil {
		m.plug(now, m.wiring) // nobody watches the old one's buttons any more
	}
}

// plug begins anew with the buttons of a panel.
func (m *machine) plug(now time.Time, w device.Wiring) {
	m.letGo(now)
	for b, n := range m.stuck {
		if n > 0 {
			m.out = append(m.out, effect{part: partOf(device.Button(b))})
			m.stuck[b] = 0
		}
	}
	m.numbered = m.presses
	m.wiring, m.press = w, press.New(w)
	m.gestures(now, nil) // the buttons' life begins
}

// rewire begins anew with the buttons and LEDs of another panel, which are there
// from now on.
func (m *machine) rewire(now time.Time, w device.Wiring) {
	m.plug(now, w)
	m.light = light.New(w)
	m.light.Sweep(now)
	m.seen.opinion.slot = m.slot(m.winner(&m.seen))
	if m.class(m.verdict.lit) == nil {
		m.darken(now)
	}
}

// learn takes what the teacher has made of the lesson.
func (m *machine) learn(now time.Time, n news) {
	m.recomputing = n.recomputing
	if n.recomputing != (lesson.Coverage{}) {
		m.darken(now)
		return
	}
	m.tell(Event{Kind: Learned, At: now, Fold: n.fold})
}

// outcome takes what became of a request, or of a lesson that nobody had asked
// for.
func (m *machine) outcome(now time.Time, o *outcome) {
	if m.contents.Lesson == "" && o.contents.Locked {
		m.setLocked(now, true) // it is read only now
	}
	m.contents = o.contents
	if o.action != 0 && o.command == nil {
		m.waiting--
	}
	if lit := m.verdict.lit; lit != unknown && m.class(lit) == nil {
		// The head does not know yet that the class is gone.
		m.darken(now)
	}
	e := Event{At: now, Button: o.button, Press: o.press}
	switch {
	case o.command != nil:
		// Whoever gave it is told by its answer; the others, if it did something.
		if o.action != actEdit || o.err != nil {
			return
		}
		e.Kind, e.Step = Edited, o.command.result.Step
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
		c |= Fault(p)
	}
	if m.seen.taken.IsZero() {
		c |= light.Busy // nothing seen yet
	}
	if m.recomputing != (lesson.Coverage{}) {
		c |= light.Busy
	}
	if m.asleep {
		c |= light.Asleep
	}
	if m.wantsNothing() {
		c |= light.Hint
	}
	m.light.Conditions = c | m.linger(now, c&light.Faults)
}

// Fault is the rhythm that a problem plays, or 0 if it plays none: the rest of
// the box works, and no adult need come at once.
func Fault(p supervise.Problem) light.Conditions {
	switch {
	case errors.Is(p.Err, errStuck):
		return 0
	case p.Part == partCamera, p.Part == partPicture:
		return light.FaultCamera
	case p.Part == partAside, p.Part == partLeftOut:
		return 0
	case p.Part == partStorage, p.Part == partBackup, p.Part == PartLessonFile:
		return light.FaultStorage
	}
	return light.FaultSoftware
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
	ErrLocked = errors.New("teaching is locked (to unlock it: teachbox unlock)")
	errBusy   = errors.New("too many presses wait to be stored (let go for a moment)")
	errStuck  = errors.New("down all the time (see what lies on it, or check its wiring)")
)

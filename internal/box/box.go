// Package box is the appliance: it joins a camera, a panel, an embedder and a
// lesson into a box that learns and answers. A pure machine decides what is
// done; the loop here feeds it with what happens and does what it says.
//
// Four goroutines do what takes time, and the loop never waits for them: the
// camera's, which leaves the newest frame in a mailbox; the panel's, which hands
// on its edges; vision, the only one that touches the embedder; and the teacher,
// the only one that touches the lesson. The first three may fail and are started
// again, and may be exchanged while the box runs.
package box

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"teachbox/device"
	"teachbox/device/frame"
	"teachbox/device/light"
	"teachbox/device/press"
	"teachbox/inference"
	"teachbox/inference/head"
	"teachbox/internal/lesson"
	"teachbox/internal/supervise"
)

const (
	// opening is how long a camera may take to its first frame, and stall is how
	// long it may be silent afterwards. Both are the last resort: cameras that
	// know why they are silent give up before, after 10 s and 2.5 s at most.
	opening = 12 * time.Second
	stall   = 3 * time.Second
	// adapting is how long it must have been light before a camera is held: it
	// has to find its exposure first.
	adapting = 2 * time.Second
	// settled is how long a panel must have been watched to count as well.
	settled = 500 * time.Millisecond
	// nightPause is the time between two looks at night.
	nightPause = time.Second
)

// Parts are what a box is made of. Only the program that wires them knows what
// they are.
type Parts struct {
	Camera device.Camera
	Panel  device.Panel
	Wiring device.Wiring
	// OpenEmbedder is called from the goroutine that will use the embedder,
	// and again after it failed.
	OpenEmbedder func() (inference.Embedder, error)
	Lessons      Lessons
	Encode       func(frame.Frame) ([]byte, error) // a frame as the picture to keep; nil: none is kept
	Same         func(a, b *inference.Thumb) bool  // nearly identical frames; nil: none are
	Dark         func(inference.Fitness) bool      // too dark to see anything; nil: never
	// Frozen is given every frame that was looked at, with the moment at which it
	// was taken, and reports whether the camera repeats one picture; nil: never.
	Frozen func(inference.Fitness, time.Time) bool
	// Hold is told when the first thing of a lesson was taught, and when nothing
	// is taught any more, so that a camera can keep its colours in between. While
	// it is dark the former waits, since a camera that is held in the dark sees
	// nothing in the light. It must not wait. nil: nobody is told.
	Hold func(taught bool)
}

// Options says how a box behaves.
type Options struct {
	Rate       float64       // looks per second at most; 0 is 15
	NightAfter time.Duration // how long a dark scene makes it night; 0 is 10 minutes
	Locked     bool          // presses are refused
	// Observe is called for every event, from the loop, in order. It must not
	// wait, and may call Snapshot.
	Observe func(Event)
	// Progress is called by the loop, once a second at least, as long as vision
	// and the teacher get on with their work too: neither has been at one piece of
	// it for half a minute. It must not wait.
	Progress func()
}

// withDefaults fills in what is not said.
func (o Options) withDefaults() Options {
	if o.Rate == 0 {
		o.Rate = 15
	}
	if o.NightAfter == 0 {
		o.NightAfter = 10 * time.Minute
	}
	return o
}

func neverDark(inference.Fitness) bool { return false }

// A Snapshot is all that can be seen of a box at one moment.
type Snapshot struct {
	At       time.Time
	Lights   device.Lights
	Lit      device.Button // the class LED that is lit, if Known
	Known    bool
	Nothing  bool // not Known: what won is the class *nothing*, not a strange thing
	Asleep   bool
	Locked   bool
	Hint     bool // the box asks for the empty desk
	Contents lesson.Contents
	Problems []supervise.Problem
	// Recomputing tells how far the lesson has been brought into the embedding
	// space of what is seen now. It is zero when nothing is to be done.
	Recomputing lesson.Coverage

	// What was seen on the last frame.
	Frame   uint64    // its Seq
	Taken   time.Time // when it was taken
	Fitness inference.Fitness
	Spent   time.Duration // from looking to the answer
	Looks   uint64        // frames looked at since the start
	Dropped uint64        // frames that nobody looked at

	// What the head said of it; Fold is nil when there was none to ask.
	Fold    *lesson.Fold
	Winner  int // class of Fold
	P       [maxClasses]float64
	Accept  float64 // similarity to the nearest example of a class other than nothing
	Verdict int     // the slot by the head's rule alone, or -1 for unknown
}

// InHand reports whether the box has what it needs: it has looked at a frame,
// and camera, panel and model work.
func (s *Snapshot) InHand() bool {
	for _, part := range []string{partCamera, partPicture, partModel, partPanel, partLights} {
		if _, wrong := find(s.Problems, part); wrong {
			return false
		}
	}
	return s.Looks > 0
}

// Report is what the fit learned about the lesson, or nil.
func (s *Snapshot) Report() *head.Report {
	if s.Fold == nil || s.Fold.Head == nil {
		return nil
	}
	return s.Fold.Head.Report()
}

// A Box is one appliance.
type Box struct {
	opt     Options // Observe and Progress; the machine has the others
	health  *supervise.Health
	machine *machine
	mailbox *frame.Mailbox
	vision  *vision
	teacher *teacher
	fold    atomic.Pointer[folded]

	camera  *supervise.Place
	buttons *supervise.Place
	model   *supervise.Place

	edges     chan device.Edge
	looks     chan look
	outcomes  chan outcome
	news      chan news
	unwell    chan struct{} // the health list changed
	locks     chan *command // SetLocked
	changes   chan *change
	takeovers chan takeover

	places   chan struct{} // one for each command under way
	changing chan struct{} // one while a Change is under way
	ended    chan struct{} // Run is over

	// These belong to the loop.
	panel  device.Panel // nil while another one takes over
	dark   func(inference.Fitness) bool
	hold   func(taught bool)
	held   bool
	bright time.Time // since when it has been light; zero while it is dark

	// toHalt is the panel to halt: its place's until Run ends.
	toHalt device.Panel

	mu       sync.Mutex
	snapshot Snapshot
}

// folded is a lesson folded in an embedding space.
type folded struct {
	*lesson.Fold
	space inference.Space
}

// New makes a box. Nothing happens before Run.
func New(p Parts, o Options) *Box {
	o = o.withDefaults()
	if p.Dark == nil {
		p.Dark = neverDark
	}
	b := &Box{
		opt:     o,
		mailbox: frame.NewMailbox(),
		edges:   make(chan device.Edge, 64),
		looks:   make(chan look, 1),
		// An outcome that was sent is one that the loop will tell of.
		outcomes:  make(chan outcome),
		news:      make(chan news, 1),
		unwell:    make(chan struct{}, 1),
		locks:     make(chan *command),
		changes:   make(chan *change),
		takeovers: make(chan takeover),
		places:    make(chan struct{}, commands),
		changing:  make(chan struct{}, 1),
		ended:     make(chan struct{}),
		panel:     p.Panel, toHalt: p.Panel,
		dark: p.Dark, hold: p.Hold,
	}
	b.health = supervise.NewHealth(func() {
		select {
		case b.unwell <- struct{}{}:
		default:
		}
	})
	contents := p.Lessons.Contents()
	b.machine = &machine{
		wiring: p.Wiring, nightAfter: o.NightAfter, dark: p.Dark,
		locked: o.Locked || contents.Locked, lockedFirst: o.Locked,
		press: press.New(p.Wiring), light: light.New(p.Wiring), verdict: newSteady(),
		contents: contents,
	}
	b.vision = &vision{
		mailbox: b.mailbox, fold: &b.fold, health: b.health,
		wake:    make(chan struct{}, 1),
		opened:  func(s inference.Space) { b.teacher.enter(s) },
		looked:  func(ctx context.Context, l look) { send(ctx, b.looks, l) },
		studied: func(s *study) { b.teacher.handBack(s) },
	}
	b.vision.habits.Store(newLookHabits(o, p.Frozen))
	b.teacher = &teacher{
		lessons: p.Lessons, vision: b.vision, health: b.health,
		wake: make(chan struct{}, 1), open: make(map[int]*openPress),
		done: func(ctx context.Context, o outcome) bool { return send(ctx, b.outcomes, o) },
		learned: func(ctx context.Context, n news, in inference.Space) {
			b.fold.Store(&folded{n.fold, in})
			send(ctx, b.news, n)
		},
	}
	b.teacher.habits.Store(&keepHabits{p.Encode, p.Same})
	b.camera = supervise.NewPlace(b.health, partCamera, b.watchCamera(p.Camera))
	b.buttons = supervise.NewPlace(b.health, partPanel, b.watchPanel(p.Panel))
	b.model = supervise.NewPlace(b.health, partModel, b.vision.run(p.OpenEmbedder))
	return b
}

// send gives a value to the loop, unless ctx ends before.
func send[T any](ctx context.Context, c chan<- T, v T) bool {
	select {
	case c <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

// Report enters a problem from outside the box in its health list: storage that
// was set aside, a configuration that was not used. It stays until cleared with
// a nil error.
func (b *Box) Report(part string, err error) {
	if err == nil {
		b.health.Clear(part)
		return
	}
	b.health.Fail(part, err)
}

// Push injects an edge from elsewhere than the panel.
func (b *Box) Push(ctx context.Context, e device.Edge) { send(ctx, b.edges, e) }

// Snapshot returns what can be seen of the box now.
func (b *Box) Snapshot() Snapshot {
	b.mu.Lock()
	s := b.snapshot
	b.mu.Unlock()
	s.Dropped = b.mailbox.Dropped()
	return s
}

// Run runs the box until ctx ends. It returns after every goroutine has ended
// and the LEDs are dark; the lesson is the caller's to close. A box runs once.
func (b *Box) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { b.camera.Run(ctx) })
	parts.Go(func() { b.buttons.Run(ctx) })
	parts.Go(func() { b.model.Run(ctx) })
	parts.Go(func() { b.teacher.run(ctx) })
	b.loop(ctx)
	cancel()
	// Dark at once: a fold, or a camera that hangs, may take long to end. If it
	// fails, Halt does too.
	if b.panel != nil {
		_ = b.panel.Show(0)
	}
	parts.Wait()
	close(b.ended)
	b.vision.close() // native memory goes last
	return b.toHalt.Halt()
}

// watchCamera runs a camera once. One that is silent for too long has failed.
func (b *Box) watchCamera(c device.Camera) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		silence := time.AfterFunc(opening, func() {
			cancel(fmt.Errorf("%v: %w (check its cable, or switch the box off and on)", c, device.ErrStall))
		})
		defer silence.Stop()
		seen := false
		err := c.Run(ctx, func(f frame.Frame) {
			silence.Reset(stall)
			if !seen {
				seen = true
				b.health.Clear(partCamera)
			}
			b.vision.give(f)
		})
		if err == nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
}

// watchPanel watches a panel once.
func (b *Box) watchPanel(p device.Panel) func(context.Context) error {
	return func(ctx context.Context) error {
		well := time.AfterFunc(settled, func() { b.health.Clear(partPanel) })
		defer well.Stop()
		reported := make(map[device.Source]bool)
		err := p.Watch(ctx, func(e device.Edge) {
			reported[e.Source] = true
			send(ctx, b.edges, e)
		})
		// A button that nobody watches any more is not held down.
		for source := range device.NumSources {
			for button := range device.Nothing + 1 {
				if reported[source] {
					send(ctx, b.edges, device.Edge{Source: source, Button: button, At: time.Now()})
				}
			}
		}
		return err
	}
}

// loop feeds the machine until ctx ends.
func (b *Box) loop(ctx context.Context) {
	now := time.Now()
	b.machine.light.Sweep(now)
	timer := time.NewTimer(0)
	defer timer.Stop()
	effects := b.machine.step(now, &input{}) // the buttons' life begins
	var shown device.Lights
	var done *command // answered when the snapshot has what it did
	for showing := false; ; {
		b.holdColours()
		lights, next := b.machine.light.Levels(now)
		if b.panel != nil && (!showing || lights != shown) {
			err := b.panel.Show(lights)
			if err != nil {
				b.health.Fail(partLights, err)
			} else {
				b.health.Clear(partLights)
			}
			shown, showing = lights, err == nil
		}
		b.publish(now, lights)
		if done != nil {
			close(done.done)
		}
		if b.opt.Observe != nil {
			for i := range effects {
				if effects[i].event.Kind != 0 {
					b.opt.Observe(effects[i].event)
				}
			}
		}
		if b.opt.Progress != nil && !b.vision.work.hangs(now) && !b.teacher.work.hangs(now) {
			b.opt.Progress()
		}

		if due, ok := b.machine.press.Next(); ok && (next.IsZero() || due.Before(next)) {
			next = due
		}
		if due := now.Add(pulse); next.IsZero() || due.Before(next) {
			next = due
		}
		timer.Reset(time.Until(next))
		var in input
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			// What was pushed before the deadline counts before it.
			select {
			case in.edge = <-b.edges:
				in.kind = inEdge
			default:
			}
		case in.edge = <-b.edges:
			in.kind = inEdge
		case in.look = <-b.looks:
			in.kind = inLook
		case in.outcome = <-b.outcomes:
			in.kind = inOutcome
		case in.news = <-b.news:
			in.kind = inNews
		case <-b.unwell:
			in.kind, in.problems = inHealth, b.health.Problems()
		case in.lock = <-b.locks:
			in.kind = inLock
		case in.change = <-b.changes:
			in.kind = inChange
			b.apply(ctx, in.change)
		case to := <-b.takeovers:
			in.kind, in.wiring = inWiring, to.wiring
			b.panel, showing = to.panel, false
		}
		now = time.Now()
		effects = b.machine.step(now, &in)
		for i := range effects {
			e := &effects[i]
			if e.part != "" {
				b.Report(e.part, e.problem)
			}
			if e.request.action == actSample {
				e.request.want = b.vision.ask(e.at)
			}
			if e.request.action != 0 {
				b.teacher.ask(e.request)
			}
		}
		if in.kind == inLook {
			switch {
			case b.dark(in.look.fitness):
				b.bright = time.Time{}
			case b.bright.IsZero():
				b.bright = in.look.taken
			}
		}
		done = in.outcome.command
		b.vision.asleep.Store(b.machine.asleep)
	}
}

// holdColours tells the camera whether to keep its colours, if that changed.
func (b *Box) holdColours() {
	if b.hold == nil {
		b.held = false
		return
	}
	taught := len(b.machine.contents.Classes) > 0
	adapted := !b.bright.IsZero() && b.machine.seen.taken.Sub(b.bright) >= adapting
	if hold := taught && (b.held || adapted); hold != b.held {
		b.hold(hold)
		b.held = hold
	}
}

// publish makes the state visible to Snapshot.
func (b *Box) publish(now time.Time, lights device.Lights) {
	m := b.machine
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.snapshot
	s.At, s.Lights, s.Asleep, s.Locked = now, lights, m.asleep, m.locked
	s.Hint = m.wantsNothing()
	s.Known, s.Lit = m.verdict.lit != unknown, buttonOf(m.verdict.lit)
	s.Contents, s.Problems, s.Recomputing = m.contents, m.problems, m.recomputing
	l := &m.seen
	k := m.winner(l)
	s.Nothing = !s.Known && k != nil && k.Button == device.Nothing
	s.Looks = m.looks
	s.Frame, s.Taken, s.Fitness, s.Spent = l.seq, l.taken, l.fitness, l.spent
	s.Fold, s.Winner, s.P, s.Accept, s.Verdict = l.fold, l.winner, l.p, l.opinion.accept, l.opinion.verdict()
}

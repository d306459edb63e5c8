package box_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/device"
	"teachbox/device/devicetest"
	"teachbox/device/frame"
	"teachbox/inference"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

const ms = time.Millisecond

// A scene is what is before the camera. The frames are not pictures: their
// bytes are what the fake embedder says of them.
type scene struct {
	thing  int           // 0 is the empty desk
	moving bool          // every frame differs from the last one
	dark   bool          //
	broken bool          // frames cannot be read
	frozen bool          // the camera repeats one frame
	fault  error         // the camera ends with it
	silent bool          // the camera gives nothing
	every  time.Duration // between two frames
	late   time.Duration // from taking a frame to giving it
	opens  time.Duration // how long the camera takes to its first frame
}

// Where things are in the bytes of a frame.
const (
	atCount = 60 // which frame it is, two bytes
	atPose  = 62
	atLuma  = 63
	frameW  = 8 // YUYV
	frameH  = 4

	frozenLuma = 77
)

// picture is the n-th frame of a camera.
func (s scene) picture(n int) frame.Frame {
	pix := make([]byte, 2*frameW*frameH)
	noise := rand.New(rand.NewPCG(1, uint64(s.thing)))
	for i := range atCount {
		pix[i] = uint8(noise.IntN(200))
	}
	pix[atCount], pix[atCount+1] = uint8(n), uint8(n>>8)
	pix[atLuma] = 100
	if s.dark {
		pix[atLuma] = 3
	}
	if s.frozen {
		pix[atLuma] = frozenLuma
	}
	pix[atPose] = 99
	if s.moving {
		pix[atPose] = uint8(n)
	}
	if s.broken {
		pix = pix[:1]
	}
	return frame.Frame{Format: frame.YUYV, Width: frameW, Height: frameH, Stride: 2 * frameW, Pix: pix}
}

// frameOf tells which frame an embedding is of.
func frameOf(e inference.Embedding) int { return int(e.Q[atCount]) | int(e.Q[atCount+1])<<8 }

// An embedder says what is in the bytes of a frame.
type embedder struct {
	space inference.Space
	wider int           // length of the embedding beyond that of others
	takes time.Duration // to look
	fault func() error
	shut  func()
}

func (e *embedder) Embed(f frame.Frame, l *inference.Look) error {
	time.Sleep(e.takes)
	if err := f.Check(); err != nil {
		return err
	}
	if len(f.Pix) <= atLuma {
		return frame.ErrMalformed // a kept picture that is none
	}
	if e.fault != nil {
		if err := e.fault(); err != nil {
			return err
		}
	}
	l.Embedding = inference.Embedding{Q: append(l.Embedding.Q[:0], f.Pix[:atPose]...), Space: e.space}
	for range e.wider {
		l.Embedding.Q = append(l.Embedding.Q, 1)
	}
	l.Thumb[0] = f.Pix[atPose]
	l.Fitness.Luma = float32(f.Pix[atLuma])
	return nil
}

func (e *embedder) Space() inference.Space           { return e.space }
func (e *embedder) Provenance() inference.Provenance { return inference.Provenance{Backend: "fake"} }

func (e *embedder) Close() error {
	if e.shut != nil {
		e.shut()
	}
	return nil
}

// A panel writes down what the LEDs showed.
type panel struct {
	*devicetest.FakePanel
	mu     sync.Mutex
	shown  []shown
	deaf   error // of Show
	halted int
}

type shown struct {
	at     time.Time
	lights device.Lights
}

func (p *panel) Show(l device.Lights) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deaf != nil {
		return p.deaf
	}
	err := p.FakePanel.Show(l)
	if err == nil {
		p.shown = append(p.shown, shown{time.Now(), l})
	}
	return err
}

func (p *panel) Halt() error {
	p.mu.Lock()
	p.halted++
	p.mu.Unlock()
	return p.FakePanel.Halt()
}

// A store is a real lesson file that can be made slow and full, and that writes
// down what it is asked.
type store struct {
	*lesson.Store
	path  string
	mu    sync.Mutex
	slow  time.Duration // every Keep takes so long
	folds time.Duration // every Fold takes so long
	fault error         // of everything that writes
	kept  []kept
	done  []fold

	noBackup   error // of Backup
	notice     *lesson.Notice
	backups    []backup // attempts
	recomputed []int    // examples in each write
}

type backup struct {
	at      time.Time
	overdue bool // when it was begun
	err     error
}

type kept struct {
	lesson.Keep
	at time.Time // when it was durable
}

type fold struct {
	at     time.Time
	frames int
}

// set changes how the store behaves.
func (s *store) set(f func(*store)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *store) failing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

func (s *store) Keep(k lesson.Keep) (lesson.Example, error) {
	s.mu.Lock()
	slow := s.slow
	s.mu.Unlock()
	time.Sleep(slow)
	if err := s.failing(); err != nil {
		return lesson.Example{}, err
	}
	e, err := s.Store.Keep(k)
	if err == nil {
		s.mu.Lock()
		s.kept = append(s.kept, kept{k, time.Now()})
		s.mu.Unlock()
	}
	return e, err
}

func (s *store) Edit(revision int64, e lesson.Edit) (lesson.Result, error) {
	if err := s.failing(); err != nil {
		return lesson.Result{}, err
	}
	return s.Store.Edit(revision, e)
}

func (s *store) SetLocked(locked bool) error {
	if err := s.failing(); err != nil {
		return err
	}
	return s.Store.SetLocked(locked)
}

func (s *store) PutAside(in inference.Space) (lesson.Result, error) {
	if err := s.failing(); err != nil {
		return lesson.Result{}, err
	}
	return s.Store.PutAside(in)
}

func (s *store) Recompute(all []lesson.Recomputed) error {
	if err := s.failing(); err != nil {
		return err
	}
	err := s.Store.Recompute(all)
	if err == nil {
		s.mu.Lock()
		s.recomputed = append(s.recomputed, len(all))
		s.mu.Unlock()
	}
	return err
}

func (s *store) Notice() *lesson.Notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notice
}

func (s *store) Acknowledge() error {
	if err := s.failing(); err != nil {
		return err
	}
	s.set(func(s *store) { s.notice = nil })
	return s.Store.Acknowledge()
}

func (s *store) Backup() error {
	overdue := s.Overdue()
	s.mu.Lock()
	err := errors.Join(s.fault, s.noBackup)
	s.mu.Unlock()
	if err == nil {
		err = s.Store.Backup()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backups = append(s.backups, backup{time.Now(), overdue, err})
	return err
}

func (s *store) Fold(in inference.Space) (*lesson.Fold, error) {
	s.mu.Lock()
	slow := s.folds
	s.mu.Unlock()
	time.Sleep(slow)
	f, err := s.Store.Fold(in)
	if err == nil {
		s.mu.Lock()
		s.done = append(s.done, fold{time.Now(), f.Frames})
		s.mu.Unlock()
	}
	return f, err
}

func (s *store) Writable() error { return s.failing() }

func (s *store) Retry() error {
	if err := s.failing(); err != nil {
		return err
	}
	return s.Store.Retry()
}

// A rig is a whole box with everything around it. Time is that of the bubble
// that it is made in.
type rig struct {
	t     *testing.T
	box   *box.Box
	panel *panel
	store *store
	began time.Time
	stop  context.CancelFunc
	ended chan error

	mu     sync.Mutex
	scene  scene
	taken  []time.Time // of every frame, over all runs of the camera
	runs   int         // of the camera
	events []box.Event
	lights []device.Lights // of the snapshot, at each event
}

func fourSlots() device.Wiring { return device.Wiring{Slots: 4, Nothing: true, Status: true} }

func space() inference.Space { return inference.Space{Model: "fake", Cut: "pool"} }

// setup is what a test may change before the box runs.
type setup struct {
	parts   *box.Parts
	options *box.Options
	rig     *rig
}

// start runs a box in a bubble. It ends with the test.
func start(t *testing.T, change func(setup)) *rig {
	t.Helper()
	r := newRig(t, change)
	r.run()
	t.Cleanup(func() { r.end() })
	return r
}

func newRig(t *testing.T, change func(setup)) *rig {
	t.Helper()
	return newRigAt(t, filepath.Join(t.TempDir(), "lesson.db"), change)
}

// newRigAt makes a rig with the lesson file of that path.
func newRigAt(t *testing.T, path string, change func(setup)) *rig {
	t.Helper()
	s, err := lesson.Open(lesson.Options{Path: path, KeepPictures: lesson.KeepLesson})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		t: t, began: time.Now(), ended: make(chan error, 1),
		panel: &panel{FakePanel: devicetest.NewFakePanel()},
		store: &store{Store: s, path: path},
		scene: scene{every: 40 * ms},
	}
	parts := box.Parts{
		Camera: &camera{r}, Panel: r.panel, Wiring: fourSlots(), Lessons: r.store,
		OpenEmbedder: func() (inference.Embedder, error) { return &embedder{space: space()}, nil },
		Encode:       func(f frame.Frame) ([]byte, error) { return f.Pix, nil },
		Same:         func(a, b *inference.Thumb) bool { return a[0] == b[0] },
		Dark:         func(f inference.Fitness) bool { return f.Luma < 16 },
		Frozen:       func(f inference.Fitness, taken time.Time) bool { return f.Luma == frozenLuma && !taken.IsZero() },
	}
	options := box.Options{Observe: r.observe}
	if change != nil {
		change(setup{&parts, &options, r})
	}
	r.box = box.New(parts, options)
	return r
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.ended <- r.box.Run(ctx) }()
}

// shows counts how often the LEDs were set.
func (p *panel) shows() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.shown)
}

// end stops the box and demands that it leaves nothing behind.
func (r *rig) end() {
	r.t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		r.t.Errorf("Run: %v", err)
	}
	if err := r.store.Close(); err != nil {
		r.t.Errorf("closing the lesson: %v", err)
	}
	if l := r.panel.Lights(); l != 0 {
		r.t.Errorf("the LEDs show %v after the end", l)
	}
	if r.panel.halted != 1 {
		r.t.Errorf("the panel was halted %d times (want 1)", r.panel.halted)
	}
}

func (r *rig) observe(e box.Event) {
	s := r.box.Snapshot()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	r.lights = append(r.lights, s.Lights)
}

// A camera takes what is before it.
type camera struct{ *rig }

func (c *camera) String() string { return "fake camera" }

// Run gives frames until the scene has a fault.
func (c *camera) Run(ctx context.Context, emit func(frame.Frame)) error {
	c.mu.Lock()
	c.runs++
	opens := c.scene.opens
	c.mu.Unlock()
	// Not with 0: in Go 1.26.8 the race detector may crash when a bubble's
	// goroutine finds a timer due while other timers of the bubble run.
	if opens > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(opens):
		}
	}
	fake := devicetest.FakeCamera{Next: func(ctx context.Context) (frame.Frame, error) {
		for {
			s := c.look()
			if s.fault != nil {
				return frame.Frame{}, s.fault
			}
			select {
			case <-ctx.Done():
				return frame.Frame{}, ctx.Err()
			case <-time.After(s.every):
			}
			if s = c.look(); s.silent || s.fault != nil {
				continue
			}
			c.mu.Lock()
			f := s.picture(len(c.taken))
			f.Taken = time.Now().Add(-s.late)
			c.taken = append(c.taken, f.Taken)
			c.mu.Unlock()
			return f, nil
		}
	}}
	return fake.Run(ctx, emit)
}

func (c *camera) look() scene {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scene
}

// change changes the scene.
func (r *rig) change(f func(*scene)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.scene)
}

func (r *rig) show(thing int) { r.change(func(s *scene) { s.thing = thing }) }

// wait lets time pass.
func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// settle waits until the box is up: the sweep is over, and no button counts as
// stuck at boot.
func (r *rig) settle() { r.wait(2 * time.Second) }

// hold pushes a button for so long.
func (r *rig) hold(b device.Button, d time.Duration) {
	r.panel.Press(b)
	r.wait(d)
	r.panel.Release(b)
	synctest.Wait()
}

func (r *rig) tap(b device.Button) { r.hold(b, 100*ms) }

// teach shows a thing and taps a button so many times.
func (r *rig) teach(b device.Button, thing, presses int) {
	r.t.Helper()
	r.show(thing)
	for range presses {
		r.wait(100 * ms)
		before := len(r.keeps())
		r.tap(b)
		want := 1
		if b == device.Nothing {
			want = 3
			r.wait(1100 * ms)
		}
		r.wait(200 * ms)
		if got := len(r.keeps()) - before; got != want {
			r.t.Fatalf("%v was tapped: %d examples kept (want %d); events:\n%s", b, got, want, r.history())
		}
	}
}

// keeps is what is durable.
func (r *rig) keeps() []kept {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	return slices.Clone(r.store.kept)
}

func (r *rig) foldings() []fold {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	return slices.Clone(r.store.done)
}

// count counts events of a kind.
func (r *rig) count(k box.EventKind) int {
	n := 0
	r.each(func(e box.Event) {
		if e.Kind == k {
			n++
		}
	})
	return n
}

// refusals is why something was refused, each time.
func (r *rig) refusals() []error {
	var all []error
	r.each(func(e box.Event) {
		if e.Kind == box.Refused {
			all = append(all, e.Err)
		}
	})
	return all
}

// refused demands that a tap is refused, within so long, because of an error.
func (r *rig) refused(b device.Button, within time.Duration, want error) {
	r.t.Helper()
	before := len(r.refusals())
	r.panel.Press(b)
	r.wait(100 * ms)
	r.panel.Release(b)
	r.wait(within - 100*ms)
	if got := r.refusals()[before:]; len(got) != 1 || !errors.Is(got[0], want) {
		r.t.Errorf("at %v: refusals of a tap: %v (want one: %v)", time.Since(r.began), got, want)
	}
}

// onFile teaches a lesson before the box runs: so many presses of class 1.
func (r *rig) onFile(thing, presses int) {
	r.t.Helper()
	for i := range presses {
		r.file(0, scene{thing: thing}.picture(i).Pix, nil)
	}
}

// pictured teaches a lesson with pictures before the box runs.
func (r *rig) pictured(b device.Button, thing, presses int) {
	r.t.Helper()
	for i := range presses {
		pix := scene{thing: thing}.picture(50 * i).Pix // some time lies between them
		r.file(b, pix, pix)
	}
}

// file keeps one frame before the box runs.
func (r *rig) file(b device.Button, pix, picture []byte) {
	r.t.Helper()
	_, err := r.store.Store.Keep(lesson.Keep{
		Button: b, Press: lesson.NewPressID(), Embedding: inference.Embedding{Q: slices.Clone(pix[:atPose]), Space: space()},
		Picture: picture,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) each(f func(box.Event)) {
	r.mu.Lock()
	events := slices.Clone(r.events)
	r.mu.Unlock()
	for _, e := range events {
		f(e)
	}
}

// history tells what happened, frames left out.
func (r *rig) history() string {
	s := ""
	r.each(func(e box.Event) {
		if e.Kind != box.Looked {
			s += fmt.Sprintf("%8v %-10v %v %s known=%t %v\n", e.At.Sub(r.began), e.Kind, e.Button, e.Part, e.Known, e.Err)
		}
	})
	return s
}

// lit demands what the class LEDs say now: a slot, or -1 for none.
func (r *rig) lit(slot int) {
	r.t.Helper()
	s := r.box.Snapshot()
	if slot < 0 && s.Known || slot >= 0 && (!s.Known || int(s.Lit) != slot) {
		r.t.Errorf("at %v: lit: %v %v (want slot %d); events:\n%s", time.Since(r.began), s.Known, s.Lit, slot, r.history())
	}
}

// problem is what is wrong with a part, or nil.
func (r *rig) problem(part string) error {
	for _, p := range r.box.Snapshot().Problems {
		if p.Part == part {
			return p.Err
		}
	}
	return nil
}

// ill demands that only these parts are not well.
func (r *rig) ill(parts ...string) {
	r.t.Helper()
	var got []string
	for _, p := range r.box.Snapshot().Problems {
		got = append(got, p.Part)
	}
	if !slices.Equal(got, parts) {
		r.t.Errorf("at %v: not well: %v (want %v); events:\n%s", time.Since(r.began), got, parts, r.history())
	}
}

// blinks waits some seconds and demands that the status LED blinks in groups
// of n throughout.
func (r *rig) blinks(n int) {
	r.t.Helper()
	from := time.Now()
	r.wait(5 * time.Second) // three heartbeats, from whatever phase
	var groups []int
	var last time.Time
	was := true
	r.panel.mu.Lock()
	defer r.panel.mu.Unlock()
	for _, s := range r.panel.shown {
		on := s.lights&device.Status != 0
		if !s.at.Before(from) && on && !was {
			if last.IsZero() || s.at.Sub(last) > 500*ms {
				groups = append(groups, 0)
			}
			groups[len(groups)-1]++
			last = s.at
		}
		was = on
	}
	if len(groups) < 3 {
		r.t.Fatalf("groups of blinks: %v (want several of %d)", groups, n)
	}
	for _, g := range groups[1 : len(groups)-1] { // the first and the last may be cut off
		if g != n {
			r.t.Errorf("groups of blinks: %v (want %d each); events:\n%s", groups, n, r.history())
			return
		}
	}
}

// wellWithin demands that nothing is wrong any more before d has passed.
func (r *rig) wellWithin(d time.Duration) {
	r.t.Helper()
	from := time.Now()
	for len(r.box.Snapshot().Problems) > 0 {
		if time.Since(from) >= d {
			r.t.Fatalf("not well again after %v: %v", d, r.box.Snapshot().Problems)
		}
		r.wait(50 * ms)
	}
}

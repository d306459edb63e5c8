package box_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
	"teachbox/device/devicetest"
	"teachbox/device/frame"
	"teachbox/inference"
	"teachbox/internal/box"
)

// A diary counts what is done to the parts of a box since it was read last, and
// how many panels are in use at this moment.
type diary struct {
	mu     sync.Mutex
	count  map[string]int
	panels int
}

func (d *diary) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count[what]++
}

// read returns what was done since it was called last.
func (d *diary) read() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.count
	d.count = make(map[string]int)
	return c
}

// panel notes that a panel comes into use or goes out of it.
func (d *diary) panel(by int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.panels += by; d.panels > 1 {
		d.count["two panels at once"]++
	}
}

// A countingCamera is a camera of the rig's scene.
type countingCamera struct {
	device.Camera
	name  string
	diary *diary
	hangs time.Duration // before it ends
}

func (c *countingCamera) Run(ctx context.Context, emit func(frame.Frame)) error {
	c.diary.note(c.name + " opened")
	defer c.diary.note(c.name + " closed")
	err := c.Camera.Run(ctx, emit)
	time.Sleep(c.hangs)
	return err
}

type countingPanel struct {
	*panel
	name    string
	diary   *diary
	hangs   time.Duration // before it is halted
	leaving atomic.Bool
}

func (c *changing) newPanel(name string) *countingPanel {
	return &countingPanel{panel: &panel{FakePanel: devicetest.NewFakePanel()}, name: name, diary: &c.diary}
}

func (p *countingPanel) Watch(ctx context.Context, emit func(device.Edge)) error {
	p.diary.note(p.name + " watched")
	defer p.diary.note(p.name + " left")
	p.diary.panel(1)
	return p.panel.Watch(ctx, emit)
}

func (p *countingPanel) Show(l device.Lights) error {
	if p.leaving.Load() {
		p.diary.note(p.name + " shown after it was left")
	}
	return p.panel.Show(l)
}

// Halt takes its time.
func (p *countingPanel) Halt() error {
	p.diary.note(p.name + " halted")
	p.diary.panel(-1)
	p.leaving.Store(true)
	time.Sleep(p.hangs)
	return p.panel.Halt()
}

// A changing is a rig whose parts are counted, and the Change that changes
// nothing.
type changing struct {
	*rig
	diary diary
	same  box.Change
}

func (c *changing) opens(name string, in inference.Space) func() (inference.Embedder, error) {
	return func() (inference.Embedder, error) {
		c.diary.note(name + " opened")
		return &embedder{space: in, shut: func() { c.diary.note(name + " closed") }}, nil
	}
}

func startChanging(t *testing.T, change func(setup)) *changing {
	t.Helper()
	c := new(changing)
	c.diary.read()
	c.rig = newRig(t, func(s setup) {
		first := c.newPanel("panel")
		first.hangs = 2 * time.Second
		s.rig.panel = first.panel
		s.parts.Panel = first
		s.parts.Camera = &countingCamera{s.parts.Camera, "camera", &c.diary, 0}
		s.parts.OpenEmbedder = c.opens("model", space())
		if change != nil {
			change(s)
		}
		c.same = box.Change{
			Encode: s.parts.Encode, Same: s.parts.Same, Dark: s.parts.Dark, Frozen: s.parts.Frozen, Hold: s.parts.Hold,
			Options: *s.options,
		}
	})
	c.run()
	c.settle()
	return c
}

// reconfigure makes a change.
func (c *changing) reconfigure(change func(*box.Change)) {
	c.t.Helper()
	x := c.same
	change(&x)
	if err := c.box.Reconfigure(c.t.Context(), x); err != nil {
		c.t.Error(err)
	}
}

// did demands that this was done to the parts since it was called last.
func (c *changing) did(when string, want ...string) {
	c.t.Helper()
	counts := make(map[string]int)
	for _, w := range want {
		counts[w]++
	}
	if diff := cmp.Diff(counts, c.diary.read()); diff != "" {
		c.t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// TestReconfigure changes one thing after another. What is not named does not
// notice.
func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startChanging(t, nil)
		first := c.panel
		c.teach(0, 1, 2)
		c.teach(device.Nothing, 0, 1)
		c.show(1)
		c.wait(time.Second)
		c.lit(0)
		c.did("at start", "camera opened", "panel watched", "model opened")

		events := len(c.events)
		c.reconfigure(func(x *box.Change) { x.Options.Rate = 5 })
		before := c.box.Snapshot().Looks
		c.wait(10 * time.Second)
		if n := c.box.Snapshot().Looks - before; n < 49 || n > 51 {
			t.Errorf("%d looks in ten seconds at a rate of 5", n)
		}
		c.lit(0)
		c.each(func(e box.Event) {
			if events--; events < 0 && e.Kind != box.Looked {
				t.Errorf("event %v", e.Kind)
			}
		})
		c.did("rate")
		c.same.Options.Rate = 5

		c.reconfigure(func(x *box.Change) {
			x.Camera = &countingCamera{&camera{c.rig}, "second camera", &c.diary, 0}
		})
		c.lit(-1)
		if !c.box.Snapshot().Taken.IsZero() {
			t.Error("the snapshot shows what another camera saw")
		}
		c.wait(time.Second)
		c.did("camera", "camera closed", "second camera opened")
		c.lit(0)

		second := c.newPanel("second panel")
		c.reconfigure(func(x *box.Change) { x.Panel, x.Wiring = second, device.Wiring{Slots: 2, Nothing: true, Status: true} })
		changed := time.Now()
		if l := first.Lights(); l != 0 {
			t.Errorf("the old panel shows %v", l)
		}
		c.panel = second.panel
		c.wait(500 * ms)
		if l := c.panel.Lights(); l != device.Status {
			t.Errorf("the LEDs show %v half a second after the change (want a sweep over two and the status LED)", l)
		}
		c.wait(1500 * ms)
		c.did("panel", "panel left", "panel halted", "second panel watched")
		c.lit(0)
		if l := c.panel.Lights(); l&device.Slot(0) == 0 || l&device.Slot(2) != 0 {
			t.Errorf("the LEDs show %v", l)
		}
		c.teach(1, 2, 2)
		c.panel.Press(3) // is not there any more
		c.wait(100 * ms)
		c.panel.Release(3)
		c.wait(time.Second)
		c.lit(1)
		for _, s := range first.shown {
			if s.at.After(changed) {
				t.Fatal("the old panel was shown something")
			}
		}
		presses := make(map[string]int)
		for _, k := range c.keeps() {
			presses[k.Press]++
		}
		if n := c.box.Snapshot().Contents.Presses; n != 5 || len(presses) != 5 {
			t.Errorf("%d presses (want 5)", n)
		}
		c.ill()

		c.reconfigure(func(x *box.Change) { x.OpenEmbedder = c.opens("second model", otherSpace()) })
		c.lit(-1)
		c.wait(2 * time.Second)
		c.lit(1) // learned again from the pictures
		c.ill()
		c.did("model", "model closed", "second model opened")

		c.end()
		c.did("the end", "second camera closed", "second panel left", "second panel halted", "second model closed")
	})
}

// TestReconfigureHabits changes what only says how.
func TestReconfigureHabits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startChanging(t, nil)
		defer c.end()
		c.hold(0, 1050*ms)
		if k, s := c.count(box.Kept), c.count(box.Skipped); k != 1 || s != 4 {
			t.Errorf("%d kept, %d skipped", k, s)
		}
		var held []bool
		c.reconfigure(func(x *box.Change) {
			x.Same, x.Encode = nil, nil
			x.Hold = func(taught bool) { held = append(held, taught) }
			x.Dark = nil
			x.Frozen = func(inference.Fitness, time.Time) bool { return false }
			x.Options.NightAfter = time.Minute
		})
		c.wait(time.Second)
		c.hold(1, 1050*ms)
		if k := c.keeps(); len(k) != 6 || k[0].Picture == nil || k[5].Picture != nil {
			t.Errorf("%d kept (want 5 more, without pictures)", len(k))
		}
		if !slices.Equal(held, []bool{true}) {
			t.Errorf("the camera was told %v", held)
		}
		c.change(func(s *scene) { s.dark = true })
		c.wait(2 * time.Minute)
		if c.box.Snapshot().Asleep {
			t.Error("asleep, though nothing is dark")
		}
		c.reconfigure(func(x *box.Change) { x.Options.NightAfter = time.Minute })
		c.wait(61 * time.Second)
		if !c.box.Snapshot().Asleep {
			t.Error("awake")
		}
		c.did("habits", "camera opened", "panel watched", "model opened")
	})
}

// TestReconfigureLocked: what the configuration says counts when it changes.
func TestReconfigureLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startChanging(t, nil)
		defer c.end()
		lock := func(locked bool) {
			if err := c.box.SetLocked(t.Context(), locked); err != nil {
				t.Error(err)
			}
		}
		for i, step := range []struct {
			do   func()
			want bool
		}{
			{func() { c.reconfigure(func(x *box.Change) { x.Options.Locked = true }) }, true},
			{func() { c.reconfigure(func(x *box.Change) { x.Options.Locked = false }) }, false},
			{func() { lock(true) }, true},
			{func() { c.reconfigure(func(x *box.Change) { x.Options.Rate = 3 }) }, true},
			{func() { c.reconfigure(func(x *box.Change) { x.Options.Locked = true }) }, true},
			{func() { lock(false) }, false},
			{func() { c.reconfigure(func(x *box.Change) { x.Options.Locked = true }) }, false},
			{func() { lock(true) }, true},
			{func() { c.reconfigure(func(x *box.Change) { x.Options.Locked = false }) }, true},
		} {
			step.do()
			c.wait(ms)
			if s := c.box.Snapshot(); s.Locked != step.want {
				t.Errorf("step %d: locked: %t", i, s.Locked)
			}
		}
	})
}

// TestReconfigureHealth exchanges parts that are not well.
func TestReconfigureHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		missing := func() (inference.Embedder, error) { return nil, errors.New("model: missing") }
		c := startChanging(t, func(s setup) {
			s.parts.Camera = &devicetest.FakeCamera{Next: func(context.Context) (frame.Frame, error) { return frame.Frame{}, device.ErrAbsent }}
			s.parts.OpenEmbedder = missing
		})
		first := c.panel
		first.Press(1)
		c.wait(61 * time.Second)
		c.ill("button 2", "camera", "model")
		first.Fail(device.ErrAbsent)
		c.wait(time.Second)
		c.reconfigure(func(x *box.Change) { x.OpenEmbedder = c.opens("model", space()) })
		c.wait(10 * ms)
		c.ill("camera", "lights", "panel")
		c.reconfigure(func(x *box.Change) { x.Camera = &camera{c.rig} })
		c.wait(100 * ms)
		c.ill("lights", "panel")
		second := c.newPanel("second panel")
		c.reconfigure(func(x *box.Change) { x.Panel, x.Wiring = second, fourSlots() })
		c.wait(10 * ms)
		c.ill()
		c.panel = second.panel
		c.teach(0, 1, 2)
		c.end()
	})
}

// TestReconfigureWaits has a camera that takes long to close.
func TestReconfigureWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startChanging(t, func(s setup) {
			s.parts.Camera.(*countingCamera).hangs = 10 * time.Second
		})
		next := func(name string) func(*box.Change) {
			return func(x *box.Change) {
				x.Camera = &countingCamera{&camera{c.rig}, name, &c.diary, 0}
			}
		}
		c.did("at start", "camera opened", "panel watched", "model opened")
		began := time.Now()
		// Somebody does not wait for it.
		brief, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		x := c.same
		next("second")(&x)
		if err := c.box.Reconfigure(brief, x); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up: %v", err)
		}
		// The next one waits for its turn, or gives up before it.
		briefer, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		next("nobody's")(&x)
		if err := c.box.Reconfigure(briefer, x); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up before its turn: %v", err)
		}
		c.tap(0)
		c.did("while the first one ends")
		c.reconfigure(next("third"))
		if d := time.Since(began); d < 10*time.Second || d > 11*time.Second {
			t.Errorf("changed twice after %v (want 10 s)", d)
		}
		c.wait(time.Second)
		c.did("in the end", "camera closed", "second opened", "second closed", "third opened")
		c.teach(0, 1, 1)

		// Nor does the end wait for a change that has not come to its turn.
		c.reconfigure(func(x *box.Change) { x.Camera = slowToEnd{&camera{c.rig}} })
		c.wait(time.Second)
		var last sync.WaitGroup
		last.Go(func() {
			x := c.same
			x.Camera = slowToEnd{&camera{c.rig}}
			if err := c.box.Reconfigure(t.Context(), x); err != nil && !errors.Is(err, box.ErrEnded) {
				t.Error(err)
			}
		})
		c.wait(time.Second)
		c.end()
		last.Wait()
	})
}

// TestReconfigureWhileAButtonIsHeld: a press ends with its panel, and a button
// that is down on the new one teaches nothing.
func TestReconfigureWhileAButtonIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startChanging(t, func(s setup) { s.rig.scene.moving = true })
		c.panel.Press(0)
		c.wait(time.Second)
		kept := len(c.keeps())
		second := c.newPanel("second panel")
		second.Press(1)
		c.reconfigure(func(x *box.Change) { x.Panel, x.Wiring = second, fourSlots() })
		c.panel = second.panel
		c.wait(2 * time.Second)
		if n := len(c.keeps()); n > kept+1 {
			t.Errorf("%d examples kept after the panel was exchanged", n-kept)
		}
		c.ill("button 2")
		c.panel.Release(1)
		c.teach(0, 1, 1)
		c.ill()
		if k := c.keeps(); k[0].Press == k[len(k)-1].Press {
			t.Error("a press goes on with another panel")
		}
		c.end()
	})
}

// TestReconfigureOften changes everything, again and again, while it is played
// with.
func TestReconfigureOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startChanging(t, nil)
		c.diary.read()
		const n = 50
		for i := range n {
			next := c.newPanel("panel")
			c.reconfigure(func(x *box.Change) {
				x.Camera = &countingCamera{&camera{c.rig}, "camera", &c.diary, 0}
				x.OpenEmbedder = c.opens("model", space())
				x.Panel, x.Wiring = next, device.Wiring{Slots: 2 + i%7, Nothing: i%2 == 0, Status: i%3 == 0}
			})
			c.panel = next.panel
			c.wait(time.Duration(i*7) * ms)
			c.panel.Press(device.Button(i % 9))
			c.wait(time.Duration(i*3) * ms)
		}
		c.wait(2 * time.Second)
		want := make(map[string]int)
		for _, what := range []string{"camera opened", "camera closed", "panel watched", "panel left", "panel halted", "model opened", "model closed"} {
			want[what] = n
		}
		if diff := cmp.Diff(want, c.diary.read()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		c.end()
		if c.diary.panels != 0 {
			t.Errorf("%d panels are in use", c.diary.panels)
		}
	})
}

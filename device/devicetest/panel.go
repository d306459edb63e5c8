package devicetest

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"teachbox/device"
)

// A Bench is a panel and the hooks by which a test reaches the other side of
// its wires.
type Bench struct {
	Panel  device.Panel
	Wiring device.Wiring
	Source device.Source
	// Press and Release push a button of the panel.
	Press, Release func(device.Button)
	// Lights reads the LEDs back.
	Lights func() device.Lights
	// Patience is how long an edge may take to arrive, or an LED to change. 0
	// means 5 s.
	Patience time.Duration
}

// buttons lists the buttons that the panel has.
func (b Bench) buttons() []device.Button {
	var list []device.Button
	for i := range b.Wiring.Slots {
		list = append(list, device.Button(i))
	}
	if b.Wiring.Nothing {
		list = append(list, device.Nothing)
	}
	return list
}

// leds is every LED that the panel has.
func (b Bench) leds() device.Lights {
	all := device.AllSlots(b.Wiring.Slots)
	if b.Wiring.Status {
		all |= device.Status
	}
	return all
}

// TestPanel holds a panel to the contract of device.Panel. open returns a fresh
// bench with no button down; each subtest opens one and halts its panel.
func TestPanel(t *testing.T, open func(t *testing.T) Bench) {
	test := func(name string, f func(t *testing.T, b Bench)) {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			if b.Patience == 0 {
				b.Patience = 5 * time.Second
			}
			t.Cleanup(func() {
				if err := b.Panel.Halt(); err != nil {
					t.Errorf("Halt: %v", err)
				}
			})
			f(t, b)
		})
	}

	test("Show", func(t *testing.T, b Bench) {
		patterns := []device.Lights{b.leds(), 0, device.Status, device.AllSlots(device.MaxSlots) | device.Status}
		for i := range device.MaxSlots {
			patterns = append(patterns, device.Slot(i))
		}
		for _, l := range patterns {
			if err := b.Panel.Show(l); err != nil {
				t.Fatalf("Show(%v): %v", l, err)
			}
			b.awaitLights(t, l&b.leds())
		}
	})

	test("Edges", func(t *testing.T, b Bench) {
		w := b.watch(t)
		for _, button := range b.buttons() {
			b.Press(button)
			w.await(t, button, true)
			b.Release(button)
			w.await(t, button, false)
		}
		w.stop(t)
	})

	test("ManyAtOnce", func(t *testing.T, b Bench) {
		w := b.watch(t)
		for _, button := range b.buttons() {
			b.Press(button)
		}
		for _, button := range b.buttons() {
			w.await(t, button, true)
		}
		for _, button := range b.buttons() {
			b.Release(button)
		}
		for _, button := range b.buttons() {
			w.await(t, button, false)
		}
		w.stop(t)
	})

	test("DownAtStart", func(t *testing.T, b Bench) {
		b.Press(0)
		b.Press(1)
		w := b.watch(t)
		w.await(t, 0, true)
		w.await(t, 1, true)
		b.Release(1)
		w.await(t, 1, false)
		w.stop(t)
	})

	test("ShowWhileWatching", func(t *testing.T, b Bench) {
		w := b.watch(t)
		for i := range 20 {
			if err := b.Panel.Show(device.Slot(i % b.Wiring.Slots)); err != nil {
				t.Fatalf("Show: %v", err)
			}
		}
		b.Press(0)
		w.await(t, 0, true)
		b.awaitLights(t, device.Slot(19%b.Wiring.Slots))
		w.stop(t)
	})

	test("NoEdges", func(t *testing.T, b Bench) {
		w := b.watch(t)
		w.stop(t)
		if n := len(w.edges); n != 0 {
			t.Errorf("%d edges though nobody touched a button", n)
		}
	})

	test("Halt", func(t *testing.T, b Bench) {
		if err := b.Panel.Show(b.leds()); err != nil {
			t.Fatalf("Show: %v", err)
		}
		b.awaitLights(t, b.leds())
		for range 2 {
			if err := b.Panel.Halt(); err != nil {
				t.Fatalf("Halt: %v", err)
			}
			b.awaitLights(t, 0)
		}
	})
}

// awaitLights waits until the LEDs are as wanted.
func (b Bench) awaitLights(t *testing.T, want device.Lights) {
	t.Helper()
	late := time.After(b.Patience)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for b.Lights() != want {
		select {
		case <-poll.C:
		case <-late:
			t.Fatalf("the LEDs show %v after %v (want %v)", b.Lights(), b.Patience, want)
		}
	}
}

// A watching is one call of a panel's Watch.
type watching struct {
	bench  Bench
	began  time.Time
	cancel context.CancelFunc
	edges  chan device.Edge
	done   chan error
	level  map[device.Button]bool
}

// watch starts Watch.
func (b Bench) watch(t *testing.T) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	w := &watching{
		bench: b, began: time.Now(), cancel: cancel,
		// Roomy, so that a bouncing panel does not wait for the test.
		edges: make(chan device.Edge, 1024),
		done:  make(chan error, 1),
		level: make(map[device.Button]bool),
	}
	var busy atomic.Bool
	go func() {
		w.done <- b.Panel.Watch(ctx, func(e device.Edge) {
			if busy.Swap(true) {
				t.Error("emit was called while it was running")
			}
			w.edges <- e
			busy.Store(false)
		})
	}()
	return w
}

// await waits until the edges say that a button is down or up.
func (w *watching) await(t *testing.T, button device.Button, down bool) {
	t.Helper()
	late := time.After(w.bench.Patience)
	for w.level[button] != down {
		select {
		case e := <-w.edges:
			checkTime(t, "At", e.At, w.began, time.Now())
			if e.Source != w.bench.Source {
				t.Errorf("an edge of source %d (want %d)", e.Source, w.bench.Source)
			}
			if !slices.Contains(w.bench.buttons(), e.Button) {
				t.Errorf("an edge of button %v, which the panel lacks", e.Button)
			}
			w.level[e.Button] = e.Down
		case err := <-w.done:
			t.Fatalf("Watch ended: %v", err)
		case <-late:
			t.Fatalf("no edge of button %v within %v (want down: %t)", button, w.bench.Patience, down)
		}
	}
}

// stop ends the context and expects that Watch returns nil.
func (w *watching) stop(t *testing.T) {
	t.Helper()
	w.cancel()
	select {
	case err := <-w.done:
		if err != nil {
			t.Fatalf("Watch returned %v (want nil)", err)
		}
	case <-time.After(w.bench.Patience):
		t.Fatalf("Watch goes on %v after its context ended", w.bench.Patience)
	}
}

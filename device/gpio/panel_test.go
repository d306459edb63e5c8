package gpio

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"teachbox/device"
	"teachbox/device/devicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPanel(t *testing.T) {
	devicetest.TestPanel(t, func(t *testing.T) devicetest.Bench {
		r := newRig(t, nil)
		line := map[device.Button]int{0: red, 1: blue, device.Nothing: none}
		return devicetest.Bench{
			Panel:   r.panel,
			Wiring:  device.Wiring{Slots: 2, Nothing: true, Status: true},
			Source:  device.FromPanel,
			Press:   func(b device.Button) { r.set(r.chip, line[b], false) },
			Release: func(b device.Button) { r.set(r.chip, line[b], true) },
			Lights: func() device.Lights {
				var l device.Lights
				for bit, n := range map[device.Lights]int{device.Slot(0): redLED, device.Slot(1): blueLED, device.Status: lastLED} {
					if r.high(r.chip, n) {
						l |= bit
					}
				}
				return l
			},
		}
	})
}

// A watch is a call of Watch in a bubble of synctest.
type watch struct {
	cancel context.CancelFunc
	gate   chan bool // fill it and emit does not return
	mu     sync.Mutex
	edges  []string // "class 1 down"
	err    error
	ended  bool
}

func (r *rig) watch(t *testing.T) *watch {
	ctx, cancel := context.WithCancel(t.Context())
	w := &watch{cancel: cancel, gate: make(chan bool, 1)}
	go func() {
		w.err = r.panel.Watch(ctx, func(e device.Edge) {
			w.gate <- true
			defer func() { <-w.gate }()
			word := " up"
			if e.Down {
				word = " down"
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.edges = append(w.edges, e.Button.String()+word)
		})
		w.ended = true
	}()
	t.Cleanup(cancel)
	time.Sleep(2 * idle) // the queue was emptied and the levels are known
	synctest.Wait()
	return w
}

// take returns the edges so far and forgets them.
func (w *watch) take() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	edges := w.edges
	w.edges = nil
	return edges
}

// sees checks the edges so far.
func (w *watch) sees(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.take()); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
}

// ends checks that Watch has ended with an error that wraps want.
func (w *watch) ends(t *testing.T, want error) {
	t.Helper()
	synctest.Wait()
	if !w.ended || !errors.Is(w.err, want) {
		t.Fatalf("Watch ended: %t, with %v (want %v)", w.ended, w.err, want)
	}
}

// fails checks an error: what it wraps and what it says.
func fails(t *testing.T, err, want error, says ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}

// TestBurst shows that a storm which overflows the kernel's queue ends in the
// right level, and that bounce within the queue comes through.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		w := r.watch(t)
		for _, high := range []bool{false, true, false} {
			r.set(r.chip, red, high)
			time.Sleep(time.Millisecond)
		}
		w.sees(t, "class 1 down", "class 1 up", "class 1 down")

		// While nobody takes the edges, another line's storm pushes a release
		// out of the common queue.
		w.gate <- true
		storm := func() {
			for range 100 {
				r.set(r.chip, blue, false)
				r.set(r.chip, blue, true)
			}
		}
		storm()
		time.Sleep(idle)
		r.set(r.chip, red, true)
		storm()
		<-w.gate
		time.Sleep(quiet - time.Millisecond)
		if slices.Contains(w.take(), "class 1 up") {
			t.Fatal("the release was not lost; the test is too weak")
		}
		time.Sleep(time.Millisecond)
		w.sees(t, "class 1 up")
	})
}

// TestDownAtStart shows that a button that is down is reported at once, and
// that edges from before Watch are not.
func TestDownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		if err := r.panel.Acquire(); err != nil {
			t.Fatal(err)
		}
		r.set(r.chip, red, false)
		r.set(r.chip, red, true)
		r.set(r.chip, none, false)
		began := time.Now()
		w := r.watch(t)
		w.sees(t, "nothing down")
		w.cancel()
		time.Sleep(idle)
		w.ends(t, nil)
		if took := time.Since(began); took > 4*idle {
			t.Errorf("that took %v", took)
		}
		w = r.watch(t)
		w.sees(t, "nothing down")
		if err := r.panel.Watch(t.Context(), nil); err == nil {
			t.Error("a second Watch began beside the first")
		}
	})
}

// TestShow shows that only LEDs that changed are written, in one call.
func TestShow(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Slots[1].LED.ActiveLow = true })
	show := func(l device.Lights, want ...string) {
		t.Helper()
		if err := r.panel.Show(l); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, r.told()); diff != "" {
			t.Errorf("Show(%v) (-want +got):\n%s", l, diff)
		}
	}
	const r0, b0, st = 1, 2, device.Status
	show(0, "in 3", "out 3", "write 10/111")
	show(0)
	show(r0|b0, "write 1/11")
	show(r0 | b0 | 1<<5)
	show(b0|st, "write 100/101")
	if err := r.panel.Halt(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"write 10/111"}, r.told()); diff != "" {
		t.Errorf("Halt (-want +got):\n%s", diff)
	}
	if err := r.panel.Halt(); err != nil || r.told() != nil {
		t.Errorf("the second Halt did something (%v)", err)
	}
	show(b0, "in 3", "out 3", "write 10/111", "write 0/10")
}

// TestSpread shows lines of two chips, some of which have no name.
func TestSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) {
			o.Slots[1] = Slot{
				Button{Line: Line{Chip: "expander", Offset: 1}, Pull: PullDown},
				LED{Line: Line{Chip: "gpiochip7", Offset: 2}, ActiveLow: true},
			}
			o.Status = &LED{Line: Line{Chip: "expander", Offset: 3}}
		})
		other := newFakeChip("gpiochip7", "expander", "", "", "", "P3")
		r.chips = append(r.chips, other)
		w := r.watch(t)
		want := []string{"in 2", "in 1", "out 1", "write 0/1", "out 1", "write 1/1", "out 1", "write 0/1"}
		if diff := cmp.Diff(want, r.told()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		r.set(other, 1, true)
		r.set(r.chip, none, false)
		time.Sleep(idle)
		if edges := w.take(); !slices.Contains(edges, "class 2 down") || !slices.Contains(edges, "nothing down") || len(edges) != 2 {
			t.Errorf("edges %q (want both buttons down)", edges)
		}
		if err := r.panel.Show(device.AllSlots(2) | device.Status); err != nil {
			t.Fatal(err)
		}
		if !r.high(r.chip, redLED) || r.high(other, 2) || !r.high(other, 3) {
			t.Error("an LED is not lit")
		}

		r.remove(other)
		time.Sleep(idle) // until the other chip's reader has ended
		w.ends(t, device.ErrAbsent)
		if r.high(r.chip, redLED) {
			t.Error("the LED of the chip that is left is still lit")
		}
	})
}

// TestGone follows a panel whose chip goes away and comes back, where only a new
// process can have it.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		w := r.watch(t)
		if r.panel.Stale() {
			t.Error("Stale while the lines are held")
		}
		bank := r.chip.banks[0]
		waits := bank.waits
		r.remove(r.chip)
		w.ends(t, device.ErrAbsent)
		fails(t, w.err, device.ErrAbsent, "line GPIO0, GPIO1, GPIO2: not there: the chip /dev/gpiochip0 (pinctrl-fake) was removed")
		if n := bank.waits - waits; n > 1 {
			t.Errorf("%d waits on a chip that is gone", n)
		}
		fails(t, r.panel.Show(1), device.ErrAbsent)
		if err := r.panel.Halt(); err != nil {
			t.Errorf("Halt: %v", err)
		}
		fails(t, r.panel.Show(1), device.ErrAbsent, "GPIO chips")
		fails(t, r.panel.Watch(t.Context(), nil), device.ErrAbsent)
		if r.panel.Stale() {
			t.Error("Stale though the chip is gone")
		}

		again := newFakeChip("gpiochip0", "pinctrl-fake", "GPIO0", "GPIO1", "GPIO2", "GPIO3", "GPIO4", "GPIO5")
		again.unknown = true
		r.chips = []*fakeChip{again}
		if !r.panel.Stale() {
			t.Error("not Stale though the chip is back")
		}
		fails(t, r.panel.Acquire(), device.ErrAbsent, "start the program again")
		if !r.panel.Stale() {
			t.Error("not Stale after another attempt")
		}
		r.hold(again, redLED, "other")
		if r.panel.Stale() {
			t.Error("Stale though a new process would find a line in use")
		}
		r.hold(again, redLED, "")
		again.unknown = false // as in the new process
		if err := r.panel.Acquire(); err != nil {
			t.Fatal(err)
		}
		if r.panel.Stale() {
			t.Error("Stale though the lines are held")
		}
	})
}

// TestShowFinds shows that Show notices a chip that is gone, with and without
// Watch, and does not ask for it at every call.
func TestShowFinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		if err := r.panel.Show(1); err != nil {
			t.Fatal(err)
		}
		r.remove(r.chip)
		fails(t, r.panel.Show(0), device.ErrAbsent, "line GPIO3, GPIO4, GPIO5")
		r.chips = []*fakeChip{newFakeChip("gpiochip0", "pinctrl-fake", "GPIO0", "GPIO1", "GPIO2", "GPIO3", "GPIO4", "GPIO5")}
		r.told()
		fails(t, r.panel.Show(1), device.ErrAbsent)
		if calls := r.told(); calls != nil {
			t.Errorf("Show tried again at once: %q", calls)
		}
		time.Sleep(retry)
		if err := r.panel.Show(1); err != nil {
			t.Errorf("Show a second later: %v", err)
		}

		r = newRig(t, func(o *Options) { o.Status.Line.Name = "P1" })
		leds := newFakeChip("gpiochip1", "leds", "P1")
		r.chips = append(r.chips, leds)
		w := r.watch(t)
		r.remove(leds)
		if err := r.panel.Show(1); err != nil {
			t.Errorf("Show of an LED that is still there: %v", err)
		}
		fails(t, r.panel.Show(device.Status), device.ErrAbsent, "line P1")
		time.Sleep(idle)
		w.ends(t, device.ErrAbsent)
		if r.high(r.chip, redLED) {
			t.Error("the LED that is still there is lit after the failure")
		}

		r = newRig(t, nil)
		w = r.watch(t)
		r.chip.broken = unix.EIO
		if err := r.panel.Show(1); !errors.Is(err, unix.EIO) {
			t.Errorf("Show: %v (want EIO)", err)
		}
		time.Sleep(idle)
		w.ends(t, unix.EIO)
		if r.panel.Stale() {
			t.Error("Stale though this process may try again")
		}
		r.chip.broken = nil
		w = r.watch(t)
		w.sees(t)
	})
}

// TestHaltWhileWatched shows that Halt frees the lines under a Watch, even one
// whose emit does not return.
func TestHaltWhileWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.chip.level[red] = false
		stuck, done := make(chan struct{}), make(chan error)
		go func() {
			done <- r.panel.Watch(t.Context(), func(device.Edge) { <-stuck })
		}()
		if err := r.panel.Show(1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for range 2 * queue {
			r.set(r.chip, blue, false)
			r.set(r.chip, blue, true)
			time.Sleep(time.Millisecond)
		}
		if err := r.panel.Halt(); err != nil {
			t.Fatal(err)
		}
		if r.used() != 0 || r.high(r.chip, redLED) {
			t.Error("Halt returned too early")
		}
		if err := r.panel.Acquire(); err != nil {
			t.Errorf("Acquire after Halt: %v", err)
		}
		close(stuck)
		if err := <-done; err == nil {
			t.Error("Watch returned nil though its context had not ended")
		}
		if r.used() == 0 {
			t.Error("the old Watch took the new lines along")
		}
	})
}

func TestAcquire(t *testing.T) {
	for _, c := range []struct {
		name   string
		opt    func(*Options)
		before func(*rig)
		want   error
		says   []string
	}{
		{name: "no such name", opt: func(o *Options) { o.Status.Line.Name = "GPIO99" },
			want: device.ErrAbsent, says: []string{"line GPIO99: not there", "teachbox hardware"}},
		{name: "no name at all", opt: func(o *Options) { o.Status.Line.Name = "" }, want: device.ErrAbsent,
			before: func(r *rig) { r.chip.Lines = append(r.chip.Lines, LineInfo{Offset: 6}) }},
		{name: "no such chip", opt: func(o *Options) { o.Nothing.Line = Line{Chip: "nowhere", Offset: 3} },
			want: device.ErrAbsent, says: []string{"line nowhere:3", "no GPIO chip of that label"}},
		{name: "no such offset", opt: func(o *Options) { o.Nothing.Line = Line{Chip: "pinctrl-fake", Offset: 6} },
			want: device.ErrAbsent, says: []string{"line pinctrl-fake:6", "the lines 0 to 5"}},
		{name: "negative offset", opt: func(o *Options) { o.Nothing.Line = Line{Chip: "pinctrl-fake", Offset: -1} },
			want: device.ErrAbsent},
		{name: "twice", opt: func(o *Options) { o.Status.Line = Line{Chip: "pinctrl-fake", Offset: blue} },
			want: device.ErrBusy, says: []string{"line pinctrl-fake:1", "the panel itself, as line GPIO1"}},
		{name: "held", before: func(r *rig) { r.hold(r.chip, redLED, "evil\x1b[31m@7") },
			want: device.ErrBusy, says: []string{`line GPIO3: in use by "evil\x1b[31m@7"`}},
		{name: "held by nobody", before: func(r *rig) { r.chip.Lines[red].Used = true },
			want: device.ErrBusy, says: []string{"line GPIO0: in use by something without a name"}},
		{name: "taken meanwhile", before: func(r *rig) {
			r.steal["out"] = errors.New("LineSetFromConfig: " + unix.EBUSY.Error())
			r.failed = func() { r.chip.Lines[blueLED].Used, r.chip.Lines[blueLED].Holder = true, "gpioset" }
		}, want: device.ErrBusy, says: []string{`line GPIO4: in use by "gpioset"`}},
		{name: "taken and freed meanwhile", before: func(r *rig) { r.steal["out"] = unix.EBUSY },
			want: device.ErrBusy, says: []string{"line GPIO3, GPIO4, GPIO5: in use a moment ago"}},
		{name: "kept by the kernel", before: func(r *rig) { r.steal["in"] = unix.EPERM },
			want: device.ErrDenied, says: []string{"line GPIO0, GPIO1, GPIO2"}},
		{name: "no interrupts", before: func(r *rig) { r.chip.noIRQ = true },
			want: unix.ENXIO, says: []string{"GPIO0", "/dev/gpiochip0"}},
		{name: "unknown to periph", before: func(r *rig) { r.chip.unknown = true },
			want: device.ErrAbsent, says: []string{"start the program again"}},
		{name: "broken", before: func(r *rig) { r.chip.broken = unix.EIO }, want: unix.EIO},
		{name: "denied", before: func(r *rig) { r.chip.Lines, r.chip.Err = nil, device.ErrDenied },
			want: device.ErrDenied, says: []string{"line GPIO0: no readable chip has it, and one cannot be read: permission denied"}},
		{name: "no chip", before: func(r *rig) { r.chips = nil }, want: device.ErrAbsent, says: []string{"panel: GPIO chips"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.opt)
			if c.before != nil {
				c.before(r)
			}
			held := r.used()
			fails(t, r.panel.Acquire(), c.want, c.says...)
			if n := r.used(); n > held+1 { // the thief of "taken meanwhile"
				t.Errorf("%d lines are held after the failure", n)
			}
			if r.panel.held != nil {
				t.Error("the panel believes that it holds the lines")
			}
			for _, c := range r.chips {
				for i := range c.Lines {
					c.Lines[i].Used = false
				}
			}
		})
	}
}

func TestDenied(t *testing.T) {
	r := newRig(t, nil)
	lines := r.chip.Lines
	r.chip.Lines, r.chip.Err, r.chip.unknown = nil, device.ErrDenied, true
	if r.panel.Stale() {
		t.Error("Stale before anything failed")
	}
	fails(t, r.panel.Acquire(), device.ErrDenied)
	if r.panel.Stale() {
		t.Error("Stale while denied")
	}
	r.chip.Lines, r.chip.Err = lines, nil
	if !r.panel.Stale() {
		t.Error("not Stale though a new process would be allowed")
	}
}

func TestTooManySlots(t *testing.T) {
	var o Options
	for range device.MaxSlots + 3 {
		o.Slots = append(o.Slots, Slot{})
	}
	if in, out := o.pins(); len(in) != device.MaxSlots || len(out) != device.MaxSlots {
		t.Errorf("%d buttons, %d LEDs", len(in), len(out))
	}
}

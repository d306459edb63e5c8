//go:build kernel

package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/sim"
	"teachbox/internal/api"
	"teachbox/internal/virtualpi"
)

// patience bounds everything that these tests wait for: an emulated processor
// shares the machine with others. What it really took is in the log.
const patience = 60 * time.Second

// well waits until the camera gives frames, and teaches the empty desk, which
// the box asks for before it calls itself well.
func (b *bench) well() {
	b.t.Helper()
	b.asksForTheDesk()
	b.teach(device.Nothing, patience)
	b.blinks(1)
}

// TestKernelCameraFaults has a camera fail in every way that its driver knows.
// The status LED must say so, and the box must be well again by itself.
func TestKernelCameraFaults(t *testing.T) {
	t.Run("vivid", func(t *testing.T) {
		v := virtualpi.LoadVivid(t)
		b := newBench(t, tinyBox(t, "v4l2"))
		b.start(0)
		b.well()
		for _, fault := range []struct {
			name string
			fail func() (mend func())
		}{
			{"unbound", func() func() { v.Unbind(); return v.Bind }},
			{"disconnected", injected(v, virtualpi.Disconnected, 500*time.Millisecond)},
			// It damages one frame, which the box does without. So every one of them.
			{"dequeue errors", injected(v, virtualpi.DequeueError, time.Millisecond)},
			{"fatal queue error", injected(v, virtualpi.QueueFatal, 500*time.Millisecond)},
		} {
			mark := b.mark()
			mend := fault.fail()
			l := b.await(mark, patience, fault.name+" is known", ill(partCamera))
			t.Logf("%s: the box says: %s", fault.name, l.Error)
			b.blinks(2)
			mend()
			b.healed(time.Now(), partCamera, b.heartbeat)
		}
	})

	t.Run("absent at start", func(t *testing.T) {
		b := newBench(t, tinyBox(t, "v4l2"))
		b.start(0)
		b.await(0, patience, "the camera's fault is known", ill(partCamera))
		b.blinks(2)
		plugged := time.Now()
		virtualpi.LoadVivid(t)
		b.healed(plugged, partCamera, b.asksForTheDesk)
	})

	t.Run("denied", func(t *testing.T) {
		v := virtualpi.LoadVivid(t)
		chmod(t, v.Path, 0o600)
		b := newBench(t, tinyBox(t, "v4l2"))
		chmod(t, b.chip.Path(), 0o666)
		b.start(somebody)
		l := b.await(0, patience, "the camera's fault is known", ill(partCamera))
		t.Logf("the box says: %s", l.Error)
		b.blinks(2)
		granted := time.Now()
		chmod(t, v.Path, 0o666)
		b.healed(granted, partCamera, b.asksForTheDesk)
	})

	t.Run("writer stalls", func(t *testing.T) {
		s := newStage(t, sim.Drawn(), yuyv)
		b := newBench(t, tinyBox(t, "v4l2"))
		b.start(0)
		b.well()
		mark := b.mark()
		s.writer.Pause()
		b.await(mark, patience, "the camera's silence is known", ill(partCamera))
		b.blinks(2)
		resumed := time.Now()
		s.writer.Resume()
		b.healed(resumed, partCamera, b.heartbeat)
	})
}

// The parts of the health list.
const (
	partCamera = "camera"
	partPanel  = "panel"
)

// injected is a fault that the driver makes up for an instant, again and again
// until it is mended.
func injected(v *virtualpi.Vivid, fault virtualpi.Fault, again time.Duration) func() func() {
	return func() func() {
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				// While the camera is away it cannot be told.
				_ = v.Inject(fault, 1)
				select {
				case <-stop:
					return
				case <-time.After(again):
				}
			}
		}()
		return func() {
			close(stop)
			<-stopped
		}
	}
}

// healed waits until a part is well again, and reports how long that took since
// the cause ended. (One that fails again and again may be well by chance then.)
func (b *bench) healed(ended time.Time, part string, shows func()) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		b.mu.Lock()
		var last api.Event
		for _, l := range b.lines {
			if l.Event == "health" && l.Part == part {
				last = l
			}
		}
		b.mu.Unlock()
		if last.Error == "" {
			break
		}
		if time.Now().After(end) {
			b.t.Fatalf("%s is not well again\nstderr:\n%s\nevents:\n%s", part, b.stderr.String(), b.history())
		}
	}
	b.t.Logf("%s: well again %v after the cause ended", part, time.Since(ended).Round(10*time.Millisecond))
	shows()
}

func (b *bench) heartbeat() { b.blinks(1) }

// asksForTheDesk waits for the hint rhythm: long, short, three times in a row.
func (b *bench) asksForTheDesk() {
	b.t.Helper()
	const alike = 3
	seen, wantShort := 0, false
	was, since := true, time.Now()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		on := b.panel.Lights()&device.Status != 0
		if on == was {
			continue
		}
		if long := time.Since(since) > 325*time.Millisecond; was {
			switch {
			case long && !wantShort:
				wantShort = true
			case !long && wantShort:
				seen, wantShort = seen+1, false
			default:
				seen, wantShort = 0, long
			}
		}
		was, since = on, time.Now()
		if seen == alike {
			return
		}
	}
	b.t.Errorf("the status LED does not ask for the empty desk; events:\n%s", b.history())
}

// TestKernelPanelGone takes the GPIO chip away from a running box and brings it
// back. The process replaces itself; the lesson goes on.
func TestKernelPanelGone(t *testing.T) {
	s := newStage(t, sim.Drawn(), yuyv)
	b := newBench(t, tinyBox(t, "v4l2"))
	b.start(0)
	b.well()
	s.show("ball/1")
	b.settle(4 * time.Second)
	for range 3 {
		b.teach(0, patience)
	}
	if got := b.answer(4*time.Second, 0); got != 0 {
		t.Fatalf("slot %d is lit (want 0)", got)
	}
	mark := b.mark()
	b.chip.Remove()
	l := b.await(mark, patience, "the panel's fault is known", ill(partPanel))
	t.Logf("the box says: %s", l.Error)
	restored := time.Now()
	b.chip.Restore()
	b.lit(restored, "the chip was back")
	if got := b.answer(8*time.Second, 0); got != 0 {
		t.Errorf("slot %d is lit for what was taught before (want 0)", got)
	}
	b.teach(1, patience) // the buttons work as well
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", b.cmd.Process.Pid)); err != nil || !strings.Contains(string(env), renewalsEnv+"=1\x00") {
		t.Errorf("the process did not replace itself once: environment %q, %v", env, err)
	}
	b.blinks(1)
}

// TestKernelPanelDenied starts without permission for the GPIO chip, as a
// service does that was faster than udev, and grants it later.
func TestKernelPanelDenied(t *testing.T) {
	v := virtualpi.LoadVivid(t)
	chmod(t, v.Path, 0o666)
	b := newBench(t, tinyBox(t, "v4l2"))
	chmod(t, b.chip.Path(), 0o600)
	b.start(somebody)
	l := b.await(0, patience, "the panel's fault is known", ill(partPanel))
	t.Logf("the box says: %s", l.Error)
	time.Sleep(2 * time.Second)
	granted := time.Now()
	chmod(t, b.chip.Path(), 0o666)
	b.lit(granted, "permission was granted")
	b.well()
}

// lit waits for the first light of the status LED.
func (b *bench) lit(since time.Time, what string) {
	b.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if b.panel.Lights() != 0 {
			b.t.Logf("the LEDs work again %v after %s", time.Since(since).Round(10*time.Millisecond), what)
			return
		}
	}
	b.t.Fatalf("the LEDs stay dark\nstderr:\n%s\nevents:\n%s", b.stderr.String(), b.history())
}

// TestKernelButtons: a bouncing button counts once, a stuck one is masked, and
// all at once lose none.
func TestKernelButtons(t *testing.T) {
	virtualpi.LoadVivid(t)
	// A line that the program pulls up is up in the kernel's simulation, which
	// has but one pull. So the button that is stuck has a resistor of its own.
	stuck := regexp.MustCompile(`(?m)^#button = \{ pin = 19 \}`)
	panel := regexp.MustCompile(`(?m)^#(\S)`).ReplaceAllString(stuck.ReplaceAllString(config.Documentation(), `#button = { pin = 19, pull = "none", active = "low" }`), "$1")
	panel = panel[strings.Index(panel, "[panel]"):strings.Index(panel, "[lesson]")]
	b := newBench(t, tinyBox(t, "v4l2")+panel)
	b.panel.Press(3)
	b.start(0)
	b.await(0, patience, "the stuck button is known", ill("button 4"))
	b.well()

	mark := b.mark()
	b.bounce(0)
	time.Sleep(150 * time.Millisecond)
	b.bounce(0) // it is let go
	b.await(mark, patience, "the press is kept", event("kept"))
	b.await(mark, patience, "and learned", event("learned"))
	time.Sleep(2 * time.Second)
	if n := b.count(mark, event("kept")); n != 1 {
		t.Errorf("a bouncing button kept %d examples (want 1); events:\n%s", n, b.history())
	}

	b.panel.Release(3)
	b.await(mark, patience, "the button is well again", healed("button 4"))
	mark = b.mark()
	for slot := range 4 {
		b.panel.Press(device.Button(slot))
	}
	time.Sleep(150 * time.Millisecond)
	for slot := range 4 {
		b.panel.Release(device.Button(slot))
	}
	for slot := range 4 {
		button := device.Button(slot).String()
		b.await(mark, patience, button+" is kept", func(l api.Event) bool { return l.Event == "kept" && l.Button == button })
	}
}

// bounce changes a button's level 51 times within 15 ms, so that it ends pushed if it was
// not, and let go if it was.
func (b *bench) bounce(button device.Button) {
	w := b.panel.Buttons[button]
	took := w.Chip.Bounce(w.Offset, 51, !w.Chip.High(w.Offset), 15*time.Millisecond)
	b.t.Logf("%v bounced for %v", button, took.Round(100*time.Microsecond))
}

// TestKernelLatency reports how long the way takes from an edge to an LED, and
// from a picture to a verdict. The processor is emulated: the figures are good
// for comparing two versions in one run.
func TestKernelLatency(t *testing.T) {
	s := newStage(t, sim.Drawn(), yuyv)
	b := newBench(t, tinyBox(t, "v4l2"))
	b.start(0)
	b.well()
	s.show("ball/1")
	b.settle(4 * time.Second)
	var winks, verdicts []time.Duration
	for range 5 {
		before := b.panel.Lights() &^ device.Status
		began := time.Now()
		b.panel.Press(0)
		for end := began.Add(patience); b.panel.Lights()&^device.Status == before && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		winks = append(winks, time.Since(began))
		b.panel.Release(0)
		time.Sleep(2 * time.Second)
	}
	for range 5 {
		s.show("")
		b.answer(4*time.Second, -1)
		began := time.Now()
		s.show("ball/1")
		for end := began.Add(patience); b.panel.Lights()&device.Slot(0) == 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		verdicts = append(verdicts, time.Since(began))
	}
	t.Logf("edge to LED (the wink of a durable example): median %v of %v", median(winks), winks)
	t.Logf("picture to verdict (two frames and 100 ms that agree): median %v of %v", median(verdicts), verdicts)
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

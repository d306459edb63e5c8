package box_test

import (
	"errors"
	"fmt"
	"slices"
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

// TestSweep looks at a box that gets no frame and no edge: time alone moves it.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(s setup) { s.rig.scene.silent = true })
		for _, want := range []device.Lights{1, 2, 4, 8, device.Status} {
			r.wait(100 * ms)
			if got := r.panel.Lights(); got != want {
				t.Errorf("at %v the LEDs show %v (want %v)", time.Since(r.began), got, want)
			}
			r.wait(100 * ms)
		}
	})
}

// TestLesson teaches a box as a child does and asks it.
func TestLesson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.teach(0, 1, 2)
		r.teach(1, 2, 2)
		r.teach(device.Nothing, 0, 1)
		for _, look := range []struct {
			thing, slot int
			nothing     bool
		}{{1, 0, false}, {2, 1, false}, {0, -1, true}, {1, 0, false}, {7, -1, false}} {
			r.show(look.thing)
			r.wait(time.Second)
			r.lit(look.slot)
			if got := r.box.Snapshot().Nothing; got != look.nothing {
				t.Errorf("thing %d: nothing: %t (want %t)", look.thing, got, look.nothing)
			}
		}
		r.ill()
		if s := r.box.Snapshot(); s.Contents.Presses != 5 || s.Contents.Frames != 7 || s.Hint || s.Report() == nil || s.Fold.Frames != 7 {
			t.Errorf("snapshot %+v (want 5 presses, 7 frames, no hint, a report on 7 frames)", s)
		}
		r.blinks(1)
	})
}

// TestFirstFrame pushes a button at every phase of the camera and demands the
// very frame that the person meant.
func TestFirstFrame(t *testing.T) {
	tests := []struct {
		name string
		rate float64
		late time.Duration
	}{
		{"15 looks a second", 15, 0},
		{"one look a second", 1, 0},
		{"a camera that is late", 15, 130 * ms},
		{"a camera that is late, one look a second", 1, 130 * ms},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, func(s setup) {
					s.options.Rate = test.rate
					s.rig.scene.late = test.late
					s.rig.scene.every = 100 * ms
				})
				r.settle()
				r.wait(1 * ms)
				for i := range 23 {
					r.wait(504 * ms) // never when a frame is taken
					pushed := time.Now()
					r.hold(device.Button(i%4), 300*ms)
					if r.wait(100 * ms); len(r.keeps()) != i+1 {
						t.Fatalf("%d examples kept (want %d); events:\n%s", len(r.keeps()), i+1, r.history())
					}
					k := r.keeps()[i]
					r.mu.Lock()
					want := slices.IndexFunc(r.taken, func(at time.Time) bool { return !at.Before(pushed) })
					r.mu.Unlock()
					if got := frameOf(k.Embedding); got != want {
						t.Errorf("press %d: frame %d was kept (want %d, the first one not taken before the press)", i, got, want)
					}
					if n := int(k.Picture[atCount]); n != frameOf(k.Embedding)&0xff {
						t.Errorf("press %d: the picture of frame %d with the embedding of frame %d", i, n, frameOf(k.Embedding))
					}
					if waited := k.at.Sub(pushed); waited > 100*ms+test.late {
						t.Errorf("press %d: durable after %v, though a frame comes every 100 ms", i, waited)
					}
				}
			})
		})
	}
}

// TestNeverAnEarlierFrame has an embedder that is slower than the camera.
func TestNeverAnEarlierFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(s setup) {
			s.parts.OpenEmbedder = func() (inference.Embedder, error) {
				return &embedder{space: space(), takes: 170 * ms}, nil
			}
		})
		r.settle()
		for i := range 37 {
			r.wait(600*ms + time.Duration(i)*5*ms)
			pushed := time.Now()
			r.hold(0, 300*ms)
			if r.wait(200 * ms); len(r.keeps()) != i+1 {
				t.Fatalf("%d examples kept (want %d)", len(r.keeps()), i+1)
			}
			r.mu.Lock()
			taken := r.taken[frameOf(r.keeps()[i].Embedding)]
			r.mu.Unlock()
			if late := taken.Sub(pushed); late < 0 || late > 170*ms+40*ms {
				t.Errorf("press %d: the frame was taken %v after the press (want 0 to 210 ms)", i, late)
			}
		}
	})
}

// TestSlowModel has an embedder that takes longer over a frame than a press
// waits for a camera.
func TestSlowModel(t *testing.T) {
	for _, takes := range []time.Duration{1100 * ms, 3 * time.Second, 9 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, func(s setup) {
				s.parts.OpenEmbedder = func() (inference.Embedder, error) {
					return &embedder{space: space(), takes: takes}, nil
				}
			})
			r.settle()
			for i := range 7 {
				r.wait(2*takes + time.Duration(i)*230*ms)
				pushed := time.Now()
				r.tap(0)
				r.wait(2*takes + 100*ms)
				if len(r.keeps()) != i+1 {
					t.Fatalf("a look takes %v: %d examples kept (want %d); events:\n%s", takes, len(r.keeps()), i+1, r.history())
				}
				r.mu.Lock()
				taken := r.taken[frameOf(r.keeps()[i].Embedding)]
				r.mu.Unlock()
				if taken.Before(pushed) {
					t.Errorf("a look takes %v: a frame was kept from %v before the press", takes, pushed.Sub(taken))
				}
			}
			r.ill()
		})
	}
}

// TestPressWhileTheModelLoads pushes a button before there is an embedder.
func TestPressWhileTheModelLoads(t *testing.T) {
	tests := []struct {
		loads         time.Duration
		kept, refused int
	}{{12 * time.Second, 1, 0}, {50 * time.Second, 0, 1}}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, func(s setup) {
				open := s.parts.OpenEmbedder
				s.parts.OpenEmbedder = func() (inference.Embedder, error) {
					time.Sleep(test.loads)
					return open()
				}
			})
			r.settle()
			r.tap(0)
			r.wait(min(test.loads, 31*time.Second))
			if k, refused := r.count(box.Kept), r.count(box.Refused); k != test.kept || refused != test.refused {
				t.Errorf("loading takes %v: %d kept, %d refused (want %d and %d); events:\n%s", test.loads, k, refused, test.kept, test.refused, r.history())
			}
		})
	}
}

// TestFirstFold pushes a button while the model loads: the first head is of
// what was on file, and what is on file waits for no press.
func TestFirstFold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s setup) {
			open := s.parts.OpenEmbedder
			s.parts.OpenEmbedder = func() (inference.Embedder, error) {
				time.Sleep(3 * time.Second)
				return open()
			}
		})
		r.onFile(1, 3)
		r.store.folds = 300 * ms
		r.run()
		defer r.end()
		r.settle()
		r.tap(1)
		r.wait(3 * time.Second)
		var frames []int
		r.each(func(e box.Event) {
			if e.Kind == box.Learned {
				frames = append(frames, e.Fold.Frames)
			}
		})
		if !slices.Equal(frames, []int{3, 4}) {
			t.Errorf("heads of %v frames (want 3, 4); events:\n%s", frames, r.history())
		}
	})
}

// TestNoFrameIsLost has a camera that gives few frames: none is thrown away
// because a press had woken vision up before.
func TestNoFrameIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		frames := make(chan frame.Frame)
		r := start(t, func(s setup) {
			s.parts.Camera = &devicetest.FakeCamera{Next: devicetest.Frames(frames, device.ErrAbsent)}
			s.options.Rate = 1
		})
		r.wait(time.Second)
		frames <- scene{}.picture(1)
		r.wait(1100 * ms)
		r.tap(0)
		frames <- scene{}.picture(2) // for the press
		r.wait(300 * ms)
		frames <- scene{}.picture(3) // too early to look at
		r.wait(time.Second)
		if s := r.box.Snapshot(); len(r.keeps()) != 1 || s.Looks != 3 {
			t.Errorf("%d examples kept, %d frames seen (want 1 and 3)", len(r.keeps()), s.Looks)
		}
	})
}

// TestEdgesBeforeDeadlines holds the loop up, so that a button's going up and
// the deadline after it wait for it together. The button came up in time.
func TestEdgesBeforeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy atomic.Bool
		r := start(t, func(s setup) {
			s.rig.scene.moving = true
			observe := s.options.Observe
			s.options.Observe = func(e box.Event) {
				observe(e)
				if busy.Load() {
					time.Sleep(100 * ms)
				}
			}
		})
		r.settle()
		for range 20 {
			r.panel.Press(0)
			r.wait(350 * ms)
			busy.Store(true)
			r.wait(45 * ms)
			r.panel.Release(0)
			r.wait(300 * ms)
			busy.Store(false)
			r.wait(500 * ms)
		}
		if n := len(r.keeps()); n != 20 {
			t.Errorf("20 taps kept %d examples", n)
		}
	})
}

// TestSeveralAtOnce pushes four buttons at the same instant.
func TestSeveralAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.wait(13 * ms)
		pushed := time.Now()
		for b := range device.Button(4) {
			r.panel.Press(b)
		}
		r.wait(100 * ms)
		for b := range device.Button(4) {
			r.panel.Release(b)
		}
		r.wait(100 * ms)
		r.mu.Lock()
		first := slices.IndexFunc(r.taken, func(at time.Time) bool { return !at.Before(pushed) })
		r.mu.Unlock()
		presses := make(map[string]device.Button)
		for _, k := range r.keeps() {
			presses[k.Press] = k.Button
			if frameOf(k.Embedding) != first {
				t.Errorf("%v: frame %d was kept (want %d)", k.Button, frameOf(k.Embedding), first)
			}
		}
		if len(r.keeps()) != 4 || len(presses) != 4 {
			t.Errorf("%d examples in %d presses (want 4 in 4)", len(r.keeps()), len(presses))
		}
		if s := r.box.Snapshot(); len(s.Contents.Classes) != 4 {
			t.Errorf("%d classes (want 4)", len(s.Contents.Classes))
		}
	})
}

func TestHold(t *testing.T) {
	tests := []struct {
		name          string
		button        device.Button
		moving        bool
		hold          time.Duration
		kept, skipped int
	}{
		{"tap", 0, true, 390 * ms, 1, 0},
		{"hold", 0, true, 1050 * ms, 5, 0},           // 0, 400, 600, 800, 1000 ms
		{"hold for long", 0, true, 6050 * ms, 25, 0}, // what comes on top is silent
		{"hold still", 0, false, 1050 * ms, 1, 4},
		{"nothing", device.Nothing, false, 100 * ms, 3, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, func(s setup) { s.rig.scene.moving = test.moving })
				r.settle()
				pushed := time.Now()
				r.hold(test.button, test.hold)
				r.wait(1500 * ms)
				if k, s := r.count(box.Kept), r.count(box.Skipped); k != test.kept || s != test.skipped {
					t.Errorf("%d kept and %d skipped (want %d and %d)", k, s, test.kept, test.skipped)
				}
				for i, k := range r.keeps() {
					if k.Press != r.keeps()[0].Press || k.Button != test.button {
						t.Errorf("example %d is of another press or button", i)
					}
					at := time.Duration(0)
					switch {
					case test.button == device.Nothing:
						at = test.hold + time.Duration(i)*500*ms
					case i > 0:
						at = time.Duration(i+1) * 200 * ms
					}
					if d := k.at.Sub(pushed.Add(at)); d < 0 || d > 40*ms {
						t.Errorf("example %d was kept after %v (want %v and at most a frame more)", i, k.at.Sub(pushed), at)
					}
				}
				if s := r.box.Snapshot(); s.Contents.Presses != 1 {
					t.Errorf("%d presses (want 1)", s.Contents.Presses)
				}
				r.ill()
			})
		})
	}
}

// pulses is for how long the LEDs of a mask were as wanted, each time that they
// became so.
func (r *rig) pulses(mask, want device.Lights, from time.Time) []time.Duration {
	r.panel.mu.Lock()
	defer r.panel.mu.Unlock()
	var all []time.Duration
	var since time.Time
	for _, s := range r.panel.shown {
		switch is := s.lights&mask == want && !s.at.Before(from); {
		case is && since.IsZero():
			since = s.at
		case !is && !since.IsZero():
			all = append(all, s.at.Sub(since))
			since = time.Time{}
		}
	}
	return all
}

// TestSkippedTicks compares what one sees of a kept frame and of a skipped one.
func TestSkippedTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.teach(0, 1, 2)
		r.wait(time.Second)
		r.lit(0)
		from := time.Now()
		r.hold(0, 450*ms)
		r.wait(time.Second)
		want := []time.Duration{100 * ms, 300 * ms} // a wink, a tick
		if got := r.pulses(device.Slot(0), 0, from); !slices.Equal(got, want) {
			t.Errorf("LED 1, which is lit, was dark for %v (want %v)", got, want)
		}
	})
}

// TestWinkIsAPromise has a disk that takes a second.
func TestWinkIsAPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.store.set(func(s *store) { s.slow = time.Second })
		pushed := time.Now()
		looks, lights := r.count(box.Looked), r.panel.shows()
		r.tap(2)
		r.wait(800 * ms)
		if n := len(r.pulses(device.Slot(2), device.Slot(2), pushed)); n > 0 || r.panel.Lights()&device.Slot(2) != 0 {
			t.Error("the LED winked before the example was durable")
		}
		if n := r.count(box.Looked) - looks; n < 11 {
			t.Errorf("%d frames seen in 900 ms while the disk was slow", n)
		}
		if n := r.panel.shows() - lights; n < 3 {
			t.Errorf("the status LED changed %d times while the disk was slow", n)
		}
		r.wait(500 * ms)
		durable := r.keeps()[0].at
		if durable.Sub(pushed) < time.Second {
			t.Fatalf("durable after %v; the disk is not slow", durable.Sub(pushed))
		}
		r.panel.mu.Lock()
		defer r.panel.mu.Unlock()
		i := slices.IndexFunc(r.panel.shown, func(s shown) bool { return !s.at.Before(pushed) && s.lights&device.Slot(2) != 0 })
		if i < 0 || !r.panel.shown[i].at.Equal(durable) {
			t.Errorf("the LED did not wink when the example was durable")
		}
	})
}

// TestSlowDisk has a disk that takes longer than a press waits for a frame.
// What was pushed meanwhile is late, not lost.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.store.set(func(s *store) { s.slow = 3 * time.Second })
		const n = 12
		for i := range n {
			r.tap(device.Button(i % 4))
			r.wait(100 * ms)
		}
		r.wait((n + 1) * 3 * time.Second)
		if k, refused := r.count(box.Kept), r.count(box.Refused); k != n || refused != 0 {
			t.Errorf("%d kept, %d refused (want %d and 0); events:\n%s", k, refused, n, r.history())
		}
	})
}

// TestFolds teaches two classes in a burst of ten frames a second.
func TestFolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(s setup) { s.rig.scene.moving = true })
		r.settle()
		before := len(r.foldings())
		r.show(1)
		r.panel.Press(0)
		r.wait(100 * ms)
		r.panel.Press(1)
		r.wait(2090 * ms)
		during := r.foldings()[before:]
		for i := 1; i < len(during); i++ {
			if d := during[i].at.Sub(during[i-1].at); d < 200*ms {
				t.Errorf("fold %d came %v after the one before (want 200 ms)", i, d)
			}
		}
		if len(during) < 8 || len(during) > 11 {
			t.Errorf("%d folds during a burst of 2.2 s (want about ten)", len(during))
		}
		if during[len(during)-1].frames == len(r.keeps()) {
			t.Fatal("nothing is left to fold at the end of the burst; the test tests nothing")
		}
		released := time.Now()
		r.panel.Release(0)
		r.panel.Release(1)
		r.wait(time.Second)
		all := r.foldings()[before:]
		last := all[len(all)-1]
		if len(all) != len(during)+1 || last.frames != len(r.keeps()) || !last.at.Equal(released) {
			t.Errorf("%d folds after the burst, the last one after %v of %d frames (want one at once, of %d)",
				len(all)-len(during), last.at.Sub(released), last.frames, len(r.keeps()))
		}
		if s := r.box.Snapshot(); s.Fold == nil || s.Fold.Frames != last.frames {
			t.Errorf("the last head does not answer")
		}
		if n := r.count(box.Learned); n != len(r.foldings()) {
			t.Errorf("%d heads were told of (want %d)", n, len(r.foldings()))
		}
	})
}

// TestSlowFolds holds a button down while a fold takes long: the frames of the
// burst get half of the time at least.
func TestSlowFolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 500 * ms
		r := start(t, func(s setup) { s.rig.scene.moving = true })
		r.settle()
		r.store.set(func(s *store) { s.folds = takes })
		before := len(r.foldings())
		r.hold(0, 4300*ms)
		during := r.foldings()[before:]
		if len(during) < 3 {
			t.Errorf("%d folds during a burst of 4.3 s (want 3 or 4)", len(during))
		}
		for i := 1; i < len(during); i++ {
			if d := during[i].at.Sub(during[i-1].at) - takes; d < takes {
				t.Errorf("fold %d began %v after the one before (want %v at least)", i, d, takes)
			}
		}
		r.wait(2 * time.Second)
		all := r.foldings()
		if last := all[len(all)-1]; last.frames != len(r.keeps()) {
			t.Errorf("the last fold is of %d frames (want %d)", last.frames, len(r.keeps()))
		}
	})
}

// TestFoldsWait has a disk that is just too slow for two buttons held down. The
// frames go first, but not for ever.
func TestFoldsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(s setup) { s.rig.scene.moving = true })
		r.settle()
		r.store.set(func(s *store) { s.slow = 150 * ms })
		before := len(r.foldings())
		r.panel.Press(0)
		r.panel.Press(1)
		r.wait(5 * time.Second)
		r.panel.Release(0)
		r.panel.Release(1)
		r.wait(5 * time.Second)
		folds := r.foldings()[before:]
		// One before the holds begin, three while frames wait, and one when none
		// does any more.
		if len(folds) != 5 {
			t.Errorf("%d folds: %v (want 5)", len(folds), folds)
		}
		for i := 1; i < len(folds)-1; i++ {
			if d := folds[i].at.Sub(folds[i-1].at); d < 2*time.Second || d > 2400*ms {
				t.Errorf("fold %d came %v after the one before, while frames waited (want 2 s and a frame or two)", i, d)
			}
		}
		if last := folds[len(folds)-1]; last.frames != len(r.keeps()) {
			t.Errorf("the last fold is of %d frames (want %d)", last.frames, len(r.keeps()))
		}
	})
}

// TestChords goes through everything that is done with the nothing button.
func TestChords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		chord := func(b device.Button, d time.Duration) {
			r.panel.Press(device.Nothing)
			r.wait(100 * ms)
			r.hold(b, d)
			r.wait(100 * ms)
			r.panel.Release(device.Nothing)
			r.wait(time.Second)
		}
		has := func(when string, want map[device.Button]int) {
			t.Helper()
			got := make(map[device.Button]int)
			for _, k := range r.box.Snapshot().Contents.Classes {
				got[k.Button] = k.Presses
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s\nevents:\n%s", when, diff, r.history())
			}
		}
		r.teach(0, 1, 2)
		r.teach(1, 2, 2)
		r.teach(device.Nothing, 0, 1)
		has("taught", map[device.Button]int{0: 2, 1: 2, device.Nothing: 1})

		chord(0, 100*ms)
		has("taken back", map[device.Button]int{0: 1, 1: 2, device.Nothing: 1})
		chord(0, 100*ms)
		has("taken back again", map[device.Button]int{0: 0, 1: 2, device.Nothing: 1})
		r.show(1)
		r.wait(time.Second)
		r.lit(-1)
		refused := r.count(box.Refused)
		chord(0, 100*ms)
		if n := r.count(box.Refused) - refused; n != 1 {
			t.Errorf("%d refusals when there was nothing to take back (want 1)", n)
		}

		chord(1, 1900*ms)
		has("forgetting cancelled", map[device.Button]int{0: 0, 1: 2, device.Nothing: 1})
		chord(1, 2100*ms)
		has("forgotten", map[device.Button]int{0: 0, device.Nothing: 1})
		r.show(2)
		r.wait(time.Second)
		r.lit(-1)

		r.teach(2, 3, 3)
		r.wait(time.Second)
		r.lit(2)
		before := map[device.Button]int{0: 0, 2: 3, device.Nothing: 1}
		r.hold(device.Nothing, 4900*ms)
		r.wait(time.Second)
		has("a new lesson cancelled", before)
		r.hold(device.Nothing, 5100*ms)
		r.wait(time.Second)
		has("a new lesson", map[device.Button]int{})
		r.lit(-1)
		if !r.box.Snapshot().Hint {
			t.Error("no hint after a new lesson")
		}
		r.hold(device.Nothing, 5100*ms)
		r.wait(time.Second)
		has("brought back", before)
		r.lit(2)

		counts := make(map[string]int)
		r.each(func(e box.Event) {
			if e.Kind >= box.TakenBack && e.Kind <= box.Restored {
				counts[fmt.Sprintf("%v %v", e.Kind, e.Button)]++
			}
		})
		want := map[string]int{"taken back class 1": 2, "forgotten class 2": 1, "new lesson nothing": 1, "restored nothing": 1}
		if diff := cmp.Diff(want, counts); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		r.ill()
	})
}

func TestLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(s setup) { s.options.Locked = true })
		r.settle()
		from := time.Now()
		r.tap(0)
		r.wait(time.Second)
		if n := len(r.pulses(device.AllSlots(4), device.AllSlots(4), from)); n < 3 {
			t.Errorf("the LEDs flickered %d times (want several)", n)
		}
		var why error
		r.each(func(e box.Event) {
			if e.Kind == box.Refused {
				why = e.Err
			}
		})
		if !errors.Is(why, box.ErrLocked) || len(r.keeps()) != 0 {
			t.Errorf("refused with %v, %d examples kept (want %v and 0)", why, len(r.keeps()), box.ErrLocked)
		}
	})
}

// TestPush teaches from elsewhere than the panel.
func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		lease := device.Edge{Source: device.FromPage, Button: 1, Down: true, At: time.Now(), Lease: time.Second}
		r.box.Push(t.Context(), lease)
		r.wait(3 * time.Second)
		// The tablet is lost: it never says that the button is up.
		if k, s := r.count(box.Kept), r.count(box.Skipped); k != 1 || s < 3 || s > 4 {
			t.Errorf("%d kept, %d skipped within a lease of a second (want 1 and 3 or 4)", k, s)
		}
	})
}

// TestHeldColours: the camera is told when there is something whose colours
// should stay.
func TestHeldColours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		r := start(t, func(s setup) {
			s.parts.Hold = func(taught bool) {
				told = append(told, fmt.Sprint(taught, " at ", time.Since(s.rig.began).Round(time.Second)))
			}
		})
		r.settle()
		r.wait(10 * time.Second)
		r.tap(0)
		r.tap(1)
		r.wait(10 * time.Second)
		r.hold(device.Nothing, 6*time.Second) // a new lesson
		r.wait(10 * time.Second)
		r.hold(device.Nothing, 6*time.Second) // the old one is back
		r.wait(time.Second)
		if want := []string{"true at 12s", "false at 27s", "true at 43s"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q; events:\n%s", told, want, r.history())
		}
	})
}

// TestHeldColoursInTheDark: a camera is not held before it has been light for a
// while, and stays held when it becomes dark.
func TestHeldColoursInTheDark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		r := start(t, func(s setup) {
			s.rig.scene.dark = true
			s.parts.Hold = func(taught bool) {
				told = append(told, fmt.Sprint(taught, " at ", time.Since(s.rig.began).Round(time.Second)))
			}
		})
		r.settle()
		r.tap(0)
		r.wait(20 * time.Minute) // it is asleep
		r.change(func(s *scene) { s.dark = false })
		r.wait(time.Second) // a flash
		r.change(func(s *scene) { s.dark = true })
		r.wait(10 * time.Second)
		if len(told) > 0 {
			t.Fatalf("told %q in the dark", told)
		}
		lit := time.Since(r.began).Round(time.Second)
		r.change(func(s *scene) { s.dark = false })
		r.wait(10 * time.Second)
		r.change(func(s *scene) { s.dark = true })
		r.wait(20 * time.Minute)
		if want := []string{fmt.Sprint("true at ", lit+2*time.Second)}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q, which is 2 s after the first look in the light", told, want)
		}
	})
}

// TestEncode says what happens to a press when there are no pictures to keep.
func TestEncode(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name   string
		encode func(frame.Frame) ([]byte, error)
		kept   int
	}{
		{"no pictures", nil, 1},
		{"pictures that cannot be made", func(frame.Frame) ([]byte, error) { return nil, broken }, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, func(s setup) { s.parts.Encode = test.encode })
				r.settle()
				r.tap(0)
				r.wait(time.Second)
				if k, refused := r.count(box.Kept), r.count(box.Refused); k != test.kept || refused != 1-test.kept {
					t.Errorf("%d kept and %d refused (want %d and %d)", k, refused, test.kept, 1-test.kept)
				}
				for _, k := range r.keeps() {
					if k.Picture != nil {
						t.Error("a picture was kept")
					}
				}
			})
		})
	}
}

// TestNight goes to sleep and wakes up.
func TestNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(s setup) { s.rig.scene.every = 66 * ms })
		r.settle()
		r.teach(0, 1, 2)
		r.teach(device.Nothing, 0, 1)
		r.show(1)
		r.wait(time.Second)
		r.lit(0)
		r.change(func(s *scene) { s.dark = true })
		r.wait(9 * time.Minute)
		if r.box.Snapshot().Asleep {
			t.Error("asleep after nine minutes in the dark")
		}
		r.wait(time.Minute + time.Second)
		if s := r.box.Snapshot(); !s.Asleep || r.panel.Lights()&device.AllSlots(4) != 0 {
			t.Errorf("asleep: %t, LEDs %v (want true, and all class LEDs dark)", s.Asleep, r.panel.Lights())
		}
		before := r.box.Snapshot().Looks
		r.wait(10 * time.Second)
		if n := r.box.Snapshot().Looks - before; n < 9 || n > 11 {
			t.Errorf("%d looks in ten seconds of night (want 10)", n)
		}
		// A press counts at night too, and at once.
		r.tap(3)
		if k := r.keeps(); len(k) != 6 {
			t.Errorf("%d examples kept (want 6)", len(k))
		}
		r.change(func(s *scene) { s.dark = false })
		r.wait(1100 * ms)
		if r.box.Snapshot().Asleep {
			t.Error("asleep a second after it became light")
		}
	})
}

func TestRate(t *testing.T) {
	for _, test := range []struct {
		rate  float64
		every time.Duration
		want  int // looks in ten seconds
	}{
		{0, 10 * ms, 150}, {15, 10 * ms, 150}, {5, 10 * ms, 50}, {1, 10 * ms, 10}, {15, 500 * ms, 20}, {30, 40 * ms, 250},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, func(s setup) { s.options.Rate, s.rig.scene.every = test.rate, test.every })
			r.settle()
			before := r.box.Snapshot()
			r.wait(10 * time.Second)
			after := r.box.Snapshot()
			if n := int(after.Looks - before.Looks); n < test.want*9/10 || n > test.want+1 {
				t.Errorf("rate %v, a frame every %v: %d looks in ten seconds (want %d)", test.rate, test.every, n, test.want)
			}
			if n := int(after.Dropped-before.Dropped) + int(after.Looks-before.Looks); n < int(10*time.Second/test.every)-2 {
				t.Errorf("rate %v, a frame every %v: %d frames seen or dropped", test.rate, test.every, n)
			}
		})
	}
}

package box_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// soon is the promise: well again within it of the cause ending.
const soon = 5 * time.Second

func TestCamera(t *testing.T) {
	absent := fmt.Errorf("camera: %w (plug it in)", device.ErrAbsent)
	tests := []struct {
		name       string
		atStart    func(*scene)
		fail, mend func(*scene)
		shows      time.Duration // by when it shows
		want       error
	}{
		{"absent at start", func(s *scene) { s.fault = absent }, nil, func(s *scene) { s.fault = nil }, 100 * ms, device.ErrAbsent},
		{"silent at start", func(s *scene) { s.silent = true }, nil, func(s *scene) { s.silent = false }, 12100 * ms, device.ErrStall},
		{"unplugged", nil, func(s *scene) { s.fault = absent }, func(s *scene) { s.fault = nil }, 100 * ms, device.ErrAbsent},
		{"silent", nil, func(s *scene) { s.silent = true }, func(s *scene) { s.silent = false }, 3100 * ms, device.ErrStall},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, func(s setup) {
					if test.atStart != nil {
						test.atStart(&s.rig.scene)
					}
				})
				if test.fail != nil {
					r.settle()
					r.teach(1, 1, 2)
					r.teach(device.Nothing, 0, 1)
					r.show(1)
					r.wait(time.Second)
					r.lit(1)
					r.change(test.fail)
				}
				r.wait(test.shows)
				r.ill("camera")
				err := r.problem("camera")
				if !errors.Is(err, test.want) {
					t.Errorf("the camera's problem is %v (want %v)", err, test.want)
				}
				// A ribbon cable is not to be unplugged.
				if strings.Contains(fmt.Sprint(err), "unplug") {
					t.Errorf("%q gives advice for one kind of camera", err)
				}
				r.lit(-1)
				r.blinks(2)

				r.refused(0, 2100*ms, test.want)
				r.change(test.mend)
				r.wellWithin(soon)
				r.teach(0, 3, 1)
				r.wait(time.Second)
				r.lit(0)
			})
		})
	}
}

// TestCameraThatIsGoneForLong fails for an hour: the pauses do not grow beyond
// the promise, nor does the box try without rest.
func TestCameraThatIsGoneForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(s setup) { s.rig.scene.fault = device.ErrAbsent })
		r.wait(time.Hour)
		r.mu.Lock()
		runs := r.runs
		r.mu.Unlock()
		if runs < 3600/5 || runs > 3600/2 {
			t.Errorf("%d attempts in an hour (want one every 3 to 4 s)", runs)
		}
		r.change(func(s *scene) { s.fault = nil })
		r.wellWithin(soon)
	})
}

// TestSlowCamera takes its time every time that it is opened.
func TestSlowCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(s setup) { s.rig.scene.opens = 11 * time.Second })
		r.wait(11500 * ms)
		r.ill()
		if n := r.count(box.Looked); n == 0 {
			t.Error("nothing was seen after 11.5 s")
		}
	})
}

// TestOwnWords has cameras that say themselves why they are silent: at start as
// late as a Pi camera does, and later. The box does not cut them short.
func TestOwnWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		words := fmt.Errorf("it says what is wrong: %w", device.ErrFormat)
		for _, after := range []struct{ opens, silent time.Duration }{{10 * time.Second, 0}, {0, 2500 * ms}} {
			r := newRig(t, func(s setup) {
				s.parts.Camera = &devicetest.FakeCamera{Next: func() func(context.Context) (frame.Frame, error) {
					n := 0
					return func(ctx context.Context) (frame.Frame, error) {
						wait := after.opens
						if n++; n > 1 {
							wait = after.silent
						}
						select {
						case <-ctx.Done():
							return frame.Frame{}, ctx.Err()
						case <-time.After(wait + ms):
						}
						if after.silent == 0 || n > 1 {
							return frame.Frame{}, words
						}
						return scene{}.picture(n), nil
					}
				}()}
			})
			r.run()
			r.wait(after.opens + after.silent + 100*ms)
			if err := r.problem("camera"); err == nil || !errors.Is(err, device.ErrFormat) {
				t.Errorf("silent for %v: the camera's problem is %v (want %v)", max(after.opens, after.silent), err, words)
			}
			r.end()
		}
	})
}

func TestUnreadableFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(s setup) { s.rig.scene.every = 100 * ms })
		r.settle()
		r.teach(0, 1, 2)
		r.wait(time.Second)
		r.lit(0)
		broken := func(n time.Duration) { // n frames
			r.change(func(s *scene) { s.broken = true })
			r.wait(n * 100 * ms)
			r.change(func(s *scene) { s.broken = false })
		}
		broken(9)
		r.ill()
		r.wait(time.Second)
		broken(10)
		synctest.Wait()
		r.ill("picture")
		r.lit(-1)
		r.wait(100 * ms)
		r.ill()
		r.change(func(s *scene) { s.broken = true })
		r.wait(time.Second)
		r.blinks(2)
		r.refused(0, 2100*ms, frame.ErrMalformed)
		r.change(func(s *scene) { s.broken = false })
		r.wait(time.Second)
		r.ill()
		r.lit(0)
	})
}

// TestFrozen has a camera that repeats one picture, which shows what was there
// before.
func TestFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.teach(0, 1, 2)
		r.wait(time.Second)
		r.lit(0)
		r.change(func(s *scene) { s.frozen = true })
		r.wait(200 * ms)
		r.ill("picture")
		r.wait(time.Second)
		r.lit(-1)
		r.blinks(2)
		r.refused(1, 2100*ms, r.problem("picture"))
		r.change(func(s *scene) { s.frozen = false })
		r.wait(time.Second)
		r.ill()
		r.lit(0)
	})
}

// TestSilentCamera pushes a button before the camera's silence counts as a
// fault. The press says what it knows.
func TestSilentCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(s setup) { s.rig.scene.silent = true })
		r.settle()
		pushed := time.Now()
		r.tap(0)
		r.wait(2100 * ms)
		r.ill()
		var refused time.Duration
		r.each(func(e box.Event) {
			if e.Kind == box.Refused {
				refused = e.At.Sub(pushed)
			}
		})
		if why := r.refusals(); refused != 2*time.Second || len(why) != 1 || !strings.Contains(why[0].Error(), "camera") {
			t.Errorf("refused after %v: %v (want after 2 s, once, for want of a camera)", refused, why)
		}
	})
}

// TestStuckButton holds one button down for more than a minute. The rest works.
func TestStuckButton(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.teach(device.Nothing, 0, 1)
		r.panel.Press(2)
		r.wait(59 * time.Second)
		r.ill()
		r.wait(2 * time.Second)
		r.ill("button 3")
		if err := r.problem("button 3"); err == nil || !strings.Contains(err.Error(), "wiring") {
			t.Errorf("button 3: %v (want the remedy)", err)
		}
		r.blinks(1)
		r.teach(0, 1, 2)
		r.wait(time.Second)
		r.lit(0)
		r.panel.Release(2)
		r.wait(100 * ms)
		r.ill()
		if h := r.history(); strings.Count(h, "button 3") != 2 {
			t.Errorf("events:\n%s(want two of button 3)", h)
		}
	})
}

func TestModel(t *testing.T) {
	missing := errors.New("model: not there (run make setup)")
	t.Run("cannot be opened", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cause := missing
			r := start(t, func(s setup) {
				open := s.parts.OpenEmbedder
				s.parts.OpenEmbedder = func() (inference.Embedder, error) {
					s.rig.mu.Lock()
					defer s.rig.mu.Unlock()
					if cause != nil {
						return nil, cause
					}
					return open()
				}
			})
			r.settle()
			r.ill("model")
			r.blinks(5)
			r.refused(0, 2100*ms, missing)
			r.mu.Lock()
			cause = nil
			r.mu.Unlock()
			r.wellWithin(soon)
			r.teach(0, 1, 1)
			r.wait(time.Second)
			r.lit(0)
		})
	})
	t.Run("fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var cause error
			opened, closed := 0, 0
			r := newRig(t, func(s setup) {
				s.parts.OpenEmbedder = func() (inference.Embedder, error) {
					opened++
					return &embedder{space: space(), shut: func() { closed++ }, fault: func() error {
						s.rig.mu.Lock()
						defer s.rig.mu.Unlock()
						return cause
					}}, nil
				}
			})
			r.run()
			r.settle()
			r.teach(0, 1, 1)
			r.wait(time.Second)
			r.lit(0)
			r.mu.Lock()
			cause = errors.New("out of memory")
			r.mu.Unlock()
			r.wait(100 * ms)
			r.ill("model")
			r.lit(-1)
			r.wait(10 * time.Second)
			r.mu.Lock()
			cause = nil
			r.mu.Unlock()
			r.wellWithin(soon)
			r.wait(time.Second)
			r.lit(0)
			r.end()
			if opened < 4 || opened != closed {
				t.Errorf("%d embedders were opened and %d closed (want several and as many)", opened, closed)
			}
		})
	})
}

// TestModelIsExchanged opens another model after the first one failed, while
// the head of the first one is still the last one. The pictures are there, so
// the lesson is learned again.
func TestModelIsExchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		eye := &embedder{space: space()}
		r := start(t, func(s setup) {
			eye.fault = func() error {
				s.rig.mu.Lock()
				defer s.rig.mu.Unlock()
				return cause
			}
			s.parts.OpenEmbedder = func() (inference.Embedder, error) {
				opened := eye
				eye = &embedder{space: inference.Space{Model: "another"}, wider: 10}
				return opened, nil
			}
		})
		r.settle()
		r.teach(0, 1, 2)
		r.wait(time.Second)
		r.lit(0)
		r.store.set(func(s *store) { s.folds = 3 * time.Second })
		r.mu.Lock()
		cause = errors.New("out of memory")
		r.mu.Unlock()
		r.wait(time.Second)
		r.ill()
		if looks := r.box.Snapshot().Looks; looks == 0 || r.box.Snapshot().Fold != nil {
			t.Error("a head answered in a space that is not its own")
		}
		r.lit(-1)
		r.wait(5 * time.Second)
		r.ill()
		r.lit(0)
	})
}

func TestFullDisk(t *testing.T) {
	for _, cause := range []error{lesson.ErrFull, lesson.ErrReadOnly, lesson.ErrIO} {
		t.Run(cause.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, nil)
				r.settle()
				r.teach(0, 1, 2)
				r.teach(device.Nothing, 0, 1)
				fault := func(err error) { r.store.set(func(s *store) { s.fault = err }) }
				fault(fmt.Errorf("lesson file: %w: make room", cause))
				r.ill() // nobody has written yet
				from := time.Now()
				r.tap(1)
				r.wait(time.Second)
				r.ill("storage")
				if n := len(r.pulses(device.AllSlots(4), device.AllSlots(4), from)); n < 3 || r.count(box.Refused) != 1 {
					t.Errorf("the LEDs flickered %d times, %d refusals (want several, and 1)", n, r.count(box.Refused))
				}
				r.blinks(3)
				r.show(1)
				r.wait(time.Second)
				r.lit(0)
				r.show(0)
				r.wait(time.Second)
				r.lit(-1)
				r.hold(device.Nothing, 5100*ms)
				r.wait(time.Second)
				if r.count(box.NewLesson) != 0 {
					t.Error("a new lesson on a full disk")
				}
				r.ill("storage")
				fault(nil)
				r.wellWithin(soon)
				r.teach(1, 2, 1)
				r.wait(time.Second)
				r.lit(1)
			})
		})
	}
}

// TestFullDiskAtAnyTime has a disk that has room again after any time.
func TestFullDiskAtAnyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		for i := range time.Duration(20) {
			r.store.set(func(s *store) { s.fault = lesson.ErrFull })
			r.tap(1)
			r.wait(i * 500 * ms)
			r.ill("storage")
			r.store.set(func(s *store) { s.fault = nil })
			r.wellWithin(soon)
		}
	})
}

// hidden is a store whose file cannot be read at first.
type hidden struct {
	*store
	seen bool
}

func (h *hidden) Contents() lesson.Contents {
	if !h.seen {
		return lesson.Contents{}
	}
	return h.store.Contents()
}

func (h *hidden) Fold(in inference.Space) (*lesson.Fold, error) {
	if !h.seen {
		return new(lesson.Fold), nil
	}
	return h.store.Fold(in)
}

func (h *hidden) Retry() error {
	err := h.store.Retry()
	h.seen = h.seen || err == nil
	return err
}

// TestLessonReadLate has a card that answers late: what is on it is then known
// without any press.
func TestLessonReadLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s setup) { s.parts.Lessons = &hidden{store: s.rig.store} })
		r.onFile(1, 3)
		r.store.fault = fmt.Errorf("lesson file: %w", lesson.ErrIO)
		r.run()
		defer r.end()
		r.show(1)
		r.settle()
		r.ill("storage")
		r.lit(-1)
		r.store.set(func(s *store) { s.fault = nil })
		r.wellWithin(soon)
		r.wait(time.Second)
		r.lit(0)
		if n := r.box.Snapshot().Contents.Presses; n != 3 {
			t.Errorf("%d presses are shown (want 3)", n)
		}
	})
}

func TestPanelComesBack(t *testing.T) {
	for _, source := range []device.Source{device.FromPanel, device.FromKeyboard} {
		testPanelComesBack(t, source)
	}
}

// testPanelComesBack has a panel that says its edges come from source, as the
// simulator's do.
func testPanelComesBack(t *testing.T, source device.Source) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gpiochip0: gone")
		r := start(t, func(s setup) { s.rig.scene.moving = true })
		r.settle()
		r.teach(device.Nothing, 0, 1)
		r.panel.Edge(device.Edge{Source: source, Button: 2, Down: true})
		r.wait(time.Second)
		r.panel.Fail(gone)
		r.wait(100 * ms)
		before := r.count(box.Kept)
		r.panel.Release(2) // unseen
		r.wait(3 * time.Second)
		r.ill("lights", "panel")
		if n := r.count(box.Kept) - before; n != 0 {
			t.Errorf("source %d: %d examples kept after the panel was gone: the button counts as held", source, n)
		}
		was := r.panel.Lights()
		r.panel.Fail(nil)
		r.wellWithin(soon)
		r.wait(100 * ms)
		changed := false
		for range 20 {
			r.wait(100 * ms)
			changed = changed || r.panel.Lights() != was
		}
		if !changed {
			t.Error("the LEDs stand still when the panel is back")
		}
		r.teach(2, 3, 1)
		r.wait(time.Second)
		r.lit(2)
	})
}

// TestLightsComeBack has LEDs that fail while the buttons work on.
func TestLightsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.teach(device.Nothing, 0, 1)
		deaf := func(err error) {
			r.panel.mu.Lock()
			defer r.panel.mu.Unlock()
			r.panel.deaf = err
		}
		deaf(errors.New("gpiochip0: input/output error"))
		r.wait(2 * time.Second)
		r.ill("lights")
		r.teach(0, 1, 1)
		deaf(nil)
		r.wellWithin(soon)
		r.wait(countable)
		r.lit(0)
		r.blinks(1)
	})
}

// TestPanelThatFailsOften is watched for a moment at a time: it is not well in
// between.
func TestPanelThatFailsOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		healthy := 0
		for range 40 {
			r.panel.Fail(device.ErrAbsent)
			r.wait(10 * ms)
			r.panel.Fail(nil)
			r.wait(190 * ms)
			if r.problem("panel") == nil {
				healthy++
			}
		}
		if healthy > 0 {
			t.Errorf("the panel counted as well %d times", healthy)
		}
		r.wellWithin(soon)
	})
}

// countable is how long a fault is shown at least.
const countable = 3 * time.Second

// TestFaultCanBeCounted: a camera that fails for an instant, again and again,
// looks as ill as one that has gone.
func TestFaultCanBeCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.teach(device.Nothing, 0, 1)
		var flapping sync.WaitGroup
		flapping.Go(func() {
			for range 5 {
				r.change(func(s *scene) { s.fault = device.ErrAbsent })
				time.Sleep(100 * ms)
				r.change(func(s *scene) { s.fault = nil })
				time.Sleep(900 * ms)
			}
		})
		r.blinks(2)
		flapping.Wait()
		r.wellWithin(soon)
		r.wait(countable)
		r.blinks(1)
		if n := strings.Count(r.history(), "health"); n < 5 {
			t.Errorf("the camera failed and came back too seldom; events:\n%s", r.history())
		}
	})
}

func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.box.Report(box.PartConfiguration, errors.New("teachbox.toml:3: no such key"))
		r.run()
		defer r.end()
		r.settle()
		r.ill(box.PartConfiguration)
		r.blinks(5)
		r.box.Report(box.PartConfiguration, nil)
		r.wait(100 * ms)
		r.ill()
		if h := r.history(); strings.Count(h, "health") != 2 {
			t.Errorf("events:\n%s(want two of health)", h)
		}
	})
}

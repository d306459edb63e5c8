package box_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"teachbox/device"
	"teachbox/device/devicetest"
	"teachbox/device/frame"
	"teachbox/inference"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

// TestEndsAtAnyMoment plays with a box, wildly, and stops it in the middle of
// it. That no goroutine is left is shown by the bubble's end.
func TestEndsAtAnyMoment(t *testing.T) {
	runs := 100
	if testing.Short() {
		runs = 25
	}
	for seed := range runs {
		ok := t.Run("", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(s setup) {
					s.parts.OpenEmbedder = func() (inference.Embedder, error) {
						return &embedder{space: space(), takes: 9 * ms}, nil
					}
				})
				r.run()
				play(r, rand.New(rand.NewPCG(7, uint64(seed))))
				r.end()
				// What was told of is on the disk.
				path := r.store.path
				s, err := lesson.Open(lesson.Options{Path: path})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				kept, gone := 0, false
				r.each(func(e box.Event) {
					switch e.Kind {
					case box.Kept:
						kept++
					case box.TakenBack, box.Forgotten, box.NewLesson, box.Edited, box.HealthChanged:
						gone = gone || e.Kind != box.HealthChanged || e.Part == "lesson put aside"
					}
				})
				if have := s.Contents().Frames; !gone && have < kept {
					t.Errorf("%d examples were acknowledged and %d are kept", kept, have)
				}
			})
		})
		if !ok {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// play does something at random for some seconds.
func play(r *rig, random *rand.Rand) {
	for range random.IntN(40) {
		b := device.Button(random.IntN(4))
		if random.IntN(3) == 0 {
			b = device.Nothing
		}
		brief, cancel := context.WithTimeout(r.t.Context(), 400*ms)
		switch random.IntN(16) {
		case 0:
			r.change(func(s *scene) { s.fault = device.ErrAbsent })
		case 1:
			r.change(func(s *scene) { s.silent = true })
		case 2:
			r.change(func(s *scene) { *s = scene{every: 40 * ms, moving: true, thing: random.IntN(3)} })
		case 3:
			r.panel.Fail(device.ErrAbsent)
		case 4:
			r.panel.Fail(nil)
		case 5:
			slow := time.Duration(random.IntN(500)) * ms
			r.store.set(func(s *store) { s.slow, s.fault = slow, nil })
		case 6:
			r.store.set(func(s *store) { s.fault = lesson.ErrFull })
		case 7, 8, 9:
			r.panel.Press(b)
		case 10:
			all := []lesson.Edit{lesson.Undo{}, lesson.Redo{}, lesson.New{}, lesson.Restore{}, lesson.TakeBack{Button: b}, lesson.Erase{}}
			_, _ = r.box.Edit(brief, lesson.AnyRevision, all[random.IntN(len(all))])
		case 11:
			_ = r.box.SetLocked(brief, random.IntN(3) == 0)
			_ = r.box.Acknowledge(brief)
		case 12:
			model := fmt.Sprint("model ", random.IntN(2))
			_ = r.box.Reconfigure(brief, box.Change{
				Camera: &camera{r},
				OpenEmbedder: func() (inference.Embedder, error) {
					return &embedder{space: inference.Space{Model: model}, takes: 40 * ms}, nil
				},
				Encode: func(f frame.Frame) ([]byte, error) { return f.Pix, nil },
			})
		default:
			r.panel.Release(b)
		}
		cancel()
		time.Sleep(time.Duration(random.IntN(300)) * ms)
	}
	r.panel.Fail(nil) // lest Halt be thought to have failed
}

// TestEndsBeforeItBegins has a context that is over already.
func TestEndsBeforeItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r.stop = cancel
		go func() { r.ended <- r.box.Run(ctx) }()
		r.end()
	})
}

// TestDarkAtOnce stops a box while a fold and the camera take long to end: the
// LEDs do not wait for them, and the embedder is freed last.
func TestDarkAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var freed time.Time
		r := newRig(t, func(s setup) {
			s.parts.OpenEmbedder = func() (inference.Embedder, error) {
				return &embedder{space: space(), shut: func() { freed = time.Now() }}, nil
			}
			s.parts.Camera = slowToEnd{s.parts.Camera}
		})
		r.run()
		r.settle()
		r.teach(0, 1, 2)
		r.wait(time.Second)
		r.lit(0)
		r.store.set(func(s *store) { s.folds = 10 * time.Second })
		r.tap(1)
		r.wait(100 * ms)
		before := len(r.foldings())
		r.stop()
		synctest.Wait()
		if l := r.panel.Lights(); l != 0 || len(r.ended) != 0 || len(r.foldings()) != before {
			t.Errorf("the LEDs show %v, %d folds have ended, box ended: %t (want dark, and a fold in hand)", l, len(r.foldings())-before, len(r.ended) != 0)
		}
		r.end()
		if all := r.foldings(); len(all) == before || freed.Before(all[len(all)-1].at) {
			t.Errorf("the embedder was freed at %v, before the last fold ended", freed.Sub(r.began))
		}
	})
}

// slowToEnd is a camera whose driver hangs for a while when it is closed.
type slowToEnd struct{ device.Camera }

func (c slowToEnd) Run(ctx context.Context, emit func(frame.Frame)) error {
	err := c.Camera.Run(ctx, emit)
	time.Sleep(7 * time.Second)
	return err
}

// A loop is a box in real time that is given one frame after another and does
// nothing else.
type loop struct {
	frames chan frame.Frame
	seen   chan struct{}
	stop   func()
}

func newLoop(t testing.TB) *loop {
	t.Helper()
	s, err := lesson.Open(lesson.Options{Path: t.TempDir() + "/lesson.db"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		q := append([]uint8(nil), scene{thing: i % 5}.picture(i).Pix[:atPose]...)
		k := lesson.Keep{Button: device.Button(i % 4), Press: lesson.NewPressID(), Embedding: inference.Embedding{Q: q, Space: space()}}
		if _, err := s.Keep(k); err != nil {
			t.Fatal(err)
		}
	}
	l := &loop{frames: make(chan frame.Frame), seen: make(chan struct{}, 1)}
	learned := make(chan struct{}, 1)
	b := box.New(box.Parts{
		Camera: &devicetest.FakeCamera{Next: devicetest.Frames(l.frames, device.ErrAbsent)},
		Panel:  devicetest.NewFakePanel(), Wiring: fourSlots(), Lessons: s,
		OpenEmbedder: func() (inference.Embedder, error) { return &embedder{space: space()}, nil },
		Dark:         func(f inference.Fitness) bool { return f.Luma < 16 },
	}, box.Options{Rate: 1e6, Observe: func(e box.Event) {
		switch e.Kind {
		case box.Looked:
			l.seen <- struct{}{}
		case box.Learned:
			learned <- struct{}{}
		}
	}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()
	l.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing the lesson: %v", err)
		}
	}
	<-learned
	return l
}

// see gives a frame and waits until the box has seen it.
func (l *loop) see(f frame.Frame) {
	l.frames <- f
	<-l.seen
}

// TestFramesAllocateNothing counts what a frame costs from the camera's call to
// the LEDs, with a head that answers.
func TestFramesAllocateNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	l := newLoop(t)
	defer l.stop()
	f := scene{thing: 1}.picture(0)
	for range 100 {
		l.see(f)
	}
	// The sweep at the start is over by itself; a rare allocation of the
	// runtime's own does not make a whole one in each of a thousand frames.
	if n := testing.AllocsPerRun(2000, func() { l.see(f) }); n != 0 {
		t.Errorf("%v allocations a frame (want 0)", n)
	}
}

// BenchmarkLoop is the way of a frame through the box, from the camera's call
// to the LEDs, with an embedder that costs nothing and a head of 40 small
// examples.
func BenchmarkLoop(b *testing.B) {
	defer goleak.VerifyNone(b, goleak.IgnoreCurrent())
	l := newLoop(b)
	defer l.stop()
	f := scene{thing: 1}.picture(0)
	l.see(f)
	b.ReportAllocs()
	for b.Loop() {
		l.see(f)
	}
}

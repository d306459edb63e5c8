package box_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/device"
	"teachbox/inference"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

// otherSpace is where another model than that of the rig's lesson sees.
func otherSpace() inference.Space { return inference.Space{Model: "another", Cut: "pool"} }

// seesElsewhere has a box look with another model, which takes so long.
func (s setup) seesElsewhere(takes time.Duration) {
	s.parts.OpenEmbedder = func() (inference.Embedder, error) {
		return &embedder{space: otherSpace(), wider: 3, takes: takes}, nil
	}
}

// rewritten is how many examples were written anew.
func (s *store) rewritten() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, k := range s.recomputed {
		n += k
	}
	return n
}

// edit edits the lesson before the box runs.
func (r *rig) edit(e lesson.Edit) {
	r.t.Helper()
	if _, err := r.store.Store.Edit(lesson.AnyRevision, e); err != nil {
		r.t.Fatal(err)
	}
}

// TestRecompute brings a lesson with pictures to a box with another model, which
// is slow. It learns the lesson again, and meanwhile is a box.
func TestRecompute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s setup) {
			s.seesElsewhere(300 * ms)
			s.rig.pictured(0, 1, 20)
			s.rig.pictured(device.Nothing, 0, 1)
		})
		r.run()
		defer r.end()
		r.show(1)
		r.settle()
		before := r.box.Snapshot()
		if c := before.Recomputing; c.Pending == 0 || c.Have == 0 || c.Have+c.Pending != 21 || c.Lost != 0 {
			t.Errorf("after two seconds: %+v (want some of 21 done, and some not)", c)
		}
		r.lit(-1)
		if before.Fold != nil {
			t.Error("a head answers meanwhile")
		}
		r.show(2)
		pushed := time.Now()
		r.tap(1)
		r.wait(2 * time.Second)
		r.show(1)
		k := r.keeps()
		if len(k) != 1 || k[0].at.Sub(pushed) > 700*ms {
			t.Fatalf("a press meanwhile: %d examples kept; events:\n%s", len(k), r.history())
		}
		after := r.box.Snapshot()
		if after.Looks <= before.Looks || after.Recomputing.Pending >= before.Recomputing.Pending {
			t.Errorf("from %d looks to %d, from %+v to %+v", before.Looks, after.Looks, before.Recomputing, after.Recomputing)
		}
		r.wait(10 * time.Second)
		if c := r.box.Snapshot().Recomputing; c != (lesson.Coverage{}) {
			t.Errorf("in the end: %+v", c)
		}
		r.ill()
		r.lit(0)
		if n := r.store.rewritten(); n != 21 || len(r.store.recomputed) != 6 {
			t.Errorf("%d examples were written in %v (want 21 in 6)", n, r.store.recomputed)
		}
		if n := r.count(box.Learned); n != 1 {
			t.Errorf("%d heads (want one, of everything); events:\n%s", n, r.history())
		}
	})
}

// TestRecomputeGoesOn ends a box while it learns a lesson again, several times:
// what is done is done.
func TestRecomputeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, done := filepath.Join(t.TempDir(), "lesson.db"), 0
		for life := range 10 {
			r := newRigAt(t, path, func(s setup) {
				s.seesElsewhere(100 * ms)
				if life == 0 {
					s.rig.pictured(0, 1, 30)
				}
			})
			r.run()
			r.show(1)
			r.wait(time.Second)
			left := r.box.Snapshot().Recomputing.Pending
			if done += r.store.rewritten(); left > 0 && left != 30-done {
				t.Errorf("life %d: %d are left after %d were written", life, left, done)
			}
			if left == 0 {
				r.wait(time.Second)
				r.lit(0)
			}
			r.end()
			if left == 0 {
				break
			}
		}
		if done != 30 {
			t.Errorf("%d examples were written in all (want 30)", done)
		}
	})
}

// TestRecomputeWithoutCamera has nothing to see with.
func TestRecomputeWithoutCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s setup) {
			s.seesElsewhere(ms)
			open := s.parts.OpenEmbedder
			s.parts.OpenEmbedder = func() (inference.Embedder, error) {
				time.Sleep(4 * time.Second)
				return open()
			}
			s.rig.scene.fault = device.ErrAbsent
			s.rig.pictured(0, 1, 9)
		})
		r.run()
		defer r.end()
		r.wait(5 * time.Second)
		if n := r.store.rewritten(); n != 9 {
			t.Errorf("%d examples were written (want 9)", n)
		}
		r.ill("camera")
	})
}

// TestLeftOut has pictures that cannot be read, show nothing, or were not kept.
func TestLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s setup) {
			s.parts.OpenEmbedder = func() (inference.Embedder, error) { return &embedder{space: otherSpace()}, nil }
			s.rig.pictured(0, 1, 10)
			s.rig.pictured(device.Nothing, 0, 1)
			pix := scene{thing: 2}.picture(1).Pix
			s.rig.file(1, pix, []byte{1, 2, 3})
			s.rig.file(1, pix, make([]byte, len(pix)))
			s.rig.file(1, pix, nil)
		})
		r.run()
		defer r.end()
		r.show(1)
		r.settle()
		r.ill("left out")
		if err := r.problem("left out"); err == nil || !strings.Contains(err.Error(), "3 of 14 examples") {
			t.Errorf("left out: %v (want 3 of 14)", err)
		}
		r.lit(0)
		r.blinks(1)
		r.show(2)
		r.wait(time.Second)
		r.lit(-1)
		// Without what cannot be used there is nothing to say.
		if _, err := r.box.Edit(t.Context(), lesson.AnyRevision, lesson.Forget{Button: 1}); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Second)
		r.ill()
	})
}

// TestRecomputeLosesItsLesson takes other lessons in hand while one is learned
// again: what was made for one does not get into another.
func TestRecomputeLosesItsLesson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s setup) {
			s.seesElsewhere(70 * ms)
			s.rig.pictured(0, 1, 12)
		})
		r.run()
		defer r.end()
		edit := func(e lesson.Edit) {
			t.Helper()
			if _, err := r.box.Edit(t.Context(), lesson.AnyRevision, e); err != nil {
				t.Fatal(err)
			}
		}
		r.wait(415 * ms)
		edit(lesson.TakeBack{Button: 0})
		r.wait(315 * ms)
		edit(lesson.Undo{})
		r.wait(30 * ms)
		if c := r.box.Snapshot().Recomputing; c.Pending == 0 || c.Have == 0 {
			t.Fatalf("recomputing %+v (want some done, and some not)", c)
		}
		edit(lesson.Erase{})
		erased := len(r.store.recomputed)
		r.wait(time.Second)
		r.ill()
		if n := len(r.store.recomputed) - erased; n != 0 {
			t.Errorf("embeddings of an erased lesson were written %d times", n)
		}
		if s := r.box.Snapshot(); s.Recomputing != (lesson.Coverage{}) || s.Contents.Frames != 0 {
			t.Errorf("erased: %+v, %d frames", s.Recomputing, s.Contents.Frames)
		}
		r.teach(2, 3, 1)
		r.wait(time.Second)
		r.lit(2)
	})
}

// TestRecomputeOnAFullDisk cannot write what it makes of the pictures.
func TestRecomputeOnAFullDisk(t *testing.T) {
	for _, at := range []time.Duration{0, 500 * ms} {
		t.Run(at.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				full := func(s *store) { s.fault = fmt.Errorf("lesson file: %w", lesson.ErrFull) }
				r := newRig(t, func(s setup) {
					s.seesElsewhere(100 * ms)
					s.rig.pictured(0, 1, 12)
					if at == 0 {
						full(s.rig.store)
					}
				})
				r.run()
				defer r.end()
				r.show(1)
				r.wait(at)
				r.store.set(full)
				r.wait(10 * time.Second)
				if at == 0 {
					// Nothing can be compared, and nothing can be done about it.
					r.ill("lesson", "storage")
					r.lit(-1)
				} else {
					r.ill("left out", "storage")
					if f := r.box.Snapshot().Fold; f == nil || f.Frames != 4 {
						t.Errorf("the head is %+v (want one of 4 frames)", f)
					}
				}
				r.store.set(func(s *store) { s.fault = nil })
				for r.box.Snapshot().Recomputing == (lesson.Coverage{}) {
					r.wait(10 * ms)
				}
				r.ill() // it is busy
				r.wait(2 * time.Second)
				r.lit(0)
				if n := r.store.rewritten(); n != 12 {
					t.Errorf("%d examples were written (want 12)", n)
				}
			})
		})
	}
}

// TestPutAside brings a lesson without pictures to a box with another model.
func TestPutAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s setup) {
			s.seesElsewhere(0)
			s.rig.onFile(1, 3)
			s.rig.edit(lesson.Describe{Name: "fruit"})
		})
		r.run()
		defer r.end()
		r.show(1)
		r.settle()
		r.ill("lesson put aside")
		err := r.problem("lesson put aside")
		for _, want := range []string{`"fruit" with 3 presses`, "another model", "teachbox lesson restore"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v (want %q in it)", err, want)
			}
		}
		s := r.box.Snapshot()
		if s.Contents.Presses != 0 || s.Contents.Kept != 1 || !s.Hint {
			t.Errorf("%d presses, %d lessons kept, hint: %t (want 0, 1, true)", s.Contents.Presses, s.Contents.Kept, s.Hint)
		}
		if b := r.store.backups; len(b) != 1 || !b[0].overdue {
			t.Errorf("backups %v (want one overdue)", b)
		}
		r.lit(-1)
		for _, p := range s.Problems {
			if c := box.Fault(p); c != 0 {
				t.Errorf("%s plays %v", p.Part, c)
			}
		}

		if err := r.box.Acknowledge(t.Context()); err != nil {
			t.Error(err)
		}
		r.wait(ms)
		r.ill()

		// Whoever brings it back is told why that cannot be.
		before := r.box.Snapshot().Contents
		if _, err := r.box.Edit(t.Context(), lesson.AnyRevision, lesson.Restore{}); !errors.Is(err, lesson.ErrSpace) || !strings.Contains(err.Error(), "go back to that model and view") {
			t.Error(err)
		}
		if after := r.box.Snapshot().Contents; after.Revision != before.Revision || after.Kept != 1 {
			t.Errorf("%+v after %+v", after, before)
		}
		r.teach(0, 1, 1)
		r.wait(time.Second)
		r.ill()
		r.lit(0)
	})
}

// TestPutAsideWithoutRoom has ten kept lessons, none of which has to give way.
func TestPutAsideWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s setup) {
			s.seesElsewhere(0)
			for range 10 {
				s.rig.onFile(1, 3)
				s.rig.edit(lesson.New{})
			}
			s.rig.onFile(1, 1)
		})
		r.run()
		defer r.end()
		r.show(1)
		r.settle()
		r.ill("lesson")
		r.lit(-1)
		r.blinks(5)
		r.hold(device.Nothing, 5100*ms) // begin a new one
		r.wait(time.Second)
		r.ill()
		r.teach(0, 1, 1)
		r.wait(time.Second)
		r.lit(0)
	})
}

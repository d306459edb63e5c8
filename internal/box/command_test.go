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
	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

// edited is the steps that were told.
func (r *rig) edited() string {
	var steps []string
	r.each(func(e box.Event) {
		if e.Kind == box.Edited {
			steps = append(steps, strings.TrimSpace(e.Step.Kind+" "+e.Step.What))
		}
	})
	return strings.Join(steps, ", ")
}

func TestEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.teach(0, 1, 2)
		r.teach(1, 2, 2)
		r.show(1)
		r.wait(time.Second)
		r.lit(0)
		was := r.box.Snapshot().Contents
		refused, folds := r.count(box.Refused), r.count(box.Learned)

		result, err := r.box.Edit(t.Context(), was.Revision, lesson.Rename{Button: 0, Name: "apple"})
		is := r.box.Snapshot().Contents
		if err != nil || result.Step.Kind != "rename" || is.Revision != result.Contents.Revision || is.Classes[0].Name != "apple" {
			t.Errorf("renamed: %+v, %v; the snapshot has %+v", result, err, is)
		}
		r.lit(0)
		// Somebody else looked at it before that.
		_, err = r.box.Edit(t.Context(), was.Revision, lesson.Forget{Button: 0})
		if !errors.Is(err, lesson.ErrConflict) || r.box.Snapshot().Contents.Revision != is.Revision {
			t.Errorf("an edit of what is no longer so: %v (want %v)", err, lesson.ErrConflict)
		}
		_, err = r.box.Edit(t.Context(), lesson.AnyRevision, lesson.Redo{})
		if !errors.Is(err, lesson.ErrNothingToRedo) {
			t.Errorf("redo: %v", err)
		}
		if _, err = r.box.Edit(t.Context(), lesson.AnyRevision, lesson.Forget{Button: 0}); err != nil {
			t.Error(err)
		}
		r.lit(-1) // at once
		r.wait(time.Second)
		r.lit(-1)
		if _, err = r.box.Edit(t.Context(), lesson.AnyRevision, lesson.Undo{}); err != nil {
			t.Error(err)
		}
		r.wait(time.Second)
		r.lit(0)
		if got, want := r.edited(), "rename apple, forget apple, forget apple"; got != want {
			t.Errorf("told of %q (want %q)", got, want)
		}
		if n := r.count(box.Learned) - folds; n != 3 {
			t.Errorf("%d heads (want one after each edit)", n)
		}
		if n := r.count(box.Refused) - refused; n != 0 {
			t.Errorf("the box itself refused %d times", n)
		}
		r.ill()
		r.store.set(func(s *store) { s.fault = lesson.ErrReadOnly })
		_, err = r.box.Edit(t.Context(), lesson.AnyRevision, lesson.Forget{Button: 0})
		r.wait(ms)
		if r.ill("storage"); !errors.Is(err, lesson.ErrReadOnly) {
			t.Errorf("an edit that cannot be written: %v", err)
		}
	})
}

// TestTwoClients edit what both have looked at. One of them has to look again.
func TestTwoClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.teach(0, 1, 2)
		revision := r.box.Snapshot().Contents.Revision
		var both sync.WaitGroup
		var errs [2]error
		for i, e := range []lesson.Edit{lesson.Rename{Button: 0, Name: "apple"}, lesson.Rename{Button: 0, Name: "pear"}} {
			both.Go(func() { _, errs[i] = r.box.Edit(t.Context(), revision, e) })
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[:]...), lesson.ErrConflict) {
			t.Errorf("%v (want one conflict)", errs)
		}
	})
}

// TestCommandsWait has a disk that takes its time.
func TestCommandsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.teach(0, 1, 1)
		r.store.set(func(s *store) { s.slow = 3 * time.Second })
		r.tap(0)
		began := time.Now()
		// Whoever gives up before it is his turn has done nothing.
		brief, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.box.Edit(brief, lesson.AnyRevision, lesson.Forget{Button: 0}); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("given up: %v after %v", err, time.Since(began))
		}
		// What was begun is waited for.
		var done sync.WaitGroup
		long, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		done.Go(func() {
			if err := r.box.WithLesson(long, func() { time.Sleep(10 * time.Second) }); err != nil || time.Since(began) < 11*time.Second {
				t.Errorf("a view: %v after %v", err, time.Since(began))
			}
		})
		r.wait(4 * time.Second)
		// A bounded number waits.
		for range 15 {
			done.Go(func() {
				if err := r.box.WithLesson(t.Context(), func() {}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := r.box.WithLesson(t.Context(), func() {}); !errors.Is(err, box.ErrBusy) {
			t.Errorf("one too many: %v (want %v)", err, box.ErrBusy)
		}
		done.Wait()
		if err := r.box.WithLesson(t.Context(), func() {}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if got := r.edited(); got != "" || r.box.Snapshot().Contents.Presses != 2 {
			t.Errorf("edits %q, %d presses (want none, and 2)", got, r.box.Snapshot().Contents.Presses)
		}
	})
}

// TestWithLesson reads the lesson while it is taught.
func TestWithLesson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(s setup) { s.rig.scene.moving = true })
		r.settle()
		var holding sync.WaitGroup
		holding.Go(func() { r.hold(0, 5*time.Second) })
		for range 30 {
			var before, after lesson.Contents
			err := r.box.WithLesson(t.Context(), func() {
				before = r.store.Contents()
				time.Sleep(150 * ms)
				after = r.store.Contents()
			})
			if err != nil || before.Revision != after.Revision {
				t.Errorf("%v; revision %d became %d", err, before.Revision, after.Revision)
			}
		}
		holding.Wait()
		r.wait(time.Second)
		if n := len(r.keeps()); n < 20 {
			t.Errorf("%d examples kept meanwhile (want all 24)", n)
		}
	})
}

// TestCommandsAtTheEnd has commands before a box runs, while it ends, and after.
func TestCommandsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		var early sync.WaitGroup
		early.Go(func() {
			if err := r.box.SetLocked(t.Context(), true); err != nil {
				t.Errorf("before it ran: %v", err)
			}
		})
		early.Go(func() {
			if _, err := r.box.Edit(t.Context(), lesson.AnyRevision, lesson.Describe{Name: "early"}); err != nil {
				t.Errorf("before it ran: %v", err)
			}
		})
		r.wait(time.Second)
		r.run()
		early.Wait()
		var late sync.WaitGroup
		late.Go(func() {
			// It had begun, so it is told how it ended.
			if err := r.box.WithLesson(t.Context(), func() { time.Sleep(time.Second) }); err != nil {
				t.Errorf("begun before the end: %v", err)
			}
		})
		synctest.Wait()
		late.Go(func() {
			if _, err := r.box.Edit(t.Context(), lesson.AnyRevision, lesson.Undo{}); !errors.Is(err, box.ErrEnded) {
				t.Errorf("waiting at the end: %v", err)
			}
		})
		synctest.Wait()
		r.end()
		late.Wait()
		_, err := r.box.Edit(t.Context(), lesson.AnyRevision, lesson.Undo{})
		for what, err := range map[string]error{
			"Edit": err, "WithLesson": r.box.WithLesson(t.Context(), func() { t.Error("called") }),
			"SetLocked": r.box.SetLocked(t.Context(), false), "Acknowledge": r.box.Acknowledge(t.Context()),
			"Reconfigure": r.box.Reconfigure(t.Context(), box.Change{}),
		} {
			if !errors.Is(err, box.ErrEnded) {
				t.Errorf("%s after the end: %v (want %v)", what, err, box.ErrEnded)
			}
		}
	})
}

func TestSetLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s setup) { s.rig.scene.moving = true })
		r.run()
		r.settle()
		lock := func(locked bool) {
			t.Helper()
			if err := r.box.SetLocked(t.Context(), locked); err != nil {
				t.Error(err)
			}
			if s := r.box.Snapshot(); s.Locked != locked || s.Contents.Locked != locked {
				t.Errorf("locked: %t, and on file: %t (want %t)", s.Locked, s.Contents.Locked, locked)
			}
		}
		// In the middle of a press, and of a countdown.
		r.panel.Press(0)
		r.wait(time.Second)
		kept := len(r.keeps())
		lock(true)
		r.wait(time.Second)
		if n := len(r.keeps()); n > kept+1 {
			t.Errorf("%d examples kept while it was locked", n-kept)
		}
		r.panel.Release(0)
		r.refused(1, time.Second, box.ErrLocked)
		if !strings.Contains(box.ErrLocked.Error(), "teachbox unlock") {
			t.Errorf("%q names no remedy", box.ErrLocked)
		}
		lock(true)
		lock(false)
		r.teach(0, 1, 1)
		if k := r.keeps(); k[0].Press == k[len(k)-1].Press {
			t.Error("a press goes on after it was locked")
		}
		// At once, even while the disk is slow.
		r.store.set(func(s *store) { s.slow = 5 * time.Second })
		r.tap(0)
		var locking sync.WaitGroup
		locking.Go(func() { lock(true) })
		r.wait(10 * ms)
		if !r.box.Snapshot().Locked {
			t.Error("not locked while the disk is slow")
		}
		locking.Wait()
		r.store.set(func(s *store) { s.slow = 0 })
		if l, u := r.count(box.Locked), r.count(box.Unlocked); l != 2 || u != 1 {
			t.Errorf("told %d times of locking, %d of unlocking (want 2 and 1)", l, u)
		}
		r.end()

		// It lasts.
		r = newRigAt(t, r.store.path, nil)
		r.run()
		defer r.end()
		r.settle()
		r.refused(1, time.Second, box.ErrLocked)
		// Unlocked, but it cannot be written down.
		r.store.set(func(s *store) { s.fault = lesson.ErrFull })
		if err := r.box.SetLocked(t.Context(), false); !errors.Is(err, lesson.ErrFull) || !strings.Contains(err.Error(), "until a restart") {
			t.Errorf("unlocked on a full disk: %v", err)
		}
		r.store.set(func(s *store) { s.fault = nil })
		if r.box.Snapshot().Locked {
			t.Error("locked, though it was unlocked")
		}
		r.wellWithin(soon)
		r.teach(1, 2, 1)
	})
}

// TestLockedOnACardThatIsLate knows of the lock when it can read it.
func TestLockedOnACardThatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s setup) {
			if err := s.rig.store.Store.SetLocked(true); err != nil {
				t.Fatal(err)
			}
			s.parts.Lessons = &hidden{store: s.rig.store}
			s.rig.store.fault = lesson.ErrIO
		})
		r.run()
		defer r.end()
		r.settle()
		if r.box.Snapshot().Locked {
			t.Error("locked before the card was read")
		}
		r.store.set(func(s *store) { s.fault = nil })
		r.wellWithin(soon)
		r.wait(ms)
		if !r.box.Snapshot().Locked || r.count(box.Locked) != 1 {
			t.Errorf("not locked after the card was read; events:\n%s", r.history())
		}
	})
}

// TestLockEndsCountdowns: what a countdown would have done is not done, and it
// is no longer seen.
func TestLockEndsCountdowns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.teach(0, 1, 2)
		r.panel.Press(device.Nothing)
		r.wait(3 * time.Second)
		if err := r.box.SetLocked(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		r.wait(ms)
		if l := r.panel.Lights() & device.AllSlots(4); l != 0 && l != device.Slot(0) {
			t.Errorf("the LEDs show %v (want no countdown)", l)
		}
		r.wait(5 * time.Second)
		r.panel.Release(device.Nothing)
		if r.box.Snapshot().Contents.Presses != 2 || r.count(box.NewLesson) != 0 {
			t.Error("a new lesson was begun while teaching was locked")
		}
	})
}

// TestEditWhileAButtonIsHeld: the rest of the press is a press of its own.
func TestEditWhileAButtonIsHeld(t *testing.T) {
	for _, e := range []lesson.Edit{lesson.New{}, lesson.Undo{}, lesson.Forget{Button: 0}, lesson.Erase{}} {
		t.Run(fmt.Sprintf("%T", e), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, func(s setup) { s.rig.scene.moving = true })
				r.settle()
				r.panel.Press(0)
				r.wait(1050 * ms)
				if _, err := r.box.Edit(t.Context(), lesson.AnyRevision, e); err != nil {
					t.Fatal(err)
				}
				r.wait(time.Second)
				r.panel.Release(0)
				r.wait(100 * ms)
				if why := r.refusals(); len(why) > 0 {
					t.Errorf("refused: %v", why)
				}
				if c := r.box.Snapshot().Contents; c.Presses != 1 || c.Frames != 5 {
					t.Errorf("%d presses, %d frames (want 1 and 5)", c.Presses, c.Frames)
				}
			})
		})
	}
}

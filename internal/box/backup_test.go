package box_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/device"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

// saves is when backups were tried and how.
func (r *rig) saves() []backup {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	return append([]backup(nil), r.store.backups...)
}

func TestBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.wait(5 * time.Minute) // the empty lesson, once
		first := len(r.saves())
		r.wait(10 * time.Minute)
		r.teach(0, 1, 1)
		taught := r.keeps()[0].at
		r.wait(110 * time.Second)
		if n := len(r.saves()); n != first || first > 1 {
			t.Fatalf("%d backups before there was quiet", n)
		}
		r.wait(20 * time.Second)
		b := r.saves()[first:]
		if len(b) != 1 || b[0].overdue || b[0].err != nil || b[0].at.Sub(taught) < 2*time.Minute || b[0].at.Sub(taught) > 2*time.Minute+time.Second {
			t.Fatalf("backups %v (want one, two minutes after %v)", b, taught)
		}
		if r.store.Unsaved() {
			t.Error("the store says that there is something to save")
		}
		// Only predicting writes nothing.
		r.wait(3 * time.Hour)
		if n := len(r.saves()); n != first+1 {
			t.Errorf("%d backups while nothing was taught", n-first-1)
		}
		// Not more than one in ten minutes.
		for range 10 {
			r.teach(0, 1, 1)
			r.wait(3 * time.Minute)
		}
		b = r.saves()[first+1:]
		if len(b) != 3 {
			t.Errorf("%d backups in half an hour (want 3): %v", len(b), b)
		}
		for i := 1; i < len(b); i++ {
			if d := b[i].at.Sub(b[i-1].at); d < 10*time.Minute {
				t.Errorf("%v from one backup to the next", d)
			}
		}
	})
}

// TestBackupOverdue puts lessons away: older backups must go at once.
func TestBackupOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		edit := func(e lesson.Edit) func() {
			return func() {
				if _, err := r.box.Edit(t.Context(), lesson.AnyRevision, e); err != nil {
					t.Error(err)
				}
			}
		}
		for _, test := range []struct {
			what    string
			do      func()
			overdue int
		}{
			{"press", func() { r.teach(0, 1, 1) }, 0},
			{"gesture", func() { r.hold(device.Nothing, 5100*ms) }, 1},
			{"gesture back", func() { r.hold(device.Nothing, 5100*ms) }, 1},
			{"new", edit(lesson.New{}), 1},
			{"restore", edit(lesson.Restore{}), 1},
			{"rename", edit(lesson.Rename{Button: 0, Name: "apple"}), 0},
			{"undo", edit(lesson.Undo{}), 0},
		} {
			before := len(r.saves())
			test.do()
			r.wait(100 * ms)
			b := r.saves()[before:]
			if len(b) != test.overdue || len(b) > 0 && (!b[0].overdue || b[0].err != nil) {
				t.Errorf("%s: backups %v (want %d overdue)", test.what, b, test.overdue)
			}
		}
	})
}

// TestBackupFails has no room for a second file.
func TestBackupFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.settle()
		r.teach(0, 1, 2)
		r.teach(device.Nothing, 0, 1)
		r.store.set(func(s *store) { s.noBackup = fmt.Errorf("lesson file: %w", lesson.ErrFull) })
		r.hold(device.Nothing, 5100*ms)
		r.wait(100 * ms)
		r.ill("backup")
		r.blinks(3)
		from := len(r.saves())
		r.wait(10 * time.Minute)
		if n := len(r.saves()) - from; n < 8 || n > 11 {
			t.Errorf("%d attempts in ten minutes (want one a minute)", n)
		}
		r.teach(0, 1, 1) // the lesson itself can be written
		r.ill("backup")
		r.store.set(func(s *store) { s.noBackup = nil })
		r.wait(time.Minute)
		r.ill()
		if b := r.saves(); !b[len(b)-1].overdue {
			t.Error("the backup that was made in the end was not overdue")
		}
	})
}

// TestNotice tells what happened to the lesson file, until somebody has seen it.
func TestNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		notice := &lesson.Notice{Cause: errors.New("lesson file: damaged"), Aside: "lesson.db.damaged.1"}
		r := newRig(t, func(s setup) { s.rig.store.notice = notice })
		r.run()
		defer r.end()
		r.settle()
		r.teach(device.Nothing, 0, 1)
		r.ill(box.PartLessonFile)
		if err := r.problem(box.PartLessonFile); err == nil || err.Error() != notice.String() {
			t.Errorf("told %v (want %v)", err, notice)
		}
		r.blinks(3)
		r.store.set(func(s *store) { s.fault = lesson.ErrIO })
		if err := r.box.Acknowledge(t.Context()); !errors.Is(err, lesson.ErrIO) {
			t.Errorf("acknowledged on a broken disk: %v", err)
		}
		r.wait(ms)
		r.ill(box.PartLessonFile)
		r.store.set(func(s *store) { s.fault = nil })
		if err := r.box.Acknowledge(t.Context()); err != nil {
			t.Error(err)
		}
		r.wait(countable)
		r.ill()
		r.blinks(1)
		// While it runs, a write finds out.
		r.store.set(func(s *store) { s.notice = notice })
		r.wait(time.Second)
		r.ill()
		r.teach(0, 1, 1)
		r.ill(box.PartLessonFile)
	})
}

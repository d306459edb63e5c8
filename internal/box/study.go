package box

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"teachbox/device/frame"
	"teachbox/internal/lesson"
)

const (
	// atOnce is how many kept pictures are looked at for one write to the disk.
	atOnce = 4
	// studyPause is the time between two looks at the camera's frames while kept
	// pictures are looked at.
	studyPause = time.Second
)

// A study is some kept pictures that are to be looked at anew, because the box
// sees in another embedding space than when they were taken.
type study struct {
	pictures []lesson.Picture
	done     []lesson.Recomputed // of the first ones; vision's until it hands the study back
}

// assign has vision look at the pictures of a study, nil for none, and drops the
// one before. It does not wait.
func (v *vision) assign(s *study) {
	v.mu.Lock()
	v.study = s
	v.mu.Unlock()
	v.rouse()
}

// pore looks at one picture of a study.
func (v *vision) pore(s *study) error {
	v.work.begin()
	p := s.pictures[len(s.done)]
	r := lesson.Recomputed{Example: p.Example}
	err := v.eye.Embed(frame.Frame{Format: frame.JPEG, Pix: p.JPEG}, &v.looking)
	switch e := v.looking.Embedding; {
	case errors.Is(err, frame.ErrMalformed):
		r.Unreadable = true
	case err != nil:
		return err
	case !slices.ContainsFunc(e.Q, func(q uint8) bool { return int(q) != e.ZeroPoint }):
		r.Unreadable = true // there is nothing in it to learn from
	default:
		e.Q = bytes.Clone(e.Q)
		r.Embedding, r.Provenance = e, v.eye.Provenance()
	}
	if s.done = append(s.done, r); len(s.done) < len(s.pictures) {
		return nil
	}
	v.studied(s)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.study == s {
		v.study = nil
	}
	return nil
}

// handBack takes back a study whose pictures were all looked at. It does not
// wait.
func (t *teacher) handBack(s *study) {
	t.mu.Lock()
	t.finished = s
	t.mu.Unlock()
	t.rouse()
}

// ponder keeps what vision has made of a study, and goes on.
func (t *teacher) ponder(ctx context.Context) {
	t.mu.Lock()
	s := t.finished
	t.finished = nil
	t.mu.Unlock()
	if s == nil || s != t.study {
		return // the lesson or the space has changed since
	}
	t.study, t.quiet = nil, time.Now()
	if err := t.lessons.Recompute(s.done); err != nil {
		t.failed(err)
	} else {
		t.wrote(nil)
	}
	t.fold(ctx)
}

// recompute has vision look at some of the pictures that are left, if it does not
// do so yet. It reports whether it does.
func (t *teacher) recompute(ctx context.Context, left lesson.Coverage) bool {
	if t.study == nil {
		pictures, err := t.lessons.Pending(*t.space, atOnce)
		if err != nil {
			t.failed(err)
			return false
		}
		t.study = &study{pictures: pictures}
		t.vision.assign(t.study)
	}
	t.health.Clear(partLesson)
	t.health.Clear(partLeftOut)
	t.learned(ctx, news{recomputing: left}, *t.space)
	return true
}

// drop ends a study whose pictures may be gone, or are of no use any more.
func (t *teacher) drop() {
	t.study = nil
	t.vision.assign(nil)
}

// putAside puts a lesson away of which nothing can be compared with what is seen
// now, nor ever will be. It reports whether it did.
func (t *teacher) putAside(ctx context.Context) bool {
	r, err := t.lessons.PutAside(*t.space)
	t.wrote(err)
	if err != nil {
		return false
	}
	t.inHand()
	t.health.Fail(partAside, asideError(r))
	t.done(ctx, outcome{contents: t.lessons.Contents()})
	return true
}

// asideError tells which lesson was put aside, why, and what to do.
func asideError(r lesson.Result) error {
	which, gone := "the lesson", ""
	if k := r.Kept; k != nil {
		which = fmt.Sprintf("the lesson %q with %d presses", k.Name, k.Presses)
	}
	if r.Gone != nil {
		gone = "; " + r.Gone.Removed()
	}
	return fmt.Errorf("%s was put aside: it was taught with another model or another view of the camera, and its pictures are not there to learn it again "+
		"(go back to that model and view and bring it back: teachbox lesson restore; or teach anew)%s", which, gone)
}

// leftOutError tells how much of a lesson is not folded, why, and what to do.
func leftOutError(n, all int) error {
	return fmt.Errorf("%d of %d examples count for nothing: they were taught with another model or another view of the camera, and their pictures are not there to learn them again "+
		"(teach those things again, or go back to that model and view)", n, all)
}

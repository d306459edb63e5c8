package box

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"teachbox/device"
	"teachbox/device/frame"
	"teachbox/inference"
	"teachbox/internal/lesson"
	"teachbox/internal/supervise"
)

const (
	// refitEvery is the shortest pause from one fold to the next during a burst.
	// A slow fold is followed by a pause of its own length, so that the frames of
	// the burst get half of the time at least.
	refitEvery = 200 * time.Millisecond
	// refitWithin is how long frames that wait to be kept may put off a fold.
	refitWithin = 2 * time.Second
	// patience is how long a press waits for the camera to give a frame. The
	// camera's fault shows by then.
	patience = 2 * time.Second
	// retryEvery is the pause between two attempts to write after a failure.
	retryEvery = 2 * time.Second
	// perPress is the greatest number of frames that one press keeps.
	perPress = 25
	// backlog bounds what waits for the teacher while the disk is slow, each
	// sample with its frame; what comes on top is refused.
	backlog = 64
)

// errOtherSpace keeps a lesson from answering.
var errOtherSpace = errors.New("the lesson was taught with another model or another view of the camera (go back to that, or begin a new lesson)")

// An action is what the teacher is asked to do.
type action uint8

const (
	actSample   action = iota + 1 // keep one frame
	actRelease                    // the press is over
	actTakeBack                   // take back the class's last press
	actForget                     // forget the class
	actNew                        // put the lesson away, or bring the last one back if it is empty
)

// A request asks the teacher for one action.
type request struct {
	action action
	button device.Button
	press  int // samples and releases: as numbered by the press machine
	want   *want
}

// An outcome is what became of a request. The contents are those after it.
// Without an action it tells of contents that changed by themselves.
type outcome struct {
	request
	kept     lesson.Example // sample: the one that is durable now
	skipped  bool           // sample: nearly identical to the last one kept
	full     bool           // sample: the press has kept enough frames
	restored bool           // new: the last lesson was brought back
	err      error
	contents lesson.Contents
}

// Lessons is what the teacher needs of a lesson store.
type Lessons interface {
	Keep(lesson.Keep) (lesson.Example, error)
	TakeBack(device.Button) (lesson.Press, error)
	Forget(device.Button) error
	New() error
	Restore() error
	Contents() lesson.Contents
	Fold(inference.Space) (*lesson.Fold, error)
	// Writable says why nothing can be written; Retry tries again.
	Writable() error
	Retry() error
}

// openPress is a press whose button is still down.
type openPress struct {
	id   string
	kept int
	last inference.Thumb // of the last frame kept
}

// teacher owns the lesson: it keeps frames, carries out operations in the order
// in which they were asked for, and folds the head.
type teacher struct {
	lessons Lessons
	encode  func(frame.Frame) ([]byte, error) // nil: no pictures
	same    func(a, b *inference.Thumb) bool  // nil: nothing is skipped
	vision  *vision                           // serves the wants
	health  *supervise.Health
	done    func(context.Context, outcome) // after every request
	folded  func(context.Context, *lesson.Fold, inference.Space)

	mu      sync.Mutex
	queue   []request
	entered *inference.Space // a new one to fold in
	wake    chan struct{}    // something was queued or entered

	// The rest belongs to run.
	space  *inference.Space // to fold in; nil until an embedder is there
	open   map[int]*openPress
	stale  time.Time // since when the head does not know all; zero if it does
	refits time.Time // the next fold is not before it
	unwell bool      // the last write failed for a reason that may go away
}

// ask queues a request. It does not wait; the machine bounds how much does.
func (t *teacher) ask(r request) {
	t.mu.Lock()
	t.queue = append(t.queue, r)
	t.mu.Unlock()
	t.rouse()
}

// enter says in which embedding space to fold from now on. It does not wait. No
// sight of that space is served before.
func (t *teacher) enter(s inference.Space) {
	t.mu.Lock()
	t.entered = &s
	t.mu.Unlock()
	t.rouse()
}

func (t *teacher) rouse() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *teacher) take() (request, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return request{}, false
	}
	r := t.queue[0]
	t.queue = slices.Delete(t.queue, 0, 1)
	return r, true
}

// run teaches until ctx ends. What is queued then is dropped: nothing of it was
// acknowledged.
func (t *teacher) run(ctx context.Context) {
	refit, retry := time.NewTimer(0), time.NewTimer(0)
	defer refit.Stop()
	defer retry.Stop()
	t.wrote(t.lessons.Writable())
	for ctx.Err() == nil {
		t.move(ctx)
		r, ok := t.take()
		if ok {
			t.done(ctx, t.carryOut(ctx, r))
		}
		if !ok || !t.stale.IsZero() && time.Since(t.stale) >= refitWithin {
			t.refit(ctx)
		}
		if ok {
			continue
		}
		var refitDue, retryDue <-chan time.Time
		if !t.stale.IsZero() && t.space != nil {
			refit.Reset(time.Until(t.refits))
			refitDue = refit.C
		}
		if t.unwell {
			retry.Reset(retryEvery)
			retryDue = retry.C
		}
		select {
		case <-ctx.Done():
		case <-t.wake:
		case <-refitDue:
		case <-retryDue:
			err := t.lessons.Retry()
			t.wrote(err)
			if err == nil {
				// The file may have been read for the first time.
				t.changed()
				t.refits = time.Time{}
				t.done(ctx, outcome{contents: t.lessons.Contents()})
			}
		}
	}
}

// move folds what is on file in a space that was entered.
func (t *teacher) move(ctx context.Context) {
	t.mu.Lock()
	s := t.entered
	t.entered = nil
	t.mu.Unlock()
	if s != nil {
		t.space = s
		t.fold(ctx)
	}
}

// changed notes that the head does not know all any more.
func (t *teacher) changed() {
	if t.stale.IsZero() {
		t.stale = time.Now()
	}
}

// refit folds if the head is stale and the last fold is old enough.
func (t *teacher) refit(ctx context.Context) {
	if !t.stale.IsZero() && t.space != nil && !time.Now().Before(t.refits) {
		t.fold(ctx)
	}
}

// fold folds the lesson as it is.
func (t *teacher) fold(ctx context.Context) {
	t.stale = time.Time{}
	began := time.Now()
	f, err := t.lessons.Fold(*t.space)
	if err == nil && f.Frames == 0 && t.lessons.Contents().Frames > 0 {
		err = errOtherSpace
	}
	if err != nil {
		t.health.Fail(partLesson, err)
	} else {
		t.health.Clear(partLesson)
	}
	t.refits = time.Now().Add(max(refitEvery, time.Since(began)))
	t.folded(ctx, f, *t.space)
}

// wrote enters in the health list whether the lesson can be written.
func (t *teacher) wrote(err error) {
	switch {
	case err == nil:
		t.unwell = false
		t.health.Clear(partStorage)
	case errors.Is(err, lesson.ErrFull), errors.Is(err, lesson.ErrReadOnly), errors.Is(err, lesson.ErrIO), errors.Is(err, lesson.ErrDamaged):
		t.unwell = true
		t.health.Fail(partStorage, err)
	}
}

func (t *teacher) carryOut(ctx context.Context, r request) outcome {
	o := outcome{request: r}
	switch r.action {
	case actSample:
		t.sample(ctx, &o)
	case actRelease:
		delete(t.open, r.press)
		t.refits = time.Time{} // a burst ends with a fold, if the head is stale
	case actTakeBack:
		_, o.err = t.lessons.TakeBack(r.button)
	case actForget:
		o.err = t.lessons.Forget(r.button)
	case actNew:
		if o.restored = t.lessons.Contents().Presses == 0; o.restored {
			o.err = t.lessons.Restore()
		} else {
			o.err = t.lessons.New()
		}
	}
	if r.action >= actTakeBack {
		t.wrote(o.err)
		if o.err == nil {
			t.changed()
			t.refits = time.Time{}
		}
	}
	o.contents = t.lessons.Contents()
	return o
}

// sample waits for the frame of a press and keeps it.
func (t *teacher) sample(ctx context.Context, o *outcome) {
	p := t.open[o.press]
	if p == nil {
		p = &openPress{id: lesson.NewPressID()}
		t.open[o.press] = p
	}
	if o.full = p.kept >= perPress; o.full {
		t.vision.withdraw(o.want)
		return
	}
	s, err := t.await(ctx, o.want)
	if err != nil {
		o.err = err
		return
	}
	t.move(ctx) // the first fold in a space is of what was on file
	// The empty desk is the same three times over; that is what it is for.
	if p.kept > 0 && o.button != device.Nothing && t.same != nil && t.same(&p.last, &s.look.Thumb) {
		o.skipped = true
		return
	}
	k := lesson.Keep{Button: o.button, Press: p.id, Embedding: s.look.Embedding, Provenance: s.provenance}
	if t.encode != nil {
		if k.Picture, err = t.encode(s.frame); err != nil {
			o.err = fmt.Errorf("picture of the press: %w", err)
			return
		}
	}
	o.kept, o.err = t.lessons.Keep(k)
	t.wrote(o.err)
	if o.err == nil {
		p.kept++
		p.last = s.look.Thumb
		t.changed()
	}
}

// await waits for the sight of a want as long as there is hope.
func (t *teacher) await(ctx context.Context, w *want) (*sight, error) {
	timer := time.NewTimer(time.Until(w.at.Add(patience)))
	defer timer.Stop()
	for {
		select {
		case s := <-w.got:
			return s, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
		}
		err := t.vision.hopeless(w)
		if err == nil {
			timer.Reset(patience)
			continue
		}
		// While the disk was slow, both the frame and the time may have come.
		t.vision.withdraw(w)
		select {
		case s := <-w.got:
			return s, nil
		default:
			return nil, err
		}
	}
}

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
	// refitEvery is the shortest time from one fold to the next during a burst.
	refitEvery = 200 * time.Millisecond
	// patience is how long a press waits for a frame. The camera's fault shows
	// by then.
	patience = 2 * time.Second
	// retryEvery is the pause between two attempts to write after a failure.
	retryEvery = 2 * time.Second
	// perPress is the greatest number of frames that one press keeps.
	perPress = 25
	// backlog bounds what waits for the teacher while the disk is slow, each
	// sample with its frame; what comes on top is refused.
	backlog = 64
)

// What may keep a press from being stored, or a lesson from answering.
var (
	errNoFrame    = errors.New("no picture came for the press (see to the camera)")
	errOtherSpace = errors.New("the lesson was taught with another model or another view of the camera (go back to that, or begin a new lesson)")
)

// An action is what the teacher is asked to do.
type action uint8

const (
	actSpace    action = iota + 1 // fold in this embedding space from now on
	actSample                     // keep one frame
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
	space  *inference.Space // actSpace
}

// An outcome is what became of a request. The contents are those after it.
// Without an action it tells of contents that changed by themselves.
type outcome struct {
	request
	kept     lesson.Example // sample: the one that is durable now
	skipped  bool           // sample: nearly identical to the last one kept, or one too many
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
	lessons  Lessons
	encode   func(frame.Frame) ([]byte, error) // nil: no pictures
	same     func(a, b *inference.Thumb) bool  // nil: nothing is skipped
	withdraw func(*want)                       // a want that nobody waits for
	health   *supervise.Health
	done     func(context.Context, outcome) // after every request
	folded   func(context.Context, *lesson.Fold, inference.Space)

	mu    sync.Mutex
	queue []request
	wake  chan struct{} // something was queued

	// The rest belongs to run.
	space    *inference.Space // to fold in; nil until an embedder is there
	open     map[int]*openPress
	stale    bool // the head does not know the last change
	lastFold time.Time
	unwell   bool // the last write failed for a reason that may go away
}

// ask queues a request. It does not wait; the machine bounds how much does.
func (t *teacher) ask(r request) {
	t.mu.Lock()
	t.queue = append(t.queue, r)
	t.mu.Unlock()
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
		if r, ok := t.take(); ok {
			if r.action == actSpace {
				t.space, t.stale, t.lastFold = r.space, true, time.Time{}
			} else {
				t.done(ctx, t.carryOut(ctx, r))
			}
			t.refit(ctx)
			continue
		}
		t.refit(ctx)
		var refitDue, retryDue <-chan time.Time
		if t.stale && t.space != nil {
			refit.Reset(refitEvery - time.Since(t.lastFold))
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
				t.stale, t.lastFold = true, time.Time{}
				t.done(ctx, outcome{contents: t.lessons.Contents()})
			}
		}
	}
}

// refit folds if the head is stale and the last fold is old enough.
func (t *teacher) refit(ctx context.Context) {
	if !t.stale || t.space == nil || time.Since(t.lastFold) < refitEvery {
		return
	}
	t.stale, t.lastFold = false, time.Now()
	f, err := t.lessons.Fold(*t.space)
	if err == nil && f.Frames == 0 && t.lessons.Contents().Frames > 0 {
		err = errOtherSpace
	}
	if err != nil {
		t.health.Fail(partLesson, err)
	} else {
		t.health.Clear(partLesson)
	}
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
		o.kept, o.skipped, o.err = t.sample(ctx, r)
		t.stale = t.stale || o.err == nil && !o.skipped
	case actRelease:
		delete(t.open, r.press)
		t.lastFold = time.Time{} // a burst ends with a fold, if the head is stale
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
			t.stale, t.lastFold = true, time.Time{}
		}
	}
	o.contents = t.lessons.Contents()
	return o
}

// sample waits for the frame of a press and keeps it.
func (t *teacher) sample(ctx context.Context, r request) (kept lesson.Example, skipped bool, err error) {
	p := t.open[r.press]
	if p == nil {
		p = &openPress{id: lesson.NewPressID()}
		t.open[r.press] = p
	}
	if p.kept >= perPress {
		t.withdraw(r.want)
		return kept, true, nil
	}
	timer := time.NewTimer(time.Until(r.want.at) + patience)
	defer timer.Stop()
	var s *sight
	select {
	case s = <-r.want.got:
	case <-timer.C:
		// While the disk was slow, both the frame and the time may have come.
		t.withdraw(r.want)
		select {
		case s = <-r.want.got:
		default:
			return kept, false, errNoFrame
		}
	case <-ctx.Done():
		return kept, false, ctx.Err()
	}
	// The empty desk is the same three times over; that is what it is for.
	if p.kept > 0 && r.button != device.Nothing && t.same != nil && t.same(&p.last, &s.look.Thumb) {
		return kept, true, nil
	}
	k := lesson.Keep{Button: r.button, Press: p.id, Embedding: s.look.Embedding, Provenance: s.provenance}
	if t.encode != nil {
		if k.Picture, err = t.encode(s.frame); err != nil {
			return kept, false, fmt.Errorf("picture of the press: %w", err)
		}
	}
	kept, err = t.lessons.Keep(k)
	t.wrote(err)
	if err == nil {
		p.kept++
		p.last = s.look.Thumb
	}
	return kept, false, err
}

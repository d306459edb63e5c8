package box

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
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
	// quietFor is how long nothing must have been done to the lesson for a backup,
	// and backupEvery the shortest time from one to the next.
	quietFor    = 2 * time.Minute
	backupEvery = 10 * time.Minute
	// backupAgain is the pause after a backup that failed.
	backupAgain = time.Minute
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

	// These are commands.
	actEdit
	actView
	actLock // write down whether teaching is locked
	actAcknowledge
)

// allPresses stands for every press that is open.
const allPresses = 0

// A request asks the teacher for one action.
type request struct {
	action action
	button device.Button
	press  int // samples and releases: as the machine numbers them
	want   *want

	command *command // nil for what is asked at the box
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
	Edit(revision int64, e lesson.Edit) (lesson.Result, error)
	SetLocked(bool) error
	Contents() lesson.Contents
	Fold(inference.Space) (*lesson.Fold, error)
	Coverage(inference.Space) lesson.Coverage
	Pending(in inference.Space, n int) ([]lesson.Picture, error)
	Recompute([]lesson.Recomputed) error
	PutAside(inference.Space) (lesson.Result, error)
	Unsaved() bool
	Overdue() bool // a backup is to be written at once
	Backup() error
	Notice() *lesson.Notice
	Acknowledge() error
	// Writable says why nothing can be written; Retry tries again.
	Writable() error
	Retry() error
}

// news is what the teacher has made of the lesson: a new head, or some progress
// on the way to one.
type news struct {
	fold        *lesson.Fold    // nil if there is none, or none yet
	recomputing lesson.Coverage // how far that is; zero if there is nothing to do
}

// keepHabits are how the teacher keeps frames, as the configuration has it.
type keepHabits struct {
	encode func(frame.Frame) ([]byte, error) // nil: no pictures
	same   func(a, b *inference.Thumb) bool  // nil: nothing is skipped
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
	habits  atomic.Pointer[keepHabits]
	lessons Lessons
	vision  *vision // serves the wants
	health  *supervise.Health
	done    func(context.Context, outcome) bool // after every request; false: the box ends
	learned func(context.Context, news, inference.Space)
	work    stint

	mu       sync.Mutex
	queue    []request
	entered  *inference.Space // a new one to fold in
	finished *study           // handed back
	wake     chan struct{}    // something of these came

	// The rest belongs to run.
	space   *inference.Space // to fold in; nil until an embedder is there
	open    map[int]*openPress
	stale   time.Time // since when the head does not know all; zero if it does
	refits  time.Time // the next fold is not before it
	study   *study    // that vision is at; nil: none
	unwell  bool      // the last write failed for a reason that may go away
	retries time.Time // if so, when to try again
	quiet   time.Time // since when nothing was done to the lesson
	backups time.Time // the next backup is not before it, unless it is overdue
	barred  time.Time // nor before this, after one that failed
}

// ask queues a request. It does not wait; the machine bounds how many gestures
// do, and places how many commands.
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

// withdraw takes a command back, if it still waits.
func (t *teacher) withdraw(c *command) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.queue)
	t.queue = slices.DeleteFunc(t.queue, func(r request) bool { return r.command == c })
	return len(t.queue) < before
}

// run teaches until ctx ends. What is queued then is dropped: nothing of it was
// acknowledged.
func (t *teacher) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	t.quiet = time.Now()
	t.wrote(t.lessons.Writable())
	for ctx.Err() == nil {
		t.work.begin()
		t.move(ctx)
		r, ok := t.take()
		if ok {
			t.carryOut(ctx, r)
		}
		if !ok || !t.stale.IsZero() && time.Since(t.stale) >= refitWithin {
			t.refit(ctx)
		}
		if !ok {
			t.ponder(ctx)
			t.retry(ctx)
		}
		t.backup()
		if ok {
			continue
		}
		t.work.end()
		var due <-chan time.Time
		if next, ok := t.next(); ok {
			timer.Reset(time.Until(next))
			due = timer.C
		}
		select {
		case <-ctx.Done():
		case <-t.wake:
		case <-due:
		}
	}
}

// next is when there is something to do that nobody has to ask for, if there is
// anything. The time may have passed already.
func (t *teacher) next() (next time.Time, ok bool) {
	sooner := func(at time.Time) {
		if !ok || at.Before(next) {
			next, ok = at, true
		}
	}
	if !t.stale.IsZero() && t.space != nil {
		sooner(t.refits)
	}
	if t.unwell {
		sooner(t.retries)
	}
	if at, ok := t.backupDue(); ok {
		sooner(at)
	}
	return next, ok
}

// retry tries to write again after a failure, if it is time to.
func (t *teacher) retry(ctx context.Context) {
	if !t.unwell || time.Now().Before(t.retries) {
		return
	}
	t.retries = time.Now().Add(retryEvery)
	err := t.lessons.Retry()
	t.wrote(err)
	if err == nil {
		// The file may have been read for the first time, or taken from a backup.
		t.turned()
		t.done(ctx, outcome{contents: t.lessons.Contents()})
	}
}

// backupDue is when to write a backup, if there is anything to.
func (t *teacher) backupDue() (time.Time, bool) {
	switch {
	case t.unwell:
		return time.Time{}, false // writing comes first
	case t.lessons.Overdue():
		return t.barred, true
	case t.study != nil || !t.lessons.Unsaved():
		return time.Time{}, false
	}
	return later(t.barred, later(t.backups, t.quiet.Add(quietFor))), true
}

// backup writes a backup, if it is time to.
func (t *teacher) backup() {
	at, ok := t.backupDue()
	if !ok || time.Now().Before(at) {
		return
	}
	t.work.begin()
	if err := t.lessons.Backup(); err != nil {
		t.health.Fail(partBackup, err)
		t.barred = time.Now().Add(backupAgain)
	} else {
		t.health.Clear(partBackup)
		t.barred, t.backups = time.Time{}, time.Now().Add(backupEvery)
	}
	t.wrote(t.lessons.Writable()) // it reads the whole file, and may find damage
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// move folds what is on file in a space that was entered.
func (t *teacher) move(ctx context.Context) {
	t.mu.Lock()
	s := t.entered
	t.entered = nil
	t.mu.Unlock()
	if s != nil {
		t.space = s
		t.drop()
		t.fold(ctx)
	}
}

// changed notes that the head does not know all any more.
func (t *teacher) changed() {
	if t.stale.IsZero() {
		t.stale = time.Now()
	}
}

// turned notes that the head knows too much, so that it cannot wait.
func (t *teacher) turned() {
	t.changed()
	t.refits = time.Time{}
	t.drop()
}

// inHand notes that another lesson is in hand.
func (t *teacher) inHand() {
	t.turned()
	t.barred = time.Time{}
	t.health.Clear(partAside)
}

// refit folds if the head is stale and the last fold is old enough.
func (t *teacher) refit(ctx context.Context) {
	if !t.stale.IsZero() && t.space != nil && !time.Now().Before(t.refits) {
		t.fold(ctx)
	}
}

// fold folds the lesson as it is, or begins to make it comparable with what is
// seen now.
func (t *teacher) fold(ctx context.Context) {
	t.stale = time.Time{}
	c := t.lessons.Coverage(*t.space)
	// While nothing can be written, what can be compared has to do.
	switch {
	case t.unwell:
	case c.Pending > 0:
		if t.recompute(ctx, c) {
			return
		}
	case c.Have == 0 && c.Lost > 0:
		if t.putAside(ctx) {
			c = lesson.Coverage{}
		}
	}
	t.stale = time.Time{}
	began := time.Now()
	f, err := t.lessons.Fold(*t.space)
	out := c.Lost + c.Pending
	if err == nil && c.Have == 0 && out > 0 {
		err = errOtherSpace
	}
	t.report(partLesson, err)
	if out > 0 && c.Have > 0 {
		t.report(partLeftOut, leftOutError(out, out+c.Have))
	} else {
		t.report(partLeftOut, nil)
	}
	t.refits = time.Now().Add(max(refitEvery, time.Since(began)))
	t.learned(ctx, news{fold: f}, *t.space)
}

// report enters in the health list what is wrong with a part; nil: nothing.
func (t *teacher) report(part string, err error) {
	if err != nil {
		t.health.Fail(part, err)
	} else {
		t.health.Clear(part)
	}
}

// wrote enters in the health list whether the lesson can be written, and what
// has happened to its file.
func (t *teacher) wrote(err error) {
	switch {
	case err == nil:
		t.unwell = false
		t.health.Clear(partStorage)
	case errors.Is(err, lesson.ErrFull), errors.Is(err, lesson.ErrReadOnly), errors.Is(err, lesson.ErrIO), errors.Is(err, lesson.ErrDamaged), errors.Is(err, lesson.ErrInUse):
		t.failed(err)
	}
	t.notice()
}

// failed enters in the health list that the lesson could not be read or written,
// which is tried again.
func (t *teacher) failed(err error) {
	t.unwell, t.retries = true, time.Now().Add(retryEvery)
	t.health.Fail(partStorage, err)
}

// notice enters in the health list what somebody has to be told of the file.
func (t *teacher) notice() {
	if n := t.lessons.Notice(); n != nil {
		t.health.Fail(PartLessonFile, errors.New(n.String()))
	} else {
		t.health.Clear(PartLessonFile)
	}
}

// carryOut does what was asked for, and tells the loop.
func (t *teacher) carryOut(ctx context.Context, r request) {
	o := outcome{request: r}
	switch r.action {
	case actSample:
		t.sample(ctx, &o)
	case actRelease:
		if r.press == allPresses {
			clear(t.open)
		}
		delete(t.open, r.press)
		t.refits = time.Time{} // a burst ends with a fold, if the head is stale
	case actTakeBack:
		_, o.err = t.edit(lesson.AnyRevision, lesson.TakeBack{Button: r.button})
	case actForget:
		_, o.err = t.edit(lesson.AnyRevision, lesson.Forget{Button: r.button})
	case actNew:
		if o.restored = t.lessons.Contents().Presses == 0; o.restored {
			_, o.err = t.edit(lesson.AnyRevision, lesson.Restore{})
		} else {
			_, o.err = t.edit(lesson.AnyRevision, lesson.New{})
		}
	case actEdit:
		r.command.result, o.err = t.edit(r.command.revision, r.command.edit)
		if o.err == nil {
			clear(t.open) // a press that was removed or put away takes no more frames
		}
	case actView:
		r.command.view()
		if err := t.lessons.Writable(); err != nil {
			t.wrote(err) // it was found damaged
		}
	case actLock:
		o.err = t.lessons.SetLocked(r.command.locked)
		t.wrote(o.err)
	case actAcknowledge:
		if o.err = t.lessons.Acknowledge(); o.err == nil {
			t.health.Clear(partAside)
		}
		t.notice()
	}
	if r.action != actView {
		t.quiet = time.Now()
	}
	o.contents = t.lessons.Contents()
	if r.command != nil {
		r.command.err = o.err
	}
	if !t.done(ctx, o) && r.command != nil {
		close(r.command.done) // the loop, which answers otherwise, has ended
	}
}

// edit carries out an edit.
func (t *teacher) edit(revision int64, e lesson.Edit) (lesson.Result, error) {
	before := t.lessons.Contents().Lesson
	switch of := e.(type) {
	case lesson.Restore:
		of.In = t.space // else it would be put aside at once
		e = of
	case lesson.Load:
		of.In = t.space
		e = of
	}
	r, err := t.lessons.Edit(revision, e)
	t.wrote(err)
	switch {
	case err != nil:
	case r.Contents.Lesson != before:
		t.inHand()
	default:
		t.turned()
	}
	return r, err
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
	habits := t.habits.Load()
	t.move(ctx) // the first fold in a space is of what was on file
	// The empty desk is the same three times over; that is what it is for.
	if p.kept > 0 && o.button != device.Nothing && habits.same != nil && habits.same(&p.last, &s.look.Thumb) {
		o.skipped = true
		return
	}
	k := lesson.Keep{Button: o.button, Press: p.id, Embedding: s.look.Embedding, Provenance: s.provenance}
	if habits.encode != nil {
		if k.Picture, err = habits.encode(s.frame); err != nil {
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
		t.health.Clear(partAside)
	}
}

// await waits for the sight of a want as long as there is hope.
func (t *teacher) await(ctx context.Context, w *want) (*sight, error) {
	t.work.end()
	defer t.work.begin()
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

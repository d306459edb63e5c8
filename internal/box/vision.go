package box

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"teachbox/device/frame"
	"teachbox/inference"
	"teachbox/inference/head"
	"teachbox/internal/lesson"
	"teachbox/internal/supervise"
)

// maxClasses is the greatest number of classes of a lesson: one for each slot
// and nothing.
const maxClasses = 9

const (
	// unreadable frames in a row are a fault of the camera; fewer are a bad
	// cable's daily life.
	unreadable = 10
	// lookWithin is how long a press waits for its frame to be looked at: the
	// model may be loading, and a slow one may have another frame in hand.
	lookWithin = 30 * time.Second
)

// Why a press got no picture, and what may be wrong with the camera's pictures.
var (
	errNoFrame = errors.New("the camera gave no picture for the press (see to the camera)")
	errNoLook  = errors.New("the model did not look at the picture of the press in time (press again, or choose a smaller model)")
	errFrozen  = errors.New("the camera repeats one picture (check its cable, or switch the box off and on)")
)

// A look is what the loop learns from one frame. It holds no pointer to what
// is used again for the next frame.
type look struct {
	seq     uint64
	taken   time.Time
	fitness inference.Fitness
	fold    *lesson.Fold // that answered; nil: nothing was asked
	opinion opinion      // the slot is for the machine to fill in
	winner  int          // class of fold
	p       [maxClasses]float64
	spent   time.Duration // from looking to the answer
}

// A want is a frame that a press asks for: the first one taken at or after at.
// got is given the frame, unless the want is withdrawn.
type want struct {
	at  time.Time
	got chan *sight
}

// A sight is one frame and what it looks like, for keeping. Several presses may
// share one, so it is not changed.
type sight struct {
	frame      frame.Frame
	look       inference.Look
	provenance inference.Provenance
}

// lookHabits are how vision looks, as the configuration has it.
type lookHabits struct {
	every  time.Duration                           // between two looks, by day
	frozen func(inference.Fitness, time.Time) bool // nil: never
}

func newLookHabits(o Options, frozen func(inference.Fitness, time.Time) bool) *lookHabits {
	return &lookHabits{time.Duration(float64(time.Second) / o.Rate), frozen}
}

// vision is the only user of the embedder. It looks at the newest frame, at
// most so many times a second, asks the head, and serves wants. In between it
// looks at kept pictures anew.
type vision struct {
	habits  atomic.Pointer[lookHabits]
	mailbox *frame.Mailbox
	asleep  atomic.Bool
	fold    *atomic.Pointer[folded]
	health  *supervise.Health
	opened  func(inference.Space)       // a new embedder is there
	looked  func(context.Context, look) // after every frame
	studied func(*study)                // all of its pictures were looked at
	work    stint

	mu     sync.Mutex
	wants  []*want
	newest time.Time     // when the newest frame was taken
	study  *study        // nil: there are no pictures to look at
	wake   chan struct{} // a want, a frame or a study came

	// The rest belongs to run.
	eye       inference.Embedder // nil until one was opened
	last      time.Time          // when the frame was taken that was taken out of the mailbox last
	looking   inference.Look
	answer    head.Answer
	malformed int
}

// give takes a frame from the camera. f.Pix is the caller's again afterwards.
func (v *vision) give(f frame.Frame) {
	v.mu.Lock()
	v.newest = f.Taken // before Put: see waiting
	v.mu.Unlock()
	v.mailbox.Put(f)
	v.rouse()
}

func (v *vision) rouse() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// ask makes a want. It does not wait.
func (v *vision) ask(at time.Time) *want {
	w := &want{at: at, got: make(chan *sight, 1)}
	v.mu.Lock()
	v.wants = append(v.wants, w)
	v.mu.Unlock()
	v.rouse()
	return w
}

// withdraw takes back a want that nobody waits for any more.
func (v *vision) withdraw(w *want) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wants = slices.DeleteFunc(v.wants, func(x *want) bool { return x == w })
}

// hopeless says why a want that was not served so far will not be, or nil if it
// may be yet.
func (v *vision) hopeless(w *want) error {
	if err := blind(v.health.Problems()); err != nil {
		return fmt.Errorf("press not kept: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.newest.Before(w.at):
		return errNoFrame
	case time.Since(w.at) >= lookWithin:
		return errNoLook
	}
	return nil
}

// waiting says what there is to do: a frame in the mailbox, or about to be, a want,
// and a study.
func (v *vision) waiting() (fresh, wanted bool, s *study) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.newest.Equal(v.last), len(v.wants) > 0, v.study
}

// serves reports whether a frame taken at that time serves a want.
func (v *vision) serves(taken time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.ContainsFunc(v.wants, func(w *want) bool { return !taken.Before(w.at) })
}

// serve hands a frame to every want that it serves.
func (v *vision) serve(f frame.Frame, p inference.Provenance) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var s *sight
	v.wants = slices.DeleteFunc(v.wants, func(w *want) bool {
		if f.Taken.Before(w.at) {
			return false
		}
		if s == nil {
			// Copies, since frame and look are used again for the next frame.
			s = &sight{frame: f, look: v.looking, provenance: p}
			s.frame.Pix = slices.Clone(f.Pix)
			s.look.Embedding.Q = slices.Clone(v.looking.Embedding.Q)
		}
		w.got <- s
		return true
	})
}

// run returns what opens an embedder and looks until ctx ends or the embedder
// fails. A frame that cannot be read does not count as a failure of the embedder.
// The embedder is left open; see close.
func (v *vision) run(open func() (inference.Embedder, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		defer v.work.end()
		v.work.begin()
		v.close()
		eye, err := open()
		if err != nil {
			return err
		}
		v.eye = eye
		v.health.Clear(partModel)
		v.opened(eye.Space())
		return v.watch(ctx)
	}
}

// watch looks until ctx ends or the embedder fails.
func (v *vision) watch(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var began, ended time.Time // the last look
	for ctx.Err() == nil {
		fresh, wanted, s := v.waiting()
		due := began.Add(v.habits.Load().every)
		switch {
		case s != nil:
			// There is no verdict to keep alive, but the scene may change.
			due = later(due, ended.Add(studyPause))
		case v.asleep.Load():
			due = later(due, began.Add(nightPause))
		}
		now := time.Now()
		switch early := now.Before(due); {
		case fresh && (wanted || !early):
			f, err := v.mailbox.Take(ctx)
			if err != nil {
				return nil
			}
			v.last = f.Taken
			// A frame from before the press would only delay the one that the
			// press wants.
			if early && !v.serves(f.Taken) {
				continue
			}
			began = now
			if err := v.look(ctx, f); err != nil {
				return err
			}
			ended = time.Now()
		case s != nil:
			if err := v.pore(s); err != nil {
				return err
			}
		default:
			v.work.end()
			var then <-chan time.Time
			if fresh {
				timer.Reset(due.Sub(now))
				then = timer.C
			}
			select {
			case <-ctx.Done():
			case <-v.wake:
			case <-then:
			}
		}
	}
	return nil
}

// look looks at a frame, tells what it saw and serves the wants.
func (v *vision) look(ctx context.Context, f frame.Frame) error {
	v.work.begin()
	began := time.Now()
	switch err := v.eye.Embed(f, &v.looking); {
	case errors.Is(err, frame.ErrMalformed):
		if v.malformed++; v.malformed == unreadable {
			v.health.Fail(partPicture, fmt.Errorf("the camera's pictures cannot be read: %w (try another format or another camera)", err))
		}
		return nil
	case err != nil:
		return err
	}
	v.malformed = 0
	if frozen := v.habits.Load().frozen; frozen != nil && frozen(v.looking.Fitness, f.Taken) {
		// It shows what was there once: neither an answer nor an example.
		v.health.Fail(partPicture, errFrozen)
		return nil
	}
	v.health.Clear(partPicture)
	v.serve(f, v.eye.Provenance())
	l := v.judge(f)
	l.spent = time.Since(began)
	v.looked(ctx, l)
	return nil
}

// close frees the embedder, if there is one. It is for run, and for whoever ran
// it once it has ended.
func (v *vision) close() {
	if v.eye != nil {
		v.eye.Close()
		v.eye = nil
	}
}

// judge asks the head about what was just looked at.
func (v *vision) judge(f frame.Frame) look {
	l := look{seq: f.Seq, taken: f.Taken, fitness: v.looking.Fitness, opinion: opinion{slot: unknown}}
	fold := v.fold.Load()
	if fold == nil || fold.Fold == nil || fold.Head == nil || fold.space != v.looking.Embedding.Space {
		return l
	}
	fold.Head.Ask(v.looking.Embedding.Q, &v.answer)
	l.fold, l.winner = fold.Fold, v.answer.Winner
	copy(l.p[:], v.answer.P)
	l.opinion.accept, l.opinion.theta = v.answer.Accept, fold.Head.Report().Theta
	return l
}

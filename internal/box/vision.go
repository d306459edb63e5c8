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

// vision is the only user of the embedder. It looks at the newest frame, at
// most so many times a second, asks the head, and serves wants.
type vision struct {
	open    func() (inference.Embedder, error)
	mailbox *frame.Mailbox
	every   time.Duration // between two looks, by day
	asleep  atomic.Bool
	fold    *atomic.Pointer[folded]
	frozen  func(inference.Fitness, time.Time) bool // nil: never
	health  *supervise.Health
	opened  func(inference.Space)       // a new embedder is there
	looked  func(context.Context, look) // after every frame

	mu     sync.Mutex
	wants  []*want
	newest time.Time     // when the newest frame was taken
	wake   chan struct{} // a want came

	eye       inference.Embedder // nil until one was opened
	looking   inference.Look
	answer    head.Answer
	malformed int
}

// give takes a frame from the camera. f.Pix is the caller's again afterwards.
func (v *vision) give(f frame.Frame) {
	v.mu.Lock()
	v.newest = f.Taken
	v.mu.Unlock()
	v.mailbox.Put(f)
}

// ask makes a want. It does not wait.
func (v *vision) ask(at time.Time) *want {
	w := &want{at: at, got: make(chan *sight, 1)}
	v.mu.Lock()
	v.wants = append(v.wants, w)
	v.mu.Unlock()
	select {
	case v.wake <- struct{}{}:
	default:
	}
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

// wanted reports whether there is any want.
func (v *vision) wanted() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.wants) > 0
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

// run opens the embedder and looks until ctx ends or the embedder fails. A
// frame that cannot be read does not count as a failure of the embedder. The
// embedder is left open; see close.
func (v *vision) run(ctx context.Context) error {
	v.close()
	eye, err := v.open()
	if err != nil {
		return err
	}
	v.eye = eye
	v.health.Clear(partModel)
	v.opened(eye.Space())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := time.Now(); ; {
		// Wait until it is time to look, or until a press wants to.
		if wait := time.Until(due); wait > 0 && !v.wanted() {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return nil
			case <-v.wake:
				continue // the want may have been served meanwhile
			case <-timer.C:
			}
		}
		f, err := v.mailbox.Take(ctx)
		if err != nil {
			return nil
		}
		began := time.Now()
		// A frame from before the press would only delay the one that the
		// press wants.
		if began.Before(due) && !v.serves(f.Taken) {
			continue
		}
		due = began.Add(v.every)
		if v.asleep.Load() {
			due = began.Add(max(v.every, nightPause))
		}
		switch err := eye.Embed(f, &v.looking); {
		case errors.Is(err, frame.ErrMalformed):
			if v.malformed++; v.malformed == unreadable {
				v.health.Fail(partPicture, fmt.Errorf("the camera's pictures cannot be read: %w (try another format or another camera)", err))
			}
			continue
		case err != nil:
			return err
		}
		v.malformed = 0
		if v.frozen != nil && v.frozen(v.looking.Fitness, f.Taken) {
			// It shows what was there once: neither an answer nor an example.
			v.health.Fail(partPicture, errFrozen)
			continue
		}
		v.health.Clear(partPicture)
		v.serve(f, eye.Provenance())
		l := v.judge(f)
		l.spent = time.Since(began)
		v.looked(ctx, l)
	}
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

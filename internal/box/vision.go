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

// unreadable frames in a row are a fault of the camera; fewer are a bad cable's
// daily life.
const unreadable = 10

// A look is what the loop learns from one frame. It holds no pointer to what
// is used again for the next frame.
type look struct {
	seq     uint64
	taken   time.Time
	fitness inference.Fitness
	fold    *lesson.Fold // that answered; nil: nothing was asked
	opinion opinion
	winner  int // class of fold
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
	health  *supervise.Health
	opened  func(inference.Space)       // a new embedder is there
	looked  func(context.Context, look) // after every frame

	mu    sync.Mutex
	wants []*want
	wake  chan struct{} // a want came

	looking   inference.Look
	answer    head.Answer
	malformed int
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
// frame that cannot be read does not count as a failure of the embedder.
func (v *vision) run(ctx context.Context) error {
	eye, err := v.open()
	if err != nil {
		return err
	}
	defer eye.Close()
	v.health.Clear(partModel)
	v.opened(eye.Space())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := time.Now(); ; {
		// Wait until it is time to look, or until a press wants to.
		if !v.wanted() {
			timer.Reset(time.Until(due))
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
		if v.malformed >= unreadable {
			v.health.Clear(partPicture)
		}
		v.malformed = 0
		v.serve(f, eye.Provenance())
		l := v.judge(f)
		l.spent = time.Since(began)
		v.looked(ctx, l)
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
	l.opinion = opinion{slot: slotOf(fold.Classes[l.winner]), accept: v.answer.Accept, theta: fold.Head.Report().Theta}
	return l
}

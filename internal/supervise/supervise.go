// Package supervise keeps the parts of the box alive that may fail and come
// back: it runs them again, with a growing pause, and keeps the list of what is
// wrong.
package supervise

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// The pauses between two attempts: doubled each time, with up to a quarter
// taken off at random so that parts which fail together do not retry together.
// The longest keeps the promise that a box is well again within five seconds
// of the cause ending, with two to spare for opening the part.
const (
	FirstPause = 250 * time.Millisecond
	LastPause  = 3 * time.Second
	// steady is how long a part must have run for its next failure to count as
	// the first again.
	steady = 10 * time.Second
)

// Run calls part until ctx ends, again and again, whatever it returns. Each
// failure is entered in h under name; the part itself clears the entry once it
// works, since only it knows when.
// A panic is not caught: whoever restarts the program does better than a part
// in an unknown state.
func Run(ctx context.Context, h *Health, name string, part func(context.Context) error) {
	pause := FirstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := part(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		h.Fail(name, err)
		if time.Since(began) >= steady {
			pause = FirstPause
		}
		wait := pause - rand.N(pause/4)
		pause = min(2*pause, LastPause)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
		case <-t.C:
		}
	}
}

// A Problem is one part that is not well.
type Problem struct {
	Part  string    // such as "camera"
	Err   error     // what is wrong and what to do
	Since time.Time // when it began
}

// Health is the list of what is wrong. Its methods may be called from several
// goroutines.
type Health struct {
	mu       sync.Mutex
	problems []Problem // by part
	changed  func()
}

// NewHealth returns an empty list. changed, if not nil, is called after every
// change, from whatever goroutine made it.
func NewHealth(changed func()) *Health {
	return &Health{changed: changed}
}

// Fail enters a problem, or renews the error of one that is known.
func (h *Health) Fail(part string, err error) {
	h.mu.Lock()
	at, known := h.find(part)
	news := !known || h.problems[at].Err.Error() != err.Error()
	if known {
		h.problems[at].Err = err
	} else {
		h.problems = slices.Insert(h.problems, at, Problem{part, err, time.Now()})
	}
	h.mu.Unlock()
	if news && h.changed != nil {
		h.changed()
	}
}

// Clear says that a part is well.
func (h *Health) Clear(part string) {
	h.mu.Lock()
	at, known := h.find(part)
	if known {
		h.problems = slices.Delete(h.problems, at, at+1)
	}
	h.mu.Unlock()
	if known && h.changed != nil {
		h.changed()
	}
}

// Problems returns what is wrong now, by part.
func (h *Health) Problems() []Problem {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.problems)
}

func (h *Health) find(part string) (int, bool) {
	return slices.BinarySearchFunc(h.problems, part, func(p Problem, part string) int { return strings.Compare(p.Part, part) })
}

package box

import (
	"sync"
	"time"
)

const (
	// pulse is how often the loop goes round at least.
	pulse = time.Second
	// longest is how long a goroutine that the loop relies on may be at one piece
	// of work: opening a model, looking at one frame, one operation on the lesson.
	longest = 30 * time.Second
)

// A stint is one goroutine's piece of work. Waiting for something to do is none.
type stint struct {
	mu    sync.Mutex
	since time.Time // zero while it waits
}

// begin says that a piece of work begins; the one before has ended.
func (s *stint) begin() { s.set(time.Now()) }

// end says that the goroutine waits.
func (s *stint) end() { s.set(time.Time{}) }

func (s *stint) set(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = since
}

// hangs reports whether the work takes longer than any should.
func (s *stint) hangs(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.since.IsZero() && now.Sub(s.since) >= longest
}

package api

import (
	"sync"
	"time"

	"teachbox/internal/box"
)

// ringSize is how many events are remembered.
const ringSize = 1024

// Observe remembers an event of the box and tells those who follow. It does not
// wait for them. box.Looked is left out: snapshots show it.
func (s *Server) Observe(e box.Event) {
	if e.Kind != box.Looked {
		s.events.add(EventOf(e))
	}
}

// A ring holds the last events. Its methods may be called from several
// goroutines; its zero value is empty.
type ring struct {
	mu     sync.Mutex
	events [ringSize]Event // event n at n modulo the size
	last   uint64          // number of the newest; 0 if there is none
	news   chan struct{}   // closed by the next one; nil if nobody waits
}

func (r *ring) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.Number = r.last
	r.events[r.last%ringSize] = e
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
}

func (r *ring) newest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// since returns the events whose numbers are greater than after, the number to
// ask for next, and what is closed when there is more. A gap stands before them
// if some are forgotten, or if after is of another run.
func (r *ring) since(after uint64) (events []Event, last uint64, news <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := uint64(1)
	if r.last > ringSize {
		oldest = r.last - ringSize + 1
	}
	var lost uint64
	gap := after > r.last
	switch {
	case gap:
		after = oldest - 1 // how many were lost in the other run nobody knows
	case after+1 < oldest:
		gap, lost, after = true, oldest-1-after, oldest-1
	}
	if gap {
		at := time.Now()
		if r.last > after {
			at = r.events[oldest%ringSize].At
		}
		events = append(events, Gap(at, lost))
	}
	for n := after + 1; n <= r.last; n++ {
		events = append(events, r.events[n%ringSize])
	}
	if r.news == nil {
		r.news = make(chan struct{})
	}
	return events, r.last, r.news
}

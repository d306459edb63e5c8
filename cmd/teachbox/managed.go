package main

import (
	"context"
	"time"

	"teachbox/internal/box"
	"teachbox/systemd"
)

const (
	// statusEvery is how often the service manager is told how the box is, at
	// most, and readyEvery how often it is looked at until the box is ready.
	statusEvery = time.Second
	readyEvery  = 100 * time.Millisecond
	// readyWithin is after which time a box is ready that still lacks something:
	// it is up, tries on, and its status says what is wrong.
	readyWithin = 20 * time.Second
)

// managed keeps the service manager informed. Nothing depends on whether it
// listens: what it does not take is not said.
type managed struct {
	*systemd.Notifier
	every time.Duration // between two signs of life; 0: none are wanted
	last  time.Time     // when the last one was given
}

func newManaged(n *systemd.Notifier) *managed {
	return &managed{Notifier: n, every: n.WatchdogPeriod() / 4}
}

// progress is called by the box's loop, again and again while the box is alive.
func (m *managed) progress() {
	if now := time.Now(); m.every > 0 && now.Sub(m.last) >= m.every {
		m.last = now
		_ = m.Watchdog()
	}
}

// tell says when the box is ready, how it is until ctx ends, and then that it
// ends, unless it goes on in a new process.
func (m *managed) tell(ctx context.Context, b *box.Box) {
	if m.Notifier == nil {
		return
	}
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	began, ready, said := time.Now(), false, ""
	for {
		select {
		case <-ctx.Done():
			if _, goesOn := context.Cause(ctx).(renewal); !goesOn {
				_ = m.Stopping()
			}
			return
		case <-tick.C:
			s := b.Snapshot()
			if !ready && (s.InHand() || time.Since(began) >= readyWithin) {
				ready = true
				_ = m.Ready()
				tick.Reset(statusEvery)
			}
			if text := summary(&s); text != said {
				_ = m.Status(text)
				said = text
			}
		}
	}
}

// summary says in one line how the box is and what it sees.
func summary(s *box.Snapshot) string {
	text := condition(s)
	if v := verdict(s); v != "" {
		text += "; sees " + v
	}
	for _, p := range s.Problems {
		text += "; " + complaint(p)
	}
	return text
}

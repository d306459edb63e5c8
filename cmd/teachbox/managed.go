package main

import (
	"context"
	"time"

	"teachbox/internal/box"
	"teachbox/systemd"
)

// statusEvery is how often the service manager is told how the box is, at most.
const statusEvery = time.Second

// managed keeps the service manager informed. Nothing depends on whether it
// listens: what it does not take is not said.
type managed struct {
	*systemd.Notifier
	every time.Duration // between two signs of life; 0: none are wanted
	begun bool
	last  time.Time // when the last one was given
}

func newManaged(n *systemd.Notifier) *managed {
	return &managed{Notifier: n, every: n.WatchdogPeriod() / 4}
}

// progress is called by the box's loop, again and again while the box is alive:
// the first time means that it has begun.
func (m *managed) progress() {
	if !m.begun {
		m.begun = true
		_ = m.Ready()
	}
	if now := time.Now(); m.every > 0 && now.Sub(m.last) >= m.every {
		m.last = now
		_ = m.Watchdog()
	}
}

// tell says how the box is until ctx ends, and then that it ends, unless it goes
// on in a new process.
func (m *managed) tell(ctx context.Context, b *box.Box) {
	if m.Notifier == nil {
		return
	}
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			if _, goesOn := context.Cause(ctx).(renewal); !goesOn {
				_ = m.Stopping()
			}
			return
		case <-tick.C:
			s := b.Snapshot()
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

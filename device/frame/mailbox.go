package frame

import (
	"context"
	"sync"
)

// A Mailbox holds the newest frame of one source for one reader. Put never
// waits; a frame that nobody took is replaced by the next one and counted.
//
// It owns three buffers: one being filled, one waiting, one with the reader.
// They grow to the size of the frames and are then used again and again, so
// that nothing is allocated in the steady state.
type Mailbox struct {
	mu      sync.Mutex
	spare   Frame // free for the next Put
	waiting Frame // valid if full
	full    bool
	dropped uint64
	ready   chan struct{} // holds a token when full was set

	held Frame // with the reader; touched by Take only
}

// NewMailbox returns an empty mailbox.
func NewMailbox() *Mailbox {
	return &Mailbox{ready: make(chan struct{}, 1)}
}

// Put copies f in as the newest frame. f.Pix is the caller's again afterwards.
func (m *Mailbox) Put(f Frame) {
	m.mu.Lock()
	buf := append(m.spare.Pix[:0], f.Pix...)
	m.spare = f
	m.spare.Pix = buf
	m.spare, m.waiting = m.waiting, m.spare
	if m.full {
		m.dropped++
	}
	m.full = true
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// Take waits for a frame newer than the last one taken. The frame is the
// reader's until it calls Take again. The error is that of ctx.
func (m *Mailbox) Take(ctx context.Context) (Frame, error) {
	for {
		select {
		case <-ctx.Done():
			return Frame{}, ctx.Err()
		case <-m.ready:
		}
		m.mu.Lock()
		if m.full {
			m.held, m.waiting = m.waiting, m.held
			m.full = false
			f := m.held
			m.mu.Unlock()
			return f, nil
		}
		m.mu.Unlock()
	}
}

// Dropped counts the frames that were replaced before anybody took them.
func (m *Mailbox) Dropped() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped
}

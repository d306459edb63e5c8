package supervise

import "context"

// A Place holds one part at a time, which can be exchanged while it runs.
type Place struct {
	health *Health
	name   string
	part   func(context.Context) error
	next   chan exchange
}

// An exchange is a part that is to follow the present one.
type exchange struct {
	part  func(context.Context) error
	ready func()
}

// NewPlace returns a place for the part that h calls name.
func NewPlace(h *Health, name string, part func(context.Context) error) *Place {
	return &Place{health: h, name: name, part: part, next: make(chan exchange, 1)}
}

// Run runs the part that the place holds, as the function Run does, until ctx
// ends.
func (p *Place) Run(ctx context.Context) {
	for {
		present, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Run(present, p.health, p.name, p.part)
		}()
		var next exchange
		select {
		case <-ctx.Done():
		case next = <-p.next:
		}
		cancel()
		<-ended
		if next.part == nil {
			return
		}
		p.health.Clear(p.name)
		next.ready()
		p.part = next.part
	}
}

// Exchange ends the present part and begins another one. In between, once the
// present one has ended and its entry in the health list is cleared, it calls
// ready, unless the place's Run ends before. Exchange does not wait; it must not
// be called again before ready was.
func (p *Place) Exchange(part func(context.Context) error, ready func()) {
	p.next <- exchange{part, ready}
}

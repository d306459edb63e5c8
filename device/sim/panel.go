package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"teachbox/device"
)

// A Panel is buttons that a program pushes and LEDs that it reads.
type Panel struct {
	wiring   device.Wiring
	source   device.Source
	onChange func(device.Lights)

	mu       sync.Mutex
	down     [device.MaxSlots + 1]bool
	lift     [device.MaxSlots + 1]*time.Timer // of a tap: lets the button up
	watching bool
	edges    []device.Edge // not yet seen by Watch
	lights   device.Lights
	wake     chan struct{} // holds a token when edges grew
	changed  chan struct{} // closed when lights changes
}

// PanelOptions say what a simulated panel is like.
type PanelOptions struct {
	Wiring device.Wiring
	Source device.Source // what its edges say they come from
	// OnChange is called after every change of the LEDs, in the goroutine that
	// calls Show or Halt. nil: nobody.
	OnChange func(device.Lights)
}

// NewPanel returns a panel with all buttons up and all LEDs dark.
func NewPanel(o PanelOptions) (*Panel, error) {
	if n := o.Wiring.Slots; n < 2 || n > device.MaxSlots {
		return nil, fmt.Errorf("simulated panel: %d slots: choose 2 to %d", n, device.MaxSlots)
	}
	return &Panel{
		wiring: o.Wiring, source: o.Source, onChange: o.OnChange,
		wake: make(chan struct{}, 1), changed: make(chan struct{}),
	}, nil
}

// Press pushes a button down. Pushing one that is down does nothing but end its
// tap: it then stays down. The error says that the panel lacks the button.
func (p *Panel) Press(b device.Button) error { return p.push(b, true, 0) }

// Release lets a button up. The error is that of Press.
func (p *Panel) Release(b device.Button) error { return p.push(b, false, 0) }

// Tap pushes a button down and lets it up after d (above 0), without waiting.
// Tapping a button that is down keeps it down for d from now. The error is that
// of Press.
func (p *Panel) Tap(b device.Button, d time.Duration) error { return p.push(b, true, d) }

func (p *Panel) push(b device.Button, down bool, tap time.Duration) error {
	if b == device.Nothing && !p.wiring.Nothing || b != device.Nothing && int(b) >= p.wiring.Slots {
		return p.noButton(b)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lift[b] != nil {
		p.lift[b].Stop()
		p.lift[b] = nil
	}
	if tap > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(tap, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.lift[b] == timer { // else it was pushed again at that moment
				p.lift[b] = nil
				p.level(b, false)
			}
		})
		p.lift[b] = timer
	}
	p.level(b, down)
	return nil
}

// level sets the level of a button; p.mu is held.
func (p *Panel) level(b device.Button, down bool) {
	if p.down[b] == down {
		return
	}
	p.down[b] = down
	if !p.watching {
		return
	}
	p.edges = append(p.edges, device.Edge{Source: p.source, Button: b, Down: down, At: time.Now()})
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// noButton is the error about a button that the panel lacks.
func (p *Panel) noButton(b device.Button) error {
	switch {
	case b == device.Nothing:
		return fmt.Errorf("there is no button nothing: choose 1 to %d", p.wiring.Slots)
	case p.wiring.Nothing:
		return fmt.Errorf("there is no button %d: choose 1 to %d or nothing", b+1, p.wiring.Slots)
	}
	return fmt.Errorf("there is no button %d: choose 1 to %d", b+1, p.wiring.Slots)
}

// Wiring is what the panel has.
func (p *Panel) Wiring() device.Wiring { return p.wiring }

// Down reports whether a button is down.
func (p *Panel) Down(b device.Button) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down[b]
}

// Lights is what the LEDs show.
func (p *Panel) Lights() device.Lights {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lights
}

// WaitFor waits until the LEDs show what ok accepts and returns that. A state
// that the next one replaces at once may be missed. The error is that of ctx;
// what the LEDs showed last comes with it.
func (p *Panel) WaitFor(ctx context.Context, ok func(device.Lights) bool) (device.Lights, error) {
	for {
		p.mu.Lock()
		l, changed := p.lights, p.changed
		p.mu.Unlock()
		if ok(l) {
			return l, nil
		}
		select {
		case <-ctx.Done():
			return l, ctx.Err()
		case <-changed:
		}
	}
}

// Watch implements device.Panel. It may be called once at a time.
func (p *Panel) Watch(ctx context.Context, emit func(device.Edge)) error {
	p.mu.Lock()
	p.watching = true
	p.edges = nil
	for b, down := range p.down {
		if down {
			p.edges = append(p.edges, device.Edge{Source: p.source, Button: device.Button(b), Down: true, At: time.Now()})
		}
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.watching = false
		p.mu.Unlock()
	}()
	for {
		p.mu.Lock()
		edges := p.edges
		p.edges = nil
		p.mu.Unlock()
		for _, e := range edges {
			emit(e)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
	}
}

// Show implements device.Panel.
func (p *Panel) Show(l device.Lights) error {
	l &= device.AllSlots(p.wiring.Slots) | device.Status
	if !p.wiring.Status {
		l &^= device.Status
	}
	p.mu.Lock()
	was := p.lights
	if l != was {
		p.lights = l
		close(p.changed)
		p.changed = make(chan struct{})
	}
	p.mu.Unlock()
	if l != was && p.onChange != nil {
		p.onChange(l)
	}
	return nil
}

// Halt implements device.Panel.
func (p *Panel) Halt() error { return p.Show(0) }

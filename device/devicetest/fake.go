package devicetest

import (
	"context"
	"sync"
	"time"

	"teachbox/device"
	"teachbox/device/frame"
)

// A FakeCamera gives the frames that Next returns. It changes nothing but what
// is left out: Taken becomes the moment of emission and Seq counts from 1.
type FakeCamera struct {
	// Next waits for the next frame. Its error ends Run and is Run's error,
	// unless the context has ended.
	Next func(context.Context) (frame.Frame, error)
}

// Frames is a Next that hands on what is sent to c. Once c is closed it returns
// err.
func Frames(c <-chan frame.Frame, err error) func(context.Context) (frame.Frame, error) {
	return func(ctx context.Context) (frame.Frame, error) {
		select {
		case <-ctx.Done():
			return frame.Frame{}, ctx.Err()
		case f, ok := <-c:
			if !ok {
				return frame.Frame{}, err
			}
			return f, nil
		}
	}
}

// String implements device.Camera.
func (*FakeCamera) String() string { return "fake camera" }

// Run implements device.Camera.
func (c *FakeCamera) Run(ctx context.Context, emit func(frame.Frame)) error {
	for seq := uint64(1); ctx.Err() == nil; seq++ {
		f, err := c.Next(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		if f.Taken.IsZero() {
			f.Taken = time.Now()
		}
		if f.Seq == 0 {
			f.Seq = seq
		}
		emit(f)
	}
	return nil
}

// A FakePanel is a panel in memory, with all buttons and LEDs that a panel can
// have. Watch may be called once at a time.
type FakePanel struct {
	mu       sync.Mutex
	down     [device.MaxSlots + 1]bool
	watching bool
	edges    []device.Edge // not yet seen by Watch
	lights   device.Lights
	err      error
	wake     chan struct{} // holds a token when edges or err changed
}

// NewFakePanel returns a panel with all buttons up and all LEDs dark.
func NewFakePanel() *FakePanel {
	return &FakePanel{wake: make(chan struct{}, 1)}
}

// Press pushes a button down.
func (p *FakePanel) Press(b device.Button) { p.Edge(device.Edge{Button: b, Down: true}) }

// Release lets a button up.
func (p *FakePanel) Release(b device.Button) { p.Edge(device.Edge{Button: b}) }

// Edge injects any edge, such as bounce or a lease. A zero At becomes now. An
// edge that nobody watches changes the level only.
func (p *FakePanel) Edge(e device.Edge) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down[e.Button] = e.Down
	if p.watching {
		p.edges = append(p.edges, e)
		p.signal()
	}
}

// Fail makes Watch and Show return err from now on; nil mends the panel.
func (p *FakePanel) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	p.signal()
}

func (p *FakePanel) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Lights is what the LEDs show.
func (p *FakePanel) Lights() device.Lights {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lights
}

// Watch implements device.Panel.
func (p *FakePanel) Watch(ctx context.Context, emit func(device.Edge)) error {
	p.mu.Lock()
	p.watching = true
	p.edges = nil
	for b, down := range p.down {
		if down {
			p.edges = append(p.edges, device.Edge{Button: device.Button(b), Down: true, At: time.Now()})
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
		edges, err := p.edges, p.err
		p.edges = nil
		p.mu.Unlock()
		if err != nil {
			return err
		}
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
func (p *FakePanel) Show(l device.Lights) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.lights = l
	}
	return p.err
}

// Halt implements device.Panel.
func (p *FakePanel) Halt() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lights = 0
	return nil
}

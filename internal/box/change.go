package box

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"teachbox/device"
	"teachbox/device/frame"
	"teachbox/inference"
)

// A Change is what may be different after the configuration was read again.
type Change struct {
	Camera       device.Camera                      // nil: the present one runs on
	Panel        device.Panel                       // nil: the present one and its wiring are kept
	Wiring       device.Wiring                      // of Panel
	OpenEmbedder func() (inference.Embedder, error) // nil: the present embedder is kept

	// These take the place of the present ones, whatever else changes; nil is as
	// in Parts.
	Encode func(frame.Frame) ([]byte, error)
	Same   func(a, b *inference.Thumb) bool
	Dark   func(inference.Fitness) bool
	Frozen func(inference.Fitness, time.Time) bool
	Hold   func(taught bool)

	// Options takes the place of the present ones, but Observe and Progress stay
	// as they are. A Locked that is as before leaves alone what was locked or
	// unlocked by command.
	Options Options
}

// Reconfigure makes a change in one step. Only the parts that are given are
// ended and opened anew; the others do not notice. It returns once the old ones
// have ended. The error is ErrEnded, or that of ctx: either the change was not
// begun, or it was made and some old part, as the error says, has not ended yet.
func (b *Box) Reconfigure(ctx context.Context, c Change) error {
	if c.Dark == nil {
		c.Dark = neverDark
	}
	c.Options = c.Options.withDefaults()
	x := &change{Change: c, box: b, ended: make(chan struct{})}
	select {
	case b.changing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.ended:
		return ErrEnded
	}
	select {
	case b.changes <- x:
	case <-ctx.Done():
		<-b.changing
		return ctx.Err()
	case <-b.ended:
		return ErrEnded
	}
	select {
	case <-x.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the change is made, but a part that it replaces has not ended yet: %w", ctx.Err())
	case <-b.ended:
		return ErrEnded
	}
}

// A change is a Change under way.
type change struct {
	Change
	box   *Box
	left  atomic.Int32  // old parts that have not ended
	ended chan struct{} // all have
}

// end says that one old part has ended, or that the loop has done its share.
func (x *change) end() {
	if x.left.Add(-1) == 0 {
		close(x.ended)
		<-x.box.changing
	}
}

// A takeover is a new panel that takes the place of the old one, which is dark
// and closed.
type takeover struct {
	panel  device.Panel
	wiring device.Wiring
}

// apply makes a change. It is called by the loop and does not wait.
func (b *Box) apply(ctx context.Context, x *change) {
	x.left.Store(1)
	b.dark, b.hold = x.Dark, x.Hold
	b.vision.habits.Store(newLookHabits(x.Options, x.Frozen))
	b.teacher.habits.Store(&keepHabits{x.Encode, x.Same})
	if x.Camera != nil {
		x.left.Add(1)
		// The new one has to find its exposure, and was told of nothing yet.
		b.held, b.bright = false, time.Time{}
		b.camera.Exchange(b.watchCamera(x.Camera), func() {
			b.health.Clear(partPicture)
			x.end()
		})
	}
	if x.Panel != nil {
		x.left.Add(1)
		b.panel = nil // until it has taken over
		b.buttons.Exchange(b.watchPanel(x.Panel), func() {
			// One that cannot go dark is not there any more.
			_ = b.toHalt.Halt()
			b.toHalt = x.Panel
			b.health.Clear(partLights)
			send(ctx, b.takeovers, takeover{x.Panel, x.Wiring})
			x.end()
		})
	}
	if x.OpenEmbedder != nil {
		x.left.Add(1)
		b.model.Exchange(b.vision.run(x.OpenEmbedder), x.end)
	}
	x.end()
}

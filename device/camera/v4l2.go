package camera

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"teachbox/device"
	"teachbox/device/frame"
)

// Options say which camera of V4L2 is meant and what to ask of it.
type Options struct {
	// Device is a path such as "/dev/video2" or one below /dev/v4l/by-id, or a
	// part of the camera's name in any case. "": the first usable one.
	Device string
	// MinWidth and MinHeight are what the reader of the frames can use, in
	// pixels: the smallest size that has both is taken, or the largest there
	// is. 0 means 640 and 480.
	MinWidth, MinHeight int
	// Width and Height are a wish, in pixels: the nearest size is taken. 0: none.
	Width, Height int
	Rate          int // frames a second to ask for; 0 means 30
	// Controls are set whenever the camera is opened. See Control.Name.
	Controls map[string]int
	// Hold says that V4L2.Hold will be called: a box that was killed may have
	// left the camera held. What chooses exposure, gain, white balance and focus
	// is then put to the driver's default whenever the camera is opened, unless
	// Controls names it.
	Hold bool
	Log  *slog.Logger // nil: nobody
}

// A V4L2 is a camera of the kernel's Video4Linux2, such as a USB webcam. It is
// looked for anew at every Run, since a camera that was unplugged may come back
// under another number.
//
// Run always gives the newest frame: those that became old while emit was busy
// are passed over. The pixels are the driver's own buffer.
type V4L2 struct {
	opts Options
	hold atomic.Bool

	mu   sync.Mutex
	wake int // an eventfd while Run waits for frames, else -1

	held  *hold           // of Run only; nil: nothing is held
	noted map[string]bool // of Run only: the cameras whose opening was logged
}

// NewV4L2 returns a camera. It touches nothing before Run.
func NewV4L2(o Options) *V4L2 {
	o.Rate = cmp.Or(o.Rate, 30)
	o.MinWidth = cmp.Or(o.MinWidth, 640)
	o.MinHeight = cmp.Or(o.MinHeight, 480)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &V4L2{opts: o, wake: -1, noted: make(map[string]bool)}
}

// String names the camera for people.
func (c *V4L2) String() string {
	if c.opts.Device == "" {
		return "V4L2 camera"
	}
	return "V4L2 camera " + c.opts.Device
}

// Hold stops exposure, gain, white balance and focus where they are, or gives
// them back to the camera. It may be called from any goroutine and at any time:
// a camera that comes back is put to what it was held at. A camera that was
// only just opened is given two seconds to find its values first. They last as
// long as c.
func (c *V4L2) Hold(on bool) {
	c.hold.Store(on)
	c.rouse()
}

// rouse makes Run look at what has changed.
func (c *V4L2) rouse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake >= 0 {
		// It fails only when it has been written to 2^64-2 times.
		unix.Write(c.wake, binary.NativeEndian.AppendUint64(nil, 1))
	}
}

// Run implements device.Camera. It must not be called while it runs.
func (c *V4L2) Run(ctx context.Context, emit func(frame.Frame)) error {
	if ctx.Err() != nil {
		return nil
	}
	return c.run(ctx, List, emit)
}

// run is Run with another way to list what devices there are.
func (c *V4L2) run(ctx context.Context, list func() ([]Info, error), emit func(frame.Frame)) error {
	err := c.try(ctx, list, emit)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *V4L2) try(ctx context.Context, list func() ([]Info, error), emit func(frame.Frame)) error {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("%s: %w: eventfd: %w", c, device.ErrStall, err)
	}
	c.mu.Lock()
	c.wake = wake
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.wake = -1
		unix.Close(wake)
	}()
	defer context.AfterFunc(ctx, c.rouse)()

	found, err := find(c.opts.Device, list)
	if err != nil {
		return err
	}
	var first error
	for _, i := range found {
		err := steady(func() error { return c.stream(ctx, i, wake, emit) })
		if err == nil {
			return nil
		}
		err = explain(i, err)
		if !errors.Is(err, device.ErrBusy) {
			return err
		}
		if first == nil {
			first = err // another camera may be free
		}
	}
	return first
}

// settle is how long a camera is left to find its exposure before it is held.
const settle = 2 * time.Second

// stream opens a camera and hands out its frames until ctx ends or the camera
// fails.
func (c *V4L2) stream(ctx context.Context, i Info, wake int, emit func(frame.Frame)) error {
	n, err := openNode(i.Path)
	if err != nil {
		return err
	}
	defer n.close()
	s, err := c.start(n, i)
	if err != nil {
		return err
	}
	defer s.stop()

	began := time.Now()
	if c.held != nil && c.held.camera != i.Name {
		c.held = nil // another camera: its values mean nothing to this one
	}
	if c.held != nil && c.hold.Load() {
		c.warn(i, c.held.again(n))
	}
	// The camera is left as it was found. If it is gone, that fails.
	defer func() {
		if c.held != nil {
			c.held.release(n)
		}
	}()
	return s.run(ctx, wake, emit, func() {
		switch on := c.hold.Load(); {
		case on && c.held == nil && time.Since(began) >= settle:
			h, err := freeze(n, i.Name)
			c.held = h
			c.warn(i, err)
		case !on && c.held != nil:
			c.warn(i, c.held.release(n))
			c.held = nil
		}
	})
}

// warn logs what of a hold was not done.
func (c *V4L2) warn(i Info, err error) {
	if err != nil {
		c.opts.Log.Warn("camera not held, or not given back", "camera", i.String(), "err", err)
	}
}

// start settles format, rate and controls with the driver and begins to stream.
func (c *V4L2) start(n *node, i Info) (*capture, error) {
	choice, ok := choose(i.Formats, c.opts)
	if !ok {
		return nil, fmt.Errorf("%w: it offers no size that the box can read", device.ErrFormat)
	}
	given, err := n.setFormat(choice.code, choice.width, choice.height)
	if err != nil {
		return nil, err
	}
	l, err := layoutOf(given)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", device.ErrFormat, err)
	}
	interval := n.setRate(c.opts.Rate)
	if c.opts.Hold {
		c.warn(i, automate(n, c.opts.Controls))
	}
	adjust(n, c.opts.Controls, c.opts.Log)
	if !c.noted[i.Name] {
		c.noted[i.Name] = true
		c.opts.Log.Info("camera opened", "camera", i.String(), "format", fourCC(given.PixelFormat),
			"width", l.width, "height", l.height, "interval", interval)
	}
	return newCapture(n, l, interval)
}

package sim

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"teachbox/device"
	"teachbox/device/frame"
)

// Jitter is how much one frame differs from the next although nothing moved.
// The zero value is no jitter: every frame of a scene has the same pixels.
type Jitter struct {
	Shift float64 // greatest shift each way, as a part of the picture's side
	Scale float64 // greatest change of size, as a part of it
	Light float64 // greatest change of brightness, as a part of it
	Noise float64 // standard deviation of the noise, in levels of luma
}

// HandHeld is the jitter of a thing held before a cheap webcam.
func HandHeld() Jitter { return Jitter{Shift: 0.01, Scale: 0.02, Light: 0.04, Noise: 2} }

// CameraOptions say what a simulated camera is like.
type CameraOptions struct {
	Rate   float64 // frames a second, 0.1 to 1000; 0 means 30
	Seed   uint64  // of the jitter: frame n of a scene is always the same for one seed
	Jitter Jitter
	// OnFrame sees every frame before emit does, in the same goroutine. nil:
	// nobody. As for emit, the pixels are valid only until it returns.
	OnFrame func(frame.Frame)
}

// stallAfter is how long the camera is silent before Run calls it stalled.
const stallAfter = 2 * time.Second

type fault uint8

const (
	well fault = iota
	unplugged
	stalled
)

// A Camera looks at a desk.
type Camera struct {
	desk *Desk
	opts CameraOptions

	mu      sync.Mutex
	fault   fault
	changed chan struct{} // closed when fault changes
}

// NewCamera returns a camera over a desk. The error says that the rate is
// out of range.
func NewCamera(d *Desk, o CameraOptions) (*Camera, error) {
	o.Rate = cmp.Or(o.Rate, 30)
	if !(o.Rate >= 0.1 && o.Rate <= 1000) {
		return nil, fmt.Errorf("simulated camera: rate %v is not usable: choose 0.1 to 1000 frames a second", o.Rate)
	}
	return &Camera{desk: d, opts: o, changed: make(chan struct{})}, nil
}

// String names the camera for people.
func (*Camera) String() string { return "simulated camera" }

// Unplug pulls the camera's cable: Run returns device.ErrAbsent until Plug.
func (c *Camera) Unplug() { c.set(unplugged) }

// Stall makes the camera fall silent until Plug. Run returns device.ErrStall
// after 2 s of it, as for a real camera.
func (c *Camera) Stall() { c.set(stalled) }

// Plug mends the camera, whatever its fault.
func (c *Camera) Plug() { c.set(well) }

func (c *Camera) set(f fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = f
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Camera) state() (fault, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault, c.changed
}

// Run implements device.Camera. The frames are YUYV, Taken is the moment at
// which a frame is drawn, and Seq starts at 1 in every Run.
func (c *Camera) Run(ctx context.Context, emit func(frame.Frame)) error {
	scene := c.desk.scene.Load()
	shaker := newShaker(c.opts.Seed, c.opts.Jitter, scene.width, scene.height)
	f := frame.Frame{
		Format: frame.YUYV, Width: scene.width, Height: scene.height, Stride: 2 * scene.width,
		Pix: make([]byte, 2*scene.width*scene.height),
	}
	period := time.Duration(float64(time.Second) / c.opts.Rate)
	tick := time.NewTicker(period)
	defer tick.Stop()
	due := true // the first frame comes at once, the others at a tick each
	for ctx.Err() == nil {
		state, changed := c.state()
		switch {
		case state == unplugged:
			return fmt.Errorf("%s: %w; plug it in again", c, device.ErrAbsent)
		case state == stalled:
			select {
			case <-ctx.Done():
			case <-changed:
			case <-time.After(stallAfter):
				return fmt.Errorf("%s: %w; unplug it and plug it in again", c, device.ErrStall)
			}
			tick.Reset(period)
			due = true
			continue
		case due:
			f.Seq++
			f.Taken = time.Now()
			shaker.draw(f.Pix, c.desk.scene.Load(), f.Seq)
			if c.opts.OnFrame != nil {
				c.opts.OnFrame(f)
			}
			emit(f)
			due = false
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-tick.C:
			due = true
		}
	}
	return nil
}

// A shaker draws a scene as YUYV with jitter. Its tables make that cheap: a
// pixel is a few look-ups.
type shaker struct {
	seed   uint64
	jitter Jitter
	pcg    rand.PCG
	random *rand.Rand
	left   []int          // of each pixel of a row: where it is in the scene's row
	light  [256]uint8     // brightness, applied to luma
	noise  []int8         // a row starts anywhere in its first half
	clip   [3 * 256]uint8 // luma from -256 on, held within 16 to 235
}

func newShaker(seed uint64, j Jitter, width, height int) *shaker {
	s := &shaker{seed: seed, jitter: j, left: make([]int, width), noise: make([]int8, max(8192, 2*width))}
	s.random = rand.New(&s.pcg)
	s.pcg.Seed(seed, 0)
	for i := range s.noise {
		s.noise[i] = int8(max(-127, min(127, math.Round(s.random.NormFloat64()*j.Noise))))
	}
	for i := range s.clip {
		s.clip[i] = uint8(max(16, min(235, i-256)))
	}
	return s
}

// draw fills pix. The jitter depends on nothing but the seed and seq.
func (s *shaker) draw(pix []byte, from *scene, seq uint64) {
	s.pcg.Seed(s.seed, seq)
	width, height := from.width, from.height
	right := about(s.random, 0, s.jitter.Shift) * float64(width)
	down := about(s.random, 0, s.jitter.Shift) * float64(height)
	zoom := about(s.random, 1, s.jitter.Scale)
	gain := about(s.random, 1, s.jitter.Light)
	for x := range s.left {
		s.left[x] = source(x, width, right, zoom)
	}
	for i := range s.light {
		s.light[i] = level(16 + float64(i-16)*gain)
	}
	for y := range height {
		at := source(y, height, down, zoom) * width
		luma := from.y[at : at+width]
		cb, cr := from.cb[at/2:(at+width)/2], from.cr[at/2:(at+width)/2]
		start := int(s.random.Uint32()) % (len(s.noise) / 2)
		noise := s.noise[start : start+width]
		out := pix[y*2*width : (y+1)*2*width]
		for x := 0; x+1 < width; x += 2 {
			l0, l1 := s.left[x], s.left[x+1]
			o := out[2*x : 2*x+4 : 2*x+4]
			o[0] = s.clip[256+int(s.light[luma[l0]])+int(noise[x])]
			o[1] = cb[l0/2]
			o[2] = s.clip[256+int(s.light[luma[l1]])+int(noise[x+1])]
			o[3] = cr[l0/2]
		}
	}
}

// source is the place in the scene that is seen at place i of n, after a shift
// and a zoom about the middle. Beyond the scene its edge goes on.
func source(i, n int, shift, zoom float64) int {
	middle := float64(n) / 2
	at := int(middle + (float64(i)+0.5-middle-shift)/zoom)
	return max(0, min(n-1, at))
}

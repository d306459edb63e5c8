package devicetest

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"sync/atomic"
	"testing"
	"time"

	"teachbox/device"
	"teachbox/device/frame"
)

// CameraOptions say what TestCamera can do to a camera. The zero value tests
// what needs no help.
type CameraOptions struct {
	// Patience is how long an answer may take: a frame, or the end of Run after
	// a fault. 0 means 5 s.
	Patience time.Duration
	// Absent opens a camera that is not there. nil: not tested.
	Absent func() device.Camera
	// Unplug takes the camera that was opened last away, and Plug brings it
	// back. nil: not tested.
	Unplug, Plug func()
	// Stall makes the camera that was opened last fall silent. nil: not tested.
	Stall func()
}

// TestCamera holds a camera to the contract of device.Camera. open returns a
// camera that gives frames; each subtest opens one.
func TestCamera(t *testing.T, open func() device.Camera, opts CameraOptions) {
	if opts.Patience == 0 {
		opts.Patience = 5 * time.Second
	}
	t.Run("String", func(t *testing.T) {
		if open().String() == "" {
			t.Error("String is empty; it must name the camera for people")
		}
	})

	t.Run("Frames", func(t *testing.T) {
		began := time.Now()
		var last frame.Frame
		r := start(t, open(), opts.Patience, func(n int, f frame.Frame) {
			now := time.Now()
			if err := f.Check(); err != nil {
				t.Errorf("frame %d: %v", n, err)
			}
			if f.Format == frame.JPEG {
				config, err := jpeg.DecodeConfig(bytes.NewReader(f.Pix))
				if err != nil {
					t.Errorf("frame %d: %v", n, err)
				} else if f.Width != 0 && (f.Width != config.Width || f.Height != config.Height) {
					t.Errorf("frame %d is said to be %d×%d, but the JPEG is %d×%d", n, f.Width, f.Height, config.Width, config.Height)
				}
			}
			checkTime(t, "Taken", f.Taken, began, now)
			if f.Taken.Before(last.Taken) {
				t.Errorf("frame %d was taken %v before the one before it", n, last.Taken.Sub(f.Taken))
			}
			if f.Seq <= last.Seq {
				t.Errorf("frame %d has Seq %d after %d", n, f.Seq, last.Seq)
			}
			last = f
		})
		r.frames(t, 5)
		r.stop(t)
	})

	t.Run("PixelsStay", func(t *testing.T) {
		// A camera that hands its buffer back to the driver too early shows
		// here: the pixels change under the reader's eyes.
		r := start(t, open(), opts.Patience, func(n int, f frame.Frame) {
			if n != 3 {
				return
			}
			before := bytes.Clone(f.Pix)
			time.Sleep(200 * time.Millisecond)
			if !bytes.Equal(before, f.Pix) {
				t.Error("the pixels changed before emit returned")
			}
		})
		r.frames(t, 3)
		r.stop(t)
	})

	t.Run("RunAgain", func(t *testing.T) {
		c := open()
		for range 3 {
			r := start(t, c, opts.Patience, nil)
			r.frames(t, 1)
			r.stop(t)
		}
	})

	t.Run("CancelledInEmit", func(t *testing.T) {
		var r *run
		ready := make(chan struct{})
		r = start(t, open(), opts.Patience, func(n int, _ frame.Frame) {
			<-ready
			r.cancel()
		})
		close(ready)
		r.ends(t, nil)
	})

	t.Run("CancelledBefore", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		done := make(chan error, 1)
		go func() { done <- open().Run(ctx, func(frame.Frame) {}) }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run under a context that has ended: %v (want nil)", err)
			}
		case <-time.After(opts.Patience):
			t.Fatalf("Run under a context that has ended goes on after %v", opts.Patience)
		}
	})

	if opts.Absent != nil {
		t.Run("Absent", func(t *testing.T) {
			r := start(t, opts.Absent(), opts.Patience, nil)
			r.ends(t, device.ErrAbsent)
			if n := r.count.Load(); n != 0 {
				t.Errorf("a camera that is not there gave %d frames", n)
			}
		})
	}
	if opts.Unplug != nil && opts.Plug != nil {
		t.Run("Unplugged", func(t *testing.T) {
			c := open()
			r := start(t, c, opts.Patience, nil)
			r.frames(t, 2)
			opts.Unplug()
			r.ends(t, device.ErrAbsent)
			start(t, c, opts.Patience, nil).ends(t, device.ErrAbsent)
			opts.Plug()
			r = start(t, c, opts.Patience, nil)
			r.frames(t, 2)
			r.stop(t)
		})
	}
	if opts.Stall != nil {
		t.Run("Stalled", func(t *testing.T) {
			r := start(t, open(), opts.Patience, nil)
			r.frames(t, 2)
			opts.Stall()
			r.ends(t, device.ErrStall)
		})
	}
}

// A run is one call of a camera's Run.
type run struct {
	patience time.Duration
	cancel   context.CancelFunc
	count    atomic.Int64
	frame    chan struct{} // holds a token when count grew
	done     chan error
}

// start calls Run and look (which may be nil) for every frame, n from 1.
func start(t *testing.T, c device.Camera, patience time.Duration, look func(n int, f frame.Frame)) *run {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &run{patience: patience, cancel: cancel, frame: make(chan struct{}, 1), done: make(chan error, 1)}
	t.Cleanup(cancel)
	var busy, ended atomic.Bool
	go func() {
		err := c.Run(ctx, func(f frame.Frame) {
			if ended.Load() {
				t.Error("emit was called after Run had returned")
				return
			}
			if busy.Swap(true) {
				t.Error("emit was called while it was running")
			}
			n := r.count.Load() + 1
			if look != nil {
				look(int(n), f)
			}
			busy.Store(false)
			r.count.Store(n)
			select {
			case r.frame <- struct{}{}:
			default:
			}
		})
		ended.Store(true)
		r.done <- err
	}()
	return r
}

// frames waits until n frames have come.
func (r *run) frames(t *testing.T, n int64) {
	t.Helper()
	late := time.After(r.patience)
	for r.count.Load() < n {
		select {
		case <-r.frame:
		case err := <-r.done:
			t.Fatalf("Run ended after %d frames (want %d): %v", r.count.Load(), n, err)
		case <-late:
			t.Fatalf("%d frames in %v (want %d)", r.count.Load(), r.patience, n)
		}
	}
}

// stop ends the context and expects that Run returns nil.
func (r *run) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	r.ends(t, nil)
}

// ends waits for Run to return an error that wraps want.
func (r *run) ends(t *testing.T, want error) {
	t.Helper()
	select {
	case err := <-r.done:
		if !errors.Is(err, want) {
			t.Fatalf("Run returned %v (want %v)", err, want)
		}
	case <-time.After(r.patience):
		t.Fatalf("Run goes on after %v (want %v)", r.patience, want)
	}
}

// checkTime reports a time that is outside [from, to] or lacks the monotonic
// reading without which it cannot be compared to another safely.
func checkTime(t *testing.T, what string, at, from, to time.Time) {
	t.Helper()
	if at == at.Round(0) {
		t.Errorf("%s has no monotonic reading", what)
	}
	if at.Before(from) {
		t.Errorf("%s is %v before the beginning", what, from.Sub(at))
	}
	if at.After(to) {
		t.Errorf("%s lies %v in the future", what, at.Sub(to))
	}
}

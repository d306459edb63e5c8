package sim

import (
	"bytes"
	"context"
	"errors"
	"image/color"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/device"
	"teachbox/device/devicetest"
	"teachbox/device/frame"
)

func newCamera(t testing.TB, d *Desk, o CameraOptions) *Camera {
	t.Helper()
	c, err := NewCamera(d, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCameraIsACamera(t *testing.T) {
	desk := newDesk(t, DeskOptions{Width: 64, Height: 48})
	var c *Camera
	devicetest.TestCamera(t, func() device.Camera {
		c = newCamera(t, desk, CameraOptions{Rate: 100, Jitter: HandHeld()})
		return c
	}, devicetest.CameraOptions{
		Absent: func() device.Camera {
			gone := newCamera(t, desk, CameraOptions{})
			gone.Unplug()
			return gone
		},
		Unplug: func() { c.Unplug() },
		Plug:   func() { c.Plug() },
		Stall:  func() { c.Stall() },
	})
}

func TestCameraRate(t *testing.T) {
	for _, rate := range []float64{-1, 0.05, 1001} {
		if _, err := NewCamera(newDesk(t, DeskOptions{Width: 2, Height: 2}), CameraOptions{Rate: rate}); err == nil {
			t.Errorf("a camera of %v frames a second was made", rate)
		}
	}
}

// TestCameraTime follows a camera through its faults.
func TestCameraTime(t *testing.T) {
	desk := newDesk(t, DeskOptions{Width: 64, Height: 48})
	synctest.Test(t, func(t *testing.T) {
		c := newCamera(t, desk, CameraOptions{Rate: 10})
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		count := 0
		done := make(chan error, 1)
		run := func() {
			done <- c.Run(ctx, func(f frame.Frame) {
				count++
				if !f.Taken.Equal(time.Now()) {
					t.Errorf("frame %d was taken at %v (want now)", f.Seq, f.Taken)
				}
			})
		}
		go run()
		time.Sleep(950 * time.Millisecond)
		synctest.Wait()
		if count != 10 {
			t.Errorf("%d frames in 950 ms (want 10)", count)
		}

		c.Stall()
		if err := <-done; !errors.Is(err, device.ErrStall) {
			t.Errorf("Run returned %v (want %v)", err, device.ErrStall)
		}
		if got, want := time.Since(began), 2950*time.Millisecond; got != want {
			t.Errorf("the stall was noticed after %v (want %v)", got, want)
		}
		if count != 10 {
			t.Errorf("a stalled camera gave %d frames", count-10)
		}

		// A stall that ends by itself is no fault.
		go run()
		time.Sleep(time.Second)
		c.Plug()
		synctest.Wait()
		if count != 11 {
			t.Errorf("%d frames after the stall (want 1)", count-10)
		}

		c.Unplug()
		if err := <-done; !errors.Is(err, device.ErrAbsent) {
			t.Errorf("Run returned %v (want %v)", err, device.ErrAbsent)
		}
		c.Plug()
		go run()
		synctest.Wait()
		c.Stall()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v (want nil)", err)
		}
	})
}

// film returns the pixels of the first n frames.
func film(t *testing.T, desk *Desk, n int, o CameraOptions) (pixels [][]byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var tapped []byte
		o.OnFrame = func(f frame.Frame) { tapped = bytes.Clone(f.Pix) }
		err := newCamera(t, desk, o).Run(ctx, func(f frame.Frame) {
			if err := f.Check(); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(tapped, f.Pix) {
				t.Error("OnFrame saw another frame than emit")
			}
			pixels = append(pixels, bytes.Clone(f.Pix))
			if len(pixels) == n {
				cancel()
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
	return pixels
}

func TestJitter(t *testing.T) {
	desk := newDesk(t, DeskOptions{Width: 64, Height: 48})
	if err := desk.Show("cup"); err != nil {
		t.Fatal(err)
	}
	still := film(t, desk, 3, CameraOptions{Seed: 5})
	s := desk.scene.Load()
	for i, pix := range still {
		for at := range s.y {
			if pix[2*at] != s.y[at] || pix[2*at+1] != append(s.cb[at/2:at/2+1:at/2+1], s.cr[at/2])[at%2] {
				t.Fatalf("without jitter pixel %d of frame %d is not the scene's", at, i+1)
			}
		}
	}
	one := film(t, desk, 3, CameraOptions{Seed: 5, Jitter: HandHeld()})
	again := film(t, desk, 3, CameraOptions{Seed: 5, Jitter: HandHeld()})
	other := film(t, desk, 3, CameraOptions{Seed: 6, Jitter: HandHeld()})
	for i := range one {
		if !bytes.Equal(one[i], again[i]) {
			t.Errorf("frame %d differs although the seed is the same", i+1)
		}
		if bytes.Equal(one[i], other[i]) {
			t.Errorf("frame %d is the same although the seed differs", i+1)
		}
		if bytes.Equal(one[i], one[(i+1)%3]) {
			t.Errorf("frame %d is like the next in spite of jitter", i+1)
		}
	}
}

// TestEachJitter: every kind of jitter changes what it should, within bounds.
func TestEachJitter(t *testing.T) {
	desk := newDesk(t, DeskOptions{Width: 64, Height: 48})
	// Luma rises by 2 a pixel to the right, from 16.
	ramp := uniform(64, 48, color.Black)
	desk.ShowImage("ramp", ramp)
	s := *desk.scene.Load()
	for i := range s.y {
		s.y[i] = uint8(16 + 2*(i%64))
	}
	desk.scene.Store(&s)
	for name, test := range map[string]struct {
		jitter Jitter
		most   int // levels that luma may change
	}{
		"shift": {Jitter{Shift: 0.05}, 8},    // 3.2 pixels, and rounding
		"scale": {Jitter{Scale: 0.1}, 10},    // 3.6 pixels at the edges, and rounding
		"light": {Jitter{Light: 0.1}, 14},    // a tenth of 128
		"noise": {Jitter{Noise: 2}, 14},      // seven deviations
		"dark":  {Jitter{Noise: 1000}, 235},  // held within the range of luma
		"flash": {Jitter{Light: 1000}, 1000}, // the same
		"all":   {HandHeld(), 30},
	} {
		changed := false
		for _, pix := range film(t, desk, 5, CameraOptions{Jitter: test.jitter}) {
			for at, want := range s.y {
				got := pix[2*at]
				if got < 16 || got > 235 {
					t.Fatalf("%s: luma %d (want 16 to 235)", name, got)
				}
				diff := int(max(got, want) - min(got, want))
				if changed = changed || diff > 0; diff > test.most {
					t.Fatalf("%s: pixel %d,%d is %d instead of %d (want at most %d apart)",
						name, at%64, at/64, got, want, test.most)
				}
			}
		}
		if !changed {
			t.Errorf("%s: nothing changed", name)
		}
	}
}

package devicetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/device"
	"teachbox/device/devicetest"
	"teachbox/device/frame"
)

func TestFakeCamera(t *testing.T) {
	grey := frame.Frame{Format: frame.YUYV, Width: 2, Height: 1, Stride: 4, Pix: []byte{128, 128, 128, 128}}
	devicetest.TestCamera(t, func() device.Camera {
		return &devicetest.FakeCamera{Next: func(ctx context.Context) (frame.Frame, error) {
			select {
			case <-ctx.Done():
				return frame.Frame{}, ctx.Err()
			case <-time.After(time.Millisecond):
				return grey, nil
			}
		}}
	}, devicetest.CameraOptions{
		Absent: func() device.Camera {
			none := make(chan frame.Frame)
			close(none)
			return &devicetest.FakeCamera{Next: devicetest.Frames(none, device.ErrAbsent)}
		},
	})
}

func TestFakePanel(t *testing.T) {
	devicetest.TestPanel(t, func(*testing.T) devicetest.Bench {
		p := devicetest.NewFakePanel()
		return devicetest.Bench{
			Panel:  p,
			Wiring: device.Wiring{Slots: device.MaxSlots, Nothing: true, Status: true},
			Press:  p.Press, Release: p.Release, Lights: p.Lights,
		}
	})
}

func TestFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := make(chan frame.Frame)
		camera := &devicetest.FakeCamera{Next: devicetest.Frames(c, device.ErrStall)}
		var got []frame.Frame
		done := make(chan error)
		go func() {
			done <- camera.Run(t.Context(), func(f frame.Frame) { got = append(got, f) })
		}()
		taken := time.Now().Add(-time.Second)
		c <- frame.Frame{Pix: []byte{1}}
		c <- frame.Frame{Pix: []byte{2}, Taken: taken, Seq: 7}
		close(c)
		if err := <-done; !errors.Is(err, device.ErrStall) {
			t.Errorf("Run returned %v (want %v)", err, device.ErrStall)
		}
		if len(got) != 2 {
			t.Fatalf("%d frames (want 2)", len(got))
		}
		if got[0].Seq != 1 || !got[0].Taken.Equal(time.Now()) {
			t.Errorf("first frame: Seq %d, Taken %v (want 1, now)", got[0].Seq, got[0].Taken)
		}
		if got[1].Seq != 7 || !got[1].Taken.Equal(taken) {
			t.Errorf("second frame: Seq %d, Taken %v (want 7, %v)", got[1].Seq, got[1].Taken, taken)
		}
	})
}

func TestFakePanelFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := devicetest.NewFakePanel()
		gone := errors.New("gone")
		done := make(chan error)
		go func() { done <- p.Watch(t.Context(), func(device.Edge) {}) }()
		synctest.Wait()
		p.Fail(gone)
		if err := <-done; err != gone {
			t.Errorf("Watch returned %v (want %v)", err, gone)
		}
		if err := p.Show(1); err != gone {
			t.Errorf("Show returned %v (want %v)", err, gone)
		}
		p.Fail(nil)
		if err := p.Show(1); err != nil || p.Lights() != 1 {
			t.Errorf("after mending: Show returned %v, the LEDs show %v", err, p.Lights())
		}
	})
}

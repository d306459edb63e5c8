package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/device"
	"teachbox/device/devicetest"
	"teachbox/device/frame"
)

func TestLook(t *testing.T) {
	yuyv := func(luma byte) frame.Frame {
		return frame.Frame{Format: frame.YUYV, Width: 64, Height: 48, Stride: 128, Pix: bytes.Repeat([]byte{luma, 128}, 64*48)}
	}
	var picture bytes.Buffer
	if err := jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 80, 60)), nil); err != nil {
		t.Fatal(err)
	}
	// every gives a frame each 45 ms that is 12 ms old.
	every := func(f frame.Frame) func(context.Context) (frame.Frame, error) {
		return func(ctx context.Context) (frame.Frame, error) {
			select {
			case <-ctx.Done():
				return f, ctx.Err()
			case <-time.After(45 * time.Millisecond):
				f.Taken = time.Now().Add(-12 * time.Millisecond)
				return f, nil
			}
		}
	}
	for _, tt := range []struct {
		name string
		next func(context.Context) (frame.Frame, error)
		want string
	}{
		{"well", every(yuyv(128)), "camera: ok: 23 frames in 1.0 s, YUYV 64×48, 12 ms old on arrival"},
		{"dark", every(yuyv(16)), "camera: ok: 23 frames in 1.0 s, YUYV 64×48, 12 ms old on arrival; the picture is dark: is the lens covered?"},
		{"JPEG", every(frame.Frame{Format: frame.JPEG, Pix: picture.Bytes()}),
			"camera: ok: 23 frames in 1.0 s, JPEG 80×60, 12 ms old on arrival; the picture is dark: is the lens covered?"},
		{"unreadable", every(frame.Frame{Format: frame.JPEG, Pix: []byte("no JPEG")}),
			"camera: FAILED: malformed frame: JPEG: invalid JPEG format: missing SOI marker: choose another size or camera"},
		{"silent", func(ctx context.Context) (frame.Frame, error) { <-ctx.Done(); return frame.Frame{}, ctx.Err() },
			"camera: FAILED: no picture within 20s: unplug it and plug it in again"},
		{"in use", func(context.Context) (frame.Frame, error) {
			return frame.Frame{}, fmt.Errorf("camera: %w", device.ErrBusy)
		},
			"camera: FAILED: camera: in use"},
		{"absent", func(context.Context) (frame.Frame, error) { return frame.Frame{}, device.ErrAbsent }, "camera: FAILED: not there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := look(t.Context(), &devicetest.FakeCamera{Next: tt.next})
				if got := joined(": ", f.part, string(f.result), f.note); got != tt.want {
					t.Errorf("found %s\n(want %s)", got, tt.want)
				}
			})
		})
	}
	t.Run("falls silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := make(chan frame.Frame)
			go func() { c <- yuyv(128) }()
			f := look(t.Context(), &devicetest.FakeCamera{Next: devicetest.Frames(c, errors.New("closed"))})
			if want := "one picture, then none for 1 s: check its cable"; f.result != failed || f.note != want {
				t.Errorf("found %s: %s (want %s: %s)", f.result, f.note, failed, want)
			}
		})
	})
	t.Run("told to end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(500*time.Millisecond, cancel)
			if f := look(ctx, &devicetest.FakeCamera{Next: every(yuyv(128))}); f.result != untested {
				t.Errorf("result %s (want %s)", f.result, untested)
			}
		})
	})
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"image/jpeg"
	"time"

	"teachbox/device"
	"teachbox/device/frame"
	"teachbox/inference"
	"teachbox/inference/preprocess"
)

const (
	// firstFrame is how long a camera may take to give its first frame:
	// rpicam-vid needs seconds on a small board.
	firstFrame = 20 * time.Second
	// lookTime is for how long frames are taken then.
	lookTime = time.Second
)

// look takes frames from a camera for a second and says what came. Darkness is
// noted and is no failure: it may be night.
func look(ctx context.Context, c device.Camera) finding {
	f := finding{part: "camera", result: failed}
	looking, enough := context.WithTimeout(ctx, firstFrame)
	defer enough()
	var last frame.Frame // its pixels are a copy
	var began, ended time.Time
	var ages time.Duration
	var n int
	err := c.Run(looking, func(got frame.Frame) {
		ended = time.Now()
		if n == 0 {
			began = ended
			time.AfterFunc(lookTime, enough)
		}
		n++
		ages += ended.Sub(got.Taken)
		pix := append(last.Pix[:0], got.Pix...)
		last = got
		last.Pix = pix
	})
	switch {
	case ctx.Err() != nil:
		return finding{part: f.part, result: untested}
	case err != nil:
		f.note = endBox(err).Error()
		return f
	case n == 0:
		f.note = fmt.Sprintf("no picture within %v: unplug it and plug it in again", firstFrame)
		return f
	case n == 1:
		f.note = fmt.Sprintf("one picture, then none for %.0f s: check its cable", lookTime.Seconds())
		return f
	}
	dark, err := isDark(last)
	if err != nil {
		f.note = fmt.Sprintf("%v: choose another size or camera", err)
		return f
	}
	f.result = passed
	f.note = fmt.Sprintf("%d frames in %.1f s, %s, %d ms old on arrival", n, ended.Sub(began).Seconds(), sized(last), (ages / time.Duration(n)).Milliseconds())
	if dark {
		f.note += "; the picture is dark: is the lens covered?"
	}
	return f
}

// isDark reports whether a frame shows next to nothing. The error says that it
// cannot be read.
func isDark(f frame.Frame) (bool, error) {
	p, err := preprocess.New(preprocess.Options{Width: usualEye, Height: usualEye})
	if err != nil {
		return false, err
	}
	tensor := make([]uint8, usualEye*usualEye*3)
	if err := p.Fill(tensor, f); err != nil {
		return false, err
	}
	return preprocess.Dark(p.Measure(tensor, new(inference.Thumb))), nil
}

// sized names the format and the size of a frame that can be read.
func sized(f frame.Frame) string {
	if f.Format == frame.JPEG {
		if c, err := jpeg.DecodeConfig(bytes.NewReader(f.Pix)); err == nil {
			f.Width, f.Height = c.Width, c.Height
		}
	}
	return fmt.Sprintf("%v %d×%d", f.Format, f.Width, f.Height)
}

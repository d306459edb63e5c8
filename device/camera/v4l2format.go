package camera

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/vladimirvivien/go4vl/v4l2"

	"teachbox/device/frame"
)

// A Format is one layout of pixels that a camera offers.
type Format struct {
	Code  uint32 // the four characters of V4L2, the first in the low byte
	Name  string // as the driver gives it, such as "Motion-JPEG"
	Sizes []Size // for the formats that the box can read
}

// String is the four characters, such as "YUYV".
func (f Format) String() string { return fourCC(f.Code) }

func fourCC(code uint32) string {
	b := []byte{byte(code), byte(code >> 8), byte(code >> 16), byte(code >> 24)}
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return strings.TrimRight(string(b), " ")
}

// A Size is one size of picture that a camera offers, or a range of sizes. In a
// range, Width and Height are the greatest.
type Size struct {
	Width, Height         int     // pixels
	MinWidth, MinHeight   int     // of a range; else 0
	StepWidth, StepHeight int     // of a range, from its least; else 0
	Rate                  float64 // most frames a second; 0: the driver does not say
}

// String is such as "640×480, 30/s" or "32×32 to 2592×1944".
func (s Size) String() string {
	text := fmt.Sprintf("%d×%d", s.Width, s.Height)
	if s.MinWidth > 0 {
		text = fmt.Sprintf("%d×%d to %s", s.MinWidth, s.MinHeight, text)
	}
	if s.Rate > 0 {
		text += fmt.Sprintf(", %.3g/s", s.Rate)
	}
	return text
}

// preferred lists the formats that the box can read, best first. YUYV costs the
// least to look at; MJPEG must be decoded, but is all that fits on USB 2 at
// some sizes; RGB is no better than YUYV and half as large again.
func preferred() []uint32 {
	return []uint32{v4l2.PixelFmtYUYV, v4l2.PixelFmtMJPEG, v4l2.PixelFmtJPEG, v4l2.PixelFmtRGB24}
}

// frameFormat translates a code. ok is false for what the box cannot read.
func frameFormat(code uint32) (f frame.Format, ok bool) {
	switch code {
	case v4l2.PixelFmtYUYV:
		return frame.YUYV, true
	case v4l2.PixelFmtMJPEG, v4l2.PixelFmtJPEG:
		return frame.JPEG, true
	case v4l2.PixelFmtRGB24:
		return frame.RGB, true
	}
	return 0, false
}

func (f Format) readable() bool {
	_, ok := frameFormat(f.Code)
	return ok
}

// A choice is the format and size to ask a camera for.
type choice struct {
	code          uint32
	width, height int
}

// slow is the rate below which another format is better: the box looks at 10
// frames a second and more.
const slow = 10

// choose picks format and size. The size comes first: the one nearest to the
// wish, or the smallest that is large enough, or the largest. Among the formats
// that have such a size the first in order of preference is taken, unless it is
// slow there and another is not. ok is false if the box can read none.
func choose(formats []Format, o Options) (best choice, ok bool) {
	type candidate struct {
		choice
		short int // what is missing of the wanted size; 0: nothing
		slow  int // 1: fewer frames than the box could use
		rank  int // of the format, less is better
	}
	var first candidate
	for rank, code := range preferred() {
		for _, f := range formats {
			if f.Code != code {
				continue
			}
			for _, s := range f.Sizes {
				w, h, short := s.nearest(o)
				if frame.CheckSize(w, h) != nil {
					continue
				}
				c := candidate{choice: choice{code, w, h}, short: short, rank: rank}
				if s.Rate > 0 && s.Rate < slow {
					c.slow = 1
				}
				better := cmp.Or(
					cmp.Compare(c.short, first.short),
					cmp.Compare(c.slow, first.slow),
					cmp.Compare(c.rank, first.rank),
					cmp.Compare(c.width*c.height, first.width*first.height),
				) < 0
				if !ok || better {
					first, ok = c, true
				}
			}
		}
	}
	return first.choice, ok
}

// nearest returns the size of the range that comes closest to what o wants, and
// how much it falls short: the distance to a wish, or the pixels missing of a
// least size, both sides together.
func (s Size) nearest(o Options) (w, h, short int) {
	wide, high := o.Width, o.Height
	if wide == 0 {
		wide, high = o.MinWidth, o.MinHeight
	}
	w = fit(wide, cmp.Or(s.MinWidth, s.Width), s.Width, s.StepWidth)
	h = fit(high, cmp.Or(s.MinHeight, s.Height), s.Height, s.StepHeight)
	if o.Width > 0 {
		return w, h, abs(w-wide) + abs(h-high)
	}
	return w, h, max(0, wide-w) + max(0, high-h)
}

// fit returns the least number of lo, lo+step, …, hi that is at least n, or the
// greatest there is.
func fit(n, lo, hi, step int) int {
	step = max(1, step)
	if n > lo {
		n = lo + (n-lo+step-1)/step*step
	}
	return min(max(n, lo), lo+(hi-lo)/step*step)
}

func abs(n int) int { return max(n, -n) }

// A layout is what a driver settled on.
type layout struct {
	format                frame.Format
	width, height, stride int // as in frame.Frame
}

// layoutOf reads the driver's answer. The error says what is wrong with it.
func layoutOf(p v4l2.PixFormat) (layout, error) {
	format, ok := frameFormat(p.PixelFormat)
	if !ok {
		return layout{}, fmt.Errorf("it gives %s after all", fourCC(p.PixelFormat))
	}
	l := layout{format: format, width: int(p.Width), height: int(p.Height)}
	if err := frame.CheckSize(l.width, l.height); err != nil {
		return layout{}, err
	}
	row := 0
	switch format {
	case frame.YUYV:
		row = (l.width + 1) / 2 * 4
	case frame.RGB:
		row = 3 * l.width
	case frame.JPEG:
		return l, nil
	}
	// Some drivers leave the stride out where rows follow each other closely.
	if l.stride = cmp.Or(int(p.BytesPerLine), row); l.stride < row {
		return layout{}, fmt.Errorf("its rows of %d pixels are %d bytes apart", l.width, l.stride)
	}
	return l, nil
}

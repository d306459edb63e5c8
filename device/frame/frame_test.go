package frame

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		f    Frame
		want string // part of the error; none if empty
	}{
		{"YUYV", Frame{Format: YUYV, Width: 4, Height: 2, Stride: 8, Pix: make([]byte, 16)}, ""},
		{"YUYV of odd width", Frame{Format: YUYV, Width: 3, Height: 1, Stride: 8, Pix: make([]byte, 8)}, ""},
		{"RGB", Frame{Format: RGB, Width: 4, Height: 2, Stride: 12, Pix: make([]byte, 24)}, ""},
		{"one pixel", Frame{Format: RGB, Width: 1, Height: 1, Stride: 3, Pix: make([]byte, 3)}, ""},
		{"JPEG", Frame{Format: JPEG, Pix: []byte{0xff}}, ""},
		{"padded rows", Frame{Format: RGB, Width: 4, Height: 2, Stride: 16, Pix: make([]byte, 32)}, ""},
		{"no padding after the last row", Frame{Format: RGB, Width: 4, Height: 2, Stride: 16, Pix: make([]byte, 28)}, ""},
		{"more bytes than needed", Frame{Format: RGB, Width: 4, Height: 2, Stride: 12, Pix: make([]byte, 100)}, ""},
		{"a single row, the longest stride", Frame{Format: RGB, Width: 4, Height: 1, Stride: maxStride, Pix: make([]byte, 12)}, ""},

		{"zero value", Frame{}, "unknown format Format(0)"},
		{"unknown format", Frame{Format: 99, Width: 1, Height: 1, Stride: 4, Pix: make([]byte, 4)}, "unknown format Format(99)"},
		{"empty JPEG", Frame{Format: JPEG, Width: 4, Height: 4}, "JPEG without data"},
		{"no width", Frame{Format: RGB, Height: 1, Stride: 3, Pix: make([]byte, 3)}, "0×1 pixels"},
		{"no height", Frame{Format: RGB, Width: 1, Stride: 3, Pix: make([]byte, 3)}, "1×0 pixels"},
		{"negative size", Frame{Format: YUYV, Width: -2, Height: -2, Stride: 4, Pix: make([]byte, 16)}, "-2×-2 pixels"},
		{"too wide", Frame{Format: RGB, Width: MaxSide + 1, Height: 1, Stride: 3 * (MaxSide + 1), Pix: make([]byte, 3*(MaxSide+1))}, "8193×1 pixels"},
		{"too high", Frame{Format: RGB, Width: 1, Height: MaxSide + 1, Stride: 3, Pix: make([]byte, 3*(MaxSide+1))}, "1×8193 pixels"},
		{"too many pixels", Frame{Format: RGB, Width: MaxSide, Height: MaxSide, Stride: 3 * MaxSide}, "25165824 in all"},
		{"width that overflows", Frame{Format: YUYV, Width: math.MaxInt, Height: 1, Stride: 8, Pix: make([]byte, 8)}, "pixels"},
		{"short stride", Frame{Format: RGB, Width: 4, Height: 2, Stride: 11, Pix: make([]byte, 24)}, "stride 11 (want 12, the bytes of a row, to "},
		{"short stride, odd YUYV", Frame{Format: YUYV, Width: 3, Height: 2, Stride: 6, Pix: make([]byte, 16)}, "stride 6 (want 8, "},
		{"a byte short", Frame{Format: YUYV, Width: 4, Height: 2, Stride: 8, Pix: make([]byte, 15)}, "15 bytes (want rows 8 bytes apart for YUYV 4×2)"},
		{"a byte short of padded rows", Frame{Format: RGB, Width: 4, Height: 3, Stride: 16, Pix: make([]byte, 43)}, "43 bytes"},
		{"a byte short of a single row", Frame{Format: RGB, Width: 4, Height: 1, Stride: 12, Pix: make([]byte, 11)}, "11 bytes"},
		{"long stride", Frame{Format: RGB, Width: 4, Height: 1, Stride: maxStride + 1, Pix: make([]byte, 12)}, "stride 131073 (want 12, "},
		{"stride that overflows", Frame{Format: RGB, Width: 1, Height: 5, Stride: 1 << 62, Pix: make([]byte, 3)}, "stride"},
	} {
		t.Run(c.name, func(t *testing.T) {
			switch err := c.f.Check(); {
			case c.want == "":
				if err != nil {
					t.Error(err)
				}
			case !errors.Is(err, ErrMalformed) || !strings.Contains(fmt.Sprint(err), c.want):
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		})
	}
}

// FuzzCheck holds that a frame which passes can be read to its last pixel.
func FuzzCheck(f *testing.F) {
	f.Add(uint8(YUYV), 3, 2, 8, 16)
	f.Add(uint8(RGB), 4, 2, 12, 24)
	f.Add(uint8(RGB), 1, 5, 1<<62, 3)
	f.Add(uint8(JPEG), 0, 0, 0, 1)
	f.Fuzz(func(t *testing.T, format uint8, width, height, stride, size int) {
		if size < 0 || size > 1<<20 {
			return
		}
		p := Frame{Format: Format(format), Width: width, Height: height, Stride: stride, Pix: make([]byte, size)}
		if err := p.Check(); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v", err)
			}
			return
		}
		if p.Format == JPEG {
			return // its size is a hint only
		}
		row := map[Format]int{YUYV: (width + 1) / 2 * 4, RGB: 3 * width}[p.Format]
		for y := range height {
			_ = p.Pix[y*stride : y*stride+row]
		}
	})
}

func TestFormatString(t *testing.T) {
	for f, want := range map[Format]string{YUYV: "YUYV", JPEG: "JPEG", RGB: "RGB", 0: "Format(0)", 200: "Format(200)"} {
		if got := f.String(); got != want {
			t.Errorf("format %d: %q, want %q", uint8(f), got, want)
		}
	}
}

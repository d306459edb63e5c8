// Package frame holds one picture from a camera and the mailbox that hands on
// the newest one. It is a leaf: it imports nothing of this module.
package frame

import (
	"errors"
	"fmt"
	"time"
)

// MaxSide bounds the width and the height of a frame, in pixels.
const MaxSide = 8192

// MaxPixels bounds the area of a frame, so that no source can make the box
// allocate without limit: 24 megapixels is beyond every camera a box carries.
const MaxPixels = 24 << 20

// maxStride bounds the bytes from one row to the next: no driver pads a row to
// several times its length.
const maxStride = 16 * MaxSide

// Format says how the bytes of a frame are laid out.
type Format uint8

// The formats that the box understands.
const (
	YUYV Format = iota + 1 // packed 4:2:2, Y0 Cb Y1 Cr, BT.601 limited range, 2 bytes a pixel
	JPEG                   // one JPEG or MJPEG picture, with or without Huffman tables
	RGB                    // packed 8-bit R G B, 3 bytes a pixel
)

// String names the format as the configuration and V4L2 do.
func (f Format) String() string {
	switch f {
	case YUYV:
		return "YUYV"
	case JPEG:
		return "JPEG"
	case RGB:
		return "RGB"
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// A Frame is one picture and the moment at which it was taken.
type Frame struct {
	Format Format
	Width  int    // pixels; for JPEG 0 until the header was read
	Height int    // pixels; for JPEG 0 until the header was read
	Stride int    // bytes from one row to the next; 0 for JPEG
	Pix    []byte // the pixels, or the compressed picture
	// Taken is when the picture was taken, with a monotonic reading. A source
	// that does not know gives the earliest moment possible: the arrival less
	// its own greatest latency. So "Taken is not before t" is always safe to
	// read as "this picture shows the desk at t or later".
	Taken time.Time
	// Seq counts the frames of one source from 1; a gap is a dropped frame.
	Seq uint64
}

// ErrMalformed is wrapped by every error of Check and CheckSize.
var ErrMalformed = errors.New("malformed frame")

// CheckSize reports whether a picture of that size is within bounds. The error
// wraps ErrMalformed.
func CheckSize(width, height int) error {
	if width < 1 || height < 1 || width > MaxSide || height > MaxSide || width*height > MaxPixels {
		return fmt.Errorf("%w: %d×%d pixels (want 1×1 to %d a side and %d in all)", ErrMalformed, width, height, MaxSide, MaxPixels)
	}
	return nil
}

// Check reports whether the pixels that Width, Height and Stride promise are
// there. The error wraps ErrMalformed.
func (f *Frame) Check() error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, a...)...)
	}
	if f.Format == JPEG {
		if len(f.Pix) == 0 {
			return bad("JPEG without data")
		}
		return nil
	}
	var row int // bytes of one row
	switch f.Format {
	case YUYV:
		row = (f.Width + 1) / 2 * 4
	case RGB:
		row = f.Width * 3
	default:
		return bad("unknown format %v", f.Format)
	}
	if err := CheckSize(f.Width, f.Height); err != nil {
		return err
	}
	if f.Stride < row || f.Stride > maxStride {
		return bad("stride %d (want %d, the bytes of a row, to %d)", f.Stride, row, maxStride)
	}
	// Divided, not multiplied: the product with a stride from outside may overflow.
	if len(f.Pix) < row || (len(f.Pix)-row)/f.Stride < f.Height-1 {
		return bad("%d bytes (want rows %d bytes apart for %v %d×%d)", len(f.Pix), f.Stride, f.Format, f.Width, f.Height)
	}
	return nil
}

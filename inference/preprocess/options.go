package preprocess

import (
	"fmt"
	"strings"

	"teachbox/device/frame"
	"teachbox/inference"
)

// Options says which part of the picture the backbone is shown, and how. The
// order is crop, then rotation, then flip.
type Options struct {
	Width, Height int // of the input tensor, in pixels; bounded as a frame is
	// Crop is the part of the frame that is scaled to the tensor, as
	// inference.ParseCrop reads it; "" is all of it.
	Crop     string
	Flip     string // "", "h" left to right, "v" top to bottom, "hv" both
	Rotation int    // degrees clockwise: 0, 90, 180, 270
}

// check reports the first option that is wrong. It returns the crop, all of the
// frame if there is none, and spells Crop in one way only.
func (o *Options) check() (crop inference.Crop, err error) {
	if err := frame.CheckSize(o.Width, o.Height); err != nil {
		return crop, fmt.Errorf("input tensor: %w", err)
	}
	crop = inference.Squash()
	if o.Crop != "" {
		if crop, err = inference.ParseCrop(o.Crop); err != nil {
			return crop, err
		}
	}
	o.Crop = crop.String()
	switch o.Flip {
	case "", "h", "v", "hv":
	default:
		return crop, fmt.Errorf(`flip %q: want "", "h", "v" or "hv"`, o.Flip)
	}
	switch o.Rotation {
	case 0, 90, 180, 270:
	default:
		return crop, fmt.Errorf("rotation %d: want 0, 90, 180 or 270 degrees", o.Rotation)
	}
	return crop, nil
}

// A placement says where in the tensor the outputs along the source's axes go.
type placement struct {
	across, down int // number of outputs along a source row, and of such rows
	origin       int // index in the tensor of the first output's red
	right, below int // from there to the next output along the row, to the next row
}

func place(o Options) placement {
	w, h := o.Width, o.Height
	pl := placement{across: w, down: h}
	if o.Rotation%180 != 0 {
		pl.across, pl.down = h, w
	}
	index := func(i, j int) int {
		var x, y int
		switch o.Rotation {
		case 0:
			x, y = i, j
		case 90:
			x, y = w-1-j, i
		case 180:
			x, y = w-1-i, h-1-j
		case 270:
			x, y = j, h-1-i
		}
		if strings.Contains(o.Flip, "h") {
			x = w - 1 - x
		}
		if strings.Contains(o.Flip, "v") {
			y = h - 1 - y
		}
		return (y*w + x) * 3
	}
	pl.origin = index(0, 0)
	pl.right = index(1, 0) - pl.origin
	pl.below = index(0, 1) - pl.origin
	return pl
}

package preprocess

import (
	"fmt"
	"strconv"
	"strings"

	"teachbox/device/frame"
)

// Options says which part of the picture the backbone is shown, and how. The
// order is crop, then rotation, then flip.
type Options struct {
	Width, Height int // of the input tensor, in pixels; bounded as a frame is
	// Crop is the part of the frame, as the camera gives it, that is scaled
	// to the tensor: "squash" or "" for all of it, "center" for the greatest
	// centred square, or "x,y,w,h" as fractions of the frame, 0 to 1, from its
	// top left corner. Proportions are not kept.
	Crop     string
	Flip     string // "", "h" left to right, "v" top to bottom, "hv" both
	Rotation int    // degrees clockwise: 0, 90, 180, 270
}

// The crops that have a name.
const (
	Squash = "squash"
	Center = "center"
)

// check reports the first option that is wrong. It returns the region that Crop
// is, all of the frame if it is none, and spells Crop in one way only.
func (o *Options) check() (region [4]float64, err error) {
	region = [4]float64{0, 0, 1, 1}
	if err := frame.CheckSize(o.Width, o.Height); err != nil {
		return region, fmt.Errorf("input tensor: %w", err)
	}
	switch o.Crop {
	case "":
		o.Crop = Squash
	case Squash, Center:
	default:
		if region, err = parseRegion(o.Crop); err != nil {
			return region, err
		}
		o.Crop = fmt.Sprintf("%v,%v,%v,%v", region[0], region[1], region[2], region[3])
	}
	switch o.Flip {
	case "", "h", "v", "hv":
	default:
		return region, fmt.Errorf(`flip %q: want "", "h", "v" or "hv"`, o.Flip)
	}
	switch o.Rotation {
	case 0, 90, 180, 270:
	default:
		return region, fmt.Errorf("rotation %d: want 0, 90, 180 or 270 degrees", o.Rotation)
	}
	return region, nil
}

// parseRegion reads "x,y,w,h".
func parseRegion(s string) (r [4]float64, err error) {
	bad := func() ([4]float64, error) {
		return r, fmt.Errorf(`crop %q: want "squash", "center" or a region "x,y,w,h" inside the frame, in fractions such as "0.25,0,0.5,1"`, s)
	}
	parts := strings.Split(s, ",")
	if len(parts) != len(r) {
		return bad()
	}
	for i, part := range parts {
		v, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || !(v >= 0 && v <= 1) {
			return bad()
		}
		r[i] = v + 0 // -0 becomes 0
	}
	const slack = 1e-9 // 0.7 and 0.3 need not sum to 1 exactly
	if r[2] == 0 || r[3] == 0 || r[0]+r[2] > 1+slack || r[1]+r[3] > 1+slack {
		return bad()
	}
	return r, nil
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

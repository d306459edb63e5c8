package inference

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Crop is the part of a frame, as the camera gives it, that the backbone is
// shown. Proportions are not kept.
type Crop struct {
	Center bool // the greatest centred square; the rest is then 0
	// A region, in fractions of the frame, 0 to 1, from its top left corner.
	X, Y, Width, Height float64
}

// MinCrop is the least width and height of a region.
const MinCrop = 0.05

// Squash is the crop that shows all of the frame.
func Squash() Crop { return Crop{Width: 1, Height: 1} }

// ErrCrop is wrapped by the errors of ParseCrop.
var ErrCrop = errors.New(`want "squash", "center" or a region "x,y,w,h" inside the frame, in fractions such as "0.25,0,0.5,1", width and height at least 0.05`)

// ParseCrop reads "squash", "center" or "x,y,w,h".
func ParseCrop(s string) (Crop, error) {
	bad := func() (Crop, error) { return Crop{}, fmt.Errorf("crop %q: %w", s, ErrCrop) }
	switch s {
	case "squash":
		return Squash(), nil
	case "center":
		return Crop{Center: true}, nil
	}
	parts := strings.Split(s, ",")
	if len(parts) != 4 {
		return bad()
	}
	var v [4]float64
	for i, part := range parts {
		f, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || !(f >= 0 && f <= 1) {
			return bad()
		}
		v[i] = f + 0 // −0 becomes 0
	}
	const slack = 1e-9 // 0.7 and 0.3 need not sum to 1 exactly
	if v[2] < MinCrop || v[3] < MinCrop || v[0]+v[2] > 1+slack || v[1]+v[3] > 1+slack {
		return bad()
	}
	return Crop{X: v[0], Y: v[1], Width: v[2], Height: v[3]}, nil
}

// String is the one way in which a crop is written in a Space.
func (c Crop) String() string {
	switch c {
	case Squash():
		return "squash"
	case Crop{Center: true}:
		return "center"
	}
	short := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	return strings.Join([]string{short(c.X), short(c.Y), short(c.Width), short(c.Height)}, ",")
}

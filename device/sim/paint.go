package sim

import (
	"image"
	"math"
	"slices"
)

// A vec is a point or a direction. Things are drawn in a square from -1 to 1, x
// to the right and y down.
type vec struct{ x, y float64 }

// A tint is a colour, each part 0 to 1.
type tint struct{ r, g, b float64 }

// times makes a colour darker (k < 1) or lighter (k > 1).
func (c tint) times(k float64) tint { return tint{c.r * k, c.g * k, c.b * k} }

// A shade says how light falls on a shape, from the upper left.
type shade uint8

const (
	flat  shade = iota // a little lighter at the upper left
	round              // a sphere, as large as the shape
)

// A pen fills shapes: scaled, turned and moved onto a picture.
type pen struct {
	dst      *image.RGBA // premultiplied, transparent at first
	at       vec         // where the middle of the thing goes, in pixels
	size     float64     // pixels of one unit
	sin, cos float64     // of the turn
}

// subrows is how finely the edges of shapes are drawn, in rows of a pixel.
const subrows = 4

// fill fills the area that an odd number of the outlines enclose, so that an
// outline within another is a hole.
func (p *pen) fill(c tint, s shade, outlines ...[]vec) {
	moved := make([][]vec, len(outlines))
	low, high := vec{math.Inf(1), math.Inf(1)}, vec{math.Inf(-1), math.Inf(-1)}
	for i, outline := range outlines {
		for _, v := range outline {
			v = vec{p.at.x + p.size*(v.x*p.cos-v.y*p.sin), p.at.y + p.size*(v.x*p.sin+v.y*p.cos)}
			low = vec{min(low.x, v.x), min(low.y, v.y)}
			high = vec{max(high.x, v.x), max(high.y, v.y)}
			moved[i] = append(moved[i], v)
		}
	}
	middle := vec{(low.x + high.x) / 2, (low.y + high.y) / 2}
	reach := max(high.x-low.x, high.y-low.y) / 2

	bounds := p.dst.Rect
	cover := make([]float64, bounds.Dx()) // how much of each pixel of a row is inside
	var cuts []float64
	for y := max(0, int(low.y)); y < min(bounds.Dy(), int(high.y)+1); y++ {
		clear(cover)
		for sub := range subrows {
			line := float64(y) + (float64(sub)+0.5)/subrows
			cuts = cuts[:0]
			for _, outline := range moved {
				from := outline[len(outline)-1]
				for _, to := range outline {
					if (from.y <= line) != (to.y <= line) {
						cuts = append(cuts, from.x+(line-from.y)/(to.y-from.y)*(to.x-from.x))
					}
					from = to
				}
			}
			slices.Sort(cuts)
			for i := 0; i+1 < len(cuts); i += 2 {
				span(cover, cuts[i], cuts[i+1])
			}
		}
		row := p.dst.Pix[y*p.dst.Stride:]
		for x, part := range cover {
			if part == 0 {
				continue
			}
			toward := vec{(float64(x) + 0.5 - middle.x) / reach, (float64(y) + 0.5 - middle.y) / reach}
			blend(row[4*x:4*x+4], c.times(s.light(toward)), min(1, part/subrows))
		}
	}
}

// span adds the part of each pixel that lies between two places on a row.
func span(cover []float64, from, to float64) {
	from, to = max(from, 0), min(to, float64(len(cover)))
	for x := int(from); x < len(cover) && float64(x) < to; x++ {
		cover[x] += min(to, float64(x+1)) - max(from, float64(x))
	}
}

// light is how bright a shape is at a place, which is about -1 to 1 each way.
func (s shade) light(v vec) float64 {
	if s == flat {
		return 1 - 0.12*(v.x+v.y)
	}
	// Lambert's law on a sphere, the light at the upper left before it.
	z := math.Sqrt(max(0, 1-v.x*v.x-v.y*v.y))
	lambert := max(0, -0.5*v.x-0.6*v.y+0.62*z)
	return 0.45 + 0.65*lambert + 0.5*math.Pow(lambert, 24)
}

// blend lays a colour over a pixel; part is how much of the pixel it covers.
func blend(pix []uint8, c tint, part float64) {
	for i, v := range [4]float64{c.r, c.g, c.b, 1} {
		pix[i] = uint8(float64(pix[i])*(1-part) + 255*min(1, v)*part + 0.5)
	}
}

// ellipse is the outline of an ellipse.
func ellipse(cx, cy, rx, ry float64) []vec { return arc(cx, cy, rx, ry, 0, 360) }

// arc is a part of an ellipse's outline, from one angle to another, in degrees
// clockwise from the right.
func arc(cx, cy, rx, ry, from, to float64) []vec {
	const n = 48
	var list []vec
	for i := range n + 1 {
		sin, cos := math.Sincos((from + (to-from)*float64(i)/n) * math.Pi / 180)
		list = append(list, vec{cx + rx*cos, cy + ry*sin})
	}
	return list
}

// bar is the outline of a thick line with round ends.
func bar(from, to vec, thick float64) []vec {
	angle := math.Atan2(to.y-from.y, to.x-from.x) * 180 / math.Pi
	r := thick / 2
	return append(arc(to.x, to.y, r, r, angle-90, angle+90), arc(from.x, from.y, r, r, angle+90, angle+270)...)
}

// box is the outline of a rectangle.
func box(left, top, right, bottom float64) []vec {
	return []vec{{left, top}, {right, top}, {right, bottom}, {left, bottom}}
}

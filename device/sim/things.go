package sim

import (
	"image"
	"math"
	"math/rand/v2"
)

// variants is how many pictures of each drawn thing there are.
const variants = 12

// A drawing is a kind of thing that is drawn by code.
type drawing struct {
	name string
	tilt float64 // greatest turn either way, in degrees
	draw func(p *pen, r *rand.Rand)
}

// drawings lists the drawn things, clearly different in shape and in colour.
func drawings() []drawing {
	return []drawing{
		{"ball", 180, drawBall},
		{"cube", 8, drawCube},
		{"cup", 12, drawCup},
		{"leaf", 60, drawLeaf},
		{"star", 36, drawStar},
		{"fish", 20, drawFish},
		{"key", 60, drawKey},
		{"hand", 25, drawHand},
		{"pencil", 40, drawPencil},
		{"car", 8, drawCar},
	}
}

// place draws variant n of the thing on a transparent layer. What varies, apart
// from what the drawing itself varies, is the place, the size and the turn.
func (d drawing) place(width, height int, n uint64) *image.RGBA {
	r := rand.New(rand.NewPCG(n, uint64(len(d.name))<<8|uint64(d.name[0])))
	layer := image.NewRGBA(image.Rect(0, 0, width, height))
	short := float64(min(width, height))
	p := &pen{dst: layer}
	p.at.x = float64(width)/2 + short*about(r, 0, 0.09)
	p.at.y = float64(height)/2 + short*about(r, 0, 0.06)
	p.size = short * about(r, 0.36, 0.05)
	p.sin, p.cos = math.Sincos(about(r, 0, d.tilt) * math.Pi / 180)
	d.draw(p, r)
	return layer
}

// about is a random number within spread of middle.
func about(r *rand.Rand, middle, spread float64) float64 {
	return middle + spread*(2*r.Float64()-1)
}

// near is a colour like c, a little darker or lighter and of another hue.
func near(r *rand.Rand, c tint) tint {
	k := about(r, 1, 0.1)
	return tint{c.r*k + about(r, 0, 0.06), c.g*k + about(r, 0, 0.06), c.b*k + about(r, 0, 0.06)}
}

func drawBall(p *pen, r *rand.Rand) {
	white := near(r, tint{0.92, 0.9, 0.86})
	p.fill(near(r, tint{0.85, 0.12, 0.12}), round, ellipse(0, 0, 0.9, 0.9))
	// Two bands from pole to pole, as a beach ball has them.
	wide := about(r, 0.32, 0.06)
	p.fill(white, flat, append(arc(0, 0, wide, 0.9, -90, 90), arc(0, 0, -wide, 0.9, 90, -90)...))
	p.fill(near(r, tint{0.15, 0.3, 0.75}), flat, append(arc(0, 0, 0.9, 0.9, -50, 50), arc(0, 0, 0.66, 0.9, 50, -50)...))
	p.fill(white, flat, ellipse(0, -0.8, 0.14, 0.07))
}

func drawCube(p *pen, r *rand.Rand) {
	c := near(r, tint{0.2, 0.45, 0.85})
	turn := about(r, 0, 0.25) // where the front edge stands
	top, left, right, front := vec{-turn, -0.85}, vec{-0.8, -0.45}, vec{0.8, -0.45}, vec{turn, -0.05}
	down := func(v vec) vec { return vec{v.x, v.y + 0.9} }
	p.fill(c.times(1.25), flat, []vec{top, right, front, left})
	p.fill(c.times(0.9), flat, []vec{left, front, down(front), down(left)})
	p.fill(c.times(0.55), flat, []vec{front, right, down(right), down(front)})
	// A letter block has a dot on its faces.
	spot := tint{0.95, 0.9, 0.7}
	p.fill(spot, flat, ellipse((left.x+front.x)/2, 0.2, 0.16, 0.2))
	p.fill(spot.times(0.7), flat, ellipse((right.x+front.x)/2, 0.2, 0.14, 0.2))
}

func drawCup(p *pen, r *rand.Rand) {
	c := near(r, tint{0.93, 0.9, 0.82})
	foot := about(r, 0.5, 0.05)
	p.fill(c.times(0.85), flat, ellipse(0.72, 0, 0.34, 0.4), ellipse(0.7, 0, 0.2, 0.25))
	p.fill(c, flat, append(arc(0, 0.7, foot, 0.14, 0, 180), vec{-0.68, -0.62}, vec{0.68, -0.62}))
	p.fill(near(r, tint{0.1, 0.45, 0.5}), flat, []vec{{-0.65, -0.2}, {0.65, -0.2}, {0.6, 0.15}, {-0.6, 0.15}})
	p.fill(c.times(1.1), flat, ellipse(0, -0.62, 0.68, 0.2))
	p.fill(tint{0.25, 0.13, 0.06}, flat, ellipse(0, -0.59, 0.58, 0.14))
}

func drawLeaf(p *pen, r *rand.Rand) {
	c := near(r, tint{0.2, 0.55, 0.15})
	wide := about(r, 0.48, 0.08)
	// A blade between two curves from the tip to the stem.
	var blade []vec
	half := func(y float64) float64 { return wide * math.Pow(math.Sin(math.Pi*(y+0.95)/1.6), 0.8) }
	const n = 40
	for i := range n {
		y := -0.95 + 1.6*(float64(i)+0.01)/n
		blade = append(blade, vec{half(y), y})
	}
	for i := range n {
		y := 0.65 - 1.6*(float64(i)+0.01)/n
		blade = append(blade, vec{-half(y), y})
	}
	p.fill(c, flat, blade)
	vein := c.times(1.7)
	p.fill(vein, flat, bar(vec{0, -0.9}, vec{0, 0.7}, 0.04))
	for _, y := range []float64{-0.45, -0.15, 0.15, 0.42} {
		for _, side := range []float64{-1, 1} {
			p.fill(vein, flat, bar(vec{0, y}, vec{side * half(y-0.15) * 0.8, y - 0.2}, 0.025))
		}
	}
	p.fill(tint{0.35, 0.25, 0.1}, flat, bar(vec{0, 0.62}, vec{about(r, 0, 0.1), 0.95}, 0.06))
}

func drawStar(p *pen, r *rand.Rand) {
	c := near(r, tint{0.95, 0.78, 0.12})
	inner := about(r, 0.42, 0.05)
	corner := func(i int) vec {
		reach := 0.95
		if i%2 == 1 {
			reach = inner
		}
		sin, cos := math.Sincos(float64(i)*math.Pi/5 - math.Pi/2)
		return vec{reach * cos, reach * sin}
	}
	// Each ray has a light and a dark side, like a folded paper star.
	for i := range 10 {
		k := 1.05
		if i%2 == 1 {
			k = 0.75
		}
		p.fill(c.times(k), flat, []vec{{}, corner(i), corner(i + 1)})
	}
}

func drawFish(p *pen, r *rand.Rand) {
	c := near(r, tint{0.95, 0.5, 0.1})
	tall := about(r, 0.42, 0.06)
	fin := c.times(0.75)
	p.fill(fin, flat, []vec{{0.45, 0}, {0.98, -0.45}, {0.85, 0}, {0.98, 0.45}})
	p.fill(fin, flat, []vec{{-0.3, -tall * 0.8}, {0.05, -tall - 0.28}, {0.35, -tall * 0.6}})
	p.fill(c, flat, ellipse(-0.15, 0, 0.75, tall))
	for _, x := range []float64{-0.3, 0.15} {
		y := tall * math.Sqrt(1-math.Pow((x+0.15)/0.75, 2)) * 0.97
		p.fill(tint{0.97, 0.95, 0.9}, flat, bar(vec{x, -y + 0.06}, vec{x, y - 0.06}, 0.13))
	}
	p.fill(fin, flat, []vec{{-0.15, 0.08}, {0.12, 0.3}, {0.1, 0}})
	p.fill(tint{1, 1, 1}, flat, ellipse(-0.6, -0.1, 0.1, 0.1))
	p.fill(tint{0.05, 0.05, 0.05}, flat, ellipse(-0.62, -0.1, 0.055, 0.055))
}

func drawKey(p *pen, r *rand.Rand) {
	c := near(r, tint{0.62, 0.63, 0.66})
	p.fill(c, flat, box(-0.35, -0.09, 0.95, 0.09))
	for _, x := range []float64{0.45, 0.64, 0.83} {
		p.fill(c, flat, box(x, 0.05, x+0.12, about(r, 0.3, 0.08)))
	}
	p.fill(c.times(1.1), flat, ellipse(-0.58, 0, 0.4, 0.4), ellipse(-0.66, 0, 0.2, 0.2))
	p.fill(c.times(0.6), flat, box(-0.2, -0.015, 0.9, 0.015))
}

func drawHand(p *pen, r *rand.Rand) {
	skins := []tint{{0.96, 0.8, 0.69}, {0.88, 0.67, 0.5}, {0.68, 0.47, 0.33}, {0.45, 0.3, 0.21}}
	c := near(r, skins[r.IntN(len(skins))])
	spread := about(r, 1, 0.25)
	p.fill(c.times(0.97), flat, bar(vec{0, 0.55}, vec{0, 1.5}, 0.58)) // the wrist
	fingers := []struct{ angle, long float64 }{{-24, 0.72}, {-8, 0.9}, {7, 0.86}, {22, 0.66}}
	for i, f := range fingers {
		root := vec{-0.36 + 0.24*float64(i), 0.1}
		sin, cos := math.Sincos(f.angle * spread * math.Pi / 180)
		tip := vec{root.x + f.long*sin, root.y - f.long*cos}
		p.fill(c, flat, bar(root, tip, 0.2))
		nail := vec{root.x + (f.long+0.02)*sin, root.y - (f.long+0.02)*cos}
		p.fill(c.times(1.15), flat, ellipse(nail.x, nail.y, 0.055, 0.07))
	}
	p.fill(c, flat, bar(vec{0.3, 0.5}, vec{0.75 * spread, 0.02}, 0.22)) // the thumb
	p.fill(c, flat, ellipse(0, 0.4, 0.47, 0.5))
}

func drawPencil(p *pen, r *rand.Rand) {
	c := near(r, tint{0.5, 0.15, 0.6})
	p.fill(c.times(1.2), flat, box(-0.75, -0.13, 0.6, -0.04))
	p.fill(c, flat, box(-0.75, -0.04, 0.6, 0.05))
	p.fill(c.times(0.65), flat, box(-0.75, 0.05, 0.6, 0.13))
	p.fill(tint{0.87, 0.7, 0.48}, flat, []vec{{0.6, -0.13}, {0.98, 0}, {0.6, 0.13}})
	p.fill(tint{0.12, 0.1, 0.1}, flat, []vec{{0.87, -0.038}, {0.98, 0}, {0.87, 0.038}})
	p.fill(tint{0.7, 0.72, 0.74}, flat, box(-0.85, -0.14, -0.72, 0.14))
	p.fill(near(r, tint{0.9, 0.5, 0.55}), flat, bar(vec{-0.92, 0}, vec{-0.88, 0}, 0.25))
}

func drawCar(p *pen, r *rand.Rand) {
	c := near(r, tint{0.1, 0.55, 0.35})
	p.fill(c, flat, []vec{{-0.95, 0.3}, {-0.95, -0.02}, {-0.6, -0.08}, {-0.38, -0.5}, {0.35, -0.5}, {0.6, -0.08}, {0.92, 0}, {0.97, 0.3}})
	glass := tint{0.72, 0.85, 0.92}
	p.fill(glass, flat, []vec{{-0.48, -0.1}, {-0.3, -0.42}, {-0.04, -0.42}, {-0.04, -0.1}})
	p.fill(glass, flat, []vec{{0.04, -0.1}, {0.04, -0.42}, {0.29, -0.42}, {0.46, -0.1}})
	p.fill(tint{0.98, 0.9, 0.5}, flat, ellipse(0.88, 0.1, 0.07, 0.08))
	for _, x := range []float64{-0.52, 0.54} {
		p.fill(tint{0.1, 0.1, 0.11}, flat, ellipse(x, 0.32, 0.24, 0.24))
		p.fill(tint{0.75, 0.75, 0.78}, flat, ellipse(x, 0.32, 0.11, 0.11))
	}
}

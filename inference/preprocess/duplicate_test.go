package preprocess

import (
	"math"
	"math/rand/v2"
	"testing"

	"teachbox/device/frame"
	"teachbox/inference"
)

// A picture is something that can be photographed again: in other light, with
// the noise of a sensor, and with a thing on it that was moved.
type picture struct {
	w, h int
	pix  []float64 // RGB
}

func sceneOf(f frame.Frame) picture {
	p := picture{f.Width, f.Height, make([]float64, len(f.Pix))}
	for i, v := range f.Pix {
		p.pix[i] = float64(v)
	}
	return p
}

// noisy is a photograph of p in gain times the light.
func (p picture) noisy(rng *rand.Rand, gain, sigma float64) frame.Frame {
	f := newRGB(p.w, p.h)
	for i, v := range p.pix {
		f.Pix[i] = uint8(math.Round(min(max(v*gain+sigma*rng.NormFloat64(), 0), 255)))
	}
	return f
}

// at interpolates; beyond the border the border goes on.
func (p picture) at(x, y float64, c int) float64 {
	x, y = min(max(x, 0), float64(p.w-1)), min(max(y, 0), float64(p.h-1))
	x0, y0 := int(x), int(y)
	x1, y1 := min(x0+1, p.w-1), min(y0+1, p.h-1)
	u, v := x-float64(x0), y-float64(y0)
	px := func(x, y int) float64 { return p.pix[(y*p.w+x)*3+c] }
	return (px(x0, y0)*(1-u)+px(x1, y0)*u)*(1-v) + (px(x0, y1)*(1-u)+px(x1, y1)*u)*v
}

// with is p with an oval thing cut from the middle of thing, size of p's width
// across, moved from the centre by dx and dy of the frame and turned.
func (p picture) with(thing picture, size, dx, dy, degrees float64) picture {
	out := picture{p.w, p.h, append([]float64(nil), p.pix...)}
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	radius := size * float64(p.w) / 2
	for y := range p.h {
		for x := range p.w {
			u, v := (float64(x)-float64(p.w)*(.5+dx))/radius, (float64(y)-float64(p.h)*(.5+dy))/radius
			u, v = u*cos+v*sin, v*cos-u*sin
			cover := min(max((1-math.Hypot(u, 1.3*v))*radius/1.5+.5, 0), 1)
			for c := range 3 {
				o := &out.pix[(y*p.w+x)*3+c]
				*o += cover * (thing.at(float64(thing.w)*(.5+.35*u), float64(thing.h)*(.5+.35*v), c) - *o)
			}
		}
	}
	return out
}

// checkDuplicates photographs thing on desk again and again, and returns the
// greatest distance of photographs of the same and the least of others.
func checkDuplicates(t *testing.T, rng *rand.Rand, desk, thing picture) (same, other float64) {
	t.Helper()
	p := newPreprocessor(t, Options{Width: 224, Height: 224})
	tensor := make([]uint8, 224*224*3)
	look := func(f frame.Frame) *inference.Thumb {
		if err := p.Fill(tensor, f); err != nil {
			t.Fatal(err)
		}
		var thumb inference.Thumb
		p.Measure(tensor, &thumb)
		return &thumb
	}
	const size = .3
	placed := desk.with(thing, size, 0, 0, 0)
	first := look(placed.noisy(rng, 1, 3))
	other = math.Inf(1)
	for _, again := range []frame.Frame{
		placed.noisy(rng, 1, 2),
		placed.noisy(rng, 1, 4),
		placed.noisy(rng, 1.01, 4),
		placed.noisy(rng, .97, 4),
	} {
		second := look(again)
		same = max(same, Distance(first, second), Distance(second, first))
		if !NearDuplicate(first, second) {
			t.Errorf("the same again is %.2f away", Distance(first, second))
		}
	}
	for name, moved := range map[string]picture{
		"to the right": desk.with(thing, size, .03, 0, 0),
		"up":           desk.with(thing, size, 0, -.03, 0),
		"turned":       desk.with(thing, size, 0, 0, 10),
		"taken away":   desk,
	} {
		second := look(moved.noisy(rng, 1, 3))
		other = min(other, Distance(first, second))
		if NearDuplicate(first, second) {
			t.Errorf("%s: only %.2f away", name, Distance(first, second))
		}
	}
	return same, other
}

func TestNearDuplicate(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	desk, thing := sceneOf(FromImage(scene(320, 240))), sceneOf(FromImage(scene(90, 120)))
	for i := range desk.pix { // a plain desk, lit from one side
		desk.pix[i] = 120 + 60*float64(i/3%320)/320
	}
	same, other := checkDuplicates(t, rng, desk, thing)
	t.Logf("distances: the same up to %.2f, others from %.2f", same, other)

	var black, white inference.Thumb
	for i := range white {
		white[i] = 255
	}
	if !NearDuplicate(&black, &black) || NearDuplicate(&white, &black) {
		t.Error("black and white are taken for one another")
	}
}

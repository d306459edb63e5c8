package preprocess

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"testing"

	"teachbox/device/frame"
)

// A grid is one plane of samples for the reference, each pitchX by pitchY
// pixels large.
type grid struct {
	w, h           int
	pitchX, pitchY int
	at             func(x, y int) float64
}

// weights is what an output from lo to hi, in pixels, takes from n samples.
func weights(n, pitch int, lo, hi float64) []float64 {
	ws := make([]float64, n)
	p := float64(pitch)
	if hi-lo < p*(1-1e-12) {
		c := (lo+hi)/2/p - .5
		k := math.Floor(c)
		ws[min(max(int(k), 0), n-1)] += 1 - (c - k)
		ws[min(max(int(k)+1, 0), n-1)] += c - k
		return ws
	}
	for k := range ws {
		ws[k] = max(0, min(hi, float64(k+1)*p)-max(lo, float64(k)*p)) / (hi - lo)
	}
	return ws
}

// scale is the crop of g, scaled to w×h.
func (g grid) scale(x0, y0, x1, y1 float64, w, h int) [][]float64 {
	wx := make([][]float64, w)
	for i := range wx {
		wx[i] = weights(g.w, g.pitchX, x0+(x1-x0)*float64(i)/float64(w), x0+(x1-x0)*float64(i+1)/float64(w))
	}
	out := make([][]float64, h)
	for j := range out {
		wy := weights(g.h, g.pitchY, y0+(y1-y0)*float64(j)/float64(h), y0+(y1-y0)*float64(j+1)/float64(h))
		out[j] = make([]float64, w)
		for i := range out[j] {
			for y, v := range wy {
				for x, u := range wx[i] {
					if u != 0 && v != 0 {
						out[j][i] += u * v * g.at(x, y)
					}
				}
			}
		}
	}
	return out
}

type rgb [3]float64

// reference does what Fill does, one step after the other, in float64.
func reference(o Options, width, height int, planes [3]grid, convert func(rgb) rgb) []uint8 {
	x0, y0, x1, y1 := 0.0, 0.0, float64(width), float64(height)
	var fx, fy, fw, fh float64
	switch o.Crop {
	case "", "squash":
	case "center":
		side := math.Min(x1, y1)
		x0, y0 = (x1-side)/2, (y1-side)/2
		x1, y1 = x0+side, y0+side
	default:
		if _, err := fmt.Sscanf(o.Crop, "%g,%g,%g,%g", &fx, &fy, &fw, &fh); err != nil {
			panic(err)
		}
		x0, y0, x1, y1 = fx*x1, fy*y1, (fx+fw)*x1, (fy+fh)*y1
	}
	w, h := o.Width, o.Height
	if o.Rotation == 90 || o.Rotation == 270 {
		w, h = h, w
	}
	var ch [3][][]float64
	for i, g := range planes {
		ch[i] = g.scale(x0, y0, x1, y1, w, h)
	}
	img := make([][]rgb, h)
	for y := range img {
		img[y] = make([]rgb, w)
		for x := range img[y] {
			img[y][x] = convert(rgb{ch[0][y][x], ch[1][y][x], ch[2][y][x]})
		}
	}
	for range o.Rotation / 90 { // a quarter turn clockwise
		turned := make([][]rgb, len(img[0]))
		for y := range turned {
			turned[y] = make([]rgb, len(img))
			for x := range turned[y] {
				turned[y][x] = img[len(img)-1-x][y]
			}
		}
		img = turned
	}
	var out []uint8
	for y := range img {
		for x := range img[y] {
			fromX, fromY := x, y
			if o.Flip == "h" || o.Flip == "hv" {
				fromX = o.Width - 1 - x
			}
			if o.Flip == "v" || o.Flip == "hv" {
				fromY = o.Height - 1 - y
			}
			for _, v := range img[fromY][fromX] {
				out = append(out, uint8(math.Round(min(max(v, 0), 255))))
			}
		}
	}
	return out
}

func fromFull(c rgb) rgb {
	y, cb, cr := c[0], c[1]-128, c[2]-128
	return rgb{y + 1.402*cr, y - 0.344136*cb - 0.714136*cr, y + 1.772*cb}
}

func fromLimited(c rgb) rgb {
	const chroma = 255. / 224
	return fromFull(rgb{(c[0] - 16) * 255 / 219, (c[1]-128)*chroma + 128, (c[2]-128)*chroma + 128})
}

// referenceYUYV and its like are the reference for one kind of frame.
func referenceYUYV(o Options, f frame.Frame) []uint8 {
	byteAt := func(step, offset int) func(x, y int) float64 {
		return func(x, y int) float64 { return float64(f.Pix[y*f.Stride+x*step+offset]) }
	}
	chroma := (f.Width + 1) / 2
	return reference(o, f.Width, f.Height, [3]grid{
		{f.Width, f.Height, 1, 1, byteAt(2, 0)},
		{chroma, f.Height, 2, 1, byteAt(4, 1)},
		{chroma, f.Height, 2, 1, byteAt(4, 3)},
	}, fromLimited)
}

func referenceRGB(o Options, f frame.Frame) []uint8 {
	var planes [3]grid
	for i := range planes {
		planes[i] = grid{f.Width, f.Height, 1, 1, func(x, y int) float64 { return float64(f.Pix[y*f.Stride+3*x+i]) }}
	}
	return reference(o, f.Width, f.Height, planes, func(c rgb) rgb { return c })
}

func referenceYCbCr(o Options, m *image.YCbCr) []uint8 {
	pitch := map[image.YCbCrSubsampleRatio][2]int{
		image.YCbCrSubsampleRatio444: {1, 1},
		image.YCbCrSubsampleRatio422: {2, 1},
		image.YCbCrSubsampleRatio420: {2, 2},
		image.YCbCrSubsampleRatio440: {1, 2},
		image.YCbCrSubsampleRatio411: {4, 1},
		image.YCbCrSubsampleRatio410: {4, 2},
	}[m.SubsampleRatio]
	w, h := m.Rect.Dx(), m.Rect.Dy()
	cw, ch := (w+pitch[0]-1)/pitch[0], (h+pitch[1]-1)/pitch[1]
	return reference(o, w, h, [3]grid{
		{w, h, 1, 1, func(x, y int) float64 { return float64(m.Y[y*m.YStride+x]) }},
		{cw, ch, pitch[0], pitch[1], func(x, y int) float64 { return float64(m.Cb[y*m.CStride+x]) }},
		{cw, ch, pitch[0], pitch[1], func(x, y int) float64 { return float64(m.Cr[y*m.CStride+x]) }},
	}, fromFull)
}

func referenceGray(o Options, m *image.Gray) []uint8 {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	g := grid{w, h, 1, 1, func(x, y int) float64 { return float64(m.Pix[y*m.Stride+x]) }}
	return reference(o, w, h, [3]grid{g, g, g}, func(c rgb) rgb { return c })
}

// worst is the greatest difference of two tensors, in levels.
func worst(got, want []uint8) int {
	d := 0
	for i := range want {
		d = max(d, int(got[i])-int(want[i]), int(want[i])-int(got[i]))
	}
	return d
}

// TestFillIsExact compares every kind of frame with the reference, over sizes
// larger, smaller and just different from the tensor's, and every way of
// cropping and turning.
func TestFillIsExact(t *testing.T) {
	sizes := [][2]int{{1, 1}, {2, 1}, {1, 2}, {3, 5}, {7, 7}, {16, 12}, {33, 17}, {24, 24}, {64, 49}, {5, 130}}
	tensors := [][2]int{{1, 1}, {5, 7}, {8, 8}, {24, 16}}
	crops := []string{"squash", "center", "0.1,0.3,0.5,0.6", "0.5,0.5,0.05,0.05", "0,0.2,1,0.8", "0.7,0.9,0.3,0.1"}
	flips := []string{"", "h", "v", "hv"}
	rotations := []int{0, 90, 180, 270}
	ratios := []image.YCbCrSubsampleRatio{
		image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410,
	}
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(pix []uint8) {
		for i := range pix {
			pix[i] = uint8(rng.Uint32())
		}
	}
	for _, tensor := range tensors {
		for _, crop := range crops {
			for _, flip := range flips {
				for _, rotation := range rotations {
					o := Options{Width: tensor[0], Height: tensor[1], Crop: crop, Flip: flip, Rotation: rotation}
					p, err := New(o)
					if err != nil {
						t.Fatal(err)
					}
					got := make([]uint8, o.Width*o.Height*3)
					size := sizes[rng.IntN(len(sizes))]
					w, h := size[0], size[1]
					check := func(what string, want []uint8) {
						t.Helper()
						if d := worst(got, want); d > 1 {
							t.Errorf("%s %d×%d to %+v: off by %d levels", what, w, h, o, d)
						}
					}

					f := randomFrame(frame.YUYV, w, h, rng.IntN(9))
					if err := p.Fill(got, f); err != nil {
						t.Fatal(err)
					}
					check("YUYV", referenceYUYV(o, f))

					f = randomFrame(frame.RGB, w, h, rng.IntN(9))
					if err := p.Fill(got, f); err != nil {
						t.Fatal(err)
					}
					check("RGB", referenceRGB(o, f))

					gray := image.NewGray(image.Rect(0, 0, w+rng.IntN(4), h))
					noise(gray.Pix)
					gray = gray.SubImage(image.Rect(0, 0, w, h)).(*image.Gray)
					p.fillGray(got, gray)
					check("gray", referenceGray(o, gray))

					for _, ratio := range ratios {
						m := image.NewYCbCr(image.Rect(0, 0, w, h), ratio)
						noise(m.Y)
						noise(m.Cb)
						noise(m.Cr)
						p.fillYCbCr(got, m)
						check(ratio.String(), referenceYCbCr(o, m))
					}
				}
			}
		}
	}
}

// TestFillLarge is the reference again on what cameras give, where errors could
// add up. Hardly any value may be rounded another way.
func TestFillLarge(t *testing.T) {
	for _, c := range []struct {
		w, h int
		o    Options
	}{
		{640, 480, Options{Width: 24, Height: 24}},
		{641, 361, Options{Width: 32, Height: 15, Crop: "center", Flip: "h", Rotation: 90}},
	} {
		p := newPreprocessor(t, c.o)
		got := make([]uint8, c.o.Width*c.o.Height*3)
		for _, f := range []frame.Frame{
			randomFrame(frame.YUYV, c.w, c.h, 0),
			randomFrame(frame.RGB, c.w, c.h, 0),
		} {
			if err := p.Fill(got, f); err != nil {
				t.Fatal(err)
			}
			want := referenceRGB
			if f.Format == frame.YUYV {
				want = referenceYUYV
			}
			w := want(c.o, f)
			differ := 0
			for i := range w {
				if got[i] != w[i] {
					differ++
				}
			}
			if d := worst(got, w); d > 1 || differ > len(w)/20 {
				t.Errorf("%v %d×%d to %+v: off by up to %d levels, %d of %d values", f.Format, c.w, c.h, c.o, d, differ, len(w))
			}
		}
	}
}

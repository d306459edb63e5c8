package preprocess

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"teachbox/device/frame"
	"teachbox/inference"
)

func TestMeasure(t *testing.T) {
	const w, h = 20, 18
	p := newPreprocessor(t, Options{Width: w, Height: h})
	pix := make([]uint8, w*h*3)
	var thumb inference.Thumb
	for i := range pix {
		pix[i] = 90
	}
	f := p.Measure(pix, &thumb)
	if f.Luma != 90 || f.Sharpness != 0 || thumb[0] != 90 || thumb[255] != 90 {
		t.Errorf("flat 90: %+v, corners %d and %d", f, thumb[0], thumb[255])
	}
	for i := range pix { // stripes, one pixel wide
		pix[i] = uint8(i / 3 % 2 * 200)
	}
	f = p.Measure(pix, &thumb)
	if f.Luma != 100 || f.Sharpness != 100 { // right neighbours differ by 200, lower ones by 0
		t.Errorf("stripes: %+v, want luma 100 and sharpness 100", f)
	}
}

// TestMeasureLuma checks thumb, luma and sharpness against plain definitions.
func TestMeasureLuma(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {1, 9}, {9, 1}, {7, 20}, {16, 16}, {33, 47}} {
		w, h := size[0], size[1]
		p := newPreprocessor(t, Options{Width: w, Height: h})
		f := randomFrame(frame.RGB, w, h, 0)
		luma := func(x, y int) float64 {
			px := pixel(f, x, y)
			return math.Floor((77*float64(px[0])+150*float64(px[1])+29*float64(px[2]))/256 + .5)
		}
		var sum, differ, pairs float64
		for y := range h {
			for x := range w {
				sum += luma(x, y)
				if y%2 == 0 && y+1 < h && x+1 < w {
					differ += math.Abs(luma(x+1, y)-luma(x, y)) + math.Abs(luma(x, y+1)-luma(x, y))
					pairs += 2
				}
			}
		}
		var thumb inference.Thumb
		got := p.Measure(f.Pix, &thumb)
		if want := sum / float64(w*h); math.Abs(float64(got.Luma)-want) > 1e-3 {
			t.Errorf("%v: luma %v, want %v", size, got.Luma, want)
		}
		if want := differ / max(pairs, 1); math.Abs(float64(got.Sharpness)-want) > 1e-3 {
			t.Errorf("%v: sharpness %v, want %v", size, got.Sharpness, want)
		}
		for j := range 16 {
			for i := range 16 {
				var sum, n float64
				for y := j * h / 16; y == j*h/16 || y < (j+1)*h/16; y++ {
					for x := i * w / 16; x == i*w/16 || x < (i+1)*w/16; x++ {
						sum += luma(x, y)
						n++
					}
				}
				if d := float64(thumb[16*j+i]) - sum/n; math.Abs(d) > .5 {
					t.Fatalf("%v: cell %d,%d is %d, want %v", size, i, j, thumb[16*j+i], sum/n)
				}
			}
		}
	}
}

func TestDigestSeesEveryByte(t *testing.T) {
	const w, h = 5, 3 // 45 bytes: five words and a rest
	p := newPreprocessor(t, Options{Width: w, Height: h})
	f := randomFrame(frame.RGB, w, h, 0)
	var thumb inference.Thumb
	seen := map[uint64]int{p.Measure(f.Pix, &thumb).Digest: -1}
	for i := range f.Pix {
		f.Pix[i] ^= 1
		d := p.Measure(f.Pix, &thumb).Digest
		if at, ok := seen[d]; ok {
			t.Errorf("changes of byte %d and %d give one digest", i, at)
		}
		seen[d] = i
		f.Pix[i] ^= 1
	}
}

func TestDarkAndBlurred(t *testing.T) {
	for _, c := range []struct {
		f             inference.Fitness
		dark, blurred bool
	}{
		{inference.Fitness{}, true, true},
		{inference.Fitness{Luma: DarkLuma - .1, Sharpness: 9}, true, false},
		{inference.Fitness{Luma: DarkLuma, Sharpness: BlurredSharpness}, false, false},
		{inference.Fitness{Luma: 255, Sharpness: BlurredSharpness - .1}, false, true},
	} {
		if Dark(c.f) != c.dark || Blurred(c.f) != c.blurred {
			t.Errorf("%+v: dark %v, blurred %v", c.f, Dark(c.f), Blurred(c.f))
		}
	}
}

func TestFrozen(t *testing.T) {
	still := inference.Fitness{Luma: 100, Digest: 7}
	type step struct {
		f     inference.Fitness
		n     int           // that many frames
		every time.Duration // so far apart
		want  bool          // after the last
	}
	for name, steps := range map[string][]step{
		"too few frames":         {{still, FrozenFrames - 1, time.Minute, false}},
		"too short":              {{still, 20, FrozenFor / 20, false}},
		"stands still":           {{still, 21, FrozenFor / 20, true}},
		"slow camera":            {{still, FrozenFrames, time.Second, true}},
		"moves again":            {{still, 30, time.Second, true}, {inference.Fitness{Luma: 100, Digest: 8}, 2, time.Second, false}},
		"stands still again":     {{still, 30, time.Second, true}, {inference.Fitness{Luma: 100, Digest: 8}, 10, time.Second, true}},
		"dark":                   {{inference.Fitness{Luma: 1, Digest: 7}, 100, time.Second, false}},
		"digest of zero":         {{inference.Fitness{Luma: 100}, FrozenFrames, time.Second, true}},
		"dark between (curtain)": {{still, 9, time.Second, false}, {inference.Fitness{Luma: 1, Digest: 7}, 1, time.Second, false}, {still, 5, time.Second, false}},
	} {
		var z Frozen
		at := time.Unix(0, 0)
		for i, s := range steps {
			var got bool
			for range s.n {
				got = z.See(s.f, at)
				at = at.Add(s.every)
			}
			if got != s.want {
				t.Errorf("%s, step %d: frozen %v, want %v", name, i, got, s.want)
			}
		}
	}
}

// TestFrozenIsNotStill shows that a still scene with a sensor's noise is not
// frozen.
func TestFrozenIsNotStill(t *testing.T) {
	const side = 32
	p := newPreprocessor(t, Options{Width: side, Height: side})
	pic := sceneOf(FromImage(scene(side, side)))
	rng := rand.New(rand.NewPCG(1, 2))
	var z Frozen
	var thumb inference.Thumb
	for i := range 100 {
		f := p.Measure(pic.noisy(rng, 1, 1).Pix, &thumb)
		if z.See(f, time.Unix(int64(i), 0)) {
			t.Fatalf("frozen at frame %d", i)
		}
	}
}

package preprocess

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"teachbox/device/frame"
	"teachbox/inference"
)

// photographs returns every nth photograph of the shared collection, or drawn
// scenes where there is none.
func photographs(t *testing.T, every int) []frame.Frame {
	t.Helper()
	shared := os.Getenv("TEACHBOX_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	files, err := filepath.Glob(filepath.Join(shared, "photos", "*", "*", "*.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	var frames []frame.Frame
	for i := 0; i < len(files); i += every {
		data, err := os.ReadFile(files[i])
		if err != nil {
			t.Fatal(err)
		}
		f, err := DecodeFile(files[i], data)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	if len(frames) == 0 {
		t.Log("no photographs (set TEACHBOX_SHARED): drawn scenes stand in, which tests less")
		for _, size := range [][2]int{{320, 240}, {240, 320}, {320, 320}, {160, 120}} {
			data := encode(t, scene(size[0], size[1]))
			frames = append(frames, frame.Frame{Format: frame.JPEG, Width: size[0], Height: size[1], Pix: data})
		}
	}
	return frames
}

// decoded is the picture in full colour.
func decoded(t *testing.T, f frame.Frame) picture {
	t.Helper()
	if f.Format == frame.JPEG {
		img, err := DecodeJPEG(f.Pix)
		if err != nil {
			t.Fatal(err)
		}
		f = FromImage(img)
	}
	return sceneOf(f)
}

// bilinear squashes p with a triangle filter as wide as two outputs: the
// bilinear filter with area support that other image libraries shrink with.
func (p picture) bilinear(w, h int) []float64 {
	line := func(out []float64, n int, at func(i int) float64) {
		scale := float64(n) / float64(len(out))
		support := max(scale, 1)
		for o := range out {
			centre := (float64(o) + .5) * scale
			var sum, total float64
			for i := max(int(centre-support), 0); i < min(int(centre+support)+1, n); i++ {
				weight := max(0, 1-math.Abs(float64(i)+.5-centre)/support)
				sum += weight * at(i)
				total += weight
			}
			out[o] = sum / total
		}
	}
	narrow := make([]float64, p.h*w*3)
	row, column := make([]float64, w), make([]float64, h)
	for c := range 3 {
		for y := range p.h {
			line(row, p.w, func(x int) float64 { return p.pix[(y*p.w+x)*3+c] })
			for x, v := range row {
				narrow[(y*w+x)*3+c] = v
			}
		}
	}
	out := make([]float64, h*w*3)
	for c := range 3 {
		for x := range w {
			line(column, p.h, func(y int) float64 { return narrow[(y*w+x)*3+c] })
			for y, v := range column {
				out[(y*w+x)*3+c] = v
			}
		}
	}
	return out
}

// TestPhotographsBilinear shows that the backbone is shown nearly what a
// bilinear filter with area support would show it. The box filter is a little
// sharper, so the two differ at edges.
func TestPhotographsBilinear(t *testing.T) {
	const side = 224
	p := newPreprocessor(t, Options{Width: side, Height: side})
	got := make([]uint8, side*side*3)
	var sum, bias float64
	photos := photographs(t, 100)
	for _, f := range photos {
		if err := p.Fill(got, f); err != nil {
			t.Fatal(err)
		}
		for i, want := range decoded(t, f).bilinear(side, side) {
			sum += math.Abs(float64(got[i]) - want)
			bias += float64(got[i]) - want
		}
	}
	n := float64(len(photos) * len(got))
	t.Logf("%d pictures: mean absolute difference %.2f levels, bias %.3f", len(photos), sum/n, bias/n)
	if sum/n > 3 || math.Abs(bias/n) > .5 {
		t.Error("that is too far from a bilinear filter")
	}
}

// TestPhotographsFitness shows that ordinary pictures are neither dark nor
// blurred.
func TestPhotographsFitness(t *testing.T) {
	const side = 224
	p := newPreprocessor(t, Options{Width: side, Height: side})
	tensor := make([]uint8, side*side*3)
	var thumb inference.Thumb
	darkest, plainest := math.Inf(1), math.Inf(1)
	for _, f := range photographs(t, 40) {
		if err := p.Fill(tensor, f); err != nil {
			t.Fatal(err)
		}
		fit := p.Measure(tensor, &thumb)
		if Dark(fit) || Blurred(fit) {
			t.Errorf("%d×%d picture: dark %v, blurred %v: %+v", f.Width, f.Height, Dark(fit), Blurred(fit), fit)
		}
		darkest, plainest = min(darkest, float64(fit.Luma)), min(plainest, float64(fit.Sharpness))
	}
	t.Logf("least luma %.1f, least sharpness %.2f", darkest, plainest)
}

func TestPhotographsDuplicates(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	photos := photographs(t, 200)
	greatest, least := 0.0, math.Inf(1)
	for i, f := range photos {
		thing := photos[(i+len(photos)/2)%len(photos)]
		same, other := checkDuplicates(t, rng, decoded(t, f), decoded(t, thing))
		greatest, least = max(greatest, same), min(least, other)
	}
	t.Logf("%d pictures: distances of the same up to %.2f, of others from %.2f", len(photos), greatest, least)
}

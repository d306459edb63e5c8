package preprocess

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"

	"teachbox/device/frame"
	"teachbox/inference"
)

// randomFrame is noise; pad bytes follow each row.
func randomFrame(format frame.Format, width, height, pad int) frame.Frame {
	rng := rand.New(rand.NewPCG(uint64(width), uint64(height)))
	f := frame.Frame{Format: format, Width: width, Height: height}
	switch format {
	case frame.YUYV:
		f.Stride = (width+1)/2*4 + pad
	case frame.RGB:
		f.Stride = width*3 + pad
	}
	f.Pix = make([]byte, f.Stride*height-pad) // the last row has no padding
	for i := range f.Pix {
		f.Pix[i] = uint8(rng.Uint32())
	}
	return f
}

// scene is a picture with slopes, edges and texture in colour.
func scene(width, height int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			u, v := float64(x)/float64(width), float64(y)/float64(height)
			c := color.NRGBA{uint8(255 * u), uint8(255 * v), uint8(127 + 120*math.Sin(40*u*v)), 255}
			if math.Hypot(u-.6, v-.4) < .2 {
				c.R, c.G = 255-c.G, c.R
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

func encode(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func newPreprocessor(t testing.TB, o Options) *Preprocessor {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{
		{},
		{Width: 224},
		{Width: -1, Height: 224},
		{Width: 224, Height: frame.MaxSide + 1},
		{Width: 8, Height: 8, Crop: "centre"},
		{Width: 8, Height: 8, Crop: "0,0,1"},
		{Width: 8, Height: 8, Crop: "0,0,1,1,1"},
		{Width: 8, Height: 8, Crop: "0,0,0,1"},
		{Width: 8, Height: 8, Crop: "0.5,0,0.6,1"},
		{Width: 8, Height: 8, Crop: "0,-0.1,1,1"},
		{Width: 8, Height: 8, Crop: "0,NaN,1,1"},
		{Width: 8, Height: 8, Crop: "0,0,1,Inf"},
		{Width: 8, Height: 8, Flip: "vh"},
		{Width: 8, Height: 8, Rotation: 45},
		{Width: 8, Height: 8, Rotation: -90},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("New(%+v) accepted it", o)
		}
	}
}

func TestOptionsSpellCropOneWay(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "squash",
		"squash":                 "squash",
		"center":                 "center",
		" 0.10, 0,0.5,1.0":       "0.1,0,0.5,1",
		"-0,0.7,1,0.30000000001": "0,0.7,1,0.30000000001",
	} {
		if got := newPreprocessor(t, Options{Width: 8, Height: 8, Crop: in}).Options().Crop; got != want {
			t.Errorf("crop %q became %q, want %q", in, got, want)
		}
	}
}

// TestOneForAll fills from frames of changing kind and size with one
// preprocessor and compares with a new one each time: nothing may be left over.
func TestOneForAll(t *testing.T) {
	o := Options{Width: 17, Height: 13, Crop: "0.1,0,0.9,1", Rotation: 90}
	p := newPreprocessor(t, o)
	got, want := make([]uint8, 17*13*3), make([]uint8, 17*13*3)
	jpegFrame := func(w, h int) frame.Frame {
		return frame.Frame{Format: frame.JPEG, Pix: encode(t, scene(w, h))}
	}
	for i, f := range []frame.Frame{
		randomFrame(frame.YUYV, 64, 48, 0),
		randomFrame(frame.RGB, 64, 48, 0),
		jpegFrame(64, 48),
		jpegFrame(100, 10),
		randomFrame(frame.YUYV, 3, 3, 5),
		randomFrame(frame.YUYV, 64, 48, 4),
	} {
		if err := p.Fill(got, f); err != nil {
			t.Fatal(err)
		}
		if err := newPreprocessor(t, o).Fill(want, f); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("frame %d: a used preprocessor and a new one differ", i)
		}
	}
}

func TestFillRefuses(t *testing.T) {
	p := newPreprocessor(t, Options{Width: 8, Height: 8})
	short := randomFrame(frame.YUYV, 4, 4, 0)
	short.Pix = short.Pix[:len(short.Pix)-1]
	for name, f := range map[string]frame.Frame{
		"nothing":      {},
		"short":        short,
		"no size":      {Format: frame.RGB, Pix: make([]byte, 9)},
		"empty JPEG":   {Format: frame.JPEG},
		"not a JPEG":   {Format: frame.JPEG, Pix: []byte("x")},
		"huge, padded": {Format: frame.RGB, Width: 1, Height: 1, Stride: math.MaxInt, Pix: nil},
	} {
		if err := p.Fill(make([]uint8, 8*8*3), f); !errors.Is(err, frame.ErrMalformed) {
			t.Errorf("%s: error %v, want one that wraps frame.ErrMalformed", name, err)
		}
	}
	if err := p.Fill(make([]uint8, 8*8*3-1), randomFrame(frame.RGB, 4, 4, 0)); err == nil {
		t.Error("a tensor of the wrong size was accepted")
	}
}

func TestFillAllocatesNothing(t *testing.T) {
	p := newPreprocessor(t, Options{Width: 224, Height: 224, Crop: "center", Rotation: 180})
	dst := make([]uint8, 224*224*3)
	var thumb inference.Thumb
	for _, format := range []frame.Format{frame.YUYV, frame.RGB} {
		f := randomFrame(format, 640, 480, 0)
		if n := testing.AllocsPerRun(5, func() {
			if err := p.Fill(dst, f); err != nil {
				t.Error(err)
			}
			p.Measure(dst, &thumb)
		}); n != 0 {
			t.Errorf("%v: %v allocations a frame, want 0", format, n)
		}
	}
}

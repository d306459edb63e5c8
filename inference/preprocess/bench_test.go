package preprocess

import (
	"bytes"
	"image"
	"image/jpeg"
	"testing"

	"teachbox/device/frame"
	"teachbox/inference"
)

const (
	benchWidth  = 640
	benchHeight = 480
	benchSide   = 224
)

func benchmarkFill(b *testing.B, f frame.Frame) {
	p, err := New(Options{Width: benchSide, Height: benchSide})
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]uint8, benchSide*benchSide*3)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Fill(dst, f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFillYUYV(b *testing.B) {
	benchmarkFill(b, randomFrame(frame.YUYV, benchWidth, benchHeight, 0))
}
func BenchmarkFillRGB(b *testing.B) {
	benchmarkFill(b, randomFrame(frame.RGB, benchWidth, benchHeight, 0))
}
func BenchmarkFillJPEG(b *testing.B) {
	benchmarkFill(b, frame.Frame{Format: frame.JPEG, Pix: encode(b, scene(benchWidth, benchHeight))})
}

// BenchmarkDecode is what FillJPEG spends in the standard library.
func BenchmarkDecode(b *testing.B) {
	data := encode(b, scene(benchWidth, benchHeight))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFillPlanes(b *testing.B) {
	img, err := DecodeJPEG(encode(b, scene(benchWidth, benchHeight)))
	if err != nil {
		b.Fatal(err)
	}
	p, err := New(Options{Width: benchSide, Height: benchSide})
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]uint8, benchSide*benchSide*3)
	for b.Loop() {
		p.fillYCbCr(dst, img.(*image.YCbCr))
	}
}

func BenchmarkMeasure(b *testing.B) {
	p, err := New(Options{Width: benchSide, Height: benchSide})
	if err != nil {
		b.Fatal(err)
	}
	f := randomFrame(frame.RGB, benchSide, benchSide, 0)
	var t inference.Thumb
	b.ReportAllocs()
	for b.Loop() {
		p.Measure(f.Pix, &t)
	}
}

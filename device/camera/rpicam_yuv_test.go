package camera

import (
	"bytes"
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestI420(t *testing.T) {
	a, b := strings.Repeat("a", 24), strings.Repeat("b", 24)
	for _, cuts := range [][]int{{1}, {5, 24, 3}, {1000}} {
		s := newI420(4, 4)
		if got := pieces(s, a+b+a+"garbage", cuts...); !slices.Equal(got, []string{a, b, a}) {
			t.Errorf("in pieces of %v: %q", cuts, got)
		}
		s.silent() // what was garbage is forgotten
		if got := pieces(s, b+a, cuts...); !slices.Equal(got, []string{b, a}) {
			t.Errorf("after silence, in pieces of %v: %q", cuts, got)
		}
	}
}

func FuzzI420(f *testing.F) {
	f.Add([]byte("garbage"), uint8(3), uint8(1), uint8(9))
	f.Add([]byte{}, uint8(0), uint8(200), uint8(0))
	f.Fuzz(func(t *testing.T, garbage []byte, copies, cut1, cut2 uint8) {
		cuts := []int{1 + int(cut1), 1 + int(cut2)}
		s := newI420(8, 2)
		for _, pix := range pieces(s, string(garbage), cuts...) {
			if len(pix) != 24 {
				t.Fatalf("%d bytes (want 24)", len(pix))
			}
		}
		s.silent()
		var want []string
		for i := range int(copies) {
			want = append(want, strings.Repeat(string(rune('a'+i%26)), 24))
		}
		if got := pieces(s, strings.Join(want, ""), cuts...); !slices.Equal(got, want) {
			t.Fatalf("%d pictures gave %d after silence", len(want), len(got))
		}
	})
}

// TestYUYVRange compares the levels to the formulas: full range of ITU-T T.871
// in, limited range of ITU-R BT.601 out.
func TestYUYVRange(t *testing.T) {
	m := newYUYVMaker(2, 2)
	for v := range 256 {
		if want := math.Floor(16 + float64(v)*219/255 + 0.5); float64(m.luma[v]) != want {
			t.Errorf("luma %d became %d (want %v)", v, m.luma[v], want)
		}
		if want := math.Floor(128 + float64(v-128)*224/255 + 0.5); float64(m.chroma[v]) != want {
			t.Errorf("chroma %d became %d (want %v)", v, m.chroma[v], want)
		}
	}
}

// TestYUYV looks for every sample of a small picture where YUYV has it.
func TestYUYV(t *testing.T) {
	const w, h = 6, 4
	p := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	for i := range p.Y {
		p.Y[i] = byte(i)
	}
	for i := range p.Cb {
		p.Cb[i], p.Cr[i] = byte(100+i), byte(200+i)
	}
	m := newYUYVMaker(w, h)
	got := m.convert(slices.Concat(p.Y, p.Cb, p.Cr))
	if len(got) != 2*w*h {
		t.Fatalf("%d bytes (want %d)", len(got), 2*w*h)
	}
	for y := range h {
		for x := range w {
			c := p.At(x, y).(color.YCbCr)
			if v := got[y*2*w+2*x]; v != m.luma[c.Y] {
				t.Errorf("luma at %d,%d is %d (want %d)", x, y, v, m.luma[c.Y])
			}
			pair := got[y*2*w+x/2*4:]
			if pair[1] != m.chroma[c.Cb] || pair[3] != m.chroma[c.Cr] {
				t.Errorf("chroma at %d,%d is %d %d (want %d %d)", x, y, pair[1], pair[3], m.chroma[c.Cb], m.chroma[c.Cr])
			}
		}
	}
}

func BenchmarkYUYV(b *testing.B) {
	m := newYUYVMaker(640, 480)
	i420 := bytes.Repeat([]byte{1, 2, 3}, 640*480/2)
	b.SetBytes(int64(len(i420)))
	b.ReportAllocs()
	for b.Loop() {
		m.convert(i420)
	}
}

package graph

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"testing"
)

func TestTiny(t *testing.T) {
	for _, o := range []TinyOptions{{}, {Int8: true}, {Side: 96, Size: 256, Classes: 10}, {Side: 9, Size: 1, Classes: 1}} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			b := mustTiny(t, o)
			if !bytes.Equal(b, mustTiny(t, o)) {
				t.Error("two calls give two models")
			}
			checkRoundTrip(t, b, 3)
			c := mustCut(t, mustParse(t, b))
			if o == (TinyOptions{}) && (c.Input.Height != 32 || c.Embedding.Size != 64 || c.Classes != 4) {
				t.Errorf("defaults: %+v %+v %d", c.Input, c.Embedding, c.Classes)
			}
		})
	}
	for _, o := range []TinyOptions{{Side: 7}, {Side: 300}, {Size: -1}, {Classes: 5000}} {
		if _, err := Tiny(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

// The model is part of other packages' expectations, so it is the same on
// every machine and stays as it is.
func TestTinyBytes(t *testing.T) {
	for _, c := range []struct {
		o    TinyOptions
		want string
	}{
		{TinyOptions{}, "592d97e66fa4286b09f338ebe88dadc13547d959cb6a65499ea6d0007125ac94"},
		{TinyOptions{Int8: true}, "55f31b38bfb172d5b2175504b528bc9467ee30b538c10fdba520dad9f159f9f2"},
	} {
		if got := fmt.Sprintf("%x", sha256.Sum256(mustTiny(t, c.o))); got != c.want {
			t.Errorf("%+v: SHA-256 %s (want %s)", c.o, got, c.want)
		}
	}
}

// picture draws side×side pixels.
func picture(side int, pixel func(x, y int) (r, g, b byte)) []byte {
	p := make([]byte, 0, 3*side*side)
	for y := range side {
		for x := range side {
			r, g, b := pixel(x, y)
			p = append(p, r, g, b)
		}
	}
	return p
}

func plain(r, g, b byte) func(x, y int) (byte, byte, byte) {
	return func(int, int) (byte, byte, byte) { return r, g, b }
}

func stripes(on func(x, y int) bool) func(x, y int) (byte, byte, byte) {
	return func(x, y int) (byte, byte, byte) {
		if on(x, y) {
			return 220, 220, 220
		}
		return 40, 40, 40
	}
}

// Pictures of another colour or pattern lie far apart, the same picture with
// noise or moved lies near, and neither end of the range is reached.
func TestTinySeparates(t *testing.T) {
	const side = 32
	pictures := []struct {
		name  string
		pixel func(x, y int) (byte, byte, byte)
	}{
		{"black", plain(10, 10, 10)},
		{"white", plain(240, 240, 240)},
		{"red", plain(200, 40, 40)},
		{"green", plain(40, 200, 40)},
		{"blue", plain(40, 40, 200)},
		{"yellow", plain(220, 200, 40)},
		{"upright stripes", stripes(func(x, _ int) bool { return x/4%2 == 0 })},
		{"level stripes", stripes(func(_, y int) bool { return y/4%2 == 0 })},
		{"board", stripes(func(x, y int) bool { return (x/4+y/4)%2 == 0 })},
	}
	for _, int8 := range []bool{false, true} {
		n := start(t, mustWrite(t, mustCut(t, mustParse(t, mustTiny(t, TinyOptions{Int8: int8}))).Model))
		embed := func(p []byte) []float64 {
			p = bytes.Clone(p)
			if int8 {
				for i := range p {
					p[i] ^= 0x80
				}
			}
			var v []float64
			full, used := 0, 0
			for _, q := range n.mustRun(t, p) {
				if int8 {
					q ^= 0x80
				}
				if q == 255 {
					full++
				}
				if q > 0 {
					used++
				}
				v = append(v, float64(q))
			}
			if full > 0 || used < len(v)/4 {
				t.Errorf("%d numbers at the top and %d over 0, of %d", full, used, len(v))
			}
			return v
		}
		worstNear, worstFar := 1.0, -1.0
		var far string
		for i, p := range pictures {
			still := picture(side, p.pixel)
			a := embed(still)
			grain := bytes.Clone(still)
			for j, r := range noise(len(grain), uint64(i)) {
				grain[j] = byte(min(max(int(grain[j])+int(r%17)-8, 0), 255))
			}
			worstNear = min(worstNear, cosine(a, embed(grain)))
			worstNear = min(worstNear, cosine(a, embed(picture(side, func(x, y int) (byte, byte, byte) { return p.pixel(x+8, y+8) }))))
			for _, q := range pictures[:i] {
				if c := cosine(a, embed(picture(side, q.pixel))); c > worstFar {
					worstFar, far = c, p.name+" and "+q.name
				}
			}
		}
		t.Logf("int8 %v: same picture at least %.4f, two pictures at most %.4f (%s)", int8, worstNear, worstFar, far)
		if worstNear < 0.98 || worstFar > 0.96 {
			t.Errorf("int8 %v: cosine of one picture %.4f (want 0.98), of two %.4f (want at most 0.96)", int8, worstNear, worstFar)
		}
	}
}

func cosine(a, b []float64) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += a[i] * b[i]
		aa += a[i] * a[i]
		bb += b[i] * b[i]
	}
	return ab / math.Sqrt(aa*bb)
}

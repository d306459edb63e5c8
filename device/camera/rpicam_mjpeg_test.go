package camera

import (
	"bytes"
	"image/color"
	"slices"
	"strings"
	"testing"
)

// Pieces of JPEGs. The splitter looks at no more than the marks.
const (
	soi     = "\xff\xd8"
	eoi     = "\xff\xd9"
	app0    = "\xff\xe0\x00\x04ab"
	quant   = "\xff\xdb\x00\x03q"
	scan    = "\xff\xda\x00\x03s"
	coded   = "12\xff\x003\xff\xd0 4\xff\xd75"
	whole   = soi + app0 + quant + scan + coded + eoi
	another = soi + quant + scan + "67" + eoi
)

// thumbnailed is a picture with a picture in it.
func thumbnailed() string {
	length := string([]byte{0, byte(2 + len(whole))})
	return soi + "\xff\xe1" + length + whole + scan + "89" + eoi
}

// pieces gives a stream to a splitter, cut as cuts says (again and again), and
// returns the pictures.
func pieces(s splitter, data string, cuts ...int) []string {
	var got []string
	for i := 0; len(data) > 0; i++ {
		room := s.space()
		n := copy(room[:min(len(room), cuts[i%len(cuts)])], data)
		data = data[n:]
		s.add(n)
		for pix := s.next(); pix != nil; pix = s.next() {
			got = append(got, string(pix))
		}
	}
	return got
}

func TestMJPEG(t *testing.T) {
	progressive := soi + quant + scan + "1" + quant + scan + "2" + eoi
	filled := soi + "\xff\xff" + app0 + "\xff" + scan + "1\xff" + eoi
	for name, test := range map[string]struct {
		stream string
		want   []string
	}{
		"nothing":                   {"", nil},
		"one":                       {whole, []string{whole}},
		"three":                     {whole + another + whole, []string{whole, another, whole}},
		"thumbnail":                 {thumbnailed() + another, []string{thumbnailed(), another}},
		"progressive":               {progressive + another, []string{progressive, another}},
		"fill bytes":                {filled + another, []string{filled, another}},
		"bare TEM and RST":          {soi + "\xff\x01\xff\xd3" + scan + eoi, []string{soi + "\xff\x01\xff\xd3" + scan + eoi}},
		"not yet ended":             {whole[:len(whole)-1], nil},
		"text before":               {"Mode selection for 640:480\n" + whole, []string{whole}},
		"text between":              {whole + "\xff\xff\xd9\xff\xd8 hm" + another, []string{whole, another}},
		"cut in the codes":          {whole[:len(whole)-4] + another, []string{another}},
		"cut in a mark":             {whole[:len(whole)-1] + another, []string{another}},
		"cut in a segment":          {soi + "\xff\xe0\x00\x10abc" + another, []string{another}},
		"cut before a segment":      {soi + app0 + another, []string{another}},
		"no codes":                  {soi + app0 + eoi + another, []string{another}},
		"nothing in it":             {soi + eoi + another, []string{another}},
		"a length too short":        {soi + "\xff\xe0\x00\x01" + another, []string{another}},
		"a length beyond the bound": {soi + "\xff\xe0\xff\xff" + another, []string{another}},
		"no mark":                   {soi + "\xff\xe0\x00\x02ab" + another, []string{another}},
		"a stuffed byte as mark":    {soi + "\xff\xe0\x00\x02\xff\x00" + another, []string{another}},
		"too large":                 {soi + scan + strings.Repeat("1", 2000) + eoi + another, []string{another}},
		"too large by a byte":       {soi + scan + strings.Repeat("1", 1001-9) + eoi + another, []string{another}},
		"as large as may be":        {soi + scan + strings.Repeat("1", 1000-9) + eoi + another, []string{soi + scan + strings.Repeat("1", 1000-9) + eoi, another}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, cuts := range [][]int{{1}, {2}, {3, 1, 7}, {1 << 20}} {
				if got := pieces(newMJPEG(1000), test.stream, cuts...); !slices.Equal(got, test.want) {
					t.Errorf("in pieces of %v: %q (want %q)", cuts, got, test.want)
				}
			}
		})
	}
}

// FuzzMJPEG holds that every picture begins and ends as one does and keeps the
// bound, that whole pictures come out whatever the pieces, and that garbage
// before them costs no more than one bound of stream.
func FuzzMJPEG(f *testing.F) {
	real := jpegBytes(f, square(8, color.White))
	f.Add([]byte(whole), uint8(3), uint8(1), uint8(9))
	f.Add([]byte("garbage"), uint8(2), uint8(255), uint8(1))
	f.Add([]byte(soi+"\xff\xe0\x02\xff"+soi+scan), uint8(5), uint8(7), uint8(2))
	f.Add(real, uint8(1), uint8(100), uint8(3))
	f.Add([]byte(thumbnailed()), uint8(1), uint8(1), uint8(1))
	f.Add(real[:len(real)/2], uint8(4), uint8(50), uint8(51))
	f.Fuzz(func(t *testing.T, garbage []byte, copies, cut1, cut2 uint8) {
		limit := 3 * len(real)
		cuts := []int{1 + int(cut1), 1 + int(cut2)}
		pictures := []string{whole, string(real), another}

		var stream string
		var want []string
		for i := range int(copies) {
			want = append(want, pictures[i%len(pictures)])
			stream += want[i]
		}
		if got := pieces(newMJPEG(limit), stream, cuts...); !slices.Equal(got, want) {
			t.Fatalf("%d pictures in pieces of %v gave %d", len(want), cuts, len(got))
		}

		// Whatever the garbage seems to begin is given up within the bound.
		var good []string
		for n := 0; n <= 2*limit; n += len(good[len(good)-1]) {
			good = append(good, pictures[len(good)%len(pictures)])
		}
		s := newMJPEG(limit)
		got := pieces(s, string(garbage)+strings.Join(good, ""), cuts...)
		for _, pix := range got {
			if !strings.HasPrefix(pix, soi) || !strings.HasSuffix(pix, eoi) || len(pix) > limit {
				t.Errorf("no picture: %d bytes %q", len(pix), pix)
			}
		}
		if cap(s.buf) != limit {
			t.Errorf("%d bytes held (want %d)", cap(s.buf), limit)
		}
		if last := good[len(good)-1]; len(got) == 0 || got[len(got)-1] != last {
			t.Errorf("after %d bytes of garbage the last of %d pictures did not come out", len(garbage), len(good))
		}
	})
}

func BenchmarkMJPEG(b *testing.B) {
	pix := append([]byte(soi+scan), bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 0xff, 0}, 5000)...)
	pix = append(pix, eoi...)
	s := newMJPEG(2 * 640 * 480)
	b.SetBytes(int64(len(pix)))
	b.ReportAllocs()
	for b.Loop() {
		s.add(copy(s.space(), pix))
		if s.next() == nil {
			b.Fatal("no picture")
		}
	}
}

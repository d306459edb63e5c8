package preprocess

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"runtime"
	"testing"

	"teachbox/device/frame"
)

// withoutTables cuts the Huffman tables out, as many cameras do. The encoder
// of the standard library uses the standard ones.
func withoutTables(t testing.TB, data []byte) []byte {
	t.Helper()
	at := bytes.Index(data, []byte{0xff, 0xc4})
	if at < 0 {
		t.Fatal("the picture has no Huffman tables")
	}
	end := at + 2 + int(binary.BigEndian.Uint16(data[at+2:]))
	return append(bytes.Clone(data[:at]), data[end:]...)
}

// withSegment puts a segment right after the start of the picture.
func withSegment(data []byte, marker byte, content string) []byte {
	out := append([]byte{0xff, 0xd8, 0xff, marker}, binary.BigEndian.AppendUint16(nil, uint16(len(content)+2))...)
	return append(append(out, content...), data[2:]...)
}

// withSize changes the size that the picture claims to have.
func withSize(t testing.TB, data []byte, width, height uint16) []byte {
	t.Helper()
	at := bytes.Index(data, []byte{0xff, 0xc0})
	if at < 0 {
		t.Fatal("the picture has no frame header")
	}
	data = bytes.Clone(data)
	binary.BigEndian.PutUint16(data[at+5:], height)
	binary.BigEndian.PutUint16(data[at+7:], width)
	return data
}

// TestJPEGVariants fills from pictures that must look the same as the plain
// one.
func TestJPEGVariants(t *testing.T) {
	plain := encode(t, scene(61, 43))
	p := newPreprocessor(t, Options{Width: 20, Height: 20})
	want := make([]uint8, 20*20*3)
	if err := p.Fill(want, frame.Frame{Format: frame.JPEG, Pix: plain}); err != nil {
		t.Fatal(err)
	}
	got := make([]uint8, len(want))
	for name, data := range map[string][]byte{
		"no Huffman tables":          withoutTables(t, plain),
		"AVI1 and no Huffman tables": withSegment(withoutTables(t, plain), 0xe0, "AVI1\x00\x00\x00\x00\x00\x00"),
		"bytes after the end":        append(bytes.Clone(plain), 0, 0, 0xff, 0xd8, 7),
		"other APP segments":         withSegment(withSegment(plain, 0xe7, "x"), 0xef, "\xff\xc4\xff\xda"),
		"fill bytes":                 append([]byte{0xff, 0xd8, 0xff, 0xff}, plain[2:]...),
	} {
		clear(got)
		if err := p.Fill(got, frame.Frame{Format: frame.JPEG, Pix: data}); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s: another picture", name)
		}
	}
}

// TestJPEGColours checks each kind of image that the decoder may return.
func TestJPEGColours(t *testing.T) {
	const adobeRGB = "Adobe\x00\x64\x00\x00\x00\x00\x00" // transform 0
	gray := image.NewGray(image.Rect(0, 0, 40, 30))
	for i := range gray.Pix {
		gray.Pix[i] = uint8(i / 5)
	}
	o := Options{Width: 9, Height: 9}
	p := newPreprocessor(t, o)
	got := make([]uint8, 9*9*3)
	for name, data := range map[string][]byte{
		"YCbCr": encode(t, scene(40, 30)),
		"gray":  encode(t, gray),
		"RGB":   withSegment(encode(t, scene(40, 30)), 0xee, adobeRGB),
	} {
		img, err := DecodeJPEG(data)
		if err != nil {
			t.Fatal(err)
		}
		var want []uint8
		switch img := img.(type) {
		case *image.YCbCr:
			want = referenceYCbCr(o, img)
		case *image.Gray:
			want = referenceGray(o, img)
		default:
			if name != "RGB" {
				t.Fatalf("%s was decoded to %T", name, img)
			}
			want = referenceRGB(o, FromImage(img))
		}
		if err := p.Fill(got, frame.Frame{Format: frame.JPEG, Pix: data}); err != nil {
			t.Fatal(err)
		}
		if d := worst(got, want); d > 1 {
			t.Errorf("%s: off by %d levels", name, d)
		}
	}
}

func TestJPEGCutShort(t *testing.T) {
	data := encode(t, scene(24, 24))
	p := newPreprocessor(t, Options{Width: 8, Height: 8})
	dst := make([]uint8, 8*8*3)
	for n := range data {
		err := p.Fill(dst, frame.Frame{Format: frame.JPEG, Pix: data[:n]})
		if !errors.Is(err, frame.ErrMalformed) {
			t.Fatalf("the first %d of %d bytes: error %v, want one that wraps frame.ErrMalformed", n, len(data), err)
		}
	}
}

// TestJPEGBounds shows that the size is checked before memory is taken for it.
func TestJPEGBounds(t *testing.T) {
	small := encode(t, scene(16, 16))
	for _, size := range [][2]uint16{{0, 0}, {0, 16}, {65535, 65535}, {frame.MaxSide + 1, 1}, {frame.MaxSide, frame.MaxSide}} {
		data := withSize(t, small, size[0], size[1])
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := DecodeJPEG(data)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, frame.ErrMalformed) {
			t.Errorf("%v: error %v, want one that wraps frame.ErrMalformed", size, err)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
			t.Errorf("%v: %d bytes allocated for a picture that is refused", size, allocated)
		}
	}
}

func FuzzFill(f *testing.F) {
	plain := encode(f, scene(17, 9))
	f.Add(plain, uint8(0))
	f.Add(withoutTables(f, plain), uint8(1))
	f.Add(withSegment(plain, 0xee, "Adobe\x00\x64\x00\x00\x00\x00\x00"), uint8(2))
	f.Add(plain[:len(plain)/2], uint8(3))
	var ps [4]*Preprocessor
	for i, o := range []Options{
		{Width: 8, Height: 8},
		{Width: 5, Height: 9, Crop: "center", Rotation: 90},
		{Width: 1, Height: 3, Crop: "0.9,0.9,0.1,0.1", Flip: "h"},
		{Width: 31, Height: 2, Crop: "0,0.5,0.05,0.5", Rotation: 270, Flip: "hv"},
	} {
		ps[i] = newPreprocessor(f, o)
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		p := ps[which%4]
		dst := make([]uint8, p.opts.Width*p.opts.Height*3)
		if err := p.Fill(dst, frame.Frame{Format: frame.JPEG, Pix: data}); err != nil && !errors.Is(err, frame.ErrMalformed) {
			t.Error(err)
		}
	})
}

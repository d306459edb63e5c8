package preprocess

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"teachbox/device/frame"
)

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pixel(f frame.Frame, x, y int) [3]uint8 {
	return [3]uint8(f.Pix[y*f.Stride+3*x:])
}

func TestFromImage(t *testing.T) {
	img := image.NewNRGBA(image.Rect(-1, 5, 2, 6)) // 3×1, not at the origin
	img.SetNRGBA(-1, 5, color.NRGBA{10, 20, 30, 255})
	img.SetNRGBA(0, 5, color.NRGBA{255, 0, 0, 0}) // cannot be seen
	img.SetNRGBA(1, 5, color.NRGBA{0, 0, 0, 128})
	f := FromImage(img)
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	want := [][3]uint8{{10, 20, 30}, {255, 255, 255}, {127, 127, 127}}
	for x, w := range want {
		if got := pixel(f, x, 0); got != w {
			t.Errorf("pixel %d is %v, want %v", x, got, w)
		}
	}
	empty := FromImage(image.NewRGBA(image.Rectangle{}))
	if empty.Check() == nil {
		t.Error("an empty picture gave a frame that passes Check")
	}
}

func TestDecodeFile(t *testing.T) {
	img := scene(30, 20)
	data := encode(t, img)
	f, err := DecodeFile("a.jpg", data)
	if err != nil {
		t.Fatal(err)
	}
	if f.Format != frame.JPEG || f.Width != 30 || f.Height != 20 || !bytes.Equal(f.Pix, data) {
		t.Errorf("JPEG gave %v %d×%d", f.Format, f.Width, f.Height)
	}
	f, err = DecodeFile("a.jpg", encodePNG(t, img)) // the name does not matter
	if err != nil {
		t.Fatal(err)
	}
	if want := FromImage(img); f.Format != frame.RGB || f.Width != 30 || f.Height != 20 || !bytes.Equal(f.Pix, want.Pix) {
		t.Errorf("PNG gave %v %d×%d", f.Format, f.Width, f.Height)
	}
}

func TestDecodeFileRefuses(t *testing.T) {
	jpg, pic := encode(t, scene(30, 20)), encodePNG(t, scene(30, 20))
	pngSize := func(w, h uint32) []byte { // the header with a checksum of its own
		data := bytes.Clone(pic)
		binary.BigEndian.PutUint32(data[16:], w)
		binary.BigEndian.PutUint32(data[20:], h)
		binary.BigEndian.PutUint32(data[29:], crc32.ChecksumIEEE(data[12:29]))
		return data
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":         {nil, "not a picture"},
		"text":          {[]byte("hello"), "not a picture"},
		"gif":           {[]byte("GIF89a\x01\x00\x01\x00"), "not a picture"},
		"short JPEG":    {jpg[:len(jpg)/2], "cut short"},
		"short PNG":     {pic[:len(pic)/2], "not enough pixel data"},
		"bare JPEG":     {jpg[:2], "cut short"},
		"bare PNG":      {pic[:8], "cut short"},
		"large JPEG":    {withSize(t, jpg, 8192, 8000), "8192×8000"},
		"wide JPEG":     {withSize(t, jpg, 9000, 2), "9000×2"},
		"empty JPEG":    {withSize(t, jpg, 0, 20), "0×20"},
		"large PNG":     {pngSize(8192, 8000), "8192×8000"},
		"empty PNG":     {pngSize(0, 20), "non-positive dimension"},
		"damaged PNG":   {append(append(bytes.Clone(pic[:29]), 0, 0, 0, 0), pic[33:]...), "invalid checksum"},
		"damaged JPEG":  {append(bytes.Clone(jpg[:20]), make([]byte, 100)...), "cut short"},
		"lossless JPEG": {bytes.Replace(jpg, []byte{0xff, 0xc0}, []byte{0xff, 0xc3}, 1), "unsupported"},
	} {
		_, err := DecodeFile("box/cup.jpg", c.data)
		if err == nil || !strings.HasPrefix(err.Error(), "box/cup.jpg: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that names the file and has %q", name, err, c.want)
		}
	}
}

// exif is an APP1 segment's content with an orientation.
func exif(order binary.AppendByteOrder, mark string, orientation uint16) string {
	b := []byte("Exif\x00\x00" + mark)
	b = order.AppendUint16(b, 42)
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 0x010f) // a tag before it
	b = append(b, make([]byte, 10)...)
	b = order.AppendUint16(b, 0x0112)
	b = order.AppendUint16(b, 3)
	b = order.AppendUint32(b, 1)
	b = order.AppendUint16(b, orientation)
	return string(append(b, make([]byte, 6)...))
}

// TestOrientation names the corners of a stored picture by their grey levels
// and says where each has to be seen.
func TestOrientation(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 32, 16))
	for i := range img.Pix {
		img.Pix[i] = uint8(50 + 50*(i%32/16) + 100*(i/32/8)) // 50 100 / 150 200
	}
	data := encode(t, img)
	for o, want := range map[uint16][4]int{ // top left, top right, bottom left, bottom right
		1: {50, 100, 150, 200},
		2: {100, 50, 200, 150},
		3: {200, 150, 100, 50},
		4: {150, 200, 50, 100},
		5: {50, 150, 100, 200},
		6: {150, 50, 200, 100},
		7: {200, 100, 150, 50},
		8: {100, 200, 50, 150},
		9: {50, 100, 150, 200}, // there is no 9
	} {
		for name, segment := range map[string]string{
			"little endian": exif(binary.LittleEndian, "II", o),
			"big endian":    exif(binary.BigEndian, "MM", o),
		} {
			f, err := DecodeFile("a.jpg", withSegment(withSegment(data, 0xe1, segment), 0xe0, "JFIF\x00"))
			if err != nil {
				t.Fatal(err)
			}
			wantWidth, wantHeight := 32, 16
			if o >= 5 && o <= 8 {
				wantWidth, wantHeight = 16, 32
			}
			if f.Width != wantWidth || f.Height != wantHeight {
				t.Errorf("orientation %d: %d×%d, want %d×%d", o, f.Width, f.Height, wantWidth, wantHeight)
				continue
			}
			p := newPreprocessor(t, Options{Width: 2, Height: 2})
			got := make([]uint8, 2*2*3)
			if err := p.Fill(got, f); err != nil {
				t.Fatal(err)
			}
			for i, level := range want {
				if d := int(got[3*i]) - level; d < -3 || d > 3 {
					t.Errorf("orientation %d, %s: corners %v, want %v", o, name, []uint8{got[0], got[3], got[6], got[9]}, want)
					break
				}
			}
		}
	}
}

// TestOrientationDamaged cuts EXIF data everywhere: it is then as if absent.
func TestOrientationDamaged(t *testing.T) {
	whole := exif(binary.LittleEndian, "II", 6)
	data := encode(t, scene(8, 8))
	for n := range whole {
		f, err := DecodeFile("a.jpg", withSegment(data, 0xe1, whole[:n]))
		if err != nil {
			t.Fatal(err)
		}
		read := f.Format == frame.RGB
		if end := len(whole) - 4; n < end-2 && read { // the value ends there
			t.Errorf("an orientation was read from %d bytes", n)
		}
	}
	for _, segments := range []string{"", "\xff\xe1\x00", "\xff\xe1\x00\x00\x00\x00", "\xff\xe1\xff\xff\x00", "\xff\xe1\x00\x02\xff\xda"} {
		if o := orientation([]byte("\xff\xd8" + segments)); o != 1 {
			t.Errorf("segments %x: orientation %d, want 1", segments, o)
		}
	}
	far := []byte(whole)
	binary.LittleEndian.PutUint32(far[6+4:], 1<<32-1)
	if f, err := DecodeFile("a.jpg", withSegment(data, 0xe1, string(far))); err != nil || f.Format != frame.JPEG {
		t.Errorf("a directory out of bounds: %v, %v", f.Format, err)
	}
}

func FuzzDecodeFile(f *testing.F) {
	jpg := encode(f, scene(9, 5))
	f.Add(jpg)
	f.Add(encodePNG(f, scene(9, 5)))
	f.Add(withSegment(jpg, 0xe1, exif(binary.BigEndian, "MM", 6)))
	f.Add([]byte("GIF89a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		fr, err := DecodeFile("a", data)
		if err != nil {
			return
		}
		if err := fr.Check(); err != nil {
			t.Fatal(err)
		}
		if err := frame.CheckSize(fr.Width, fr.Height); err != nil {
			t.Fatal(err)
		}
		p := newPreprocessor(t, Options{Width: 3, Height: 3})
		if err := p.Fill(make([]uint8, 3*3*3), fr); err != nil {
			t.Fatalf("a picture that was accepted cannot be used: %v", err)
		}
	})
}

package virtualpi

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"testing"
)

func TestStripHuffman(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 40, 30))
	for i := range img.Pix {
		img.Pix[i] = byte(i * 7)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	stripped := StripHuffman(whole)
	const marker = "\xff\xc4"
	at := bytes.Index(whole, []byte(marker))
	if at < 0 || bytes.Contains(stripped[:at+2], []byte(marker)) {
		t.Fatalf("%d bytes of %d are left, with tables", len(stripped), len(whole))
	}
	config, err := jpeg.DecodeConfig(bytes.NewReader(stripped))
	if err != nil || config.Width != 40 || config.Height != 30 || config.ColorModel != color.GrayModel {
		t.Errorf("%+v, error %v", config, err)
	}
	if _, err := jpeg.Decode(bytes.NewReader(stripped)); err == nil {
		t.Error("it decodes without tables")
	}
	// The tables put back make the picture whole again.
	segment := whole[at : at+len(whole)-len(stripped)]
	mended := append(append(bytes.Clone(stripped[:2]), segment...), stripped[2:]...)
	got, err := jpeg.Decode(bytes.NewReader(mended))
	if err != nil {
		t.Fatal(err)
	}
	want, err := jpeg.Decode(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.(*image.Gray).Pix, want.(*image.Gray).Pix) {
		t.Error("with its tables put back it is another picture")
	}
}

func FuzzStripHuffman(f *testing.F) {
	f.Add([]byte("\xff\xd8\xff\xc4\x00\x03x\xff\xda\x00\x02yz"))
	f.Add([]byte("\xff\xd8\xff\xc4\x00\x00"))
	f.Add([]byte("\xff\xd8\xff\xe0\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		out := StripHuffman(data)
		if out == nil {
			return
		}
		if len(out) >= len(data) || !bytes.HasPrefix(out, data[:2]) {
			t.Errorf("%q became %q", data, out)
		}
		if StripHuffman(out) != nil {
			t.Errorf("%q still has tables", out)
		}
	})
}

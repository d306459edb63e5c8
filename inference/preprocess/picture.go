package preprocess

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"

	"teachbox/device/frame"
)

// FromImage returns the picture as an RGB frame; what is transparent shows
// white. An empty picture gives a frame that Check refuses.
func FromImage(img image.Image) frame.Frame {
	b := img.Bounds()
	rgba := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(rgba, rgba.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(rgba, rgba.Rect, img, b.Min, draw.Over)
	f := newRGB(b.Dx(), b.Dy())
	for i := range b.Dx() * b.Dy() {
		copy(f.Pix[3*i:3*i+3], rgba.Pix[4*i:])
	}
	return f
}

func newRGB(width, height int) frame.Frame {
	return frame.Frame{
		Format: frame.RGB,
		Width:  width,
		Height: height,
		Stride: 3 * width,
		Pix:    make([]byte, 3*width*height),
	}
}

// DecodeFile returns the picture in a JPEG or PNG file, told by its content;
// name is for the error. A JPEG picture stays as it is, and the frame shares data,
// unless its EXIF orientation says that it has to be turned. Pictures that are
// damaged, cut short or larger than a frame may be are refused.
func DecodeFile(name string, data []byte) (frame.Frame, error) {
	f, err := decodeFile(data)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return frame.Frame{}, fmt.Errorf("%s: the picture is cut short: copy the file again", name)
	default:
		return frame.Frame{}, fmt.Errorf("%s: %w: use an ordinary JPEG or PNG picture", name, err)
	}
}

func decodeFile(data []byte) (frame.Frame, error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8")):
		img, err := DecodeJPEG(data)
		if err != nil {
			return frame.Frame{}, err
		}
		if o := orientation(data); o != 1 {
			return orient(FromImage(img), o), nil
		}
		size := img.Bounds()
		return frame.Frame{Format: frame.JPEG, Width: size.Dx(), Height: size.Dy(), Pix: data}, nil
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		c, err := png.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return frame.Frame{}, err
		}
		if err := frame.CheckSize(c.Width, c.Height); err != nil {
			return frame.Frame{}, err
		}
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			return frame.Frame{}, err
		}
		return FromImage(img), nil
	}
	return frame.Frame{}, errors.New("not a picture")
}

// orientation returns the EXIF orientation of a JPEG picture: 1 to 8, and 1 if
// it has none that can be read. EXIF is a TIFF directory in an APP1 segment
// (CIPA DC-008, 4.5.4 and 4.6.4).
func orientation(data []byte) int {
	const (
		app1 = 0xe1
		sos  = 0xda
	)
	for rest := data[2:]; len(rest) >= 4 && rest[0] == 0xff && rest[1] != sos; {
		n := int(binary.BigEndian.Uint16(rest[2:])) + 2
		if n < 4 || n > len(rest) {
			break
		}
		if tiff, ok := bytes.CutPrefix(rest[4:n], []byte("Exif\x00\x00")); ok && rest[1] == app1 {
			return tiffOrientation(tiff)
		}
		rest = rest[n:]
	}
	return 1
}

// tiffOrientation reads the tag from the first directory.
func tiffOrientation(tiff []byte) int {
	var order binary.ByteOrder = binary.BigEndian
	if bytes.HasPrefix(tiff, []byte("II")) {
		order = binary.LittleEndian
	}
	if len(tiff) < 8 {
		return 1
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 1
	}
	const (
		entry = 12 // bytes: tag, type, count, value
		tag   = 0x0112
		short = 3
	)
	dir := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(dir) < entry {
			break
		}
		if order.Uint16(dir) == tag && order.Uint16(dir[2:]) == short {
			if v := order.Uint16(dir[8:]); v >= 1 && v <= 8 {
				return int(v)
			}
		}
		dir = dir[entry:]
	}
	return 1
}

// orient turns an RGB frame upright: o says which side of the picture row 0
// and column 0 of the file are.
func orient(f frame.Frame, o int) frame.Frame {
	out := newRGB(f.Width, f.Height)
	if o >= 5 { // row 0 is the left or right side
		out = newRGB(f.Height, f.Width)
	}
	for y := range out.Height {
		for x := range out.Width {
			fx, fy := x, y
			if o >= 5 {
				fx, fy = y, x
			}
			switch o {
			case 2, 3, 7, 8:
				fx = f.Width - 1 - fx
			}
			switch o {
			case 3, 4, 6, 7:
				fy = f.Height - 1 - fy
			}
			copy(out.Pix[y*out.Stride+3*x:][:3], f.Pix[fy*f.Stride+3*fx:])
		}
	}
	return out
}

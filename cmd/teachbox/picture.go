package main

import (
	"bytes"
	"image"
	"image/jpeg"

	"teachbox/device/frame"
	"teachbox/inference/preprocess"
	"teachbox/models"
)

// pictureQuality is the JPEG quality of kept pictures.
const pictureQuality = 85

// encodePicture turns a frame into the picture to keep: as the camera gave it,
// uncropped, its longest side at most so many pixels.
func encodePicture(f frame.Frame, side int) ([]byte, error) {
	if f.Format == frame.JPEG {
		img, err := preprocess.DecodeJPEG(f.Pix)
		if err != nil {
			return nil, err
		}
		f = preprocess.FromImage(img)
	}
	longest := max(f.Width, f.Height, side)
	width, height := max(1, f.Width*side/longest), max(1, f.Height*side/longest)
	if longest == side {
		width, height = f.Width, f.Height
	}
	p, err := preprocess.New(preprocess.Options{Width: width, Height: height})
	if err != nil {
		return nil, err
	}
	rgb := make([]uint8, width*height*3)
	if err := p.Fill(rgb, f); err != nil {
		return nil, err
	}
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for i, j := 0, 0; i < len(rgb); i, j = i+3, j+4 {
		img.Pix[j], img.Pix[j+1], img.Pix[j+2], img.Pix[j+3] = rgb[i], rgb[i+1], rgb[i+2], 0xff
	}
	var b bytes.Buffer
	err = jpeg.Encode(&b, img, &jpeg.Options{Quality: pictureQuality})
	return b.Bytes(), err
}

// readPicture reads a picture file as a frame.
func readPicture(path string) (frame.Frame, error) {
	data, err := models.ReadFile(path)
	if err != nil {
		return frame.Frame{}, err
	}
	return preprocess.DecodeFile(path, data)
}

package camera

// An i420Splitter finds the pictures in a stream of frames of one size: the
// plane of luma, then those of Cb and Cr with half the width and half the
// height, without padding. Such a stream has no marks, but a live one has
// pauses: rpicam-vid writes each frame at once and waits for the next. What has
// come before a pause without being a frame is given up, so that a lost or an
// odd byte costs one frame and no more.
type i420Splitter struct {
	buf []byte // one frame
	n   int    // how much of it has come
}

func newI420(width, height int) *i420Splitter {
	return &i420Splitter{buf: make([]byte, width*height*3/2)}
}

func (s *i420Splitter) space() []byte { return s.buf[s.n:] }

func (s *i420Splitter) add(n int) { s.n += n }

func (s *i420Splitter) silent() { s.n = 0 }

func (s *i420Splitter) next() []byte {
	if s.n < len(s.buf) {
		return nil
	}
	s.n = 0
	return s.buf
}

// A yuyvMaker turns I420 of full range into YUYV of limited range.
type yuyvMaker struct {
	width, height int // even
	luma, chroma  [256]uint8
	pix           []byte
}

func newYUYVMaker(width, height int) *yuyvMaker {
	m := &yuyvMaker{width: width, height: height, pix: make([]byte, 2*width*height)}
	for v := range 256 {
		// ITU-T T.871 has 0 to 255 and 128±127.5 (JFIF, sYCC); ITU-R BT.601 has
		// 16 to 235 and 128±112. Half a step is added to round.
		m.luma[v] = uint8(16 + (v*219+127)/255)
		m.chroma[v] = uint8((128*255 + (v-128)*224 + 127) / 255)
	}
	return m
}

// convert returns the picture, valid until the next call. Each row of chroma
// serves two rows of luma.
func (m *yuyvMaker) convert(i420 []byte) []byte {
	w, h := m.width, m.height
	half := w / 2
	for y := range h {
		luma := i420[y*w:][:w]
		cb := i420[w*h+y/2*half:][:half]
		cr := i420[w*h+w*h/4+y/2*half:][:half]
		row := m.pix[2*w*y:][:2*w]
		for x := range half {
			px := row[4*x : 4*x+4 : 4*x+4]
			px[0] = m.luma[luma[2*x]]
			px[1] = m.chroma[cb[x]]
			px[2] = m.luma[luma[2*x+1]]
			px[3] = m.chroma[cr[x]]
		}
	}
	return m.pix
}

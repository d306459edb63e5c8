package preprocess

// put writes row j, and the row before if that is its pair, from p.out. Without
// a matrix they are R, G and B.
func (p *Preprocessor) put(dst []uint8, j int, m *matrix) {
	row := func(j int, bit uint) {
		at := p.place.origin + j*p.place.below
		if m == nil {
			putRGB(dst, at, p.place.right, &p.out, bit)
		} else {
			putYCbCr(dst, at, p.place.right, &p.out, bit, m)
		}
	}
	if j%2 == 1 {
		row(j-1, 0)
	}
	row(j, 32)
}

// putRGB writes the row that begins at the given bit of each word of out. That
// the shift is below 64 is said for the compiler.
func putRGB(dst []uint8, at, right int, out *[3]line, bit uint) {
	r := out[0]
	g, b := out[1][:len(r)], out[2][:len(r)]
	for i := range r {
		px := dst[at : at+3 : at+3]
		px[0] = uint8((uint16(r[i]>>(bit&63)) + 128) >> 8)
		px[1] = uint8((uint16(g[i]>>(bit&63)) + 128) >> 8)
		px[2] = uint8((uint16(b[i]>>(bit&63)) + 128) >> 8)
		at += right
	}
}

// putYCbCr is putRGB for luma and chroma.
func putYCbCr(dst []uint8, at, right int, out *[3]line, bit uint, m *matrix) {
	y := out[0]
	cb, cr := out[1][:len(y)], out[2][:len(y)]
	for i := range y {
		px := dst[at : at+3 : at+3]
		px[0], px[1], px[2] = m.rgb(
			int32(uint16(y[i]>>(bit&63))), int32(uint16(cb[i]>>(bit&63))), int32(uint16(cr[i]>>(bit&63))))
		at += right
	}
}

// A matrix converts luma and chroma to RGB. Its factors are in 1/8192.
type matrix struct {
	black              int32 // luma of black, in 1/256 level
	y                  int32
	rCr, gCb, gCr, bCb int32
}

// full is the conversion of JFIF: ITU-R BT.601 with all of 0 to 255.
func full() matrix { return matrix{0, 8192, 11485, -2819, -5850, 14516} }

// limited is the conversion of video: ITU-R BT.601 with luma from 16 to 235
// and chroma from 16 to 240.
func limited() matrix { return matrix{16 << 8, 9539, 13075, -3209, -6660, 16525} }

// rgb converts one pixel. The arguments are in 1/256 level.
func (m *matrix) rgb(y, cb, cr int32) (r, g, b uint8) {
	y = (y-m.black)*m.y + 1<<20 // in 1/2^21 level, to be rounded
	cb -= 128 << 8
	cr -= 128 << 8
	return level(y + cr*m.rCr), level(y + cb*m.gCb + cr*m.gCr), level(y + cb*m.bCb)
}

// level turns 1/2^21 level into 0 to 255.
func level(v int32) uint8 { return uint8(min(max(v>>21, 0), 255)) }

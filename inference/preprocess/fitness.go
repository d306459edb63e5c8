package preprocess

import (
	"encoding/binary"

	"teachbox/inference"
)

// Measure describes a filled input tensor: it sets *t to its thumb and returns
// its fitness. The tensor is one that Fill filled.
func (p *Preprocessor) Measure(tensor []uint8, t *inference.Thumb) inference.Fitness {
	w, h := p.opts.Width, p.opts.Height
	sum := lumaOf(p.luma, tensor)
	thumb(t, p.luma, w, h)
	return inference.Fitness{
		Luma:      float32(sum) / float32(w*h),
		Sharpness: sharpness(p.luma, w),
		Digest:    digest(tensor),
	}
}

// lumaOf converts RGB to the luma of ITU-R BT.601, and returns its sum.
func lumaOf(luma, rgb []uint8) (sum uint64) {
	rgb = rgb[:3*len(luma)]
	for i := range luma {
		px := rgb[3*i : 3*i+3 : 3*i+3]
		y := (77*uint32(px[0]) + 150*uint32(px[1]) + 29*uint32(px[2]) + 128) >> 8
		luma[i] = uint8(y)
		sum += uint64(y)
	}
	return sum
}

// thumb averages cells of the picture. Their borders lie between pixels; a
// picture smaller than a thumb fills several cells with each pixel.
func thumb(t *inference.Thumb, luma []uint8, w, h int) {
	const side = inference.ThumbSide
	cell := func(i, n int) (from, to int) {
		from = i * n / side
		return from, max((i+1)*n/side, from+1)
	}
	for j := range side {
		top, bottom := cell(j, h)
		for i := range side {
			left, right := cell(i, w)
			var sum uint32
			for y := top; y < bottom; y++ {
				for _, v := range luma[y*w+left : y*w+right] {
					sum += uint32(v)
				}
			}
			n := uint32((bottom - top) * (right - left))
			t[j*side+i] = uint8((sum + n/2) / n)
		}
	}
}

// sharpness is the mean absolute difference between pixels and their right and
// lower neighbours. Every other row is enough for a mean, in half the time.
func sharpness(luma []uint8, w int) float32 {
	var sum, n int
	for ; len(luma) >= 2*w && w > 1; luma = luma[min(2*w, len(luma)):] {
		row, below := luma[:w], luma[w:2*w]
		for x, right := range row[1:] {
			v := int(row[x])
			across, down := int(right)-v, int(below[x])-v
			sum += max(across, -across) + max(down, -down)
		}
		n += 2 * (w - 1)
	}
	return float32(sum) / float32(max(n, 1))
}

// digest is FNV-1a over words of eight bytes rather than bytes: it is as good
// at telling two frames apart, and eight times as fast.
func digest(b []uint8) uint64 {
	const (
		offset = 14695981039346656037
		prime  = 1099511628211
	)
	h := uint64(offset)
	for ; len(b) >= 8; b = b[8:] {
		h = (h ^ binary.LittleEndian.Uint64(b)) * prime
	}
	for _, v := range b {
		h = (h ^ uint64(v)) * prime
	}
	return h
}

package preprocess

import "encoding/binary"

// one is the weight 1 in fixed point. The weights of one tap sum to exactly
// one, so a flat picture keeps its level to the bit.
const one = 1 << 16

// A tap is what one output takes from one line of samples.
type tap struct {
	first  int      // index of the first sample
	weight []uint32 // of that sample and the ones after it; sum one
}

// A span is an interval of pixels, in 1/65536 pixel.
type span struct{ lo, hi int64 }

// taps divides the interval s of a line of n samples, each pitch pixels wide,
// into out outputs. Where an output is at least as wide as a sample it is the
// mean of what it covers, weighted by area. Where samples are wider, it is
// interpolated linearly between the two whose centres are nearest.
//
// It works in integers only, so that every processor gets the same weights.
// Positions are in 1/(65536·out) pixel; nothing comes near 2^63.
func taps(n, pitch int, s span, out int) []tap {
	width := s.hi - s.lo                      // of an output
	sample := int64(pitch) << 16 * int64(out) // of a sample
	last := int64(n - 1)
	ts := make([]tap, out)
	for i := range ts {
		lo := s.lo*int64(out) + width*int64(i)
		if width < sample {
			// Twice the centre of the output, less twice that of sample 0.
			c := 2*lo + width - sample
			switch k := c / (2 * sample); {
			case c <= 0:
				ts[i] = tap{0, []uint32{one}}
			case k >= last:
				ts[i] = tap{int(last), []uint32{one}}
			default:
				w := uint32((c%(2*sample)*one + sample) / (2 * sample))
				ts[i] = tap{int(k), []uint32{one - w, w}}
			}
			continue
		}
		first := lo / sample
		end := min((lo+width+sample-1)/sample, last+1)
		w := make([]uint32, end-first)
		done := int64(0) // weight given so far; rounding it keeps the sum exact
		for k := range w {
			upTo := min((first+int64(k)+1)*sample-lo, width)
			sum := (upTo*one + width/2) / width
			w[k] = uint32(sum - done)
			done = sum
		}
		ts[i] = tap{int(first), w}
	}
	return ts
}

// reach returns the first sample that ts takes and the one after the last.
func reach(ts []tap) (from, to int) {
	last := ts[len(ts)-1]
	return ts[0].first, last.first + len(last.weight)
}

// A line holds two rows of samples, in 1/256 level: the newer one from bit 32
// of each word, the older one from bit 0, 16 bits each; the
// other bits mean nothing. So squeeze scales two
// rows in one go.
type line []uint64

// mix pushes a row into l: the weighted sum of as many rows of pix as there
// are weights, each stride bytes after the one before. The row that was in the
// upper half moves to the lower. l and pix begin at the same column. Fractions
// of 1/256 level are dropped, here and in squeeze.
//
// Eight bytes are weighted at a time: two to a word, each in 32 bits, of which
// a weighted sum of bytes needs 24.
func mix(l line, pix []uint8, stride int, weight []uint32) {
	const (
		even  = 0x000000ff_000000ff
		value = 0xffff // of the lower sum
	)
	for len(l) >= 8 {
		var a, b, c, d uint64
		at := 0
		for _, w := range weight {
			v, w := binary.LittleEndian.Uint64(pix[at:]), uint64(w)
			a += v & even * w
			b += v >> 8 & even * w
			c += v >> 16 & even * w
			d += v >> 24 & even * w
			at += stride
		}
		l[0] = l[0]>>32 | a>>8&value<<32
		l[1] = l[1]>>32 | b>>8&value<<32
		l[2] = l[2]>>32 | c>>8&value<<32
		l[3] = l[3]>>32 | d>>8&value<<32
		l[4] = l[4]>>32 | a>>40<<32
		l[5] = l[5]>>32 | b>>40<<32
		l[6] = l[6]>>32 | c>>40<<32
		l[7] = l[7]>>32 | d>>40<<32
		l, pix = l[8:], pix[8:]
	}
	for x := range l {
		var s uint64
		at := x
		for _, w := range weight {
			s += uint64(pix[at]) * uint64(w)
			at += stride
		}
		l[x] = l[x]>>32 | s>>8<<32
	}
}

// squeeze sets each of out to what its tap takes from the line, whose samples
// are step apart.
func squeeze(out, l line, step int, ts []tap) {
	out = out[:len(ts)]
	for i := range ts {
		t := &ts[i]
		var s uint64
		at := t.first * step
		for _, w := range t.weight {
			s += l[at] * uint64(w)
			at += step
		}
		out[i] = s >> 16 // leaves a rest in bits 16 to 31
	}
}

// Package preprocess turns camera frames into what the backbone looks at, in
// one pass: the wanted part of the picture, turned, scaled to the input tensor
// and converted to RGB. It also measures what the backbone was shown (dark,
// blurred, frozen, nearly the same as before) and reads pictures from disk.
package preprocess

import (
	"fmt"
	"image"
	"math"

	"teachbox/device/frame"
	"teachbox/inference"
)

// FilterVersion numbers the arithmetic of this package: it is the Filter of
// inference.Space. Whoever changes a pixel of any tensor raises it.
const FilterVersion = 1

// A Preprocessor fills input tensors from frames of any format and size. It
// keeps its tables from frame to frame and computes them again when the
// geometry of the frames changes. It is used from one goroutine.
type Preprocessor struct {
	opts   Options // with Crop spelled in one way
	crop   inference.Crop
	place  placement
	source source
	tables tables
	lines  [3]line // of the source's planes
	out    [3]line // of the tensor, before colour conversion
	luma   []uint8 // of the tensor, for Measure
}

// New checks the options. The error names the option and what it may be.
func New(o Options) (*Preprocessor, error) {
	crop, err := o.check()
	if err != nil {
		return nil, err
	}
	p := &Preprocessor{
		opts:  o,
		crop:  crop,
		place: place(o),
		luma:  make([]uint8, o.Width*o.Height),
	}
	for i := range p.out {
		p.out[i] = make(line, p.place.across)
	}
	return p, nil
}

// Options returns the options with Crop spelled in one way only, as
// inference.Space needs it.
func (p *Preprocessor) Options() Options { return p.opts }

// A source is the geometry of a frame: its size, and the pixels that one
// chroma sample covers.
type source struct {
	width, height    int
	chromaX, chromaY int
}

// Tables say what each output takes from a frame of one geometry.
type tables struct {
	x, y             []tap // of luma, or of RGB
	chromaX, chromaY []tap
}

// prepare computes the tables for s, unless they are at hand.
func (p *Preprocessor) prepare(s source) {
	if s == p.source {
		return
	}
	p.source = s
	x, y := p.shown(s.width, s.height)
	across := func(pitch int) []tap {
		return taps((s.width+pitch-1)/pitch, pitch, x, p.place.across)
	}
	down := func(pitch int) []tap {
		return taps((s.height+pitch-1)/pitch, pitch, y, p.place.down)
	}
	p.tables = tables{across(1), down(1), across(s.chromaX), down(s.chromaY)}
	for i := range p.lines {
		p.lines[i] = make(line, 3*s.width+1) // packed RGB; YUYV of an odd width
	}
}

// shown returns the part of a frame that is shown.
func (p *Preprocessor) shown(width, height int) (x, y span) {
	if p.crop.Center {
		side := min(width, height)
		square := func(n int) span {
			lo := int64(n-side) << 15
			return span{lo, lo + int64(side)<<16}
		}
		return square(width), square(height)
	}
	part := func(n int, at, size float64) span {
		whole := float64(n) * 65536
		return span{
			int64(math.Round(at * whole)),
			int64(math.Round(min(at+size, 1) * whole)),
		}
	}
	return part(width, p.crop.X, p.crop.Width), part(height, p.crop.Y, p.crop.Height)
}

// Fill writes the frame to dst as the input tensor: Height rows of Width
// pixels, each R, G, B from 0 to 255. On a YUYV or RGB frame it allocates
// nothing, unless the geometry changed. The error wraps frame.ErrMalformed if
// the frame cannot be read; dst is then undefined.
//
// Every output is the mean of the pixels that it covers, weighted by area;
// where the source is smaller than the tensor it is interpolated. Colours are
// converted after that, once for each output.
func (p *Preprocessor) Fill(dst []uint8, f frame.Frame) error {
	if want := p.opts.Width * p.opts.Height * 3; len(dst) != want {
		return fmt.Errorf("input tensor has %d bytes: want %d for %d×%d RGB", len(dst), want, p.opts.Width, p.opts.Height)
	}
	if err := f.Check(); err != nil {
		return err
	}
	switch f.Format {
	case frame.JPEG:
		return p.fillJPEG(dst, f.Pix)
	case frame.YUYV:
		p.fillYUYV(dst, &f)
	case frame.RGB:
		p.fillRGB(dst, &f)
	}
	return nil
}

func (p *Preprocessor) fillRGB(dst []uint8, f *frame.Frame) {
	p.prepare(source{f.Width, f.Height, 1, 1})
	from, to := reach(p.tables.x)
	l := p.lines[0]
	for j, t := range p.tables.y {
		mix(l[3*from:3*to], f.Pix[t.first*f.Stride+3*from:], f.Stride, t.weight)
		if p.paired(j) {
			squeeze(p.out[0], l, 3, p.tables.x)
			squeeze(p.out[1], l[1:], 3, p.tables.x)
			squeeze(p.out[2], l[2:], 3, p.tables.x)
			p.put(dst, j, nil)
		}
	}
}

func (p *Preprocessor) fillYUYV(dst []uint8, f *frame.Frame) {
	p.prepare(source{f.Width, f.Height, 2, 1})
	from, to := reach(p.tables.x)
	chromaFrom, chromaTo := reach(p.tables.chromaX)
	from, to = min(2*from, 4*chromaFrom), max(2*to, 4*chromaTo)
	l := p.lines[0]
	m := limited()
	for j, t := range p.tables.y {
		mix(l[from:to], f.Pix[t.first*f.Stride+from:], f.Stride, t.weight)
		if p.paired(j) {
			squeeze(p.out[0], l, 2, p.tables.x)
			squeeze(p.out[1], l[1:], 4, p.tables.chromaX)
			squeeze(p.out[2], l[3:], 4, p.tables.chromaX)
			p.put(dst, j, &m)
		}
	}
}

func (p *Preprocessor) fillYCbCr(dst []uint8, m *image.YCbCr) {
	s := source{width: m.Rect.Dx(), height: m.Rect.Dy(), chromaX: 1, chromaY: 1}
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio422:
		s.chromaX = 2
	case image.YCbCrSubsampleRatio420:
		s.chromaX, s.chromaY = 2, 2
	case image.YCbCrSubsampleRatio440:
		s.chromaY = 2
	case image.YCbCrSubsampleRatio411:
		s.chromaX = 4
	case image.YCbCrSubsampleRatio410:
		s.chromaX, s.chromaY = 4, 2
	}
	p.prepare(s)
	p.fillPlanes(dst, m)
}

// fillGray is fillYCbCr with a single chroma sample that covers the picture.
func (p *Preprocessor) fillGray(dst []uint8, m *image.Gray) {
	p.prepare(source{m.Rect.Dx(), m.Rect.Dy(), m.Rect.Dx(), m.Rect.Dy()})
	neutral := []uint8{128}
	p.fillPlanes(dst, &image.YCbCr{Y: m.Pix, YStride: m.Stride, Cb: neutral, Cr: neutral, CStride: 1})
}

// fillPlanes wants the tables to be those of img.
func (p *Preprocessor) fillPlanes(dst []uint8, img *image.YCbCr) {
	from, to := reach(p.tables.x)
	chromaFrom, chromaTo := reach(p.tables.chromaX)
	y, cb, cr := p.lines[0], p.lines[1], p.lines[2]
	m := full()
	for j, t := range p.tables.y {
		mix(y[from:to], img.Y[t.first*img.YStride+from:], img.YStride, t.weight)
		t = p.tables.chromaY[j]
		at := t.first*img.CStride + chromaFrom
		mix(cb[chromaFrom:chromaTo], img.Cb[at:], img.CStride, t.weight)
		mix(cr[chromaFrom:chromaTo], img.Cr[at:], img.CStride, t.weight)
		if p.paired(j) {
			squeeze(p.out[0], y, 1, p.tables.x)
			squeeze(p.out[1], cb, 1, p.tables.chromaX)
			squeeze(p.out[2], cr, 1, p.tables.chromaX)
			p.put(dst, j, &m)
		}
	}
}

// paired reports whether row j completes a pair, or has to go without.
func (p *Preprocessor) paired(j int) bool { return j%2 == 1 || j == p.place.down-1 }

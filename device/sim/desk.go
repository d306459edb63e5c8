package sim

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"teachbox/device/frame"
)

// A Desk is what lies before the camera: nothing at first, then one thing of
// its catalog at a time. Its methods may be called from several goroutines.
type Desk struct {
	catalog *Catalog
	empty   *image.RGBA
	scene   atomic.Pointer[scene]

	mu    sync.Mutex
	class int   // of the thing shown last
	shown []int // of each class, the number of the thing shown last, from 1; 0: none yet
}

// DeskOptions say what a desk is like.
type DeskOptions struct {
	Width, Height int      // of the picture in pixels, Width even; 0 means 640×480
	Seed          uint64   // another seed is another table top
	Catalog       *Catalog // nil means Drawn()
}

// NewDesk returns an empty desk.
func NewDesk(o DeskOptions) (*Desk, error) {
	if o.Width == 0 && o.Height == 0 {
		o.Width, o.Height = 640, 480
	}
	if err := frame.CheckSize(o.Width, o.Height); err != nil {
		return nil, fmt.Errorf("simulated camera: %w", err)
	}
	if o.Width%2 != 0 {
		return nil, fmt.Errorf("simulated camera: the width is %d pixels; choose an even one", o.Width)
	}
	if o.Catalog == nil {
		o.Catalog = Drawn()
	}
	if len(o.Catalog.classes) == 0 {
		return nil, errors.New("desk: the catalog is empty; make it with Drawn or Photographs")
	}
	d := &Desk{
		catalog: o.Catalog,
		empty:   tabletop(o.Width, o.Height, o.Seed),
		shown:   make([]int, len(o.Catalog.classes)),
	}
	d.Clear()
	return d, nil
}

// Catalog is what can be shown.
func (d *Desk) Catalog() *Catalog { return d.catalog }

// Shown names what lies on the desk, such as "cup/3"; "" if it is empty.
func (d *Desk) Shown() string { return d.scene.Load().name }

// Clear takes everything away.
func (d *Desk) Clear() { d.scene.Store(newScene("", d.empty)) }

// Show puts a thing on the desk in place of the one there: "cup" is the next
// cup (after the last one the first again), "cup/3" the third. The error says
// what there is to choose from, or why the photograph cannot be read; what lay
// on the desk stays there.
func (d *Desk) Show(name string) error {
	class, number, err := d.catalog.find(name)
	if err != nil {
		return fmt.Errorf("desk: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if number == 0 {
		number = d.shown[class] + 1
	}
	return d.put(class, number)
}

// Next shows the next thing of the class shown last.
func (d *Desk) Next() error { return d.step(0, 1) }

// Previous shows the previous thing of the class shown last; on an empty desk
// that is the thing shown last.
func (d *Desk) Previous() error {
	if d.Shown() == "" {
		return d.step(0, 0)
	}
	return d.step(0, -1)
}

// NextClass shows the next thing of the next class.
func (d *Desk) NextClass() error { return d.step(1, 1) }

func (d *Desk) step(classes, things int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shown[d.class] == 0 { // nothing was shown yet: begin with the first class
		classes = 0
	}
	class := (d.class + classes) % len(d.shown)
	return d.put(class, d.shown[class]+things)
}

// put shows a thing. A number beyond the class's wraps around. It remembers the
// thing even if it cannot be read, so that the next step goes past it.
func (d *Desk) put(class, number int) error {
	k := d.catalog.classes[class]
	n := len(k.things)
	number = (number-1+n)%n + 1
	d.class, d.shown[class] = class, number
	t := k.things[number-1]
	picture, err := t.picture(d.empty.Rect.Dx(), d.empty.Rect.Dy())
	if err != nil {
		return fmt.Errorf("desk: %w", err)
	}
	if t.lies {
		picture = lay(picture, d.empty)
	}
	d.scene.Store(newScene(fmt.Sprintf("%s/%d", k.name, number), picture))
	return nil
}

// ShowImage fills the camera's whole view with a picture that is in no catalog,
// such as a dark one. It is stretched to fit.
func (d *Desk) ShowImage(name string, img image.Image) {
	d.scene.Store(newScene(name, stretch(img, d.empty.Rect.Dx(), d.empty.Rect.Dy())))
}

// Preview is a small picture of what the camera sees.
func (d *Desk) Preview(width, height int) *image.RGBA {
	return d.scene.Load().small(width, height)
}

// tabletop draws an empty table: wood, lit from the upper left.
func tabletop(width, height int, seed uint64) *image.RGBA {
	r := rand.New(rand.NewPCG(seed, 0))
	// The grain is a few waves across the table that run nearly along it.
	type wave struct{ along, across, phase, high float64 }
	var grain []wave
	for i := range 7 {
		grain = append(grain, wave{
			along:  about(r, 0, 4),
			across: about(r, 9, 3) * float64(i+1),
			phase:  about(r, 0, math.Pi),
			high:   0.05 / float64(i+1),
		})
	}
	wood := tint{0.7, about(r, 0.56, 0.02), about(r, 0.39, 0.03)}.times(about(r, 1, 0.08))
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		v := float64(y) / float64(height)
		for x := range width {
			u := float64(x) / float64(width)
			k := 1.1 - 0.12*(u+v) + about(r, 0, 0.015)
			for _, w := range grain {
				k += w.high * math.Sin(u*w.along+v*w.across+w.phase)
			}
			blend(img.Pix[y*img.Stride+4*x:][:4], wood.times(k), 1)
		}
	}
	return img
}

// lay puts a layer on the desk, with its shadow to the lower right.
func lay(layer, desk *image.RGBA) *image.RGBA {
	width, height := desk.Rect.Dx(), desk.Rect.Dy()
	shadow := make([]uint8, width*height)
	away := min(width, height) / 48
	for y := away; y < height; y++ {
		for x := away; x < width; x++ {
			shadow[y*width+x] = layer.Pix[(y-away)*layer.Stride+4*(x-away)+3]
		}
	}
	for range 2 { // twice makes a box blur smooth
		blur(shadow, height, width, width, 1, away)
		blur(shadow, width, height, 1, width, away)
	}
	img := image.NewRGBA(desk.Rect)
	for i, s := range shadow {
		light := 1 - 0.5*float64(s)/255
		over, under, to := layer.Pix[4*i:4*i+4], desk.Pix[4*i:4*i+4], img.Pix[4*i:4*i+4]
		for j := range 3 {
			to[j] = over[j] + uint8(float64(under[j])*light*float64(255-over[3])/255)
		}
		to[3] = 255
	}
	return img
}

// blur replaces each pixel by the mean of those at most reach before and after
// it in its line. There are lines lines, next apart, of n pixels, step apart.
func blur(pix []uint8, lines, n, next, step, reach int) {
	line := make([]int, n)
	for l := range lines {
		at := pix[l*next:]
		sum := 0
		for i := range n {
			line[i] = int(at[i*step])
		}
		for i := -reach; i < n; i++ {
			if i+reach < n {
				sum += line[i+reach]
			}
			if i-reach-1 >= 0 {
				sum -= line[i-reach-1]
			}
			if i >= 0 {
				at[i*step] = uint8(sum / (2*reach + 1))
			}
		}
	}
}

// A scene is what lies before the camera, in the camera's own colours: BT.601
// limited range, the two chroma planes half as wide as the luma plane.
type scene struct {
	name          string
	width, height int
	y, cb, cr     []uint8
}

// newScene converts a picture of even width. The arithmetic is ITU-R BT.601's in
// 1/65536, rounded.
func newScene(name string, img *image.RGBA) *scene {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	s := &scene{name: name, width: w, height: h,
		y: make([]uint8, w*h), cb: make([]uint8, w*h/2), cr: make([]uint8, w*h/2)}
	for y := range h {
		row := img.Pix[y*img.Stride:]
		for x := 0; x < w; x += 2 {
			var r, g, b int // of both pixels together
			for i := range 2 {
				p := row[4*(x+i):]
				pr, pg, pb := int(p[0]), int(p[1]), int(p[2])
				s.y[y*w+x+i] = uint8(16 + (16829*pr+33039*pg+6416*pb+1<<15)>>16)
				r, g, b = r+pr, g+pg, b+pb
			}
			at := (y*w + x) / 2
			s.cb[at] = uint8(128 + (-9714*r-19070*g+28784*b+1<<16)>>17)
			s.cr[at] = uint8(128 + (28784*r-24103*g-4681*b+1<<16)>>17)
		}
	}
	return s
}

// small averages the scene down to width×height and converts it back to RGB.
func (s *scene) small(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		top := y * s.height / height
		bottom := max(top+1, (y+1)*s.height/height)
		for x := range width {
			left := x * s.width / width
			right := max(left+1, (x+1)*s.width/width)
			var luma, cb, cr float64
			for sy := top; sy < bottom; sy++ {
				for sx := left; sx < right; sx++ {
					luma += float64(s.y[sy*s.width+sx])
					cb += float64(s.cb[(sy*s.width+sx)/2])
					cr += float64(s.cr[(sy*s.width+sx)/2])
				}
			}
			n := float64((right - left) * (bottom - top))
			luma, cb, cr = 1.164*(luma/n-16), cb/n-128, cr/n-128
			img.SetRGBA(x, y, color.RGBA{
				level(luma + 1.596*cr), level(luma - 0.392*cb - 0.813*cr), level(luma + 2.017*cb), 255})
		}
	}
	return img
}

func level(v float64) uint8 { return uint8(max(0, min(255, v+0.5))) }

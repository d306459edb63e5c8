package sim

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg" // for image.Decode
	_ "image/png"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"teachbox/device/frame"
	"teachbox/internal/files"
)

const (
	maxFileSize = 32 << 20 // bytes of one photograph
	maxThings   = 100_000  // photographs in one catalog
)

// A Catalog is the things that can be shown to the camera, by class. It does
// not change once it is made.
type Catalog struct {
	classes []class
	leftOut []string
}

type class struct {
	name   string
	things []thing
}

// A thing makes its picture of a given size. One that lies on the desk is a
// layer, transparent around it; any other fills the whole picture.
type thing struct {
	picture func(width, height int) (*image.RGBA, error)
	lies    bool
}

// Drawn is the catalog of things drawn by code, for those without photographs.
// They show that a box works, but not how well it recognises real things.
func Drawn() *Catalog {
	c := new(Catalog)
	for _, d := range drawings() {
		k := class{name: d.name}
		for n := range uint64(variants) {
			k.things = append(k.things, thing{lies: true, picture: func(width, height int) (*image.RGBA, error) {
				return d.place(width, height, n), nil
			}})
		}
		c.classes = append(c.classes, k)
	}
	return c
}

// Photographs is the catalog of the JPEG and PNG files in the folders of a
// folder, DIR/CLASS/PICTURE: each folder is a class, named after it. The files
// are read when they are shown. The error says why there is nothing to show;
// what else is there and cannot be shown is told by LeftOut.
func Photographs(dir string) (*Catalog, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("photographs: %w; %s", err, wantFolders)
	}
	c := new(Catalog)
	total, loose := 0, 0
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := os.Stat(path); err != nil || !info.IsDir() { // Stat looks behind a link
			if files.IsPicture(path) {
				loose++
			}
			continue
		}
		k, err := photographed(path)
		if err != nil {
			c.leftOut = append(c.leftOut, fmt.Sprintf("left out: %v", err))
			continue
		}
		c.classes = append(c.classes, k)
		if total += len(k.things); total > maxThings {
			return nil, fmt.Errorf("photographs: %s holds more than %d pictures; choose a smaller folder", dir, maxThings)
		}
	}
	switch {
	case total == 0 && loose > 0:
		return nil, fmt.Errorf("photographs: %s holds pictures, but no folder of pictures; %s (perhaps the folder above this one)", dir, wantFolders)
	case total == 0:
		return nil, fmt.Errorf("photographs: %s: no folder in it holds a JPEG or PNG picture; %s", dir, wantFolders)
	case loose > 0:
		c.leftOut = append(c.leftOut, fmt.Sprintf("left out: pictures in %s itself, %d of them; put them into a folder for each kind of thing", dir, loose))
	}
	return c, nil
}

// wantFolders is what a person can do about photographs that are not there.
const wantFolders = "name a folder with a folder of pictures for each kind of thing, DIR/CLASS/PICTURE"

// photographed is the class of the pictures in a folder.
func photographed(dir string) (class, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return class{}, fmt.Errorf("%w; make it readable", err)
	}
	k := class{name: filepath.Base(dir)}
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); files.IsPicture(path) {
			k.things = append(k.things, photograph(path))
		}
	}
	switch {
	case len(entries) == 0:
		return class{}, fmt.Errorf("%s: nothing in it; put JPEG or PNG pictures there", dir)
	case len(k.things) == 0:
		return class{}, fmt.Errorf("%s: no JPEG or PNG picture in it; save them as such (many telephones write HEIC)", dir)
	}
	return k, nil
}

// LeftOut says in a sentence each which folders and pictures are not in the
// catalog although they are in its folder, and what to do about it.
func (c *Catalog) LeftOut() []string { return c.leftOut }

// Classes lists the names of the classes in order.
func (c *Catalog) Classes() []string {
	var names []string
	for _, k := range c.classes {
		names = append(names, k.name)
	}
	return names
}

// Count is the number of pictures of a class, 0 if there is no such class.
func (c *Catalog) Count(name string) int {
	for _, k := range c.classes {
		if k.name == name {
			return len(k.things)
		}
	}
	return 0
}

// find finds "class" (then number is 0) or "class/number".
func (c *Catalog) find(name string) (index, number int, err error) {
	name, digits, numbered := strings.Cut(name, "/")
	for i, k := range c.classes {
		if k.name != name {
			continue
		}
		if !numbered {
			return i, 0, nil
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || n > len(k.things) {
			return 0, 0, fmt.Errorf("there is no %s/%.20s: choose %s/1 to %s/%d", name, digits, name, name, len(k.things))
		}
		return i, n, nil
	}
	have := c.Classes()
	if len(have) > 20 {
		have = append(have[:20], "…")
	}
	return 0, 0, fmt.Errorf("there is no %.40q: choose one of %s", name, strings.Join(have, ", "))
}

func photograph(path string) thing {
	return thing{picture: func(width, height int) (*image.RGBA, error) {
		img, err := load(path)
		if err != nil {
			return nil, fmt.Errorf("photograph %s: %w", path, err)
		}
		return stretch(img, width, height), nil
	}}
}

// load reads a picture file within bounds.
func load(path string) (image.Image, error) {
	data, err := files.Read(path, maxFileSize)
	if err != nil {
		return nil, err
	}
	size, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("not a readable JPEG or PNG picture: %w", err)
	}
	if err := frame.CheckSize(size.Width, size.Height); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("not a readable JPEG or PNG picture: %w", err)
	}
	return img, nil
}

// stretch makes a picture width×height, each pixel the mean of those that fall
// on it. The shape is not kept: the box looks at the whole frame, squashed, so
// cutting a photograph to the camera's shape would only lose its edges.
func stretch(img image.Image, width, height int) *image.RGBA {
	src := image.NewRGBA(image.Rectangle{Max: img.Bounds().Size()})
	draw.Draw(src, src.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(src, src.Rect, img, img.Bounds().Min, draw.Over)
	w, h := src.Rect.Dx(), src.Rect.Dy()
	dst := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		top := y * h / height
		bottom := max(top+1, (y+1)*h/height)
		for x := range width {
			left := x * w / width
			right := max(left+1, (x+1)*w/width)
			var r, g, b uint64
			for sy := top; sy < bottom; sy++ {
				row := src.Pix[sy*src.Stride:]
				for sx := left; sx < right; sx++ {
					r += uint64(row[4*sx])
					g += uint64(row[4*sx+1])
					b += uint64(row[4*sx+2])
				}
			}
			n := uint64((right - left) * (bottom - top))
			dst.SetRGBA(x, y, color.RGBA{uint8(r / n), uint8(g / n), uint8(b / n), 255})
		}
	}
	return dst
}

package camera

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"teachbox/device"
	"teachbox/device/frame"
	"teachbox/internal/files"
)

const (
	maxFileSize = 32 << 20 // bytes of one picture file
	maxPictures = 100_000  // picture files in one folder
)

// A Folder is a camera that shows the pictures of a folder and of the folders
// in it, in the order of their names, again and again. JPEG files (.jpg, .jpeg)
// become JPEG frames as they are; PNG files (.png) are decoded to RGB, with
// white behind what is transparent.
//
// The folder is read anew at the start of every round, so pictures may come and
// go. A picture that cannot be read is passed over and logged once. Only the
// header of a JPEG is checked here.
type Folder struct {
	dir  string
	opts FolderOptions
	told map[string]bool // pictures that Log was told of; bounded by maxPictures
}

// FolderOptions say how the pictures are shown.
type FolderOptions struct {
	Rate  float64       // frames a second, 0.1 to 1000; 0 means 15
	Dwell time.Duration // how long each picture is shown, one frame at least; 0 means 2 s
	Log   *slog.Logger  // told what is passed over; nil: nobody
}

// NewFolder returns a camera for a folder, which need not exist before Run. The
// error says that the rate is out of range.
func NewFolder(dir string, o FolderOptions) (*Folder, error) {
	o.Rate = cmp.Or(o.Rate, 15)
	if !(o.Rate >= 0.1 && o.Rate <= 1000) {
		return nil, fmt.Errorf("folder %s: rate %v is not usable: choose 0.1 to 1000 frames a second", dir, o.Rate)
	}
	o.Dwell = cmp.Or(o.Dwell, 2*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Folder{dir: dir, opts: o, told: make(map[string]bool)}, nil
}

// String names the camera for people.
func (f *Folder) String() string { return "folder " + f.dir }

// Run implements device.Camera. The error wraps device.ErrAbsent for a folder
// that is missing or has no pictures, device.ErrDenied for one that may not be
// read, and device.ErrFormat if none of its pictures can be read. Taken is the
// moment at which a frame is emitted, and Seq starts at 1 in every Run.
func (f *Folder) Run(ctx context.Context, emit func(frame.Frame)) error {
	period := time.Duration(float64(time.Second) / f.opts.Rate)
	shows := max(1, (f.opts.Dwell+period/2)/period) // frames of each picture

	tick := time.NewTicker(period)
	defer tick.Stop()
	var seq uint64
	for {
		names, err := f.list(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		before := seq
		for _, name := range names {
			picture, err := load(filepath.Join(f.dir, name))
			if err != nil {
				if !f.told[name] && len(f.told) < maxPictures {
					f.told[name] = true
					f.opts.Log.Warn("picture passed over", "folder", f.dir, "picture", name, "err", err)
				}
				if ctx.Err() != nil {
					return nil
				}
				continue
			}
			for range shows {
				// The first frame is due at once, the others at a tick each.
				if seq > 0 {
					select {
					case <-ctx.Done():
					case <-tick.C:
					}
				}
				if ctx.Err() != nil {
					return nil
				}
				seq++
				picture.Seq, picture.Taken = seq, time.Now()
				emit(picture)
			}
		}
		if seq == before {
			return fmt.Errorf("%s: %w: none of its %d pictures can be read; put JPEG or PNG files there", f, device.ErrFormat, len(names))
		}
	}
}

// list returns the names of the folder's picture files, relative to it.
func (f *Folder) list(ctx context.Context) ([]string, error) {
	var names []string
	err := fs.WalkDir(os.DirFS(f.dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && name == ".":
			return err
		case err != nil: // a folder within that may not be read hides only itself
			return nil
		case d.IsDir() || !files.IsPicture(name):
			return nil
		case len(names) == maxPictures:
			return fmt.Errorf("more than %d pictures; choose a smaller folder", maxPictures)
		}
		names = append(names, name)
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: %w; let the user who runs the box read it", f, device.ErrDenied)
	case err != nil:
		return nil, fmt.Errorf("%s: %w: %w; create it and put JPEG or PNG files there", f, device.ErrAbsent, err)
	case len(names) == 0:
		return nil, fmt.Errorf("%s: %w: it holds no pictures; put JPEG or PNG files there", f, device.ErrAbsent)
	}
	return names, nil
}

// load reads one picture file. What the file holds decides, not its name.
func load(path string) (frame.Frame, error) {
	data, err := files.Read(path, maxFileSize)
	if err != nil {
		return frame.Frame{}, err
	}
	return decode(data)
}

func decode(data []byte) (frame.Frame, error) {
	if bytes.HasPrefix(data, []byte("\x89PNG")) {
		return decodePNG(data)
	}
	config, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return frame.Frame{}, fmt.Errorf("not a readable JPEG or PNG picture: %w", err)
	}
	if err := frame.CheckSize(config.Width, config.Height); err != nil {
		return frame.Frame{}, err
	}
	return frame.Frame{Format: frame.JPEG, Width: config.Width, Height: config.Height, Pix: data}, nil
}

func decodePNG(data []byte) (frame.Frame, error) {
	config, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return frame.Frame{}, fmt.Errorf("not a readable PNG picture: %w", err)
	}
	if err := frame.CheckSize(config.Width, config.Height); err != nil {
		return frame.Frame{}, err
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return frame.Frame{}, fmt.Errorf("not a readable PNG picture: %w", err)
	}
	w, h := config.Width, config.Height
	pix := make([]byte, 0, w*h*3)
	// Row by row, so that a large picture is not held a third time.
	row := image.NewRGBA(image.Rect(0, 0, w, 1))
	white := image.NewUniform(color.White)
	for y := range h {
		draw.Draw(row, row.Rect, white, image.Point{}, draw.Src)
		draw.Draw(row, row.Rect, img, img.Bounds().Min.Add(image.Pt(0, y)), draw.Over)
		for x := 0; x < len(row.Pix); x += 4 {
			pix = append(pix, row.Pix[x:x+3]...)
		}
	}
	return frame.Frame{Format: frame.RGB, Width: w, Height: h, Stride: w * 3, Pix: pix}, nil
}

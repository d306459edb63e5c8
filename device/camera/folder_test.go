package camera

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/device"
	"teachbox/device/devicetest"
	"teachbox/device/frame"
)

// square is a picture of one colour, n pixels a side.
func square(n int, c color.Color) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, n, n))
	for y := range n {
		for x := range n {
			img.Set(x, y, c)
		}
	}
	return img
}

func jpegBytes(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngBytes(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// folder writes files into a new folder.
func folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFolderIsACamera(t *testing.T) {
	dir := folder(t, map[string][]byte{
		"a.jpg": jpegBytes(t, square(8, color.White)),
		"b.png": pngBytes(t, square(8, color.Black)),
	})
	gone := filepath.Join(dir, "gone")
	devicetest.TestCamera(t, func() device.Camera {
		return newFolder(t, dir, FolderOptions{Rate: 200, Dwell: 10 * time.Millisecond})
	}, devicetest.CameraOptions{
		Absent: func() device.Camera { return newFolder(t, gone, FolderOptions{}) },
		Unplug: func() {
			if err := os.Rename(dir, dir+" away"); err != nil {
				t.Error(err)
			}
		},
		Plug: func() {
			if err := os.Rename(dir+" away", dir); err != nil {
				t.Error(err)
			}
		},
	})
}

func newFolder(t *testing.T, dir string, o FolderOptions) *Folder {
	t.Helper()
	f, err := NewFolder(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// watch shows a folder until n frames have come and returns them with copied
// pixels, and what was logged.
func watch(t *testing.T, dir string, o FolderOptions, n int) (frames []frame.Frame, logged string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	err := newFolder(t, dir, o).Run(ctx, func(fr frame.Frame) {
		fr.Pix = bytes.Clone(fr.Pix)
		if frames = append(frames, fr); len(frames) == n {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return frames, log.String()
}

func TestFolderOrder(t *testing.T) {
	dir := folder(t, map[string][]byte{
		"b/2.JPG":   jpegBytes(t, square(2, color.White)),
		"b/1.png":   pngBytes(t, square(1, color.White)),
		"c.jpeg":    jpegBytes(t, square(3, color.White)),
		"a.png":     []byte("not a picture at all"),
		"._b.jpg":   []byte("left behind by macOS"),
		"notes.txt": []byte("not even named like one"),
	})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		frames, logged := watch(t, dir, FolderOptions{Rate: 10, Dwell: 200 * time.Millisecond}, 8)
		var widths []int
		for i, f := range frames {
			widths = append(widths, f.Width)
			if f.Seq != uint64(i+1) {
				t.Errorf("frame %d has Seq %d", i+1, f.Seq)
			}
			if want := time.Duration(i) * 100 * time.Millisecond; f.Taken.Sub(began) != want {
				t.Errorf("frame %d came after %v (want %v)", i+1, f.Taken.Sub(began), want)
			}
		}
		if want := []int{1, 1, 2, 2, 3, 3, 1, 1}; !slices.Equal(widths, want) {
			t.Errorf("pictures by width: %v (want %v)", widths, want)
		}
		if n := strings.Count(logged, "picture=a.png"); n != 1 {
			t.Errorf("the unreadable picture was logged %d times (want 1):\n%s", n, logged)
		}
		if n := strings.Count(logged, "\n"); n != 1 {
			t.Errorf("%d lines were logged (want 1):\n%s", n, logged)
		}
	})
}

func TestFolderPixels(t *testing.T) {
	grey16 := image.NewGray16(image.Rect(0, 0, 1, 1))
	grey16.Set(0, 0, color.Gray16{Y: 0x8000})
	palette := image.NewPaletted(image.Rect(0, 0, 1, 1), color.Palette{color.NRGBA{10, 20, 30, 255}})
	for name, test := range map[string]struct {
		img  image.Image
		want [3]byte
	}{
		"colour":      {square(1, color.NRGBA{200, 100, 50, 255}), [3]byte{200, 100, 50}},
		"transparent": {square(1, color.NRGBA{}), [3]byte{255, 255, 255}},
		"half":        {square(1, color.NRGBA{0, 0, 0, 128}), [3]byte{127, 127, 127}},
		"16 bits":     {grey16, [3]byte{128, 128, 128}},
		"palette":     {palette, [3]byte{10, 20, 30}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, map[string][]byte{"a.png": pngBytes(t, test.img)})
			frames, _ := watch(t, dir, FolderOptions{}, 1)
			f := frames[0]
			if err := f.Check(); err != nil {
				t.Fatal(err)
			}
			if f.Format != frame.RGB || !bytes.Equal(f.Pix, test.want[:]) {
				t.Errorf("%v %v (want RGB %v)", f.Format, f.Pix, test.want)
			}
		})
	}
}

func TestFolderErrors(t *testing.T) {
	good := jpegBytes(t, square(1, color.White))
	for name, test := range map[string]struct {
		dir  string
		want error
		says string
	}{
		"missing":    {filepath.Join(t.TempDir(), "gone"), device.ErrAbsent, "create it"},
		"empty":      {t.TempDir(), device.ErrAbsent, "put JPEG or PNG files there"},
		"a file":     {filepath.Join(folder(t, map[string][]byte{"a.jpg": good}), "a.jpg"), device.ErrAbsent, "not a directory"},
		"unreadable": {folder(t, map[string][]byte{"a.jpg": good[:20]}), device.ErrFormat, "none of its 1 pictures"},
	} {
		t.Run(name, func(t *testing.T) {
			err := newFolder(t, test.dir, FolderOptions{}).Run(t.Context(), func(frame.Frame) { t.Error("a frame") })
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Run returned %v (want %v, saying %q)", err, test.want, test.says)
			}
		})
	}
	for _, rate := range []float64{-1, 1e-300, 1001, math.NaN()} {
		if _, err := NewFolder(".", FolderOptions{Rate: rate}); err == nil {
			t.Errorf("a folder at %v frames a second was made", rate)
		}
	}
}

// claimPNG is a PNG file whose header claims a size that its pixels do not have.
func claimPNG(t testing.TB, w, h uint32) []byte {
	b := pngBytes(t, square(1, color.White))
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

func TestLoadRefuses(t *testing.T) {
	dir := folder(t, map[string][]byte{
		"wide.png":  claimPNG(t, frame.MaxSide+1, 1),
		"area.png":  claimPNG(t, frame.MaxSide, frame.MaxPixels/frame.MaxSide+1),
		"claim.png": claimPNG(t, 100, 100),
		"short.png": pngBytes(t, square(9, color.White))[:60],
		"empty.jpg": nil,
	})
	if err := os.WriteFile(filepath.Join(dir, "long.jpg"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "long.jpg"), maxFileSize+1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.jpg"), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"wide.png":  "8193×1 pixels",
		"area.png":  "8192×3073 pixels",
		"claim.png": "not a readable PNG",
		"short.png": "not a readable PNG",
		"empty.jpg": "not a readable JPEG or PNG",
		"long.jpg":  "more than 32 MB",
		"pipe.jpg":  "not a regular file",
		"gone.jpg":  "no such file",
	} {
		if _, err := load(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("load(%s) returned %v (want %q)", name, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(jpegBytes(f, square(4, color.White)))
	f.Add(pngBytes(f, square(4, color.NRGBA{1, 2, 3, 4})))
	f.Add(claimPNG(f, 100, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decode(data)
		if err != nil {
			return
		}
		if err := got.Check(); err != nil {
			t.Error(err)
		}
	})
}

// TestPhotographs reads real photographs where they are at hand.
func TestPhotographs(t *testing.T) {
	shared := os.Getenv("TEACHBOX_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	dir, want := filepath.Join(shared, "photos", "desk"), 20
	if _, err := os.Stat(dir); err != nil {
		t.Log("no photographs at hand: a drawn one serves, which tests plumbing only")
		dir = folder(t, map[string][]byte{"a.jpg": jpegBytes(t, square(64, color.White))})
	}
	synctest.Test(t, func(t *testing.T) {
		frames, logged := watch(t, dir, FolderOptions{Rate: 1, Dwell: time.Second}, want)
		for _, f := range frames {
			if _, err := jpeg.Decode(bytes.NewReader(f.Pix)); err != nil {
				t.Error(err)
			}
		}
		if logged != "" {
			t.Errorf("logged: %s", logged)
		}
	})
}

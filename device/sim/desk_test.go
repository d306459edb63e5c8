package sim

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newDesk(t testing.TB, o DeskOptions) *Desk {
	t.Helper()
	d, err := NewDesk(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// uniform is a picture of one colour.
func uniform(width, height int, c color.Color) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.Set(x, y, c)
		}
	}
	return img
}

func encode(t testing.TB, name string, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	if strings.HasSuffix(strings.ToLower(name), ".png") {
		err = png.Encode(&b, img)
	} else {
		err = jpeg.Encode(&b, img, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// folder writes pictures of one grey level each into a new folder.
func folder(t testing.TB, pictures map[string]uint8) string {
	t.Helper()
	dir := t.TempDir()
	for name, grey := range pictures {
		write(t, filepath.Join(dir, name), encode(t, name, uniform(8, 6, color.Gray{grey})))
	}
	return dir
}

// write writes a file and the folders on its way.
func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestDeskSteps(t *testing.T) {
	dir := folder(t, map[string]uint8{
		"cup/a.jpg": 10, "cup/b.JPEG": 20, "cup/c.png": 30, "cup/notes.txt": 0,
		"leaf/a.jpg": 40, "leaf/b.jpg": 50,
		"my dog/1.png": 60,
		"cup/._a.jpg":  0, // left behind by macOS, no picture
	})
	catalog, err := Photographs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if out := catalog.LeftOut(); len(out) > 0 {
		t.Errorf("left out: %q (want nothing)", out)
	}
	if diff := cmp.Diff([]string{"cup", "leaf", "my dog"}, catalog.Classes()); diff != "" {
		t.Fatal(diff)
	}
	if n := catalog.Count("cup"); n != 3 {
		t.Errorf("%d cups (want 3)", n)
	}
	if n := catalog.Count("dog"); n != 0 {
		t.Errorf("%d dogs (want 0)", n)
	}
	d := newDesk(t, DeskOptions{Width: 64, Height: 48, Catalog: catalog})
	shows := func(name string) func() error { return func() error { return d.Show(name) } }
	for i, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return nil }, ""},
		{d.Next, "cup/1"},
		{d.Next, "cup/2"},
		{d.Previous, "cup/1"},
		{d.Previous, "cup/3"},
		{d.Next, "cup/1"},
		{d.NextClass, "leaf/1"},
		{shows("cup"), "cup/2"},
		{shows("cup/3"), "cup/3"},
		{shows("cup"), "cup/1"},
		{func() error { d.Clear(); return nil }, ""},
		{d.Previous, "cup/1"},
		{func() error { d.Clear(); return nil }, ""},
		{d.Next, "cup/2"},
		{d.NextClass, "leaf/2"},
		{shows("my dog"), "my dog/1"},
		{d.Next, "my dog/1"},
		{d.NextClass, "cup/3"},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if d.Shown() != step.want {
			t.Fatalf("step %d: the desk shows %q (want %q)", i, d.Shown(), step.want)
		}
	}
	if fresh := newDesk(t, DeskOptions{Width: 64, Height: 48, Catalog: catalog}); fresh.NextClass() != nil || fresh.Shown() != "cup/1" {
		t.Errorf("NextClass on a fresh desk shows %q (want cup/1)", fresh.Shown())
	}
	for name, want := range map[string]string{
		"cap":   `there is no "cap": choose one of cup, leaf, my dog`,
		"cup/4": "there is no cup/4: choose cup/1 to cup/3",
		"cup/0": "there is no cup/0",
		"cup/":  "there is no cup/",
		"cup/x": "there is no cup/x",
	} {
		if err := d.Show(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Show(%q) returned %v (want %q)", name, err, want)
		}
	}
	if d.Shown() != "cup/3" {
		t.Errorf("after errors the desk shows %q", d.Shown())
	}
}

func TestPhotographsErrors(t *testing.T) {
	for name, test := range map[string]struct{ dir, want string }{
		"missing":      {filepath.Join(t.TempDir(), "gone"), "name a folder"},
		"empty":        {t.TempDir(), "no folder in it holds"},
		"one class":    {folder(t, map[string]uint8{"a.jpg": 1, "b.png": 2, "sub/c.txt": 3}), "(perhaps the folder above this one)"},
		"a level more": {folder(t, map[string]uint8{"desk/cup/a.jpg": 1}), "no folder in it holds"},
	} {
		if _, err := Photographs(test.dir); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v (want %q)", name, err, test.want)
		}
	}

	dir := folder(t, map[string]uint8{"good/1.png": 1})
	for name, data := range map[string][]byte{
		"short/1.png": encode(t, "a.png", uniform(9, 9, color.White))[:60],
		"none/1.jpg":  nil,
		"wide/1.png":  encode(t, "a.png", image.NewGray(image.Rect(0, 0, 8193, 1))),
	} {
		write(t, filepath.Join(dir, name), data)
	}
	write(t, filepath.Join(dir, "long/1.jpg"), nil)
	if err := os.Truncate(filepath.Join(dir, "long/1.jpg"), maxFileSize+1); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "pipe"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe/1.jpg"), 0o666); err != nil {
		t.Fatal(err)
	}
	catalog, err := Photographs(dir)
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, DeskOptions{Width: 64, Height: 48, Catalog: catalog})
	if err := d.Show("good"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"short": "not a readable JPEG or PNG",
		"none":  "not a readable JPEG or PNG",
		"wide":  "8193×1 pixels",
		"long":  "more than 32 MB",
		"pipe":  "not a regular file",
	} {
		if err := d.Show(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Show(%s) returned %v (want %q)", name, err, want)
		}
		if d.Shown() != "good/1" {
			t.Errorf("after Show(%s) the desk shows %q", name, d.Shown())
		}
	}
}

// TestLeftOut: what cannot be shown is told, and the rest is shown.
func TestLeftOut(t *testing.T) {
	dir := folder(t, map[string]uint8{
		"cup/a.jpg": 1, "dog/IMG_1.HEIC": 1, "dog/IMG_2.HEIC": 1, "cover.jpg": 1, "back.png": 1,
		"notes.txt": 1, ".cache/x.bin": 1,
	})
	if err := os.Mkdir(filepath.Join(dir, "fish"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "cup"), filepath.Join(dir, "mug")); err != nil {
		t.Fatal(err)
	}
	catalog, err := Photographs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"cup", "mug"}, catalog.Classes()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"left out: " + dir + "/dog: no JPEG or PNG picture in it; save them as such (many telephones write HEIC)",
		"left out: " + dir + "/fish: nothing in it; put JPEG or PNG pictures there",
		"left out: pictures in " + dir + " itself, 2 of them; put them into a folder for each kind of thing",
	}, catalog.LeftOut()); diff != "" {
		t.Error(diff)
	}
}

func TestNewDeskErrors(t *testing.T) {
	for _, size := range [][2]int{{0, 480}, {-2, 2}, {641, 480}, {8194, 2}, {8192, 8192}} {
		if _, err := NewDesk(DeskOptions{Width: size[0], Height: size[1]}); err == nil {
			t.Errorf("a desk of %d×%d was made", size[0], size[1])
		}
	}
	if _, err := NewDesk(DeskOptions{Catalog: new(Catalog)}); err == nil {
		t.Error("a desk with an empty catalog was made")
	}
}

// TestSceneColours compares with the colours that ITU-R BT.601 gives.
func TestSceneColours(t *testing.T) {
	for name, test := range map[string]struct {
		rgb, want [3]uint8
	}{
		"black": {[3]uint8{0, 0, 0}, [3]uint8{16, 128, 128}},
		"white": {[3]uint8{255, 255, 255}, [3]uint8{235, 128, 128}},
		"red":   {[3]uint8{255, 0, 0}, [3]uint8{81, 90, 240}},
		"green": {[3]uint8{0, 255, 0}, [3]uint8{145, 54, 34}},
		"blue":  {[3]uint8{0, 0, 255}, [3]uint8{41, 240, 110}},
	} {
		c := color.RGBA{test.rgb[0], test.rgb[1], test.rgb[2], 255}
		s := newScene("", uniform(2, 1, c))
		if got := [3]uint8{s.y[0], s.cb[0], s.cr[0]}; got != test.want {
			t.Errorf("%s is %v (want %v)", name, got, test.want)
		}
		back := s.small(1, 1).RGBAAt(0, 0)
		for i, v := range []uint8{back.R, back.G, back.B} {
			if max(v, test.rgb[i])-min(v, test.rgb[i]) > 3 {
				t.Errorf("%s comes back as %v (want %v)", name, back, c)
				break
			}
		}
	}
}

func TestShowImage(t *testing.T) {
	d := newDesk(t, DeskOptions{Width: 64, Height: 48})
	d.ShowImage("night", uniform(5, 500, color.Gray{3}))
	if d.Shown() != "night" {
		t.Errorf("the desk shows %q", d.Shown())
	}
	if got, want := d.Preview(4, 3), uniform(4, 3, color.Gray{3}); !near8(got.Pix, want.Pix) {
		t.Errorf("it looks like %v", got.Pix)
	}
}

// near8 reports whether two pictures differ by 2 levels at most.
func near8(a, b []uint8) bool {
	return slices.EqualFunc(a, b, func(x, y uint8) bool { return max(x, y)-min(x, y) <= 2 })
}

// TestStretch checks that every pixel of a photograph counts.
func TestStretch(t *testing.T) {
	src := image.NewRGBA(image.Rect(3, 4, 7, 8)) // does not begin at 0, 0
	for i := range 16 {
		src.Set(3+i%4, 4+i/4, color.Gray{uint8(16 * i)})
	}
	var got []uint8
	for _, p := range slices.Collect(slices.Chunk(stretch(src, 2, 2).Pix, 4)) {
		got = append(got, p[0])
	}
	if want := []uint8{40, 72, 168, 200}; !slices.Equal(got, want) {
		t.Errorf("halved: %v (want %v)", got, want)
	}
	if larger := stretch(src, 8, 8); larger.RGBAAt(7, 7).R != 240 || larger.RGBAAt(1, 1).R != 0 {
		t.Errorf("doubled: corners %v and %v (want 0 and 240)", larger.RGBAAt(1, 1), larger.RGBAAt(7, 7))
	}
}

// difference is the mean absolute difference of two pictures, in levels.
func difference(a, b *image.RGBA) float64 {
	sum := 0
	for i := range a.Pix {
		sum += int(max(a.Pix[i], b.Pix[i]) - min(a.Pix[i], b.Pix[i]))
	}
	return float64(sum) / float64(len(a.Pix))
}

// TestDrawnThingsDiffer: a box could not learn things that look alike, nor a
// thing whose pictures are all the same.
func TestDrawnThingsDiffer(t *testing.T) {
	d := newDesk(t, DeskOptions{Width: 160, Height: 120})
	empty := d.Preview(32, 24)
	pictures := make(map[string]*image.RGBA)
	classes := d.Catalog().Classes()
	if len(classes) < 8 {
		t.Errorf("%d classes (want 8 or more)", len(classes))
	}
	for _, class := range classes {
		for range d.Catalog().Count(class) {
			if err := d.Show(class); err != nil {
				t.Fatal(err)
			}
			pictures[d.Shown()] = d.Preview(32, 24)
		}
	}
	for a, picture := range pictures {
		if diff := difference(picture, empty); diff < 1 {
			t.Errorf("%s differs from the empty desk by %.2f levels", a, diff)
		}
		for b, other := range pictures {
			if a < b && difference(picture, other) < 0.5 {
				t.Errorf("%s and %s differ by %.2f levels", a, b, difference(picture, other))
			}
		}
	}
}

func TestDesksAreRepeatable(t *testing.T) {
	see := func(seed uint64, thing string) []uint8 {
		d := newDesk(t, DeskOptions{Width: 160, Height: 120, Seed: seed})
		if thing != "" {
			if err := d.Show(thing); err != nil {
				t.Fatal(err)
			}
		}
		return d.scene.Load().y
	}
	if !bytes.Equal(see(1, ""), see(1, "")) || !bytes.Equal(see(1, "cup/2"), see(1, "cup/2")) {
		t.Error("the same seed gives different desks")
	}
	if bytes.Equal(see(1, ""), see(2, "")) {
		t.Error("different seeds give the same desk")
	}
}

// TestSharedPhotographs shows real photographs where they are at hand.
func TestSharedPhotographs(t *testing.T) {
	shared := os.Getenv("TEACHBOX_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	dir := filepath.Join(shared, "photos", "desk")
	if _, err := os.Stat(dir); err != nil {
		t.Log("no photographs at hand: plain pictures serve, which tests plumbing only")
		dir = folder(t, map[string]uint8{"cup/a.jpg": 10, "leaf/a.jpg": 200})
	}
	catalog, err := Photographs(dir)
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, DeskOptions{Width: 320, Height: 240, Catalog: catalog})
	last := d.Preview(32, 24)
	for _, class := range catalog.Classes() {
		if err := d.Show(class); err != nil {
			t.Fatal(err)
		}
		picture := d.Preview(32, 24)
		if diff := difference(picture, last); diff < 1 {
			t.Errorf("%s differs from what lay there before it by %.2f levels", d.Shown(), diff)
		}
		last = picture
	}
}

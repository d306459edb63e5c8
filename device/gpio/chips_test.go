package gpio

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
)

// TestLayout compares with what linux/gpio.h comes to.
func TestLayout(t *testing.T) {
	if getChipInfo != 0x8044b401 || getLineInfo != 0xc100b405 {
		t.Errorf("ioctls %#x, %#x (want 0x8044b401, 0xc100b405)", uint64(getChipInfo), uint64(getLineInfo))
	}
	if off := unsafe.Offsetof(lineInfo{}.flags); off != 72 {
		t.Errorf("flags at %d (want 72)", off)
	}
}

func TestLine(t *testing.T) {
	info := lineInfo{offset: 17, flags: 1<<0 | 1<<3}
	copy(info.name[:], "GPIO17")
	copy(info.consumer[:], "gpioset")
	want := LineInfo{Offset: 17, Name: "GPIO17", Holder: "gpioset", Output: true, Used: true}
	if diff := cmp.Diff(want, info.line()); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	info = lineInfo{flags: 1 << 2}
	for i := range info.name {
		info.name[i] = 'x' // no NUL at all
	}
	if got := info.line(); len(got.Name) != 32 || got.Used || got.Output {
		t.Errorf("line %+v", got)
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("GPIO17\x00\x00"))
	f.Add([]byte("\x00GPIO17"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := text(b)
		if bytes.IndexByte([]byte(s), 0) >= 0 || !bytes.HasPrefix(b, []byte(s)) || len(s) < len(b) && b[len(s)] != 0 {
			t.Errorf("text(%q) = %q", b, s)
		}
	})
}

func TestScan(t *testing.T) {
	dir := t.TempDir()
	if _, err := scan(dir); !errors.Is(err, device.ErrAbsent) {
		t.Errorf("no chip at all: %v", err)
	}
	// What is no GPIO chip is listed once, whatever links lead to it.
	path := filepath.Join(dir, "gpiochip0")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"gpiochip4": "gpiochip0", "gpiochip5": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	chips, err := scan(dir)
	if err != nil || len(chips) != 1 || chips[0].Path != path || chips[0].Err == nil {
		t.Errorf("%+v, %v", chips, err)
	}
}

// TestOrder shows which of several chips a name belongs to.
func TestOrder(t *testing.T) {
	var (
		chips  = []Chip{newFakeChip("gpiochip0", "expander", "GPIO5", "P1").Chip, newFakeChip("gpiochip1", "pinctrl-rp1", "GPIO5", "GPIO6", "GPIO6").Chip, {Path: "x", Err: device.ErrDenied}}
		expect = func(l Line, chip string, offset int) {
			t.Helper()
			if c, at, err := find(chips, l); err != nil || c.Name != chip || at != offset {
				t.Errorf("%v: %s:%d, %v (want %s:%d)", l, c.Name, at, err, chip, offset)
			}
		}
	)
	if compareChips(chips[0], chips[1]) <= 0 || compareChips(chips[1], chips[0]) >= 0 || compareChips(chips[2], chips[0]) <= 0 {
		t.Error("the processor's pins are not first, or an unknown chip not last")
	}
	chips[0], chips[1] = chips[1], chips[0]
	expect(Line{Name: "GPIO5"}, "gpiochip1", 0)
	expect(Line{Name: "GPIO6"}, "gpiochip1", 1)
	expect(Line{Name: "P1"}, "gpiochip0", 1)
	expect(Line{Chip: "expander", Offset: 0}, "gpiochip0", 0)
	expect(Line{Chip: "gpiochip1", Offset: 2, Name: "P1"}, "gpiochip1", 2)
	if _, _, err := find(chips, Line{Name: "GPIO9"}); !errors.Is(err, device.ErrDenied) {
		t.Errorf("a name that the denied chip may have: %v", err)
	}
}

func TestLineString(t *testing.T) {
	for want, l := range map[string]Line{"GPIO17": {Name: "GPIO17"}, "pinctrl-rp1:17": {Name: "x", Chip: "pinctrl-rp1", Offset: 17}} {
		if got := l.String(); got != want {
			t.Errorf("%q (want %q)", got, want)
		}
	}
}

// TestInit shows that standard input outlives Init, here without any chip; the
// kernel test does it with two nodes that lead to one chip.
func TestInit(t *testing.T) {
	before, err := os.Stdin.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Init(); err != nil {
			t.Fatal(err)
		}
	}
	after, err := os.Stdin.Stat()
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("standard input is another file (%v)", err)
	}
}

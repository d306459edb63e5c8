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
	// What else to do about it, a simulated panel for one, is for others to say.
	if _, err := scan(dir); !errors.Is(err, device.ErrAbsent) || err.Error() != "GPIO chips: not there: there is no "+dir+"/gpiochip*" {
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
			if c, info, err := Find(chips, l); err != nil || c.Name != chip || info.Offset != offset {
				t.Errorf("%v: %s:%d, %v (want %s:%d)", l, c.Name, info.Offset, err, chip, offset)
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
	_, _, err := Find(chips, Line{Name: "GPIO9"})
	fails(t, err, device.ErrDenied, "line GPIO9: no readable chip has it, and one cannot be read: permission denied")
}

// TestPins shows that the pins of a Raspberry Pi are found whatever its device
// tree calls them.
func TestPins(t *testing.T) {
	lines := make([]string, 54)
	lines[2], lines[3], lines[4], lines[5] = "SDA1", "SCL1", "GPIO_GCLK", "GPIO6"
	hat := newFakeChip("gpiochip0", "hat", "", "", "", "GPIO2", "GPIO40").Chip
	for _, label := range []string{"pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1", "pinctrl-bcm2711-gpio"} {
		chips := []Chip{newFakeChip("gpiochip1", label, lines...).Chip, hat}
		for name, want := range map[string]struct {
			chip   string
			offset int
		}{
			"GPIO0": {"gpiochip1", 0}, "GPIO2": {"gpiochip1", 2}, "GPIO3": {"gpiochip1", 3}, "GPIO27": {"gpiochip1", 27},
			"SDA1": {"gpiochip1", 2}, "GPIO6": {"gpiochip1", 5}, "GPIO40": {"gpiochip0", 4},
		} {
			if c, info, err := Find(chips, Line{Name: name}); err != nil || c.Name != want.chip || info.Offset != want.offset {
				t.Errorf("%s, %s: %s:%d, %v (want %v)", label, name, c.Name, info.Offset, err, want)
			}
		}
		for _, name := range []string{"GPIO28", "GPIO02", "GPIO+2", "GPIO", "2", "gpio2", "GPIO-1"} {
			_, _, err := Find(chips, Line{Name: name})
			fails(t, err, device.ErrAbsent, "line "+name)
		}
	}
	short := []Chip{newFakeChip("gpiochip0", "pinctrl-rp1", "a", "b").Chip}
	_, _, err := Find(short, Line{Name: "GPIO2"})
	fails(t, err, device.ErrAbsent)
	other := []Chip{newFakeChip("gpiochip0", "pinctrl-sun4i", lines...).Chip}
	_, _, err = Find(other, Line{Name: "GPIO2"})
	fails(t, err, device.ErrAbsent)
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

package virtualpi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"teachbox/device"
)

// gpioSim is where chips are made; see Documentation/admin-guide/gpio/gpio-sim.rst
// of the kernel.
const gpioSim = "/sys/kernel/config/gpio-sim"

// A GPIOChip is a GPIO chip that the kernel simulates. What it does wrong fails
// the test.
type GPIOChip struct {
	t    testing.TB
	dir  string // in configfs
	name string // set by Restore
}

// NewGPIOChip makes a chip with a line for each name, by offset; a line whose
// name is empty has none. Only root may open its node. It goes when the test
// ends.
func NewGPIOChip(t testing.TB, label string, lines ...string) *GPIOChip {
	t.Helper()
	Load(t, "gpio-sim", "")
	dir, err := os.MkdirTemp(gpioSim, "chip")
	if err != nil {
		t.Fatal(err)
	}
	c := &GPIOChip{t: t, dir: dir}
	t.Cleanup(c.clear)
	bank := filepath.Join(dir, "bank")
	c.check(os.Mkdir(bank, 0o755))
	c.write(filepath.Join(bank, "label"), label)
	c.write(filepath.Join(bank, "num_lines"), strconv.Itoa(len(lines)))
	for i, name := range lines {
		if name != "" {
			line := filepath.Join(bank, fmt.Sprintf("line%d", i))
			c.check(os.Mkdir(line, 0o755))
			c.write(filepath.Join(line, "name"), name)
		}
	}
	c.Restore()
	return c
}

func (c *GPIOChip) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Errorf("gpio-sim: %v", err)
	}
}

func (c *GPIOChip) write(path, text string) {
	c.t.Helper()
	c.check(os.WriteFile(path, []byte(text), 0o644))
}

func (c *GPIOChip) read(path string) string {
	c.t.Helper()
	b, err := os.ReadFile(path)
	c.check(err)
	return strings.TrimSpace(string(b))
}

// clear removes what NewGPIOChip made.
func (c *GPIOChip) clear() {
	if c.read(filepath.Join(c.dir, "live")) == "1" {
		c.Remove()
	}
	bank := filepath.Join(c.dir, "bank")
	lines, err := filepath.Glob(filepath.Join(bank, "line*"))
	c.check(err)
	for _, line := range append(lines, bank, c.dir) {
		// A half-made chip lacks some of them.
		if err := os.Remove(line); !errors.Is(err, fs.ErrNotExist) {
			c.check(err)
		}
	}
}

// Remove takes the chip away, as if it was unplugged.
func (c *GPIOChip) Remove() {
	c.t.Helper()
	c.write(filepath.Join(c.dir, "live"), "0")
}

// Restore brings a chip back that Remove took away, with all lines low.
func (c *GPIOChip) Restore() {
	c.t.Helper()
	c.write(filepath.Join(c.dir, "live"), "1")
	c.name = c.read(filepath.Join(c.dir, "bank", "chip_name"))
}

// Name is what the kernel calls the chip for the time being.
func (c *GPIOChip) Name() string { return c.name }

// Path is the chip's node.
func (c *GPIOChip) Path() string { return "/dev/" + c.name }

// attr is a file of a line: "value" or "pull".
func (c *GPIOChip) attr(offset int, name string) string {
	return filepath.Join("/sys/bus/gpio/devices", c.name, fmt.Sprintf("sim_gpio%d", offset), name)
}

// Set pulls a line high or low from outside, which is its level unless a
// program drives it. A program that requests the line with a pull of its own
// overrules what was set before: gpio-sim has but one pull for a line.
func (c *GPIOChip) Set(offset int, high bool) {
	c.t.Helper()
	pull := "pull-down"
	if high {
		pull = "pull-up"
	}
	c.write(c.attr(offset, "pull"), pull)
}

// Bounce changes what a line is pulled to n times, evenly over a time, as a worn
// button does; high is the first level. It returns how long that really took.
func (c *GPIOChip) Bounce(offset, n int, high bool, over time.Duration) time.Duration {
	c.t.Helper()
	// Opened once: on an emulated processor that takes longer than an edge.
	f, err := os.OpenFile(c.attr(offset, "pull"), os.O_WRONLY, 0)
	c.check(err)
	defer f.Close()
	levels := map[bool][]byte{true: []byte("pull-up"), false: []byte("pull-down")}
	began := time.Now()
	for i := range n {
		for time.Since(began) < time.Duration(i)*over/time.Duration(n) {
			// A sleep would be longer than the time to the next edge.
		}
		if _, err := f.WriteAt(levels[high], 0); err != nil {
			c.check(err)
			break
		}
		high = !high
	}
	return time.Since(began)
}

// High reports whether a line is high, whoever makes it so. A line that is freed
// falls back to its pull.
func (c *GPIOChip) High(offset int) bool {
	c.t.Helper()
	return c.read(c.attr(offset, "value")) == "1"
}

// A GPIOWire is a button or an LED on a line of a chip.
type GPIOWire struct {
	Chip      *GPIOChip
	Offset    int
	ActiveLow bool
}

// A GPIOPanel is the hands and eyes at a panel of simulated lines.
type GPIOPanel struct {
	Buttons map[device.Button]GPIOWire
	LEDs    map[device.Lights]GPIOWire // by their bit
}

// Idle lets every button go, and pulls the lines of the LEDs to where a free
// line leaves them dark, as the LEDs themselves would. A new chip, or one that
// was restored, begins with all lines low.
func (p GPIOPanel) Idle() {
	for b := range p.Buttons {
		p.Release(b)
	}
	for _, w := range p.LEDs {
		w.Chip.Set(w.Offset, w.ActiveLow)
	}
}

// Press pushes a button.
func (p GPIOPanel) Press(b device.Button) {
	w := p.Buttons[b]
	w.Chip.Set(w.Offset, !w.ActiveLow)
}

// Release lets a button go.
func (p GPIOPanel) Release(b device.Button) {
	w := p.Buttons[b]
	w.Chip.Set(w.Offset, w.ActiveLow)
}

// Lights reads the LEDs.
func (p GPIOPanel) Lights() device.Lights {
	var l device.Lights
	for bit, w := range p.LEDs {
		if w.Chip.High(w.Offset) != w.ActiveLow {
			l |= bit
		}
	}
	return l
}

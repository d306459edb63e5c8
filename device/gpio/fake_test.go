package gpio

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"teachbox/device"
)

// A fakeHost is chips in memory. Like the kernel it keeps 16 edges for each line
// of a request, drops the oldest, and lets a freed line fall back to its pull.
type fakeHost struct {
	mu     sync.Mutex
	chips  []*fakeChip
	calls  []string         // "in 2", "out 1", "write 101/111" (bits/mask)
	steal  map[string]error // refuse the next request: by "in" or "out"
	failed func()           // called when steal refuses
}

type fakeChip struct {
	Chip
	level   []bool
	gone    chan struct{} // closed: the chip is gone, for whoever holds it
	unknown bool          // periph did not see it
	noIRQ   bool
	broken  error // of every read and write
	banks   []*fakeBank
}

func newFakeChip(name, label string, lines ...string) *fakeChip {
	c := &fakeChip{Chip: Chip{Path: "/dev/" + name, Name: name, Label: label}, level: make([]bool, len(lines)), gone: make(chan struct{})}
	for i, line := range lines {
		c.Lines = append(c.Lines, LineInfo{Offset: i, Name: line})
	}
	return c
}

func (h *fakeHost) scan() ([]Chip, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var chips []Chip
	for _, c := range h.chips {
		if !c.dead() {
			chip := c.Chip
			chip.Lines = slices.Clone(chip.Lines)
			chips = append(chips, chip)
		}
	}
	if len(chips) == 0 {
		return nil, fmt.Errorf("GPIO chips: %w", device.ErrAbsent)
	}
	return chips, nil
}

func (c *fakeChip) dead() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

func (h *fakeHost) alone(c Chip, offset int) bool {
	return c.Lines[offset].Name == ""
}

func (h *fakeHost) in(c Chip, pins []pin) (bank, error)  { return h.open("in", c, pins) }
func (h *fakeHost) out(c Chip, pins []pin) (bank, error) { return h.open("out", c, pins) }

func (h *fakeHost) open(dir string, info Chip, pins []pin) (bank, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf("%s %d", dir, len(pins)))
	if err := h.steal[dir]; err != nil {
		delete(h.steal, dir)
		if h.failed != nil {
			h.failed()
		}
		return nil, err
	}
	i := slices.IndexFunc(h.chips, func(c *fakeChip) bool { return c.Name == info.Name && !c.dead() })
	if i < 0 {
		return nil, unix.ENODEV
	}
	c := h.chips[i]
	switch {
	case c.unknown:
		return nil, errUnknown
	case dir == "in" && c.noIRQ:
		return nil, unix.ENXIO
	}
	b := &fakeBank{host: h, chip: c, event: make(chan fakeEdge, queue*len(pins))}
	for _, pin := range pins {
		line := &c.Lines[pin.offset]
		if line.Used {
			return nil, unix.EBUSY
		}
		line.Used, line.Holder, line.Output = true, "teachbox@1", dir == "out"
		if line.Output {
			c.level[pin.offset] = false
		}
		b.offsets = append(b.offsets, pin.offset)
	}
	c.banks = append(c.banks, b)
	return b, nil
}

// set changes a line from outside.
func (h *fakeHost) set(c *fakeChip, offset int, high bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.level[offset] == high {
		return
	}
	c.level[offset] = high
	for _, b := range c.banks {
		if i := slices.Index(b.offsets, offset); i >= 0 {
			for {
				select {
				case b.event <- fakeEdge{i, high}:
				default:
					<-b.event
					continue
				}
				break
			}
		}
	}
}

// remove takes a chip away.
func (h *fakeHost) remove(c *fakeChip) {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(c.gone)
}

// hold gives a line to another program; an empty name frees it.
func (h *fakeHost) hold(c *fakeChip, offset int, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.Lines[offset].Used, c.Lines[offset].Holder = name != "", name
}

// used counts the lines that are held.
func (h *fakeHost) used() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.chips {
		for _, l := range c.Lines {
			if l.Used {
				n++
			}
		}
	}
	return n
}

// high tells the level of a line.
func (h *fakeHost) high(c *fakeChip, offset int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return c.level[offset]
}

// told returns the calls since it was called last.
func (h *fakeHost) told() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	calls := h.calls
	h.calls = nil
	return calls
}

type fakeEdge struct {
	line int
	high bool
}

type fakeBank struct {
	host    *fakeHost
	chip    *fakeChip
	offsets []int
	event   chan fakeEdge
	waits   int
}

func (b *fakeBank) wait(d time.Duration) (int, bool, error) {
	b.host.mu.Lock()
	b.waits++
	b.host.mu.Unlock()
	if b.chip.dead() {
		return -1, false, unix.ENODEV
	}
	select {
	case e := <-b.event:
		return e.line, e.high, nil
	case <-b.chip.gone:
		return -1, false, unix.ENODEV
	case <-time.After(d):
		return -1, false, nil
	}
}

func (b *fakeBank) check() error {
	if b.chip.dead() {
		return unix.ENODEV
	}
	return b.chip.broken
}

func (b *fakeBank) read() (uint64, error) {
	b.host.mu.Lock()
	defer b.host.mu.Unlock()
	if err := b.check(); err != nil {
		return 0, err
	}
	var bits uint64
	for i, offset := range b.offsets {
		if b.chip.level[offset] {
			bits |= 1 << i
		}
	}
	return bits, nil
}

func (b *fakeBank) write(bits, mask uint64) error {
	b.host.mu.Lock()
	defer b.host.mu.Unlock()
	b.host.calls = append(b.host.calls, fmt.Sprintf("write %b/%b", bits, mask))
	if err := b.check(); err != nil {
		return err
	}
	for i, offset := range b.offsets {
		if mask>>i&1 != 0 {
			b.chip.level[offset] = bits>>i&1 != 0
		}
	}
	return nil
}

func (b *fakeBank) close() {
	b.host.mu.Lock()
	defer b.host.mu.Unlock()
	for _, offset := range b.offsets {
		l := &b.chip.Lines[offset]
		l.Used, l.Holder, l.Output = false, "", false
	}
	b.chip.banks = slices.DeleteFunc(b.chip.banks, func(o *fakeBank) bool { return o == b })
}

// A rig is a panel over fake chips: two slots, a nothing button, a status LED.
type rig struct {
	*fakeHost
	chip  *fakeChip // has every line
	panel *Panel
	opt   Options
}

// The lines of a rig's chip.
const (
	red, blue, none          = 0, 1, 2
	redLED, blueLED, lastLED = 3, 4, 5
)

func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	line := func(n int) Line { return Line{Name: fmt.Sprintf("GPIO%d", n)} }
	button := func(n int) Button { return Button{Line: line(n), Pull: PullUp, ActiveLow: true} }
	opt := Options{
		Slots:   []Slot{{button(red), LED{Line: line(redLED)}}, {button(blue), LED{Line: line(blueLED)}}},
		Nothing: new(button(none)),
		Status:  &LED{Line: line(lastLED)},
	}
	if change != nil {
		change(&opt)
	}
	c := newFakeChip("gpiochip0", "pinctrl-fake", "GPIO0", "GPIO1", "GPIO2", "GPIO3", "GPIO4", "GPIO5")
	for _, n := range []int{red, blue, none} {
		c.level[n] = true
	}
	h := &fakeHost{chips: []*fakeChip{c}, steal: make(map[string]error)}
	r := &rig{fakeHost: h, chip: c, panel: newPanel(opt, h), opt: opt}
	t.Cleanup(func() {
		if err := r.panel.Halt(); err != nil {
			t.Errorf("Halt: %v", err)
		}
		if n := r.used(); n != 0 {
			t.Errorf("%d lines are still held after Halt", n)
		}
	})
	return r
}

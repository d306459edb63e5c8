package gpio

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"teachbox/device"
)

// A Chip is a GPIO chip as the kernel describes it at the moment.
type Chip struct {
	Path  string // such as "/dev/gpiochip0"; a symbolic link is followed
	Name  string // the kernel's, such as "gpiochip0": its number may change with every start
	Label string // what it is, such as "pinctrl-bcm2711": the same at every start
	Lines []LineInfo
	Err   error // why the rest is not known; wraps device.ErrAbsent or device.ErrDenied where one fits
}

// LineInfo is a line of a chip.
type LineInfo struct {
	Offset int    // from 0 on its chip
	Name   string // such as "GPIO17"; may be empty, and need not be unique
	Holder string // who has it, as it calls itself; anybody may choose any name
	Output bool
	Used   bool // not free: a program or a driver has it
}

// List returns the chips of this machine in the order in which Find looks
// through them. A chip that cannot be asked is listed last, with its error. The
// error wraps device.ErrAbsent: there is no chip at all.
func List() ([]Chip, error) { return scan("/dev") }

// scan lists the chips whose nodes are in dir.
func scan(dir string) ([]Chip, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "gpiochip*"))
	if err != nil {
		return nil, fmt.Errorf("GPIO chips: %w", err)
	}
	var chips []Chip
	seen := make(map[string]bool)
	for _, path := range paths {
		// A Raspberry Pi links gpiochip4 to gpiochip0, or the other way round.
		path, err := filepath.EvalSymlinks(path)
		if err != nil || seen[path] {
			continue
		}
		seen[path] = true
		chips = append(chips, inspect(path))
	}
	if len(chips) == 0 {
		return nil, fmt.Errorf("GPIO chips: %w: there is no %s/gpiochip*", device.ErrAbsent, dir)
	}
	slices.SortStableFunc(chips, compareChips)
	return chips, nil
}

// compareChips puts the processor's own pins first, so that a line of an
// extension board can never take the name of one of them.
func compareChips(a, b Chip) int {
	rank := func(c Chip) int {
		switch {
		case c.Err != nil:
			return 2
		case strings.HasPrefix(c.Label, "pinctrl-"):
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Label, b.Label), cmp.Compare(a.Path, b.Path))
}

// inspect asks one chip what it is.
func inspect(path string) Chip {
	c := Chip{Path: path}
	if err := c.ask(); err != nil {
		c.Lines = nil
		switch {
		case errors.Is(err, fs.ErrPermission):
			err = fmt.Errorf("%s: %w: add the user who runs the box to the group gpio, and let a udev rule give that group the chip", path, device.ErrDenied)
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV):
			err = fmt.Errorf("%s: %w: it was removed just now; try again", path, device.ErrAbsent)
		default:
			err = fmt.Errorf("%s: %w; choose the lines of another chip", path, err)
		}
		c.Err = err
	}
	return c
}

func (c *Chip) ask() error {
	f, err := os.Open(c.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := askChip(f)
	if err != nil {
		return err
	}
	c.Name = text(info.name[:])
	c.Label = cmp.Or(text(info.label[:]), c.Name)
	for offset := range info.lines {
		line, err := askLine(f, offset)
		if err != nil {
			return err
		}
		c.Lines = append(c.Lines, line)
	}
	return nil
}

// header is the number of pins that a Raspberry Pi's header has, from BCM 0.
const header = 28

// processors are how the labels of the chips begin whose offsets are BCM
// numbers: drivers/pinctrl/bcm/pinctrl-bcm2835.c (Raspberry Pi 1 to 4) and
// drivers/pinctrl/pinctrl-rp1.c (5) of the kernel.
func processors() []string { return []string{"pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"} }

// named returns the offset of the line of that name, or -1.
func (c *Chip) named(name string) int {
	if name == "" {
		return -1
	}
	i := slices.IndexFunc(c.Lines, func(l LineInfo) bool { return l.Name == name })
	if i >= 0 || !slices.ContainsFunc(processors(), func(p string) bool { return strings.HasPrefix(c.Label, p) }) {
		return i
	}
	// Device trees name some lines after their other purpose: ID_SDA, TXD1 …
	for pin := range min(header, len(c.Lines)) {
		if name == "GPIO"+strconv.Itoa(pin) {
			return pin
		}
	}
	return -1
}

// Find looks a line up in chips, which are in the order of List: by its name,
// which is the first chip's that has it, or by its chip and offset. The error
// wraps device.ErrAbsent, or device.ErrDenied if the line may be on a chip that
// cannot be read.
func Find(chips []Chip, l Line) (Chip, LineInfo, error) {
	for _, c := range chips {
		switch {
		case c.Err != nil:
		case l.Chip == "":
			if i := c.named(l.Name); i >= 0 {
				return c, c.Lines[i], nil
			}
		case l.Chip != c.Label && l.Chip != c.Name:
		case l.Offset < 0 || l.Offset >= len(c.Lines):
			return Chip{}, LineInfo{}, fmt.Errorf("line %v: %w: the chip has the lines 0 to %d; choose one of them", l, device.ErrAbsent, len(c.Lines)-1)
		default:
			return c, c.Lines[l.Offset], nil
		}
	}
	for _, c := range chips {
		if errors.Is(c.Err, device.ErrDenied) {
			return Chip{}, LineInfo{}, fmt.Errorf("line %v: no readable chip has it, and one cannot be read: %w", l, c.Err)
		}
	}
	what := "no GPIO chip has a line of that name"
	if l.Chip != "" {
		what = "there is no GPIO chip of that label"
	}
	return Chip{}, LineInfo{}, fmt.Errorf("line %v: %w: %s; `teachbox hardware` lists what there is", l, device.ErrAbsent, what)
}

// The kernel's description of chips and lines: linux/gpio.h, struct
// gpiochip_info and struct gpio_v2_line_info. The layout is the same on every
// architecture. periph asks only once, when the process begins, so the box asks
// for itself who has a line now.
type (
	chipInfo struct {
		name, label [32]byte
		lines       uint32
	}
	lineInfo struct {
		name, consumer [32]byte
		offset         uint32
		numAttrs       uint32
		flags          uint64
		attrs          [10]struct {
			id, padding uint32
			value       uint64
		}
		padding [4]uint32
	}
)

const (
	getChipInfo = 2<<30 | unsafe.Sizeof(chipInfo{})<<16 | 0xb4<<8 | 0x01 // GPIO_GET_CHIPINFO_IOCTL
	getLineInfo = 3<<30 | unsafe.Sizeof(lineInfo{})<<16 | 0xb4<<8 | 0x05 // GPIO_V2_GET_LINEINFO_IOCTL

	flagUsed   = 1 << 0 // GPIO_V2_LINE_FLAG_USED: "line is not available for request"
	flagOutput = 1 << 3 // GPIO_V2_LINE_FLAG_OUTPUT
)

// askChip describes an open chip; the error is ENODEV once it is gone.
func askChip(f *os.File) (chipInfo, error) {
	var info chipInfo
	return info, ioctl(f, getChipInfo, unsafe.Pointer(&info))
}

// askLine describes a line of an open chip.
func askLine(f *os.File, offset uint32) (LineInfo, error) {
	info := lineInfo{offset: offset}
	err := ioctl(f, getLineInfo, unsafe.Pointer(&info))
	return info.line(), err
}

func (i *lineInfo) line() LineInfo {
	return LineInfo{
		Offset: int(i.offset),
		Name:   text(i.name[:]),
		Holder: text(i.consumer[:]),
		Output: i.flags&flagOutput != 0,
		Used:   i.flags&flagUsed != 0,
	}
}

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// text is what precedes the first NUL.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

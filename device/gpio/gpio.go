// Package gpio is a panel of real buttons and LEDs on the GPIO lines of Linux,
// through periph's gpioioctl.
//
// periph looks at the chips once, when the process begins: a chip that was
// denied then, or that goes away and comes back, can be had again only by a new
// process. [Panel.Stale] tells when one would help.
package gpio

import (
	"fmt"
	"log/slog"

	"teachbox/device"
)

// A Line is one GPIO line: by its name, or, if Chip is set, by its chip and its
// offset there. Several chips may have a line of one name; the processor's own
// (label pinctrl-…) goes first, then the order of the labels.
//
// On a Raspberry Pi the names GPIO0 to GPIO27 are the pins of the header by their
// BCM numbers, even where its device tree calls a line otherwise, such as SDA1.
type Line struct {
	Name   string // such as "GPIO17"
	Chip   string // the chip's label or name, such as "pinctrl-rp1"
	Offset int    // from 0
}

// String is as the configuration writes it: "GPIO17", or "pinctrl-rp1:17".
func (l Line) String() string {
	if l.Chip != "" {
		return fmt.Sprintf("%s:%d", l.Chip, l.Offset)
	}
	return l.Name
}

// Pull is the resistor in the chip that holds an open line at one level.
type Pull uint8

// The choices of Pull.
const (
	// PullNone leaves the resistor as it is, for a button that has one of its
	// own. (A Raspberry Pi starts with GPIO 0 to 8 up and the others down.)
	PullNone Pull = iota
	PullUp
	PullDown
)

// A Button is an input line.
type Button struct {
	Line      Line
	Pull      Pull
	ActiveLow bool // pressed is low
}

// An LED is an output line.
type LED struct {
	Line      Line
	ActiveLow bool // lit is low
}

// A Slot is a class button and its LED.
type Slot struct {
	Button Button
	LED    LED
}

// Options say how a panel is wired.
type Options struct {
	Slots   []Slot       // those beyond device.MaxSlots are ignored
	Nothing *Button      // nil: there is no nothing button
	Status  *LED         // nil: there is no status LED
	Log     *slog.Logger // told what the panel does; nil: nobody
}

// A pin is one line of the panel and what hangs on it.
type pin struct {
	line      Line
	activeLow bool
	pull      Pull          // of a button
	button    device.Button // if it is an input
	led       device.Lights // if it is an output: its one bit

	offset int // on its chip, once it was looked up
}

// pins lists the lines of the panel.
func (o *Options) pins() (in, out []pin) {
	button := func(b Button, which device.Button) {
		in = append(in, pin{line: b.Line, activeLow: b.ActiveLow, pull: b.Pull, button: which})
	}
	led := func(l LED, bit device.Lights) {
		out = append(out, pin{line: l.Line, activeLow: l.ActiveLow, led: bit})
	}
	for i, s := range o.Slots[:min(len(o.Slots), device.MaxSlots)] {
		button(s.Button, device.Button(i))
		led(s.LED, device.Slot(i))
	}
	if o.Nothing != nil {
		button(*o.Nothing, device.Nothing)
	}
	if o.Status != nil {
		led(*o.Status, device.Status)
	}
	return in, out
}

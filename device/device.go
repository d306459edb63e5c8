// Package device holds the contracts of what is fastened to a box: a camera,
// and a panel of buttons and LEDs. The packages below it implement them;
// whoever uses a device imports only this package and frame.
package device

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"teachbox/device/frame"
)

// The errors that cameras and panels share. Implementations wrap them, adding
// which device and what a person can do.
var (
	ErrAbsent = errors.New("not there")             // no such device, or unplugged
	ErrBusy   = errors.New("in use")                // held by another program
	ErrDenied = errors.New("permission denied")     // the user may not open it
	ErrFormat = errors.New("no usable format")      // it gives nothing that the box can read
	ErrStall  = errors.New("stopped giving frames") // open, but silent
)

// A Camera is a source of frames.
type Camera interface {
	// Run opens the camera and calls emit for every frame, from one goroutine,
	// until ctx ends (it then returns nil) or the camera fails (it then returns
	// an error that wraps one of this package's). Whatever it opened is closed
	// when it returns, and it may be called again. The pixels belong to the
	// camera: they are valid only until emit returns.
	Run(ctx context.Context, emit func(frame.Frame)) error
	// String names the camera for people, such as "folder /srv/pictures".
	String() string
}

// MaxSlots is the greatest number of slots that a panel may have.
const MaxSlots = 8

// A Button is one button of the panel: 0 to MaxSlots-1 are the class buttons.
type Button uint8

// Nothing is the button that teaches "none of these".
const Nothing Button = MaxSlots

// String is "class 1" to "class 8" (people count from one) or "nothing".
func (b Button) String() string {
	if b == Nothing {
		return "nothing"
	}
	return fmt.Sprintf("class %d", int(b)+1)
}

// A Source tells apart the places that a button can be pushed from. The panel
// is down where any source holds it down.
type Source uint8

// The sources of edges.
const (
	FromPanel    Source = iota // a wired button
	FromKeyboard               // the simulator's terminal or its script
	FromPage                   // the page or the control socket
	NumSources
)

// An Edge is one change of one button's level, bounce included.
type Edge struct {
	Source Source
	Button Button
	Down   bool
	At     time.Time // with a monotonic reading
	// Lease bounds a Down that may lose its Up (a remote hold): unless it is
	// renewed by another Down, the button counts as up at At+Lease. 0: no bound.
	Lease time.Duration
}

// Lights is the level of every LED of a panel: bit i is the LED of slot i.
type Lights uint16

// Status is the bit of the status LED.
const Status Lights = 1 << MaxSlots

// Slot is the bit of a slot's LED; slot is 0 to MaxSlots-1.
func Slot(slot int) Lights { return 1 << slot }

// AllSlots is the LEDs of the first n slots together.
func AllSlots(n int) Lights { return 1<<n - 1 }

// String draws the lights, such as "●○○○ ●": the slots, then the status LED.
func (l Lights) String() string {
	var b strings.Builder
	dot := func(on bool) {
		if on {
			b.WriteString("●")
		} else {
			b.WriteString("○")
		}
	}
	for i := range MaxSlots {
		dot(l&Slot(i) != 0)
	}
	b.WriteString(" ")
	dot(l&Status != 0)
	return b.String()
}

// Wiring says what a panel has.
type Wiring struct {
	Slots   int  // class buttons, each with an LED: 2 to MaxSlots
	Nothing bool // there is a nothing button
	Status  bool // there is a status LED
}

// A Panel is the buttons and LEDs of a box.
type Panel interface {
	// Watch calls emit for every edge, from one goroutine, until ctx ends (it
	// then returns nil) or the panel fails. Buttons that are down when Watch
	// starts are reported as a Down at once.
	Watch(ctx context.Context, emit func(Edge)) error
	// Show sets every LED. LEDs that the panel lacks are ignored. It does not
	// wait and may be called while Watch runs.
	Show(Lights) error
	// Halt makes every LED dark and releases the panel. It may be called more
	// than once.
	Halt() error
}

package config

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// The presets of a panel.
const (
	PresetDefault = "default"
	PresetCoral   = "coral-teachable" // as Google Coral's project-teachable is wired
)

// The choices of Button.Pull.
const (
	PullUp   = "up"
	PullDown = "down"
	PullNone = "none"
)

// The choices of Active: the level at which a button is pressed or an LED lit.
const (
	ActiveLow  = "low"
	ActiveHigh = "high"
)

// SourceGPIO is the choice of Panel.Source beside SourceSim.
const SourceGPIO = "gpio" // wired buttons and LEDs

// Panel is the wiring. A configuration from Default, Parse or Load has every
// pin filled in, whether it comes from a preset or not.
type Panel struct {
	Source string `toml:"source"` // SourceGPIO or SourceSim
	// Preset is the preset that was asked for. It counts for nothing once
	// the file lists pins of its own: they replace the preset whole.
	Preset  string  `toml:"preset" comment:"the pins below replace this preset"`
	Nothing *Button `toml:"nothing,inline"` // nil: there is no nothing button
	Status  *LED    `toml:"status,inline"`  // nil: there is no status LED
	Slots   []Slot  `toml:"slots"`          // 2 to device.MaxSlots
}

// A Slot is a class button and its LED.
type Slot struct {
	Button Button `toml:"button,inline"`
	LED    LED    `toml:"led,inline"`
}

// A Button is an input line.
type Button struct {
	Line
	Pull   string `toml:"pull"`   // PullUp, PullDown or PullNone
	Active string `toml:"active"` // ActiveLow or ActiveHigh: the level when pressed
}

// An LED is an output line.
type LED struct {
	Line
	Active string `toml:"active"` // ActiveLow or ActiveHigh: the level when lit
}

// A Line is one GPIO, by its pin or, where a board is no Raspberry Pi, by its
// name.
type Line struct {
	Pin  Pin    `toml:"pin,omitzero"`   // NoPin: the name counts
	Name string `toml:"line,omitempty"` // its name, or "CHIP:OFFSET"; "": the pin counts
}

// A Pin is a BCM number, 0 to 27, or NoPin.
type Pin int

// NoPin is no pin at all.
const NoPin Pin = math.MinInt

// IsZero reports whether there is no pin to write: 0 is one.
func (p Pin) IsZero() bool { return p == NoPin }

// KernelName is what the kernel calls the line, unless Offset finds it.
func (l Line) KernelName() string {
	if l.Name != "" {
		return l.Name
	}
	return pinLine(int(l.Pin))
}

// Offset returns the label of the line's chip and its offset there, if the line
// is named by them.
func (l Line) Offset() (chip string, offset int, ok bool) {
	i := strings.LastIndexByte(l.Name, ':')
	if i < 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(l.Name[i+1:], 10, 16)
	return l.Name[:i], int(n), err == nil
}

// pinLine is the name that the kernels of all Raspberry Pis give to the line of
// a BCM number.
func pinLine(pin int) string { return "GPIO" + strconv.Itoa(pin) }

// clone returns a panel that shares no pins with p.
func (p Panel) clone() Panel {
	p.Slots = slices.Clone(p.Slots)
	if p.Nothing != nil {
		p.Nothing = new(*p.Nothing)
	}
	if p.Status != nil {
		p.Status = new(*p.Status)
	}
	return p
}

// preset returns the panel of that name. An unknown name, which check reports,
// gets the pins of PresetDefault.
func preset(name string) Panel {
	button := func(pin int) Button { return Button{Line{Pin: Pin(pin)}, PullUp, ActiveLow} }
	led := func(pin int) LED { return LED{Line{Pin: Pin(pin)}, ActiveHigh} }
	buttons, leds := []int{5, 6, 13, 19}, []int{17, 27, 22, 23}
	nothing, status := 26, 24
	if name == PresetCoral {
		button = func(pin int) Button { return Button{Line{Pin: Pin(pin)}, PullDown, ActiveHigh} }
		led = func(pin int) LED { return LED{Line{Pin: Pin(pin)}, ActiveLow} }
		buttons, leds = []int{6, 5, 24, 27}, []int{13, 12, 25, 22}
		nothing, status = 16, 20
	}
	p := Panel{Source: SourceGPIO, Preset: name, Nothing: new(button(nothing)), Status: new(led(status))}
	for i := range buttons {
		p.Slots = append(p.Slots, Slot{button(buttons[i]), led(leds[i])})
	}
	return p
}

package config

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

// Panel is the wiring. A configuration from Default, Parse or Load has every
// pin filled in, whether it comes from a preset or not.
type Panel struct {
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
	Pin    int    `toml:"pin"`    // BCM number, 0 to 27
	Pull   string `toml:"pull"`   // PullUp, PullDown or PullNone
	Active string `toml:"active"` // ActiveLow or ActiveHigh: the level when pressed
}

// An LED is an output line.
type LED struct {
	Pin    int    `toml:"pin"`    // BCM number, 0 to 27
	Active string `toml:"active"` // ActiveLow or ActiveHigh: the level when lit
}

// preset returns the panel of that name. An unknown name, which check reports,
// gets the pins of PresetDefault.
func preset(name string) Panel {
	button := func(pin int) Button { return Button{pin, PullUp, ActiveLow} }
	led := func(pin int) LED { return LED{pin, ActiveHigh} }
	buttons, leds := []int{5, 6, 13, 19}, []int{17, 27, 22, 23}
	nothing, status := 26, 24
	if name == PresetCoral {
		button = func(pin int) Button { return Button{pin, PullDown, ActiveHigh} }
		led = func(pin int) LED { return LED{pin, ActiveLow} }
		buttons, leds = []int{6, 5, 24, 27}, []int{13, 12, 25, 22}
		nothing, status = 16, 20
	}
	p := Panel{Preset: name, Nothing: new(button(nothing)), Status: new(led(status))}
	for i := range buttons {
		p.Slots = append(p.Slots, Slot{button(buttons[i]), led(leds[i])})
	}
	return p
}

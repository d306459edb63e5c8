package main

import (
	"errors"
	"fmt"
	"strings"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/camera"
	"teachbox/device/gpio"
)

// An inventory is which cameras and GPIO lines there are, and what the
// configuration wants of them. `hardware --json` prints it.
type inventory struct {
	CameraSource string        `json:"camera_source"` // camera.source of the configuration
	Cameras      []cameraEntry `json:"cameras"`
	CameraError  string        `json:"camera_error,omitempty"` // why there are none
	RPiCam       bool          `json:"rpicam"`                 // rpicam-vid or libcamera-vid is installed

	PanelSource string      `json:"panel_source"` // panel.source of the configuration
	Chips       []chipEntry `json:"chips"`
	ChipError   string      `json:"chip_error,omitempty"` // why there are none
	Wiring      []wireEntry `json:"wiring"`               // the lines of the configuration
}

// A cameraEntry is one video device of the kernel.
type cameraEntry struct {
	Path     string         `json:"path"`
	ByID     string         `json:"by_id,omitempty"`
	Name     string         `json:"name,omitempty"`
	Driver   string         `json:"driver,omitempty"`
	Bus      string         `json:"bus,omitempty"`
	Use      string         `json:"use"`
	Reason   string         `json:"reason,omitempty"`
	Source   string         `json:"source,omitempty"`  // the camera.source that chooses it
	Holders  []string       `json:"holders,omitempty"` // who has it open, as far as this user may know
	Formats  []formatEntry  `json:"formats,omitempty"`
	Controls []controlEntry `json:"controls,omitempty"`
	denied   bool           // this user may not open it
}

// A formatEntry is a format that a camera gives. It has sizes if the box can
// read it.
type formatEntry struct {
	Format string      `json:"format"`
	Sizes  []sizeEntry `json:"sizes,omitempty"`
}

// A sizeEntry is a camera.Size for programs.
type sizeEntry struct {
	Width      int     `json:"width"`
	Height     int     `json:"height"`
	MinWidth   int     `json:"min_width,omitempty"`
	MinHeight  int     `json:"min_height,omitempty"`
	StepWidth  int     `json:"step_width,omitempty"`
	StepHeight int     `json:"step_height,omitempty"`
	Rate       float64 `json:"rate,omitempty"`
}

// A controlEntry is a camera.Control for programs.
type controlEntry struct {
	ID      uint32 `json:"-"`
	Name    string `json:"name"`
	Min     int    `json:"min"`
	Max     int    `json:"max"`
	Step    int    `json:"step"`
	Default int    `json:"default"`
	Value   int    `json:"value"`
}

// A chipEntry is a GPIO chip with all its lines.
type chipEntry struct {
	Path  string      `json:"path"`
	Name  string      `json:"name,omitempty"`
	Label string      `json:"label,omitempty"`
	Error string      `json:"error,omitempty"`
	Lines []lineEntry `json:"lines"`

	denied bool // this user may not open it
}

// A lineEntry is one line of a chip.
type lineEntry struct {
	Offset  int    `json:"offset"`
	Name    string `json:"name,omitempty"`
	Output  bool   `json:"output"`
	Used    bool   `json:"used"`
	Holder  string `json:"holder,omitempty"`
	Purpose string `json:"purpose,omitempty"` // of the configuration, as in wireEntry
}

// A wireEntry is a line that the configuration names.
type wireEntry struct {
	Purpose string `json:"purpose"` // "button1", "led1", "nothing" or "status"
	Line    string `json:"line"`
	Chip    string `json:"chip,omitempty"`   // path of its chip, if it was found
	Offset  *int   `json:"offset,omitempty"` // on its chip, if it was found
	Holder  string `json:"holder,omitempty"` // the box that runs, if it has the line
	Problem string `json:"problem,omitempty"`
	people  string
}

// A purpose is what the configuration uses a line for.
type purpose struct {
	key       string // for programs and the command line, such as "button1"
	people    string // for people, such as "button of slot 1"
	line      gpio.Line
	led       bool
	activeLow bool
}

// purposes lists what the lines of a panel are for, in the panel's order.
func purposes(o gpio.Options) []purpose {
	var ps []purpose
	for i, s := range o.Slots {
		ps = append(ps,
			purpose{fmt.Sprintf("button%d", i+1), buttonName(device.Button(i)), s.Button.Line, false, s.Button.ActiveLow},
			purpose{fmt.Sprintf("led%d", i+1), ledName(device.Slot(i)), s.LED.Line, true, s.LED.ActiveLow},
		)
	}
	if b := o.Nothing; b != nil {
		ps = append(ps, purpose{"nothing", buttonName(device.Nothing), b.Line, false, b.ActiveLow})
	}
	if l := o.Status; l != nil {
		ps = append(ps, purpose{"status", ledName(device.Status), l.Line, true, l.ActiveLow})
	}
	return ps
}

// buttonName names a button for people.
func buttonName(b device.Button) string {
	if b == device.Nothing {
		return "nothing button"
	}
	return fmt.Sprintf("button of slot %d", b+1)
}

// ledName names the LED of one bit for people.
func ledName(l device.Lights) string {
	for i := range device.MaxSlots {
		if l == device.Slot(i) {
			return fmt.Sprintf("LED of slot %d", i+1)
		}
	}
	return "status LED"
}

// takeInventory asks the kernel what there is.
func takeInventory(cfg *config.Config) *inventory {
	cams, camErr := camera.List()
	chips, chipErr := gpio.List()
	inv := newInventory(cfg, cams, chips)
	inv.RPiCam = camera.NewRPiCam(camera.RPiCamOptions{}).Installed()
	open := camera.Holders()
	for i := range inv.Cameras {
		c := &inv.Cameras[i]
		c.Holders = open[c.Path]
		if cams[i].Use != camera.Usable {
			continue
		}
		controls, _ := camera.Controls(c.Path) // just unplugged: none
		for _, control := range controls {
			c.Controls = append(c.Controls, controlEntry(control))
		}
	}
	if camErr != nil {
		inv.CameraError = camErr.Error()
	}
	if chipErr != nil {
		inv.ChipError = chipErr.Error()
	}
	return inv
}

// newInventory lays the configuration over what was found.
func newInventory(cfg *config.Config, cams []camera.Info, chips []gpio.Chip) *inventory {
	inv := &inventory{
		CameraSource: cfg.Camera.Source, Cameras: []cameraEntry{},
		PanelSource: cfg.Panel.Source, Chips: []chipEntry{}, Wiring: []wireEntry{},
	}
	for _, c := range cams {
		inv.Cameras = append(inv.Cameras, newCameraEntry(c, cams))
	}
	for _, c := range chips {
		e := chipEntry{Path: c.Path, Name: c.Name, Label: c.Label, Lines: []lineEntry{}}
		if c.Err != nil {
			e.Error, e.denied = c.Err.Error(), errors.Is(c.Err, device.ErrDenied)
		}
		for _, l := range c.Lines {
			e.Lines = append(e.Lines, lineEntry{Offset: l.Offset, Name: l.Name, Output: l.Output, Used: l.Used, Holder: l.Holder})
		}
		inv.Chips = append(inv.Chips, e)
	}
	for _, p := range purposes(panelOptions(cfg)) {
		inv.Wiring = append(inv.Wiring, inv.lay(p, chips))
	}
	return inv
}

// lay finds the line of one purpose and says what is wrong with it, unless
// nobody needs it or there is no GPIO at all.
func (inv *inventory) lay(p purpose, chips []gpio.Chip) wireEntry {
	w := wireEntry{Purpose: p.key, Line: p.line.String(), people: p.people}
	chip, info, err := gpio.Find(chips, p.line)
	if err != nil {
		// The line is named beside it, and the list is being read already.
		w.Problem = strings.NewReplacer(fmt.Sprintf("line %v: ", p.line), "", "`teachbox hardware`", "`teachbox hardware --all`").Replace(err.Error())
	} else {
		w.Chip, w.Offset = chip.Path, &info.Offset
		l := inv.line(chip.Path, info.Offset)
		if l.Purpose == "" {
			l.Purpose = p.key
			w.judge(info)
		} else {
			w.Problem = fmt.Sprintf("the same line as that of the %s; choose another one", inv.people(l.Purpose))
		}
	}
	if len(chips) == 0 || inv.PanelSource == config.SourceSim {
		w.Problem = ""
	}
	return w
}

// line is the entry of a line that was found.
func (inv *inventory) line(path string, offset int) *lineEntry {
	for _, c := range inv.Chips {
		if c.Path == path {
			return &c.Lines[offset]
		}
	}
	panic("a line of no chip: " + path)
}

// people names a purpose for people; "" is none.
func (inv *inventory) people(key string) string {
	for _, w := range inv.Wiring {
		if w.Purpose == key {
			return w.people
		}
	}
	return ""
}

func newCameraEntry(c camera.Info, all []camera.Info) cameraEntry {
	e := cameraEntry{
		Path: c.Path, ByID: c.ByID, Name: c.Name, Driver: c.Driver, Bus: c.Bus,
		Use: c.Use.String(), Reason: c.Reason, Source: chooses(c, all),
		denied: errors.Is(c.Err, device.ErrDenied),
	}
	for _, f := range c.Formats {
		format := formatEntry{Format: f.String()}
		for _, s := range f.Sizes {
			format.Sizes = append(format.Sizes, sizeEntry(s))
		}
		e.Formats = append(e.Formats, format)
	}
	return e
}

// chooses is the camera.source that chooses a camera, by what changes least:
// its path below by-id, its name if no other camera matches that, its number;
// "" for one that cannot be used.
func chooses(c camera.Info, all []camera.Info) string {
	switch c.Use {
	case camera.RawSensor:
		return "rpicam"
	case camera.Usable:
	default:
		return ""
	}
	if c.ByID != "" {
		return "v4l2:" + c.ByID
	}
	alike := 0
	for _, other := range all {
		if other.Use == camera.Usable && strings.Contains(strings.ToLower(other.Name+"\n"+other.ByID), strings.ToLower(c.Name)) {
			alike++
		}
	}
	if c.Name != "" && alike == 1 {
		return "v4l2:" + c.Name
	}
	return "v4l2:" + c.Path
}

// judge says what is wrong with a line that was found.
func (w *wireEntry) judge(l gpio.LineInfo) {
	switch {
	case !l.Used:
	case isBox(l.Holder):
		w.Holder = l.Holder
	case l.Holder == "":
		w.Problem = "taken by the kernel for another purpose; switch that off in config.txt (SPI, I²C, serial port …), or choose another line"
	default:
		w.Problem = fmt.Sprintf("held by %q; end that program, switch that driver off in config.txt, or choose another line", l.Holder)
	}
}

// isBox reports whether a line's holder is this program, under whatever name it
// was built (teachbox-arm64). periph calls itself by the program's name and
// process id, "teachbox@812", and the kernel keeps 31 bytes of that.
func isBox(holder string) bool {
	name, _, whole := strings.Cut(holder, "@")
	return (whole || len(holder) == 31) && (name == "teachbox" || strings.HasPrefix(name, "teachbox-"))
}

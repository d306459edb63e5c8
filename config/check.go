package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"teachbox/device"
	"teachbox/inference"
)

const (
	minSide, maxSide = 32, 4096                  // of a camera's picture; no model sees more than a few hundred pixels
	maxPin           = 27                        // last GPIO of the Pi's 40-pin header, BCM number
	maxControls      = 64                        // a camera has some twenty
	maxForget        = 10 * 365 * 24 * time.Hour // longer than a card lasts
	maxName          = 31                        // bytes of a line's name or a chip's label: GPIO_MAX_NAME_SIZE of linux/gpio.h less one
)

// A key is one setting of a configuration.
type key struct {
	name  string      // such as "camera.width"; slots are counted from one, as in "panel.slots#1.led.pin"
	value any         // where it lives: *string, *int, *float64, *bool, *Duration or control
	want  string      // what may stand there, for people
	fault string      // what is wrong when ok says no
	ok    func() bool // nil: every value is good
}

// A control is where a setting of the camera lives: a map has no addresses.
type control struct {
	of   map[string]int
	name string
}

// keys lists every setting of c, in the order of teachbox.toml. The pins are
// those that c.Panel has.
func (c *Config) keys() []key {
	ks := []key{
		{"camera.source", &c.Camera.Source, `"auto", "v4l2", "v4l2:WHICH", "rpicam", "sim" or "folder:PATH"`, "not a camera", func() bool {
			if folder, ok := c.Camera.Folder(); ok {
				return isPath(folder)
			}
			if which, ok := c.Camera.V4L2(); ok {
				return !strings.ContainsRune(which, 0) && c.Camera.Source != "v4l2:"
			}
			_, pi := c.Camera.RPiCam()
			return pi || c.Camera.Source == SourceAuto || c.Camera.Source == SourceSim
		}},
		{"camera.width", &c.Camera.Width, fmt.Sprintf("an even number from %d to %d, or 0", minSide, maxSide), "out of range", func() bool {
			w := c.Camera.Width
			return w == 0 || w >= minSide && w <= maxSide && w%2 == 0 // YUYV comes in pairs
		}},
		{"camera.height", &c.Camera.Height, fmt.Sprintf("an even number from %d to %d with a width, 0 without", minSide, maxSide), "out of range", func() bool {
			h := c.Camera.Height
			return (h == 0) == (c.Camera.Width == 0) && (h == 0 || h >= minSide && h <= maxSide && h%2 == 0) // JPEG and YUV420 halve it
		}},
		oneOf("camera.rotation", &c.Camera.Rotation, 0, 90, 180, 270),
		oneOf("camera.flip", &c.Camera.Flip, "", "h", "v", "hv"),
		{"camera.crop", &c.Camera.Crop, `"squash", "center" or "x,y,w,h" in fractions of the picture such as "0.1,0,0.8,1"`, "not a crop", func() bool {
			_, err := inference.ParseCrop(c.Camera.Crop)
			return err == nil
		}},
		{name: "camera.hold", value: &c.Camera.Hold, want: "true or false"},
	}
	for _, name := range slices.Sorted(maps.Keys(c.Camera.Controls)) {
		ks = append(ks, key{controlsKey + "." + name, control{c.Camera.Controls, name}, "a whole number of at most 32 bits", "out of range", func() bool {
			v := c.Camera.Controls[name]
			return isControl(name) && v >= math.MinInt32 && v <= math.MaxInt32
		}})
	}
	ks = append(ks,
		between("box.rate", &c.Box.Rate, 1, 60),
		between("box.night_after", &c.Box.NightAfter, Duration(time.Second), Duration(24*time.Hour)),
		key{name: "box.shutdown_gesture", value: &c.Box.ShutdownGesture, want: "true or false"},
		betweenOrNever("box.hardware_watchdog", &c.Box.HardwareWatchdog, 5*time.Second, 15*time.Second),
		key{"model.source", &c.Model.Source, `a name such as "mobilenet_v1_1.0_224_quant", or a path that ends in ".tflite"`, "not a model", func() bool {
			_, file := c.Model.File()
			return isPath(c.Model.Source) && (file || !strings.ContainsAny(c.Model.Source, `/\`))
		}},
		key{"model.labels", &c.Model.Labels, `a path, or ""`, "not a path", func() bool {
			return c.Model.Labels == "" || isPath(c.Model.Labels)
		}},
		between("model.threads", &c.Model.Threads, 1, 4),
		oneOf("panel.source", &c.Panel.Source, SourceGPIO, SourceSim),
		oneOf("panel.preset", &c.Panel.Preset, PresetDefault, PresetCoral),
	)
	if b := c.Panel.Nothing; b != nil {
		ks = append(ks, b.keys(nothingKey)...)
	}
	if l := c.Panel.Status; l != nil {
		ks = append(ks, l.keys(statusKey)...)
	}
	for i := range c.Panel.Slots {
		s, name := &c.Panel.Slots[i], slotName(i+1)
		ks = append(ks, s.Button.keys(name+".button")...)
		ks = append(ks, s.LED.keys(name+".led")...)
	}
	return append(ks,
		key{"lesson.folder", &c.Lesson.Folder, "the path of a folder", "not a path", func() bool { return isPath(c.Lesson.Folder) }},
		oneOf("lesson.keep_pictures", &c.Lesson.KeepPictures, KeepNever, KeepLesson, KeepAlways),
		between("lesson.picture_side", &c.Lesson.PictureSide, 64, 2048),
		key{name: "lesson.skip_similar", value: &c.Lesson.SkipSimilar, want: "true or false"},
		key{name: "lesson.locked", value: &c.Lesson.Locked, want: "true or false"},
		betweenOrNever("lesson.forget_pictures_after", &c.Lesson.ForgetPicturesAfter, time.Hour, maxForget),
		betweenOrNever("lesson.forget_lessons_after", &c.Lesson.ForgetLessonsAfter, time.Hour, maxForget),
		key{"exhibition.lesson", &c.Exhibition.Lesson, `the path of a saved lesson, or ""`, "not a path", func() bool {
			return c.Exhibition.Lesson == "" || isPath(c.Exhibition.Lesson)
		}},
		betweenOrNever("exhibition.idle", &c.Exhibition.Idle, time.Minute, 24*time.Hour),
		key{name: "exhibition.at_start", value: &c.Exhibition.AtStart, want: "true or false"},
		key{name: "stick.exchange", value: &c.Stick.Exchange, want: "true or false"},
		key{"sim.photos", &c.Sim.Photos, `the path of a folder, or ""`, "not a path", func() bool {
			return c.Sim.Photos == "" || isPath(c.Sim.Photos)
		}},
		key{name: "sim.seed", value: &c.Sim.Seed, want: "a whole number"},
		between("sim.jitter", &c.Sim.Jitter, 0, 1),
	)
}

func (b *Button) keys(name string) []key {
	return append(b.Line.keys(name),
		oneOf(name+".pull", &b.Pull, PullUp, PullDown, PullNone),
		oneOf(name+".active", &b.Active, ActiveLow, ActiveHigh),
	)
}

func (l *LED) keys(name string) []key {
	return append(l.Line.keys(name), oneOf(name+".active", &l.Active, ActiveLow, ActiveHigh))
}

func (l *Line) keys(name string) []key {
	pin := between(name+pinKey, (*int)(&l.Pin), 0, maxPin)
	inRange := pin.ok
	pin.ok = func() bool { return l.Name != "" && l.Pin == NoPin || inRange() }
	return []key{
		pin,
		{name + lineKey, &l.Name, `a line's name such as "GPIO17", or its chip's label and its offset such as "pinctrl-rp1:17", and no pin beside it`, "not a line", func() bool {
			return l.Name == "" || l.Pin == NoPin && isLine(l.Name)
		}},
	}
}

// isLine reports whether a line can be called that.
func isLine(name string) bool {
	line := Line{Name: name}
	chip, _, ok := line.Offset()
	if !ok {
		chip = name
	}
	return chip != "" && len(chip) <= maxName && strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// isControl reports whether a control of a camera can be called that: the
// kernel's name in lower case, with _ for whatever is no letter or digit.
func isControl(name string) bool {
	return len(name) <= maxName && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// slotName names slot n, counted from one as people do.
func slotName(n int) string { return slotsKey + "#" + strconv.Itoa(n) }

func between[T int | float64 | Duration](name string, p *T, lo, hi T) key {
	var kind string
	switch any(lo).(type) {
	case int:
		kind = "a whole number"
	case float64:
		kind = "a number"
	case Duration:
		kind = `text such as "10m",`
	}
	return key{name, p, fmt.Sprintf("%s from %v to %v", kind, lo, hi), "out of range", func() bool {
		return lo <= *p && *p <= hi
	}}
}

// betweenOrNever is a length of time that may be 0.
func betweenOrNever(name string, p *Duration, lo, hi time.Duration) key {
	k := between(name, p, Duration(lo), Duration(hi))
	inRange := k.ok
	k.want += `, or "0s" for never`
	k.ok = func() bool { return *p == 0 || inRange() }
	return k
}

func oneOf[T int | string](name string, p *T, choices ...T) key {
	var want strings.Builder
	for i, c := range choices {
		switch i {
		case 0:
		case len(choices) - 1:
			want.WriteString(" or ")
		default:
			want.WriteString(", ")
		}
		fmt.Fprintf(&want, "%#v", c) // quotes around text
	}
	return key{name, p, want.String(), "not a choice", func() bool { return slices.Contains(choices, *p) }}
}

// isPath reports whether s can be a path at all.
func isPath(s string) bool { return s != "" && !strings.ContainsRune(s, 0) }

// Validate checks a configuration that did not come from a file as it is, or
// was changed since. The error is as that of Parse, without file and line.
func (c *Config) Validate() error {
	if ps := c.check(); len(ps) > 0 {
		return &invalid{problems: ps}
	}
	return nil
}

// check returns what is wrong with the values of c.
func (c *Config) check() []problem {
	var ps []problem
	pins := make(map[string]string) // which key has taken a line
	for _, k := range c.keys() {
		if p, ok := k.check(); !ok {
			ps = append(ps, p)
			continue
		}
		line := ""
		switch v := k.value.(type) {
		case *int:
			if strings.HasSuffix(k.name, pinKey) && Pin(*v) != NoPin {
				line = pinLine(*v)
			}
		case *string:
			if strings.HasSuffix(k.name, lineKey) {
				line = *v
			}
		}
		if line == "" {
			continue
		}
		if first, taken := pins[line]; taken {
			ps = append(ps, problem{key: k.name, text: fmt.Sprintf("pin used twice (got %s, which is also %s; want a pin of its own)", k.got(), first)})
			continue
		}
		pins[line] = k.name
	}
	if _, pi := c.Camera.RPiCam(); pi {
		if len(c.Camera.Controls) > 0 {
			ps = append(ps, problem{key: controlsKey, text: fmt.Sprintf("controls of a Pi camera cannot be set (got source %q; want a V4L2 camera, or no controls)", c.Camera.Source)})
		}
		if c.Camera.Hold {
			ps = append(ps, problem{key: "camera.hold", text: fmt.Sprintf("a Pi camera cannot be held (got source %q; want a V4L2 camera, or false)", c.Camera.Source)})
		}
	}
	if c.Box.ShutdownGesture && c.Panel.Nothing == nil {
		ps = append(ps, problem{key: "box.shutdown_gesture", text: "no nothing button (got true; want panel.nothing as well, which the gesture begins with, or false)"})
	}
	if e := c.Exhibition; e.Lesson == "" && (e.Idle != 0 || e.AtStart) {
		ps = append(ps, problem{key: "exhibition.lesson", text: `missing (got ""; want the path of a saved lesson to return to, or neither idle nor at_start)`})
	}
	if n := len(c.Camera.Controls); n > maxControls {
		ps = append(ps, problem{key: controlsKey, text: fmt.Sprintf("too many controls (got %d; want at most %d)", n, maxControls)})
	}
	if n := len(c.Panel.Slots); n < 2 || n > device.MaxSlots {
		ps = append(ps, problem{key: slotsKey, text: fmt.Sprintf("wrong number of slots (got %d; want 2 to %d)", n, device.MaxSlots)})
	}
	return ps
}

// check reports whether the value may stand there, and if not, what is wrong.
func (k key) check() (p problem, ok bool) {
	if k.ok == nil || k.ok() {
		return problem{}, true
	}
	got := k.got()
	if got == `""` || got == strconv.Itoa(int(NoPin)) {
		return problem{key: k.name, text: "missing (want " + k.want + ")"}, false
	}
	return k.wrong(k.fault, got), false
}

// got renders the value as the file would.
func (k key) got() string {
	switch v := k.value.(type) {
	case *string:
		return quote(*v)
	case *int:
		return fmt.Sprint(*v)
	case *float64:
		return fmt.Sprint(*v)
	case *bool:
		return fmt.Sprint(*v)
	case *Duration:
		return quote(v.String())
	case control:
		return fmt.Sprint(v.of[v.name])
	}
	panic("config: " + k.name + " has a value of an unknown type")
}

func (k key) wrong(what, got string) problem {
	return problem{key: k.name, text: fmt.Sprintf("%s (got %s; want %s)", what, got, k.want)}
}

// quote puts a text from the file in quotes for a message.
func quote(s string) string { return strconv.Quote(cut(s)) }

// cut keeps a text from the file short enough for a message.
func cut(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

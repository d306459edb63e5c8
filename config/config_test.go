package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"teachbox/device"
	"teachbox/internal/files"
)

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("t.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ownPins takes the # away as teachbox.toml tells people to.
func ownPins() string {
	return regexp.MustCompile(`(?m)^#(\S)`).ReplaceAllString(Documentation(), "$1")
}

func TestDocumentationIsDefault(t *testing.T) {
	if diff := cmp.Diff(Default(), mustParse(t, Documentation())); diff != "" {
		t.Errorf("teachbox.toml differs from Default (-default +file):\n%s", diff)
	}
	if diff := cmp.Diff(Default(), mustParse(t, "")); diff != "" {
		t.Errorf("an empty file differs from Default (-default +file):\n%s", diff)
	}
	if diff := cmp.Diff(Default(), mustParse(t, ownPins())); diff != "" {
		t.Errorf("the pins in the comments differ from the preset (-default +file):\n%s", diff)
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

// The schema, the table of checks and teachbox.toml must list the same keys.
func TestEveryKeyIsDocumentedAndChecked(t *testing.T) {
	var schema []string
	schemaKeys("", reflect.TypeFor[Config](), &schema)
	slices.Sort(schema)
	if len(schema) < 20 {
		t.Fatalf("only %d keys in the schema: %q", len(schema), schema)
	}

	var checked []string
	for _, k := range Default().keys() {
		checked = append(checked, regexp.MustCompile(`#\d+`).ReplaceAllString(k.name, ""))
	}
	slices.Sort(checked)
	if diff := cmp.Diff(schema, slices.Compact(checked)); diff != "" {
		t.Errorf("keys of the schema and of check differ (-schema +check):\n%s", diff)
	}

	var file map[string]any
	if err := toml.Unmarshal([]byte(ownPins()), &file); err != nil {
		t.Fatal(err)
	}
	var documented []string
	fileKeys("", file, &documented)
	for _, k := range schema {
		// A line stands for a pin; it is told of in words.
		if instead, ok := strings.CutSuffix(k, lineKey); ok && slices.Contains(documented, instead+pinKey) {
			documented = append(documented, k)
		}
	}
	slices.Sort(documented)
	if diff := cmp.Diff(schema, slices.Compact(documented)); diff != "" {
		t.Errorf("keys of the schema and of teachbox.toml differ (-schema +file):\n%s", diff)
	}
}

func schemaKeys(name string, typ reflect.Type, keys *[]string) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() == reflect.Map {
		return // its keys are whatever the camera has
	}
	if typ.Kind() != reflect.Struct {
		*keys = append(*keys, name)
		return
	}
	for i := range typ.NumField() {
		if typ.Field(i).Anonymous {
			schemaKeys(name, typ.Field(i).Type, keys)
			continue
		}
		tag, _, _ := strings.Cut(typ.Field(i).Tag.Get("toml"), ",")
		schemaKeys(strings.TrimPrefix(name+"."+tag, "."), typ.Field(i).Type, keys)
	}
}

func fileKeys(name string, v any, keys *[]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			fileKeys(strings.TrimPrefix(name+"."+k, "."), e, keys)
		}
	case []any:
		for _, e := range v {
			fileKeys(name, e, keys)
		}
	default:
		*keys = append(*keys, name)
	}
}

const twoSlots = `
[[panel.slots]]
button = { pin = 2, pull = "down" }
led = { pin = 3, active = "low" }
[[panel.slots]]
button = { pin = 4, pull = "none", active = "high" }
led = { pin = 0 }
`

func TestParse(t *testing.T) {
	slotsAlone := Panel{
		Source: SourceGPIO, Preset: "default",
		Slots: []Slot{
			{Button{Line{Pin: 2}, PullDown, ActiveHigh}, LED{Line{Pin: 3}, ActiveLow}},
			{Button{Line{Pin: 4}, PullNone, ActiveHigh}, LED{Line{Pin: 0}, ActiveHigh}},
		},
	}
	full := slotsAlone
	full.Preset = PresetCoral
	full.Nothing, full.Status = &Button{Line{Pin: 26}, PullUp, ActiveLow}, &LED{Line{Pin: 24}, ActiveHigh}
	for _, test := range []struct {
		name, text string
		edit       func(c *Config) // of the defaults
	}{
		{"CRLF and BOM", "\ufeff[box]\r\nrate = 30\r\n", func(c *Config) { c.Box.Rate = 30 }},
		{"every type", "[camera]\nsource='folder:C:\\x'\nwidth=0x140\nheight=240\n[lesson]\nlocked=true\n[sim]\njitter=0\nseed=-1_000\n[box]\nnight_after='1h30m'\n",
			func(c *Config) {
				c.Camera.Source, c.Camera.Width, c.Camera.Height, c.Lesson.Locked = `folder:C:\x`, 320, 240, true
				c.Sim.Jitter, c.Sim.Seed, c.Box.NightAfter = 0, -1000, Duration(90*time.Minute)
			}},
		{"dotted and inline", "camera.width = 64\ncamera.height = 48\nbox = { rate = 1 }\n", func(c *Config) { c.Camera.Width, c.Camera.Height, c.Box.Rate = 64, 48, 1 }},
		{"crop without blanks", `camera.crop = " 0, 0.50 ,1.0,.5"`, func(c *Config) { c.Camera.Crop = "0,0.5,1,0.5" }},
		{"controls", "[camera.controls]\ngain = 12\nhue=-3\n[camera]\nhold=true", func(c *Config) {
			c.Camera.Hold, c.Camera.Controls = true, map[string]int{"gain": 12, "hue": -3}
		}},
		{"controls inline", "camera.controls = { gain = 0x10 }", func(c *Config) { c.Camera.Controls = map[string]int{"gain": 16} }},
		{"lines", "[panel]\nsource='sim'\n[[panel.slots]]\nbutton={line='SODIMM_55'}\nled={line='pinctrl-rp1:0'}\n[[panel.slots]]\nbutton={pin=1}\nled={line='a:b:17'}", func(c *Config) {
			line := func(name string) Line { return Line{Pin: NoPin, Name: name} }
			c.Panel = Panel{Source: SourceSim, Preset: PresetDefault, Slots: []Slot{
				{Button{line("SODIMM_55"), PullUp, ActiveLow}, LED{line("pinctrl-rp1:0"), ActiveHigh}},
				{Button{Line{Pin: 1}, PullUp, ActiveLow}, LED{line("a:b:17"), ActiveHigh}},
			}}
		}},
		{"model file", `model.source = "/srv/m.tflite"`, func(c *Config) { c.Model.Source = "/srv/m.tflite" }},
		{"preset", `panel.preset = "coral-teachable"`, func(c *Config) {
			c.Panel = Panel{
				Source: SourceGPIO, Preset: PresetCoral,
				Nothing: &Button{Line{Pin: 16}, PullDown, ActiveHigh},
				Status:  &LED{Line{Pin: 20}, ActiveLow},
				Slots: []Slot{
					{Button{Line{Pin: 6}, PullDown, ActiveHigh}, LED{Line{Pin: 13}, ActiveLow}},
					{Button{Line{Pin: 5}, PullDown, ActiveHigh}, LED{Line{Pin: 12}, ActiveLow}},
					{Button{Line{Pin: 24}, PullDown, ActiveHigh}, LED{Line{Pin: 25}, ActiveLow}},
					{Button{Line{Pin: 27}, PullDown, ActiveHigh}, LED{Line{Pin: 22}, ActiveLow}},
				},
			}
		}},
		{"slots alone", twoSlots, func(c *Config) { c.Panel = slotsAlone }},
		{"own pins replace a preset", "[panel]\npreset='coral-teachable'\nnothing={pin=26}\nstatus={pin=24}\n" + twoSlots, func(c *Config) { c.Panel = full }},
		{"slots as a list", `panel.slots = [
			{ button = { pin = 2, pull = "down" }, led = { pin = 3, active = "low" } },
			{ button = { pin = 4, pull = "none", active = "high" }, led = { pin = 0 } },
		]`, func(c *Config) { c.Panel = slotsAlone }},
		{"slots as tables", "[[panel.slots]]\n[panel.slots.button]\npin=2\npull='down'\n[panel.slots.led]\npin=3\nactive='low'\n" +
			"[[panel.slots]]\nbutton.pin=4\nbutton.pull='none'\nbutton.active='high'\nled.pin=0\n", func(c *Config) { c.Panel = slotsAlone }},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := Default()
			test.edit(want)
			got := mustParse(t, test.text)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			var b bytes.Buffer
			if err := Write(&b, got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, mustParse(t, b.String())); diff != "" {
				t.Errorf("what Write wrote reads differently (-before +after):\n%s\n%s", diff, b.String())
			}
		})
	}
}

func TestHelpers(t *testing.T) {
	c := Default()
	if got, want := c.Wiring(), (device.Wiring{Slots: 4, Nothing: true, Status: true}); got != want {
		t.Errorf("Wiring = %+v, want %+v", got, want)
	}
	if got, want := mustParse(t, twoSlots).Wiring(), (device.Wiring{Slots: 2}); got != want {
		t.Errorf("Wiring = %+v, want %+v", got, want)
	}
	if _, ok := c.Camera.Folder(); ok {
		t.Error("auto is a folder")
	}
	if path, ok := (Camera{Source: "folder:/a:b"}).Folder(); path != "/a:b" || !ok {
		t.Errorf("Folder = %q, %v", path, ok)
	}
	for source, want := range map[string]string{"auto": "- false", "v4l2": " true", "v4l2:/dev/video2": "/dev/video2 true", "sim": "- false"} {
		which, ok := (Camera{Source: source}).V4L2()
		if !ok && which == "" {
			which = "-"
		}
		if got := fmt.Sprint(which, " ", ok); got != want {
			t.Errorf("V4L2 of %s = %q, want %q", source, got, want)
		}
	}
	if _, ok := c.Model.File(); ok {
		t.Error("the default model is a file")
	}
	if path, ok := (Model{Source: "x.tflite"}).File(); path != "x.tflite" || !ok {
		t.Errorf("File = %q, %v", path, ok)
	}
	for d, want := range map[time.Duration]string{
		time.Second: "1s", 10 * time.Minute: "10m", time.Hour: "1h", 90 * time.Minute: "1h30m",
		time.Hour + time.Second: "1h0m1s", 10 * time.Second: "10s", 0: "0s", 24 * time.Hour: "24h",
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("Duration %v = %q, want %q", d, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	const pin = "a whole number from 0 to 27"
	const line = `a line's name such as "GPIO17", or its chip's label and its offset such as "pinctrl-rp1:17", and no pin beside it`
	for _, test := range []struct {
		name, text string
		want       []string // without "t.toml:"
	}{
		// Values.
		{"out of range", "[box]\n\nrate = 61", []string{"3: box.rate: out of range (got 61; want a whole number from 1 to 60)"}},
		{"beyond an int", "box.rate = 99999999999999999999", []string{"1: box.rate: out of range (got 99999999999999999999; want a whole number from 1 to 60)"}},
		{"no number", "sim.jitter = nan", []string{"1: sim.jitter: out of range (got NaN; want a number from 0 to 1)"}},
		{"float", "sim.jitter = 1.5", []string{"1: sim.jitter: out of range (got 1.5; want a number from 0 to 1)"}},
		{"neither a time nor never", `box.hardware_watchdog = "20s"`, []string{`1: box.hardware_watchdog: out of range (got "20s"; want text such as "10m", from 5s to 15s, or "0s" for never)`}},
		{"less than never", `lesson.forget_lessons_after = "-1h"`, []string{`1: lesson.forget_lessons_after: out of range (got "-1h"; want text such as "10m", from 1h to 87600h, or "0s" for never)`}},
		{"a gesture without its button", "box.shutdown_gesture = true\n" + twoSlots, []string{"1: box.shutdown_gesture: no nothing button (got true; want panel.nothing as well, which the gesture begins with, or false)"}},
		{"nothing to return to", `exhibition.idle = "5m"`, []string{`1: exhibition.lesson: missing (got ""; want the path of a saved lesson to return to, or neither idle nor at_start)`}},
		{"choice of numbers", "camera.rotation = 45", []string{"1: camera.rotation: not a choice (got 45; want 0, 90, 180 or 270)"}},
		{"choice of texts", `camera.flip = "x"`, []string{`1: camera.flip: not a choice (got "x"; want "", "h", "v" or "hv")`}},
		{"empty", `lesson.keep_pictures = ""`, []string{`1: lesson.keep_pictures: missing (want "never", "lesson" or "always")`}},
		{"too short", `box.night_after = "10ms"`, []string{`1: box.night_after: out of range (got "10ms"; want text such as "10m", from 1s to 24h)`}},
		{"no unit", `box.night_after = "10"`, []string{`1: box.night_after: not a length of time (got "10"; want text such as "10m", from 1s to 24h)`}},
		{"camera", `camera.source = "/dev/video0"`, []string{`1: camera.source: not a camera (got "/dev/video0"; want "auto", "v4l2", "v4l2:WHICH", "rpicam", "sim" or "folder:PATH")`}},
		{"folder without a path", `camera.source = "folder:"`, []string{`1: camera.source: not a camera (got "folder:"; want "auto", "v4l2", "v4l2:WHICH", "rpicam", "sim" or "folder:PATH")`}},
		{"crop beyond the edge", `camera.crop = "0.5,0,0.6,1"`, []string{`1: camera.crop: not a crop (got "0.5,0,0.6,1"; want "squash", "center" or "x,y,w,h" in fractions of the picture such as "0.1,0,0.8,1")`}},
		{"model", `model.source = "/srv/model"`, []string{`1: model.source: not a model (got "/srv/model"; want a name such as "mobilenet_v1_1.0_224_quant", or a path that ends in ".tflite")`}},
		{"path with a zero byte", `sim.photos = "a\u0000"`, []string{`1: sim.photos: not a path (got "a\x00"; want the path of a folder, or "")`}},

		// Types.
		{"number as text", `camera.width = "640"`, []string{`1: camera.width: wrong type (got "640"; want an even number from 32 to 4096, or 0)`}},
		{"text as number", "[camera]\nsource = 1.50", []string{`2: camera.source: wrong type (got 1.50; want "auto", "v4l2", "v4l2:WHICH", "rpicam", "sim" or "folder:PATH")`}},
		{"bool as text", `lesson.locked = "yes"`, []string{`1: lesson.locked: wrong type (got "yes"; want true or false)`}},
		{"fraction", "sim.seed = 1.5", []string{"1: sim.seed: wrong type (got 1.5; want a whole number)"}},
		{"duration as number", "box.night_after = 10", []string{`1: box.night_after: wrong type (got 10; want text such as "10m", from 1s to 24h)`}},
		{"list", "box.rate = [1,\n2]", []string{"1: box.rate: wrong type (got a list; want a whole number from 1 to 60)"}},
		{"table for a value", "[box.rate]\nx = 1", []string{"1: box.rate: wrong type (got a table; want a whole number from 1 to 60)"}},
		{"value for a table", "box = 15", []string{"1: box: wrong type (got 15; want [box])"}},
		{"list of a table", "[[box]]\nrate = 99", []string{"1: box: wrong type (got [[box]]; want [box])"}},
		{"one bracket", "[panel.slots]\nbutton = { pin = 1 }", []string{"1: panel.slots: wrong type (got a table; want [[panel.slots]])"}},
		{"slot is a number", "[panel]\nslots = [ 5 ]", []string{
			"2: panel.slots#1: wrong type (got 5; want { button = …, led = … })",
			"2: panel.slots: wrong number of slots (got 1; want 2 to 8)",
		}},
		{"pin alone", "[panel]\nnothing = 5\n" + twoSlots, []string{"2: panel.nothing: wrong type (got 5; want { pin = … })"}},

		// Keys.
		{"misspelt key", "[camera]\nwidht = 640", []string{"2: camera.widht: unknown key (got camera.widht; want perhaps camera.width)"}},
		{"capitals", "[camera]\nWidth = 640", []string{"2: camera.Width: unknown key (got camera.Width; want perhaps camera.width)"}},
		{"misspelt table, told once", "[kamera]\nwidth = 0\nx = 1\n[box]\nrate = 0", []string{
			"1: kamera: unknown key (got kamera; want perhaps camera)",
			"5: box.rate: out of range (got 0; want a whole number from 1 to 60)",
		}},
		{"misspelt list", "[[panel.slot]]\nbutton = { pin = 1 }", []string{"1: panel.slot: unknown key (got panel.slot; want perhaps panel.slots)"}},
		{"wrong table", "rate = 15", []string{"1: rate: unknown key (got rate; want perhaps box.rate)"}},
		{"nothing near", "[wifi]", []string{"1: wifi: unknown key (got wifi; want one that the documentation lists)"}},
		{"odd key", `"a\nb.c" = 1`, []string{`1: "a\nb.c": unknown key (got "a\nb.c"; want one that the documentation lists)`}},
		{"said twice", "[box]\nrate = 1\nnight_after = '1m'\nrate = 2", []string{"4: box.rate: said twice (got it in line 2 already; want it once)"}},
		{"table twice", "[box]\n[sim]\n[box]\nrate = 99", []string{
			"3: box: said twice (got it in line 1 already; want it once)",
			"4: box.rate: out of range (got 99; want a whole number from 1 to 60)",
		}},

		// The panel.
		{"preset", `panel.preset = "corral"`, []string{`1: panel.preset: not a choice (got "corral"; want "default" or "coral-teachable")`}},
		{"pin twice", "[panel]\nstatus = { pin = 4 }" + twoSlots, []string{"7: panel.slots#2.button.pin: pin used twice (got 4, which is also panel.status.pin; want a pin of its own)"}},
		{"no such pin", "[panel]\nstatus = { pin = 28 }" + twoSlots, []string{"2: panel.status.pin: out of range (got 28; want " + pin + ")"}},
		{"slot without LED", twoSlots + "[[panel.slots]]\nbutton = { pin = 7 }\n[sim]", []string{"8: panel.slots#3.led.pin: missing (want " + pin + ")"}},
		{"button without pin", "[panel]\nnothing = { }\n" + twoSlots, []string{"2: panel.nothing.pin: missing (want " + pin + ")"}},
		{"no pull, no level", "[panel]\nnothing = { pin = 7, pull = 'none' }\n" + twoSlots, []string{`2: panel.nothing.active: missing (want "low" or "high")`}},
		{"pull and level", "[panel]\nnothing = { pin = 7, pull = 'sideways', active = '' }\n" + twoSlots, []string{
			`2: panel.nothing.pull: not a choice (got "sideways"; want "up", "down" or "none")`,
			`2: panel.nothing.active: missing (want "low" or "high")`,
		}},
		{"status alone", "\n[panel]\nstatus = { pin = 4 }", []string{"2: panel.slots: wrong number of slots (got 0; want 2 to 8)"}},
		{"no slots", "panel.slots = []", []string{"1: panel.slots: wrong number of slots (got 0; want 2 to 8)"}},
		{"one slot", "[[panel.slots]]\nbutton.pin = 1\nled.pin = 2", []string{"1: panel.slots: wrong number of slots (got 1; want 2 to 8)"}},

		{"pin and line", "[panel]\nstatus = { pin = 7, line = 'GPIO7' }\n" + twoSlots, []string{
			`2: panel.status.line: not a line (got "GPIO7"; want ` + line + ")",
		}},
		{"pin and line alike", "[panel]\nstatus = { line = 'GPIO4' }\n" + twoSlots, []string{"8: panel.slots#2.button.pin: pin used twice (got 4, which is also panel.status.line; want a pin of its own)"}},
		{"offset without a chip", "[panel]\nstatus = { line = ':4' }\n" + twoSlots, []string{`2: panel.status.line: not a line (got ":4"; want ` + line + ")"}},
		{"no panel", "panel.source = 'usb'", []string{`1: panel.source: not a choice (got "usb"; want "gpio" or "sim")`}},

		// Cameras.
		{"V4L2 without a name", `camera.source = "v4l2:"`, []string{`1: camera.source: not a camera (got "v4l2:"; want "auto", "v4l2", "v4l2:WHICH", "rpicam", "sim" or "folder:PATH")`}},
		{"odd height", "camera.width = 640\ncamera.height = 481", []string{"2: camera.height: out of range (got 481; want an even number from 32 to 4096 with a width, 0 without)"}},
		{"Pi camera with controls", "[camera]\nsource = 'rpicam'\nhold = true\ncontrols = { gain = 1 }", []string{
			`3: camera.hold: a Pi camera cannot be held (got source "rpicam"; want a V4L2 camera, or false)`,
			`4: camera.controls: controls of a Pi camera cannot be set (got source "rpicam"; want a V4L2 camera, or no controls)`,
		}},
		{"codec", "camera.source = 'rpicam:h264'", []string{`1: camera.source: not a camera (got "rpicam:h264"; want "auto", "v4l2", "v4l2:WHICH", "rpicam", "sim" or "folder:PATH")`}},
		{"width alone", "camera.width = 640", []string{"1: camera.height: out of range (got 0; want an even number from 32 to 4096 with a width, 0 without)"}},
		{"control of a wrong type", "[camera.controls]\ngain = 'high'", []string{`2: camera.controls.gain: wrong type (got "high"; want a whole number of at most 32 bits)`}},
		{"control too large", "[camera.controls]\ngain = 3000000000", []string{"2: camera.controls.gain: out of range (got 3000000000; want a whole number of at most 32 bits)"}},
		{"control with capitals", "[camera.controls]\nGain = 1", []string{"2: camera.controls.Gain: unknown key (got camera.controls.Gain; want a name in small letters, as `teachbox hardware` lists them)"}},
		{"control twice", "[camera.controls]\ngain = 1\ngain = 2", []string{"3: camera.controls.gain: said twice (got it in line 2 already; want it once)"}},
		{"controls are no table", "camera.controls = 5", []string{"1: camera.controls: wrong type (got 5; want [camera.controls])"}},

		// The file.
		{"syntax after other errors", "[box]\nrate = 0\nnight_after = 10m\nrats = 1", []string{
			"2: box.rate: out of range (got 0; want a whole number from 1 to 60)",
			"3:17: not TOML: strings must be quoted (got night_after = 10m; want key = value, with text in quotes)",
		}},
		{"text without quotes", "[camera]\n  source = sim", []string{"2:12: not TOML: unexpected character U+0073 's' at start of value (got source = sim; want key = value, with text in quotes)"}},
		{"column counts characters", `"ä" = x`, []string{`1:7: not TOML: unexpected character U+0078 'x' at start of value (got "ä" = x; want key = value, with text in quotes)`}},
		{"unfinished", "[camera", []string{"1:7: not TOML: expected ']' to close table name (got [camera; want key = value, with text in quotes)"}},
		{"control character", "a = \x1b", []string{"1:5: not TOML: unexpected character U+001B at start of value (got a =; want key = value, with text in quotes)"}},
		{"only the decoder knows", "[box]\nrate = 010", []string{"2:8: not TOML: integers cannot have leading zeroes (got rate = 010; want key = value, with text in quotes)"}},
		{"not UTF-8", "# a\n# \xe4", []string{"2: not UTF-8 text (got byte 0xe4; want a file saved as UTF-8)"}},
		{"UTF-16", "\xff\xfea\x00", []string{"1: not UTF-8 text (got byte 0xff; want a file saved as UTF-8)"}},
		{"many", strings.Repeat("[wifi]\n", 30), append(slices.Collect(func(yield func(string) bool) {
			for i := range maxProblems {
				yield(fmt.Sprintf("%d: wifi: unknown key (got wifi; want one that the documentation lists)", i+1))
			}
		}), "21: more problems, not listed (mend these first)")},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Parse("t.toml", []byte(test.text))
			if c != nil || !errors.Is(err, ErrInvalid) {
				t.Fatalf("Parse = %v, %v; want nil and ErrInvalid", c, err)
			}
			want := "t.toml:" + strings.Join(test.want, "\nt.toml:")
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	c := Default()
	c.Box.Rate = 0
	c.Panel.Slots[1].LED.Pin = 26
	err := c.Validate()
	if !errors.Is(err, ErrInvalid) {
		t.Fatalf("Validate = %v", err)
	}
	want := "box.rate: out of range (got 0; want a whole number from 1 to 60)\n" +
		"panel.slots#2.led.pin: pin used twice (got 26, which is also panel.nothing.pin; want a pin of its own)"
	if err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "box.toml")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) ||
		err.Error() != "configuration: "+path+": no such file or directory (check the path and that the file may be read, or leave it out to run with the defaults)" {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Load(dir); err == nil || errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), dir+": not a regular file") {
		t.Errorf("directory: %v", err)
	}
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("box.rate = 7"))
	if c, err := Load(path); err != nil || c.Box.Rate != 7 {
		t.Errorf("Load = %+v, %v", c, err)
	}
	write([]byte("box.rate = 0"))
	if _, err := Load(path); err == nil || err.Error() != path+":1: box.rate: out of range (got 0; want a whole number from 1 to 60)" {
		t.Errorf("Load: %v", err)
	}
	comment := bytes.Repeat([]byte("#"), MaxFileSize)
	write(comment)
	if _, err := Load(path); err != nil {
		t.Errorf("greatest file: %v", err)
	}
	write(append(comment, '#'))
	if _, err := Load(path); !errors.Is(err, files.ErrTooBig) || !strings.Contains(err.Error(), path+": too big (more than 1 MB)") {
		t.Errorf("too large: %v", err)
	}
}

// A hostile file costs memory in proportion to its size, and its error is short.
func TestHostile(t *testing.T) {
	fill := func(prefix, unit, suffix string) string {
		return prefix + strings.Repeat(unit, (MaxFileSize-len(prefix)-len(suffix))/len(unit)) + suffix
	}
	keys := new(strings.Builder)
	for i := 0; keys.Len() < MaxFileSize-20; i++ {
		fmt.Fprintf(keys, "k%d=1\n", i)
	}
	for name, text := range map[string]string{
		"many keys":           keys.String(),
		"many tables":         fill("", "[a]\n", ""),
		"many slots":          fill("", "[[panel.slots]]\n", ""),
		"slots in a list":     fill("panel.slots=[", "{},", "]"),
		"numbers in a list":   fill("panel.slots=[", "1,", "]"),
		"long list":           fill("box.rate=[", "1,", "]"),
		"long text":           fill("box.rate='", "x", "'"),
		"long key":            fill("", "k", "=1"),
		"long dotted key":     fill("", "k.", "k=1"),
		"long quoted key":     fill("'", "ä", "'=1"),
		"deep list":           fill("a=", "[", ""),
		"deep tables":         "a=" + strings.Repeat("{"+strings.Repeat("k", 80)+"=", 9000) + "1" + strings.Repeat("}", 9000),
		"wide inline table":   "a={" + strings.ReplaceAll(keys.String()[:keys.Len()-1], "\n", ",")[:MaxFileSize/2] + "=1}",
		"long line of syntax": fill("", "ä ", ""),
	} {
		t.Run(name, func(t *testing.T) {
			if len(text) > MaxFileSize {
				t.Fatalf("the test is %d bytes", len(text))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Parse("t.toml", []byte(text))
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrInvalid) {
				t.Fatal("accepted")
			}
			got := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d kB allocated", got>>10)
			if got > 200*MaxFileSize {
				t.Errorf("%d bytes allocated for a file of %d", got, len(text))
			}
			if n := len(err.Error()); n > 8000 {
				t.Errorf("error of %d bytes", n)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	form := regexp.MustCompile(`^t\.toml(:\d+){0,2}: .+ \(.+\)$`)
	f.Add([]byte(Documentation()))
	f.Add([]byte(ownPins()))
	f.Add([]byte(twoSlots))
	f.Add([]byte("panel.slots=[{button={pin=1},led={pin=2}},5]\n[panel.slots.x]\n[[panel.slots]]\n"))
	f.Add([]byte("[box]\nrate=010\n[box]\nbox.rate=1e3\n\"\"=''\n"))
	f.Add([]byte("\ufeffcamera={crop='0,0,1,1',width=0x80}\r\n"))
	f.Add([]byte("[panel]\nstatus={line='a:1'}\n[camera.controls]\ngain=-1\n[[panel.slots]]\nbutton={line='x'}\nled={pin=0}\n[[panel.slots]]\nbutton={pin=1}\nled={line='GPIO2'}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("t.toml", append(make([]byte, 0, len(data)+1), data...))
		if err != nil {
			if c != nil || !errors.Is(err, ErrInvalid) {
				t.Fatalf("Parse = %v, %v", c, err)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) > maxProblems+1 {
				t.Errorf("%d lines", len(lines))
			}
			for _, l := range lines {
				if !form.MatchString(l) {
					t.Errorf("line %q", l)
				}
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("valid when read, and then: %v", err)
		}
		// go-toml's own decoder must read the same. It knows no presets, and
		// leaves what is not said.
		want := Default()
		if err := toml.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), want); err != nil {
			t.Fatal(err)
		}
		want.Camera.Crop, want.Panel = c.Camera.Crop, c.Panel
		if diff := cmp.Diff(want, c); diff != "" {
			t.Errorf("the decoder reads it differently (-decoder +Parse):\n%s", diff)
		}
		var b bytes.Buffer
		if err := Write(&b, c); err != nil {
			t.Fatal(err)
		}
		again, err := Parse("again.toml", b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Errorf("what Write wrote reads differently (-before +after):\n%s", diff)
		}
	})
}

// TestOver lays one file over another, as the boot partition's is laid over the
// system's.
func TestOver(t *testing.T) {
	const system = `
[camera]
source = "v4l2:C920"
rotation = 90
[camera.controls]
gain = 3
[box]
rate = 5
[panel]
source = "gpio"
[[panel.slots]]
button = { pin = 2 }
led = { pin = 3 }
[[panel.slots]]
button = { pin = 14 }
led = { pin = 15 }
`
	base, before := mustParse(t, system), mustParse(t, system)
	own := base.Panel.clone()
	for name, c := range map[string]struct {
		text string
		want func(c *Config)
	}{
		"nothing":        {"", func(*Config) {}},
		"one key":        {"[camera]\nrotation = 180", func(c *Config) { c.Camera.Rotation = 180 }},
		"a default":      {"[box]\nrate = 15", func(c *Config) { c.Box.Rate = 15 }},
		"a control":      {"[camera.controls]\nexposure = 7", func(c *Config) { c.Camera.Controls = map[string]int{"gain": 3, "exposure": 7} }},
		"no panel":       {"[panel]\nsource = \"sim\"", func(c *Config) { c.Panel = own.clone(); c.Panel.Source = SourceSim }},
		"a preset":       {"[panel]\npreset = \"coral-teachable\"", func(c *Config) { c.Panel = preset(PresetCoral) }},
		"its own preset": {"[panel]\npreset = \"default\"", func(c *Config) { c.Panel = preset(PresetDefault) }},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseOver(base, "card.toml", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			want := *base
			c.want(&want)
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			got.Panel.Slots[0].LED.Pin = 9
			got.Camera.Controls["gain"] = 9
			if diff := cmp.Diff(before, base); diff != "" {
				t.Errorf("what is laid over a configuration changed it:\n%s", diff)
			}
		})
	}
	pins := "[panel.status]\npin = 8\n[[panel.slots]]\nbutton = { pin = 2 }\nled = { pin = 3 }\n"
	got, err := ParseOver(base, "card.toml", []byte(pins+"[[panel.slots]]\nbutton = { pin = 4 }\nled = { pin = 7 }\n"))
	if err != nil || len(got.Panel.Slots) != 2 || got.Panel.Slots[1].LED.Pin != 7 || got.Panel.Status.Pin != 8 || got.Panel.Nothing != nil {
		t.Errorf("a panel of its own: got %+v, %v", got.Panel, err)
	}
	_, err = ParseOver(base, "card.toml", []byte(pins))
	if err == nil || !strings.Contains(err.Error(), "card.toml:3: panel.slots: wrong number of slots (got 1;") {
		t.Errorf("half a panel: got %v; the pins of another file are not to be mixed with it", err)
	}
}

// Package config reads and checks the configuration of a box. teachbox.toml,
// which is embedded here, is the documentation of every key and says exactly
// what Default says.
package config

import (
	_ "embed"
	"io"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"teachbox/device"
	"teachbox/models"
)

//go:embed teachbox.toml
var documentation string

// Documentation returns teachbox.toml: the defaults, as a configuration file
// that explains every key.
func Documentation() string { return documentation }

// A Config is a whole configuration. teachbox.toml explains the keys.
type Config struct {
	Camera Camera `toml:"camera"`
	Box    Box    `toml:"box"`
	Model  Model  `toml:"model"`
	Panel  Panel  `toml:"panel"`
	Lesson Lesson `toml:"lesson"`

	Exhibition Exhibition `toml:"exhibition"`
	Stick      Stick      `toml:"stick"`

	Sim Sim `toml:"sim"`
}

// The choices of Camera.Source, beside "v4l2", "v4l2:WHICH", "rpicam:CODEC" and
// "folder:PATH".
const (
	SourceAuto   = "auto"   // the first camera that works
	SourceRPiCam = "rpicam" // the Pi camera, by rpicam-vid
	SourceSim    = "sim"    // simulated
)

// The codecs of a Pi camera.
const (
	CodecMJPEG  = "mjpeg"
	CodecYUV420 = "yuv420"
)

// Camera says where pictures come from and what of them the model sees.
type Camera struct {
	Source   string `toml:"source"`
	Width    int    `toml:"width"`    // pixels, 32 to 4096; 0: what the model needs
	Height   int    `toml:"height"`   // pixels, 32 to 4096; 0 with Width
	Rotation int    `toml:"rotation"` // degrees clockwise: 0, 90, 180, 270
	Flip     string `toml:"flip"`     // "", "h", "v" or "hv"
	// Crop is "squash", "center" or "x,y,w,h" as fractions of the picture.
	// Parse writes the four numbers without blanks and in their shortest form,
	// because the text is part of the embedding space.
	Crop string `toml:"crop"`
	Hold bool   `toml:"hold"` // exposure, gain and white balance stay as they are while there is a lesson
	// Controls are set on a V4L2 camera when it is opened. The names are the
	// kernel's in lower case, with _ for whatever is no letter or digit.
	Controls map[string]int `toml:"controls"`
}

// Folder returns the path of a folder of pictures, if that is the source.
func (c Camera) Folder() (path string, ok bool) {
	return strings.CutPrefix(c.Source, "folder:")
}

// V4L2 returns which camera of the kernel is meant, "" for the first usable
// one, if that is the source.
func (c Camera) V4L2() (which string, ok bool) {
	if c.Source == "v4l2" {
		return "", true
	}
	if which, ok = strings.CutPrefix(c.Source, "v4l2:"); !ok {
		return "", false
	}
	return which, true
}

// RPiCam returns how rpicam-vid shall write its pictures, if that is the
// source.
func (c Camera) RPiCam() (codec string, ok bool) {
	switch c.Source {
	case SourceRPiCam, SourceRPiCam + ":" + CodecMJPEG:
		return CodecMJPEG, true
	case SourceRPiCam + ":" + CodecYUV420:
		return CodecYUV420, true
	}
	return "", false
}

// Box is the pace of the box, and how its computer ends.
type Box struct {
	Rate             int      `toml:"rate"`              // looks per second at most, 1 to 60
	NightAfter       Duration `toml:"night_after"`       // darkness until the box sleeps, 1 s to 24 h
	ShutdownGesture  bool     `toml:"shutdown_gesture"`  // the buttons can switch the computer off
	HardwareWatchdog Duration `toml:"hardware_watchdog"` // the computer restarts if it hangs for so long, 5 to 15 s; 0: as the system has it
}

// Model is the backbone.
type Model struct {
	Source  string `toml:"source"`  // a name of the list of models, or a path that ends in .tflite
	Labels  string `toml:"labels"`  // path of a file of labels; "": those of the list
	Threads int    `toml:"threads"` // processor threads, 1 to 4
}

// File returns the path of the model's file, if the source is not a name of
// the list of models.
func (m Model) File() (path string, ok bool) {
	return m.Source, strings.HasSuffix(m.Source, ".tflite")
}

// The choices of Lesson.KeepPictures.
const (
	KeepNever  = "never"
	KeepLesson = "lesson" // while their lesson is in hand
	KeepAlways = "always"
)

// Lesson says what is kept of a lesson, and where.
type Lesson struct {
	Folder       string `toml:"folder"`        // the state directory
	KeepPictures string `toml:"keep_pictures"` // KeepNever, KeepLesson or KeepAlways
	PictureSide  int    `toml:"picture_side"`  // longest side of a kept picture in pixels, 64 to 2048
	SkipSimilar  bool   `toml:"skip_similar"`  // a burst skips frames nearly identical to the last one kept
	Locked       bool   `toml:"locked"`        // teaching is locked at start

	// After so much time with the power on, 1 h to 10 years, pictures and
	// lessons are forgotten; 0: never.
	ForgetPicturesAfter Duration `toml:"forget_pictures_after"`
	ForgetLessonsAfter  Duration `toml:"forget_lessons_after"`
}

// Exhibition is for a box that many people use and nobody looks after.
type Exhibition struct {
	Lesson  string   `toml:"lesson"`   // path of the saved lesson that the box returns to; ""
	Idle    Duration `toml:"idle"`     // time without a press until it does, 1 min to 24 h; 0: never
	AtStart bool     `toml:"at_start"` // it does whenever it starts
}

// Stick is what the box does with USB sticks.
type Stick struct {
	Exchange bool `toml:"exchange"` // lessons go onto a stick that asks for it, and come from it
}

// Sim is the simulated desk, for the camera source "sim".
type Sim struct {
	Photos string  `toml:"photos"` // folder of photographs; "": drawn objects
	Seed   int     `toml:"seed"`
	Jitter float64 `toml:"jitter"` // unrest of the picture, 0 (none) to 1
}

// A Duration is a length of time, written in the file as text such as "10m".
type Duration time.Duration

// String leaves out the zeros that time.Duration writes at the end.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Default returns the configuration that holds where a file says nothing.
func Default() *Config {
	return &Config{
		Camera: Camera{Source: SourceAuto, Crop: "squash", Controls: map[string]int{}},
		Box:    Box{Rate: 15, NightAfter: Duration(10 * time.Minute)},
		Model:  Model{Source: models.Default, Threads: 1},
		Panel:  preset(PresetDefault),
		Lesson: Lesson{Folder: "/var/lib/teachbox", KeepPictures: KeepLesson, PictureSide: 320, SkipSimilar: true},
		Sim:    Sim{Seed: 1, Jitter: 1},
	}
}

// Wiring says what the configured panel has.
func (c *Config) Wiring() device.Wiring {
	return device.Wiring{
		Slots:   len(c.Panel.Slots),
		Nothing: c.Panel.Nothing != nil,
		Status:  c.Panel.Status != nil,
	}
}

// Write writes a valid configuration as TOML, with every pin spelled out.
// Parsing what it wrote gives the same configuration.
func Write(w io.Writer, c *Config) error {
	return toml.NewEncoder(w).Encode(c)
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"time"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/camera"
	"teachbox/device/frame"
	"teachbox/device/gpio"
	"teachbox/device/sim"
	"teachbox/inference"
	"teachbox/inference/preprocess"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

// An appliance is a box put together from concrete parts.
type appliance struct {
	box    *box.Box
	store  *lesson.Store
	wiring device.Wiring // of what is drawn on the screen
	panel  *sim.Panel    // the same, pushed by its keys
	wired  bool          // there are wired buttons and LEDs, too
	desk   *sim.Desk     // nil if the camera is not simulated
	camera device.Camera
	view   eye // what the model looks at
}

// An assembly says how to put a box together.
type assembly struct {
	state string // folder of the lesson
	// service is a box that must run whatever is wrong: what a person at the
	// command line is told by an error, it tells with its LEDs.
	service  bool
	observe  func(box.Event)
	progress func()            // called again and again while the box is alive; may be nil
	onFrame  func(frame.Frame) // sees every simulated frame; may be nil
	renew    func(renewal)     // asks for a new process, see renewing; nil: there is none to be had
	blind    func(error)       // told if the camera cannot be had at the start; nil: it is tried again and again
}

// assemble puts a box together.
func assemble(cfg *config.Config, o assembly) (*appliance, error) {
	a := &appliance{wiring: cfg.Wiring()}
	var b *backbone
	var err error
	b, a.view, err = readEye(cfg.Model)
	if err != nil && !o.service {
		return nil, err // a service tries again, and the box reports it
	}
	if a.panel, err = sim.NewPanel(sim.PanelOptions{Wiring: a.wiring, Source: device.FromKeyboard}); err != nil {
		return nil, err
	}
	panel := device.Panel(a.panel)
	if a.wired = cfg.Panel.Source == config.SourceGPIO; a.wired {
		if panel, err = newWired(cfg, o); err != nil {
			return nil, err
		}
	}
	if cfg.Camera.Source == config.SourceSim {
		err = a.simulate(cfg, o.onFrame)
	} else {
		a.camera, err = openCamera(cfg, a.view)
	}
	if err != nil && !o.service {
		return nil, err
	}
	if err != nil {
		a.camera = brokenCamera{fmt.Errorf("%w: %w", device.ErrAbsent, err)}
	}
	open := lesson.Open
	if o.service {
		open = lesson.OpenService
	}
	a.store, err = open(lesson.Options{
		Path:         filepath.Join(o.state, lessonFile),
		KeepPictures: keepPictures(cfg.Lesson.KeepPictures),
	})
	if err != nil {
		return nil, err
	}
	options := boxOptions(cfg)
	options.Observe, options.Progress = o.observe, o.progress
	parts := habitsOf(cfg, a.camera)
	parts.Camera, parts.Panel, parts.Wiring, parts.Lessons = a.camera, panel, a.wiring, a.store
	if o.blind != nil {
		parts.Camera = &needed{Camera: a.camera, fail: o.blind}
	}
	parts.OpenEmbedder = embedderOf(cfg, b)
	a.box = box.New(parts, options)
	return a, nil
}

// readEye reads the configured model, and how large a picture it looks at.
// Without a model that is the usual size.
func readEye(c config.Model) (*backbone, eye, error) {
	b, err := readBackbone(c)
	if err != nil {
		return nil, eye{usualEye, usualEye}, err
	}
	cut, err := b.model.CutHead()
	if err != nil {
		return nil, eye{usualEye, usualEye}, fmt.Errorf("model: %s: %w", b.path, err)
	}
	return b, eye{cut.Input.Width, cut.Input.Height}, nil
}

// embedderOf opens the configured embedder, again if need be. What was read of
// the model already, if anything, is not read again the first time.
func embedderOf(cfg *config.Config, read *backbone) func() (inference.Embedder, error) {
	return func() (inference.Embedder, error) {
		if b := read; b != nil {
			read = nil
			return b.embedder(cfg.Camera)
		}
		return openEmbedder(cfg)
	}
}

// habitsOf are the parts of a box that are functions of the configuration alone,
// but for the camera that may have to be held.
func habitsOf(cfg *config.Config, cam device.Camera) box.Parts {
	p := box.Parts{Dark: preprocess.Dark}
	if cfg.Lesson.KeepPictures != config.KeepNever {
		side := cfg.Lesson.PictureSide
		p.Encode = func(f frame.Frame) ([]byte, error) { return encodePicture(f, side) }
	}
	if cfg.Lesson.SkipSimilar {
		p.Same = preprocess.NearDuplicate
	}
	if isReal(cfg.Camera) {
		// Folders and drawings do repeat a picture.
		p.Frozen = new(preprocess.Frozen).See
	}
	if h, ok := cam.(interface{ Hold(bool) }); ok && cfg.Camera.Hold {
		p.Hold = h.Hold
	}
	return p
}

// boxOptions are those that the configuration says.
func boxOptions(cfg *config.Config) box.Options {
	return box.Options{
		Rate: float64(cfg.Box.Rate), NightAfter: time.Duration(cfg.Box.NightAfter), Locked: cfg.Lesson.Locked,
	}
}

// newWired makes the panel of wired buttons and LEDs.
func newWired(cfg *config.Config, o assembly) (device.Panel, error) {
	if err := gpio.Init(); err != nil && !o.service {
		return nil, err
	}
	p := gpio.New(panelOptions(cfg))
	if !o.service {
		if err := p.Acquire(); err != nil {
			return nil, fmt.Errorf("%w (to simulate what is missing: run --sim-missing)", err)
		}
	}
	if o.renew == nil {
		return p, nil
	}
	return newRenewing(p, renewals(), o.renew), nil
}

// panelOptions are the lines that the configuration names.
func panelOptions(cfg *config.Config) gpio.Options {
	o := gpio.Options{Log: slog.Default()}
	line := func(l config.Line) gpio.Line {
		if chip, offset, ok := l.Offset(); ok {
			return gpio.Line{Chip: chip, Offset: offset}
		}
		return gpio.Line{Name: l.KernelName()}
	}
	button := func(b config.Button) gpio.Button {
		pull := map[string]gpio.Pull{config.PullUp: gpio.PullUp, config.PullDown: gpio.PullDown, config.PullNone: gpio.PullNone}[b.Pull]
		return gpio.Button{Line: line(b.Line), Pull: pull, ActiveLow: b.Active == config.ActiveLow}
	}
	led := func(l config.LED) gpio.LED {
		return gpio.LED{Line: line(l.Line), ActiveLow: l.Active == config.ActiveLow}
	}
	for _, s := range cfg.Panel.Slots {
		o.Slots = append(o.Slots, gpio.Slot{Button: button(s.Button), LED: led(s.LED)})
	}
	if b := cfg.Panel.Nothing; b != nil {
		o.Nothing = new(button(*b))
	}
	if l := cfg.Panel.Status; l != nil {
		o.Status = new(led(*l))
	}
	return o
}

// usualEye is what most backbones look at, should there be none to ask.
const usualEye = 224

// An eye is the size of picture that a backbone looks at, in pixels.
type eye struct{ width, height int }

// isReal reports whether the pictures come from a camera.
func isReal(c config.Camera) bool {
	_, folder := c.Folder()
	return !folder && c.Source != config.SourceSim
}

// openCamera makes the configured source of frames, if it is not simulated.
func openCamera(cfg *config.Config, view eye) (device.Camera, error) {
	if dir, ok := cfg.Camera.Folder(); ok {
		return camera.NewFolder(dir, camera.FolderOptions{Rate: float64(cfg.Box.Rate), Log: slog.Default()})
	}
	return realCamera(cfg, view)
}

// simulate makes a desk and a camera that sees it.
func (a *appliance) simulate(cfg *config.Config, onFrame func(frame.Frame)) error {
	catalog := sim.Drawn()
	if cfg.Sim.Photos != "" {
		var err error
		if catalog, err = sim.Photographs(cfg.Sim.Photos); err != nil {
			return err
		}
	}
	var err error
	width, height := pictureSize(cfg)
	a.desk, err = sim.NewDesk(sim.DeskOptions{
		Width: width, Height: height, Seed: uint64(cfg.Sim.Seed), Catalog: catalog,
	})
	if err != nil {
		return err
	}
	jitter := sim.HandHeld()
	jitter.Shift *= cfg.Sim.Jitter
	jitter.Scale *= cfg.Sim.Jitter
	jitter.Light *= cfg.Sim.Jitter
	jitter.Noise *= cfg.Sim.Jitter
	a.camera, err = sim.NewCamera(a.desk, sim.CameraOptions{Seed: uint64(cfg.Sim.Seed), Jitter: jitter, OnFrame: onFrame})
	return err
}

// Pictures are of this size where a camera does not say and nobody asks for
// another, in pixels.
const usualWidth, usualHeight = 640, 480

func pictureSize(cfg *config.Config) (width, height int) {
	if cfg.Camera.Width == 0 {
		return usualWidth, usualHeight
	}
	return cfg.Camera.Width, cfg.Camera.Height
}

// realCamera makes the camera that the configuration wants. Nothing is opened
// yet.
func realCamera(cfg *config.Config, view eye) (device.Camera, error) {
	least, err := leastPicture(cfg, view)
	if err != nil {
		return nil, err
	}
	width, height := pictureSize(cfg)
	codec, pi := cfg.Camera.RPiCam()
	if cfg.Camera.Width == 0 {
		// A Pi camera gives any size, but YUV420 wants its width in steps.
		step := 2
		if codec == config.CodecYUV420 {
			step = camera.YUVStep
		}
		width, height = roundUp(max(width, least.width), step), roundUp(max(height, least.height), 2)
	}
	ribbon := camera.NewRPiCam(camera.RPiCamOptions{Width: width, Height: height, YUV: codec == config.CodecYUV420, Log: slog.Default()})
	if pi {
		return ribbon, nil
	}
	which, only := cfg.Camera.V4L2()
	v := camera.NewV4L2(camera.Options{
		Device: which, MinWidth: least.width, MinHeight: least.height,
		Width: cfg.Camera.Width, Height: cfg.Camera.Height,
		Controls: cfg.Camera.Controls, Hold: cfg.Camera.Hold, Log: slog.Default(),
	})
	if only {
		return v, nil
	}
	return camera.NewAuto(v, ribbon), nil
}

func roundUp(n, step int) int { return (n + step - 1) / step * step }

// leastPicture is the size of the smallest picture that loses nothing: the part
// of it that the model sees is as large as the model wants it, and its longest
// side is that of the pictures which are kept.
func leastPicture(cfg *config.Config, view eye) (eye, error) {
	crop, err := inference.ParseCrop(cfg.Camera.Crop)
	if err != nil {
		return eye{}, err
	}
	least := view
	if cfg.Camera.Rotation%180 != 0 {
		least = eye{view.height, view.width} // what was cut out is turned
	}
	if !crop.Center {
		least.width = int(math.Ceil(float64(least.width) / crop.Width))
		least.height = int(math.Ceil(float64(least.height) / crop.Height))
	}
	if cfg.Lesson.KeepPictures != config.KeepNever {
		least.width = max(least.width, cfg.Lesson.PictureSide)
	}
	return least, nil
}

// brokenCamera stands where there is no camera: it fails with its error, as
// often as it is tried.
type brokenCamera struct{ err error }

func (brokenCamera) String() string { return "camera" }

// Run implements device.Camera.
func (b brokenCamera) Run(context.Context, func(frame.Frame)) error { return b.err }

func keepPictures(s string) lesson.KeepPictures {
	switch s {
	case config.KeepNever:
		return lesson.KeepNever
	case config.KeepAlways:
		return lesson.KeepAlways
	}
	return lesson.KeepLesson
}

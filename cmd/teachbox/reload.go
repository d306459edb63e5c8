package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"teachbox/config"
	"teachbox/device"
	"teachbox/internal/box"
	"teachbox/systemd"
)

// A reloader reads the configuration of a running box again.
type reloader struct {
	run       *runCmd
	read      func() (*config.Config, error)
	overrides overrides
	assembly  assembly
	box       *box.Box
	manager   *systemd.Notifier
	screen    bool // a terminal shows the panel

	turn chan struct{} // holds a token while one is under way
	// What is in effect.
	cfg    *config.Config
	camera device.Camera
	view   eye
}

// reload reads the configuration again, with what the command line says, and
// applies what changed. If anything is wrong with it nothing is applied: the
// error says why, and so does the health list, until a good one was read. What
// was begun is carried through, whatever becomes of ctx.
func (r *reloader) reload(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	_ = r.manager.Reloading() // whether anybody listens changes nothing
	defer func() { _ = r.manager.Ready() }()
	err := r.apply(context.WithoutCancel(ctx))
	r.box.Report(box.PartConfiguration, err)
	return err
}

func (r *reloader) apply(ctx context.Context) error {
	cfg, err := r.read()
	if err != nil {
		return err
	}
	asRead := *cfg
	if err := r.overrides.apply(cfg); err != nil {
		return err
	}
	next := *r
	change, err := next.change(cfg)
	if err != nil {
		return err
	}
	if err := r.box.Reconfigure(ctx, change); err != nil {
		return err
	}
	r.cfg, r.camera, r.view = cfg, next.camera, next.view
	r.run.keep(&asRead)
	return nil
}

// change is what has to be done to the box for a configuration, which is in
// effect for r afterwards. What it names was looked at; nothing was touched.
func (r *reloader) change(cfg *config.Config) (box.Change, error) {
	var c box.Change
	if fixed := r.fixed(cfg); len(fixed) > 0 {
		return c, fmt.Errorf("configuration: %s: cannot change while the box runs (restart it, or change it back)", strings.Join(fixed, ", "))
	}
	old, view := r.cfg, r.view
	if embedderChanged(old, cfg) {
		b, view, err := readEye(cfg.Model)
		if err != nil {
			return c, err
		}
		r.view, c.OpenEmbedder = view, embedderOf(cfg, b)
	}
	changed, err := cameraChanged(old, cfg, view, r.view)
	if err != nil {
		return c, err
	}
	if _, broken := r.camera.(brokenCamera); changed || broken && cfg.Camera.Source != config.SourceSim {
		if r.camera, err = openCamera(cfg, r.view); err != nil {
			return c, err
		}
		c.Camera = r.camera
	}
	if panelChanged(old.Panel, cfg.Panel) {
		o := r.assembly
		o.service = true // its lines cannot be had before the old panel has given them back
		if c.Panel, err = newWired(cfg, o); err != nil {
			return c, err
		}
		c.Wiring = cfg.Wiring()
	}
	h := habitsOf(cfg, r.camera)
	c.Encode, c.Same, c.Dark, c.Frozen, c.Hold = h.Encode, h.Same, h.Dark, h.Frozen, h.Hold
	c.Options = boxOptions(cfg)
	return c, nil
}

// fixed are the keys that differ and cannot change while the box runs.
func (r *reloader) fixed(cfg *config.Config) []string {
	old := r.cfg
	var keys []string
	differs := func(key string, is bool) {
		if is {
			keys = append(keys, key)
		}
	}
	was, _ := stateFolder(r.run.State, r.run.SimMissing, old)
	now, err := stateFolder(r.run.State, r.run.SimMissing, cfg)
	simulated := cfg.Camera.Source == config.SourceSim
	differs("lesson.folder", err != nil || was != now)
	differs("lesson.keep_pictures", old.Lesson.KeepPictures != cfg.Lesson.KeepPictures)
	differs("camera.source", (old.Camera.Source == config.SourceSim) != simulated)
	differs("panel.source", old.Panel.Source != cfg.Panel.Source)
	// Somebody plays with a desk and a panel that are on the screen.
	if simulated {
		differs("camera.width", old.Camera.Width != cfg.Camera.Width)
		differs("camera.height", old.Camera.Height != cfg.Camera.Height)
		differs("sim.photos", old.Sim.Photos != cfg.Sim.Photos)
		differs("sim.seed", old.Sim.Seed != cfg.Sim.Seed)
		differs("sim.jitter", old.Sim.Jitter != cfg.Sim.Jitter)
	}
	if cfg.Panel.Source == config.SourceSim || r.screen {
		differs("panel", old.Wiring() != cfg.Wiring())
	}
	return keys
}

// embedderChanged reports whether frames have to be looked at otherwise.
func embedderChanged(old, cfg *config.Config) bool {
	a, b := old.Camera, cfg.Camera
	return old.Model.Source != cfg.Model.Source || old.Model.Threads != cfg.Model.Threads ||
		a.Crop != b.Crop || a.Flip != b.Flip || a.Rotation != b.Rotation
}

// cameraChanged reports whether another camera is wanted, or the same one with
// another setting. The views are what the models look at.
func cameraChanged(old, cfg *config.Config, oldView, view eye) (bool, error) {
	a, b := old.Camera, cfg.Camera
	if b.Source == config.SourceSim {
		return false, nil
	}
	if _, folder := b.Folder(); folder {
		return a.Source != b.Source || old.Box.Rate != cfg.Box.Rate, nil
	}
	if a.Source != b.Source || a.Width != b.Width || a.Height != b.Height || a.Hold != b.Hold || !maps.Equal(a.Controls, b.Controls) {
		return true, nil
	}
	was, err := leastPicture(old, oldView)
	if err != nil {
		return false, err
	}
	least, err := leastPicture(cfg, view)
	return was != least, err
}

// panelChanged reports whether wired buttons or LEDs are elsewhere. The name of
// a preset is nothing but the pins that it stands for.
func panelChanged(old, cfg config.Panel) bool {
	return cfg.Source == config.SourceGPIO &&
		(!slices.Equal(old.Slots, cfg.Slots) || !equal(old.Nothing, cfg.Nothing) || !equal(old.Status, cfg.Status))
}

// equal reports whether both are there and the same, or neither is there.
func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

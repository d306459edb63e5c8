package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/camera"
	"teachbox/device/frame"
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
	notice *lesson.Notice // what was wrong with the lesson file; nil if nothing was
	wiring device.Wiring
	panel  *sim.Panel
	desk   *sim.Desk // nil if the camera is not simulated
}

// An assembly says how to put a box together.
type assembly struct {
	state string // folder of the lesson
	// service is a box that must run whatever is wrong: what a person at the
	// command line is told by an error, it tells with its LEDs.
	service bool
	observe func(box.Event)
	onFrame func(frame.Frame) // sees every simulated frame; may be nil
}

// assemble puts a box together.
func assemble(cfg *config.Config, o assembly) (*appliance, error) {
	a := &appliance{wiring: cfg.Wiring()}
	if !o.service {
		b, err := readBackbone(cfg.Model)
		if err != nil {
			return nil, err
		}
		if _, err := b.model.CutHead(); err != nil {
			return nil, fmt.Errorf("model: %s: %w", b.path, err)
		}
	}
	cam, err := a.camera(cfg, o.onFrame)
	if err != nil && !o.service {
		return nil, err
	}
	if err != nil {
		cam = brokenCamera{fmt.Errorf("%w: %w", device.ErrAbsent, err)}
	}
	// This version has no driver for GPIO yet: the buttons and LEDs are always
	// simulated.
	if a.panel, err = sim.NewPanel(sim.PanelOptions{Wiring: a.wiring, Source: device.FromKeyboard}); err != nil {
		return nil, err
	}
	where := lesson.Options{
		Path:         filepath.Join(o.state, lessonFile),
		KeepPictures: keepPictures(cfg.Lesson.KeepPictures),
	}
	if o.service {
		a.store, a.notice, err = lesson.OpenService(where)
	} else {
		a.store, err = lesson.Open(where)
	}
	if err != nil {
		return nil, err
	}
	parts := box.Parts{
		Camera: cam, Panel: a.panel, Wiring: a.wiring, Lessons: a.store,
		OpenEmbedder: func() (inference.Embedder, error) { return openEmbedder(cfg) },
		Dark:         preprocess.Dark,
	}
	if cfg.Lesson.KeepPictures != config.KeepNever {
		parts.Encode = func(f frame.Frame) ([]byte, error) { return encodePicture(f, cfg.Lesson.PictureSide) }
	}
	if cfg.Lesson.SkipSimilar {
		parts.Same = preprocess.NearDuplicate
	}
	a.box = box.New(parts, box.Options{
		Rate: float64(cfg.Box.Rate), NightAfter: time.Duration(cfg.Box.NightAfter),
		Locked: cfg.Lesson.Locked, Observe: o.observe,
	})
	if a.notice != nil {
		a.box.Report(box.PartLessonFile, errors.New(a.notice.String()))
	}
	return a, nil
}

// camera opens the configured source of frames.
func (a *appliance) camera(cfg *config.Config, onFrame func(frame.Frame)) (device.Camera, error) {
	if dir, ok := cfg.Camera.Folder(); ok {
		return camera.NewFolder(dir, camera.FolderOptions{Rate: float64(cfg.Box.Rate), Log: slog.Default()})
	}
	if cfg.Camera.Source != "sim" {
		return brokenCamera{fmt.Errorf(`camera: %w: this version has no driver for real cameras (set camera.source to "sim" or "folder:PATH", or run with --sim)`, device.ErrAbsent)}, nil
	}
	catalog := sim.Drawn()
	if cfg.Sim.Photos != "" {
		var err error
		if catalog, err = sim.Photographs(cfg.Sim.Photos); err != nil {
			return nil, err
		}
	}
	var err error
	a.desk, err = sim.NewDesk(sim.DeskOptions{
		Width: cfg.Camera.Width, Height: cfg.Camera.Height, Seed: uint64(cfg.Sim.Seed), Catalog: catalog,
	})
	if err != nil {
		return nil, err
	}
	jitter := sim.HandHeld()
	jitter.Shift *= cfg.Sim.Jitter
	jitter.Scale *= cfg.Sim.Jitter
	jitter.Light *= cfg.Sim.Jitter
	jitter.Noise *= cfg.Sim.Jitter
	return sim.NewCamera(a.desk, sim.CameraOptions{Seed: uint64(cfg.Sim.Seed), Jitter: jitter, OnFrame: onFrame})
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

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
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

// lessonFile is the name of the lesson in the state folder.
const lessonFile = "lesson.db"

// An appliance is a box put together from concrete parts.
type appliance struct {
	box    *box.Box
	store  *lesson.Store
	notice *lesson.Notice // what was wrong with the lesson file; nil if nothing was
	wiring device.Wiring
	panel  *sim.Panel
	desk   *sim.Desk // nil if the camera is not simulated
}

// assemble puts a box together. state is the folder of the lesson; onFrame, if
// not nil, sees every simulated frame.
func assemble(cfg *config.Config, state string, observe func(box.Event), onFrame func(frame.Frame)) (*appliance, error) {
	a := &appliance{wiring: cfg.Wiring()}
	cam, err := a.camera(cfg, onFrame)
	if err != nil {
		return nil, err
	}
	// This version has no driver for GPIO yet: the buttons and LEDs are always
	// simulated.
	if a.panel, err = sim.NewPanel(sim.PanelOptions{Wiring: a.wiring, Source: device.FromKeyboard}); err != nil {
		return nil, err
	}
	a.store, a.notice, err = lesson.OpenService(lesson.Options{
		Path:         filepath.Join(state, lessonFile),
		KeepPictures: keepPictures(cfg.Lesson.KeepPictures),
	})
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
		Locked: cfg.Lesson.Locked, Observe: observe,
	})
	if a.notice != nil {
		a.box.Report(box.PartLessonFile, fmt.Errorf("%v", a.notice))
	}
	return a, nil
}

// camera opens the configured source of frames.
func (a *appliance) camera(cfg *config.Config, onFrame func(frame.Frame)) (device.Camera, error) {
	if dir, ok := cfg.Camera.Folder(); ok {
		return camera.NewFolder(dir, camera.FolderOptions{Rate: float64(cfg.Box.Rate), Log: slog.Default()})
	}
	if cfg.Camera.Source != "sim" {
		return noCamera{}, nil
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

// noCamera stands where a driver for real cameras will.
type noCamera struct{}

func (noCamera) String() string { return "camera" }

func (noCamera) Run(context.Context, func(frame.Frame)) error {
	return fmt.Errorf(`camera: %w: this version has no driver for real cameras (set camera.source to "sim" or "folder:PATH", or run with --sim)`, device.ErrAbsent)
}

func keepPictures(s string) lesson.KeepPictures {
	switch s {
	case config.KeepNever:
		return lesson.KeepNever
	case config.KeepAlways:
		return lesson.KeepAlways
	}
	return lesson.KeepLesson
}

// stateFolder is where the lesson is: as the command line says, else as systemd
// says, else as the configuration says. A simulated box never touches the
// lesson of a real one.
func stateFolder(given string, simulated bool, cfg *config.Config) (string, error) {
	if given != "" {
		return given, nil
	}
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		return dir, nil
	}
	if !simulated {
		return cfg.Lesson.Folder, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "teachbox"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("state folder: %w (name one with --state)", err)
	}
	return filepath.Join(home, ".local", "state", "teachbox"), nil
}

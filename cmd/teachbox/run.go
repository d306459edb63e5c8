package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"teachbox/config"
	"teachbox/device/sim"
	"teachbox/internal/box"
)

// runCmd runs the box until it is told to end.
type runCmd struct {
	Sim     bool   `help:"Simulate the camera, whatever the configuration says."`
	Photos  string `placeholder:"DIR" help:"With --sim: a folder of photographs to show, DIR/CLASS/PICTURE; otherwise objects are drawn."`
	Script  string `placeholder:"FILE" help:"With --sim: play a script and end."`
	State   string `placeholder:"DIR" help:"Folder of the lesson."`
	Service bool   `help:"Run even if the configuration is wrong: on the last good one, or the default."`
	JSON    bool   `help:"Print events, one line of JSON each."`
}

// lastGood is the name of the copy of the last good configuration, in the state
// folder.
const lastGood = "last-good.toml"

func (c *runCmd) Run(ctx context.Context, top *cli, s std) error {
	if !c.Sim && (c.Photos != "" || c.Script != "") {
		return errors.New("run: --photos and --script want --sim")
	}
	cfg, wrong := top.config()
	if wrong != nil && !c.Service {
		return wrong
	}
	if wrong != nil {
		cfg = config.Default()
	}
	state, err := stateFolder(c.State, c.Sim, cfg)
	if err != nil {
		return err
	}
	if c.Service {
		cfg = keepLastGood(cfg, wrong, filepath.Join(state, lastGood))
	}
	if c.Sim {
		cfg.Camera.Source = "sim"
	}
	if c.Photos != "" {
		cfg.Sim.Photos = c.Photos
	}
	var script *sim.Script
	if c.Script != "" {
		f, err := os.Open(c.Script)
		if err != nil {
			return fmt.Errorf("script: %w", err)
		}
		script, err = sim.Parse(c.Script, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return c.play(ctx, cfg, state, wrong, script, s)
}

// keepLastGood writes down a good configuration, or finds the last one that was.
func keepLastGood(cfg *config.Config, wrong error, path string) *config.Config {
	if wrong == nil {
		// A box that cannot write this still runs; it says so by its lesson.
		if f, err := os.Create(path); err == nil {
			_ = config.Write(f, cfg)
			f.Close()
		}
		return cfg
	}
	if last, err := config.Load(path); err == nil {
		return last
	}
	return cfg
}

// play runs the box with a terminal, a script or neither.
func (c *runCmd) play(ctx context.Context, cfg *config.Config, state string, wrong error, script *sim.Script, s std) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var kept atomic.Int64
	tell := func(box.Event) {}
	if c.JSON {
		j := newJournal(s.out)
		defer j.close()
		tell = j.observe
	}
	observe := func(e box.Event) {
		if e.Kind == box.Kept {
			kept.Add(1)
		}
		tell(e)
	}
	a, err := assemble(cfg, state, observe, nil)
	if err != nil {
		return err
	}
	defer a.store.Close()
	if wrong != nil {
		a.box.Report(box.PartConfiguration, wrong)
	}
	face, err := c.face(a, s)
	if err != nil {
		return err
	}
	defer face.close()

	var ended sync.WaitGroup
	ended.Go(func() { face.run(ctx, cancel) })
	var failed error
	if script != nil {
		ended.Go(func() {
			defer cancel()
			failed = script.Run(ctx, sim.Box{Desk: a.desk, Panel: a.panel, Kept: func() int { return int(kept.Load()) }, Say: face.say})
		})
	}
	err = a.box.Run(ctx)
	cancel()
	ended.Wait()
	if errors.Is(failed, context.Canceled) {
		failed = nil // ended by a signal, not by its own fault
	}
	return errors.Join(failed, err)
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/sim"
	"teachbox/internal/box"
	"teachbox/internal/files"
)

// runCmd runs the box until it is told to end.
type runCmd struct {
	Sim        bool   `help:"Simulate camera, buttons and LEDs, whatever the configuration says."`
	SimMissing bool   `help:"Simulate what is not there: the camera, the panel or both."`
	Photos     string `placeholder:"DIR" help:"With --sim: a folder of photographs to show, DIR/CLASS/PICTURE; otherwise objects are drawn."`
	Script     string `placeholder:"FILE" help:"With --sim: play a script and end."`
	State      string `placeholder:"DIR" help:"Folder of the lesson."`
	Service    bool   `help:"Run even if the configuration is wrong: on the last good one, or the default."`
	JSON       bool   `help:"Print events, one line of JSON each."`
}

func (c *runCmd) Run(ctx context.Context, top *cli, s std) error {
	if !c.Sim && (c.Photos != "" || c.Script != "") {
		return usageError{errors.New("run: --photos and --script want --sim")}
	}
	cfg, wrong := top.config()
	switch good := lastGoodPath(c.State); {
	case wrong != nil && !c.Service:
		return wrong
	case wrong != nil:
		fmt.Fprintln(s.err, "teachbox:", wrong)
		cfg = readLastGood(good)
	case c.Service:
		if err := keepLastGood(good, cfg); err != nil {
			fmt.Fprintf(s.err, "teachbox: last good configuration: %v (the box runs all the same)\n", err)
		}
	}
	if c.Sim {
		cfg.Camera.Source, cfg.Panel.Source = config.SourceSim, config.SourceSim
	}
	var remarks []string
	if c.SimMissing {
		remarks = simulateMissing(cfg)
	}
	for _, r := range remarks {
		fmt.Fprintln(s.err, "teachbox:", r)
	}
	if c.Photos != "" {
		cfg.Sim.Photos = c.Photos
	}
	if err := cfg.Validate(); err != nil {
		return usageError{err} // what the flags made of it
	}
	script, err := readScript(c.Script)
	if err != nil {
		return err
	}
	state, err := stateFolder(c.State, c.SimMissing, cfg)
	if err != nil {
		return err
	}
	if script != nil && c.State == "" {
		// A script says what it expects of a box that was taught nothing else.
		if state, err = os.MkdirTemp("", "teachbox-script-"); err != nil {
			return err
		}
		defer os.RemoveAll(state)
	}
	if renewals() > 0 {
		nameProcess()
	}
	err = c.play(ctx, cfg, state, wrong, script, remarks, s)
	if r, ok := errors.AsType[renewal](err); ok {
		if ctx.Err() != nil {
			return nil // told to end meanwhile
		}
		return replaceProcess(r)
	}
	return err
}

// readScript reads a script; nil if none is named.
func readScript(path string) (*sim.Script, error) {
	if path == "" {
		return nil, nil
	}
	data, err := files.Read(path, 1<<20)
	if err != nil {
		return nil, fmt.Errorf("script: %s: %w", path, err)
	}
	return sim.Parse(path, bytes.NewReader(data))
}

// play runs the box with a terminal, a script or neither.
func (c *runCmd) play(ctx context.Context, cfg *config.Config, state string, wrong error, script *sim.Script, remarks []string, s std) error {
	ctx, end := context.WithCancelCause(ctx)
	cancel := func() { end(nil) }
	defer cancel()
	var kept atomic.Int64
	var shown atomic.Pointer[face]
	tell := func(e box.Event) {
		if f := shown.Load(); f != nil {
			f.observe(e)
		}
	}
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
	a, err := assemble(cfg, assembly{state: state, service: c.Service, observe: observe, renew: func(r renewal) { end(r) }})
	if err != nil {
		return err
	}
	defer a.store.Close()
	if wrong != nil {
		a.box.Report(box.PartConfiguration, wrong)
	}
	if a.desk != nil {
		for _, what := range a.desk.Catalog().LeftOut() {
			fmt.Fprintln(s.err, "teachbox: left out:", what)
		}
	}
	face, err := c.face(a, s)
	if err != nil {
		return err
	}
	shown.Store(face)
	defer face.close()
	face.say(strings.Join(remarks, "; ")) // until the first key: the screen hides what was printed

	var ended sync.WaitGroup
	ended.Go(func() { face.run(ctx, cancel) })
	var failed error
	if a.wired != nil {
		// The keys push beside the wired buttons.
		ended.Go(func() { _ = a.panel.Watch(ctx, func(e device.Edge) { a.box.Push(ctx, e) }) })
	}
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
	if r, ok := errors.AsType[renewal](context.Cause(ctx)); ok {
		return r
	}
	if script == nil {
		face.bye(state)
	}
	return errors.Join(failed, err)
}

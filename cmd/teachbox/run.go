package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/sim"
	"teachbox/internal/api"
	"teachbox/internal/box"
	"teachbox/internal/files"
	"teachbox/systemd"
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

// A task is what is to be run.
type task struct {
	cfg       *config.Config
	wrong     error // why cfg is not the configuration that was asked for; nil if it is
	overrides overrides
	state     string
	script    *sim.Script // nil if there is none
	remarks   []string    // for the screen
}

// overrides are what the command line says instead of the configuration.
type overrides struct {
	camera, panel bool   // simulated
	photos        string // "": as configured
}

// apply makes them count. The error is the person's mistake on the command line.
func (o overrides) apply(cfg *config.Config) error {
	if o.camera {
		cfg.Camera.Source = config.SourceSim
	}
	if o.panel {
		cfg.Panel.Source = config.SourceSim
	}
	if o.photos != "" {
		cfg.Sim.Photos = o.photos
	}
	if err := cfg.Validate(); err != nil {
		return usageError{err}
	}
	return nil
}

func (c *runCmd) Run(ctx context.Context, top *cli, s std) error {
	if !c.Sim && (c.Photos != "" || c.Script != "") {
		return usageError{errors.New("run: --photos and --script want --sim")}
	}
	p := task{overrides: overrides{camera: c.Sim, panel: c.Sim, photos: c.Photos}}
	p.cfg, p.wrong = top.config()
	switch good := lastGoodPath(c.State); {
	case p.wrong != nil && !c.Service:
		return p.wrong
	case p.wrong != nil:
		fmt.Fprintln(s.err, "teachbox:", p.wrong)
		p.cfg = readLastGood(good)
	default:
		c.keep(p.cfg)
	}
	if c.SimMissing && !c.Sim {
		p.remarks = simulateMissing(p.cfg, &p.overrides)
		for _, r := range p.remarks {
			fmt.Fprintln(s.err, "teachbox:", r)
		}
	}
	err := p.overrides.apply(p.cfg)
	if err != nil {
		return err
	}
	if p.script, err = readScript(c.Script); err != nil {
		return err
	}
	if p.state, err = stateFolder(c.State, c.SimMissing, p.cfg); err != nil {
		return err
	}
	if p.script != nil && c.State == "" {
		// A script says what it expects of a box that was taught nothing else.
		if p.state, err = os.MkdirTemp("", "teachbox-script-"); err != nil {
			return err
		}
		defer os.RemoveAll(p.state)
	}
	if renewals() > 0 {
		nameProcess()
	}
	err = c.play(ctx, top, p, s)
	if r, ok := errors.AsType[renewal](err); ok {
		if ctx.Err() != nil {
			return nil // told to end meanwhile
		}
		return replaceProcess(r)
	}
	return err
}

// keep writes a good configuration down, if this is a service.
func (c *runCmd) keep(cfg *config.Config) {
	if !c.Service {
		return
	}
	if err := keepLastGood(lastGoodPath(c.State), cfg); err != nil {
		slog.Warn("the last good configuration was not kept; the box runs all the same", "error", err)
	}
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
func (c *runCmd) play(ctx context.Context, top *cli, p task, s std) error {
	ctx, end := context.WithCancelCause(ctx)
	cancel := func() { end(nil) }
	defer cancel()
	notifier, err := systemd.New(os.Getenv, os.Getpid())
	if err != nil {
		slog.Warn("the service manager is not told how the box is", "error", err)
	}
	m := newManaged(notifier)

	// One that comes before the box has begun is no reason to end.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)

	var kept atomic.Int64
	// Both are there before the first event.
	var shown *face
	var server *api.Server
	tell := func(e box.Event) { shown.observe(e) }
	if c.JSON {
		j := newJournal(s.out)
		defer j.close()
		tell = j.observe
	}
	observe := func(e box.Event) {
		switch e.Kind {
		case box.Kept:
			kept.Add(1)
		case box.Refused:
			if c.Service {
				slog.Info("not done", "button", e.Button.String(), "why", e.Err)
			}
		}
		tell(e)
		server.Observe(e)
	}
	o := assembly{
		state: p.state, service: c.Service, observe: observe, progress: m.progress,
		renew: func(r renewal) { end(r) },
	}
	var blind error
	if !c.Service {
		o.blind = func(err error) {
			if blind = err; isReal(p.cfg.Camera) {
				blind = fmt.Errorf("%w (to simulate what is missing: run --sim-missing)", err)
			}
			cancel()
		}
	}
	a, err := assemble(p.cfg, o)
	if err != nil {
		return err
	}
	defer a.store.Close()
	if p.wrong != nil {
		a.box.Report(box.PartConfiguration, p.wrong)
	}
	if a.desk != nil {
		for _, what := range a.desk.Catalog().LeftOut() {
			fmt.Fprintln(s.err, "teachbox: left out:", what)
		}
	}
	if shown, err = c.face(a, s); err != nil {
		return err
	}
	defer shown.close()
	shown.say(strings.Join(p.remarks, "; ")) // until the first key: the screen hides what was printed

	r := &reloader{
		run: c, read: top.config, overrides: p.overrides, assembly: o, box: a.box, manager: notifier,
		screen: shown.terminal != nil, turn: make(chan struct{}, 1),
		cfg: p.cfg, camera: a.camera, view: a.view,
	}
	folder, err := filepath.Abs(p.state) // what is told elsewhere, and SQLite wants it
	if err != nil {
		return err
	}
	server = api.New(controls{a.box, a.store, r.reload}, api.Options{
		Identity: identity(p.cfg, folder), Running: true, TempDir: folder,
	})

	var ended sync.WaitGroup
	ended.Go(func() { shown.run(ctx, cancel) })
	ended.Go(func() { serveControl(ctx, a.box, server, controlFolder(c.State, p.state)) })
	ended.Go(func() { m.tell(ctx, a.box) })
	ended.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				hangup(ctx, shown, r, cancel)
			}
		}
	})
	var failed error
	if a.wired && shown.terminal != nil {
		// The keys push beside the wired buttons.
		ended.Go(func() { _ = a.panel.Watch(ctx, func(e device.Edge) { a.box.Push(ctx, e) }) })
	}
	if p.script != nil {
		ended.Go(func() {
			defer cancel()
			failed = p.script.Run(ctx, sim.Box{Desk: a.desk, Panel: a.panel, Kept: func() int { return int(kept.Load()) }, Say: shown.say})
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
	if p.script == nil {
		shown.bye(p.state)
	}
	return errors.Join(failed, blind, err)
}

// hangup reads the configuration again. But where a terminal has gone, its box
// goes too.
func hangup(ctx context.Context, f *face, r *reloader, quit func()) {
	if f.terminal != nil {
		quit()
		return
	}
	if err := r.reload(ctx); err != nil {
		slog.Error("the configuration was not loaded again; the box goes on as it was", "error", err)
		return
	}
	slog.Info("the configuration was loaded again")
}

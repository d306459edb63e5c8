package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"teachbox/config"
	"teachbox/internal/api"
	"teachbox/internal/lesson"
)

const (
	// socketEnv names the control socket of the box to speak to.
	socketEnv = "TEACHBOX_SOCKET"
	// systemSocket is that of the box that systemd runs.
	systemSocket = "/run/teachbox/" + controlName
)

// errNoBox is wrapped where a command wants a box that runs.
var errNoBox = errors.New("no box runs here (start one: sudo systemctl start teachbox, or teachbox run)")

// boxFlags are shared by the commands that speak to a box.
type boxFlags struct {
	State string `placeholder:"DIR" help:"Speak to the box with its lesson in this folder (default: the one that runs)."`
}

// A candidate is where a box may listen.
type candidate struct {
	socket string
	what   string // to say when it is found there; "" for the box that everybody means
}

// named is the control socket that the environment names, if it does.
func (f boxFlags) named() (path string, ok bool) {
	path = os.Getenv(socketEnv)
	return path, path != "" && f.State == ""
}

// candidates are where a box may listen, in the order in which to try.
func (f boxFlags) candidates(cfg *config.Config) []candidate {
	if f.State != "" {
		return []candidate{{socket: filepath.Join(f.State, controlName)}}
	}
	if path, ok := f.named(); ok {
		return []candidate{{socket: path}}
	}
	all := []candidate{{socket: systemSocket}}
	real, simulated := *cfg, *cfg
	real.Camera.Source, simulated.Camera.Source = config.SourceAuto, config.SourceSim
	for _, kind := range []struct {
		cfg   *config.Config
		trial bool
		what  string
	}{
		{&real, false, ""},
		{&real, true, "the box that was tried out"},
		{&simulated, false, "the simulated box"},
	} {
		// Without a home there is no such box.
		if dir, err := stateFolder("", kind.trial, kind.cfg); err == nil {
			all = append(all, candidate{filepath.Join(dir, controlName), kind.what})
		}
	}
	return all
}

// A reached box answers questions and takes commands.
type reached struct {
	*api.Client
	close func() error // ends the connection, or closes the lesson
}

// running finds a box that runs. The error wraps errNoBox if there is none.
func (f boxFlags) running(ctx context.Context, top *cli, s std) (*reached, error) {
	cfg, err := top.config()
	if err != nil {
		cfg = config.Default() // a box may run on another one
	}
	var denied error
	for _, p := range f.candidates(cfg) {
		dial := func(ctx context.Context) (net.Conn, error) { return dialControl(ctx, p.socket) }
		conn, err := dial(ctx)
		switch {
		case err == nil:
			conn.Close()
			client := api.NewClient(dial)
			if err := answers(ctx, client); err != nil {
				client.Close()
				return nil, fmt.Errorf("control socket %s: %w", p.socket, err)
			}
			if p.what != "" {
				fmt.Fprintf(s.err, "teachbox: this is %s, in %s\n", p.what, filepath.Dir(p.socket))
			}
			return &reached{client, func() error { client.Close(); return nil }}, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
			// Nobody is there.
		case errors.Is(err, fs.ErrPermission):
			denied = cmp.Or(denied, fmt.Errorf("control socket %s: %w (use sudo, or join the group of the box)", p.socket, err))
		default:
			return nil, fmt.Errorf("control socket %s: %w (try again, or restart the box)", p.socket, err)
		}
	}
	if path, ok := f.named(); ok {
		return nil, cmp.Or(denied, fmt.Errorf("%s=%s: %w", socketEnv, path, errNoBox))
	}
	return nil, cmp.Or(denied, errNoBox)
}

// answers asks a box how it is, which it says at once unless it hangs.
func answers(ctx context.Context, c *api.Client) error {
	within, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := c.Snapshot(within)
	if _, refused := errors.AsType[*api.Error](err); err == nil || refused {
		return nil
	}
	if ctx.Err() == nil && within.Err() != nil {
		return fmt.Errorf("a box has it open, but does not answer within %v (wait a moment; if it stays so, restart the box: systemctl restart teachbox)", answerWithin)
	}
	return fmt.Errorf("%w (try again, or restart the box)", err)
}

// reach finds a box that runs or, if there is none, opens the lesson itself,
// under its lock. With begin a lesson that is not there is begun.
func (f boxFlags) reach(ctx context.Context, top *cli, s std, begin bool) (*reached, error) {
	r, err := f.running(ctx, top, s)
	if _, named := f.named(); err == nil || !errors.Is(err, errNoBox) || named {
		return r, err
	}
	at, err := f.file(top)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(at.Path)
	if _, err := os.Lstat(at.Path); errors.Is(err, fs.ErrNotExist) && !begin {
		return nil, noLesson(dir)
	}
	store, err := lesson.Open(at)
	if err != nil {
		return nil, inUse(dir, err)
	}
	server := api.New(&lessonAlone{store: store}, api.Options{
		Identity: api.Identity{Version: version(), State: dir, PID: os.Getpid()},
		TempDir:  dir,
	})
	return &reached{api.NewLocalClient(server), store.Close}, nil
}

// file says where the lesson is while no box runs.
func (f boxFlags) file(top *cli) (lesson.Options, error) {
	cfg, err := top.config()
	if err != nil {
		return lesson.Options{}, err
	}
	dir, err := stateFolder(f.State, false, cfg)
	if err == nil {
		dir, err = filepath.Abs(dir) // for people, who may look from elsewhere
	}
	return lesson.Options{Path: filepath.Join(dir, lessonFile), KeepPictures: keepPictures(cfg.Lesson.KeepPictures)}, err
}

func noLesson(dir string) error {
	return fmt.Errorf("no box runs, and there is no lesson in %s (start a box: teachbox run, or name the folder of a lesson: --state DIR)", dir)
}

// inUse says plainly who has a lesson open, if it is that.
func inUse(dir string, err error) error {
	if errors.Is(err, lesson.ErrInUse) {
		return fmt.Errorf("lesson in %s: a box that does not answer or another command has it open (try again in a moment; if it stays so, restart the box)", dir)
	}
	return err
}

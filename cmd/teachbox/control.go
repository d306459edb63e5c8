package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"teachbox/config"
	"teachbox/internal/api"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
	"teachbox/internal/supervise"
)

const (
	// partControl is the control socket in the health list.
	partControl = "control socket"
	// controlRetry is the pause between two attempts to make it.
	controlRetry = 5 * time.Second
	// controlEnd is how long commands that are being carried out may take at the
	// end.
	controlEnd = time.Second
)

// controls are what the API has of a box that runs.
type controls struct {
	*box.Box
	store  *lesson.Store
	reload func(context.Context) error
}

// View implements api.Box.
func (c controls) View(ctx context.Context, f func(api.Lesson) error) error {
	var failed error
	if err := c.WithLesson(ctx, func() { failed = f(c.store) }); err != nil {
		return err
	}
	return failed
}

// Reload implements api.Box.
func (c controls) Reload(ctx context.Context) error { return c.reload(ctx) }

// controlFolder is where the control socket of a box is: in the folder that
// systemd made for such things, or with the lesson, if the command line says
// where that is or nobody made such a folder.
func controlFolder(given, state string) string {
	// The first of several is ours.
	dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	if given != "" || dir == "" {
		return state
	}
	return dir
}

// serveControl answers on the control socket in a folder until ctx ends. If it
// cannot be made, the box runs all the same; it says so, and goes on trying.
func serveControl(ctx context.Context, b *box.Box, s *api.Server, dir string) {
	l, err := listenControl(ctx, dir)
	for ; err != nil; l, err = listenControl(ctx, dir) {
		b.Report(partControl, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(controlRetry):
		}
	}
	b.Report(partControl, nil)
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := s.Serve(l); err != nil {
			b.Report(partControl, fmt.Errorf("control socket %s: %w (restart the box)", filepath.Join(dir, controlName), err))
		}
	})
	<-ctx.Done()
	// ctx is over, but whoever asked is given the answer.
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), controlEnd)
	defer cancel()
	_ = s.Shutdown(late) // what is not answered by then is cut off
	ended.Wait()
}

// identity says who answers on the control socket.
func identity(cfg *config.Config, state string) api.Identity {
	return api.Identity{
		Version: version(), State: state, PID: os.Getpid(),
		Simulated: cfg.Camera.Source == config.SourceSim && cfg.Panel.Source == config.SourceSim,
	}
}

// lessonAlone is what the API has where no box runs: the lesson, opened by a
// command.
type lessonAlone struct {
	mu    sync.Mutex
	store *lesson.Store
}

// Snapshot implements api.Box.
func (a *lessonAlone) Snapshot() box.Snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := box.Snapshot{At: time.Now(), Contents: a.store.Contents()}
	s.Locked = s.Contents.Locked
	if n := a.store.Notice(); n != nil {
		s.Problems = append(s.Problems, supervise.Problem{Part: box.PartLessonFile, Err: errors.New(n.String()), Since: s.At})
	}
	return s
}

// Edit implements api.Box.
func (a *lessonAlone) Edit(_ context.Context, revision int64, e lesson.Edit) (lesson.Result, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.store.Edit(revision, e)
	if err != nil {
		return r, err
	}
	if a.store.Overdue() {
		if err := a.store.Backup(); err != nil {
			return r, fmt.Errorf("the lesson was changed, but its backups may have pictures of the old one: %w", err)
		}
	}
	return r, nil
}

// View implements api.Box.
func (a *lessonAlone) View(_ context.Context, f func(api.Lesson) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return f(a.store)
}

// SetLocked implements api.Box.
func (a *lessonAlone) SetLocked(_ context.Context, locked bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.store.SetLocked(locked)
}

// Acknowledge implements api.Box.
func (a *lessonAlone) Acknowledge(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.store.Acknowledge()
}

// Reload implements api.Box. A lesson has no configuration.
func (a *lessonAlone) Reload(context.Context) error { return errNoBox }

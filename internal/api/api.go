// Package api is the one way to speak to a box: what it is like, what happens
// and what is to be done, as JSON over HTTP. The same handlers answer on the
// control socket and in the process; openapi.yaml describes them.
package api

import (
	"context"

	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

// A Box is what the handlers serve: one that runs, or a lesson alone. Its
// methods may be called from several goroutines.
type Box interface {
	// Snapshot returns what can be seen of the box now. It does not wait.
	Snapshot() box.Snapshot
	// Edit carries out an edit, if the lesson is still at a revision.
	Edit(ctx context.Context, revision int64, e lesson.Edit) (lesson.Result, error)
	// View calls f, which has the lesson for itself meanwhile, and returns its
	// error. It does not return while f runs.
	View(ctx context.Context, f func(Lesson) error) error
	// SetLocked locks or unlocks teaching.
	SetLocked(ctx context.Context, locked bool) error
	// Acknowledge says that somebody has seen to what happened to the lesson file.
	Acknowledge(ctx context.Context) error
	// Reload reads the configuration again, and applies all of it or, with an
	// error, nothing.
	Reload(ctx context.Context) error
}

// A Lesson is what can be asked of a *lesson.Store without changing it.
type Lesson interface {
	Contents() lesson.Contents
	Presses() ([]lesson.Press, error)
	Kept() ([]lesson.Kept, error)
	History(n int) ([]lesson.Step, error)
	Next() (undo, redo *lesson.Step, err error)
	Save(path string) error
	Check() (lesson.Check, error)
}

var _ Lesson = (*lesson.Store)(nil)

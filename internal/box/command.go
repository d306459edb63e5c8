package box

import (
	"context"
	"errors"
	"fmt"

	"teachbox/internal/lesson"
)

// Why a command may be refused.
var (
	ErrBusy  = errors.New("too many commands wait for the lesson (try again in a moment)")
	ErrEnded = errors.New("the box has ended (start it again)")
)

// commands is how many commands may wait for the teacher.
const commands = 16

// A command is what somebody outside the box asks the teacher to do. Who asks
// reads the answer once done is closed.
type command struct {
	revision int64 // edit
	edit     lesson.Edit
	view     func()
	locked   bool

	result lesson.Result // of edit
	err    error
	done   chan struct{}
}

// Edit carries out one edit of the lesson, as lesson.Store does, between two
// frames. The snapshot has the new contents when it returns. If ctx ends before
// it is its turn nothing is done, and the error is that of ctx; what was begun is
// waited for. Other errors are ErrBusy, ErrEnded and those of the store.
func (b *Box) Edit(ctx context.Context, revision int64, e lesson.Edit) (lesson.Result, error) {
	c := &command{revision: revision, edit: e}
	err := b.command(ctx, c, func() error { b.teacher.ask(request{action: actEdit, command: c}); return nil })
	return c.result, err
}

// WithLesson calls f while nobody uses the lesson store. No press is kept
// meanwhile, so f must not take long. Unless there is an error f was called; the
// errors are ErrBusy, ErrEnded and that of ctx.
func (b *Box) WithLesson(ctx context.Context, f func()) error {
	c := &command{view: f}
	return b.command(ctx, c, func() error { b.teacher.ask(request{action: actView, command: c}); return nil })
}

// SetLocked says whether presses are refused, from now on and after a restart.
// If it cannot be written down it holds all the same, until a restart, and there
// is an error.
func (b *Box) SetLocked(ctx context.Context, locked bool) error {
	c := &command{locked: locked}
	held := false
	err := b.command(ctx, c, func() error {
		select {
		case b.locks <- c: // the loop hands it on
			held = true
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-b.ended:
			return ErrEnded
		}
	})
	if err != nil && held {
		is := "unlocked"
		if locked {
			is = "locked"
		}
		return fmt.Errorf("teaching is %s, but only until a restart: %w", is, err)
	}
	return err
}

// Acknowledge says that somebody was told what happened to the lesson: that its
// file was set aside, or that it was put aside for want of pictures. The errors
// are those of Edit.
func (b *Box) Acknowledge(ctx context.Context) error {
	c := new(command)
	return b.command(ctx, c, func() error { b.teacher.ask(request{action: actAcknowledge, command: c}); return nil })
}

// command hands a command on and waits for its answer.
func (b *Box) command(ctx context.Context, c *command, hand func() error) error {
	select {
	case b.places <- struct{}{}:
		defer func() { <-b.places }()
	default:
		return ErrBusy
	}
	c.done = make(chan struct{})
	if err := hand(); err != nil {
		return err
	}
	select {
	case <-c.done:
		return c.err
	case <-b.ended:
	case <-ctx.Done():
		if b.teacher.withdraw(c) {
			return ctx.Err()
		}
	}
	select {
	case <-c.done:
		return c.err
	case <-b.ended:
	}
	// Whatever was begun was answered before the end.
	select {
	case <-c.done:
		return c.err
	default:
		return ErrEnded
	}
}

package main

import (
	"context"

	"teachbox/internal/api"
)

// lockCmd locks teaching.
type lockCmd struct{ boxFlags }

func (c *lockCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.set(ctx, top, s, func(r *reached) (api.Done, error) { return r.SetLocked(ctx, true) })
}

// unlockCmd unlocks it.
type unlockCmd struct{ boxFlags }

func (c *unlockCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.set(ctx, top, s, func(r *reached) (api.Done, error) { return r.SetLocked(ctx, false) })
}

// acknowledgeCmd says that somebody has seen to what the box reported.
type acknowledgeCmd struct{ boxFlags }

func (c *acknowledgeCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.set(ctx, top, s, func(r *reached) (api.Done, error) { return r.Acknowledge(ctx) })
}

// set does what works with and without a box.
func (f boxFlags) set(ctx context.Context, top *cli, s std, do func(*reached) (api.Done, error)) error {
	return f.with(ctx, top, s, func(r *reached) error {
		done, err := do(r)
		if err != nil {
			return err
		}
		return say(s, done)
	})
}

// reloadCmd makes a box read its configuration again.
type reloadCmd struct{ boxFlags }

func (c *reloadCmd) Run(ctx context.Context, top *cli, s std) error {
	r, err := c.running(ctx, top, s)
	if err != nil {
		return err
	}
	return r.use(func(r *reached) error {
		done, err := r.Reload(ctx)
		if err != nil {
			return err
		}
		return say(s, done)
	})
}

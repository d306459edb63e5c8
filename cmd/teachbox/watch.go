package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"teachbox/internal/api"
)

// rejoinEvery is the pause between two attempts to reach a box that has ended.
const rejoinEvery = time.Second

// watchCmd tells what happens in a box, as it happens.
type watchCmd struct {
	boxFlags
	JSON bool `help:"Print lines of JSON."`
}

func (c *watchCmd) Run(ctx context.Context, top *cli, s std) error {
	r, err := c.running(ctx, top, s)
	if err != nil {
		return err
	}
	now, err := r.Snapshot(ctx)
	if err != nil {
		return errors.Join(err, r.close())
	}
	fmt.Fprintf(s.err, "teachbox: watching the box with its lesson in %s (Ctrl-C ends this)\n", now.Box.State)
	w := watcher{json: c.JSON, s: s, run: now.Box.Run, after: now.Events}
	for {
		if err := errors.Join(w.follow(ctx, r), r.close()); err != nil || ctx.Err() != nil {
			return err
		}
		fmt.Fprintln(s.err, "teachbox: the box has ended; waiting for it (Ctrl-C ends this)")
		if r, err = c.rejoin(ctx, top, s); err != nil || ctx.Err() != nil {
			return err
		}
		fmt.Fprintln(s.err, "teachbox: the box is back")
	}
}

// rejoin waits until there is a box again. At the end of ctx there may be none.
func (c *watchCmd) rejoin(ctx context.Context, top *cli, s std) (*reached, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(rejoinEvery):
		}
		r, err := c.running(ctx, top, s)
		switch {
		case err == nil:
			return r, nil
		case ctx.Err() == nil && !errors.Is(err, errNoBox):
			return nil, err
		}
	}
}

// A watcher prints events, each once.
type watcher struct {
	json  bool
	s     std
	run   string // of the box that the last event was of
	after uint64 // number of that event
}

// follow prints events until the box ends or ctx does, neither of which is an
// error.
func (w *watcher) follow(ctx context.Context, r *reached) error {
	now, err := r.Snapshot(ctx)
	if err != nil {
		return refusal(err)
	}
	if now.Box.Run != w.run {
		w.run, w.after = now.Box.Run, 0
	}
	for e, err := range r.Events(ctx, w.after, true) {
		if err != nil {
			return refusal(err)
		}
		if e.Number > 0 {
			w.after = e.Number
		}
		if err := w.print(e); err != nil {
			return err
		}
	}
	return nil
}

// refusal is what a box said that answers; nil if the error is that it does not.
func refusal(err error) error {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e
	}
	return nil
}

func (w *watcher) print(e api.Event) error {
	if w.json {
		return json.NewEncoder(w.s.out).Encode(e)
	}
	_, err := fmt.Fprintf(w.s.out, "%s  %s\n", e.At.Local().Format("15:04:05"), eventWords(e))
	return err
}

// eventWords is an event for people.
func eventWords(e api.Event) string {
	switch e.Event {
	case "verdict":
		if e.Slot != nil && *e.Slot > 0 {
			return fmt.Sprintf("LED %d is lit", *e.Slot)
		}
		return "dark"
	case "kept":
		return "kept an example of " + e.Button
	case "skipped":
		return "left out a picture of " + e.Button + ": it is like the one before"
	case "taken back":
		return "took back a press of " + e.Button
	case "forgotten":
		return "forgot " + e.Button
	case "new lesson":
		return "a new lesson; the old one was put away"
	case "restored":
		return "the last lesson is back"
	case "edited":
		if e.Step != nil {
			return "lesson changed: " + stepWords(*e.Step)
		}
	case "locked":
		return "teaching is locked"
	case "unlocked":
		return "teaching is unlocked"
	case "refused":
		return "not done for " + e.Button + ": " + e.Error
	case "health":
		if e.Error == "" {
			return e.Part + ": well again"
		}
		return e.Part + ": " + e.Error
	case "learned":
		return "learned " + count(e.Frames, "picture", "pictures")
	case "gap":
		if e.Lost != nil && *e.Lost > 0 {
			return fmt.Sprintf("%d events were missed", *e.Lost)
		}
		return "some events were missed"
	}
	return e.Event // of a newer box
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"teachbox/device"
)

// errEarly is the error of a test that a person ended, or a signal.
var errEarly = errors.New("hardware test: ended before all was tested")

// hands is what people, or wires, do to the buttons of a panel.
type hands struct {
	edges chan device.Edge
	gone  chan error // why Watch ended
	down  [device.MaxSlots + 1]bool
	stop  func() // ends Watch; to be called once
}

// watch begins to watch a panel.
func watch(ctx context.Context, p device.Panel) *hands {
	ctx, cancel := context.WithCancel(ctx)
	h := &hands{edges: make(chan device.Edge), gone: make(chan error, 1)}
	var watching sync.WaitGroup
	watching.Go(func() {
		h.gone <- p.Watch(ctx, func(e device.Edge) {
			select {
			case h.edges <- e:
			case <-ctx.Done():
			}
		})
	})
	h.stop = func() {
		cancel()
		watching.Wait()
	}
	return h
}

// A happening is what next waited for.
type happening struct {
	kind happeningKind
	line string      // if typed
	edge device.Edge // if moved
}

type happeningKind uint8

const (
	late   happeningKind = iota // nothing came in time
	moved                       // a button
	typed                       // a line
	hungUp                      // no more lines will come
)

// next waits for the next thing to happen, until a moment if that is not zero.
// lines may be nil: then nothing that is typed is taken. The error says that
// the panel failed, or is errEarly once ctx has ended.
func (h *hands) next(ctx context.Context, until time.Time, lines <-chan string) (happening, error) {
	var after <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		after = t.C
	}
	select {
	case <-ctx.Done():
		return happening{}, errEarly
	case err := <-h.gone:
		if ctx.Err() != nil {
			return happening{}, errEarly
		}
		return happening{}, fmt.Errorf("hardware test: the panel failed: %w", err)
	case e := <-h.edges:
		h.down[e.Button] = e.Down
		return happening{kind: moved, edge: e}, nil
	case line, ok := <-lines:
		if !ok {
			return happening{kind: hungUp}, nil
		}
		return happening{kind: typed, line: line}, nil
	case <-after:
		return happening{kind: late}, nil
	}
}

// typedLines sends the lines of a stream, without blanks around them and in
// lower case, until it ends or ctx does. A read that waits then is left
// waiting: there is no way to end it.
func typedLines(ctx context.Context, in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			select {
			case lines <- strings.ToLower(strings.TrimSpace(s.Text())):
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"teachbox/device"
)

// renewalsEnv tells a process how many before it were replaced in a row without
// a panel that worked for long.
const renewalsEnv = "TEACHBOX_RENEWALS"

// steadyPanel is how long a panel must have worked for its next failure to count
// as the first again.
const steadyPanel = 10 * time.Second

// A stalePanel knows whether a new process could have the lines that this one
// cannot.
type stalePanel interface {
	device.Panel
	Stale() bool
}

// A renewing panel asks for a new process when only that brings its lines back:
// the GPIO library looks for chips once in the life of a process. Every example
// is durable, so nothing is lost by it. Should a new process fare no better,
// the next is asked for later and later.
type renewing struct {
	stalePanel
	renew   func(renewal)
	born    time.Time
	renewed int // processes in a row before this one
}

func newRenewing(p stalePanel, renewed int, renew func(renewal)) *renewing {
	return &renewing{stalePanel: p, renew: renew, born: time.Now(), renewed: renewed}
}

// Watch implements device.Panel.
func (p *renewing) Watch(ctx context.Context, emit func(device.Edge)) error {
	began := time.Now()
	err := p.stalePanel.Watch(ctx, emit)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if time.Since(began) >= steadyPanel {
		p.renewed = 0
	}
	if time.Since(p.born) >= renewalPause(p.renewed) && p.Stale() {
		p.renew(renewal{again: p.renewed + 1})
	}
	return err
}

// A renewal is why a box ends that is to go on in a new process.
type renewal struct {
	again int // processes in a row then
}

func (renewal) Error() string { return "begun anew, to find the GPIO chips again" }

// renewals is how many processes were replaced in a row before this one.
func renewals() int {
	n, err := strconv.Atoi(os.Getenv(renewalsEnv))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// renewalPause is how long a process lives at least after n were replaced in a
// row: not at all, 1 s, 2 s, 4 s and so on up to about a minute.
func renewalPause(n int) time.Duration {
	if n == 0 {
		return 0
	}
	return time.Second << min(n-1, 6)
}

// replaceProcess begins the program anew, with the same arguments and the same
// process id. It returns only if it cannot. Whatever is open must be closed
// before.
func replaceProcess(r renewal) error {
	slog.Info("the process is replaced by a new one, which can find the GPIO chips again", "in a row", r.again)
	if err := os.Setenv(renewalsEnv, strconv.Itoa(r.again)); err != nil {
		return fmt.Errorf("new process: %w", err)
	}
	// The program itself, even if its file was replaced by an update: what is
	// half installed is not run.
	return fmt.Errorf("new process: %w", syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
}

// nameProcess gives the process the program's name, which a replaced one has
// lost: it would be called "exe" in lists and in the complaints of others.
func nameProcess() {
	// The name is only for people.
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
}

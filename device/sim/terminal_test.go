package sim

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"teachbox/device"
)

// pty opens a pseudo-terminal: the person's side and the program's side.
func pty(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	person, program := pty(t)
	before, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var screen bytes.Buffer // what the person sees
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := person.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			screen.Write(buf[:n])
			mu.Unlock()
		}
	}()
	sees := func(want string) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); ; {
			mu.Lock()
			got := screen.String()
			mu.Unlock()
			if strings.Contains(got, want) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the screen never showed %q, but %q", want, got)
			}
			time.Sleep(time.Millisecond)
		}
	}

	terminal, err := OpenTerminal(program, program)
	if err != nil {
		t.Fatal(err)
	}
	sees(enter)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	keys := make(chan Key, 10)
	done := make(chan error, 1)
	go func() { done <- terminal.Run(ctx, func(k Key) { keys <- k }) }()
	if _, err := person.WriteString("1!\x03"); err != nil {
		t.Fatal(err)
	}
	var got []Key
	for range 3 {
		select {
		case k := <-keys:
			got = append(got, k)
		case <-time.After(5 * time.Second):
			t.Fatalf("only the keys %v arrived", got)
		}
	}
	if diff := cmp.Diff([]Key{{Action: TapButton}, {Action: HoldButton}, {Action: Quit}}, got); diff != "" {
		t.Error(diff)
	}
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 60, Row: 24}); err != nil {
		t.Fatal(err)
	}
	view := View{Wiring: device.Wiring{Slots: 2}, Desk: "cup/1"}
	if err := terminal.Draw(view); err != nil {
		t.Fatal(err)
	}
	sees("Make the window at least 72×20.")
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 100, Row: 30}); err != nil {
		t.Fatal(err)
	}
	if err := terminal.Draw(view); err != nil {
		t.Fatal(err)
	}
	sees("cup/1")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run returned %v (want nil)", err)
	}

	for range 2 {
		if err := terminal.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	sees(leave)
	after, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the terminal is not as it was: %s", diff)
	}
	view.Desk = "too late"
	if err := terminal.Draw(view); err != nil {
		t.Error(err)
	}
	if _, err := program.WriteString("the end"); err != nil {
		t.Fatal(err)
	}
	sees("the end")
	mu.Lock()
	defer mu.Unlock()
	if strings.Contains(screen.String(), "too late") {
		t.Error("a view was drawn after Close")
	}
}

func TestTerminalGone(t *testing.T) {
	person, program := pty(t)
	terminal, err := OpenTerminal(program, program)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- terminal.Run(t.Context(), func(Key) {}) }()
	person.Close()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "went away") {
			t.Errorf("Run returned %v (want that it went away)", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Run goes on without a terminal")
	}
}

func TestNoTerminal(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := OpenTerminal(null, null); err == nil || !strings.Contains(err.Error(), "in a terminal window") {
		t.Errorf("OpenTerminal returned %v", err)
	}
}

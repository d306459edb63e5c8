package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"teachbox/internal/api"
	"teachbox/internal/lesson"
)

// terminal opens a pseudo-terminal of that size: the person's side and the
// program's side.
func terminal(t *testing.T, width, height uint16) (person, program *os.File) {
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
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
	return person, program
}

// TestLiveStatus: on a terminal the status is drawn again in its place until the
// person interrupts it, or the box ends.
func TestLiveStatus(t *testing.T) {
	for _, test := range []struct {
		name string
		box  bool // ends first
		code int
		says string
	}{
		{"interrupted", false, 0, ""},
		{"the box ends", true, exitNoBox, "the box has ended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := taughtFolder(t)
			store, err := lesson.Open(lesson.Options{Path: filepath.Join(dir, lessonFile)})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			l, err := listenControl(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			server := api.New(&lessonAlone{store: store}, api.Options{TempDir: dir})
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			person, program := terminal(t, 40, 10)
			var screen syncBuffer
			go func() {
				b := make([]byte, 1000)
				for {
					n, err := person.Read(b)
					if err != nil {
						return
					}
					_, _ = screen.Write(b[:n])
				}
			}()
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			var errs bytes.Buffer
			ended := make(chan int, 1)
			go func() {
				ended <- run(ctx, []string{"--config", emptyConfig(t), "status", "--state", dir}, std{in: program, out: program, err: &errs})
			}()
			const again = "\r\x1b[1A\x1b[J"
			for range 500 {
				if strings.Contains(screen.String(), again) {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if test.box {
				if err := server.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			} else {
				interrupt()
			}
			if code := <-ended; code != test.code || !strings.Contains(errs.String(), test.says) {
				t.Errorf("exit %d, want %d: %s", code, test.code, errs.String())
			}
			if err := server.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
			const first = "\r\x1b[Jstarting; lesson: 2 classes, 2 presses,\r\n  2 pictures"
			if got := screen.String(); !strings.HasPrefix(got, first+again) {
				t.Errorf("the screen got %q, want it to begin with %q and come back", got, first)
			}
		})
	}
}

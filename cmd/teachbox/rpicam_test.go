package main

import (
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/sim"
	"teachbox/internal/box"
)

// TestRPiCamLesson plays a lesson on a box whose pictures come through the pipe
// of a child process, as those of a Pi camera do. The child is a stand-in for
// rpicam-vid; it dies in the middle of the lesson.
func TestRPiCamLesson(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "rpicam-vid")
	if out, err := exec.Command("go", "build", "-o", program, "../../device/camera/testdata/rpicam-vid").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	desk, err := sim.NewDesk(sim.DeskOptions{Width: 320, Height: 240})
	if err != nil {
		t.Fatal(err)
	}
	place := func(ending string, write func(f *os.File) error) {
		t.Helper()
		f, err := os.CreateTemp(dir, "new-")
		if err != nil {
			t.Fatal(err)
		}
		err = write(f)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(f.Name(), program+ending); err != nil {
			t.Fatal(err)
		}
	}
	show := func(thing string) {
		t.Helper()
		if thing == "" {
			desk.Clear()
		} else if err := desk.Show(thing); err != nil {
			t.Fatal(err)
		}
		place(".picture", func(f *os.File) error { return jpeg.Encode(f, desk.Preview(320, 240), nil) })
		time.Sleep(time.Second) // through the pipe, which is four frames old by its own account
	}

	cfg := simulated(t)
	cfg.Camera.Source, cfg.Model.Source, cfg.Lesson.SkipSimilar = config.SourceRPiCam, tinyModel(t), false
	cfg.Camera.Width, cfg.Camera.Height = 320, 240
	show("")
	events := make(chan box.Event, 1000)
	a, err := assemble(cfg, assembly{state: t.TempDir(), observe: func(e box.Event) {
		if e.Kind != box.Looked {
			events <- e
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.box.Run(ctx) }()
	defer func() {
		cancel()
		if err := errors.Join(<-ended, a.store.Close()); err != nil {
			t.Error(err)
		}
	}()
	await := func(what string, is func(box.Event) bool) {
		t.Helper()
		for late := time.After(30 * time.Second); ; {
			select {
			case e := <-events:
				if is(e) {
					return
				}
			case <-late:
				t.Fatalf("not within 30 s: %s; problems: %v", what, a.box.Snapshot().Problems)
			}
		}
	}
	teach := func(thing string, b device.Button) {
		t.Helper()
		show(thing)
		if err := a.panel.Tap(b, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		await("an example of "+b.String(), func(e box.Event) bool { return e.Kind == box.Kept && e.Button == b })
	}
	answers := func(thing string, slot int) {
		t.Helper()
		show(thing)
		for late := time.Now().Add(20 * time.Second); litSlot(a.panel.Lights(), a.wiring) != slot; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("%s: the LEDs show %v (want slot %d): %+v", thing, a.panel.Lights(), slot, a.box.Snapshot())
			}
		}
	}

	for a.box.Snapshot().Looks == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	teach("", device.Nothing)
	for n := range 5 {
		teach(fmt.Sprintf("cup/%d", n+1), 0)
		teach(fmt.Sprintf("cube/%d", n+1), 1)
	}
	answers("cup/6", 0)
	place(".fault", func(f *os.File) error { _, err := f.WriteString("die"); return err })
	await("the child's end", func(e box.Event) bool { return e.Kind == box.HealthChanged && e.Part == "camera" && e.Err != nil })
	if err := os.Remove(program + ".fault"); err != nil {
		t.Fatal(err)
	}
	await("another child", func(e box.Event) bool { return e.Kind == box.HealthChanged && e.Part == "camera" && e.Err == nil })
	answers("cube/6", 1)
	answers("fish/2", -1)
}

package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/config"
	"teachbox/internal/api"
)

// TestChange holds what a new configuration opens anew, and what it may not
// change.
func TestChange(t *testing.T) {
	tiny := tinyModel(t)
	wired := func() *config.Config {
		cfg := config.Default()
		cfg.Camera.Source, cfg.Model.Source = "v4l2", tiny
		return cfg
	}
	drawn := func() *config.Config {
		cfg := wired()
		cfg.Camera.Source, cfg.Panel.Source = config.SourceSim, config.SourceSim
		return cfg
	}
	folder := func() *config.Config {
		cfg := wired()
		cfg.Camera.Source = "folder:" + t.TempDir()
		return cfg
	}
	own := config.Default().Panel
	own.Slots = own.Slots[:2]
	for _, test := range []struct {
		name    string
		of      func() *config.Config
		edit    func(*config.Config)
		screen  bool
		want    string // what is opened anew
		refused string
	}{
		{name: "nothing", of: wired, edit: func(c *config.Config) {}},
		{name: "the pace", of: wired, edit: func(c *config.Config) { c.Box.Rate, c.Box.NightAfter = 3, 7 }},
		{name: "the lock", of: wired, edit: func(c *config.Config) { c.Lesson.Locked = true }},
		{name: "labels", of: wired, edit: func(c *config.Config) { c.Model.Labels = "/none" }},
		{name: "similar pictures", of: wired, edit: func(c *config.Config) { c.Lesson.SkipSimilar = false }},
		{name: "a preset by its pins", of: wired, edit: func(c *config.Config) { c.Panel.Preset = "" }},
		{name: "another camera", of: wired, edit: func(c *config.Config) { c.Camera.Source = "v4l2:1" }, want: "camera"},
		{name: "its size", of: wired, edit: func(c *config.Config) { c.Camera.Width, c.Camera.Height = 320, 240 }, want: "camera"},
		{name: "its controls", of: wired, edit: func(c *config.Config) { c.Camera.Controls = map[string]int{"gain": 1} }, want: "camera"},
		{name: "whether it is held", of: wired, edit: func(c *config.Config) { c.Camera.Hold = true }, want: "camera"},
		{name: "larger pictures kept", of: wired, edit: func(c *config.Config) { c.Lesson.PictureSide = 1024 }, want: "camera"},
		{name: "threads", of: wired, edit: func(c *config.Config) { c.Model.Threads = 2 }, want: "model"},
		{name: "a view of the same size", of: wired, edit: func(c *config.Config) { c.Camera.Flip = "h" }, want: "model"},
		{name: "a smaller part of the picture", of: wired, edit: func(c *config.Config) { c.Camera.Crop = "0.4,0.4,0.1,0.1" }, want: "camera model"},
		{name: "a model that is not there", of: wired, edit: func(c *config.Config) { c.Model.Source = "/none.tflite" }, refused: "/none.tflite"},
		{name: "pins", of: wired, edit: func(c *config.Config) { c.Panel.Slots = append(own.Slots[:1:1], c.Panel.Slots[2], c.Panel.Slots[3]) }, want: "panel"},
		{name: "no status LED", of: wired, edit: func(c *config.Config) { c.Panel.Status = nil }, want: "panel"},
		{name: "two slots", of: wired, edit: func(c *config.Config) { c.Panel = own }, want: "panel"},
		{name: "two slots, on the screen", of: wired, screen: true, edit: func(c *config.Config) { c.Panel = own }, refused: "panel: cannot change while the box runs"},
		{name: "the folder", of: wired, edit: func(c *config.Config) { c.Lesson.Folder = "/elsewhere" }, refused: "lesson.folder: cannot"},
		{name: "privacy", of: wired, edit: func(c *config.Config) { c.Lesson.KeepPictures = config.KeepNever }, refused: "lesson.keep_pictures: cannot"},
		{name: "to a simulated camera", of: wired, edit: func(c *config.Config) { c.Camera.Source = config.SourceSim }, refused: "camera.source"},
		{name: "to a simulated panel", of: wired, edit: func(c *config.Config) { c.Panel.Source = config.SourceSim }, refused: "panel.source"},
		{name: "drawings for another camera", of: wired, edit: func(c *config.Config) { c.Sim.Seed = 3 }},
		{name: "drawings", of: drawn, edit: func(c *config.Config) { c.Sim.Seed, c.Sim.Jitter = 3, 0 }, refused: "sim.seed, sim.jitter: cannot"},
		{name: "drawn pins", of: drawn, edit: func(c *config.Config) { c.Panel.Slots[0].Button.Pin = 2 }},
		{name: "drawn slots", of: drawn, edit: func(c *config.Config) { c.Panel.Slots = c.Panel.Slots[:2] }, refused: "panel: cannot"},
		{name: "a drawn view", of: drawn, edit: func(c *config.Config) { c.Camera.Rotation = 90 }, want: "model"},
		{name: "a folder's pace", of: folder, edit: func(c *config.Config) { c.Box.Rate = 3 }, want: "camera"},
		{name: "another folder", of: folder, edit: func(c *config.Config) { c.Camera.Source = "folder:" + t.TempDir() }, want: "camera"},
		{name: "no folder", of: folder, edit: func(c *config.Config) { c.Camera.Source = "folder:/none" }, want: "camera"}, // may come
	} {
		t.Run(test.name, func(t *testing.T) {
			old := test.of()
			_, view, err := readEye(old.Model)
			if err != nil {
				t.Fatal(err)
			}
			r := &reloader{run: new(runCmd), screen: test.screen, cfg: old, view: view}
			if old.Camera.Source != config.SourceSim {
				if r.camera, err = openCamera(old, view); err != nil {
					t.Fatal(err)
				}
			}
			cfg := new(*old)
			cfg.Panel.Slots = append([]config.Slot(nil), old.Panel.Slots...)
			test.edit(cfg)
			c, err := r.change(cfg)
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("%v, want it to name %q", err, test.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if c.Camera != nil {
				got = append(got, "camera")
			}
			if c.OpenEmbedder != nil {
				got = append(got, "model")
			}
			if c.Panel != nil {
				got = append(got, "panel")
				if diff := cmp.Diff(cfg.Wiring(), c.Wiring); diff != "" {
					t.Error(diff)
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("%q are opened anew, want %q", got, test.want)
			}
			if c.Options.Rate != float64(cfg.Box.Rate) || c.Options.Locked != cfg.Lesson.Locked || c.Dark == nil || (c.Same == nil) == cfg.Lesson.SkipSimilar {
				t.Errorf("the habits are not those of the configuration: %+v", c)
			}
		})
	}
}

// TestReload plays a service on folders of pictures: a good configuration is
// applied, and one that is wrong or names what is not there changes nothing.
func TestReload(t *testing.T) {
	tiny := tinyModel(t)
	dir := t.TempDir()
	for name, c := range map[string]color.Gray{"black": {40}, "white": {220}} {
		img := image.NewGray(image.Rect(0, 0, 64, 48))
		for i := range img.Pix {
			img.Pix[i] = c.Y + uint8(i%7) // not quite even: that would be dark or out of focus
		}
		writeJPEG(t, filepath.Join(dir, name, "1.jpg"), img)
	}
	path, state := filepath.Join(dir, "teachbox.toml"), filepath.Join(dir, "state")
	write := func(folder, model string, rate int) {
		t.Helper()
		text := fmt.Sprintf("camera.source = %q\nmodel.source = %q\nbox.rate = %d\npanel.source = \"sim\"\n", "folder:"+filepath.Join(dir, folder), model, rate)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("black", tiny, 20)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--config", path, "run", "--service", "--state", state, "--json"}, std{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	}()
	defer func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("the box ended with %d", code)
		}
	}()
	client := api.NewClient(func(ctx context.Context) (net.Conn, error) {
		return dialControl(ctx, filepath.Join(state, controlName))
	})
	defer client.Close()
	sees := func(dark bool, health ...string) {
		t.Helper()
		var s api.Snapshot
		var err error
		for range 500 {
			s, err = client.Snapshot(ctx)
			var parts []string
			for _, p := range s.Health {
				parts = append(parts, p.Part)
			}
			if err == nil && s.Fitness != nil && s.Fitness.Luma < 128 == dark && cmp.Equal(parts, health) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatalf("%+v, %v; want dark %v and %q ill", s, err, dark, health)
	}
	reload := func(says string) {
		t.Helper()
		code, _, errs := command(ctx, "reload", "--state", state)
		if code != 0 && says == "" || !strings.Contains(errs, says) {
			t.Fatalf("reload: exit %d: %s; want %q", code, errs, says)
		}
	}
	good := func() string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(state, "last-good.toml"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}

	sees(true)
	write("white", tiny, 20)
	reload("")
	sees(false)
	kept := good()
	if !strings.Contains(kept, "white") {
		t.Errorf("the last good configuration is\n%s", kept)
	}
	write("white", tiny, 600)
	reload("box.rate")
	sees(false, "configuration")
	write("black", filepath.Join(dir, "none.tflite"), 20)
	reload("none.tflite")
	sees(false, "configuration")
	if good() != kept {
		t.Errorf("a configuration that was refused was kept:\n%s", good())
	}
	write("black", tiny, 30)
	reload("")
	sees(true)
}

package kmod

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReadOrder(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string // nil is an error
	}{
		{"irq_sim.ko\ngpio-sim.ko\n", []string{"irq_sim.ko", "gpio-sim.ko"}},
		{"vivid.ko", []string{"vivid.ko"}},
		{"", nil},
		{"\n", nil},
		{"vivid.ko.xz\n", nil},
		{"../vivid.ko\n", nil},
		{"/vivid.ko\n", nil},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x.order"), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := readOrder(dir, "x")
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%q: got %q, %v; want %q", c.text, got, err, c.want)
		}
	}
	if _, err := readOrder(t.TempDir(), "absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestLoaded(t *testing.T) {
	if loaded, err := Loaded("no-such-module"); loaded || err != nil {
		t.Errorf("got %v, %v", loaded, err)
	}
	if got := kernelName("gpio-sim"); got != "gpio_sim" {
		t.Errorf("got %s", got)
	}
}

func FuzzReadOrder(f *testing.F) {
	f.Add([]byte("irq_sim.ko\ngpio-sim.ko\n"))
	f.Add([]byte("../x.ko"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x.order"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		files, err := readOrder(dir, "x")
		if err == nil && len(files) == 0 {
			t.Error("no files and no error")
		}
		for _, file := range files {
			if !filepath.IsLocal(file) {
				t.Errorf("%q leads out of the folder", file)
			}
		}
	})
}

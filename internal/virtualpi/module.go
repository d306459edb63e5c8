package virtualpi

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"teachbox/internal/virtualpi/kmod"
)

// loadedDir holds a file for each module that Load has loaded, with its
// parameters: the kernel does not tell them.
const loadedDir = "/run/virtualpi"

// unloadPatience is how long Unload waits for the last user to let go: what a
// test has closed may take the kernel a moment.
const unloadPatience = 10 * time.Second

// Load loads the kernel module vivid, v4l2loopback or gpio-sim, and what it
// depends on. Its devices are in /dev when Load returns. params are the
// module's own, such as "n_devs=1 vid_cap_nr=0". Loading it again with the same
// parameters does nothing; with other ones it is an error: Unload it first.
func Load(t testing.TB, name, params string) {
	t.Helper()
	loaded, err := kmod.Loaded(name)
	if err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(loadedDir, name)
	if loaded {
		if old, err := os.ReadFile(note); err != nil || string(old) != params {
			t.Fatalf("module %s is loaded with %q, not with %q (Unload it first)", name, old, params)
		}
		return
	}
	if err := errors.Join(os.MkdirAll(loadedDir, 0o755), os.WriteFile(note, []byte(params), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := kmod.Load(name, params); err != nil {
		t.Fatal(err)
	}
}

// Unload unloads a module, whose devices vanish, but not what it depends on. A
// module that is not loaded is left alone. It is an error if the module is
// still in use after a few seconds: a descriptor, a mapping or a stream was
// left open.
func Unload(t testing.TB, name string) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := kmod.Unload(name)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Since(began) > unloadPatience {
			t.Fatal(err)
		}
	}
}

package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openFiles counts what this process has open.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestControlSocket(t *testing.T) {
	// Longer than any address may be, and not for everybody to read.
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, controlName)
	for _, umask := range []int{0, 0o022, 0o077} {
		before := openFiles(t)
		old := unix.Umask(umask)
		l, err := listenControl(t.Context(), dir)
		unix.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != fs.ModeSocket|controlMode {
			t.Errorf("umask %#o: mode %v, want %v", umask, info.Mode(), fs.ModeSocket|controlMode)
		}
		c, err := dialControl(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if other, err := listenControl(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "another box runs here") {
			t.Errorf("a second box: %v, %v", other, err)
		}
		if c, err := dialControl(t.Context(), path); err != nil {
			t.Errorf("after the second box: %v", err)
		} else {
			c.Close()
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		_ = l.Close() // may be repeated
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after Close: %v", err)
		}
		if after := openFiles(t); after != before {
			t.Errorf("%d files open, %d before", after, before)
		}
	}
}

// TestControlSocketLeft: one that nobody listens on any more is replaced.
func TestControlSocketLeft(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, controlName)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if _, err := dialControl(t.Context(), path); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a dead socket: %v", err)
	}
	l, err := listenControl(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// TestControlSocketRefused: what cannot be made is an error that names it, and
// what is not ours stays.
func TestControlSocketRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"no folder": filepath.Join(dir, "none"), "no folder but a file": filepath.Join(dir, "file")} {
		before := openFiles(t)
		l, err := listenControl(t.Context(), dir)
		if err == nil || !strings.HasPrefix(err.Error(), "control socket "+dir) {
			t.Errorf("%s: %v, %v", name, l, err)
		}
		if after := openFiles(t); after != before {
			t.Errorf("%s: %d files open, %d before", name, after, before)
		}
	}
	path := filepath.Join(dir, controlName)
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := listenControl(t.Context(), dir); err == nil {
		l.Close()
		t.Error("a file was taken for a socket")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("the file is %q, %v", b, err)
	}
}

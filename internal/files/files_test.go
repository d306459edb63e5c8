package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(path("small"), []byte("1234"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", path("loop")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		limit int64
		want  error
	}{
		{"small", 4, nil},
		{"small", 3, ErrTooBig},
		{"missing", 4, fs.ErrNotExist},
		{"small/x", 4, syscall.ENOTDIR},
		{"pipe", 4, ErrNotRegular},
		{".", 4, ErrNotRegular},
		{"loop", 4, syscall.ELOOP},
	}
	for _, test := range tests {
		data, err := Read(path(test.name), test.limit)
		if !errors.Is(err, test.want) {
			t.Errorf("Read(%s, %d): %v, want %v", test.name, test.limit, err, test.want)
		}
		if (err == nil) != (string(data) == "1234") {
			t.Errorf("Read(%s, %d): %q, %v", test.name, test.limit, data, err)
		}
	}
	if _, err := Read("/dev/zero", 4); !errors.Is(err, ErrNotRegular) {
		t.Errorf("Read of a device: %v", err)
	}
}

func TestIsPicture(t *testing.T) {
	for name, want := range map[string]bool{
		"a.jpg": true, "a.JPEG": true, "dir.d/a.png": true, "a.gif": false, "a": false, "._a.jpg": false, "dir/.a.png": false, "": false,
	} {
		if IsPicture(name) != want {
			t.Errorf("IsPicture(%q) is %v", name, !want)
		}
	}
}

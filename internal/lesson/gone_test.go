package lesson

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"teachbox/device"
)

// TestPulled takes the file away while it is open: nothing is acknowledged that
// would be lost, what was taught still answers, and learning goes on once the
// file is back.
func TestPulled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "stick")
	s, err := Open(Options{Path: filepath.Join(dir, "lesson.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	keep := func() error {
		_, err := s.Keep(Keep{Button: device.Button(0), Press: NewPressID(), Embedding: embedding(1, 2)})
		return err
	}
	if err := keep(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".pulled"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := keep(); err == nil || errors.Is(err, ErrDamaged) {
			t.Errorf("a frame was kept in a file that is gone: %v", err)
		}
		if s.Retry() == nil || s.Writable() == nil {
			t.Error("the file is gone, and can be written")
		}
	}
	if n := s.Contents().Frames; n != 1 {
		t.Errorf("%d frames while the file is gone, want 1", n)
	}
	if err := os.RemoveAll(dir); err != nil { // the lock's folder may have been made again
		t.Fatal(err)
	}
	if err := os.Rename(dir+".pulled", dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Retry(); err != nil {
		t.Fatalf("the file is back: %v", err)
	}
	if err := keep(); err != nil {
		t.Fatal(err)
	}
}

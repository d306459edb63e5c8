package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/internal/lesson"
)

// empty demands that nothing stays in the folder for files. Whoever asked may
// have the answer before all is cleared.
func empty(t *testing.T, s *Server) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		entries, err := os.ReadDir(s.opt.TempDir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s was left", entries[0].Name())
		}
		time.Sleep(time.Millisecond)
	}
}

// A lesson goes from one box to another.
func TestFile(t *testing.T) {
	for name, client := range map[string]func(testing.TB, *Server) *Client{"local": local, "remote": remote} {
		t.Run(name, func(t *testing.T) {
			from := newBox(t)
			from.teach(0, 3)
			from.teach(1, 2)
			s := newServer(t, from)
			var file bytes.Buffer
			if err := client(t, s).Save(t.Context(), &file); err != nil {
				t.Fatal(err)
			}
			empty(t, s)

			to := newBox(t)
			to.teach(3, 1)
			s = newServer(t, to)
			c := client(t, s)
			before := to.contents()
			_, err := c.Load(t.Context(), before.Revision-1, bytes.NewReader(file.Bytes()))
			refused(t, err, "conflict", http.StatusConflict)
			done, err := c.Load(t.Context(), before.Revision, bytes.NewReader(file.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if done.Done != "loaded a lesson of 2 presses; the one before is kept" || done.Kept.ID != before.Lesson {
				t.Errorf("%q, kept %+v", done.Done, done.Kept)
			}
			if got := to.contents(); got.Presses != 2 || got.Frames != 5 || got.Kept != 1 {
				t.Errorf("loaded %+v", got)
			}
			presses, err := to.store.Presses()
			if err != nil || presses[0].Pictures != 3 {
				t.Errorf("presses %+v, %v", presses, err)
			}
			empty(t, s)
		})
	}
}

// A file that is not all there, too large or none at all changes nothing and
// leaves nothing.
func TestBadFile(t *testing.T) {
	b := newBox(t)
	b.teach(0, 1)
	s := unlimited(newServer(t, b))
	s.maxFile = 10_000
	c := remote(t, s)
	before := b.contents().Revision
	_, err := c.Load(t.Context(), before, strings.NewReader(strings.Repeat("x", 10_001)))
	refused(t, err, CodeTooLarge, http.StatusRequestEntityTooLarge)
	_, err = c.Load(t.Context(), before, io.LimitReader(endless{}, 20_000)) // of a length that is not told
	refused(t, err, CodeTooLarge, http.StatusRequestEntityTooLarge)
	_, err = c.Load(t.Context(), before, strings.NewReader("no lesson"))
	if e := refused(t, err, "file", http.StatusUnprocessableEntity); !errors.Is(e, lesson.ErrFile) || !strings.Contains(e.Message, "the file that was sent") {
		t.Errorf("%+v", e)
	}
	if _, err = c.Load(t.Context(), before, io.MultiReader(strings.NewReader("half"), broken{})); err == nil {
		t.Error("half a file was loaded")
	}
	// The server may still be reading the half.
	if _, err := c.Snapshot(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if b.contents().Revision != before {
		t.Error("the lesson was changed")
	}
	empty(t, s)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the stick was pulled") }

// Whoever stops sending is dropped, and one file is received at a time.
func TestStalledFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, &fakeBox{TB: t})
		c := remote(t, s)
		slow, far := io.Pipe()
		defer slow.Close()
		ended := make(chan error, 1)
		began := time.Now()
		go func() {
			_, err := c.Load(t.Context(), 1, slow)
			ended <- err
		}()
		for range 5 { // slow, but not silent
			time.Sleep(stall / 2)
			if _, err := far.Write([]byte("some")); err != nil {
				t.Fatal(err)
			}
		}
		_, err := c.Load(t.Context(), 1, strings.NewReader("other"))
		refused(t, err, CodeBusy, http.StatusServiceUnavailable)
		if err := <-ended; err == nil {
			t.Error("half a file was loaded")
		}
		if d := time.Since(began); d != 5*stall/2+stall {
			t.Errorf("dropped after %v", d)
		}
		synctest.Wait()
		empty(t, s)
		if len(s.whole) != 0 {
			t.Error("no other file can be received")
		}
	})
}

// A box may take its time for an answer: nobody stalls meanwhile.
func TestSlowBox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := remote(t, newServer(t, slowBox{&fakeBox{TB: t}}))
		if _, err := c.Load(t.Context(), 1, strings.NewReader("file")); err != nil {
			t.Errorf("load: %v", err)
		}
		if _, err := c.Edit(t.Context(), 1, lesson.New{}); err != nil {
			t.Errorf("edit: %v", err)
		}
	})
}

type slowBox struct{ *fakeBox }

func (slowBox) Edit(ctx context.Context, _ int64, _ lesson.Edit) (lesson.Result, error) {
	select {
	case <-ctx.Done():
		return lesson.Result{}, ctx.Err()
	case <-time.After(6 * stall):
		return lesson.Result{}, nil
	}
}

// What a pulled plug left is removed at the next start, and nothing else.
func TestLeftFiles(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, tempPrefix+"123")
	other := filepath.Join(dir, tempPrefix+"monday")
	for _, path := range []string{filepath.Join(left, "lesson"), other} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("taught"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	blocks := filepath.Join(dir, "blocks") // of the disk
	if err := os.Link(filepath.Join(left, "lesson"), blocks); err != nil {
		t.Fatal(err)
	}
	New(nil, Options{TempDir: dir})
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was left: %v", err)
	}
	if b, err := os.ReadFile(blocks); err != nil || string(b) != "\x00\x00\x00\x00\x00\x00" {
		t.Errorf("what was in it: %q, %v (want zeros)", b, err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

// A folder that cannot be written is said to be so.
func TestNoRoom(t *testing.T) {
	b := newBox(t)
	s := New(b, Options{TempDir: filepath.Join(t.TempDir(), "missing")})
	c := local(t, s)
	err := c.Save(t.Context(), io.Discard)
	refused(t, err, "io", http.StatusServiceUnavailable)
	if !errors.Is(err, lesson.ErrIO) {
		t.Error(err)
	}
}

// What keeps a file from being written is told as the lesson tells it.
func TestStorage(t *testing.T) {
	for cause, code := range map[error]string{
		syscall.ENOSPC: "full", syscall.EDQUOT: "full", syscall.EROFS: "read-only", syscall.EACCES: "read-only", syscall.EIO: "io",
	} {
		err := storage("receiving the file", &os.PathError{Op: "write", Path: "file", Err: cause})
		if e := errorOf(err); e.Code != code || e.Status != http.StatusServiceUnavailable || !errors.Is(err, cause) {
			t.Errorf("%v: %+v", cause, e)
		}
	}
}

// The file has the name of the lesson, on whatever system it is saved.
func TestFileName(t *testing.T) {
	b := newBox(t)
	b.teach(0, 1)
	if _, err := b.Edit(context.Background(), lesson.AnyRevision, lesson.Describe{Name: `../Küche: "a/b"`}); err != nil {
		t.Fatal(err)
	}
	_, _, header := ask(t, local(t, newServer(t, b)), "GET", prefix+"/lesson/file", "", "")
	kind, params, err := mime.ParseMediaType(header.Get("Content-Disposition"))
	if want := "-Küche- -a-b-.teachbox"; err != nil || kind != "attachment" || params["filename"] != want {
		t.Errorf("%q: %s, %v, %v; want %s", header.Get("Content-Disposition"), kind, params, err, want)
	}
}

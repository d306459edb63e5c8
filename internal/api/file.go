package api

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"teachbox/internal/lesson"
)

// fileType is the type of a lesson file.
const fileType = "application/vnd.sqlite3"

// tempPrefix begins the names of folders with files that are sent or received.
const tempPrefix = ".transfer-"

// removeTemp removes what was left of transfers when the power went.
func removeTemp(dir string) {
	entries, _ := os.ReadDir(dir) // one that is not there has none
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), tempPrefix) {
			clearTemp(filepath.Join(dir, e.Name()))
		}
	}
}

// clearTemp removes a folder with files that were sent or received, so that
// nothing of what was taught stays on the disk. What fails is left to the next
// start.
func clearTemp(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if err := lesson.Shred(filepath.Join(dir, e.Name())); err != nil {
			return
		}
	}
	_ = os.Remove(dir)
}

// transfer gives f a folder to put a file in, one at a time.
func (s *Server) transfer(f func(dir string) error) error {
	return s.one(func() error {
		dir, err := os.MkdirTemp(s.opt.TempDir, tempPrefix) // for this user only
		if err != nil {
			return storage("making room for the file", err)
		}
		defer clearTemp(dir)
		return f(dir)
	})
}

// storage says what kept a file from being written.
func storage(doing string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s: %w (%w): free some space", doing, lesson.ErrFull, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s: %w (%w): let the user of teachbox write there", doing, lesson.ErrReadOnly, err)
	}
	return fmt.Errorf("%s: %w (%w): check the card or disk", doing, lesson.ErrIO, err)
}

// getFile sends the lesson in hand as a file.
func (s *Server) getFile(w http.ResponseWriter, r *http.Request) error {
	return s.transfer(func(dir string) error {
		path := filepath.Join(dir, "lesson")
		name := "lesson"
		err := s.box.View(r.Context(), func(l Lesson) error {
			if c := l.Contents(); c.Name != "" {
				name = c.Name
			}
			return l.Save(path)
		})
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return storage("reading the file", err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return storage("reading the file", err)
		}
		h := w.Header()
		h.Set("Content-Type", fileType)
		h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": fileName(name)}))
		_, _ = io.Copy(w, f) // whoever asked finds the length wrong
		return nil
	})
}

// fileName makes a lesson's name one of a file on any system.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, r) {
			return '-'
		}
		return r
	}, strings.TrimLeft(name, ".")) + ".teachbox"
}

// putFile takes the lesson of a file in hand.
func (s *Server) putFile(w http.ResponseWriter, r *http.Request) error {
	var revision int64
	if text := r.URL.Query().Get("revision"); text != "" {
		var err error
		if revision, err = strconv.ParseInt(text, 10, 64); err != nil {
			return badInput("revision=%.20q: want a number", text)
		}
	}
	switch {
	case revision == lesson.AnyRevision:
		return s.missing(r)
	case r.ContentLength > s.maxFile:
		return tooLarge(s.maxFile)
	}
	return s.transfer(func(dir string) error {
		path := filepath.Join(dir, "lesson")
		if err := s.receive(w, r, path); err != nil {
			return err
		}
		err := s.edit(w, r, revision, lesson.Load{Path: path})
		if e, ok := errors.AsType[*Error](err); ok {
			e.Message = strings.ReplaceAll(e.Message, path, "the file that was sent")
		}
		return err
	})
}

// receive writes the body of a request to a new file.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return storage("receiving the file", err)
	}
	defer f.Close()
	body := &sender{r: http.MaxBytesReader(w, r.Body, s.maxFile)}
	_, err = io.Copy(f, body)
	if _, large := errors.AsType[*http.MaxBytesError](body.err); large {
		return tooLarge(s.maxFile)
	}
	if body.err != nil && body.err != io.EOF {
		return badInput("the file did not come whole: %v: send it again", body.err)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return storage("receiving the file", err)
	}
	return nil
}

// A sender remembers whether it was the other side that failed.
type sender struct {
	r   io.Reader
	err error
}

func (s *sender) Read(p []byte) (n int, err error) {
	n, err = s.r.Read(p)
	s.err = err
	return n, err
}

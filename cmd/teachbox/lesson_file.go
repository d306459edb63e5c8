package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"teachbox/internal/api"
	"teachbox/internal/lesson"
)

// lessonSaveCmd saves the lesson in hand.
type lessonSaveCmd struct {
	boxFlags
	File string `arg:"" help:"The file; - is standard output."`
}

func (c *lessonSaveCmd) Run(ctx context.Context, top *cli, s std) error {
	if c.File == "-" && isTerminal(s.out) {
		return usageError{errors.New("lesson save: a lesson is nothing to read on a terminal (name a file, or redirect the output)")}
	}
	return c.with(ctx, top, s, func(r *reached) error {
		if c.File == "-" {
			return r.Save(ctx, s.out)
		}
		err := writeDurably(c.File, func(w io.Writer) error { return r.Save(ctx, w) })
		if err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
		_, err = fmt.Fprintln(s.out, "saved to", c.File)
		return err
	})
}

// lessonLoadCmd takes a lesson from a file.
type lessonLoadCmd struct {
	boxFlags
	File string `arg:"" help:"The file, as save wrote it."`
}

func (c *lessonLoadCmd) Run(ctx context.Context, top *cli, s std) error {
	info, err := os.Stat(c.File) // a pipe would be waited for
	if err != nil {
		return fmt.Errorf("lesson load: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("lesson load: %s: not a file (name one that save wrote)", c.File)
	}
	f, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("lesson load: %w", err)
	}
	defer f.Close()
	r, err := c.reach(ctx, top, s, true)
	if err != nil {
		return err
	}
	return r.use(func(r *reached) error {
		in, err := r.Lesson(ctx)
		if err != nil {
			return err
		}
		done, err := r.Load(ctx, in.Contents.Revision, f)
		switch {
		case errors.Is(err, lesson.ErrConflict):
			return conflict(err)
		case err != nil:
			return fmt.Errorf("%s: %w", c.File, err)
		}
		return say(s, done)
	})
}

// lessonCheckCmd checks a lesson file.
type lessonCheckCmd struct {
	boxFlags
	File string `arg:"" optional:"" help:"A lesson file that no box uses (default: that of the box)."`
	JSON bool   `help:"Print JSON."`
}

func (c *lessonCheckCmd) Run(ctx context.Context, top *cli, s std) error {
	if c.File != "" {
		r := &reached{api.NewLocalClient(api.New(fileAlone{path: c.File}, api.Options{})), func() error { return nil }}
		return c.check(ctx, s, r, c.File)
	}
	return c.with(ctx, top, s, func(r *reached) error { return c.check(ctx, s, r, "lesson file") })
}

// A fileAlone is a lesson file that can be checked, and nothing else.
type fileAlone struct {
	api.Box
	api.Lesson
	path string
}

// View implements api.Box.
func (f fileAlone) View(_ context.Context, do func(api.Lesson) error) error { return do(f) }

// Check implements api.Lesson.
func (f fileAlone) Check() (lesson.Check, error) { return lesson.CheckFile(f.path) }

// check prints what is in a file that is whole; one that is not is an error.
func (c *lessonCheckCmd) check(ctx context.Context, s std, r *reached, file string) error {
	found, err := r.Check(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(found)
	}
	fmt.Fprintf(s.out, "%s: whole (%d kB, version %d)\n", file, (found.Bytes+999)/1000, found.Version)
	for i, k := range found.Lessons {
		what := "put away"
		if i == 0 {
			what = "in hand"
		}
		fmt.Fprintf(s.out, "%s: %s (kept pictures: %d)\n", titled(what, k.Name), amounts(len(k.Classes), k.Presses, k.Frames), k.Pictures)
	}
	return nil
}

// lessonEraseCmd erases everything.
type lessonEraseCmd struct {
	boxFlags
	Yes bool `help:"Do not ask."`
}

func (c *lessonEraseCmd) Run(ctx context.Context, top *cli, s std) error {
	if !c.Yes && !isTerminal(s.in) {
		return usageError{errors.New("lesson erase: nobody can be asked (say --yes if you are sure)")}
	}
	r, err := c.running(ctx, top, s)
	if _, named := c.named(); errors.Is(err, errNoBox) && !named {
		return c.alone(top, s)
	}
	if err != nil {
		return err
	}
	return r.use(func(r *reached) error {
		in, err := r.Lesson(ctx)
		if err != nil {
			return err
		}
		if sure, err := c.sure(s, amounts(len(in.Contents.Classes), in.Contents.Presses, in.Contents.Frames), in.Contents.Kept); err != nil || !sure {
			return err
		}
		done, err := r.Erase(ctx, in.Contents.Revision, in.Contents.Lesson)
		if err != nil {
			return conflict(err)
		}
		return say(s, done)
	})
}

// alone erases while no box runs, whatever the lesson is like. A box may start
// while somebody is asked, and is not erased then.
func (c *lessonEraseCmd) alone(top *cli, s std) error {
	at, err := c.file(top)
	if err != nil {
		return err
	}
	dir := filepath.Dir(at.Path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return noLesson(dir)
	}
	inHand, kept := "one that cannot be read", 0
	if _, err := os.Lstat(at.Path); err == nil {
		// What there is may need no more than reading.
		if store, err := lesson.Open(at); err == nil {
			in := store.Contents()
			inHand, kept = amounts(len(in.Classes), in.Presses, in.Frames), in.Kept
			store.Close()
		}
	}
	if sure, err := c.sure(s, inHand, kept); err != nil || !sure {
		return err
	}
	if err := lesson.EraseFile(at); err != nil {
		return inUse(dir, err)
	}
	_, err = fmt.Fprintln(s.out, "erased everything.", lesson.Unreachable)
	return err
}

// sure asks, and reports whether the person wants it.
func (c *lessonEraseCmd) sure(s std, inHand string, kept int) (bool, error) {
	if c.Yes {
		return true, nil
	}
	fmt.Fprintf(s.out, "Everything that was ever taught will be erased: the lesson in hand (%s), the %s put away, and all backups.\n"+
		"This cannot be undone. %s\nWrite erase to go on: ",
		inHand, count(kept, "lesson", "lessons"), lesson.Unreachable)
	answer, err := bufio.NewReader(s.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, err
	}
	if strings.TrimSpace(answer) != "erase" {
		_, err := fmt.Fprintln(s.out, "nothing was erased")
		return false, err
	}
	return true, nil
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"teachbox/device"
	"teachbox/internal/api"
	"teachbox/internal/lesson"
)

// lessonCmd looks at what a box was taught, and changes it.
type lessonCmd struct {
	Show     lessonShowCmd     `cmd:"" help:"Show the lesson in hand: its classes and presses, and what undo would undo."`
	List     lessonListCmd     `cmd:"" help:"List the lessons that were put away."`
	History  lessonHistoryCmd  `cmd:"" help:"Tell what was done, the last first."`
	Undo     lessonUndoCmd     `cmd:"" help:"Undo the last step, or several."`
	Redo     lessonRedoCmd     `cmd:"" help:"Do again what was undone."`
	Rename   lessonRenameCmd   `cmd:"" help:"Give a class a name."`
	Describe lessonDescribeCmd `cmd:"" help:"Give the lesson a name or a note."`
	Move     lessonMoveCmd     `cmd:"" help:"Move a press to another class."`
	Merge    lessonMergeCmd    `cmd:"" help:"Move all presses of a class into another one."`
	Drop     lessonDropCmd     `cmd:"" help:"Remove a press."`
	TakeBack lessonTakeBackCmd `cmd:"" help:"Remove the last press of a class."`
	Forget   lessonForgetCmd   `cmd:"" help:"Forget a class."`
	New      lessonNewCmd      `cmd:"" help:"Put the lesson away and begin a new one."`
	Restore  lessonRestoreCmd  `cmd:"" help:"Take a lesson that was put away in hand again."`
	Save     lessonSaveCmd     `cmd:"" help:"Save the lesson in hand to a file."`
	Load     lessonLoadCmd     `cmd:"" help:"Take the lesson of a file in hand."`
	Check    lessonCheckCmd    `cmd:"" help:"Check the box's lesson file, or another one."`
	Erase    lessonEraseCmd    `cmd:"" help:"Erase everything that was ever taught."`
}

// Help explains what the commands share.
func (lessonCmd) Help() string {
	return "A CLASS is 1 to 8, nothing, or the name of the class. A PRESS is its id as show tells it, " +
		"or the beginning or the end of its whole id, if no other press has the same. " +
		"Where no box runs, the commands open the lesson themselves."
}

// An editor makes the edit that a command wants out of the lesson as it is.
type editor func(in api.InHand) (lesson.Edit, error)

// edit carries out one edit on the lesson as it was just looked at, and says
// what was done.
func (f boxFlags) edit(ctx context.Context, top *cli, s std, make editor) error {
	return f.with(ctx, top, s, func(r *reached) error {
		in, err := r.Lesson(ctx)
		if err != nil {
			return err
		}
		e, err := make(in)
		if err != nil {
			return err
		}
		done, err := r.Edit(ctx, in.Contents.Revision, e)
		if err != nil {
			return conflict(err)
		}
		return say(s, done)
	})
}

// with finds a box, or opens the lesson, and hands it on.
func (f boxFlags) with(ctx context.Context, top *cli, s std, do func(*reached) error) error {
	r, err := f.reach(ctx, top, s, false)
	if err != nil {
		return err
	}
	return r.use(do)
}

// use closes r when do has returned.
func (r *reached) use(do func(*reached) error) error { return errors.Join(do(r), r.close()) }

// conflict says plainly that somebody else was faster.
func conflict(err error) error {
	if errors.Is(err, lesson.ErrConflict) {
		return errors.New("somebody else changed the lesson at this moment, so nothing was done (look at it: teachbox lesson show; then try again)")
	}
	return err
}

// say prints what was done.
func say(s std, done api.Done) error {
	_, err := fmt.Fprintln(s.out, done.Done)
	return err
}

// classNames are the live classes as people may name them, for a message.
func classNames(in api.InHand) string {
	var names []string
	for _, k := range in.Contents.Classes {
		names = append(names, nameOf(k))
	}
	if len(names) == 0 {
		return "no class was taught yet"
	}
	return "there are " + strings.Join(names, ", ")
}

// nameOf is the name of a class and its number, such as "ball (1)", or its button
// alone if it has no other name.
func nameOf(k api.Class) string {
	if k.Name == k.Button {
		return k.Name
	}
	return fmt.Sprintf("%s (%s)", k.Name, strings.TrimPrefix(k.Button, "class "))
}

// findClass finds what a person calls a class: 1 to 8, nothing, or its name.
func findClass(in api.InHand, text string) (device.Button, error) {
	if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= device.MaxSlots {
		b := device.Button(n - 1)
		for _, k := range in.Contents.Classes {
			if k.Name == text && k.Button != b.String() {
				return 0, fmt.Errorf("class %q: is that button %d, or %s, which is called so? (say %q or %q)", text, n, k.Button, b, k.Button)
			}
		}
		return b, nil
	}
	if b, err := api.ParseButton(strings.ToLower(text)); err == nil {
		return b, nil
	}
	for _, k := range in.Contents.Classes {
		if strings.EqualFold(k.Name, text) {
			return api.ParseButton(k.Button)
		}
	}
	return 0, fmt.Errorf("class %q: there is none (%s; a class is named by 1 to %d, nothing, or its name)", text, classNames(in), device.MaxSlots)
}

// minID is the least number of letters of an id that is shown.
const minID = 4

// findID finds the one id of a list that a person means: whole, by its beginning
// or by its end. what says what the ids name.
func findID(ids []string, what, text string) (string, error) {
	if slices.Contains(ids, text) {
		return text, nil
	}
	low := strings.ToLower(text)
	var found []string
	for _, id := range ids {
		if low != "" && (strings.HasPrefix(id, low) || strings.HasSuffix(id, low)) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%s %q: there is none", what, text)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%s %q: %d have such an id (write more of it)", what, text, len(found))
}

// shortIDs are the shortest ends of ids that name them, in the same order.
func shortIDs(ids []string) []string {
	n := minID
	short := make([]string, len(ids))
	for {
		seen := make(map[string]bool)
		for i, id := range ids {
			short[i] = id[max(0, len(id)-n):]
			seen[short[i]] = true
		}
		if len(seen) == len(ids) || n > 36 {
			return short
		}
		n++
	}
}

// findPress finds the press that a person means.
func findPress(in api.InHand, text string) (string, error) {
	id, err := findID(pressIDs(in), "press", text)
	if err != nil {
		return "", fmt.Errorf("%w; see teachbox lesson show", err)
	}
	return id, nil
}

func pressIDs(in api.InHand) []string {
	var ids []string
	for _, p := range in.Presses {
		ids = append(ids, p.ID)
	}
	return ids
}

// lessonUndoCmd undoes steps.
type lessonUndoCmd struct {
	boxFlags
	N int `arg:"" optional:"" default:"1" help:"How many steps."`
}

func (c *lessonUndoCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.repeat(ctx, top, s, c.N, lesson.Undo{})
}

// lessonRedoCmd does steps again.
type lessonRedoCmd struct {
	boxFlags
	N int `arg:"" optional:"" default:"1" help:"How many steps."`
}

func (c *lessonRedoCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.repeat(ctx, top, s, c.N, lesson.Redo{})
}

// maxRepeat is how many steps a command undoes at most.
const maxRepeat = 40

// repeat carries out an edit several times, each on what the one before left.
func (f boxFlags) repeat(ctx context.Context, top *cli, s std, n int, e lesson.Edit) error {
	if n < 1 || n > maxRepeat {
		return usageError{fmt.Errorf("%d steps: out of range (want 1 to %d)", n, maxRepeat)}
	}
	return f.with(ctx, top, s, func(r *reached) error {
		in, err := r.Lesson(ctx)
		if err != nil {
			return err
		}
		for revision := in.Contents.Revision; n > 0; n-- {
			done, err := r.Edit(ctx, revision, e)
			if err != nil {
				return conflict(err)
			}
			if err := say(s, done); err != nil {
				return err
			}
			revision = done.Revision
		}
		return nil
	})
}

// lessonRenameCmd names a class.
type lessonRenameCmd struct {
	boxFlags
	Class string `arg:"" help:"The class."`
	Name  string `arg:"" help:"Its new name."`
}

func (c *lessonRenameCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.edit(ctx, top, s, func(in api.InHand) (lesson.Edit, error) {
		b, err := findClass(in, c.Class)
		return lesson.Rename{Button: b, Name: c.Name}, err
	})
}

// lessonDescribeCmd describes the lesson.
type lessonDescribeCmd struct {
	boxFlags
	Name *string `help:"The name; empty to take it away."`
	Note *string `help:"The note; empty to take it away."`
}

func (c *lessonDescribeCmd) Run(ctx context.Context, top *cli, s std) error {
	if c.Name == nil && c.Note == nil {
		return usageError{errors.New("lesson describe: nothing to write (give --name, --note or both)")}
	}
	return c.edit(ctx, top, s, func(in api.InHand) (lesson.Edit, error) {
		return lesson.Describe{Name: *cmp.Or(c.Name, &in.Contents.Name), Note: *cmp.Or(c.Note, &in.Contents.Note)}, nil
	})
}

// lessonMoveCmd moves a press.
type lessonMoveCmd struct {
	boxFlags
	Press string `arg:"" help:"The press."`
	Class string `arg:"" help:"The class that it belongs to."`
}

func (c *lessonMoveCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.edit(ctx, top, s, func(in api.InHand) (lesson.Edit, error) {
		press, wrong := findPress(in, c.Press)
		to, err := findClass(in, c.Class)
		return lesson.Move{Press: press, To: to}, cmp.Or(wrong, err)
	})
}

// lessonMergeCmd merges two classes.
type lessonMergeCmd struct {
	boxFlags
	From string `arg:"" help:"The class that ends."`
	Into string `arg:"" help:"The class that gets its presses."`
}

func (c *lessonMergeCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.edit(ctx, top, s, func(in api.InHand) (lesson.Edit, error) {
		from, wrong := findClass(in, c.From)
		into, err := findClass(in, c.Into)
		return lesson.Merge{From: from, Into: into}, cmp.Or(wrong, err)
	})
}

// lessonDropCmd removes a press.
type lessonDropCmd struct {
	boxFlags
	Press string `arg:"" help:"The press."`
}

func (c *lessonDropCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.edit(ctx, top, s, func(in api.InHand) (lesson.Edit, error) {
		press, err := findPress(in, c.Press)
		return lesson.Drop{Press: press}, err
	})
}

// lessonTakeBackCmd takes the last press of a class back.
type lessonTakeBackCmd struct {
	boxFlags
	Class string `arg:"" help:"The class."`
}

func (c *lessonTakeBackCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.edit(ctx, top, s, func(in api.InHand) (lesson.Edit, error) {
		b, err := findClass(in, c.Class)
		return lesson.TakeBack{Button: b}, err
	})
}

// lessonForgetCmd forgets a class.
type lessonForgetCmd struct {
	boxFlags
	Class string `arg:"" help:"The class."`
}

func (c *lessonForgetCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.edit(ctx, top, s, func(in api.InHand) (lesson.Edit, error) {
		b, err := findClass(in, c.Class)
		return lesson.Forget{Button: b}, err
	})
}

// lessonNewCmd begins a new lesson.
type lessonNewCmd struct{ boxFlags }

func (c *lessonNewCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.edit(ctx, top, s, func(api.InHand) (lesson.Edit, error) { return lesson.New{}, nil })
}

// lessonRestoreCmd brings a lesson back.
type lessonRestoreCmd struct {
	boxFlags
	Lesson string `arg:"" optional:"" help:"Its number in the list, its name or its id (default: the last one)."`
}

func (c *lessonRestoreCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.with(ctx, top, s, func(r *reached) error {
		in, err := r.Lesson(ctx)
		if err != nil {
			return err
		}
		e := lesson.Restore{}
		if c.Lesson != "" {
			kept, err := r.Lessons(ctx)
			if err != nil {
				return err
			}
			if e.Lesson, err = findLesson(kept, c.Lesson); err != nil {
				return err
			}
		}
		done, err := r.Edit(ctx, in.Contents.Revision, e)
		if err != nil {
			return conflict(err)
		}
		return say(s, done)
	})
}

// findLesson finds the lesson that a person means, by its number in the list,
// its name or its id.
func findLesson(kept []api.Kept, text string) (string, error) {
	if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= len(kept) && text[0] != '0' {
		return kept[n-1].ID, nil
	}
	var ids, called []string
	for _, k := range kept {
		ids = append(ids, k.ID)
		if strings.EqualFold(k.Name, text) {
			called = append(called, k.ID)
		}
	}
	switch len(called) {
	case 0:
		id, err := findID(ids, "lesson", text)
		if err != nil {
			return "", fmt.Errorf("%w; see teachbox lesson list", err)
		}
		return id, nil
	case 1:
		return called[0], nil
	}
	return "", fmt.Errorf("lesson %q: %d have that name (give its number; see teachbox lesson list)", text, len(called))
}

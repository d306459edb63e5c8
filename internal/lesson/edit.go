package lesson

import (
	"database/sql"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"teachbox/device"
	"teachbox/inference"
)

// AnyRevision is the expected revision of an edit that is to be done whatever
// the lesson has become meanwhile, as a gesture at the box is.
const AnyRevision = 0

// Bounds of what people may write, in characters.
const (
	MaxName = 40
	MaxNote = 1000
)

// An Edit is one operation on the lesson in hand: a value of one of the types
// below. Classes are named by their buttons, each of which has one live class
// at most.
type Edit interface {
	carryOut(s *Store) (Result, error)
}

// The edits. Those from TakeBack to Describe are steps, which Undo undoes and
// Redo does again; a press that was taught is a step too.
type (
	// Undo undoes the last step that is not undone.
	Undo struct{}
	// Redo does again the step that was undone last. A new step ends what can
	// be done again.
	Redo struct{}

	// TakeBack removes the last live press of a class. The class remains, even
	// without any press left.
	TakeBack struct{ Button device.Button }
	// Forget removes a class; the next press of its button makes a new one.
	Forget struct{ Button device.Button }
	// Drop removes one press.
	Drop struct{ Press string }
	// Move gives a press to another class, which is made if there is none.
	Move struct {
		Press string
		To    device.Button
	}
	// Merge moves every press of one class into another, and removes the first.
	Merge struct{ From, Into device.Button }
	// Rename gives a class a name of at most MaxName characters. No two live
	// classes have the same.
	Rename struct {
		Button device.Button
		Name   string
	}
	// Describe gives the lesson a name of at most MaxName characters, and a note
	// of at most MaxNote. Both may be empty.
	Describe struct{ Name, Note string }

	// New puts the lesson in hand away and begins an empty one. Of more than ten
	// kept lessons the oldest is removed for good; a lesson of fewer than three
	// presses is itself removed where there is no room. A lesson without a live
	// press is not kept, nor are the presses that were taken back in it.
	New struct{}
	// Restore brings a kept lesson back in hand: the one with that id, or the
	// last one. The lesson in hand is put away as New does.
	Restore struct {
		Lesson string
		In     *inference.Space // that some of it must be comparable in (ErrSpace); nil: any
	}
	// Load takes the lesson of a file that Save wrote in hand, with ids of its
	// own. The lesson in hand is put away as New does.
	Load struct {
		Path string
		In   *inference.Space // as for Restore
	}
	// Erase removes everything that was ever taught from the file and from
	// whatever lies beside it, and begins anew. It cannot be undone.
	Erase struct{}
)

// A Result tells what an edit did.
type Result struct {
	// Step is what was done; of Undo and Redo, what was undone or done again.
	Step Step
	// Contents are those after it.
	Contents Contents
	// Kept tells where the lesson that was in hand is now. It is nil if there was
	// none to keep, or no room.
	Kept *Kept
	// Gone is the lesson that was removed for good, because more are not kept: the
	// oldest one, or the one that was in hand. It is nil if there was room.
	Gone *Kept
}

// done is what an edit has done in its transaction.
type done struct {
	step   Step
	kept   *Kept
	gone   *Kept
	erased bool // rows were removed for good, which the log still holds
}

// Edit carries out one edit, if the lesson is still at the expected revision
// (ErrConflict if not; AnyRevision is always right). When it returns without
// an error the edit is on the disk. Refusals leave everything as it was; the
// other errors are those of Writable.
func (s *Store) Edit(revision int64, e Edit) (Result, error) {
	if revision != AnyRevision && revision != s.contents.revision {
		return Result{}, fmt.Errorf("%w: it is at revision %d (want %d): look at it again", ErrConflict, s.contents.revision, revision)
	}
	return e.carryOut(s)
}

// edit carries out an edit in one transaction.
func (s *Store) edit(do func(*sql.Tx) (*done, error)) (Result, error) {
	var d *done
	err := s.write("changing the lesson", func(tx *sql.Tx) (func(), error) {
		var err error
		if d, err = do(tx); err != nil {
			return nil, err
		}
		after, err := load(tx)
		return func() {
			if s.backed == "" && after.id != s.contents.id {
				s.backed = s.contents.id // with none, another lesson is a reason to begin
			}
			s.contents = after
		}, err
	})
	if err != nil {
		return Result{}, err
	}
	if d.erased {
		s.clean()
	}
	return Result{Step: d.step, Contents: s.Contents(), Kept: d.kept, Gone: d.gone}, nil
}

// step writes an operation down, and does what it changes.
func (s *Store) step(tx *sql.Tx, kind, target string, changes ...change) (*done, error) {
	op, err := s.operation(tx, s.contents.seq, kind, target)
	if err != nil {
		return nil, err
	}
	return s.finish(tx, op, changes...)
}

// finish does what an operation changes and writes it down.
func (s *Store) finish(tx *sql.Tx, op int64, changes ...change) (*done, error) {
	for _, c := range changes {
		if err := c.do(tx, op); err != nil {
			return nil, err
		}
	}
	if err := writeDown(tx, op, changes...); err != nil {
		return nil, err
	}
	step, err := readStep(tx, op)
	return &done{step: step}, err
}

func (e TakeBack) carryOut(s *Store) (Result, error) {
	return s.edit(func(tx *sql.Tx) (*done, error) {
		k := s.contents.class(e.Button)
		if k == nil || len(k.presses) == 0 {
			return nil, fmt.Errorf("%w: %v has no press", ErrNothingToTakeBack, e.Button)
		}
		p := k.presses[len(k.presses)-1]
		return s.step(tx, opTakeBack, p.id, removed(tablePress, p.seq))
	})
}

func (e Forget) carryOut(s *Store) (Result, error) {
	return s.edit(func(tx *sql.Tx) (*done, error) {
		k := s.contents.class(e.Button)
		if k == nil {
			return nil, fmt.Errorf("%w: %v was not taught", ErrNothingToForget, e.Button)
		}
		return s.step(tx, opForget, k.id, removed(tableClass, k.seq))
	})
}

func (e Drop) carryOut(s *Store) (Result, error) {
	return s.edit(func(tx *sql.Tx) (*done, error) {
		_, p := s.contents.press(e.Press)
		if p == nil {
			return nil, fmt.Errorf("%w: %q", ErrNoPress, e.Press)
		}
		return s.step(tx, opDrop, p.id, removed(tablePress, p.seq))
	})
}

func (e Move) carryOut(s *Store) (Result, error) {
	return s.edit(func(tx *sql.Tx) (*done, error) {
		from, p := s.contents.press(e.Press)
		switch {
		case p == nil:
			return nil, fmt.Errorf("%w: %q", ErrNoPress, e.Press)
		case from.button == e.To:
			return nil, fmt.Errorf("%w: the press is of %q already", ErrNoChange, from.name)
		case e.To > device.Nothing:
			return nil, fmt.Errorf("%w: there is no button %d", ErrNoClass, e.To)
		}
		op, err := s.operation(tx, s.contents.seq, opMove, p.id)
		if err != nil {
			return nil, err
		}
		var changes []change
		to := s.contents.class(e.To)
		if to == nil {
			if to, err = s.makeClass(tx, e.To, op); err != nil {
				return nil, err
			}
			changes = append(changes, added(tableClass, to.seq))
		}
		changes = append(changes, change{tablePress, p.seq, columnClass, from.seq, to.seq})
		return s.finish(tx, op, changes...)
	})
}

func (e Merge) carryOut(s *Store) (Result, error) {
	return s.edit(func(tx *sql.Tx) (*done, error) {
		from, into := s.contents.class(e.From), s.contents.class(e.Into)
		switch {
		case from == nil:
			return nil, fmt.Errorf("%w: %v was not taught", ErrNoClass, e.From)
		case into == nil:
			return nil, fmt.Errorf("%w: %v was not taught", ErrNoClass, e.Into)
		case from == into:
			return nil, fmt.Errorf("%w: %q and %q are the same class", ErrNoChange, from.name, into.name)
		}
		var changes []change
		for _, p := range from.presses {
			changes = append(changes, change{tablePress, p.seq, columnClass, from.seq, into.seq})
		}
		changes = append(changes, removed(tableClass, from.seq))
		return s.step(tx, opMerge, into.id, changes...)
	})
}

func (e Rename) carryOut(s *Store) (Result, error) {
	return s.edit(func(tx *sql.Tx) (*done, error) {
		k := s.contents.class(e.Button)
		if k == nil {
			return nil, fmt.Errorf("%w: %v was not taught", ErrNoClass, e.Button)
		}
		if err := checkName(e.Name); err != nil {
			return nil, err
		}
		if e.Name == k.name {
			return nil, fmt.Errorf("%w: it is called that", ErrNoChange)
		}
		for b := range device.Nothing + 1 {
			if other := s.contents.class(b); other != nil && other != k && strings.EqualFold(other.name, e.Name) || b != e.Button && strings.EqualFold(b.String(), e.Name) {
				return nil, fmt.Errorf("%w: %q is %v: choose another", ErrName, e.Name, b)
			}
		}
		return s.step(tx, opRename, k.id, change{tableClass, k.seq, columnName, k.name, e.Name})
	})
}

func (e Describe) carryOut(s *Store) (Result, error) {
	return s.edit(func(tx *sql.Tx) (*done, error) {
		if e.Name != "" {
			if err := checkName(e.Name); err != nil {
				return nil, err
			}
		}
		if err := checkNote(e.Note); err != nil {
			return nil, err
		}
		c := s.contents
		var changes []change
		if e.Name != c.name {
			changes = append(changes, change{tableLesson, c.seq, columnName, c.name, e.Name})
		}
		if e.Note != c.note {
			changes = append(changes, change{tableLesson, c.seq, columnNote, c.note, e.Note})
		}
		if len(changes) == 0 {
			return nil, fmt.Errorf("%w: it says that already", ErrNoChange)
		}
		return s.step(tx, opDescribe, c.id, changes...)
	})
}

// checkName refuses what cannot be a name.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty: write one", ErrName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%w: %q has characters that cannot be seen: leave them out", ErrName, name)
	case utf8.RuneCountInString(name) > MaxName:
		return fmt.Errorf("%w: %.20q… has more than %d characters: choose a shorter one", ErrName, name, MaxName)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("%w: %q begins or ends with a blank: leave it out", ErrName, name)
	}
	return nil
}

// checkNote refuses what cannot be a note.
func checkNote(note string) error {
	if utf8.RuneCountInString(note) > MaxNote || !utf8.ValidString(note) ||
		strings.ContainsFunc(note, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
		return fmt.Errorf("%w: a note has at most %d characters, and none that cannot be seen", ErrName, MaxNote)
	}
	return nil
}

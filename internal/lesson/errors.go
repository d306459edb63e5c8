package lesson

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/mattn/go-sqlite3"
)

// What can be wrong with the file, its folder or its disk. The errors that
// wrap these name the file and what a person can do.
var (
	ErrNewer    = errors.New("written by a newer teachbox")
	ErrDamaged  = errors.New("damaged")
	ErrFull     = errors.New("no space left")
	ErrReadOnly = errors.New("not permitted")
	ErrIO       = errors.New("input/output error")
	ErrInUse    = errors.New("in use by another program")
	ErrClosed   = errors.New("closed")
)

// What can be refused. The file is well, and nothing was changed.
var (
	ErrNoContent         = errors.New("the embedding is all zero")
	ErrSpace             = errors.New("the embedding cannot be compared with the lesson")
	ErrPress             = errors.New("the press cannot take this frame")
	ErrNothingToTakeBack = errors.New("nothing to take back")
	ErrNothingToForget   = errors.New("nothing to forget")
	ErrNothingKept       = errors.New("no lesson is kept")
	ErrNothingToUndo     = errors.New("nothing to undo")
	ErrNothingToRedo     = errors.New("nothing to do again")
	ErrNoPress           = errors.New("there is no such press")
	ErrNoClass           = errors.New("there is no such class")
	ErrNoLesson          = errors.New("there is no such lesson")
	ErrNoChange          = errors.New("nothing to change")
	ErrName              = errors.New("not a name")
	ErrConflict          = errors.New("the lesson was changed meanwhile")
	ErrFile              = errors.New("not a lesson file to load")
)

// A finding is something that this package itself found wrong with the file.
type finding struct {
	kind error
	text string
}

func (f *finding) Error() string { return f.text }

// kind sorts an error from SQLite, the system or load into this package's; nil
// means that the file is not to blame.
func kind(err error) error {
	if f, ok := errors.AsType[*finding](err); ok {
		return f.kind
	}
	if e, ok := errors.AsType[sqlite3.Error](err); ok {
		switch e.Code {
		case sqlite3.ErrFull:
			return ErrFull
		case sqlite3.ErrReadonly, sqlite3.ErrPerm:
			return ErrReadOnly
		case sqlite3.ErrBusy, sqlite3.ErrLocked:
			return ErrInUse
		case sqlite3.ErrNomem:
			return ErrIO
		case sqlite3.ErrCantOpen, sqlite3.ErrIoErr:
			if e.ExtendedCode == sqlite3.ErrIoErrShortRead {
				return ErrDamaged
			}
			return errnoKind(e.SystemErrno)
		}
		// A missing table, a row that breaks a constraint, a malformed page:
		// with these statements only a damaged file gives them.
		return ErrDamaged
	}
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return errnoKind(no)
	}
	return nil
}

func errnoKind(no syscall.Errno) error {
	switch no {
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG:
		return ErrFull
	case syscall.EROFS, syscall.EACCES, syscall.EPERM:
		return ErrReadOnly
	}
	return ErrIO
}

// explain says what failed, with which file, and what a person can do.
func (s *Store) explain(doing string, err error) error {
	k := kind(err)
	if k == nil {
		return fmt.Errorf("lesson file %s: %s: %w", s.path, doing, err)
	}
	return fmt.Errorf("lesson file %s: %s: %w (%w): %s", s.path, doing, k, err, remedy(k))
}

func remedy(kind error) string {
	switch kind {
	case ErrNewer:
		return "update teachbox, or name another lesson file"
	case ErrDamaged:
		return "put a backup in its place, or move it away to begin anew"
	case ErrFull:
		return "free some space on the disk"
	case ErrReadOnly:
		return "let the user of teachbox write the file and its folder"
	case ErrInUse:
		return "use the running teachbox, or stop it first (systemctl stop teachbox)"
	}
	return "check the card or disk, and replace it if this happens again"
}

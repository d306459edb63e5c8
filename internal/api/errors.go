package api

import (
	"context"
	"errors"
	"net/http"

	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

// Codes of errors that are not the lesson's, see Error.
const (
	CodeBadInput      = "bad-input"
	CodeNotFound      = "not-found"
	CodeMethod        = "method"
	CodeTooLarge      = "too-large"
	CodeContentType   = "content-type"
	CodeRevision      = "revision-required"
	CodeConfirm       = "confirm"
	CodeTooMany       = "too-many"
	CodeConfiguration = "configuration"
	CodeBusy          = "busy"
	CodeNoFile        = "no-file"
	CodeInternal      = "internal"
)

// An Error is a command or question that was refused or failed. errors.Is finds
// the error of package lesson or box that it stands for: a conflict of revisions
// is lesson.ErrConflict.
type Error struct {
	Status   int    `json:"-"`                  // of HTTP
	Code     string `json:"code"`               // for programs, such as "conflict"
	Message  string `json:"message"`            // for people
	Revision int64  `json:"revision,omitempty"` // of the lesson, where the expected one was wrong or missing
}

func (e *Error) Error() string { return e.Message }

// Is implements errors.Is.
func (e *Error) Is(target error) bool {
	for _, k := range known() {
		if k.err == target {
			return k.code == e.Code
		}
	}
	return false
}

// A knownError is an error that has a code of its own.
type knownError struct {
	err    error
	code   string
	status int
}

// known is the table of errors and their codes. The first that fits counts: a
// file that cannot be loaded may itself be damaged.
func known() []knownError {
	const refused, storage = http.StatusUnprocessableEntity, http.StatusServiceUnavailable
	return []knownError{
		{lesson.ErrConflict, "conflict", http.StatusConflict},
		{lesson.ErrFile, "file", refused},
		{lesson.ErrNothingToUndo, "nothing-to-undo", refused},
		{lesson.ErrNothingToRedo, "nothing-to-redo", refused},
		{lesson.ErrNothingToTakeBack, "nothing-to-take-back", refused},
		{lesson.ErrNothingToForget, "nothing-to-forget", refused},
		{lesson.ErrNothingKept, "nothing-kept", refused},
		{lesson.ErrNoPress, "no-press", refused},
		{lesson.ErrNoClass, "no-class", refused},
		{lesson.ErrNoLesson, "no-lesson", refused},
		{lesson.ErrNoChange, "no-change", refused},
		{lesson.ErrName, "name", refused},
		{lesson.ErrNoContent, "no-content", refused},
		{lesson.ErrSpace, "space", refused},
		{lesson.ErrPress, "press", refused},
		{box.ErrLocked, "locked", refused},
		{box.ErrBusy, CodeBusy, http.StatusServiceUnavailable},
		{box.ErrEnded, "ended", http.StatusServiceUnavailable},
		{lesson.ErrFull, "full", storage},
		{lesson.ErrReadOnly, "read-only", storage},
		{lesson.ErrDamaged, "damaged", storage},
		{lesson.ErrNewer, "newer", storage},
		{lesson.ErrInUse, "in-use", storage},
		{lesson.ErrIO, "io", storage},
		{lesson.ErrClosed, "closed", storage},
	}
}

// errorOf gives an error its code.
func errorOf(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	for _, k := range known() {
		if errors.Is(err, k.err) {
			return &Error{Status: k.status, Code: k.code, Message: err.Error()}
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Error{Status: http.StatusServiceUnavailable, Code: CodeBusy, Message: "the box is ending, or too busy to answer: ask again"}
	}
	return &Error{Status: http.StatusInternalServerError, Code: CodeInternal, Message: err.Error()}
}

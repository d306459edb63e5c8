package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"teachbox/internal/lesson"
)

// An order is the body of a command that edits the lesson.
type order interface {
	expected() int64
	edit() (lesson.Edit, error)
}

// The orders. Each fits one lesson.Edit.
type (
	plain struct {
		Revision int64 `json:"revision"`
	}
	onButton struct {
		plain
		Button string `json:"button"`
	}
	undo     struct{ plain }
	redo     struct{ plain }
	begin    struct{ plain } // a new lesson
	takeBack struct{ onButton }
	forget   struct{ onButton }
	drop     struct {
		plain
		Press string `json:"press"`
	}
	move struct {
		plain
		Press string `json:"press"`
		To    string `json:"to"`
	}
	merge struct {
		plain
		From string `json:"from"`
		Into string `json:"into"`
	}
	rename struct {
		onButton
		Name string `json:"name"`
	}
	describe struct {
		plain
		Name *string `json:"name"` // both must be told: what is left out would be lost
		Note *string `json:"note"`
	}
	restore struct {
		plain
		Lesson string `json:"lesson,omitempty"` // empty: the last one
	}
	erase struct {
		plain
		Confirm string `json:"confirm"`
	}
)

// orderOf returns an empty order of a command, or nil if there is none.
func orderOf(name string) order {
	switch name {
	case "undo":
		return new(undo)
	case "redo":
		return new(redo)
	case "take-back":
		return new(takeBack)
	case "forget":
		return new(forget)
	case "drop":
		return new(drop)
	case "move":
		return new(move)
	case "merge":
		return new(merge)
	case "rename":
		return new(rename)
	case "describe":
		return new(describe)
	case "new":
		return new(begin)
	case "restore":
		return new(restore)
	case "erase":
		return new(erase)
	}
	return nil
}

// orderFor is the other way: the command for an edit.
func orderFor(revision int64, e lesson.Edit) (name string, o order, err error) {
	p := plain{revision}
	switch e := e.(type) {
	case lesson.Undo:
		return "undo", undo{p}, nil
	case lesson.Redo:
		return "redo", redo{p}, nil
	case lesson.TakeBack:
		return "take-back", takeBack{onButton{p, e.Button.String()}}, nil
	case lesson.Forget:
		return "forget", forget{onButton{p, e.Button.String()}}, nil
	case lesson.Drop:
		return "drop", drop{p, e.Press}, nil
	case lesson.Move:
		return "move", move{p, e.Press, e.To.String()}, nil
	case lesson.Merge:
		return "merge", merge{p, e.From.String(), e.Into.String()}, nil
	case lesson.Rename:
		return "rename", rename{onButton{p, e.Button.String()}, e.Name}, nil
	case lesson.Describe:
		return "describe", describe{p, &e.Name, &e.Note}, nil
	case lesson.New:
		return "new", begin{p}, nil
	case lesson.Restore:
		return "restore", restore{p, e.Lesson}, nil
	}
	return "", nil, fmt.Errorf("%T: not an edit to be sent: use the method of its name", e)
}

func (p plain) expected() int64 { return p.Revision }

func (undo) edit() (lesson.Edit, error)  { return lesson.Undo{}, nil }
func (redo) edit() (lesson.Edit, error)  { return lesson.Redo{}, nil }
func (begin) edit() (lesson.Edit, error) { return lesson.New{}, nil }
func (erase) edit() (lesson.Edit, error) { return lesson.Erase{}, nil }

func (o takeBack) edit() (lesson.Edit, error) {
	b, err := ParseButton(o.Button)
	return lesson.TakeBack{Button: b}, err
}

func (o forget) edit() (lesson.Edit, error) {
	b, err := ParseButton(o.Button)
	return lesson.Forget{Button: b}, err
}

func (o drop) edit() (lesson.Edit, error) { return lesson.Drop{Press: o.Press}, nil }

func (o move) edit() (lesson.Edit, error) {
	to, err := ParseButton(o.To)
	return lesson.Move{Press: o.Press, To: to}, err
}

func (o merge) edit() (lesson.Edit, error) {
	from, wrong := ParseButton(o.From)
	into, err := ParseButton(o.Into)
	return lesson.Merge{From: from, Into: into}, errors.Join(wrong, err)
}

func (o rename) edit() (lesson.Edit, error) {
	b, err := ParseButton(o.Button)
	return lesson.Rename{Button: b, Name: o.Name}, err
}

func (o describe) edit() (lesson.Edit, error) {
	if o.Name == nil || o.Note == nil {
		return nil, errors.New("name or note is missing: send both, even if one stays as it is")
	}
	return lesson.Describe{Name: *o.Name, Note: *o.Note}, nil
}

func (o restore) edit() (lesson.Edit, error) { return lesson.Restore{Lesson: o.Lesson}, nil }

// postCommand carries out a command.
func (s *Server) postCommand(w http.ResponseWriter, r *http.Request) error {
	switch name := r.PathValue("name"); name {
	case "lock", "unlock":
		return s.setting(w, r, func(ctx context.Context) error { return s.box.SetLocked(ctx, name == "lock") })
	case "acknowledge":
		return s.setting(w, r, s.box.Acknowledge)
	case "reload":
		return s.setting(w, r, s.box.Reload)
	default:
		return s.order(w, r, orderOf(name))
	}
}

// setting carries out a command that does not edit the lesson.
func (s *Server) setting(w http.ResponseWriter, r *http.Request, do func(context.Context) error) error {
	name := r.PathValue("name")
	if err := readBody(w, r, &struct{}{}); err != nil {
		return err
	}
	if err := do(r.Context()); err != nil {
		e := errorOf(err)
		if name == "reload" && e.Code == CodeInternal {
			// The configuration has errors of its own.
			e.Status, e.Code = http.StatusUnprocessableEntity, CodeConfiguration
		}
		return e
	}
	c := contentsOf(s.box.Snapshot().Contents)
	return reply(w, Done{Revision: c.Revision, Done: doneSetting(name), Contents: c})
}

func doneSetting(name string) string {
	switch name {
	case "lock":
		return "teaching is locked"
	case "unlock":
		return "teaching is unlocked"
	case "reload":
		return "the configuration was read again"
	}
	return "acknowledged"
}

// order carries out a command that edits the lesson.
func (s *Server) order(w http.ResponseWriter, r *http.Request, o order) error {
	if o == nil {
		return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Message: fmt.Sprintf("command %.40q: there is none: see %s/openapi.yaml", r.PathValue("name"), prefix)}
	}
	if err := readBody(w, r, o); err != nil {
		return err
	}
	e, err := o.edit()
	if err != nil {
		return badInput("%v", err)
	}
	if o.expected() == lesson.AnyRevision {
		return s.missing(r)
	}
	if o, ok := o.(*erase); ok {
		if in := s.box.Snapshot().Contents.Lesson; o.Confirm != in {
			return &Error{Status: http.StatusUnprocessableEntity, Code: CodeConfirm, Message: fmt.Sprintf("erasing cannot be undone: send %q, the id of the lesson in hand, as confirm", in)}
		}
	}
	return s.edit(w, r, o.expected(), e)
}

// edit carries out an edit, if the lesson is still at a revision.
func (s *Server) edit(w http.ResponseWriter, r *http.Request, revision int64, e lesson.Edit) error {
	result, err := s.box.Edit(r.Context(), revision, e)
	if err != nil {
		e := errorOf(err)
		if e.Status == http.StatusConflict {
			e.Revision, _ = s.revision(r) // without it the conflict is still one
		}
		return e
	}
	d := Done{
		Revision: result.Contents.Revision, Done: doneEdit(e, &result),
		Step: new(stepOf(result.Step)), Contents: contentsOf(result.Contents),
	}
	if result.Kept != nil {
		d.Kept = new(keptOf(*result.Kept))
	}
	if result.Gone != nil {
		d.Gone = new(keptOf(*result.Gone))
	}
	return reply(w, d)
}

// missing refuses an edit that does not say which lesson it is meant for.
func (s *Server) missing(r *http.Request) error {
	now, err := s.revision(r)
	switch {
	case err != nil:
		return err
	case now == 0:
		return &Error{Status: http.StatusServiceUnavailable, Code: CodeNoFile, Message: "no lesson could be read or begun: see what the box says of its health"}
	}
	return &Error{
		Status: http.StatusPreconditionRequired, Code: CodeRevision, Revision: now,
		Message: fmt.Sprintf("revision is missing: send that of the lesson as you know it (it is %d now)", now),
	}
}

// revision is that of the lesson now.
func (s *Server) revision(r *http.Request) (revision int64, err error) {
	err = s.box.View(r.Context(), func(l Lesson) error {
		revision = l.Contents().Revision
		return nil
	})
	return revision, err
}

// doneEdit says what an edit did.
func doneEdit(e lesson.Edit, r *lesson.Result) string {
	what, kept := r.Step.What, ""
	if r.Kept != nil {
		kept = "; the one before is kept"
	}
	if r.Gone != nil {
		kept += "; " + r.Gone.Removed()
	}
	switch e.(type) {
	case lesson.Undo:
		return "undone: " + called(r.Step)
	case lesson.Redo:
		return "done again: " + called(r.Step)
	case lesson.TakeBack:
		return "took back the last press of " + what
	case lesson.Forget:
		return "forgot " + what
	case lesson.Drop:
		return "dropped a press of " + what
	case lesson.Move:
		return "moved a press to " + what
	case lesson.Merge:
		return "merged into " + what
	case lesson.Rename:
		return "renamed to " + what
	case lesson.Describe:
		return "described the lesson"
	case lesson.New:
		return "began a new lesson" + kept
	case lesson.Restore:
		return fmt.Sprintf("brought back a lesson of %d presses%s", r.Contents.Presses, kept)
	case lesson.Load:
		return fmt.Sprintf("loaded a lesson of %d presses%s", r.Contents.Presses, kept)
	}
	return "erased everything. " + lesson.Unreachable
}

// readBody reads the JSON of a command strictly: one object, nothing else, no
// fields but those of v.
func readBody(w http.ResponseWriter, r *http.Request, v any) error {
	if t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); t != jsonType {
		return &Error{Status: http.StatusUnsupportedMediaType, Code: CodeContentType, Message: fmt.Sprintf("content type %.40q: send %s", t, jsonType)}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return tooLarge(maxCommand)
	}
	if err != nil {
		return badInput("the body did not come: %v: send it again", err)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return badInput("the body is no object: send one, such as {}")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badInput("the body: %v: see %s/openapi.yaml", err, prefix)
	}
	if _, err := d.Token(); err != io.EOF {
		return badInput("the body goes on after its end: send one object")
	}
	return nil
}

func tooLarge(most int64) *Error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Code: CodeTooLarge, Message: fmt.Sprintf("too large: send at most %d bytes", most)}
}

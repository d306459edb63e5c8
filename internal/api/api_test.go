package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"teachbox/device"
	"teachbox/inference"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
	"teachbox/internal/supervise"
)

func TestSnapshot(t *testing.T) {
	b := newBox(t)
	b.teach(0, 3)
	b.teach(device.Nothing, 2)
	fold, err := b.store.Fold(testSpace)
	if err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	b.show(func(s *box.Snapshot) {
		s.Known, s.Lit, s.Hint, s.Looks, s.Dropped = true, 0, true, 7, 2
		s.Fitness = inference.Fitness{Luma: 100, Sharpness: 5}
		s.Fold, s.Winner, s.Accept = fold, 0, 0.5
		s.P[0] = 0.75
		s.Recomputing = lesson.Coverage{Have: 3, Pending: 4, Lost: 1}
		s.Problems = []supervise.Problem{
			{Part: "camera", Err: errors.New("no camera: plug one in"), Since: since},
			{Part: "storage", Err: lesson.ErrFull, Since: since},
			{Part: "model", Err: errors.New("no model"), Since: since},
		}
	})
	s := newServer(t, b)
	s.Observe(box.Event{Kind: box.Learned, At: since})
	c := local(t, s)
	got, err := c.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.At.IsZero() {
		t.Error("it has no time")
	}
	in := b.contents()
	want := Snapshot{
		Box:     Identity{Version: "test", State: "state", Simulated: true, PID: 1, Run: s.opt.Identity.Run},
		Running: true, At: got.At, Events: 1,
		Lit: "class 1", Known: true, Hint: true, Looks: 7, Dropped: 2,
		Winner:      &Winner{Class: in.Classes[0].ID, P: 0.75, Accept: 0.5},
		Fitness:     &Fitness{Luma: 100, Sharpness: 5},
		Recomputing: &Amount{Done: 3, Total: 7},
		Contents: Contents{
			Lesson: in.Lesson, Revision: in.Revision, Presses: 2, Frames: 5, Undo: 2,
			Classes: []Class{
				{Button: "class 1", ID: in.Classes[0].ID, Name: in.Classes[0].Name, Presses: 1, Frames: 3},
				{Button: "nothing", ID: in.Classes[1].ID, Name: in.Classes[1].Name, Presses: 1, Frames: 2},
			},
		},
		Health: []Problem{
			{Part: "camera", Message: "no camera: plug one in", Since: since, Blinks: 2, Remedy: "Fetch an adult: plug the camera in again."},
			{Part: "storage", Message: "no space left", Since: since, Blinks: 3, Remedy: "Fetch an adult."},
			{Part: "model", Message: "no model", Since: since, Blinks: 5, Remedy: "Fetch an adult with a computer."},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("snapshot (-want +got):\n%s", d)
	}
}

// A box that has just begun has nothing to tell.
func TestEmptySnapshot(t *testing.T) {
	b := &fakeBox{TB: t}
	s := New(b, Options{})
	got, err := local(t, s).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Snapshot{Box: s.opt.Identity, At: got.At, Contents: Contents{Classes: []Class{}}, Health: []Problem{}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("snapshot (-want +got):\n%s", d)
	}
}

// Each edit does what it says, in the process and over a connection.
func TestEdits(t *testing.T) {
	for name, client := range map[string]func(testing.TB, *Server) *Client{"local": local, "remote": remote} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			first := b.teach(0, 2)
			b.teach(0, 1)
			b.teach(1, 1)
			last := b.teach(2, 1)
			c := client(t, newServer(t, b))
			lessonID := b.contents().Lesson
			for _, step := range []struct {
				edit lesson.Edit
				done string
				kind string // of the step
			}{
				{lesson.Rename{Button: 0, Name: "Cup"}, "renamed to Cup", "rename"},
				{lesson.Rename{Button: 1, Name: "Spoon"}, "renamed to Spoon", "rename"},
				{lesson.Undo{}, "undone: rename class 2", "rename"},
				{lesson.Redo{}, "done again: rename Spoon", "rename"},
				{lesson.TakeBack{Button: 0}, "took back the last press of Cup", "take back"},
				{lesson.Drop{Press: last}, "dropped a press of class 3", "drop"},
				{lesson.Undo{}, "undone: drop class 3", "drop"},
				{lesson.Move{Press: first, To: device.Nothing}, "moved a press to nothing", "move"},
				{lesson.Merge{From: 2, Into: 1}, "merged into Spoon", "merge"},
				{lesson.Forget{Button: 0}, "forgot Cup", "forget"},
				{lesson.Describe{Name: "Kitchen", Note: "on\ntwo lines"}, "described the lesson", "describe"},
				{lesson.New{}, "began a new lesson; the one before is kept", "new"},
				{lesson.Restore{Lesson: lessonID}, "brought back a lesson of 3 presses", "restore"},
				{lesson.New{}, "began a new lesson; the one before is kept", "new"},
				{lesson.Restore{}, "brought back a lesson of 3 presses", "restore"},
			} {
				before := b.contents().Revision
				got, err := c.Edit(t.Context(), before, step.edit)
				if err != nil {
					t.Fatalf("%+v: %v", step.edit, err)
				}
				if got.Done != step.done || got.Step == nil || got.Step.Kind != step.kind {
					t.Errorf("%+v: %q, %+v; want %q, %s", step.edit, got.Done, got.Step, step.done, step.kind)
				}
				if got.Revision <= before {
					t.Errorf("%+v: revision %d after %d", step.edit, got.Revision, before)
				}
				if d := cmp.Diff(contentsOf(b.store.Contents()), got.Contents); d != "" {
					t.Errorf("%+v: contents (-there +told):\n%s", step.edit, d)
				}
				if strings.Contains(step.done, "kept") && (got.Kept == nil || got.Kept.ID != lessonID || got.Kept.Presses != 3) {
					t.Errorf("%+v: kept %+v", step.edit, got.Kept)
				}
			}

			in, err := c.Lesson(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(in.Presses) != 3 || in.Presses[0].Button != "nothing" || in.Presses[0].ID != first || in.Presses[0].Frames != 2 ||
				in.Presses[0].Pictures != 0 || in.Presses[0].When.Wall.IsZero() || in.Presses[0].When.Since != 90 {
				t.Errorf("presses %+v", in.Presses)
			}
			if in.Undo != "describe" || in.Redo != "" || in.Contents.Name != "Kitchen" || in.Contents.Note != "on\ntwo lines" {
				t.Errorf("lesson %+v", in)
			}
			steps, err := c.History(t.Context(), 3)
			if err != nil {
				t.Fatal(err)
			}
			if len(steps) != 3 || steps[0].Kind != "restore" || steps[2].Kind != "describe" {
				t.Errorf("history %+v", steps)
			}
			check, err := c.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if check.Version == 0 || check.Bytes == 0 || len(check.Lessons) != 1 || check.Lessons[0].ID != lessonID {
				t.Errorf("check %+v", check)
			}
			b.teach(0, 1)
			if _, err := c.Edit(t.Context(), b.contents().Revision, lesson.New{}); err != nil {
				t.Fatal(err)
			}
			kept, err := c.Lessons(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(kept) != 1 || kept[0].Name != "Kitchen" || len(kept[0].Classes) != 3 {
				t.Errorf("kept %+v", kept)
			}

			_, err = c.Erase(t.Context(), b.contents().Revision, lessonID)
			refused(t, err, CodeConfirm, http.StatusUnprocessableEntity)
			done, err := c.Erase(t.Context(), b.contents().Revision, b.contents().Lesson)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(done.Done, lesson.Unreachable) || done.Contents.Kept != 0 || done.Contents.Presses != 0 {
				t.Errorf("erased: %+v", done)
			}
		})
	}
}

// What the lesson says undo and redo would do is what they do.
func TestNextSteps(t *testing.T) {
	b := newBox(t)
	c := local(t, unlimited(newServer(t, b)))
	r := rand.New(rand.NewPCG(1, 2))
	undone := 0
	for n := range 250 {
		in, err := c.Lesson(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, next := range []struct {
			count int
			text  string
		}{{in.Contents.Undo, in.Undo}, {in.Contents.Redo, in.Redo}} {
			if (next.count > 0) != (next.text != "") {
				t.Fatalf("after %d steps: %d can be done: %q", n, next.count, next.text)
			}
		}
		var edit lesson.Edit
		var want string
		switch k := r.IntN(10); {
		case k < 4 && in.Contents.Undo > 0:
			edit, want = lesson.Undo{}, in.Undo
		case k < 7 && in.Contents.Redo > 0:
			edit, want = lesson.Redo{}, in.Redo
		case k == 7 && in.Contents.Presses > 0:
			edit = lesson.Drop{Press: in.Presses[0].ID}
		case k == 8 && len(in.Contents.Classes) > 0:
			button, err := ParseButton(in.Contents.Classes[0].Button)
			if err != nil {
				t.Fatal(err)
			}
			edit = lesson.Rename{Button: button, Name: fmt.Sprint("name ", n)}
		default:
			b.teach(device.Button(r.IntN(3)), 1+r.IntN(2))
			continue
		}
		done, err := c.Edit(t.Context(), in.Contents.Revision, edit)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			continue
		}
		undone++
		got := done.Step.Kind + " " + done.Step.What
		if done.Step.Kind == "rename" { // what it was done to has another name now
			got, want = "rename", strings.Fields(want)[0]
		}
		if got != want {
			t.Fatalf("after %d steps: %q, want %q", n, got, want)
		}
	}
	if undone < 50 {
		t.Errorf("only %d steps were undone or done again", undone)
	}
}

func unlimited(s *Server) *Server {
	s.requests.SetLimit(rate.Inf)
	return s
}

// Of two that edit the same revision one is refused, and nothing that the other
// did is lost.
func TestTwoClients(t *testing.T) {
	b := newBox(t)
	b.teach(0, 1)
	b.teach(1, 1)
	s := newServer(t, b)
	seen := b.contents().Revision
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, name := range []string{"Cup", "Spoon"} {
		c := remote(t, s)
		wg.Go(func() {
			_, errs[i] = c.Edit(t.Context(), seen, lesson.Rename{Button: device.Button(i), Name: name})
		})
	}
	wg.Wait()
	late, early := 0, 1
	if errs[0] == nil {
		late, early = 1, 0
	}
	if errs[early] != nil {
		t.Fatalf("both were refused: %v", errs)
	}
	e := refused(t, errs[late], "conflict", http.StatusConflict)
	if !errors.Is(e, lesson.ErrConflict) || e.Revision != b.contents().Revision {
		t.Errorf("conflict %+v at revision %d", e, b.contents().Revision)
	}
	names := []string{"class 1", "class 2"}
	names[early] = []string{"Cup", "Spoon"}[early]
	for i, k := range b.contents().Classes {
		if k.Name != names[i] {
			t.Errorf("class %d is called %q, want %q", i, k.Name, names[i])
		}
	}
	if _, err := remote(t, s).Edit(t.Context(), e.Revision, lesson.Undo{}); err != nil {
		t.Errorf("with the revision told: %v", err)
	}
}

// Whatever is wrong with a request is said, and changes nothing.
func TestRefusals(t *testing.T) {
	b := newBox(t)
	press := b.teach(0, 1)
	c := remote(t, unlimited(newServer(t, b)))
	at := fmt.Sprint(b.contents().Revision)
	rev := `{"revision":` + at
	before := b.contents()
	big := rev + `,"name":"` + strings.Repeat("x", maxCommand) + `"}`
	for _, tt := range []struct {
		method, path, kind, body string
		status                   int
		code                     string
	}{
		{"POST", "/commands/undo", jsonType, `{}`, 428, CodeRevision},
		{"POST", "/commands/undo", jsonType, `{"revision":0}`, 428, CodeRevision},
		{"PUT", "/lesson/file", fileType, `x`, 428, CodeRevision},
		{"POST", "/commands/undo", jsonType, `{"revision":-1}`, 409, "conflict"},
		{"POST", "/commands/undo", jsonType, `{"revision":1e3}`, 400, CodeBadInput},
		{"POST", "/commands/undo", jsonType, `{"revision":9223372036854775808}`, 400, CodeBadInput},
		{"POST", "/commands/undo", jsonType, rev + `,"button":"class 1"}`, 400, CodeBadInput},
		{"POST", "/commands/undo", jsonType, rev + `}{}`, 400, CodeBadInput},
		{"POST", "/commands/undo", jsonType, `null`, 400, CodeBadInput},
		{"POST", "/commands/undo", jsonType, ``, 400, CodeBadInput},
		{"POST", "/commands/undo", "text/plain", rev + `}`, 415, CodeContentType},
		{"POST", "/commands/undo", "", rev + `}`, 415, CodeContentType},
		{"POST", "/commands/redo", jsonType, rev + `}`, 422, "nothing-to-redo"},
		{"POST", "/commands/take-back", jsonType, rev + `}`, 400, CodeBadInput},
		{"POST", "/commands/take-back", jsonType, rev + `,"button":"class 9"}`, 400, CodeBadInput},
		{"POST", "/commands/take-back", jsonType, rev + `,"button":"class 2"}`, 422, "nothing-to-take-back"},
		{"POST", "/commands/forget", jsonType, rev + `,"button":"nothing"}`, 422, "nothing-to-forget"},
		{"POST", "/commands/drop", jsonType, rev + `,"press":"x"}`, 422, "no-press"},
		{"POST", "/commands/move", jsonType, rev + `,"press":"` + press + `","to":"class 1"}`, 422, "no-change"},
		{"POST", "/commands/merge", jsonType, rev + `,"from":"class 1"}`, 400, CodeBadInput},
		{"POST", "/commands/merge", jsonType, rev + `,"from":"class 1","into":"class 2"}`, 422, "no-class"},
		{"POST", "/commands/rename", jsonType, rev + `,"button":"class 1","name":""}`, 422, "name"},
		{"POST", "/commands/rename", jsonType, big, 413, CodeTooLarge},
		{"POST", "/commands/describe", jsonType, rev + `,"name":"only"}`, 400, CodeBadInput},
		{"POST", "/commands/restore", jsonType, rev + `}`, 422, "nothing-kept"},
		{"POST", "/commands/restore", jsonType, rev + `,"lesson":"x"}`, 422, "no-lesson"},
		{"POST", "/commands/erase", jsonType, rev + `}`, 422, CodeConfirm},
		{"POST", "/commands/lock", jsonType, `{"revision":1}`, 400, CodeBadInput},
		{"POST", "/commands/load", jsonType, `{}`, 404, CodeNotFound},
		{"GET", "/commands/undo", "", ``, 405, CodeMethod},
		{"DELETE", "/lesson/file", "", ``, 405, CodeMethod},
		{"GET", "/lesson/history?n=0", "", ``, 400, CodeBadInput},
		{"GET", "/lesson/history?n=1001", "", ``, 400, CodeBadInput},
		{"GET", "/snapshots?every=0.01", "", ``, 400, CodeBadInput},
		{"GET", "/snapshots?every=NaN", "", ``, 400, CodeBadInput},
		{"GET", "/snapshots?every=61", "", ``, 400, CodeBadInput},
		{"GET", "/events?after=-1", "", ``, 400, CodeBadInput},
		{"GET", "/events?follow=perhaps", "", ``, 400, CodeBadInput},
		{"PUT", "/lesson/file?revision=x", fileType, `x`, 400, CodeBadInput},
		{"PUT", "/lesson/file?revision=" + at, fileType, `no lesson`, 422, "file"},
		{"PUT", "/lesson/file?revision=" + at, fileType, ``, 422, "file"},
	} {
		name := fmt.Sprintf("%s %s %.60s", tt.method, tt.path, tt.body)
		// Those that are not described cannot be judged.
		plain := *c
		if tt.code == CodeMethod {
			plain.http.Transport = c.http.Transport.(*judge).next
		}
		status, answer, header := ask(t, &plain, tt.method, prefix+tt.path, tt.kind, tt.body)
		if status != tt.status || !strings.Contains(string(answer), `"code":"`+tt.code+`"`) {
			t.Errorf("%s: %d %s, want %d %s", name, status, answer, tt.status, tt.code)
		}
		if (status == http.StatusMethodNotAllowed) != (header.Get("Allow") != "") {
			t.Errorf("%s: Allow is %q", name, header.Get("Allow"))
		}
		if (tt.status == 428 || tt.status == 409) != strings.Contains(string(answer), `"revision":`+at) {
			t.Errorf("%s: the revision: %s", name, answer)
		}
		if strings.Contains(string(answer), tempPrefix) {
			t.Errorf("%s: it names a file that nobody knows: %s", name, answer)
		}
	}
	if d := cmp.Diff(before, b.store.Contents()); d != "" {
		t.Errorf("the lesson was changed (-before +after):\n%s", d)
	}
}

// What is nowhere described is refused too.
func TestNothingThere(t *testing.T) {
	c := NewLocalClient(newServer(t, newBox(t)))
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 404}, {"GET", "/api/v1", 404}, {"GET", prefix + "/nonsense", 404}, {"POST", prefix + "/commands/", 404},
		{"HEAD", prefix + "/events", 405}, {"HEAD", prefix + "/snapshots", 405}, {"POST", prefix + "/snapshot", 405},
	} {
		if status, answer, _ := ask(t, c, tt.method, tt.path, "", ""); status != tt.status || !strings.Contains(string(answer), `"error"`) {
			t.Errorf("%s %s: %d %s, want %d", tt.method, tt.path, status, answer, tt.status)
		}
	}
}

func TestSettings(t *testing.T) {
	b := newBox(t)
	c := local(t, newServer(t, b))
	for _, tt := range []struct {
		locked bool
		done   string
	}{{true, "teaching is locked"}, {false, "teaching is unlocked"}} {
		done, err := c.SetLocked(t.Context(), tt.locked)
		if err != nil || done.Done != tt.done || done.Contents.Lesson == "" {
			t.Errorf("%+v, %v; want %q", done, err, tt.done)
		}
		s, err := c.Snapshot(t.Context())
		if err != nil || s.Locked != tt.locked {
			t.Errorf("locked is %v, %v", s.Locked, err)
		}
	}
	if done, err := c.Acknowledge(t.Context()); err != nil || done.Done != "acknowledged" {
		t.Errorf("%+v, %v", done, err)
	}
	if done, err := c.Reload(t.Context()); err != nil || done.Done == "" {
		t.Errorf("%+v, %v", done, err)
	}
	b.reload = errors.New("teachbox.toml:3: rate: -1: want more than 0")
	_, err := c.Reload(t.Context())
	if e := refused(t, err, CodeConfiguration, http.StatusUnprocessableEntity); e.Message != b.reload.Error() {
		t.Errorf("reload: %q", e.Message)
	}
	for _, err := range []error{context.DeadlineExceeded, box.ErrEnded} {
		b.reload = err
		if _, err := c.Reload(t.Context()); errorOf(err).Status != http.StatusServiceUnavailable {
			t.Errorf("reload: %v", err)
		}
	}
}

// A lesson that cannot be written is said to be so, and one that is not there.
func TestNoStorage(t *testing.T) {
	b := newBox(t)
	b.teach(0, 1)
	c := local(t, newServer(t, b))
	b.store.Close()
	_, err := c.Edit(t.Context(), b.contents().Revision, lesson.Undo{})
	refused(t, err, "closed", http.StatusServiceUnavailable)

	c = local(t, newServer(t, absent{b}))
	if status, answer, _ := ask(t, c, "POST", prefix+"/commands/undo", jsonType, `{"revision":0}`); status != 503 || !strings.Contains(string(answer), CodeNoFile) {
		t.Errorf("without a lesson: %d %s", status, answer)
	}
}

// An absent lesson could not be read or begun.
type absent struct{ *fakeBox }

func (a absent) View(_ context.Context, f func(Lesson) error) error { return f(new(noLesson)) }

type noLesson struct{ Lesson }

func (*noLesson) Contents() lesson.Contents { return lesson.Contents{} }

// Commands are taken as fast as people give them, and no faster.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := local(t, newServer(t, &fakeBox{TB: t}))
		taken := func() (n int) {
			for {
				_, err := c.Reload(t.Context())
				if err != nil {
					refused(t, err, CodeTooMany, http.StatusTooManyRequests)
					return n
				}
				n++
			}
		}
		if n := taken(); n != burst {
			t.Errorf("%d commands at once, want %d", n, burst)
		}
		time.Sleep(time.Second)
		if n := taken(); n != perSecond {
			t.Errorf("%d commands after a second, want %d", n, perSecond)
		}
	})
}

func TestParseButton(t *testing.T) {
	for b := range device.Nothing + 1 {
		if got, err := ParseButton(b.String()); err != nil || got != b {
			t.Errorf("%v: %v, %v", b, got, err)
		}
	}
	for _, s := range []string{"", "class 0", "class 9", "class 01", "Class 1", "nothing ", "1"} {
		if b, err := ParseButton(s); err == nil || !strings.Contains(err.Error(), `"nothing"`) {
			t.Errorf("%q: %v, %v", s, b, err)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
	"teachbox/device/sim"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
	"teachbox/internal/supervise"
)

// TestFaceKeys presses keys and reads the words about them.
func TestFaceKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := faceless(t, t.TempDir())
		f := &face{a: a}
		quits := 0
		press := func(keys string) string {
			var parser sim.Keys
			for _, k := range parser.Parse([]byte(keys)) {
				f.key(k, func() { quits++ })
			}
			return f.view().Said
		}
		for _, step := range []struct{ keys, says string }{
			{"1", ""},
			{"5", "there is no button 5: choose 1 to 4 or nothing"},
			{"n", ""},
			{"x", "this key does nothing: see below for those that do"},
			{"h", "hold: which button?"},
			{"h2", ""},
			{"h7", "there is no button 7: choose 1 to 4 or nothing"},
		} {
			if got := press(step.keys); got != step.says {
				t.Errorf("%s: the screen says %q (want %q)", step.keys, got, step.says)
			}
		}
		if !f.view().Down[1] || f.view().Desk == "" {
			t.Errorf("after h2 and n the view is %+v", f.view())
		}
		press("h2")
		if f.view().Down[1] {
			t.Error("h2 did not let the button go")
		}

		press("5")
		time.Sleep(remarkTime - time.Millisecond)
		if f.view().Said == "" {
			t.Error("the remark has gone too early")
		}
		time.Sleep(time.Millisecond)
		if said := f.view().Said; said != "" {
			t.Errorf("after 4 s the screen still says %q", said)
		}
		f.say("now the leaf") // a script's words stay
		time.Sleep(time.Minute)
		if said := f.view().Said; said != "now the leaf" {
			t.Errorf("after a minute the screen says %q", said)
		}

		a.desk = nil
		if said := press("n"); !strings.HasPrefix(said, "nothing can be put on the desk") || !f.view().NoDesk {
			t.Errorf("without a desk the screen says %q", said)
		}
		if press("q"); quits != 1 {
			t.Errorf("q ended the box %d times", quits)
		}
	})
}

// faceless is a box with a tiny model that nobody looks at yet.
func faceless(t *testing.T, state string) *appliance {
	t.Helper()
	cfg := simulated(t)
	cfg.Model.Source = tinyModel(t)
	a, err := assemble(cfg, assembly{state: state})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.store.Close() })
	return a
}

func TestVerdictWords(t *testing.T) {
	classes := lesson.Contents{Classes: []lesson.Class{{Button: 2, Name: "leaf"}}}
	for want, s := range map[string]box.Snapshot{
		"":        {},
		"unknown": {Looks: 1, Contents: classes},
		"nothing": {Looks: 1, Contents: classes, Nothing: true},
		"leaf":    {Looks: 1, Contents: classes, Known: true, Lit: 2},
	} {
		if got := verdict(&s); got != want {
			t.Errorf("%q (want %q)", got, want)
		}
	}
}

func TestNotes(t *testing.T) {
	full := errors.New("lesson file x: no space left: make room")
	problems := []supervise.Problem{
		{Part: "camera", Err: fmt.Errorf("camera: %w: run with --sim", device.ErrAbsent)},
		{Part: "lesson", Err: errors.New("the lesson was taught with another model (begin a new one)")},
		{Part: "model", Err: errors.New("no such file (run make setup)")},
		{Part: "storage", Err: full},
	}
	for name, test := range map[string]struct {
		s     box.Snapshot
		last  box.Event
		state string
		want  []string
	}{
		"starting":    {box.Snapshot{Hint: true}, box.Event{}, "starting", nil},
		"well":        {box.Snapshot{Looks: 1}, box.Event{}, "well", nil},
		"asleep":      {box.Snapshot{Looks: 1, Asleep: true}, box.Event{}, "asleep", nil},
		"locked":      {box.Snapshot{Looks: 1, Locked: true, Hint: true}, box.Event{}, "well, teaching is locked", nil},
		"recomputing": {box.Snapshot{Looks: 1, Recomputing: lesson.Coverage{Have: 3, Pending: 4}}, box.Event{}, "busy, 4 kept pictures are still to be looked at again", nil},
		"hint": {box.Snapshot{Looks: 1, Hint: true}, box.Event{Kind: box.NewLesson}, "well",
			[]string{"it asks for the empty desk: clear it, then tap nothing", "last: new lesson (the old one is kept)"}},
		"unwell": {box.Snapshot{Looks: 1, Hint: true, Problems: problems},
			box.Event{Kind: box.Refused, Err: fmt.Errorf("press: %w", full)}, "unwell (camera, lesson, model, storage)", []string{
				"camera: not there: run with --sim",
				"the lesson was taught with another model (begin a new one)",
				"model: no such file (run make setup)",
				"storage: lesson file x: no space left: make room",
				"last: not done, because of that",
			}},
		"kept":       {box.Snapshot{}, box.Event{Kind: box.Kept, Button: device.Nothing}, "starting", []string{"last: kept an example of nothing"}},
		"skipped":    {box.Snapshot{}, box.Event{Kind: box.Skipped}, "starting", []string{"last: left out a picture of 1: it is like the one before (move the thing a little)"}},
		"taken back": {box.Snapshot{}, box.Event{Kind: box.TakenBack, Button: 0}, "starting", []string{"last: took back a press of 1"}},
		"forgotten":  {box.Snapshot{}, box.Event{Kind: box.Forgotten, Button: 1}, "starting", []string{"last: forgot 2"}},
		"restored":   {box.Snapshot{}, box.Event{Kind: box.Restored}, "starting", []string{"last: the last lesson is back"}},
		"edited":     {box.Snapshot{}, box.Event{Kind: box.Edited, Step: lesson.Step{Kind: "rename", What: "ball"}}, "starting", []string{"last: lesson changed: rename ball"}},
		"unlocked":   {box.Snapshot{}, box.Event{Kind: box.Unlocked}, "starting", []string{"last: teaching is unlocked"}},
		"refused":    {box.Snapshot{}, box.Event{Kind: box.Refused, Err: full}, "starting", []string{"last: not done: " + full.Error()}},
	} {
		if got := condition(&test.s); got != test.state {
			t.Errorf("%s: it is %q (want %q)", name, got, test.state)
		}
		if diff := cmp.Diff(test.want, notes(&test.s, test.last)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestFaceLog plays a box without a terminal: the start, what happened, the end
// and where the lesson is are lines.
func TestFaceLog(t *testing.T) {
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		a := faceless(t, t.TempDir())
		f, err := new(runCmd).face(a, std{in: strings.NewReader(""), out: &out})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); f.run(ctx, cancel) }()
		time.Sleep(time.Second)
		f.observe(box.Event{Kind: box.Looked})
		f.observe(box.Event{Kind: box.TakenBack, Button: 3})
		time.Sleep(time.Second)
		cancel()
		<-ended
		f.observe(box.Event{Kind: box.Forgotten, Button: 3})
		f.bye("/srv/lesson")
		f.close()
	})
	state := "desk: empty; verdict: none yet; taught: none yet; box: starting"
	want := strings.Join([]string{
		"Teachbox runs until it is interrupted; each change is a line.",
		state,
		state + "; last: took back a press of 4",
		state + "; last: forgot 4",
		"the lesson is kept in /srv/lesson",
		"",
	}, "\n")
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// TestFaceJSON: with --json there is nothing else to read.
func TestFaceJSON(t *testing.T) {
	var out bytes.Buffer
	f, err := (&runCmd{JSON: true}).face(faceless(t, t.TempDir()), std{in: strings.NewReader(""), out: &out})
	if err != nil {
		t.Fatal(err)
	}
	f.say("now the leaf")
	f.bye("/srv/lesson")
	if out.Len() > 0 {
		t.Errorf("it printed %q", out.String())
	}
}

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"

	"teachbox/device"
	"teachbox/internal/api"
	"teachbox/internal/lesson"
)

// inHand is a lesson with two classes of which one has a name, and three
// presses.
func inHand() api.InHand {
	at := func(minute int) api.Moment {
		return api.Moment{Boot: "b", Since: 60 * float64(minute), Wall: time.Date(2026, 5, 4, 9, minute, 0, 0, time.Local)}
	}
	return api.InHand{
		Contents: api.Contents{
			Lesson: "l", Revision: 7, Name: "Fruit", Note: "for Monday", Presses: 3, Frames: 6,
			Classes: []api.Class{
				{Button: "nothing", ID: "n", Name: "nothing", Presses: 1, Frames: 3},
				{Button: "class 2", ID: "k", Name: "Apple", Presses: 2, Frames: 3},
			},
		},
		Presses: []api.Press{
			{ID: "0193-aaaa-1111", Button: "nothing", Class: "n", Frames: 3, When: at(1)},
			{ID: "0193-aaab-2222", Button: "class 2", Class: "k", Frames: 1, When: at(2)},
			{ID: "0193-aaac-3222", Button: "class 2", Class: "k", Frames: 2, When: at(3)},
		},
		Undo: "rename Apple",
	}
}

func TestFindClass(t *testing.T) {
	for text, want := range map[string]device.Button{
		"1": 0, "8": 7, "class 2": 1, "Class 3": 2, "nothing": device.Nothing, "NOTHING": device.Nothing, "Apple": 1, "apple": 1,
	} {
		if b, err := findClass(inHand(), text); err != nil || b != want {
			t.Errorf("%q is %v, %v; want %v", text, b, err, want)
		}
	}
	for _, text := range []string{"", "0", "9", "-1", "class 9", "Pear", "1 "} {
		if b, err := findClass(inHand(), text); err == nil || !strings.Contains(err.Error(), "Apple (2)") {
			t.Errorf("%q is %v, %v; want an error that names the classes", text, b, err)
		}
	}
}

// Digits are names that a class of digits has.
func TestFindDigit(t *testing.T) {
	in := inHand()
	in.Contents.Classes[1].Name = "3"
	if b, err := findClass(in, "3"); err == nil || !strings.Contains(err.Error(), `"class 3" or "class 2"`) {
		t.Errorf("%v, %v", b, err)
	}
	if b, err := findClass(in, "class 3"); err != nil || b != 2 {
		t.Errorf("%v, %v", b, err)
	}
	in.Contents.Classes[1].Name = "2"
	if b, err := findClass(in, "2"); err != nil || b != 1 {
		t.Errorf("%v, %v", b, err)
	}
}

func TestFindPress(t *testing.T) {
	for text, want := range map[string]string{
		"0193-aaab-2222": "0193-aaab-2222", // whole
		"0193-aaab":      "0193-aaab-2222",
		"0193-AAAB":      "0193-aaab-2222",
		"1111":           "0193-aaaa-1111",
		"3222":           "0193-aaac-3222",
	} {
		if id, err := findPress(inHand(), text); err != nil || id != want {
			t.Errorf("%q is %q, %v; want %q", text, id, err, want)
		}
	}
	for text, says := range map[string]string{"": "there is none", "0193": "3 have such an id", "222": "2 have such an id", "aaab": "there is none"} {
		if id, err := findPress(inHand(), text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is %q, %v; want %q", text, id, err, says)
		}
	}
}

// TestShortIDs: what is shown is short, names one, and is found again.
func TestShortIDs(t *testing.T) {
	ids := []string{"0193-aaaa-1111", "0193-aaab-2222", "0193-aaac-3222", "0193-aaac-93222"}
	short := shortIDs(ids)
	if diff := cmp.Diff([]string{"-1111", "-2222", "-3222", "93222"}, short); diff != "" {
		t.Error(diff)
	}
	for i, s := range short {
		if id, err := findID(ids, "press", s); err != nil || id != ids[i] {
			t.Errorf("%q is %q, %v", s, id, err)
		}
	}
	if got := shortIDs([]string{"x", "x"}); !slices.Equal(got, []string{"x", "x"}) {
		t.Errorf("of the same: %q", got)
	}
}

func TestFindLesson(t *testing.T) {
	kept := []api.Kept{{ID: "0193-aa11", Name: "Fruit"}, {ID: "0193-bb22", Name: "Toys"}, {ID: "2193-cc33", Name: "toys"}}
	for text, want := range map[string]string{"1": "0193-aa11", "3": "2193-cc33", "fruit": "0193-aa11", "bb22": "0193-bb22", "2193": "2193-cc33"} {
		if id, err := findLesson(kept, text); err != nil || id != want {
			t.Errorf("%q is %q, %v; want %q", text, id, err, want)
		}
	}
	for text, says := range map[string]string{"4": "there is none", "0": "2 have such an id", "01": "2 have such an id", "Toys": "2 have that name", "Cars": "there is none"} {
		if id, err := findLesson(kept, text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is %q, %v; want %q", text, id, err, says)
		}
	}
}

func TestWhen(t *testing.T) {
	wall := time.Date(2026, 5, 4, 9, 30, 0, 0, time.Local)
	now := lesson.Moment{Boot: "now", Since: time.Hour, Wall: wall}
	unset := lesson.Moment{Boot: "now", Since: time.Hour}
	for _, test := range []struct {
		name string
		m    api.Moment
		now  lesson.Moment
		want string
	}{
		{"the clock was set", api.Moment{Boot: "old", Wall: wall}, unset, "2026-05-04 09:30"},
		{"it is set now", api.Moment{Boot: "now", Since: 1800}, now, "2026-05-04 09:00"},
		{"it is not set yet", api.Moment{Boot: "now", Since: 1800}, unset, "30m0s ago"},
		{"it was not set then", api.Moment{Boot: "old", Since: 1800}, now, "while the clock was not set"},
		{"nothing is known", api.Moment{}, lesson.Moment{}, "while the clock was not set"},
	} {
		if got := when(test.m, test.now); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestShowLesson(t *testing.T) {
	var out bytes.Buffer
	if err := showLesson(&out, inHand(), lesson.Moment{}); err != nil {
		t.Fatal(err)
	}
	want := `lesson "Fruit": 2 classes, 3 presses, 6 pictures
for Monday

nothing: 1 press, 3 pictures
  1111  2026-05-04 09:01  3 pictures

Apple (2): 2 presses, 3 pictures
  2222  2026-05-04 09:02  1 picture
  3222  2026-05-04 09:03  2 pictures

undo would undo: rename Apple
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	if err := showLesson(&out, api.InHand{}, lesson.Moment{}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "lesson: nothing was taught yet\n" {
		t.Errorf("an empty lesson is %q", got)
	}
}

func TestListLessons(t *testing.T) {
	var out bytes.Buffer
	kept := []api.Kept{
		{ID: "0193-aa11", Name: "Fruit", Classes: make([]api.Class, 2), Presses: 3, Frames: 6, Away: api.Moment{Wall: time.Date(2026, 5, 4, 9, 30, 0, 0, time.Local)}},
		{ID: "0193-bb22", Classes: make([]api.Class, 1), Presses: 1, Frames: 1, Aside: true},
	}
	if err := listLessons(&out, kept, lesson.Moment{}); err != nil {
		t.Fatal(err)
	}
	want := `   ID    NAME   PUT AWAY                                                                            TAUGHT
1  aa11  Fruit  2026-05-04 09:30                                                                    2 classes, 3 presses, 6 pictures
2  bb22         while the clock was not set, by itself: it was taught with another model or view  1 class, 1 press, 1 picture
`
	if diff := cmp.Diff(strings.Join(strings.Fields(want), " "), strings.Join(strings.Fields(out.String()), " ")); diff != "" {
		t.Error(diff)
	}
}

func TestEventWords(t *testing.T) {
	slot := func(n int) *int { return &n }
	lost := func(n uint64) *uint64 { return &n }
	for want, e := range map[string]api.Event{
		"LED 2 is lit":               {Event: "verdict", Slot: slot(2)},
		"dark":                       {Event: "verdict", Slot: slot(0)},
		"kept an example of class 1": {Event: "kept", Button: "class 1"},
		"left out a picture of class 1: it is like the one before": {Event: "skipped", Button: "class 1"},
		"took back a press of nothing":                             {Event: "taken back", Button: "nothing"},
		"forgot class 2":                                           {Event: "forgotten", Button: "class 2"},
		"a new lesson; the old one was put away":                   {Event: "new lesson"},
		"the last lesson is back":                                  {Event: "restored"},
		"lesson changed: rename Ball":                              {Event: "edited", Step: &api.Step{Kind: "rename", What: "Ball"}},
		"teaching is locked":                                       {Event: "locked"},
		"teaching is unlocked":                                     {Event: "unlocked"},
		"not done for class 1: teaching is locked":                 {Event: "refused", Button: "class 1", Error: "teaching is locked"},
		"camera: well again":                                       {Event: "health", Part: "camera"},
		"camera: not there":                                        {Event: "health", Part: "camera", Error: "not there"},
		"learned 5 pictures":                                       {Event: "learned", Frames: 5},
		"3 events were missed":                                     {Event: "gap", Lost: lost(3)},
		"some events were missed":                                  {Event: "gap", Lost: lost(0)},
		"newly invented":                                           {Event: "newly invented"},
	} {
		if got := eventWords(e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestStatusLines(t *testing.T) {
	contents := inHand().Contents
	since := time.Date(2026, 5, 4, 9, 30, 0, 0, time.Local)
	for _, test := range []struct {
		s    api.Snapshot
		want []string
	}{
		{api.Snapshot{}, []string{"starting; lesson: nothing was taught yet"}},
		{
			api.Snapshot{Looks: 1, Known: true, Lit: "class 2", Contents: contents},
			[]string{`well; sees Apple (2); lesson "Fruit": 2 classes, 3 presses, 6 pictures`},
		},
		{
			api.Snapshot{Looks: 1, Hint: true},
			[]string{"well; sees nothing that it knows; lesson: nothing was taught yet; it asks for the empty desk: clear it, then tap nothing"},
		},
		{api.Snapshot{Looks: 1, Asleep: true, Nothing: true}, []string{"asleep; sees nothing; lesson: nothing was taught yet"}},
		{
			api.Snapshot{Looks: 1, Locked: true, Nothing: true, Recomputing: &api.Amount{Done: 3, Total: 40}},
			[]string{"looking at 3 of 40 kept pictures again, teaching is locked; sees nothing; lesson: nothing was taught yet"},
		},
		{
			api.Snapshot{Health: []api.Problem{
				{Part: "button 1", Message: "down all the time (see what lies on it)", Since: since},
				{Part: "camera", Message: "not there", Since: since, Blinks: 2, Remedy: "Fetch an adult."},
			}},
			[]string{
				"unwell (button 1, camera); lesson: nothing was taught yet",
				"button 1, since 2026-05-04 09:30:00: down all the time (see what lies on it)",
				"camera, since 2026-05-04 09:30:00, 2 blinks: not there [Fetch an adult.]",
			},
		},
	} {
		if diff := cmp.Diff(test.want, statusLines(test.s)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFold(t *testing.T) {
	for _, test := range []struct {
		lines         []string
		width, height int
		want          []string
	}{
		{[]string{"one two three"}, 80, 24, []string{"one two three"}},
		{[]string{"one two three four", "five"}, 14, 24, []string{"one two three", "  four", "five"}},
		{[]string{"anextremelylongword"}, 11, 24, []string{"anextreme…"}},
		{[]string{"苹果 苹果 苹果 苹果"}, 11, 24, []string{"苹果 苹果", "  苹果", "  苹果"}},
		{[]string{"one", "two", "three"}, 80, 3, []string{"one", "two"}},
		{[]string{"one", "two"}, 0, 0, []string{"one"}}, // a terminal that does not know
	} {
		got := fold(test.lines, test.width, test.height)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q: %s", test.lines, diff)
		}
		for _, line := range got {
			if n := new(runewidth.Condition).StringWidth(line); test.width > 10 && n >= test.width {
				t.Errorf("%q has %d columns of %d", line, n, test.width)
			}
		}
	}
}

// FuzzFind: whatever a person types names one thing that is there, or is an
// error.
func FuzzFind(f *testing.F) {
	for _, text := range []string{"1", "nothing", "Apple", "222", "0193-aaab", "", "class 9"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in := inHand()
		if b, err := findClass(in, text); err == nil && b > device.Nothing {
			t.Errorf("class %q is %v", text, b)
		}
		if id, err := findPress(in, text); err == nil && !slices.Contains(pressIDs(in), id) {
			t.Errorf("press %q is %q", text, id)
		}
		kept := []api.Kept{{ID: "0193-aa11", Name: "Fruit"}, {ID: "0193-bb22", Name: "Toys"}}
		if id, err := findLesson(kept, text); err == nil && id != kept[0].ID && id != kept[1].ID {
			t.Errorf("lesson %q is %q", text, id)
		}
	})
}

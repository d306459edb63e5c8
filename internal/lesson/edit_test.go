package lesson

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
	"teachbox/inference"
)

// must carries an edit out.
func (t *teacher) must(e Edit) Result {
	t.Helper()
	r, err := t.Edit(AnyRevision, e)
	if err != nil {
		t.Fatalf("%T%+v: %v", e, e, err)
	}
	return r
}

// Each step, undone and done again, leaves the lesson as it was, and a fold that
// answers the same.
func TestSteps(t *testing.T) {
	l := newTeacher(t)
	one, _ := l.press(0, 2)
	l.press(0, 1)
	l.press(1, 3)
	l.press(device.Nothing, 1)
	for _, tt := range []struct {
		edit Edit
		want string
	}{
		{TakeBack{0}, "class 1 1/2, class 2 1/3, nothing 1/1, all 3/6"},
		{Drop{one}, "class 1 0/0, class 2 1/3, nothing 1/1, all 2/4"},
		{Undo{}, "class 1 1/2, class 2 1/3, nothing 1/1, all 3/6"},
		{Move{one, 1}, "class 1 0/0, class 2 2/5, nothing 1/1, all 3/6"},
		{Move{one, 4}, "class 1 0/0, class 2 1/3, nothing 1/1, class 5 1/2, all 3/6"},
		{Rename{4, "mug"}, "class 1 0/0, class 2 1/3, nothing 1/1, mug 1/2, all 3/6"},
		{Merge{1, 4}, "class 1 0/0, nothing 1/1, mug 2/5, all 3/6"},
		{Forget{0}, "nothing 1/1, mug 2/5, all 3/6"},
		{Describe{"our desk", "two\nlines"}, "nothing 1/1, mug 2/5, all 3/6"},
		{Forget{device.Nothing}, "mug 2/5, all 2/5"},
	} {
		before, digest := l.Contents(), l.fold().Digest
		if r := l.must(tt.edit); r.Contents.Revision <= before.Revision || r.Step.Kind == "" {
			t.Errorf("%T: %+v after revision %d", tt.edit, r, before.Revision)
		}
		l.want(tt.want)
		after, done := l.Contents(), l.fold().Digest
		if _, again := tt.edit.(Undo); again {
			continue
		}
		for range 2 {
			l.must(Undo{})
			same(t, before, l.Contents())
			if l.fold().Digest != digest {
				t.Errorf("%T: undone, it folds into another head", tt.edit)
			}
			l.reopen()
			l.must(Redo{})
			same(t, after, l.Contents())
			if l.fold().Digest != done {
				t.Errorf("%T: done again, it folds into another head", tt.edit)
			}
			l.reopen()
		}
	}
	if c := l.Contents(); c.Name != "our desk" || c.Note != "two\nlines" {
		t.Errorf("called %q, %q", c.Name, c.Note)
	}
	for l.Contents().Undo > 0 {
		l.must(Undo{})
	}
	l.want("all 0/0")
	for l.Contents().Redo > 0 {
		l.must(Redo{})
	}
	l.want("mug 2/5, all 2/5")
	l.reopen()
	l.must(Undo{})
	l.press(7, 1)
	if err := l.edit(Redo{}); !errors.Is(err, ErrNothingToRedo) {
		t.Errorf("doing again after something new: %v", err)
	}
	if c, err := l.Check(); err != nil || len(c.Lessons) != 1 || c.Lessons[0].Frames != l.Contents().Frames {
		t.Errorf("check: %+v, %v", c, err)
	}
}

// same demands contents that differ in nothing but how they came about.
func same(t *testing.T, want, got Contents) {
	t.Helper()
	want.Revision, want.Undo, want.Redo = got.Revision, got.Undo, got.Redo
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("contents (-want +got):\n%s", d)
	}
}

func TestEditRefusals(t *testing.T) {
	l := newTeacher(t)
	for e, want := range map[Edit]error{Undo{}: ErrNothingToUndo, Redo{}: ErrNothingToRedo, Restore{Lesson: "x"}: ErrNoLesson} {
		if err := l.edit(e); !errors.Is(err, want) {
			t.Errorf("%T in a new file: %v (want %v)", e, err, want)
		}
	}
	id, _ := l.press(0, 1)
	l.press(1, 1)
	l.must(Rename{1, "mug"})
	before := l.Contents()
	for _, tt := range []struct {
		edit Edit
		want error
	}{
		{Drop{"x"}, ErrNoPress},
		{Move{"x", 1}, ErrNoPress},
		{Move{id, 0}, ErrNoChange},
		{Move{id, device.Nothing + 1}, ErrNoClass},
		{Merge{0, 3}, ErrNoClass},
		{Merge{3, 0}, ErrNoClass},
		{Merge{0, 0}, ErrNoChange},
		{Rename{3, "cup"}, ErrNoClass},
		{Rename{0, ""}, ErrName},
		{Rename{0, " cup"}, ErrName},
		{Rename{0, "cup\n"}, ErrName},
		{Rename{0, "cup\xff"}, ErrName},
		{Rename{0, strings.Repeat("ß", MaxName+1)}, ErrName},
		{Rename{0, "Mug"}, ErrName},
		{Rename{0, "class 7"}, ErrName},
		{Rename{0, "class 1"}, ErrNoChange},
		{Describe{"", ""}, ErrNoChange},
		{Describe{"x", strings.Repeat("x", MaxNote+1)}, ErrName},
		{Describe{"", "bell\a"}, ErrName},
		{Restore{}, ErrNothingKept},
		{Load{Path: filepath.Join(t.TempDir(), "none")}, ErrFile},
	} {
		if err := l.edit(tt.edit); !errors.Is(err, tt.want) {
			t.Errorf("%T%+v: %v (want %v)", tt.edit, tt.edit, err, tt.want)
		}
	}
	if _, err := l.Edit(before.Revision-1, Rename{0, "cup"}); !errors.Is(err, ErrConflict) {
		t.Errorf("an edit of an older lesson: %v", err)
	}
	if d := cmp.Diff(before, l.Contents()); d != "" || l.Writable() != nil {
		t.Errorf("refusals changed the lesson (%v):\n%s", l.Writable(), d)
	}
	if _, err := l.Edit(before.Revision, Rename{0, strings.Repeat("ß", MaxName)}); err != nil {
		t.Error(err)
	}
}

func TestHistory(t *testing.T) {
	l := newTeacher(t)
	id, _ := l.press(0, 2)
	l.must(Rename{0, "mug"})
	l.must(Undo{})
	l.must(Move{id, 2})
	steps, err := l.History(100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		got = append(got, fmt.Sprintf("%s|%s|%d|%v", s.Kind, s.What, s.Frames, s.Undone))
	}
	want := []string{"move|class 3|2|false", "undo|rename class 1|0|false", "rename|class 1|0|true", "press|class 3|2|false", "begin||0|false"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("history (-want +got):\n%s", d)
	}
	if some, err := l.History(2); err != nil || len(some) != 2 || some[0] != steps[0] {
		t.Errorf("the last two: %v, %v", some, err)
	}
	presses, err := l.Presses()
	if err != nil || len(presses) != 1 || presses[0].ID != id || presses[0].Button != 2 || presses[0].Frames != 2 || presses[0].Pictures != 2 {
		t.Errorf("presses %+v, %v", presses, err)
	}
}

// Save and Load: the same lesson, on another box and on the same one.
func TestSaveAndLoad(t *testing.T) {
	l := newTeacher(t)
	id, _ := l.press(0, 2)
	l.press(device.Nothing, 3)
	l.press(1, 1)
	l.must(TakeBack{1})
	l.must(Rename{0, "mug"})
	l.must(Describe{"our desk", "a note"})
	l.must(Move{id, 5})
	file := filepath.Join(t.TempDir(), "saved")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Save(file); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := filepath.Glob(file + "?*"); err != nil || len(left) > 0 {
		t.Errorf("left beside the file: %v, %v", left, err)
	}
	c, err := CheckFile(file)
	if err != nil || len(c.Lessons) != 1 || c.Lessons[0].Frames != 5 || c.Lessons[0].Pictures != 5 || c.Lessons[0].Name != "our desk" {
		t.Fatalf("check: %+v, %v", c, err)
	}
	other := newTeacher(t)
	other.press(3, 1)
	old := other.Contents().Lesson
	for range 2 { // the second time the first copy is put away
		r := other.must(Load{Path: file})
		if r.Kept == nil || r.Kept.ID != old {
			t.Errorf("the lesson that was in hand: %+v", r.Kept)
		}
		old = r.Contents.Lesson
		other.want(summary(l.Contents()))
		if c := other.Contents(); c.Name != "our desk" || c.Note != "a note" || c.Undo != 0 {
			t.Errorf("loaded: %+v", c)
		}
		if got := other.fold().Digest; got != l.fold().Digest {
			t.Error("it folds into another head")
		}
		if n := other.count("picture"); n != 5 {
			t.Errorf("%d pictures (want 5)", n)
		}
		other.reopen()
	}
	kept, err := other.Kept()
	if err != nil || len(kept) != 2 || kept[0].Name != "our desk" || kept[0].Pictures != 0 || kept[1].Frames != 1 {
		t.Errorf("kept %+v, %v", kept, err)
	}
	other.press(5, 1)
	other.must(Undo{})
	if _, err := other.Check(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(other.path + ".load*"); err != nil || len(left) > 0 {
		t.Errorf("left beside the lesson: %v, %v", left, err)
	}
	t.Chdir(filepath.Dir(file))
	if err := l.Save("near"); err != nil {
		t.Error(err)
	}
	if _, err := CheckFile("near"); err != nil {
		t.Error(err)
	}
	other.must(Load{Path: "near"})
	if err := other.edit(Load{Path: t.TempDir()}); !errors.Is(err, ErrFile) {
		t.Errorf("loading a folder: %v", err)
	}
}

// What a file from elsewhere must not bring.
func TestLoadHostile(t *testing.T) {
	for name, spoil := range map[string]string{
		"trigger":         `CREATE TRIGGER evil AFTER INSERT ON class BEGIN DELETE FROM lesson; END`,
		"view":            `CREATE VIEW evil AS SELECT 1`,
		"another table":   `CREATE TABLE evil (a)`,
		"no checksum":     `DROP TABLE picture; CREATE TABLE picture (example INTEGER PRIMARY KEY, jpeg BLOB)`,
		"name":            `UPDATE class SET name = 'a' || char(10)`,
		"long name":       `UPDATE class SET name = hex(zeroblob(100))`,
		"note":            `INSERT INTO description (lesson, name, note) VALUES ((SELECT seq FROM lesson), '', hex(zeroblob(1000)))`,
		"no content":      `UPDATE example SET embedding = zeroblob(1024)`,
		"short embedding": `UPDATE example SET embedding = x'0102'`,
		"text embedding":  `UPDATE example SET embedding = 'text'`,
		"zero point":      `UPDATE space SET zero_point = 300`,
		"long model":      `UPDATE space SET model = hex(zeroblob(1000))`,
		"crop":            `UPDATE space SET crop = 'everything'`,
		"no picture":      `UPDATE picture SET jpeg = x'0102'`,
		"huge picture":    `UPDATE picture SET jpeg = x'ffd8' || zeroblob(5000000)`,
		"boot":            `UPDATE operation SET boot = hex(zeroblob(1000))`,
		"empty press":     `DELETE FROM example`,
		"no lesson":       `UPDATE lesson SET kept = 1`,
		"history":         `INSERT INTO operation (lesson, kind, target, boot, since_ns) VALUES ((SELECT seq FROM lesson), 'undo', '77', '', 0)`,
		"nothing":         `DELETE FROM press`,
	} {
		t.Run(name, func(t *testing.T) {
			from := newTeacher(t)
			from.press(0, 1)
			file := filepath.Join(t.TempDir(), "saved")
			if err := from.Save(file); err != nil {
				t.Fatal(err)
			}
			db := openForWriting(system{}, file)
			if _, err := db.Exec(spoil); err != nil {
				t.Fatal(err)
			}
			db.Close()
			l := newTeacher(t)
			l.press(3, 2)
			before := l.Contents()
			err := l.edit(Load{Path: file})
			switch {
			case err == nil && (name == "nothing" || name == "history"): // is not taken
				return
			case !errors.Is(err, ErrFile):
				t.Errorf("loading it: %v", err)
			}
			if d := cmp.Diff(before, l.Contents()); d != "" || l.Writable() != nil {
				t.Errorf("it changed the lesson (%v):\n%s", l.Writable(), d)
			}
			if left, err := filepath.Glob(l.path + ".load*"); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			l.reopen()
		})
	}
}

func TestRecompute(t *testing.T) {
	l := newTeacher(t)
	l.press(0, 3)
	l.press(1, 2)
	flipped := testSpace
	flipped.Flip = "h"
	other := func(n int) inference.Embedding {
		e := embedding(3, n)
		e.Space = flipped
		return e
	}
	if c := l.Coverage(flipped); c != (Coverage{Pending: 5}) {
		t.Fatalf("coverage %+v", c)
	}
	revision, digest := l.Contents().Revision, l.fold().Digest
	for i := 0; l.Coverage(flipped).Pending > 0; i++ {
		pictures, err := l.Pending(flipped, 2)
		if err != nil || len(pictures) == 0 {
			t.Fatalf("%d pictures, %v", len(pictures), err)
		}
		var all []Recomputed
		for _, p := range pictures {
			r := Recomputed{Example: p.Example, Embedding: other(int(p.Example))}
			if i == 0 {
				r = Recomputed{Example: p.Example, Unreadable: true}
			}
			all = append(all, r)
		}
		if err := l.Recompute(all); err != nil {
			t.Fatal(err)
		}
		l.reopen() // it goes on after a start
	}
	if c := l.Coverage(flipped); c != (Coverage{Have: 3, Lost: 2}) {
		t.Errorf("coverage %+v", c)
	}
	if got := l.Contents().Revision; got != revision {
		t.Errorf("revision %d (want %d: the lesson is the same)", got, revision)
	}
	if f, err := l.Fold(flipped); err != nil || f.Frames != 3 {
		t.Errorf("fold %+v, %v", f, err)
	}
	if got := l.fold().Digest; got != digest {
		t.Error("going back needs nothing computed again")
	}
	if err := l.Recompute([]Recomputed{{Example: 1, Embedding: other(1)}, {Example: 1, Embedding: inference.Embedding{Q: make([]byte, 1024), Space: flipped}}}); !errors.Is(err, ErrNoContent) || l.Coverage(flipped).Have != 3 {
		t.Errorf("an empty embedding: %v", err)
	}
	if _, err := l.PutAside(flipped); !errors.Is(err, ErrNoChange) {
		t.Errorf("putting a lesson aside that can be compared: %v", err)
	}
	third := testSpace
	third.Rotation = 90
	if _, err := l.db.Exec("DELETE FROM picture"); err != nil {
		t.Fatal(err)
	}
	l.reopen()
	r, err := l.PutAside(third)
	if err != nil || r.Kept == nil || !r.Kept.Aside || r.Kept.Presses != 2 {
		t.Errorf("put aside %+v, %v", r, err)
	}
	l.want("all 0/0")
	l.must(Restore{Lesson: r.Kept.ID})
	l.want("class 1 1/3, class 2 1/2, all 2/5")
}

func TestLocked(t *testing.T) {
	l := newTeacher(t)
	for _, locked := range []bool{true, true, false, true} {
		if err := l.SetLocked(locked); err != nil {
			t.Fatal(err)
		}
		l.reopen()
		l.must(New{})
		if got := l.Contents().Locked; got != locked {
			t.Errorf("locked %v (want %v)", got, locked)
		}
	}
}

// A file of the first version is led on, and a copy of it kept until there is a
// backup.
func TestLedOn(t *testing.T) {
	first := migrations()[:1]
	path := filepath.Join(t.TempDir(), "lesson.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db := openForWriting(system{}, path)
	e := embedding(1, 1)
	for _, step := range append(first, `PRAGMA user_version = 1;
		INSERT INTO lesson (id) VALUES ('one');
		INSERT INTO operation (lesson, kind, target, boot, since_ns) VALUES (1, 'begin', 'one', '', 0), (1, 'keep', 'e', '', 0);
		INSERT INTO class (id, lesson, name, kind, slot, created_by) VALUES ('c', 1, 'class 1', 'class', 0, 2);
		INSERT INTO press (id, class, created_by) VALUES ('p', 1, 2);
		INSERT INTO provenance (backend, arch) VALUES ('', '');`) {
		if _, err := db.Exec(step); err != nil {
			t.Fatal(err)
		}
	}
	in := testSpace
	_, err := db.Exec(`INSERT INTO space (model, cut, crop, flip, rotation, filter, zero_point, length) VALUES (?, ?, ?, ?, ?, ?, 0, 1024)`,
		in.Model, in.Cut, in.Crop, in.Flip, in.Rotation, in.Filter)
	if err == nil {
		_, err = db.Exec(`INSERT INTO example (id, press, space, provenance, embedding, created_by) VALUES ('e', 1, 1, 1, ?, 2)`, e.Q)
	}
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	file := filepath.Join(t.TempDir(), "older")
	copyBeside(t, path, file)

	// Where it cannot be led on it is not taken for an empty one.
	o := testOptions(path)
	o.disk = writeProtected{}
	if _, err := Open(o); !errors.Is(err, ErrReadOnly) {
		t.Errorf("opened where nothing can be written: %v", err)
	}
	s, err := OpenService(o)
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(s.Writable(), ErrReadOnly) || s.Contents().Revision != 0 {
		t.Errorf("the service: %v, %+v", s.Writable(), s.Contents())
	}
	s.disk = system{}
	if err := s.Retry(); err != nil || s.Contents().Frames != 1 {
		t.Errorf("afterwards: %v, %+v", err, s.Contents())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	copyBeside(t, file, path)

	l := openAt(t, testOptions(path))
	l.want("class 1 1/1, all 1/1")
	older := path + ".version-1"
	if c, err := CheckFile(older); err != nil || c.Version != 1 {
		t.Errorf("the copy: %+v, %v", c, err)
	}
	l.press(0, 1)
	l.must(Undo{})
	if err := l.edit(Undo{}); !errors.Is(err, ErrNothingToUndo) {
		t.Errorf("undoing what the first version did not write down: %v", err)
	}
	l.reopen()
	if err := l.Backup(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(older); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy after a backup: %v", err)
	}
	// One that comes from elsewhere is led on as well, in a copy.
	other := newTeacher(t)
	other.must(Load{Path: file})
	other.want("class 1 1/1, all 1/1")
}

func TestBackup(t *testing.T) {
	l := newTeacher(t)
	l.press(0, 2)
	if !l.Unsaved() {
		t.Error("nothing to back up")
	}
	for n := range 3 {
		if err := l.Backup(); err != nil {
			t.Fatal(err)
		}
		if l.Unsaved() {
			t.Error("still something to back up")
		}
		c, err := CheckFile(l.backupPath(1))
		if err != nil || c.Lessons[0].Presses != n+1 {
			t.Errorf("backup: %+v, %v", c, err)
		}
		l.press(1, 1)
	}
	if c, err := CheckFile(l.backupPath(2)); err != nil || c.Lessons[0].Presses != 2 {
		t.Errorf("the older backup: %+v, %v", c, err)
	}
	if l.Overdue() {
		t.Error("overdue while the same lesson is in hand")
	}
	l.must(New{})
	if !l.Overdue() {
		t.Error("not overdue after a new lesson")
	}
	l.reopen() // the box was off before it came to it
	if !l.Overdue() {
		t.Error("not overdue after a new start")
	}
	if err := l.Backup(); err != nil {
		t.Fatal(err)
	}
	if l.Overdue() {
		t.Error("overdue after a backup")
	}
	if left, err := l.beside(backupSuffix); err != nil || len(left) != 1 {
		t.Errorf("backups %v (want one: the older one had pictures)", left)
	}
	if err := os.Truncate(l.path, 5000); err != nil {
		t.Fatal(err)
	}
	if _, err := l.db.Exec("PRAGMA shrink_memory"); err != nil {
		t.Fatal(err)
	}
	if err := l.Backup(); !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged file took the place of a backup: %v", err)
	}
}

// A subcommand is told of the backup that there is.
func TestDamagedNamesBackup(t *testing.T) {
	l := newTeacher(t)
	l.press(0, 2)
	if err := l.Backup(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := os.Truncate(l.path, 5000); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testOptions(l.path)); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), l.backupPath(1)) {
		t.Errorf("opening it: %v", err)
	}
	s, err := OpenService(testOptions(l.path))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := s.Notice(); n == nil || n.Backup != l.backupPath(1) || n.Presses != 1 || s.Contents().Frames != 2 {
		t.Errorf("%v; %+v", n, s.Contents())
	}
	if err := s.Acknowledge(); err != nil || s.Notice() != nil {
		t.Error(err)
	}
	s.Close()
	again, err := OpenService(testOptions(l.path))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if n := again.Notice(); n != nil {
		t.Errorf("after it was acknowledged: %v", n)
	}
}

// A picture that is spoilt costs nothing but itself.
func TestSpoiltPicture(t *testing.T) {
	l := newTeacher(t)
	l.press(0, 3)
	l.reopen()
	l.Close()
	b, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte("picture 2."))+700] ^= 4
	if err := os.WriteFile(l.path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := CheckFile(l.path); !errors.Is(err, ErrDamaged) {
		t.Errorf("check: %v", err)
	}
	s, err := OpenService(testOptions(l.path))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l = &teacher{TB: t, Store: s}
	l.want("class 1 1/3, all 1/3")
	if n := s.Notice(); n == nil || n.Aside != "" || !strings.Contains(n.String(), "gone are 1 of the kept pictures") {
		t.Errorf("notice %v", n)
	}
	if n := l.count("picture"); n != 2 {
		t.Errorf("%d pictures (want 2)", n)
	}
	l.reopen()
}

func TestErase(t *testing.T) {
	l := newTeacher(t)
	l.press(0, 2)
	l.must(New{})
	l.press(0, 2)
	if err := l.Backup(); err != nil {
		t.Fatal(err)
	}
	r := l.must(Erase{})
	l.want("all 0/0")
	if r.Contents.Kept != 0 || r.Contents.Revision == 0 {
		t.Errorf("erased: %+v", r)
	}
	if left, err := l.beside("."); err != nil || len(left) != 1 {
		t.Errorf("left beside the file: %v (want the lock)", left)
	}
	l.press(0, 1)
	l.reopen()
}

// What cannot be erased is found before anything is, and a lock is not erased.
func TestErasable(t *testing.T) {
	l := newTeacher(t)
	l.press(0, 2)
	if err := l.SetLocked(true); err != nil {
		t.Fatal(err)
	}
	odd := l.path + ".backup.old"
	if err := os.Mkdir(odd, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.edit(Erase{}); err == nil || !strings.Contains(err.Error(), odd) {
		t.Errorf("erasing a folder: %v", err)
	}
	l.want("class 1 1/2, all 1/2")
	l.press(1, 1)
	if err := os.Remove(odd); err != nil {
		t.Fatal(err)
	}
	l.must(Erase{})
	l.want("all 0/0")
	l.reopen()
	if !l.Contents().Locked {
		t.Error("erasing has unlocked it")
	}
}

// A file is erased whatever it is like, but not while somebody has it open.
func TestEraseFile(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"whole":   func(string) error { return nil },
		"damaged": func(path string) error { return os.Truncate(path, 5000) },
		"gone":    os.Remove,
		"newer": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte{9}, 62)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newTeacher(t)
			l.press(0, 2)
			if err := l.Backup(); err != nil {
				t.Fatal(err)
			}
			if err := EraseFile(testOptions(l.path)); !errors.Is(err, ErrInUse) {
				t.Errorf("in use: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if err := spoil(l.path); err != nil {
				t.Fatal(err)
			}
			if err := EraseFile(testOptions(l.path)); err != nil {
				t.Fatal(err)
			}
			q := embedding(0, 1).Q[:20]
			files := readShelf(t, l.path)
			if found := files.where(q); len(found) > 0 {
				t.Errorf("still in %v", found)
			}
			openAt(t, testOptions(l.path)).want("all 0/0")
		})
	}
}

// When a lesson was put away stays known when the one after it goes, and what
// had to go for good is told.
func TestPutAway(t *testing.T) {
	l := newTeacher(t)
	l.press(0, 3)
	first := l.Contents().Lesson
	l.must(New{})
	l.press(1, 1)
	if r := l.must(Restore{}); r.Gone != nil {
		t.Errorf("gone: %+v", r.Gone)
	}
	l.must(New{})
	kept, err := l.Kept()
	if err != nil || len(kept) != 2 || kept[0].ID != first || kept[0].Away == (Moment{}) || kept[1].Away == (Moment{}) {
		t.Errorf("kept %+v, %v", kept, err)
	}
	for n := range maxKept + 1 {
		id := NewPressID()
		for range 3 {
			if _, err := l.Keep(l.next(0, id)); err != nil {
				t.Fatal(err)
			}
			id = NewPressID()
		}
		r := l.must(New{})
		if full := n >= maxKept-2; (r.Gone != nil) != full {
			t.Errorf("lesson %d: gone %+v", n+3, r.Gone)
		} else if full && !strings.Contains(r.Gone.Removed(), "removed for good") {
			t.Error(r.Gone.Removed())
		}
	}
	l.press(0, 1)
	if r := l.must(New{}); r.Kept != nil || r.Gone == nil || r.Gone.Presses != 1 {
		t.Errorf("a small lesson without room: kept %+v, gone %+v", r.Kept, r.Gone)
	}
}

// A lesson that could be compared with nothing is not taken in hand.
func TestComparable(t *testing.T) {
	l := newTeacher(t)
	for range 3 {
		l.press(0, 1)
	}
	file := filepath.Join(t.TempDir(), "saved")
	if err := l.Save(file); err != nil {
		t.Fatal(err)
	}
	l.must(New{}) // its pictures go
	l.press(1, 1)
	here, elsewhere := testSpace, otherSpace()
	if err := l.edit(Restore{In: &elsewhere}); !errors.Is(err, ErrSpace) {
		t.Errorf("without pictures: %v", err)
	}
	l.want("class 2 1/1, all 1/1")
	l.must(Load{Path: file, In: &elsewhere}) // it brings its pictures
	l.must(New{})
	l.must(Restore{In: &here})
	l.want("class 1 3/3, all 3/3")

	never := openAt(t, Options{Path: filepath.Join(t.TempDir(), "lesson.db")})
	if err := never.edit(Load{Path: file, In: &elsewhere}); !errors.Is(err, ErrSpace) {
		t.Errorf("without pictures: %v", err)
	}
	never.must(Load{Path: file, In: &here})
}

// The service keeps no pictures that its policy does not keep any more, nor old
// backups of them; a command that only opens the file changes nothing.
func TestPolicyChanged(t *testing.T) {
	o := Options{Path: filepath.Join(t.TempDir(), "lesson.db"), KeepPictures: KeepAlways}
	l := openAt(t, o)
	l.press(0, 2)
	l.must(New{})
	l.press(0, 3)
	for range 2 {
		if err := l.Backup(); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []struct {
		keep     KeepPictures
		service  bool
		pictures int
	}{{KeepNever, false, 5}, {KeepAlways, true, 5}, {KeepLesson, true, 3}, {KeepNever, true, 0}} {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		o.KeepPictures = to.keep
		var err error
		before := 0
		if l.Store, err = Open(o); err == nil && to.service {
			before = l.count("picture")
			l.Close()
			l.Store, err = OpenService(o)
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := l.count("picture"); n != to.pictures {
			t.Errorf("policy %d, service %v: %d pictures (want %d)", to.keep, to.service, n, to.pictures)
		}
		if c := l.Coverage(otherSpace()); c.Pending != min(3, to.pictures) {
			t.Errorf("policy %d: %+v", to.keep, c)
		}
		if fewer := to.service && before > to.pictures; l.Overdue() != fewer {
			t.Errorf("policy %d: overdue %v", to.keep, l.Overdue())
		}
		if err := l.Backup(); err != nil {
			t.Fatal(err)
		}
	}
	if found := readShelf(t, l.path).where(picture(1)[:20]); len(found) > 0 {
		t.Errorf("a picture is still in %v", found)
	}
}

// What root makes belongs to the user of the folder.
func TestHandOver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("NOT TESTED: this user is not root")
		return
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 1234, 2345); err != nil {
		t.Fatal(err)
	}
	l := openAt(t, testOptions(filepath.Join(dir, "lesson.db")))
	l.press(0, 2)
	if err := l.Backup(); err != nil {
		t.Fatal(err)
	}
	l.must(Erase{})
	l.press(0, 2)
	if err := l.Backup(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 4 {
		t.Errorf("%v, %v", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 1234 || owner.Gid != 2345 {
			t.Errorf("%s belongs to %d:%d", e.Name(), owner.Uid, owner.Gid)
		}
	}
}

// FuzzLoad spoils a saved file, four bytes of data an edit: three say where, one
// is what stands there then. Loading it is refused, or gives a lesson that is
// whole; the one in hand is the same until then.
func FuzzLoad(f *testing.F) {
	from := newTeacher(f)
	from.press(0, 2)
	from.press(device.Nothing, 1)
	file := filepath.Join(f.TempDir(), "saved")
	if err := from.Save(file); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	l := newTeacher(f)
	l.press(3, 1)
	f.Add([]byte{})
	f.Add([]byte{0, 0, 63, 9})
	f.Add([]byte{0, 16, 0, 13, 1, 0, 200, 7})
	f.Fuzz(func(t *testing.T, edits []byte) {
		spoilt := bytes.Clone(whole)
		for ; len(edits) >= 4; edits = edits[4:] {
			at := int(edits[0])<<16 | int(edits[1])<<8 | int(edits[2])
			spoilt[at%len(spoilt)] = edits[3]
		}
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		before := l.Contents()
		err := l.edit(Load{Path: path})
		switch {
		case err == nil:
			if c := l.Contents(); c.Presses != 2 || c.Frames != 3 {
				t.Errorf("another lesson, silently: %+v", c)
			}
		case !errors.Is(err, ErrFile):
			t.Error(err)
		case !cmp.Equal(before, l.Contents()):
			t.Error("a refused file changed the lesson")
		}
		if l.Writable() != nil {
			t.Error(l.Writable())
		}
	})
}

// writeProtected is a disk that nothing can be written on.
type writeProtected struct{ system }

func (writeProtected) Writable(string) error { return syscall.EROFS }

package lesson

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
	"teachbox/inference"
	"teachbox/inference/head"
)

var testSpace = inference.Space{Model: "c4149e63", Cut: "pool", Crop: "squash", Filter: 1}

// embedding makes an embedding of 1024 values that only n determines, near
// those of the same group.
func embedding(group, n int) inference.Embedding {
	r := rand.New(rand.NewPCG(1, uint64(group)))
	q := make([]uint8, 1024)
	for i := range q {
		q[i] = uint8(r.IntN(200))
	}
	r = rand.New(rand.NewPCG(2, uint64(n)))
	for range 100 {
		q[r.IntN(len(q))] = uint8(r.IntN(256))
	}
	binary.LittleEndian.PutUint32(q, uint32(n))
	return inference.Embedding{Q: q, Space: testSpace}
}

func picture(n int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("\xff\xd8picture %d.", n)), 800)
}

func testOptions(path string) Options {
	return Options{Path: path, KeepPictures: KeepLesson}
}

// A teacher teaches numbered frames.
type teacher struct {
	testing.TB
	*Store
	n    int
	last int64 // sequence number of the last example
}

func openAt(t testing.TB, o Options) *teacher {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &teacher{TB: t, Store: s}
}

func newTeacher(t testing.TB) *teacher {
	return openAt(t, testOptions(filepath.Join(t.TempDir(), "lesson.db")))
}

func (t *teacher) next(b device.Button, press string) Keep {
	t.n++
	return Keep{
		Button: b, Press: press, Embedding: embedding(int(b), t.n), Picture: picture(t.n),
		Provenance: inference.Provenance{Backend: "fake", Arch: "none"},
	}
}

// press keeps a press of some frames.
func (t *teacher) press(b device.Button, frames int) (id string, last Example) {
	t.Helper()
	id = NewPressID()
	for range frames {
		var err error
		if last, err = t.Keep(t.next(b, id)); err != nil {
			t.Fatal(err)
		}
		if last.Seq <= t.last {
			t.Fatalf("sequence number %d after %d", last.Seq, t.last)
		}
		t.last = last.Seq
	}
	return id, last
}

func (t *teacher) fold() *Fold {
	t.Helper()
	f, err := t.Fold(testSpace)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// reopen closes and opens the same file, and demands the same contents and the
// same fold.
func (t *teacher) reopen() {
	t.Helper()
	before, fold := t.Contents(), t.fold()
	if err := t.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Path: t.path, KeepPictures: t.pictures, Now: t.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	t.Store = s
	if d := cmp.Diff(before, t.Contents()); d != "" {
		t.Fatalf("contents after opening again (-before +after):\n%s", d)
	}
	after := t.fold()
	after.Head, fold.Head = nil, nil
	if d := cmp.Diff(fold, after); d != "" {
		t.Fatalf("fold after opening again (-before +after):\n%s", d)
	}
}

// edit does what a gesture does.
func (t *teacher) edit(e Edit) error {
	_, err := t.Edit(AnyRevision, e)
	return err
}

func (t *teacher) count(table string) int {
	t.Helper()
	var n int
	if err := t.db.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func summary(c Contents) string {
	var b strings.Builder
	for _, k := range c.Classes {
		fmt.Fprintf(&b, "%s %d/%d, ", k.Name, k.Presses, k.Frames)
	}
	fmt.Fprintf(&b, "all %d/%d", c.Presses, c.Frames)
	return b.String()
}

func (t *teacher) want(contents string) {
	t.Helper()
	if got := summary(t.Contents()); got != contents {
		t.Fatalf("contents %q (want %q)", got, contents)
	}
}

func TestTeach(t *testing.T) {
	l := newTeacher(t)
	l.want("all 0/0")
	if c := l.Contents(); c.Lesson == "" || c.Revision == 0 {
		t.Errorf("a new file has lesson %q, revision %d", c.Lesson, c.Revision)
	}
	red, first := l.press(0, 3)
	l.press(device.Nothing, 1)
	_, last := l.press(0, 2)
	l.press(3, 1)
	l.want("class 1 2/5, nothing 1/1, class 4 1/1, all 4/7")
	if first.Seq >= last.Seq || first.Class != last.Class || first.Press != red || first.ID == last.ID {
		t.Errorf("examples %+v and %+v", first, last)
	}
	before := l.Contents().Revision
	l.reopen()
	_, more := l.press(0, 1)
	if more.Seq <= last.Seq || more.Revision <= before || more.Revision != l.Contents().Revision {
		t.Errorf("%+v after revision %d", more, before)
	}
	f := l.fold()
	if f.Head == nil || f.Frames != 8 || len(f.Classes) != 3 || f.Classes[1].Button != device.Nothing || f.Presses[0] != red {
		t.Fatalf("fold %+v", f)
	}
	var a head.Answer
	f.Head.Ask(embedding(3, 1000).Q, &a)
	if a.Winner != 2 {
		t.Errorf("a frame like those of class 4 is %d (want 2)", a.Winner)
	}
}

func TestTakeBackAndForget(t *testing.T) {
	l := newTeacher(t)
	l.press(1, 2)
	two, ex := l.press(1, 1)
	l.press(0, 1)
	digest := l.fold().Digest

	for i, frames := range []int{1, 2} {
		before := l.Contents().Revision
		got, err := l.Edit(AnyRevision, TakeBack{1})
		want := Step{Revision: l.Contents().Revision, Kind: opTakeBack, What: "class 2", Frames: frames, When: got.Step.When}
		if err != nil || got.Step != want || got.Contents.Presses != 2-i {
			t.Fatalf("took back %+v, %v (want %+v)", got, err, want)
		}
		if l.Contents().Revision <= before {
			t.Error("the revision did not grow")
		}
		l.reopen()
	}
	l.want("class 2 0/0, class 1 1/1, all 1/1")
	if f := l.fold(); len(f.Classes) != 1 || f.Classes[0].Name != "class 1" || f.Digest == digest {
		t.Errorf("fold %+v", f)
	}
	for _, b := range []device.Button{1, 5} {
		if err := l.edit(TakeBack{b}); !errors.Is(err, ErrNothingToTakeBack) {
			t.Errorf("taking back from %v: %v", b, err)
		}
	}
	if _, err := l.Keep(l.next(1, two)); !errors.Is(err, ErrPress) {
		t.Errorf("a frame for a press that was taken back: %v", err)
	}

	// The empty class is still the same one; the forgotten one is not.
	if _, again := l.press(1, 1); again.Class != ex.Class {
		t.Error("the emptied class was made anew")
	}
	if err := l.edit(Forget{1}); err != nil {
		t.Fatal(err)
	}
	l.want("class 1 1/1, all 1/1")
	l.reopen()
	if err := l.edit(Forget{1}); !errors.Is(err, ErrNothingToForget) {
		t.Errorf("forgetting twice: %v", err)
	}
	if _, again := l.press(1, 1); again.Class == ex.Class {
		t.Error("the forgotten class came back")
	}
	l.want("class 1 1/1, class 2 1/1, all 2/2")
	l.reopen()
	if n := l.count("example"); n != 6 {
		t.Errorf("%d examples on file (want 6: nothing is deleted)", n)
	}
}

func TestRefusals(t *testing.T) {
	l := newTeacher(t)
	id, other := NewPressID(), NewPressID()
	blind := l.next(0, id)
	blind.Picture = nil // from which another embedding could be made
	if _, err := l.Keep(blind); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*Keep)
		want   error // nil: any
	}{
		{"all zero", func(k *Keep) { k.Embedding.Q = make([]uint8, 1024) }, ErrNoContent},
		{"no values", func(k *Keep) { k.Embedding.Q = nil }, ErrNoContent},
		{"shorter", func(k *Keep) { k.Embedding.Q = k.Embedding.Q[:1023] }, ErrSpace},
		{"huge", func(k *Keep) { k.Embedding.Q = make([]uint8, maxEmbedding+1) }, ErrSpace},
		{"zero point", func(k *Keep) { k.Embedding.ZeroPoint = 128 }, ErrSpace},
		{"zero point beyond uint8", func(k *Keep) { k.Embedding.ZeroPoint = 256 }, ErrSpace},
		{"other space", func(k *Keep) { k.Embedding.Space.Flip = "h" }, ErrSpace},
		{"press of another class", func(k *Keep) { k.Press = id }, ErrPress},
		{"no press", func(k *Keep) { k.Press = "" }, ErrPress},
		{"strange press", func(k *Keep) { k.Press = "tuesday" }, ErrPress},
		{"no such button", func(k *Keep) { k.Button = device.Nothing + 1 }, nil},
		{"huge picture", func(k *Keep) { k.Picture = make([]byte, maxPicture+1) }, nil},
	}
	before := l.Contents()
	for _, tt := range tests {
		k := l.next(1, other)
		tt.change(&k)
		if e, err := l.Keep(k); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v (want %v)", tt.name, e, err, tt.want)
		} else if !strings.Contains(err.Error(), "keeping a frame: ") {
			t.Errorf("%s: %v does not say what failed", tt.name, err)
		}
	}
	if d := cmp.Diff(before, l.Contents()); d != "" || l.Writable() != nil {
		t.Errorf("refusals changed the lesson (%v):\n%s", l.Writable(), d)
	}
	l.reopen()
	// An empty lesson takes another space, even a new one.
	if err := l.edit(TakeBack{0}); err != nil {
		t.Fatal(err)
	}
	k := l.next(0, other)
	k.Embedding.Space.Flip = "h"
	k.Embedding.ZeroPoint = 7
	if _, err := l.Keep(k); err != nil {
		t.Error(err)
	}
	if f := l.fold(); f.Frames != 0 || f.Head != nil {
		t.Errorf("%d frames fold in a space that they are not of", f.Frames)
	}
	if f, err := l.Fold(k.Embedding.Space); err != nil || f.Frames != 1 || f.Head == nil {
		t.Errorf("fold %+v, %v", f, err)
	}
	l.reopen()
}

func TestOnlyNothing(t *testing.T) {
	l := newTeacher(t)
	if f := l.fold(); f.Head != nil || f.Frames != 0 || f.Digest == "" {
		t.Errorf("fold of an empty lesson %+v", f)
	}
	l.press(device.Nothing, 3)
	if f := l.fold(); f.Head != nil || f.Frames != 3 || len(f.Classes) != 1 {
		t.Errorf("fold of nothing alone %+v", f)
	}
	l.press(4, 1)
	if f := l.fold(); f.Head == nil {
		t.Error("no head")
	}
}

func TestNewAndRestore(t *testing.T) {
	l := newTeacher(t)
	if err := l.edit(Restore{}); !errors.Is(err, ErrNothingKept) {
		t.Errorf("restoring in a new file: %v", err)
	}
	l.press(0, 2)
	l.press(1, 1)
	first := l.Contents()
	digest := l.fold().Digest
	if err := l.edit(New{}); err != nil {
		t.Fatal(err)
	}
	l.want("all 0/0")
	if c := l.Contents(); c.Lesson == first.Lesson || c.Revision <= first.Revision {
		t.Errorf("new lesson %+v", c)
	}
	if n := l.count("picture"); n != 0 {
		t.Errorf("%d pictures of a lesson that was put away", n)
	}
	if wal, err := os.Stat(l.path + "-wal"); err != nil || wal.Size() != 0 {
		t.Errorf("the log still has what was erased: %v, %v", wal, err)
	}
	file, err := os.ReadFile(l.path)
	if err != nil || bytes.Contains(file, []byte("picture 1.")) {
		t.Errorf("the file still has an erased picture (%v)", err)
	}
	l.reopen()
	l.press(2, 1)
	if err := l.edit(TakeBack{2}); err != nil {
		t.Fatal(err)
	}
	before := l.Contents().Revision
	if err := l.edit(Restore{}); err != nil {
		t.Fatal(err)
	}
	back := l.Contents()
	if back.Revision <= before {
		t.Error("the revision did not grow")
	}
	back.Revision, back.Kept = first.Revision, first.Kept
	if d := cmp.Diff(first, back); d != "" {
		t.Errorf("the lesson that came back (-put away +back):\n%s", d)
	}
	if got := l.fold().Digest; got != digest {
		t.Errorf("digest %s (want %s)", got, digest)
	}
	l.reopen()
	if n := l.count("lesson"); n != 1 {
		t.Errorf("%d lessons (want 1: the empty one is gone)", n)
	}
	// A press id that was put away stays taken.
	id, _ := l.press(0, 1)
	if err := l.edit(New{}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Keep(l.next(0, id)); !errors.Is(err, ErrPress) {
		t.Errorf("a frame for a press that was put away: %v", err)
	}
}

func TestKeptLessons(t *testing.T) {
	// teach a lesson of some presses, put it away, and return its id
	away := func(l *teacher, presses int) string {
		l.Helper()
		for range presses {
			l.press(0, 1)
		}
		id := l.Contents().Lesson
		if err := l.edit(New{}); err != nil {
			l.Fatal(err)
		}
		return id
	}
	kept := func(l *teacher) []string {
		var ids []string
		err := each(l.db, func(r *sql.Rows) error {
			var id string
			err := r.Scan(&id)
			ids = append(ids, id)
			return err
		}, `SELECT id FROM lesson WHERE kept IS NOT NULL ORDER BY kept`)
		if err != nil {
			l.Fatal(err)
		}
		return ids
	}
	l := newTeacher(t)
	var want []string
	check := func(what string) {
		t.Helper()
		if d := cmp.Diff(want, kept(l)); d != "" {
			t.Errorf("%s (-want +kept):\n%s", what, d)
		}
	}
	away(l, 0)
	check("an empty lesson is not kept")
	for i := range maxKept {
		want = append(want, away(l, 1+i%4))
	}
	check("ten lessons, short ones too")
	away(l, displacesFrom-1)
	check("a short one displaces none")
	want = append(want[1:], away(l, displacesFrom))
	check("a longer one displaces the oldest")
	if err := l.edit(Restore{}); err != nil {
		t.Fatal(err)
	}
	if got := l.Contents().Lesson; got != want[maxKept-1] {
		t.Errorf("restored %s (want the last, %s)", got, want[maxKept-1])
	}
	want = want[:maxKept-1]
	check("the restored one is in hand")
	want = append(want, away(l, 0))
	check("put away again")
	l.reopen()
	if err := verify(l.db, len(migrations())); err != nil {
		t.Error(err)
	}
}

func TestPictures(t *testing.T) {
	for _, tt := range []struct {
		keep            KeepPictures
		inHand, putAway int
	}{{KeepNever, 0, 0}, {KeepLesson, 3, 0}, {KeepAlways, 3, 3}} {
		l := openAt(t, Options{Path: filepath.Join(t.TempDir(), "l.db"), KeepPictures: tt.keep})
		l.press(0, 1)
		l.press(0, 2)
		if err := l.edit(TakeBack{0}); err != nil {
			t.Fatal(err)
		} // a picture that was taken back is erased as well
		if n := l.count("picture"); n != tt.inHand {
			t.Errorf("policy %d: %d pictures in hand (want %d)", tt.keep, n, tt.inHand)
		}
		if err := l.edit(New{}); err != nil {
			t.Fatal(err)
		}
		if n := l.count("picture"); n != tt.putAway {
			t.Errorf("policy %d: %d pictures put away (want %d)", tt.keep, n, tt.putAway)
		}
		if n := l.count("example"); n != 3 {
			t.Errorf("policy %d: %d embeddings (want 3)", tt.keep, n)
		}
	}
}

func TestWhenAndWho(t *testing.T) {
	at := Moment{Boot: "boot", Since: 90 * time.Second}
	o := testOptions(filepath.Join(t.TempDir(), "lesson.db"))
	o.Now = func() Moment { return at }
	l := openAt(t, o)
	l.press(0, 1)
	at.Wall = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	at.Since += time.Second
	_, ex := l.press(0, 1)
	type row struct {
		Kind, Boot string
		Since      int64
		Wall       any
	}
	var got []row
	err := each(l.db, func(r *sql.Rows) error {
		var o row
		err := r.Scan(&o.Kind, &o.Boot, &o.Since, &o.Wall)
		got = append(got, o)
		return err
	}, `SELECT kind, boot, since_ns, wall_ns FROM operation ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	want := []row{{"begin", "boot", 90e9, nil}, {"keep", "boot", 90e9, nil}, {"keep", "boot", 91e9, at.Wall.UnixNano()}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("operations (-want +got):\n%s", d)
	}
	var op int64
	var target, by string
	err = l.db.QueryRow(`SELECT created_by, target, backend FROM example JOIN operation ON operation.seq = created_by
		JOIN provenance ON provenance.seq = provenance WHERE example.seq = ?`, ex.Seq).Scan(&op, &target, &by)
	if err != nil || op != ex.Revision || target != ex.ID || by != "fake" {
		t.Errorf("example made by operation %d on %s with %s, %v (want %+v)", op, target, by, err, ex)
	}
}

func TestSystemMoment(t *testing.T) {
	a, b := SystemMoment(), SystemMoment()
	if len(a.Boot) != 36 || a.Boot != b.Boot || a.Since <= 0 || b.Since < a.Since {
		t.Errorf("moments %+v, %+v", a, b)
	}
	for year, want := range map[int]bool{1970: false, 2024: false, 2025: true} {
		if got := plausible(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)); got.IsZero() == want {
			t.Errorf("the year %d: %v", year, got)
		}
	}
}

func TestShare(t *testing.T) {
	for _, tt := range []struct {
		counts []int
		total  int
		want   []int
	}{
		{nil, 5, []int{}},
		{[]int{2, 3}, 5, []int{2, 3}},
		{[]int{2, 3}, 100, []int{2, 3}},
		{[]int{1, 9, 9}, 10, []int{1, 4, 5}},
		{[]int{9, 9, 1}, 10, []int{4, 5, 1}},
		{[]int{5, 5, 5}, 2, []int{0, 1, 1}},
		{[]int{0, 4}, 3, []int{0, 3}},
	} {
		if d := cmp.Diff(tt.want, share(tt.counts, tt.total)); d != "" {
			t.Errorf("share(%v, %d) (-want +got):\n%s", tt.counts, tt.total, d)
		}
	}
}

// inMemory makes contents without a file.
func inMemory(classes, presses, frames int) *contents {
	in := &space{seq: 1, Space: testSpace, length: 1024}
	c := &contents{spaces: []*space{in}}
	for k := range classes {
		c.classes = append(c.classes, &class{seq: int64(k), id: fmt.Sprint(k), button: device.Button(k)})
	}
	n := 0
	for p := range presses {
		for k, cl := range c.classes {
			pr := &press{seq: int64(p*classes + k), id: fmt.Sprintf("%d.%d", p, k)}
			for range frames {
				n++
				pr.frames = append(pr.frames, example{seq: int64(n), space: in, q: embedding(k, n).Q})
			}
			cl.presses = append(cl.presses, pr)
		}
	}
	return c
}

func TestThin(t *testing.T) {
	for _, tt := range []struct {
		name                    string
		classes, presses, frame int
		limit                   int
		wantPresses, wantFrames int
	}{
		{"all", 3, 4, 5, 60, 12, 60},
		{"some of each press", 3, 4, 5, 50, 12, 50},
		{"one of each press", 3, 4, 5, 12, 12, 12},
		{"more presses than room", 3, 4, 5, 7, 7, 7},
		{"the real bound", 4, 30, 25, head.MaxExamples, 120, head.MaxExamples},
	} {
		c := inMemory(tt.classes, tt.presses, tt.frame)
		got := c.thin(testSpace, tt.limit)
		if len(got.presses) != tt.wantPresses || len(got.examples) != tt.wantFrames || len(got.classes) != tt.classes {
			t.Errorf("%s: %d presses, %d frames, %d classes (want %d, %d, %d)", tt.name,
				len(got.presses), len(got.examples), len(got.classes), tt.wantPresses, tt.wantFrames, tt.classes)
		}
		perClass, perPress := map[int]int{}, map[int]int{}
		ids := map[int64]bool{}
		for i, e := range got.examples {
			if i > 0 && e.ID <= got.examples[i-1].ID || ids[e.ID] {
				t.Errorf("%s: example %d is out of order", tt.name, e.ID)
			}
			ids[e.ID] = true
			perClass[e.Class]++
			perPress[e.Press]++
		}
		if len(perPress) != tt.wantPresses || len(perClass) != tt.classes {
			t.Errorf("%s: examples of %d presses and %d classes", tt.name, len(perPress), len(perClass))
		}
		least, most := tt.frame, 0
		for _, n := range perPress {
			least, most = min(least, n), max(most, n)
		}
		if most-least > 1 {
			t.Errorf("%s: presses give %d to %d frames", tt.name, least, most)
		}
		again := c.thin(testSpace, tt.limit)
		if !slices.EqualFunc(got.examples, again.examples, func(a, b head.Example) bool { return a.ID == b.ID && a.Press == b.Press }) {
			t.Errorf("%s: chosen differently the second time", tt.name)
		}
	}
}

func TestDigest(t *testing.T) {
	p := head.Params{Classes: 2, Nothing: head.None}
	base := func() []head.Example {
		return []head.Example{{ID: 1, X: []uint8{1, 2}, Class: 0, Press: 0}, {ID: 2, X: []uint8{3, 4}, Class: 1, Press: 1}}
	}
	want := digest(p, base())
	renamed := base()
	renamed[0].ID = 9
	if digest(p, renamed) != want {
		t.Error("ids change the digest")
	}
	changes := map[string]string{}
	for name, change := range map[string]func(*head.Params, []head.Example){
		"nothing":   func(p *head.Params, _ []head.Example) { p.Nothing = 1 },
		"zeropoint": func(p *head.Params, _ []head.Example) { p.ZeroPoint = 1 },
		"class":     func(_ *head.Params, e []head.Example) { e[1].Class = 0 },
		"press":     func(_ *head.Params, e []head.Example) { e[1].Press = 0 },
		"value":     func(_ *head.Params, e []head.Example) { e[1].X[1] = 5 },
		"border":    func(_ *head.Params, e []head.Example) { e[0].X, e[1].X = []uint8{1, 2, 3}, []uint8{4} },
	} {
		p, e := p, base()
		change(&p, e)
		got := digest(p, e)
		if got == want || changes[got] != "" {
			t.Errorf("%s does not change the digest (or as %q does)", name, changes[got])
		}
		changes[got] = name
	}
}

// Everything the box does with a lesson works on the fake clock.
func TestInBubble(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lesson.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(testOptions(path))
		if err != nil {
			t.Fatal(err)
		}
		l := &teacher{TB: t, Store: s}
		for range 3 {
			l.press(0, 2)
			time.Sleep(time.Hour)
		}
		l.press(1, 1)
		if f := l.fold(); f.Head == nil {
			t.Error("no head")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
		if _, err := s.Keep(l.next(0, NewPressID())); !errors.Is(err, ErrClosed) {
			t.Errorf("keeping in a closed lesson: %v", err)
		}
		if err := s.Retry(); !errors.Is(err, ErrClosed) {
			t.Errorf("retrying a closed lesson: %v", err)
		}
	})
}

func BenchmarkKeep(b *testing.B) {
	l := newTeacher(b)
	id := NewPressID()
	n := 0
	var flush time.Duration
	f, err := os.Create(filepath.Join(b.TempDir(), "flush"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 24<<10) // what one example writes
	for b.Loop() {
		if n++; n%25 == 0 {
			id = NewPressID()
		}
		if _, err := l.Keep(l.next(0, id)); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		start := time.Now()
		f.Write(page)
		f.Sync()
		flush += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(flush.Nanoseconds())/float64(n), "flush-ns/op")
}

func BenchmarkFold(b *testing.B) {
	for _, size := range []struct{ classes, presses, frames int }{{5, 50, 1}, {5, 10, 5}, {4, 40, 25}} {
		b.Run(fmt.Sprintf("%dx%dx%d", size.classes, size.presses, size.frames), func(b *testing.B) {
			s := &Store{contents: inMemory(size.classes, size.presses, size.frames)}
			for b.Loop() {
				if _, err := s.Fold(testSpace); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	l := newTeacher(b)
	for range 50 {
		for k := range device.Button(5) {
			l.press(k, 1)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(testOptions(l.path))
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

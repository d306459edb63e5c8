package lesson

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"teachbox/device"
	"teachbox/inference"
	"teachbox/inference/head"
)

// The model says what a lesson file is to hold, in slices and maps. Undo is a
// list of whole states, not of changes.
type model struct {
	hand   *mLesson
	kept   []*mLesson // the last one put away first
	locked bool
	backup *model // what the last backup has
}

type mLesson struct {
	id         string
	state      mState
	undo, redo []mStep
	history    []*mEntry
	all        []*mPress // live or not
}

// mState is what a step changes.
type mState struct {
	name, note string
	classes    []mClass // in the order in which they were made
}

type mClass struct {
	id, name string
	button   device.Button
	presses  []*mPress // by number
	made     *mEntry   // the move that made it, or nil
}

type mPress struct {
	id     string
	number int
	when   Moment
	entry  *mEntry
	frames []*mFrame
}

type mFrame struct {
	seq  int64
	from int             // space of the live frame
	in   map[int][]uint8 // by space
	jpeg []byte          // nil if there is none
}

type mStep struct {
	before, after mState
	entry         *mEntry
}

type mEntry struct {
	kind   string
	number int
	press  *mPress
	class  string // id
	of     *mEntry
	undone bool
}

func (st mState) clone() mState {
	st.classes = slices.Clone(st.classes)
	for i := range st.classes {
		st.classes[i].presses = slices.Clone(st.classes[i].presses)
	}
	return st
}

func (st *mState) class(b device.Button) *mClass {
	for i := range st.classes {
		if st.classes[i].button == b {
			return &st.classes[i]
		}
	}
	return nil
}

func (st *mState) press(id string) (*mClass, *mPress) {
	for i := range st.classes {
		for _, p := range st.classes[i].presses {
			if p.id == id {
				return &st.classes[i], p
			}
		}
	}
	return nil, nil
}

func (st *mState) presses() []*mPress {
	var all []*mPress
	for _, k := range st.classes {
		all = append(all, k.presses...)
	}
	slices.SortFunc(all, func(a, b *mPress) int { return cmp.Compare(a.number, b.number) })
	return all
}

func (st *mState) frames() []*mFrame {
	var all []*mFrame
	for _, p := range st.presses() {
		all = append(all, p.frames...)
	}
	return all
}

func (k *mClass) take(p *mPress) {
	k.presses = append(k.presses, p)
	slices.SortFunc(k.presses, func(a, b *mPress) int { return cmp.Compare(a.number, b.number) })
}

func (k *mClass) drop(p *mPress) {
	k.presses = slices.DeleteFunc(k.presses, func(q *mPress) bool { return p == q })
}

// A copier copies a model with all that it points to.
type copier struct {
	presses map[*mPress]*mPress
	entries map[*mEntry]*mEntry
}

func (m *model) clone() *model {
	if m == nil {
		return nil
	}
	c := copier{map[*mPress]*mPress{}, map[*mEntry]*mEntry{}}
	to := &model{hand: c.lesson(m.hand), locked: m.locked, backup: m.backup} // a backup does not change
	for _, l := range m.kept {
		to.kept = append(to.kept, c.lesson(l))
	}
	return to
}

func (c copier) lesson(l *mLesson) *mLesson {
	to := &mLesson{id: l.id, state: c.state(l.state), undo: c.steps(l.undo), redo: c.steps(l.redo)}
	for _, e := range l.history {
		to.history = append(to.history, c.entry(e))
	}
	for _, p := range l.all {
		to.all = append(to.all, c.press(p))
	}
	return to
}

func (c copier) steps(steps []mStep) []mStep {
	var to []mStep
	for _, s := range steps {
		to = append(to, mStep{c.state(s.before), c.state(s.after), c.entry(s.entry)})
	}
	return to
}

func (c copier) state(st mState) mState {
	st = st.clone()
	for i := range st.classes {
		k := &st.classes[i]
		k.made = c.entry(k.made)
		for j, p := range k.presses {
			k.presses[j] = c.press(p)
		}
	}
	return st
}

func (c copier) press(p *mPress) *mPress {
	if p == nil || c.presses[p] != nil {
		return c.presses[p]
	}
	to := &mPress{id: p.id, number: p.number, when: p.when}
	c.presses[p] = to
	to.entry = c.entry(p.entry)
	for _, f := range p.frames {
		g := *f
		g.in = maps.Clone(f.in)
		to.frames = append(to.frames, &g)
	}
	return to
}

func (c copier) entry(e *mEntry) *mEntry {
	if e == nil || c.entries[e] != nil {
		return c.entries[e]
	}
	to := new(mEntry)
	*to = *e
	c.entries[e] = to
	to.press, to.of = c.press(e.press), c.entry(e.of)
	return to
}

// The embedding spaces of the model test: frames are seen in the first one,
// sometimes in the second, and never in the third.
var modelSpaces = []struct {
	inference.Space
	zeroPoint, length int
}{
	{testSpace, 0, 48},
	{inference.Space{Model: "c4149e63", Cut: "pool", Crop: "squash", Flip: "h", Filter: 1}, 128, 48},
	{inference.Space{Model: "aa", Cut: "other", Crop: "center", Filter: 2}, 3, 32},
}

// A modelRun holds a store against the model.
type modelRun struct {
	*testing.T
	*rand.Rand
	dir     string // a new one after each crash
	outside string // for files that are saved
	folders int
	s       *Store
	m       *model
	saved   *mLesson // that Save wrote
	clock   time.Duration
	number  int             // of frames, presses and entries
	ids     map[string]bool // ever given
	rev     int64           // the last one
	log     []string
	answers int
}

func (r *modelRun) path() string   { return filepath.Join(r.dir, "lesson.db") }
func (r *modelRun) file() string   { return filepath.Join(r.outside, "saved.lesson") }
func (r *modelRun) next() int      { r.number++; return r.number }
func (r *modelRun) one(n int) bool { return r.IntN(n) == 0 }

// now is a clock that is set now and then.
func (r *modelRun) now() Moment {
	m := Moment{Boot: fmt.Sprint("boot ", r.folders), Since: r.clock}
	if r.clock/time.Second%2 == 0 {
		m.Wall = time.Unix(1_800_000_000, 0).Add(r.clock)
	}
	return m
}

func (r *modelRun) options() Options {
	return Options{Path: r.path(), KeepPictures: KeepLesson, Now: r.now}
}

func (r *modelRun) note(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

// fail ends the test, with what led there.
func (r *modelRun) fail(format string, args ...any) {
	r.Helper()
	r.Fatalf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(r.log[max(0, len(r.log)-40):], "\n"))
}

// want demands an error, or none.
func (r *modelRun) want(want, got error) {
	r.Helper()
	if !errors.Is(got, want) || (want == nil) != (got == nil) {
		r.fail("error %v (want %v)", got, want)
	}
}

func (r *modelRun) fresh(id, what string) {
	r.Helper()
	if id == "" || r.ids[id] {
		r.fail("%s has the id %q, which is not new", what, id)
	}
	r.ids[id] = true
}

// open opens the file as the service or as a subcommand does.
func (r *modelRun) open(service bool) *Notice {
	r.Helper()
	open := Open
	if service {
		open = OpenService
	}
	s, err := open(r.options())
	if err != nil {
		r.fail("opening: %v", err)
	}
	r.s = s
	if s.Writable() != nil {
		r.fail("opened, but %v", s.Writable())
	}
	return s.Notice()
}

// start is the model of a new file.
func (r *modelRun) start() {
	r.m = &model{hand: &mLesson{id: r.s.Contents().Lesson}}
	r.entry(&mEntry{kind: opBegin})
	r.fresh(r.m.hand.id, "a new lesson")
	r.rev = r.s.Contents().Revision
}

func (r *modelRun) entry(e *mEntry) *mEntry {
	e.number = r.next()
	r.m.hand.history = append(r.m.hand.history, e)
	return e
}

// contents is what Contents is to say, but for the revision.
func (m *model) contents() Contents {
	l := m.hand
	c := Contents{
		Lesson: l.id, Name: l.state.name, Note: l.state.note, Classes: classesOf(&l.state),
		Undo: len(l.undo), Redo: len(l.redo), Kept: len(m.kept), Locked: m.locked,
	}
	for _, k := range c.Classes {
		c.Presses += k.Presses
		c.Frames += k.Frames
	}
	return c
}

func classesOf(st *mState) []Class {
	var all []Class
	for _, k := range st.classes {
		pub := Class{ID: k.id, Name: k.name, Button: k.button, Presses: len(k.presses)}
		for _, p := range k.presses {
			pub.Frames += len(p.frames)
		}
		all = append(all, pub)
	}
	return all
}

// compare holds the contents against the model, and all the rest now and then.
func (r *modelRun) compare(thorough bool) {
	r.Helper()
	got := r.s.Contents()
	if got.Revision < r.rev {
		r.fail("revision %d after %d", got.Revision, r.rev)
	}
	r.rev = got.Revision
	got.Revision = 0
	if d := gocmp.Diff(r.m.contents(), got); d != "" {
		r.fail("contents (-want +got):\n%s", d)
	}
	for _, part := range []struct {
		often int
		check func()
	}{
		{4, r.comparePresses}, {8, r.compareKept}, {8, r.compareHistory}, {4, r.compareFold}, {100, r.compareFile},
	} {
		if thorough || r.one(part.often) {
			part.check()
		}
	}
}

func (r *modelRun) comparePresses() {
	r.Helper()
	var want []Press
	for _, p := range r.m.hand.state.presses() {
		k, _ := r.m.hand.state.press(p.id)
		w := Press{ID: p.id, Class: k.id, Button: k.button, Frames: len(p.frames), When: p.when}
		for _, f := range p.frames {
			if f.jpeg != nil {
				w.Pictures++
			}
		}
		want = append(want, w)
	}
	got, err := r.s.Presses()
	if d := gocmp.Diff(want, got); err != nil || d != "" {
		r.fail("presses: %v (-want +got):\n%s", err, d)
	}
}

// keptOf is what is to be said of a lesson that was put away, but for when.
func keptOf(l *mLesson) Kept {
	k := Kept{ID: l.id, Name: l.state.name, Note: l.state.note, Classes: classesOf(&l.state)}
	for _, p := range l.state.presses() {
		k.Presses++
		k.Frames += len(p.frames)
		for _, f := range p.frames {
			if f.jpeg != nil {
				k.Pictures++
			}
		}
	}
	return k
}

func (r *modelRun) compareKept() {
	r.Helper()
	var want []Kept
	for _, l := range r.m.kept {
		want = append(want, keptOf(l))
	}
	got, err := r.s.Kept()
	for i := range got {
		got[i].Away, got[i].Aside = Moment{}, false
	}
	if d := gocmp.Diff(want, got); err != nil || d != "" {
		r.fail("kept lessons: %v (-want +got):\n%s", err, d)
	}
}

func (r *modelRun) compareHistory() {
	r.Helper()
	n := 1 + r.IntN(30)
	got, err := r.s.History(n)
	if err != nil {
		r.fail("history: %v", err)
	}
	entries := r.m.hand.history
	if len(got) != min(n, len(entries)) {
		r.fail("a history of %d (want %d of %d)", len(got), n, len(entries))
	}
	for i, step := range got {
		e := entries[len(entries)-1-i]
		what := r.what(e)
		frames := 0
		if e.press != nil {
			frames = len(e.press.frames)
		}
		if step.Kind != e.kind || step.Undone != e.undone || step.Frames != frames || what != "" && step.What != what {
			r.fail("step %d before the last is %+v (want %s of %q, %d frames, undone %v)", i, step, e.kind, what, frames, e.undone)
		}
		if i > 0 && step.Revision >= got[i-1].Revision {
			r.fail("revision %d before %d", step.Revision, got[i-1].Revision)
		}
	}
}

// what is what an entry was done to, where it is live.
func (r *modelRun) what(e *mEntry) string {
	if e.of != nil {
		if what := r.what(e.of); what != "" {
			return e.of.kind + " " + what
		}
		return ""
	}
	for _, k := range r.m.hand.state.classes {
		if k.id == e.class || e.press != nil && slices.Contains(k.presses, e.press) {
			return k.name
		}
	}
	return ""
}

// folded is what a head is to be made from.
func (m *model) folded(space int) (head.Params, []head.Example, []string) {
	p := head.Params{Nothing: head.None, ZeroPoint: modelSpaces[space].zeroPoint}
	var examples []head.Example
	var presses []string
	index := map[*mPress]int{}
	for _, p := range m.hand.state.presses() {
		if slices.ContainsFunc(p.frames, func(f *mFrame) bool { return f.in[space] != nil }) {
			index[p] = len(presses)
			presses = append(presses, p.id)
		}
	}
	for _, k := range m.hand.state.classes {
		before := len(examples)
		for _, press := range k.presses {
			for _, f := range press.frames {
				if q := f.in[space]; q != nil {
					examples = append(examples, head.Example{ID: f.seq, X: q, Class: p.Classes, Press: index[press]})
				}
			}
		}
		if len(examples) > before {
			if k.button == device.Nothing {
				p.Nothing = p.Classes
			}
			p.Classes++
		}
	}
	slices.SortFunc(examples, func(a, b head.Example) int { return cmp.Compare(a.ID, b.ID) })
	return p, examples, presses
}

func (r *modelRun) compareFold() {
	r.Helper()
	space := r.IntN(len(modelSpaces))
	if r.one(2) {
		space = 0
	}
	p, examples, presses := r.m.folded(space)
	f, err := r.s.Fold(modelSpaces[space].Space)
	if err != nil {
		r.fail("fold: %v", err)
	}
	if f.Frames != len(examples) || !slices.Equal(f.Presses, presses) || f.Revision != r.rev {
		r.fail("a fold of %d frames and %d presses at revision %d (want %d, %d, %d)", f.Frames, len(f.Presses), f.Revision, len(examples), len(presses), r.rev)
	}
	if len(examples) == 0 {
		return
	}
	if want := digest(p, examples); f.Digest != want {
		r.fail("the fold has digest %s (want %s)", f.Digest, want)
	}
	if p.Classes == 1 && p.Nothing == 0 {
		if f.Head != nil {
			r.fail("a head with nothing to tell apart")
		}
		return
	}
	want, err := new(head.Fitter).Fit(p, examples)
	if err != nil {
		r.fail("%v", err)
	}
	for range 3 {
		x := r.embedding(space, r.IntN(9))
		var a, b head.Answer
		want.Ask(x, &a)
		f.Head.Ask(x, &b)
		if a.Winner != b.Winner || a.Verdict != b.Verdict || a.Accept != b.Accept || !slices.Equal(a.P, b.P) {
			r.fail("in space %d the store says %d %v (want %d %v)", space, b.Verdict, b.P, a.Verdict, a.P)
		}
		r.answers++
	}
}

func (r *modelRun) compareFile() {
	r.Helper()
	c, err := r.s.Check()
	if err != nil || len(c.Lessons) != 1+len(r.m.kept) || c.Lessons[0].ID != r.m.hand.id {
		r.fail("check: %+v, %v", c, err)
	}
}

// embedding makes one near those of a group.
func (r *modelRun) embedding(space, group int) []uint8 {
	q := make([]uint8, modelSpaces[space].length)
	for i := range q {
		q[i] = uint8((group*37+i*11+space*5)%160 + r.IntN(90))
	}
	return q
}

func (r *modelRun) button() device.Button { return device.Button(r.IntN(int(device.Nothing) + 1)) }

// anyPress is the id of a press that is live, or was, or never was.
func (r *modelRun) anyPress() string {
	live := r.m.hand.state.presses()
	switch {
	case len(live) > 0 && !r.one(8):
		return live[r.IntN(len(live))].id
	case len(r.m.hand.all) > 0 && !r.one(4):
		return r.m.hand.all[r.IntN(len(r.m.hand.all))].id
	}
	return []string{"", "tuesday", NewPressID()}[r.IntN(3)]
}

// used reports whether the file has a press with that id, live or not.
func (m *model) used(id string) bool {
	return slices.ContainsFunc(append([]*mLesson{m.hand}, m.kept...), func(l *mLesson) bool {
		return slices.ContainsFunc(l.all, func(p *mPress) bool { return p.id == id })
	})
}

func (m *model) coverage(space int) Coverage {
	var c Coverage
	for _, f := range m.hand.state.frames() {
		switch {
		case f.in[space] != nil:
			c.Have++
		case f.jpeg != nil:
			c.Pending++
		default:
			c.Lost++
		}
	}
	return c
}

// keep keeps a burst, or a frame more of an earlier press.
func (r *modelRun) keep() {
	b, id, frames := r.button(), NewPressID(), 1+r.IntN(4)
	if r.one(6) {
		id, frames = r.anyPress(), 1
		if k, _ := r.m.hand.state.press(id); k != nil && !r.one(3) {
			b = k.button
		}
	}
	space := 0
	if r.one(10) {
		space = 1
	}
	for range frames {
		r.clock += 200 * time.Millisecond
		r.keepOne(b, id, space)
	}
}

func (r *modelRun) keepOne(b device.Button, id string, space int) {
	st := &r.m.hand.state
	n := r.next()
	k := Keep{
		Button: b, Press: id, Provenance: inference.Provenance{Backend: "model", Arch: fmt.Sprint(n % 2)},
		Embedding: inference.Embedding{Q: r.embedding(space, int(b)), Space: modelSpaces[space].Space, ZeroPoint: modelSpaces[space].zeroPoint},
	}
	if !r.one(4) {
		k.Picture = fmt.Appendf(nil, "\xff\xd8 picture %d %s", n, strings.Repeat(".", r.IntN(3000)))
	}
	var want error
	of, p := st.press(id)
	switch c := r.m.coverage(space); {
	case r.one(40):
		k.Embedding.Q = slices.Repeat([]uint8{uint8(k.Embedding.ZeroPoint)}, len(k.Embedding.Q))
		want = ErrNoContent
	case c.Have+c.Pending == 0 && c.Lost > 0:
		want = ErrSpace
	case p != nil && of.button != b || p == nil && (len(id) < 10 || r.m.used(id)):
		want = ErrPress
	case r.one(40):
		// Refused only once the file knows the space.
		if r.m.coverage(space).Have == 0 {
			return
		}
		k.Embedding.Q = k.Embedding.Q[1:]
		want = ErrSpace
	}
	r.note("keep %v %.13s… in space %d: %v", b, id, space, want)
	e, err := r.s.Keep(k)
	r.want(want, err)
	if want != nil {
		return
	}
	if p == nil {
		p = &mPress{id: id, number: n, when: r.now()}
		r.m.hand.all = append(r.m.hand.all, p)
		r.step(&mEntry{kind: "press", press: p}, func(st *mState) {
			k := st.class(b)
			if k == nil {
				r.fresh(e.Class, "a new class")
				st.classes = append(st.classes, mClass{id: e.Class, name: b.String(), button: b})
				k = st.class(b)
			}
			k.take(p)
		})
		p.entry = r.m.hand.history[len(r.m.hand.history)-1]
	}
	if id := st.class(b).id; e.Class != id || e.Press != p.id || e.Revision <= r.rev {
		r.fail("kept %+v in class %s, press %s after revision %d", e, id, p.id, r.rev)
	}
	p.frames = append(p.frames, &mFrame{seq: e.Seq, from: space, in: map[int][]uint8{space: k.Embedding.Q}, jpeg: k.Picture})
}

// step does something to the model that can be undone.
func (r *modelRun) step(e *mEntry, change func(*mState)) {
	l := r.m.hand
	s := mStep{before: l.state.clone(), entry: r.entry(e)}
	change(&l.state)
	s.after = l.state.clone()
	l.undo, l.redo = append(l.undo, s), nil
}

// edit does an edit, which is to be refused with want, or else changes the model.
func (r *modelRun) edit(e Edit, want error, kind string, change func(Result)) {
	r.Helper()
	r.clock += time.Second
	revision := int64(AnyRevision)
	switch r.IntN(20) {
	case 0:
		revision, want = r.rev+1, ErrConflict
	case 1, 2, 3:
		revision = r.rev
	}
	text := fmt.Sprintf("%T%.60v", e, e)
	r.note("%s at %d: %v", strings.TrimPrefix(text, "lesson."), revision, want)
	got, err := r.s.Edit(revision, e)
	r.want(want, err)
	if want == nil {
		r.result(got, kind, change)
	}
}

func (r *modelRun) result(got Result, kind string, change func(Result)) {
	r.Helper()
	if got.Step.Kind != kind {
		r.fail("step %+v (want a %s)", got.Step, kind)
	}
	if c := r.s.Contents(); !gocmp.Equal(got.Contents, c) || c.Revision <= r.rev {
		r.fail("the result has contents %+v (want %+v, after revision %d)", got.Contents, c, r.rev)
	}
	change(got)
}

func (r *modelRun) takeBack() {
	b := r.button()
	k := r.m.hand.state.class(b)
	if k == nil || len(k.presses) == 0 {
		r.edit(TakeBack{b}, ErrNothingToTakeBack, "", nil)
		return
	}
	r.edit(TakeBack{b}, nil, opTakeBack, func(Result) {
		p := k.presses[len(k.presses)-1]
		r.step(&mEntry{kind: opTakeBack, press: p}, func(st *mState) { st.class(b).drop(p) })
	})
}

func (r *modelRun) forget() {
	b := r.button()
	k := r.m.hand.state.class(b)
	if k == nil {
		r.edit(Forget{b}, ErrNothingToForget, "", nil)
		return
	}
	id := k.id
	r.edit(Forget{b}, nil, opForget, func(Result) {
		r.step(&mEntry{kind: opForget, class: id}, func(st *mState) { st.remove(id) })
	})
}

func (st *mState) remove(class string) {
	st.classes = slices.DeleteFunc(st.classes, func(k mClass) bool { return k.id == class })
}

func (r *modelRun) drop() {
	id := r.anyPress()
	k, p := r.m.hand.state.press(id)
	if p == nil {
		r.edit(Drop{id}, ErrNoPress, "", nil)
		return
	}
	b := k.button
	r.edit(Drop{id}, nil, opDrop, func(Result) {
		r.step(&mEntry{kind: opDrop, press: p}, func(st *mState) { st.class(b).drop(p) })
	})
}

func (r *modelRun) move() {
	id, to := r.anyPress(), r.button()
	if r.one(30) {
		to = device.Nothing + 1
	}
	k, p := r.m.hand.state.press(id)
	var want error
	switch {
	case p == nil:
		want = ErrNoPress
	case to > device.Nothing:
		want = ErrNoClass
	case k.button == to:
		want = ErrNoChange
	}
	r.edit(Move{id, to}, want, opMove, func(got Result) {
		e := &mEntry{kind: opMove, press: p}
		from := k.button
		r.step(e, func(st *mState) {
			if st.class(to) == nil {
				made := got.Contents.Classes[len(got.Contents.Classes)-1]
				r.fresh(made.ID, "a new class")
				st.classes = append(st.classes, mClass{id: made.ID, name: to.String(), button: to, made: e})
			}
			st.class(from).drop(p)
			st.class(to).take(p)
		})
	})
}

func (r *modelRun) merge() {
	from, into := r.button(), r.button()
	if ks := r.m.hand.state.classes; len(ks) > 1 && r.one(2) {
		from, into = ks[r.IntN(len(ks))].button, ks[r.IntN(len(ks))].button
	}
	a, b := r.m.hand.state.class(from), r.m.hand.state.class(into)
	var want error
	switch {
	case a == nil || b == nil:
		want = ErrNoClass
	case a == b:
		want = ErrNoChange
	}
	r.edit(Merge{from, into}, want, opMerge, func(Result) {
		r.step(&mEntry{kind: opMerge, class: b.id}, func(st *mState) {
			for _, p := range slices.Clone(st.class(from).presses) {
				st.class(into).take(p)
			}
			st.remove(st.class(from).id)
		})
	})
}

func (r *modelRun) rename() {
	b := r.button()
	good := []string{"cup", "Cup", "CUP", "dog", "two words", "Ärger", "ärger", strings.Repeat("ü", MaxName), "class 3", "Class 7", "nothing"}
	bad := []string{"", " cup", "cup\t", "cu\x00p", "c\xffp", strings.Repeat("x", MaxName+1)}
	name := good[r.IntN(len(good))]
	refused := r.one(8)
	if refused {
		name = bad[r.IntN(len(bad))]
	}
	k := r.m.hand.state.class(b)
	var want error
	switch {
	case k == nil:
		want = ErrNoClass
	case refused:
		want = ErrName
	case name == k.name:
		want = ErrNoChange
	default:
		for other := range device.Nothing + 1 {
			taken := r.m.hand.state.class(other)
			if other != b && (strings.EqualFold(name, other.String()) || taken != nil && strings.EqualFold(name, taken.name)) {
				want = ErrName
			}
		}
	}
	r.edit(Rename{b, name}, want, opRename, func(Result) {
		r.step(&mEntry{kind: opRename, class: k.id}, func(st *mState) { st.class(b).name = name })
	})
}

func (r *modelRun) describe() {
	names, notes := []string{"", "Monday", "4b"}, []string{"", "with the lamp\non", "\tno lamp"}
	name, note := names[r.IntN(3)], notes[r.IntN(3)]
	var want error
	if st := &r.m.hand.state; st.name == name && st.note == note {
		want = ErrNoChange
	}
	if r.one(10) {
		name, want = "Monday ", ErrName
	} else if r.one(10) {
		note, want = strings.Repeat("n", MaxNote+1), ErrName
	}
	r.edit(Describe{name, note}, want, opDescribe, func(Result) {
		r.step(&mEntry{kind: opDescribe}, func(st *mState) { st.name, st.note = name, note })
	})
}

func (r *modelRun) undo() {
	l := r.m.hand
	if len(l.undo) == 0 {
		r.edit(Undo{}, ErrNothingToUndo, "", nil)
		return
	}
	s := l.undo[len(l.undo)-1]
	r.edit(Undo{}, nil, s.entry.kind, func(Result) {
		l.undo, l.redo = l.undo[:len(l.undo)-1], append(l.redo, s)
		l.state = s.before.clone()
		s.entry.undone = true
		r.entry(&mEntry{kind: opUndo, of: s.entry})
	})
}

func (r *modelRun) redo() {
	l := r.m.hand
	if len(l.redo) == 0 {
		r.edit(Redo{}, ErrNothingToRedo, "", nil)
		return
	}
	s := l.redo[len(l.redo)-1]
	r.edit(Redo{}, nil, s.entry.kind, func(Result) {
		l.redo, l.undo = l.redo[:len(l.redo)-1], append(l.undo, s)
		l.state = s.after.clone()
		s.entry.undone = false
		r.entry(&mEntry{kind: opRedo, of: s.entry})
	})
}

// putAway takes another lesson in hand, and keeps the one that was if there is
// room for it.
func (r *modelRun) putAway(next *mLesson, got Result) {
	r.Helper()
	old := r.m.hand
	r.m.kept = slices.DeleteFunc(r.m.kept, func(l *mLesson) bool { return l == next })
	presses := len(old.state.presses())
	if kept := presses > 0 && (len(r.m.kept) < maxKept || presses >= displacesFrom); kept {
		for _, p := range old.all {
			for _, f := range p.frames {
				f.jpeg = nil
			}
		}
		r.m.kept = slices.Insert(r.m.kept, 0, old)
		r.m.kept = r.m.kept[:min(len(r.m.kept), maxKept)]
		want, is := keptOf(old), got.Kept
		if is == nil || !gocmp.Equal(*is, want, gocmp.FilterPath(func(p gocmp.Path) bool {
			return p.String() == "Away" || p.String() == "Aside"
		}, gocmp.Ignore())) {
			r.fail("put away %+v (want %+v)", is, want)
		}
	} else if got.Kept != nil {
		r.fail("kept %+v (want nothing)", got.Kept)
	}
	r.m.hand = next
	if log, err := os.Stat(r.path() + "-wal"); err != nil || log.Size() != 0 {
		r.fail("the log still has what was erased: %v, %v", log, err)
	}
}

func (r *modelRun) begin() {
	r.edit(New{}, nil, opNew, func(got Result) {
		r.fresh(got.Contents.Lesson, "a new lesson")
		r.putAway(&mLesson{id: got.Contents.Lesson}, got)
		r.entry(&mEntry{kind: opNew})
	})
}

func (r *modelRun) restore() {
	id := ""
	var next *mLesson
	var want error
	switch kept := r.m.kept; {
	case r.one(6):
		id, want = []string{r.m.hand.id, "tuesday"}[r.IntN(2)], ErrNoLesson
	case len(kept) == 0:
		want = ErrNothingKept
	case r.one(2):
		next = kept[0]
	default:
		next = kept[r.IntN(len(kept))]
		id = next.id
	}
	r.edit(Restore{Lesson: id}, want, opRestore, func(got Result) {
		r.putAway(next, got)
		r.entry(&mEntry{kind: opRestore})
	})
}

func (r *modelRun) save() {
	r.note("save")
	r.want(nil, r.s.Save(r.file()))
	r.saved = r.m.clone().hand
}

func (r *modelRun) load() {
	path := r.file()
	var want error
	if r.saved == nil || r.one(8) {
		want = ErrFile
		path = filepath.Join(r.outside, []string{"absent", "garbage"}[r.IntN(2)])
	}
	r.edit(Load{Path: path}, want, opLoad, func(got Result) {
		next := (&model{hand: r.saved}).clone().hand
		next.id, next.undo, next.redo, next.all = got.Contents.Lesson, nil, nil, next.state.presses()
		r.fresh(next.id, "a loaded lesson")
		next.history = nil
		for i := range next.state.classes {
			k := &next.state.classes[i]
			k.id = got.Contents.Classes[i].ID
			r.fresh(k.id, "a loaded class")
			if k.made != nil {
				next.history = append(next.history, k.made)
			}
		}
		presses, err := r.s.Presses()
		if err != nil || len(presses) != len(next.all) {
			r.fail("%d presses were loaded, %v (want %d)", len(presses), err, len(next.all))
		}
		var frames []*mFrame
		for i, p := range next.all {
			p.id, p.number = presses[i].ID, r.next()
			r.fresh(p.id, "a loaded press")
			frames = append(frames, p.frames...)
			next.history = append(next.history, p.entry)
		}
		slices.SortFunc(next.history, func(a, b *mEntry) int { return cmp.Compare(a.number, b.number) })
		for _, e := range next.history {
			e.undone = false
			if !slices.Contains(next.all, e.press) {
				e.press = nil // the class is there that its move made
			}
		}
		r.putAway(next, got)
		r.entry(&mEntry{kind: opLoad})

		var seqs []int64
		for _, k := range r.s.contents.classes {
			for _, p := range k.presses {
				for _, e := range p.frames {
					seqs = append(seqs, e.seq)
				}
			}
		}
		slices.Sort(seqs)
		slices.SortFunc(frames, func(a, b *mFrame) int { return cmp.Compare(a.seq, b.seq) })
		if len(seqs) != len(frames) {
			r.fail("%d frames were loaded (want %d)", len(seqs), len(frames))
		}
		for i, f := range frames {
			f.seq = seqs[i]
		}
	})
}

func (r *modelRun) lock() {
	locked := r.one(2)
	r.note("locked %v", locked)
	r.want(nil, r.s.SetLocked(locked))
	r.m.locked = locked
	if r.s.Contents().Revision != r.rev {
		r.fail("locking is a revision")
	}
}

// call gives a lesson without a name one, which is no step: undoing a step that
// did not change the name leaves it.
func (l *mLesson) call(name string) {
	l.state.name = name
	for i := len(l.undo) - 1; i >= 0; i-- {
		s := &l.undo[i]
		s.after.name = name
		if s.before.name != "" {
			break
		}
		s.before.name = name
	}
	for i := len(l.redo) - 1; i >= 0; i-- {
		s := &l.redo[i]
		s.before.name = name
		if s.after.name != "" {
			break
		}
		s.after.name = name
	}
}

func (r *modelRun) putAside() {
	space := r.IntN(len(modelSpaces))
	var want error
	if c := r.m.coverage(space); c.Have+c.Pending > 0 || c.Lost == 0 {
		want = ErrNoChange
	} else if len(r.m.kept) >= maxKept && len(r.m.hand.state.presses()) < displacesFrom {
		want = ErrSpace
	}
	r.note("put aside in space %d: %v", space, want)
	got, err := r.s.PutAside(modelSpaces[space].Space)
	r.want(want, err)
	if want == nil {
		if got.Kept == nil || !got.Kept.Aside {
			r.fail("put aside %+v", got.Kept)
		}
		r.result(got, opAside, func(got Result) {
			r.fresh(got.Contents.Lesson, "a new lesson")
			if r.m.hand.state.name == "" {
				r.m.hand.call(asideName(r.now()))
			}
			r.putAway(&mLesson{id: got.Contents.Lesson}, got)
			r.entry(&mEntry{kind: opAside})
		})
	}
}

// recompute looks at some pictures again, as with another model.
func (r *modelRun) recompute() {
	space, n := 1+r.IntN(2), 1+r.IntN(6)
	on := modelSpaces[space]
	c := r.m.coverage(space)
	if got := r.s.Coverage(on.Space); got != c {
		r.fail("coverage in space %d is %+v (want %+v)", space, got, c)
	}
	pending, err := r.s.Pending(on.Space, n)
	if err != nil || len(pending) != min(n, c.Pending) {
		r.fail("%d pictures are pending, %v (want %d of %d)", len(pending), err, n, c.Pending)
	}
	frames := map[int64]*mFrame{}
	for _, f := range r.m.hand.state.frames() {
		frames[f.seq] = f
	}
	var all []Recomputed
	for _, p := range pending {
		f := frames[p.Example]
		if f == nil || f.in[space] != nil || string(f.jpeg) != string(p.JPEG) {
			r.fail("picture of example %d is pending: %.30q", p.Example, p.JPEG)
		}
		re := Recomputed{Example: p.Example, Provenance: inference.Provenance{Backend: "again"}}
		if r.one(10) {
			re.Unreadable = true
			f.jpeg = nil
		} else {
			re.Embedding = inference.Embedding{Q: r.embedding(space, int(p.Example)%9), Space: on.Space, ZeroPoint: on.zeroPoint}
			f.in = map[int][]uint8{f.from: f.in[f.from], space: re.Embedding.Q}
		}
		all = append(all, re)
	}
	if r.one(4) {
		// One whose example was removed for good meanwhile.
		all = append(all, Recomputed{Example: 1 << 40, Embedding: inference.Embedding{Q: r.embedding(space, 1), Space: on.Space, ZeroPoint: on.zeroPoint}})
	}
	r.note("recompute %d in space %d", len(all), space)
	r.want(nil, r.s.Recompute(all))
	if len(all) > 0 && r.one(4) {
		// The same once more changes nothing.
		r.want(nil, r.s.Recompute(all))
	}
	if r.s.Contents().Revision != r.rev {
		r.fail("recomputing is a revision")
	}
}

func (r *modelRun) backUp() {
	r.note("backup")
	r.want(nil, r.s.Backup())
	if r.s.Unsaved() || r.s.Overdue() {
		r.fail("unsaved after a backup")
	}
	r.m.backup = nil
	r.m.backup = r.m.clone()
}

func (r *modelRun) erase() {
	r.edit(Erase{}, nil, "erase", func(Result) {
		if names := r.files(); !slices.Equal(names, []string{"lesson.db", "lesson.db.lock"}) && !slices.Equal(names, []string{"lesson.db", "lesson.db-wal", "lesson.db.lock"}) {
			r.fail("after erasing there are %v", names)
		}
		locked := r.m.locked
		r.start()
		r.m.locked = locked
	})
}

func (r *modelRun) files() []string {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		r.fail("%v", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (r *modelRun) reopen() {
	service := r.one(2)
	r.note("reopen, service %v", service)
	r.want(nil, r.s.Close())
	if n := r.open(service); n != nil && r.s.notice.Cause != nil {
		r.fail("reopened with %v", n)
	}
}

// crash copies the files as they are, as if the process had died now, and opens
// the copy.
func (r *modelRun) crash(spoil func(path string)) {
	r.Helper()
	old := r.dir
	names := r.files()
	r.folders++
	r.dir = filepath.Join(r.outside, fmt.Sprint("life ", r.folders))
	r.want(nil, os.Mkdir(r.dir, 0o700))
	for _, name := range names {
		if name == "lesson.db.lock" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(old, name))
		r.want(nil, err)
		r.want(nil, os.WriteFile(filepath.Join(r.dir, name), b, 0o600))
	}
	if spoil != nil {
		spoil(r.path())
	}
	before := r.s
	n := r.open(true)
	before.Close()
	os.RemoveAll(old)
	if spoil == nil && n != nil && n.Cause != nil {
		r.fail("opened after a crash with %v", n)
	}
}

func (r *modelRun) crashWhole() {
	r.note("crash")
	r.crash(nil)
}

// crashInside has the process die within an operation: its record in the log is
// cut short. It is then as if it had not been begun.
func (r *modelRun) crashInside() {
	r.reopen() // the log is empty, so that it grows
	r.compare(true)
	before := r.m.clone()
	r.keepOne(r.button(), NewPressID(), 0)
	log, err := os.ReadFile(r.path() + "-wal")
	if err != nil || len(log) < 100 {
		return // it was refused
	}
	cut := r.Int64N(int64(len(log)))
	r.note("… in which it crashes, with %d of %d bytes", cut, len(log))
	r.crash(func(path string) { r.want(nil, os.Truncate(path+"-wal", cut)) })
	if n := r.s.Notice(); n != nil && n.Cause != nil {
		r.fail("opened after a crash with %v", n)
	}
	r.m = before
	r.rev = r.s.Contents().Revision
}

// spoil damages the file, so that the backup is taken.
func (r *modelRun) spoil() {
	r.reopen() // the log is empty: it would hide the damage
	r.note("the file is damaged")
	r.crash(func(path string) {
		b, err := os.ReadFile(path)
		r.want(nil, err)
		for i := range 64 {
			b[i] ^= 0x55
		}
		r.want(nil, os.WriteFile(path, b, 0o600))
	})
	n := r.s.Notice()
	if n == nil || !errors.Is(n.Cause, ErrDamaged) || (n.Backup != "") != (r.m.backup != nil) {
		r.fail("notice %v", n)
	}
	if back := r.m.backup; back == nil {
		r.start()
	} else {
		r.m = back.clone()
		r.m.backup = back
		r.rev = r.s.Contents().Revision
	}
	if r.one(2) {
		r.want(nil, r.s.Acknowledge())
		if r.s.Notice() != nil || len(r.s.asides()) > 0 {
			r.fail("acknowledged, but %v", r.s.Notice())
		}
	}
}

// TestModel does random operations, with crashes between and within them, and
// demands after each that the file says what the model says. Set TEACHBOX_SEED
// to see a failure again, and TEACHBOX_ROUNDS for another number of operations.
func TestModel(t *testing.T) {
	rounds := 10_000
	if testing.Short() {
		rounds = 1000
	}
	if n, err := strconv.Atoi(os.Getenv("TEACHBOX_ROUNDS")); err == nil {
		rounds = n
	}
	seed := testSeed(t)
	r := &modelRun{T: t, Rand: rand.New(rand.NewPCG(seed, 4)), outside: inMemoryDir(t), ids: map[string]bool{}}
	r.dir = filepath.Join(r.outside, "life 0")
	if err := os.WriteFile(filepath.Join(r.outside, "garbage"), []byte(strings.Repeat("no lesson", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.open(true)
	defer func() { r.s.Close() }()
	r.start()

	ops := []struct {
		weight int
		do     func()
	}{
		{300, r.keep}, {90, r.takeBack}, {25, r.forget}, {50, r.drop}, {60, r.move}, {25, r.merge},
		{50, r.rename}, {30, r.describe}, {110, r.undo}, {80, r.redo}, {30, r.begin}, {25, r.restore},
		{12, r.save}, {15, r.load}, {15, r.lock}, {15, r.putAside}, {40, r.recompute}, {12, r.backUp},
		{2, r.erase}, {15, r.reopen}, {25, r.crashWhole}, {10, r.crashInside}, {3, r.spoil},
	}
	total := 0
	for _, op := range ops {
		total += op.weight
	}
	for range rounds {
		at := r.IntN(total)
		for _, op := range ops {
			if at -= op.weight; at < 0 {
				op.do()
				break
			}
		}
		r.compare(false)
		if len(r.m.hand.all) > 60 {
			r.begin()
			r.compare(false)
		}
	}
	r.reopen()
	r.compare(true)
	t.Logf("%d operations, %d lives, %d verdicts, revision %d", rounds, r.folders+1, r.answers, r.rev)
}

// testSeed is the seed of a random test, and is logged.
func testSeed(t testing.TB) uint64 {
	seed, err := strconv.ParseUint(os.Getenv("TEACHBOX_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("TEACHBOX_SEED=%d", seed)
	return seed
}

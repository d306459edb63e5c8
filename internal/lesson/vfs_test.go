package lesson

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
	"teachbox/inference"
)

// These tests put a disk that fails beneath SQLite and everything else of this
// package: each operation of the disk fails in turn, in each way, and the plug
// is pulled before each. A chapter is a script of what a box does; what the
// lesson is after each of its steps was seen when nothing failed, and that is
// what is compared with: what was acknowledged is there, the step that was under
// way is done or it is not, and nothing is in between.

// A chapter is what a box does on a disk.
type chapter struct {
	name   string
	before []deed // done once; then the plug is pulled
	setup  []deed // done each time; nothing fails meanwhile
	steps  []deed
	// damaged is a chapter in which the file is damaged: it is told, and only
	// the presses are compared.
	damaged bool
	// leaves is called for what is left in the end, or after a pulled plug.
	leaves func(r *diskRun, done int) error
}

// A deed is one operation of a box.
type deed struct {
	name string
	do   func(*diskRun) error
}

// A diskRun is a box that plays a chapter.
type diskRun struct {
	*memDisk
	store   *Store // nil: closed
	presses map[string]string
}

const (
	diskFolder = "/box"
	diskLesson = diskFolder + "/lesson.db"
	diskSaved  = "/saved"
)

func newDiskRun(d *memDisk) *diskRun {
	return &diskRun{memDisk: d, presses: make(map[string]string)}
}

// open opens the lesson as the service does. That it opens is what is demanded;
// the error is why it cannot be written.
func (r *diskRun) open() error {
	if r.store == nil {
		s, err := OpenService(Options{Path: r.path(diskLesson), KeepPictures: KeepLesson, disk: r.memDisk})
		if err != nil {
			return fmt.Errorf("%w: %w", errNotOpen, err)
		}
		r.store = s
	}
	return r.store.Retry()
}

var errNotOpen = errors.New("it does not open")

func (r *diskRun) close() error {
	if r.store == nil {
		return nil
	}
	err := r.store.Close()
	r.store = nil
	return err
}

// end closes what is open, and demands that nothing is left open.
func (r *diskRun) end() error {
	defer r.forget()
	err := r.close()
	if n := r.openFiles(); n != 0 {
		return fmt.Errorf("%d files are left open", n)
	}
	return err
}

// A diskView is what can be seen of a lesson. Ids and times are left out, which
// differ from run to run.
type diskView struct {
	Lesson  []string // the classes with their frames, by press
	Rest    string   // of the contents
	Kept    []string
	History []string
}

func otherSpace() inference.Space {
	s := testSpace
	s.Flip = "h"
	return s
}

// view reads everything, and compares what is read with what is in memory.
func (r *diskRun) view() (*diskView, error) {
	s, v := r.store, new(diskView)
	onFile := make(map[string]int)
	presses, err := s.Presses()
	if err != nil {
		return nil, err
	}
	for _, p := range presses {
		onFile[p.ID] = p.Frames<<16 | p.Pictures
	}
	err = s.view("", func(q querier) error {
		for _, k := range s.contents.classes {
			line := fmt.Sprintf("%q of %v:", k.name, k.button)
			for _, p := range k.presses {
				line += " ["
				pictures := 0
				for i := range p.frames {
					e := &p.frames[i]
					line += fmt.Sprintf(" %d:%08x", binary.LittleEndian.Uint32(e.q), crc32.ChecksumIEEE(e.q))
					if o := e.in(otherSpace()); o != nil {
						line += fmt.Sprintf("/%08x", crc32.ChecksumIEEE(o))
					}
					if e.picture {
						var jpeg []byte
						if err := q.QueryRow(`SELECT jpeg FROM picture WHERE example = ?`, e.seq).Scan(&jpeg); err != nil {
							return err
						}
						line += fmt.Sprintf("+%08x", crc32.ChecksumIEEE(jpeg))
						pictures++
					}
				}
				line += " ]"
				if onFile[p.id] != len(p.frames)<<16|pictures {
					return fmt.Errorf("press %s is %+v on file, and %s in memory", p.id, presses, line)
				}
				delete(onFile, p.id)
			}
			v.Lesson = append(v.Lesson, line)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(onFile) > 0 {
		return nil, fmt.Errorf("%d presses are on file and not in memory", len(onFile))
	}
	c := s.Contents()
	v.Rest = fmt.Sprintf("%q %q, %d to undo, %d to redo, %d kept, locked %v", c.Name, c.Note, c.Undo, c.Redo, c.Kept, c.Locked)
	kept, err := s.Kept()
	if err != nil {
		return nil, err
	}
	for _, k := range kept {
		line := fmt.Sprintf("%q %q %d/%d, %d pictures", k.Name, k.Note, k.Presses, k.Frames, k.Pictures)
		for _, c := range k.Classes {
			line += fmt.Sprintf(", %q %d/%d", c.Name, c.Presses, c.Frames)
		}
		v.Kept = append(v.Kept, line)
	}
	history, err := s.History(1000)
	if err != nil {
		return nil, err
	}
	for _, h := range history {
		line := fmt.Sprintf("%s %s %d", h.Kind, h.What, h.Frames)
		if h.Undone {
			line += " undone"
		}
		v.History = append(v.History, line)
	}
	return v, nil
}

// The deeds.

func deedOpen() deed {
	return deed{"open", (*diskRun).open}
}

func deedClose() deed {
	return deed{"close", (*diskRun).close}
}

// diskPicture is a small picture, or every eighth a large one.
func diskPicture(n int) []byte {
	if n%8 == 0 {
		return picture(n)
	}
	return picture(n)[:600]
}

// deedKeep keeps frame n in a press that the chapter knows by a name.
func deedKeep(b device.Button, press string, n int) deed {
	return deed{fmt.Sprintf("keep frame %d", n), func(r *diskRun) error {
		id, ok := r.presses[press]
		if !ok {
			id = NewPressID()
			r.presses[press] = id
		}
		_, err := r.store.Keep(Keep{
			Button: b, Press: id, Embedding: embedding(int(b), n), Picture: diskPicture(n),
			Provenance: inference.Provenance{Backend: "fake", Arch: "none"},
		})
		return err
	}}
}

func deedEdit(e Edit) deed {
	return deed{fmt.Sprintf("%T %v", e, e), func(r *diskRun) error {
		_, err := r.store.Edit(AnyRevision, e)
		return err
	}}
}

func deedBackup() deed {
	return deed{"back up", func(r *diskRun) error { return r.store.Backup() }}
}

func deedSave() deed {
	return deed{"save", func(r *diskRun) error { return r.store.Save(r.path(diskSaved)) }}
}

func deedLoad() deed {
	return deed{"load", func(r *diskRun) error {
		_, err := r.store.Edit(AnyRevision, Load{Path: r.path(diskSaved)})
		return err
	}}
}

func deedLock(locked bool) deed {
	return deed{"lock", func(r *diskRun) error { return r.store.SetLocked(locked) }}
}

// deedRecompute makes at most n embeddings in the other space.
func deedRecompute(n int) deed {
	return deed{"recompute", func(r *diskRun) error {
		pictures, err := r.store.Pending(otherSpace(), n)
		if err != nil {
			return err
		}
		var all []Recomputed
		for _, p := range pictures {
			e := embedding(100, int(crc32.ChecksumIEEE(p.JPEG)))
			e.Space = otherSpace()
			all = append(all, Recomputed{Example: p.Example, Embedding: e})
		}
		return r.store.Recompute(all)
	}}
}

// deedSpoil damages the lesson file, open or not, so that it is found at the
// next look.
func deedSpoil() deed {
	return deed{"spoil", func(r *diskRun) error {
		if r.store != nil {
			r.store.clean()
			if _, err := r.store.db.Exec("PRAGMA shrink_memory"); err != nil {
				return err
			}
		}
		i := r.live[diskLesson]
		for _, b := range [][]byte{i.data, i.durable} {
			for at := pageSize; at < len(b); at += 100 {
				b[at] ^= 0x55
			}
		}
		return nil
	}}
}

// deedFind backs up, which finds the damage, and begins again.
func deedFind() deed {
	return deed{"find the damage", func(r *diskRun) error {
		err := r.store.Backup()
		if errors.Is(err, ErrDamaged) {
			err = r.store.Retry()
		}
		return err
	}}
}

// deedOlder makes a file of the first version.
func deedOlder() deed {
	return deed{"make an older file", func(r *diskRun) error {
		r.put(diskFolder, nil)
		r.live[diskFolder].folder = true
		r.put(diskLesson, nil)
		db := openForWriting(r.memDisk, r.path(diskLesson))
		defer db.Close()
		e := embedding(0, 1)
		for _, step := range []string{migrations()[0], `PRAGMA user_version = 1;
			INSERT INTO lesson (id) VALUES ('one');
			INSERT INTO operation (lesson, kind, target, boot, since_ns) VALUES (1, 'begin', 'one', '', 0), (1, 'keep', 'e', '', 0);
			INSERT INTO class (id, lesson, name, kind, slot, created_by) VALUES ('c', 1, 'class 1', 'class', 0, 2);
			INSERT INTO press (id, class, created_by) VALUES ('p', 1, 2);
			INSERT INTO provenance (backend, arch) VALUES ('', '')`} {
			if _, err := db.Exec(step); err != nil {
				return err
			}
		}
		in := testSpace
		_, err := db.Exec(`INSERT INTO space (model, cut, crop, flip, rotation, filter, zero_point, length) VALUES (?, ?, ?, ?, ?, ?, 0, 1024)`,
			in.Model, in.Cut, in.Crop, in.Flip, in.Rotation, in.Filter)
		if err == nil {
			_, err = db.Exec(`INSERT INTO example (id, press, space, provenance, embedding, created_by) VALUES ('e', 1, 1, 1, ?, 2)`, e.Q)
		}
		return err
	}}
}

// chapters are played one by one. They are short, because each is played again
// for each of its operations.
func chapters() []chapter {
	opened := []deed{deedOpen()}
	taught := func(more ...deed) []deed {
		return append([]deed{
			deedOpen(), deedKeep(0, "a", 1), deedKeep(0, "a", 2), deedKeep(device.Nothing, "b", 3), deedKeep(1, "c", 4),
		}, more...)
	}
	return []chapter{
		{
			name:  "begin",
			steps: []deed{deedOpen(), deedKeep(0, "a", 1), deedClose()},
		},
		{
			name:   "teach",
			before: taught(),
			setup:  opened,
			steps: []deed{
				deedKeep(0, "d", 5), deedKeep(0, "d", 6), deedKeep(2, "e", 7),
				deedEdit(Undo{}), deedEdit(Undo{}), deedEdit(Redo{}),
				deedEdit(Rename{0, "red"}), deedEdit(Describe{"shapes", "for Monday"}),
				deedEdit(TakeBack{0}), deedEdit(Undo{}), deedEdit(Merge{1, 0}), deedEdit(Forget{0}), deedEdit(Undo{}),
				deedLock(true), deedLock(false),
			},
		},
		{
			name:   "lessons",
			before: taught(),
			setup:  opened,
			steps: []deed{
				deedEdit(New{}), deedKeep(3, "f", 8), deedEdit(Restore{}), deedEdit(Undo{}), deedEdit(Restore{}), deedEdit(New{}),
			},
		},
		{
			name:   "backup",
			before: taught(deedBackup(), deedKeep(0, "g", 9)),
			setup:  opened,
			steps:  []deed{deedBackup(), deedKeep(0, "h", 10), deedBackup(), deedKeep(0, "h", 11)},
			leaves: leavesBackup,
		},
		{
			name:   "save",
			before: taught(deedSave(), deedKeep(1, "i", 12)),
			setup:  opened,
			steps:  []deed{deedSave(), deedKeep(0, "j", 13)},
			leaves: leavesSaved,
		},
		{
			name:   "load",
			before: taught(deedSave(), deedKeep(1, "i", 12)),
			setup:  opened,
			steps:  []deed{deedLoad(), deedKeep(0, "j", 13)},
			leaves: leavesSaved,
		},
		{
			name:   "recompute",
			before: taught(),
			setup:  opened,
			steps:  []deed{deedRecompute(2), deedRecompute(100), deedKeep(0, "k", 14)},
		},
		{
			name:   "start after a pulled plug",
			before: taught(),
			steps:  []deed{deedOpen(), deedEdit(Undo{}), deedClose()},
		},
		{
			name:   "start again",
			before: taught(deedClose()),
			steps:  []deed{deedOpen(), deedKeep(0, "l", 15)},
		},
		{
			name: "erase",
			before: taught(deedEdit(New{}), deedKeep(2, "m", 16), deedBackup(), deedBackup(),
				deedKeep(2, "n", 17), deedEdit(Undo{})),
			setup:  opened,
			steps:  []deed{deedEdit(Erase{}), deedKeep(4, "o", 99)},
			leaves: leavesNothing,
		},
		{
			name:   "an older form",
			before: []deed{deedOlder()},
			steps:  []deed{deedOpen(), deedKeep(0, "p", 18), deedEdit(Undo{})},
		},
		{
			name:    "damaged at the start",
			damaged: true,
			before:  taught(deedBackup(), deedClose(), deedSpoil()),
			steps:   []deed{deedOpen(), deedKeep(0, "q", 19)},
		},
		{
			name:    "damaged while running",
			damaged: true,
			before:  taught(deedBackup()),
			setup:   []deed{deedOpen(), deedSpoil()},
			steps:   []deed{deedFind(), deedKeep(0, "r", 20)},
		},
	}
}

// leavesBackup demands that what the last backup has is in a good one.
func leavesBackup(r *diskRun, done int) error {
	_, c, err := r.store.goodBackup()
	if err != nil {
		return err
	}
	frames := 0
	if c != nil {
		for _, k := range c.classes {
			frames += k.public().Frames
		}
	}
	if want := []int{4, 5, 5, 6, 6}[done]; frames < want {
		return fmt.Errorf("there is a good backup of %d frames (want %d)", frames, want)
	}
	return nil
}

// leavesSaved demands that the saved file is the old one or the new one, whole.
func leavesSaved(r *diskRun, _ int) error {
	saved := &Store{path: r.path(diskSaved), disk: r.memDisk}
	return saved.inspect(func(db *sql.DB, _ int) error {
		c, err := load(db)
		if err == nil && c.presses() != 3 && c.presses() != 4 {
			err = fmt.Errorf("the saved lesson has %d presses", c.presses())
		}
		return err
	})
}

// leavesNothing demands that what was taught is in a file until it is erased,
// and in none from then on.
func leavesNothing(r *diskRun, done int) error {
	frames := map[int]device.Button{1: 0, 2: 0, 3: device.Nothing, 4: 1, 16: 2, 17: 2}
	for n, b := range frames {
		inPicture, inEmbedding := r.holds(picture(n)[:20]), r.holds(embedding(int(b), n).Q[:20])
		if done >= 1 && len(inPicture)+len(inEmbedding) > 0 {
			return fmt.Errorf("frame %d is still in %v and %v", n, inPicture, inEmbedding)
		}
		// The pictures of a lesson that was put away are gone before.
		if done < 1 && (len(inEmbedding) == 0 || len(inPicture) == 0 && n >= 16) {
			return fmt.Errorf("frame %d is in no file before it is erased", n)
		}
	}
	return nil
}

// faults are what can befall an operation of the disk.
func faults() []diskFault {
	every := []diskOp{opLook, opRead, opWrite, opCut, opSync, opLink, opUnlink}
	growing := []diskOp{opWrite, opLink}
	return []diskFault{
		{name: "an error", ops: every, errno: syscall.EIO},
		{name: "errors from then on", ops: every, errno: syscall.EIO, stays: true},
		{name: "full", ops: growing, errno: syscall.ENOSPC},
		{name: "full from then on", ops: growing, errno: syscall.ENOSPC, stays: true},
		{name: "a short write", ops: []diskOp{opWrite}, errno: syscall.ENOSPC, short: true},
	}
}

// A played is a chapter of which all is known.
type played struct {
	chapter
	begin   *memDisk          // that it begins with
	presses map[string]string // on it
	views   []*diskView       // before the first step, and after each
	cuts    []cut
}

// A cut is a disk at the moment of an operation.
type cut struct {
	disk *memDisk
	done int // steps that were acknowledged
	op   diskOp
}

// play plays a chapter while nothing fails.
func (c chapter) play(seed uint64) (*played, error) {
	p := &played{chapter: c}
	first := newDiskRun(newMemDisk(seed))
	defer first.end()
	if err := first.play(c.before); err != nil {
		return nil, err
	}
	p.begin, p.presses = first.pulled(sparesAll), first.presses
	p.begin.forget() // it is only cloned, as the cuts are
	r := p.run(seed)
	defer r.end()
	if err := r.play(c.setup); err != nil {
		return nil, err
	}
	done := 0
	see := func() error {
		if r.store == nil {
			p.views = append(p.views, nil)
			return nil
		}
		v, err := r.view()
		p.views = append(p.views, v)
		return err
	}
	if c.damaged { // as it is after the first step, or worse
		p.views = append(p.views, nil)
	} else if err := see(); err != nil {
		return nil, err
	}
	cutHere := func(o diskOp) {
		d := r.clone(seed + uint64(len(p.cuts)))
		d.forget()
		p.cuts = append(p.cuts, cut{d, done, o})
	}
	r.before = cutHere
	for _, s := range c.steps {
		if err := r.play([]deed{s}); err != nil {
			return nil, err
		}
		done++
		if err := see(); err != nil {
			return nil, err
		}
	}
	r.before = nil
	cutHere(opLook)
	// Where the lesson is closed it is what it was before, or will be.
	for i := 1; i < len(p.views); i++ {
		if p.views[i] == nil {
			p.views[i] = p.views[i-1]
		}
	}
	if p.views[0] == nil {
		p.views[0] = p.views[1]
	}
	return p, nil
}

// run begins the chapter.
func (p *played) run(seed uint64) *diskRun {
	return &diskRun{memDisk: p.begin.clone(seed), presses: maps.Clone(p.presses)}
}

// play does what nothing prevents.
func (r *diskRun) play(deeds []deed) error {
	for _, d := range deeds {
		if err := d.do(r); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return nil
}

// compare compares the lesson with what it may be: as after one of two numbers
// of steps. It returns which.
func (p *played) compare(r *diskRun, done, next int) (int, error) {
	v, err := r.view()
	if err != nil {
		return 0, fmt.Errorf("reading the lesson: %w", err)
	}
	if notice := r.store.Notice(); (notice != nil) != p.damaged {
		return 0, fmt.Errorf("notice %v", notice)
	}
	if p.damaged {
		v = &diskView{Lesson: v.Lesson}
	}
	diff := ""
	for _, n := range []int{done, next} {
		want := p.views[n]
		if p.damaged {
			want = &diskView{Lesson: want.Lesson}
		}
		if diff = cmp.Diff(want, v); diff == "" {
			return n, nil
		}
	}
	return 0, fmt.Errorf("the lesson is neither as after %d steps nor as after %d (-want +got):\n%s", done, next, diff)
}

// disturbed plays a chapter while a fault befalls the n-th operation that it
// can. hit is false if there are fewer.
func (p *played) disturbed(f diskFault, n int, seed uint64) (hit bool, err error) {
	r := p.run(seed)
	defer func() {
		if ended := r.end(); err == nil {
			err = ended
		}
	}()
	if err := r.play(p.setup); err != nil {
		return false, fmt.Errorf("setting up: %w", err)
	}
	r.arm(f, n)
	step := 0
	for ; step < len(p.steps); step++ {
		s := p.steps[step]
		err := s.do(r)
		if err != nil && f.stays {
			if err := expected(err); err != nil {
				return true, fmt.Errorf("%s: %w", s.name, err)
			}
			err = s.do(r)
		}
		if err != nil {
			if err := expected(err); err != nil {
				return true, fmt.Errorf("%s: %w", s.name, err)
			}
			break
		}
	}
	name := "the end"
	if step < len(p.steps) {
		name = p.steps[step].name
	}
	o, hit := r.lift()
	if !hit {
		if step < len(p.steps) {
			return false, fmt.Errorf("%s fails, though nothing befell it", name)
		}
		return false, nil
	}
	explain := func(err error) error {
		return fmt.Errorf("%s while it did %q, up to %q: %w", f.name, o, name, err)
	}
	if step < len(p.steps) {
		if err := r.open(); err != nil {
			return true, explain(fmt.Errorf("after the fault: %w", err))
		}
		now := step
		if !p.damaged || step > 0 { // until then it may not be found
			now, err = p.compare(r, step, step+1)
		}
		if err != nil {
			return true, explain(err)
		}
		if now == step {
			if err := r.play(p.steps[step : step+1]); err != nil {
				return true, explain(fmt.Errorf("again: %w", err))
			}
		}
		if err := r.play(p.steps[step+1:]); err != nil {
			return true, explain(fmt.Errorf("going on: %w", err))
		}
	}
	last := len(p.steps)
	if err := r.open(); err != nil {
		return true, explain(err)
	}
	if _, err := p.compare(r, last, last); err != nil {
		return true, explain(fmt.Errorf("in the end: %w", err))
	}
	if p.leaves != nil {
		if err := p.leaves(r, last); err != nil {
			return true, explain(fmt.Errorf("in the end: %w", err))
		}
	}
	// What failed once must not take with it what was acknowledged since.
	after := newDiskRun(r.pulled(sparesNothing))
	if err := errors.Join(p.starts(after, last, last), after.end()); err != nil {
		return true, explain(fmt.Errorf("after a pulled plug: %w", err))
	}
	return true, nil
}

// expected returns an error unless err is what this package says of a disk that
// fails.
func expected(err error) error {
	k := kind(err)
	if k != ErrIO && k != ErrFull || errors.Is(err, errNotOpen) {
		return fmt.Errorf("not an error of the disk (%v): %w", k, err)
	}
	return nil
}

// starts starts a box on a disk whose plug was pulled, and compares.
func (p *played) starts(r *diskRun, done, next int) error {
	erasing := r.has(diskLesson + erasingSuffix)
	if err := r.open(); err != nil {
		return err
	}
	now, err := p.compare(r, done, next)
	if err != nil {
		return err
	}
	if erasing && now != next {
		return errors.New("erasing was not finished")
	}
	if p.leaves != nil {
		return p.leaves(r, now)
	}
	return nil
}

// goesOn demands that the box can learn, undo and redo.
func (r *diskRun) goesOn() error {
	before, err := r.view()
	if err != nil {
		return err
	}
	deeds := []deed{deedKeep(7, "later", 1000), deedEdit(Undo{})}
	if r.store.Contents().Undo > 0 {
		deeds = append(deeds, deedEdit(Undo{}), deedEdit(Redo{}))
	}
	if err := r.play(deeds); err != nil {
		return err
	}
	after, err := r.view()
	if err != nil {
		return err
	}
	if d := cmp.Diff(before.Lesson, after.Lesson); d != "" {
		return fmt.Errorf("undoing does not lead back:\n%s", d)
	}
	return nil
}

// eachInTurn calls f with 1, 2, 3 … on two processors until it returns false; or
// with one in every, in a short test one in forty-one.
func eachInTurn(t *testing.T, seed uint64, every int, f func(n int) (more bool, err error)) (tried int) {
	t.Helper()
	step := every
	if testing.Short() {
		step = 41
	}
	first := 1 + int(seed%uint64(step))
	var next, count, failed atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for failed.Load() < 5 {
				n := first + step*int(next.Add(1)-1)
				more, err := f(n)
				if err != nil {
					failed.Add(1)
					t.Errorf("operation %d: %v", n, err)
				}
				if !more {
					return
				}
				count.Add(1)
			}
		})
	}
	wg.Wait()
	return int(count.Load())
}

func vfsSeed(t *testing.T) uint64 {
	seed := rand.Uint64()
	if n, err := strconv.ParseUint(os.Getenv("TEACHBOX_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("TEACHBOX_SEED=%d", seed)
	return seed
}

// TestDisturbed makes each operation of the disk fail in turn, and of three
// operations one fail with all that follow it.
func TestDisturbed(t *testing.T) {
	seed := vfsSeed(t)
	for _, c := range chapters() {
		p, err := c.play(seed)
		if err != nil {
			t.Fatalf("%s, while nothing fails: %v", c.name, err)
		}
		for _, f := range faults() {
			t.Run(strings.ReplaceAll(c.name+"/"+f.name, " ", "_"), func(t *testing.T) {
				if f.errno == syscall.ENOSPC {
					defer answerFull()()
				}
				every := 1
				if f.stays {
					every = 3 // it begins as the one that does not stay
				}
				n := eachInTurn(t, seed, every, func(n int) (bool, error) { return p.disturbed(f, n, seed+uint64(n)) })
				if n == 0 && !testing.Short() {
					t.Error("there is nothing that it can befall")
				}
				t.Logf("%d operations", n)
			})
		}
	}
}

// TestPlugPulled pulls the plug before each operation that changes the disk.
func TestPlugPulled(t *testing.T) {
	seed := vfsSeed(t)
	for _, c := range chapters() {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			p, err := c.play(seed)
			if err != nil {
				t.Fatalf("while nothing fails: %v", err)
			}
			n := eachInTurn(t, seed, 1, func(n int) (bool, error) {
				if n > len(p.cuts) {
					return false, nil
				}
				at := p.cuts[n-1]
				for l := range lucks {
					r := newDiskRun(at.disk.pulled(l))
					err := p.starts(r, at.done, min(at.done+1, len(p.steps)))
					if err == nil {
						err = r.goesOn()
					}
					if err := errors.Join(err, r.end()); err != nil {
						return true, fmt.Errorf("before it did %q in step %d, where %v of what was not durable is there: %w", at.op, at.done, l, err)
					}
				}
				return true, nil
			})
			t.Logf("%d moments", n)
		})
	}
}

package lesson

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"teachbox/inference"
)

// Bounds of a file that Load takes.
const (
	maxLoadBytes  = 1 << 30
	maxLoadFrames = 100_000
	maxLoadText   = 300 // bytes of a name of a tensor, a back end or the like
	// maxLoadValues bounds what is held in memory: 60,000 frames of 1024 values.
	maxLoadValues = 60 << 20
)

// A Check tells what a lesson file holds.
type Check struct {
	Version int // of its form
	Bytes   int64
	Lessons []Kept // the one in hand first, then those put away
}

// CheckFile reads the whole of a lesson file and changes nothing. The errors
// wrap ErrInUse, ErrNewer, ErrDamaged, ErrReadOnly or ErrIO.
func CheckFile(path string) (Check, error) {
	s := &Store{path: path, disk: system{}}
	var c Check
	err := s.inspectUnused(func(db *sql.DB, version int) error {
		var err error
		c, err = tell(db, version)
		return err
	})
	if err != nil {
		return Check{}, s.explain("checking it", err)
	}
	if info, err := s.disk.Stat(path); err == nil {
		c.Bytes = info.Size()
	}
	return c, nil
}

// inspectUnused inspects a file that may be another box's: what is being written
// would look damaged.
func (s *Store) inspectUnused(f func(db *sql.DB, version int) error) error {
	if _, err := s.disk.Stat(s.path + lockSuffix); err == nil {
		lock, err := s.disk.Lock(s.path + lockSuffix)
		if err != nil {
			return err
		}
		defer lock.Close()
	}
	return s.inspect(f)
}

// inspect opens a file for reading, verifies all of it and hands it on.
func (s *Store) inspect(f func(db *sql.DB, version int) error) error {
	if err := verifyLog(s.disk, s.path+"-wal"); err != nil {
		return err
	}
	return s.inspectLesson(func(db *sql.DB, version int) error {
		if err := verifyRows(db, tablePicture); err != nil {
			return err
		}
		return f(db, version)
	})
}

// inspectLesson inspects a file whose pictures and log may be spoilt.
func (s *Store) inspectLesson(f func(db *sql.DB, version int) error) error {
	if _, err := s.disk.Stat(s.path); err != nil {
		return err
	}
	db, err := openForReading(s.disk, s.path)
	if err != nil {
		return err
	}
	defer db.Close()
	v, err := version(db)
	if err != nil {
		return err
	}
	if err := verify(db, v); err != nil {
		return err
	}
	return f(db, v)
}

// tell says what a file holds that was verified.
func tell(q querier, version int) (Check, error) {
	c := Check{Version: version}
	if version < len(migrations()) {
		return c, nil // its lessons have another form
	}
	if _, err := load(q); err != nil {
		return c, err
	}
	var seqs []int64
	err := each(q, func(r *sql.Rows) error {
		var seq int64
		err := r.Scan(&seq)
		seqs = append(seqs, seq)
		return err
	}, `SELECT seq FROM lesson ORDER BY kept IS NOT NULL, kept DESC`)
	if err != nil {
		return c, err
	}
	for _, seq := range seqs {
		k, err := readKept(q, seq)
		if err != nil {
			return c, err
		}
		c.Lessons = append(c.Lessons, *k)
	}
	return c, nil
}

// Check reads the whole file of the store and tells what it holds.
func (s *Store) Check() (Check, error) {
	var c Check
	s.forget()
	err := s.view("checking it", func(q querier) error {
		err := verify(q, len(migrations()))
		if err == nil {
			err = verifyRows(q, tablePicture)
		}
		if err == nil {
			c, err = tell(q, len(migrations()))
		}
		return err
	})
	if err != nil {
		return Check{}, err
	}
	if info, err := s.disk.Stat(s.path); err == nil {
		c.Bytes = info.Size()
	}
	return c, nil
}

// Save writes the lesson in hand to a file of its own, with the pictures that
// are kept, and without what was removed or put away. A file that is there is
// replaced, whole or not at all.
func (s *Store) Save(path string) error {
	fail := func(err error) error { return fmt.Errorf("saving the lesson to %s: %w", path, err) }
	fresh := path + ".new"
	err := s.view("saving it", func(q querier) error {
		return makeFile(s.disk, fresh, func(tx *sql.Tx) error {
			to := transfer{from: q, to: tx, pictures: true, id: sameID}
			seq, err := to.lesson(s.contents.seq)
			if err == nil {
				_, err = s.operation(tx, seq, opSave, s.contents.id)
			}
			return err
		})
	})
	if err == nil {
		err = s.disk.Rename(fresh, path)
	}
	if err != nil {
		s.disk.Remove(fresh)
		return fail(err)
	}
	if err := s.disk.SyncDir(filepath.Dir(path)); err != nil {
		return fail(err)
	}
	return nil
}

// makeFile makes a lesson file, for this user only, and fills it. Everything is
// in the file itself and on the disk when it returns.
func makeFile(d disk, path string, fill func(*sql.Tx) error) error {
	for _, suffix := range besides() {
		if err := d.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	// SQLite gives the files beside it the mode that this one has.
	f, err := d.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	db := openForWriting(d, path)
	err = migrate(db, 0)
	if err == nil {
		err = inTx(db, fill)
	}
	if err == nil {
		err = checkpoint(db)
	}
	if closed := db.Close(); err == nil {
		err = closed
	}
	// SQLite does not mind when its log stays.
	if left := d.Remove(path + "-wal"); err == nil && !errors.Is(left, fs.ErrNotExist) {
		err = left
	}
	if err != nil {
		removeFile(d, path)
	}
	return err
}

// A transfer copies a lesson from one file to another.
type transfer struct {
	from     querier
	to       *sql.Tx
	pictures bool
	// id gives a class, press or example its id in the other file.
	id func(old string) string
	// check refuses what must not come in; nil: nothing is refused.
	check *foreign

	ids map[string]string // given so far
}

func (t *transfer) newID(old string) string {
	if given, ok := t.ids[old]; ok {
		return given
	}
	given := t.id(old)
	t.ids[old] = given
	return given
}

// The rows of a lesson that are live.
const (
	liveClasses  = `class WHERE class.lesson = ?1 AND class.removed_by IS NULL`
	livePresses  = `press JOIN class ON class.seq = press.class WHERE class.lesson = ?1 AND class.removed_by IS NULL AND press.removed_by IS NULL`
	liveExamples = `example JOIN press ON press.seq = example.press JOIN class ON class.seq = press.class
		WHERE class.lesson = ?1 AND class.removed_by IS NULL AND press.removed_by IS NULL`
)

// lesson copies what is live in a lesson, with the operations that made it. It
// returns the sequence number there.
func (t *transfer) lesson(seq int64) (int64, error) {
	t.ids = make(map[string]string)
	lesson, err := insert(t.to, `INSERT INTO lesson (id) VALUES (?)`, newID())
	if err != nil {
		return 0, err
	}
	ops, spaces, makers := make(seqs), make(seqs), make(seqs)
	classes, presses, examples := make(seqs), make(seqs), make(seqs)

	err = each(t.from, func(r *sql.Rows) error {
		var name, note string
		if err := r.Scan(&name, &note); err != nil {
			return err
		}
		if err := t.check.description(name, note); err != nil {
			return err
		}
		_, err := t.to.Exec(`INSERT INTO description (lesson, name, note) VALUES (?, ?, ?)`, lesson, name, note)
		return err
	}, `SELECT name, note FROM description WHERE lesson = ?1`, seq)
	if err != nil {
		return 0, err
	}
	err = each(t.from, func(r *sql.Rows) error {
		var op, since int64
		var kind, target, boot string
		var wall sql.NullInt64
		if err := r.Scan(&op, &kind, &target, &boot, &since, &wall); err != nil {
			return err
		}
		if err := t.check.text(kind, target, boot); err != nil {
			return err
		}
		return ops.insert(t.to, op, `INSERT INTO operation (lesson, kind, target, boot, since_ns, wall_ns) VALUES (?, ?, ?, ?, ?, ?)`,
			lesson, kind, t.newID(target), boot, since, wall)
	}, `SELECT seq, kind, target, boot, since_ns, wall_ns FROM operation WHERE seq IN (
		SELECT class.created_by FROM `+liveClasses+` UNION SELECT press.created_by FROM `+livePresses+`
		UNION SELECT example.created_by FROM `+liveExamples+`) ORDER BY seq`, seq)
	if err != nil {
		return 0, err
	}
	err = each(t.from, func(r *sql.Rows) error {
		var class, op int64
		var id, name, kind string
		var slot sql.NullInt64
		if err := r.Scan(&class, &id, &name, &kind, &slot, &op); err != nil {
			return err
		}
		if err := t.check.class(name); err != nil {
			return err
		}
		return classes.insert(t.to, class, `INSERT INTO class (id, lesson, name, kind, slot, created_by) VALUES (?, ?, ?, ?, ?, ?)`,
			t.newID(id), lesson, name, kind, slot, ops[op])
	}, `SELECT seq, id, name, kind, slot, created_by FROM `+liveClasses+` ORDER BY seq`, seq)
	if err != nil {
		return 0, err
	}
	err = each(t.from, func(r *sql.Rows) error {
		var press, class, op int64
		var id string
		if err := r.Scan(&press, &id, &class, &op); err != nil {
			return err
		}
		return presses.insert(t.to, press, `INSERT INTO press (id, class, created_by) VALUES (?, ?, ?)`, t.newID(id), classes[class], ops[op])
	}, `SELECT press.seq, press.id, press.class, press.created_by FROM `+livePresses+` ORDER BY press.seq`, seq)
	if err != nil {
		return 0, err
	}
	if err := t.spaces(spaces); err != nil {
		return 0, err
	}
	err = each(t.from, func(r *sql.Rows) error {
		var maker int64
		var by inference.Provenance
		if err := r.Scan(&maker, &by.Backend, &by.Arch); err != nil {
			return err
		}
		if err := t.check.text(by.Backend, by.Arch); err != nil {
			return err
		}
		var err error
		makers[maker], err = provenance(t.to, by)
		return err
	}, `SELECT seq, backend, arch FROM provenance`)
	if err != nil {
		return 0, err
	}
	err = each(t.from, func(r *sql.Rows) error {
		var example, press, space, maker, op int64
		var id string
		var q []byte
		if err := r.Scan(&example, &id, &press, &space, &maker, &q, &op); err != nil {
			return err
		}
		if err := t.check.embedding(space, q); err != nil {
			return err
		}
		return examples.insert(t.to, example, `INSERT INTO example (id, press, space, provenance, embedding, created_by) VALUES (?, ?, ?, ?, ?, ?)`,
			t.newID(id), presses[press], spaces[space], makers[maker], q, ops[op])
	}, `SELECT example.seq, example.id, example.press, example.space, example.provenance, example.embedding, example.created_by
		FROM `+liveExamples+` ORDER BY example.seq`, seq)
	if err != nil {
		return 0, err
	}
	err = each(t.from, func(r *sql.Rows) error {
		var example, space, maker int64
		var q []byte
		if err := r.Scan(&example, &space, &maker, &q); err != nil {
			return err
		}
		if err := t.check.embedding(space, q); err != nil {
			return err
		}
		_, err := t.to.Exec(`INSERT INTO recomputed (example, space, provenance, embedding) VALUES (?, ?, ?, ?)`,
			examples[example], spaces[space], makers[maker], q)
		return err
	}, `SELECT recomputed.example, recomputed.space, recomputed.provenance, recomputed.embedding FROM recomputed
		WHERE recomputed.example IN (SELECT example.seq FROM `+liveExamples+`) ORDER BY recomputed.seq`, seq)
	if err != nil || !t.pictures {
		return lesson, err
	}
	err = each(t.from, func(r *sql.Rows) error {
		var example int64
		var jpeg []byte
		if err := r.Scan(&example, &jpeg); err != nil {
			return err
		}
		if err := t.check.picture(jpeg); err != nil {
			return err
		}
		_, err := t.to.Exec(`INSERT INTO picture (example, jpeg) VALUES (?, ?)`, examples[example], jpeg)
		return err
	}, `SELECT example, jpeg FROM picture WHERE example IN (SELECT example.seq FROM `+liveExamples+`) ORDER BY example`, seq)
	return lesson, err
}

// inHand copies the lesson in hand.
func (t *transfer) inHand() (int64, error) {
	var seq int64
	if err := t.from.QueryRow(`SELECT seq FROM lesson WHERE kept IS NULL`).Scan(&seq); err != nil {
		return 0, err
	}
	return t.lesson(seq)
}

// spaces enters the embedding spaces that the other file does not know.
func (t *transfer) spaces(spaces seqs) error {
	return each(t.from, func(r *sql.Rows) error {
		s, err := scanSpace(r)
		if err != nil {
			return err
		}
		if err := t.check.space(s); err != nil {
			return err
		}
		spaces[s.seq], err = s.enter(t.to)
		return err
	}, `SELECT `+spaceColumns+` FROM space ORDER BY seq`)
}

// seqs says which sequence number a row has in the other file.
type seqs map[int64]int64

func (m seqs) insert(tx *sql.Tx, old int64, query string, args ...any) error {
	seq, err := insert(tx, query, args...)
	m[old] = seq
	return err
}

// foreign judges what a file from elsewhere holds. A nil one refuses nothing.
type foreign struct {
	spaces map[int64]*space
	frames int
	values int // of their embeddings
}

func (f *foreign) refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFile, fmt.Sprintf(format, args...))
}

func (f *foreign) text(texts ...string) error {
	if f == nil {
		return nil
	}
	for _, text := range texts {
		if len(text) > maxLoadText || strings.ContainsRune(text, 0) {
			return f.refuse("it has a text of %d bytes (want at most %d)", len(text), maxLoadText)
		}
	}
	return nil
}

func (f *foreign) description(name, note string) error {
	if f == nil {
		return nil
	}
	if name != "" {
		if err := checkName(name); err != nil {
			return f.refuse("the name of the lesson: %v", err)
		}
	}
	if err := checkNote(note); err != nil {
		return f.refuse("the note of the lesson: %v", err)
	}
	return nil
}

func (f *foreign) class(name string) error {
	if f == nil {
		return nil
	}
	if err := checkName(name); err != nil {
		return f.refuse("the name of a class: %v", err)
	}
	return nil
}

func (f *foreign) space(s *space) error {
	if f == nil {
		return nil
	}
	f.spaces[s.seq] = s
	_, err := inference.ParseCrop(s.Crop)
	switch {
	case err != nil:
		return f.refuse("%v", err)
	case s.zeroPoint < 0 || s.zeroPoint > 255 || s.length < 1 || s.length > maxEmbedding:
		return f.refuse("embeddings of %d values with zero point %d", s.length, s.zeroPoint)
	}
	return f.text(s.Model, s.Cut, s.Flip)
}

func (f *foreign) embedding(space int64, q []byte) error {
	if f == nil {
		return nil
	}
	if f.frames++; f.frames > 2*maxLoadFrames {
		return f.refuse("it has more than %d examples", maxLoadFrames)
	}
	if f.values += len(q); f.values > maxLoadValues {
		return f.refuse("its embeddings have more than %d values", maxLoadValues)
	}
	s := f.spaces[space]
	if !s.fits(q) {
		return f.refuse("an embedding of %d values does not fit its space", len(q))
	}
	if err := checkEmbedding(&inference.Embedding{Q: q, ZeroPoint: s.zeroPoint}); err != nil {
		return f.refuse("%v", err)
	}
	return nil
}

func (f *foreign) picture(jpeg []byte) error {
	if f != nil && (len(jpeg) > maxPicture || !bytes.HasPrefix(jpeg, []byte{0xff, 0xd8})) {
		return f.refuse("it has a picture of %d bytes that is none (want a JPEG of at most %d)", len(jpeg), maxPicture)
	}
	return nil
}

func (e Load) carryOut(s *Store) (Result, error) {
	if s.closed {
		return Result{}, s.explain("loading a lesson", ErrClosed)
	}
	// First into a file of ours, so that whatever is wrong with the other one is
	// found before anything changes.
	staged := s.path + stagedSuffix
	defer removeFile(s.disk, staged)
	if err := stage(s.disk, e.Path, staged); err != nil {
		return Result{}, fmt.Errorf("%w: %s: %w (nothing was changed; see teachbox lesson check)", ErrFile, e.Path, err)
	}
	db, err := openForReading(s.disk, staged)
	if err != nil {
		return Result{}, s.explain("loading a lesson", err)
	}
	defer db.Close()
	return s.edit(func(tx *sql.Tx) (*done, error) {
		return s.replace(tx, opLoad, e.In, func(tx *sql.Tx) (int64, error) {
			t := transfer{from: db, to: tx, pictures: s.pictures != KeepNever, id: sameID}
			return t.inHand()
		})
	})
}

// stage copies the lesson in hand of a file from elsewhere to a new file, with
// new ids, and refuses what must not come in.
func stage(d disk, path, staged string) error {
	info, err := d.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is no file")
	case info.Size() > maxLoadBytes:
		return fmt.Errorf("it has %d bytes (want at most %d)", info.Size(), maxLoadBytes)
	}
	other := &Store{path: path, disk: d}
	return other.inspectUnused(func(db *sql.DB, v int) error {
		if v < len(migrations()) {
			// An older form is led on in a copy.
			older := staged + ".older"
			defer removeFile(d, older)
			if err := copyDatabase(d, db, older); err != nil {
				return err
			}
			db = openForWriting(d, older)
			defer db.Close()
			if err := migrate(db, v); err != nil {
				return err
			}
		}
		return makeFile(d, staged, func(tx *sql.Tx) error {
			t := transfer{
				from: db, to: tx, pictures: true,
				id:    func(string) string { return newID() },
				check: &foreign{spaces: make(map[int64]*space)},
			}
			seq, err := t.inHand()
			if err != nil {
				return err
			}
			// An empty lesson brings no operation.
			_, err = insert(tx, `INSERT INTO operation (lesson, kind, target, boot, since_ns) VALUES (?, ?, '', '', 0)`, seq, opLoad)
			if err != nil {
				return err
			}
			_, err = load(tx) // it must be one that load takes
			return err
		})
	})
}

func sameID(id string) string { return id }

// removeFile removes a file of SQLite's with what lies beside it.
func removeFile(d disk, path string) {
	for _, suffix := range besides() {
		if err := shred(d, path+suffix); err != nil {
			d.Remove(path + suffix) // what is left is removed by the next erase
		}
	}
}

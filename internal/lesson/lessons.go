package lesson

import (
	"database/sql"
	"errors"
	"fmt"

	"teachbox/device"
	"teachbox/inference"
)

// How many lessons are kept beside the one in hand, and how many live presses
// one needs to displace another.
const (
	maxKept       = 10
	displacesFrom = 3
)

// A Kept is a lesson that was put away.
type Kept struct {
	ID      string
	Name    string
	Note    string
	Classes []Class // in the order in which they were first taught
	Presses int     // live presses
	Frames  int     // live examples
	// Pictures counts the examples whose pictures are kept.
	Pictures int
	Away     Moment // when it was put away
	Aside    bool   // it was put away by itself, because it could not be compared
}

// Removed says of a lesson that it was removed for good to make room.
func (k *Kept) Removed() string {
	which := "one"
	if k.Name != "" {
		which = fmt.Sprintf("%q", k.Name)
	}
	return fmt.Sprintf("of the lessons put away %s with %d presses was removed for good, since only %d are kept", which, k.Presses, maxKept)
}

// Kept lists the lessons that were put away, the last one first.
func (s *Store) Kept() ([]Kept, error) {
	var kept []Kept
	err := s.view("listing the lessons", func(q querier) error {
		var seqs []int64
		err := each(q, func(r *sql.Rows) error {
			var seq int64
			err := r.Scan(&seq)
			seqs = append(seqs, seq)
			return err
		}, `SELECT seq FROM lesson WHERE kept IS NOT NULL ORDER BY kept DESC`)
		if err != nil {
			return err
		}
		for _, seq := range seqs {
			k, err := readKept(q, seq)
			if err != nil {
				return err
			}
			kept = append(kept, *k)
		}
		return nil
	})
	return kept, err
}

// readKept tells of a lesson.
func readKept(q querier, seq int64) (*Kept, error) {
	k := new(Kept)
	err := q.QueryRow(`SELECT lesson.id, ifnull(name, ''), ifnull(note, '') FROM lesson
		LEFT JOIN description ON description.lesson = lesson.seq WHERE lesson.seq = ?`, seq).Scan(&k.ID, &k.Name, &k.Note)
	if err != nil {
		return nil, err
	}
	err = each(q, func(r *sql.Rows) error {
		c := Class{Button: device.Nothing}
		var slot sql.NullInt64
		var pictures int
		if err := r.Scan(&c.ID, &c.Name, &slot, &c.Presses, &c.Frames, &pictures); err != nil {
			return err
		}
		if slot.Valid {
			c.Button = device.Button(slot.Int64)
		}
		k.Classes = append(k.Classes, c)
		k.Presses += c.Presses
		k.Frames += c.Frames
		k.Pictures += pictures
		return nil
	}, `SELECT class.id, class.name, class.slot, count(DISTINCT press.seq), count(example.seq), count(picture.example)
		FROM class LEFT JOIN press ON press.class = class.seq AND press.removed_by IS NULL
		LEFT JOIN example ON example.press = press.seq LEFT JOIN picture ON picture.example = example.seq
		WHERE class.lesson = ? AND class.removed_by IS NULL GROUP BY class.seq ORDER BY class.seq`, seq)
	if err != nil {
		return nil, err
	}
	var kind, boot string
	var since int64
	var wall sql.NullInt64
	err = q.QueryRow(`SELECT kind, boot, since_ns, wall_ns FROM away WHERE lesson = ?`, seq).Scan(&kind, &boot, &since, &wall)
	if errors.Is(err, sql.ErrNoRows) {
		return k, nil // it is in hand
	}
	k.Away, k.Aside = moment(boot, since, wall), kind == opAside
	return k, err
}

func (New) carryOut(s *Store) (Result, error) {
	return s.edit(func(tx *sql.Tx) (*done, error) { return s.replace(tx, opNew, nil, s.begin) })
}

// PutAside begins an empty lesson as New does, because the one in hand cannot
// be compared with what is seen now: it was taught in another embedding space
// and has no pictures. A lesson that New would not keep stays in hand
// (ErrSpace).
func (s *Store) PutAside(in inference.Space) (Result, error) {
	return s.edit(func(tx *sql.Tx) (*done, error) {
		if c := s.contents.coverage(in); c.Have+c.Pending > 0 || c.Lost == 0 {
			return nil, fmt.Errorf("%w: the lesson can be compared", ErrNoChange)
		}
		if s.contents.kept >= maxKept && s.contents.presses() < displacesFrom {
			return nil, fmt.Errorf("%w, and there is no room to put it aside: begin a new lesson", ErrSpace)
		}
		if s.contents.name == "" {
			// So that people know it again.
			name := change{tableLesson, s.contents.seq, columnName, "", asideName(s.now())}
			if err := name.do(tx, 0); err != nil {
				return nil, err
			}
		}
		return s.replace(tx, opAside, nil, s.begin)
	})
}

// asideName is what a lesson without a name is called when it is put aside.
func asideName(m Moment) string {
	if m.Wall.IsZero() {
		return "put aside"
	}
	return "put aside " + m.Wall.Format("2006-01-02 15:04")
}

// replace puts the lesson in hand away, as New says, and takes another one in
// hand, which next makes or brings; if in is set it must be comparable there. The
// operation belongs to that one.
func (s *Store) replace(tx *sql.Tx, kind string, in *inference.Space, next func(*sql.Tx) (int64, error)) (*done, error) {
	old := s.contents
	d := &done{erased: true}
	presses, kept := old.presses(), old.kept
	if kind == opRestore {
		kept-- // one comes back
	}
	if presses > 0 && (kept < maxKept || presses >= displacesFrom) {
		if err := s.putAway(tx, old.seq, kind); err != nil {
			return nil, err
		}
	} else {
		if presses > 0 {
			k, err := readKept(tx, old.seq)
			if err != nil {
				return nil, err
			}
			d.gone = k
		}
		if _, err := tx.Exec(`DELETE FROM lesson WHERE seq = ?`, old.seq); err != nil {
			return nil, err
		}
	}
	seq, err := next(tx)
	if err != nil {
		return nil, err
	}
	var oldest int64
	err = tx.QueryRow(`SELECT seq FROM lesson WHERE kept IS NOT NULL ORDER BY kept DESC LIMIT 1 OFFSET ?`, maxKept).Scan(&oldest)
	if err == nil {
		if d.gone, err = readKept(tx, oldest); err == nil {
			_, err = tx.Exec(`DELETE FROM lesson WHERE seq = ?`, oldest)
		}
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	op, err := s.operation(tx, seq, kind, old.id)
	if err != nil {
		return nil, err
	}
	if in != nil {
		c, err := load(tx)
		if err != nil {
			return nil, err
		}
		if n := c.coverage(*in); n.Lost > 0 && n.Have+n.Pending == 0 {
			return nil, fmt.Errorf("that lesson was taught with another model or another view of the camera, and its pictures are not there to learn it again (%w): go back to that model and view first", ErrSpace)
		}
	}
	if d.step, err = readStep(tx, op); err != nil {
		return nil, err
	}
	d.kept, err = readKept(tx, old.seq)
	if errors.Is(err, sql.ErrNoRows) {
		d.kept, err = nil, nil // there was nothing to keep, or no room
	}
	return d, err
}

// putAway keeps the lesson in hand as the newest of the kept ones.
func (s *Store) putAway(tx *sql.Tx, lesson int64, kind string) error {
	_, err := tx.Exec(`UPDATE lesson SET kept = (SELECT ifnull(max(kept), 0) + 1 FROM lesson) WHERE seq = ?`, lesson)
	if err == nil {
		boot, since, wall := s.now().columns()
		_, err = tx.Exec(`INSERT INTO away (lesson, kind, boot, since_ns, wall_ns) VALUES (?, ?, ?, ?, ?)`, lesson, kind, boot, since, wall)
	}
	if err != nil || s.pictures == KeepAlways {
		return err
	}
	_, err = tx.Exec(`DELETE FROM picture WHERE example IN
		(SELECT example.seq FROM example JOIN press ON press.seq = example.press JOIN class ON class.seq = press.class
		WHERE class.lesson = ?)`, lesson)
	return err
}

// begin makes an empty lesson that is in hand.
func (s *Store) begin(tx *sql.Tx) (int64, error) {
	return insert(tx, `INSERT INTO lesson (id) VALUES (?)`, newID())
}

func (e Restore) carryOut(s *Store) (Result, error) {
	return s.edit(func(tx *sql.Tx) (*done, error) {
		var seq int64
		err := tx.QueryRow(`SELECT seq FROM lesson WHERE kept IS NOT NULL AND (? = '' OR id = ?) ORDER BY kept DESC LIMIT 1`,
			e.Lesson, e.Lesson).Scan(&seq)
		switch {
		case errors.Is(err, sql.ErrNoRows) && e.Lesson == "":
			return nil, fmt.Errorf("%w: teach a new one", ErrNothingKept)
		case errors.Is(err, sql.ErrNoRows):
			return nil, fmt.Errorf("%w: none with the id %q is kept", ErrNoLesson, e.Lesson)
		case err != nil:
			return nil, err
		}
		return s.replace(tx, opRestore, e.In, func(tx *sql.Tx) (int64, error) {
			_, err := tx.Exec(`UPDATE lesson SET kept = NULL WHERE seq = ?`, seq)
			if err == nil {
				_, err = tx.Exec(`DELETE FROM away WHERE lesson = ?`, seq)
			}
			return seq, err
		})
	})
}

// clean takes what was just erased out of the log. Failing is no fault of the
// operation, which is durable: the log is emptied later, at Close at the latest.
func (s *Store) clean() { _ = checkpoint(s.db) }

// The names of settings.
const settingLocked = "locked" // there while teaching is locked

// SetLocked writes down whether teaching is locked; it is so until it is set
// again, whoever begins anew meanwhile. The errors are those of Writable.
func (s *Store) SetLocked(locked bool) error {
	return s.write("locking or unlocking", func(tx *sql.Tx) (func(), error) {
		return func() { s.contents.locked = locked }, enterLocked(tx, locked)
	})
}

// enterLocked writes the setting.
func enterLocked(tx *sql.Tx, locked bool) error {
	query := `DELETE FROM setting WHERE name = ?`
	if locked {
		query = `INSERT INTO setting (name, value) VALUES (?, 1) ON CONFLICT DO NOTHING`
	}
	_, err := tx.Exec(query, settingLocked)
	return err
}

// A Press is one push of a button.
type Press struct {
	ID       string
	Class    string // id
	Button   device.Button
	Frames   int
	Pictures int // how many of the frames have one
	When     Moment
}

// Presses lists the live presses of the lesson in hand, the oldest first.
func (s *Store) Presses() ([]Press, error) {
	var presses []Press
	err := s.view("listing the presses", func(q querier) error {
		return each(q, func(r *sql.Rows) error {
			p := Press{Button: device.Nothing}
			var slot, wall sql.NullInt64
			var boot string
			var since int64
			if err := r.Scan(&p.ID, &p.Class, &slot, &p.Frames, &p.Pictures, &boot, &since, &wall); err != nil {
				return err
			}
			if slot.Valid {
				p.Button = device.Button(slot.Int64)
			}
			p.When = moment(boot, since, wall)
			presses = append(presses, p)
			return nil
		}, `SELECT press.id, class.id, class.slot, count(example.seq), count(picture.example), boot, since_ns, wall_ns
			FROM press JOIN class ON class.seq = press.class JOIN operation ON operation.seq = press.created_by
			JOIN example ON example.press = press.seq LEFT JOIN picture ON picture.example = example.seq
			WHERE class.lesson = ? AND class.removed_by IS NULL AND press.removed_by IS NULL
			GROUP BY press.seq ORDER BY press.seq`, s.contents.seq)
	})
	return presses, err
}

// view reads from the file, even if it cannot be written. Damage that is found
// is a fault, so that Retry and the next write open the file anew.
func (s *Store) view(doing string, f func(querier) error) error {
	if s.closed {
		return s.explain(doing, ErrClosed)
	}
	if s.contents.seq == 0 {
		return nil // there is no file to read
	}
	if s.db != nil {
		// In one transaction, so that all is of one moment.
		err := inTx(s.db, func(tx *sql.Tx) error { return f(tx) })
		if err == nil {
			return nil
		}
		if err = s.explain(doing, err); errors.Is(err, ErrDamaged) {
			s.fault = err
		}
		return err
	}
	db, err := openForReading(s.disk, s.path)
	if err != nil {
		return s.explain(doing, err)
	}
	defer db.Close()
	if err := f(db); err != nil {
		return s.explain(doing, err)
	}
	return nil
}

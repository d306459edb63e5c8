package lesson

import (
	"bytes"
	"cmp"
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"teachbox/inference"
)

// recover sets a file aside that was found damaged or newer, and begins again:
// with what is in memory if there is anything, else with what can be read of
// the file if only its log is damaged, else from the newest good backup, else
// with an empty lesson. The error is that of opening what it began with.
//
// The new file is whole before the old one goes, so that neither a full disk
// nor a pulled plug leaves the box without: adopt goes on with it.
func (s *Store) recover(cause error) error {
	n := &Notice{Cause: cause}
	s.notice = n
	if err := s.makeNext(n); err != nil {
		return err
	}
	if err := s.disk.SyncDir(filepath.Dir(s.path)); err != nil {
		return s.explain("making a new file", err)
	}
	aside, err := setAside(s.disk, s.path, asideReason(cause))
	if err != nil {
		return s.explain("setting it aside", err)
	}
	n.Aside = aside
	return s.open()
}

// makeNext makes the file to go on with, under the name where adopt finds it,
// and completes the notice. There is none where an empty lesson is to be begun.
func (s *Store) makeNext(n *Notice) error {
	next := s.path + newSuffix
	removeFile(s.disk, next)
	if errors.Is(n.Cause, ErrNewer) {
		return nil
	}
	backup, c, err := s.goodBackup()
	if err != nil {
		return s.explain("looking for a backup", err)
	}
	if s.contents.seq != 0 {
		n.Rescued, n.Backup, n.Presses = true, backup, s.contents.presses()
		if err := s.rescue(next, backup); err != nil {
			return s.explain("writing what is in memory", err)
		}
		return nil
	}
	read, err := s.salvage(next)
	if err != nil {
		return s.explain("copying what can be read of it", err)
	}
	if read != nil {
		n.Gone, n.Presses, n.When = "perhaps the last things that were taught or changed", read.presses(), read.when
		return nil
	}
	if backup == "" {
		return nil
	}
	n.Backup, n.Presses, n.When = backup, c.presses(), c.when
	if err := copyFile(s.disk, backup, next); err != nil {
		return s.explain("taking the backup", err)
	}
	return nil
}

// salvage copies what SQLite reads of the file, if that is a whole lesson, as it
// is where only the log is damaged. It returns nil if it is none, and an error
// if that cannot be told or the copy cannot be made.
func (s *Store) salvage(to string) (*contents, error) {
	var c *contents
	err := s.inspectLesson(func(db *sql.DB, v int) error {
		if v < len(migrations()) {
			return nil // a copy of it would not be one of the current form
		}
		read, err := load(db)
		if err == nil {
			err = copyDatabase(s.disk, db, to)
		}
		if err == nil {
			c = read
		}
		return err
	})
	if err == nil {
		return c, nil
	}
	removeFile(s.disk, to)
	if kind(err) == ErrDamaged {
		err = nil
	}
	return nil, err
}

// adopt takes the file that recover made, if the one before was set aside and
// nothing else was done.
func (s *Store) adopt() error {
	if _, err := s.disk.Lstat(s.path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	next := &Store{path: s.path + newSuffix, disk: s.disk}
	if _, err := s.disk.Lstat(next.path + "-wal"); err == nil {
		return nil // it was still being written
	}
	err := next.inspectLesson(func(db *sql.DB, _ int) error {
		_, err := load(db)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist) || kind(err) == ErrDamaged:
		return nil // there is none, or it is not whole
	case err != nil:
		return err
	}
	if err := s.asideLog(); err != nil {
		return err
	}
	if err := s.disk.Rename(next.path, s.path); err != nil {
		return err
	}
	return s.disk.SyncDir(filepath.Dir(s.path))
}

// rescue writes a new file with the lesson in hand as it is in memory, and with
// the lessons put away and the pictures that a backup has, if there is one.
func (s *Store) rescue(to, backup string) error {
	if backup == "" {
		return makeFile(s.disk, to, func(tx *sql.Tx) error {
			_, err := s.contents.write(s, tx)
			return err
		})
	}
	db, err := openForReading(s.disk, backup)
	if err != nil {
		return err
	}
	defer db.Close()
	return makeFile(s.disk, to, func(tx *sql.Tx) error {
		examples, err := s.contents.write(s, tx)
		if err != nil {
			return err
		}
		var kept []int64
		err = each(db, func(r *sql.Rows) error {
			var seq int64
			err := r.Scan(&seq)
			kept = append(kept, seq)
			return err
		}, `SELECT seq FROM lesson WHERE kept IS NOT NULL ORDER BY kept`)
		if err != nil {
			return err
		}
		for place, seq := range kept {
			t := transfer{from: db, to: tx, pictures: true, id: sameID}
			to, err := t.lesson(seq)
			if err == nil {
				_, err = tx.Exec(`UPDATE lesson SET kept = ? WHERE seq = ?`, place+1, to)
			}
			if err == nil {
				err = copyAway(db, seq, tx, to)
			}
			if err != nil {
				return err
			}
		}
		// A frame has the same number in the backup.
		return each(db, func(r *sql.Rows) error {
			var example int64
			var q, jpeg []byte
			if err := r.Scan(&example, &q, &jpeg); err != nil {
				return err
			}
			if to, live := examples[example]; live && bytes.Equal(to.q, q) {
				_, err := tx.Exec(`INSERT INTO picture (example, jpeg) VALUES (?, ?)`, to.seq, jpeg)
				return err
			}
			return nil
		}, `SELECT example.seq, example.embedding, picture.jpeg FROM example JOIN picture ON picture.example = example.seq`)
	})
}

// copyAway copies when a lesson was put away.
func copyAway(from querier, seq int64, tx *sql.Tx, to int64) error {
	return each(from, func(r *sql.Rows) error {
		var kind, boot string
		var since int64
		var wall sql.NullInt64
		if err := r.Scan(&kind, &boot, &since, &wall); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO away (lesson, kind, boot, since_ns, wall_ns) VALUES (?, ?, ?, ?, ?)`, to, kind, boot, since, wall)
		return err
	}, `SELECT kind, boot, since_ns, wall_ns FROM away WHERE lesson = ?`, seq)
}

// write writes a lesson in hand to a new file. It returns the examples there by
// their sequence numbers here.
func (c *contents) write(s *Store, tx *sql.Tx) (map[int64]example, error) {
	if err := countOn(tx, c.revision); err != nil {
		return nil, err
	}
	lesson, err := insert(tx, `INSERT INTO lesson (id) VALUES (?)`, c.id)
	if err != nil {
		return nil, err
	}
	op, err := s.operation(tx, lesson, opRescue, c.id)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(`INSERT INTO description (lesson, name, note) VALUES (?, ?, ?)`, lesson, c.name, c.note); err != nil {
		return nil, err
	}
	if err := enterLocked(tx, c.locked); err != nil {
		return nil, err
	}
	by, err := provenance(tx, inference.Provenance{}) // memory does not know it
	if err != nil {
		return nil, err
	}
	spaces := make(map[inference.Space]int64)
	for _, known := range c.spaces {
		if spaces[known.Space], err = known.enter(tx); err != nil {
			return nil, err
		}
	}
	presses := make(map[int64]int64)
	var order []*press
	for _, k := range c.classes {
		class, err := k.insert(tx, lesson, op)
		if err != nil {
			return nil, err
		}
		for _, p := range k.presses {
			presses[p.seq] = class
			order = append(order, p)
		}
	}
	slices.SortFunc(order, func(a, b *press) int { return cmp.Compare(a.seq, b.seq) })
	type frame struct {
		of int64
		example
	}
	var frames []frame
	for _, p := range order {
		of, err := insert(tx, `INSERT INTO press (id, class, created_by) VALUES (?, ?, ?)`, p.id, presses[p.seq], op)
		if err != nil {
			return nil, err
		}
		for _, e := range p.frames {
			frames = append(frames, frame{of, e})
		}
	}
	slices.SortFunc(frames, func(a, b frame) int { return cmp.Compare(a.seq, b.seq) })
	written := make(map[int64]example)
	for _, f := range frames {
		to := example{q: f.q}
		to.seq, err = insert(tx, `INSERT INTO example (id, press, space, provenance, embedding, created_by) VALUES (?, ?, ?, ?, ?, ?)`,
			newID(), f.of, spaces[f.space.Space], by, f.q, op)
		if err != nil {
			return nil, err
		}
		for _, o := range f.others {
			_, err := tx.Exec(`INSERT INTO recomputed (example, space, provenance, embedding) VALUES (?, ?, ?, ?)`, to.seq, spaces[o.space.Space], by, o.q)
			if err != nil {
				return nil, err
			}
		}
		written[f.seq] = to
	}
	return written, nil
}

package lesson

import (
	"database/sql"
	"errors"
	"fmt"
)

// How many lessons are kept beside the one in hand, and how many live presses
// one needs to displace another.
const (
	maxKept       = 10
	displacesFrom = 3
)

// New puts the lesson in hand away and begins an empty one. Of more than ten
// kept lessons the oldest is dropped for good; a lesson of fewer than three
// presses is itself dropped where there is no room. A lesson without a live
// press is not kept, nor are the presses that were taken back in it.
func (s *Store) New() error {
	err := s.write("beginning a new lesson", func(tx *sql.Tx) (func(), error) {
		old, presses := s.contents, s.contents.presses()
		var kept int
		if err := tx.QueryRow(`SELECT count(*) FROM lesson WHERE kept IS NOT NULL`).Scan(&kept); err != nil {
			return nil, err
		}
		var err error
		if presses > 0 && (kept < maxKept || presses >= displacesFrom) {
			err = s.putAway(tx, old.seq)
		} else {
			err = drop(tx, old.seq)
		}
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(`DELETE FROM lesson WHERE seq IN
			(SELECT seq FROM lesson WHERE kept IS NOT NULL ORDER BY kept DESC LIMIT -1 OFFSET ?)`, maxKept)
		if err != nil {
			return nil, err
		}
		fresh, err := s.begin(tx, opNew, old.id)
		return func() { s.contents = fresh }, err
	})
	if err == nil {
		s.clean()
	}
	return err
}

// putAway keeps the lesson in hand as the newest of the kept ones.
func (s *Store) putAway(tx *sql.Tx, lesson int64) error {
	_, err := tx.Exec(`UPDATE lesson SET kept = (SELECT ifnull(max(kept), 0) + 1 FROM lesson) WHERE seq = ?`, lesson)
	if err != nil || s.pictures == KeepAlways {
		return err
	}
	_, err = tx.Exec(`DELETE FROM picture WHERE example IN
		(SELECT example.seq FROM example JOIN press ON press.seq = example.press JOIN class ON class.seq = press.class
		WHERE class.lesson = ?)`, lesson)
	return err
}

func drop(tx *sql.Tx, lesson int64) error {
	_, err := tx.Exec(`DELETE FROM lesson WHERE seq = ?`, lesson)
	return err
}

// begin makes an empty lesson that is in hand. The operation's target is the
// new lesson itself if none is given.
func (s *Store) begin(tx *sql.Tx, kind, target string) (*contents, error) {
	fresh := &contents{id: newID()}
	var err error
	if fresh.seq, err = insert(tx, `INSERT INTO lesson (id) VALUES (?)`, fresh.id); err != nil {
		return nil, err
	}
	if target == "" {
		target = fresh.id
	}
	if _, err = s.operation(tx, fresh.seq, kind, target); err != nil {
		return nil, err
	}
	return load(tx)
}

// Restore brings the lesson that was put away last back in hand. The lesson in
// hand must be empty (ErrNotEmpty) and is dropped, with the presses that were
// taken back in it. ErrNothingKept: there is none to bring back.
func (s *Store) Restore() error {
	err := s.write("bringing the last lesson back", func(tx *sql.Tx) (func(), error) {
		if s.contents.presses() > 0 {
			return nil, fmt.Errorf("%w: put it away first", ErrNotEmpty)
		}
		var seq int64
		var id string
		err := tx.QueryRow(`SELECT seq, id FROM lesson WHERE kept IS NOT NULL ORDER BY kept DESC LIMIT 1`).Scan(&seq, &id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("%w: teach a new one", ErrNothingKept)
		}
		if err != nil {
			return nil, err
		}
		if err := drop(tx, s.contents.seq); err != nil {
			return nil, err
		}
		if _, err := tx.Exec(`UPDATE lesson SET kept = NULL WHERE seq = ?`, seq); err != nil {
			return nil, err
		}
		if _, err := s.operation(tx, seq, opRestore, id); err != nil {
			return nil, err
		}
		back, err := load(tx)
		return func() { s.contents = back }, err
	})
	if err == nil {
		s.clean()
	}
	return err
}

// clean takes what was just erased out of the log. Failing is no fault of the
// operation, which is durable: the log is emptied later, at Close at the latest.
func (s *Store) clean() { _ = checkpoint(s.db) }

// Package lesson keeps what a box has been taught: one SQLite file with every
// lesson, class, press and example, and the history of the operations on them.
// It also folds the lesson in hand into a head.
//
// What Keep acknowledges is on the disk and survives a pulled plug. Nothing
// else of this package writes, so a box that only predicts leaves the card
// alone. A file that cannot be written is still read: the box goes on with
// what it has learned.
package lesson

import (
	"database/sql"
	"errors"
	"fmt"

	"teachbox/device"
	"teachbox/inference"
)

// contents is the live part of the lesson in hand, as the file has it. Removed
// presses and classes are not in it.
type contents struct {
	seq      int64 // of the lesson; 0 if there is no file
	id       string
	revision int64  // sequence number of the last operation
	when     Moment // of that
	name     string
	note     string
	classes  []*class
	spaces   []*space // of the whole file
	course   course
	kept     int  // lessons put away
	locked   bool // teaching is
}

type class struct {
	seq     int64
	id      string
	name    string
	button  device.Button
	presses []*press // by sequence number
}

type press struct {
	seq    int64
	id     string
	frames []example // by sequence number
}

type example struct {
	seq     int64
	space   *space
	q       []uint8
	picture bool // is on file
	others  []embedded
}

// embedded is an example in another embedding space than that of its frame.
type embedded struct {
	space *space
	q     []uint8
}

// in returns the embedding of an example in a space, or nil.
func (e *example) in(s inference.Space) []uint8 {
	if e.space.Space == s {
		return e.q
	}
	for _, o := range e.others {
		if o.space.Space == s {
			return o.q
		}
	}
	return nil
}

// A space is an embedding space with what it fixes for its embeddings.
type space struct {
	seq int64
	inference.Space
	zeroPoint int
	length    int
}

const spaceColumns = `seq, model, cut, crop, flip, rotation, filter, zero_point, length`

func scanSpace(r *sql.Rows) (*space, error) {
	s := new(space)
	err := r.Scan(&s.seq, &s.Model, &s.Cut, &s.Crop, &s.Flip, &s.Rotation, &s.Filter, &s.zeroPoint, &s.length)
	return s, err
}

// fits reports whether q can be an embedding in the space.
func (s *space) fits(q []uint8) bool { return s != nil && len(q) == s.length }

// class returns the live class of a button, or nil.
func (c *contents) class(b device.Button) *class {
	for _, k := range c.classes {
		if k.button == b {
			return k
		}
	}
	return nil
}

// press finds a live press and its class; both are nil if there is none.
func (c *contents) press(id string) (*class, *press) {
	for _, k := range c.classes {
		for _, p := range k.presses {
			if p.id == id {
				return k, p
			}
		}
	}
	return nil, nil
}

// space finds what is on file about an embedding space, or nil.
func (c *contents) space(s inference.Space) *space {
	for _, k := range c.spaces {
		if k.Space == s {
			return k
		}
	}
	return nil
}

// presses counts the live presses.
func (c *contents) presses() int {
	n := 0
	for _, k := range c.classes {
		n += len(k.presses)
	}
	return n
}

// A querier is a database or a transaction.
type querier interface {
	Query(query string, args ...any) (*sql.Rows, error)
	QueryRow(query string, args ...any) *sql.Row
}

// each calls scan for every row of a query.
func each(q querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.Query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// load reads the lesson in hand. What it finds wrong is a finding.
func load(q querier) (*contents, error) {
	c := new(contents)
	err := q.QueryRow(`SELECT seq, id FROM lesson WHERE kept IS NULL`).Scan(&c.seq, &c.id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &finding{ErrDamaged, "it has no lesson in hand"}
	}
	if err != nil {
		return nil, err
	}
	var since int64
	var wall sql.NullInt64
	err = q.QueryRow(`SELECT seq, boot, since_ns, wall_ns FROM operation ORDER BY seq DESC LIMIT 1`).
		Scan(&c.revision, &c.when.Boot, &since, &wall)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &finding{ErrDamaged, "it has no operation"}
	}
	if err != nil {
		return nil, err
	}
	c.when = moment(c.when.Boot, since, wall)

	err = q.QueryRow(`SELECT name, note FROM description WHERE lesson = ?`, c.seq).Scan(&c.name, &c.note)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	if err := q.QueryRow(`SELECT count(*) FROM lesson WHERE kept IS NOT NULL`).Scan(&c.kept); err != nil {
		return nil, err
	}
	if err := q.QueryRow(`SELECT EXISTS (SELECT 1 FROM setting WHERE name = ?)`, settingLocked).Scan(&c.locked); err != nil {
		return nil, err
	}
	if c.course, err = readCourse(q, c.seq); err != nil {
		return nil, err
	}

	spaces := make(map[int64]*space)
	err = each(q, func(r *sql.Rows) error {
		s, err := scanSpace(r)
		c.spaces = append(c.spaces, s)
		spaces[s.seq] = s
		return err
	}, `SELECT `+spaceColumns+` FROM space ORDER BY seq`)
	if err != nil {
		return nil, err
	}

	classes := make(map[int64]*class)
	err = each(q, func(r *sql.Rows) error {
		k := new(class)
		var kind string
		var slot sql.NullInt64
		if err := r.Scan(&k.seq, &k.id, &k.name, &kind, &slot); err != nil {
			return err
		}
		k.button = device.Nothing
		if kind == kindClass {
			k.button = device.Button(slot.Int64)
		}
		c.classes = append(c.classes, k)
		classes[k.seq] = k
		return nil
	}, `SELECT seq, id, name, kind, slot FROM class WHERE lesson = ? AND removed_by IS NULL ORDER BY seq`, c.seq)
	if err != nil {
		return nil, err
	}

	presses := make(map[int64]*press)
	err = each(q, func(r *sql.Rows) error {
		p := new(press)
		var of int64
		if err := r.Scan(&p.seq, &p.id, &of); err != nil {
			return err
		}
		classes[of].presses = append(classes[of].presses, p)
		presses[p.seq] = p
		return nil
	}, `SELECT press.seq, press.id, press.class FROM press JOIN class ON class.seq = press.class
		WHERE class.lesson = ? AND class.removed_by IS NULL AND press.removed_by IS NULL ORDER BY press.seq`, c.seq)
	if err != nil {
		return nil, err
	}

	err = each(q, func(r *sql.Rows) error {
		var e example
		var of, in int64
		if err := r.Scan(&e.seq, &of, &in, &e.q, &e.picture); err != nil {
			return err
		}
		if e.space = spaces[in]; !e.space.fits(e.q) {
			return &finding{ErrDamaged, fmt.Sprintf("example %d does not fit its embedding space", e.seq)}
		}
		presses[of].frames = append(presses[of].frames, e)
		return nil
	}, `SELECT example.seq, example.press, example.space, example.embedding, picture.example IS NOT NULL
		FROM example JOIN press ON press.seq = example.press JOIN class ON class.seq = press.class
		LEFT JOIN picture ON picture.example = example.seq
		WHERE class.lesson = ? AND class.removed_by IS NULL AND press.removed_by IS NULL ORDER BY example.seq`, c.seq)
	if err != nil {
		return nil, err
	}
	err = each(q, func(r *sql.Rows) error {
		var o embedded
		var example, press, in int64
		if err := r.Scan(&example, &press, &in, &o.q); err != nil {
			return err
		}
		if o.space = spaces[in]; !o.space.fits(o.q) {
			return &finding{ErrDamaged, fmt.Sprintf("example %d does not fit an embedding space", example)}
		}
		for i := range presses[press].frames {
			if e := &presses[press].frames[i]; e.seq == example {
				e.others = append(e.others, o)
			}
		}
		return nil
	}, `SELECT recomputed.example, example.press, recomputed.space, recomputed.embedding
		FROM recomputed JOIN example ON example.seq = recomputed.example
		JOIN press ON press.seq = example.press JOIN class ON class.seq = press.class
		WHERE class.lesson = ? AND class.removed_by IS NULL AND press.removed_by IS NULL ORDER BY recomputed.seq`, c.seq)
	if err != nil {
		return nil, err
	}
	for _, p := range presses {
		if len(p.frames) == 0 {
			return nil, &finding{ErrDamaged, fmt.Sprintf("press %s has no example", p.id)}
		}
	}
	return c, nil
}

// A Class is something taught. It is a copy: it does not change with the lesson.
type Class struct {
	ID      string
	Name    string
	Button  device.Button // the slot that it is bound to, or device.Nothing
	Presses int           // live presses; 0 for a class that is empty
	Frames  int           // live examples
}

// Contents is what the lesson in hand holds. It is a copy that does not change
// with the lesson, and may be handed to other goroutines.
type Contents struct {
	Lesson string // id; empty while no lesson could be read or begun
	// Revision grows with every operation on the file and names the contents
	// exactly. It is 0 while no lesson could be read or begun.
	Revision int64
	Name     string // as Describe gave them
	Note     string
	Classes  []Class // in the order in which they were first taught
	Presses  int     // live presses
	Frames   int     // live examples
	Undo     int     // steps that can be undone
	Redo     int     // steps that can be done again
	Kept     int     // lessons put away
	Locked   bool    // teaching is, see SetLocked
}

// Contents returns what the lesson in hand holds.
func (s *Store) Contents() Contents {
	in := s.contents
	c := Contents{
		Lesson: in.id, Revision: in.revision, Name: in.name, Note: in.note,
		Undo: len(in.course.undo), Redo: len(in.course.redo), Kept: in.kept, Locked: in.locked,
	}
	for _, k := range in.classes {
		pub := k.public()
		c.Classes = append(c.Classes, pub)
		c.Presses += pub.Presses
		c.Frames += pub.Frames
	}
	return c
}

func (k *class) public() Class {
	pub := Class{ID: k.id, Name: k.name, Button: k.button, Presses: len(k.presses)}
	for _, p := range k.presses {
		pub.Frames += len(p.frames)
	}
	return pub
}

package lesson

import (
	"database/sql"
	"fmt"
	"slices"
)

// What a change can be made to.
const (
	tableLesson = "lesson"
	tableClass  = "class"
	tablePress  = "press"

	tablePicture = "picture" // no step changes it

	columnLive  = "live"  // of a class or press: 1, or 0 if it is removed
	columnClass = "class" // of a press: sequence number
	columnName  = "name"  // of a class or lesson
	columnNote  = "note"  // of a lesson
)

// A change is what a step did to one value: the history is made of them, and
// they can be done, undone and done again.
type change struct {
	table         string
	row           int64 // sequence number
	column        string
	before, after any // int64 or string
}

// added is a row that is live from now on.
func added(table string, row int64) change { return change{table, row, columnLive, int64(0), int64(1)} }

// removed is a row that is no longer live.
func removed(table string, row int64) change {
	return change{table, row, columnLive, int64(1), int64(0)}
}

func (c change) reverse() change {
	c.before, c.after = c.after, c.before
	return c
}

// do sets the value in the name of an operation. A value that is neither as it
// was before nor as it is to be is a finding: the history does not fit.
func (c change) do(tx *sql.Tx, op int64) error {
	var query string
	args := []any{c.after, c.row}
	switch {
	case c.column == columnLive && c.after == int64(1):
		query, args = `UPDATE %s SET removed_by = NULL WHERE seq = ?`, []any{c.row}
	case c.column == columnLive:
		query, args = `UPDATE %s SET removed_by = ? WHERE seq = ?`, []any{op, c.row}
	case c.table == tableLesson:
		// The name and the note are written when there is one.
		if _, err := tx.Exec(`INSERT INTO description (lesson, name, note) VALUES (?, '', '') ON CONFLICT DO NOTHING`, c.row); err != nil {
			return err
		}
		query = `UPDATE description SET ` + c.column + ` = ? WHERE lesson = ?`
	default:
		query = `UPDATE %s SET ` + c.column + ` = ? WHERE seq = ?`
	}
	if c.table != tableLesson {
		query = fmt.Sprintf(query, c.table)
	}
	r, err := tx.Exec(query, args...)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		return &finding{ErrDamaged, fmt.Sprintf("its history changes %s %d, which is not there", c.table, c.row)}
	}
	return nil
}

// writeDown adds the changes of an operation to the history.
func writeDown(tx *sql.Tx, op int64, changes ...change) error {
	for _, c := range changes {
		_, err := tx.Exec(`INSERT INTO change (operation, thing, row, field, before, after) VALUES (?, ?, ?, ?, ?, ?)`,
			op, c.table, c.row, c.column, c.before, c.after)
		if err != nil {
			return err
		}
	}
	return nil
}

// readChanges reads what an operation changed, in that order.
func readChanges(q querier, op int64) ([]change, error) {
	var changes []change
	err := each(q, func(r *sql.Rows) error {
		var c change
		err := r.Scan(&c.table, &c.row, &c.column, &c.before, &c.after)
		changes = append(changes, c)
		return err
	}, `SELECT thing, row, field, before, after FROM change WHERE operation = ? ORDER BY seq`, op)
	return changes, err
}

// A course is what can be undone and done again in a lesson, as sequence
// numbers of operations; the next ones are the last ones.
type course struct {
	undo, redo []int64
}

// readCourse follows the history of a lesson from its beginning.
func readCourse(q querier, lesson int64) (course, error) {
	var c course
	err := each(q, func(r *sql.Rows) error {
		var op int64
		var kind string
		if err := r.Scan(&op, &kind); err != nil {
			return err
		}
		from, to := &c.undo, &c.redo
		switch kind {
		case opRedo:
			from, to = to, from
			fallthrough
		case opUndo:
			last := len(*from) - 1
			if last < 0 {
				return &finding{ErrDamaged, fmt.Sprintf("operation %d has nothing to %s", op, kind)}
			}
			*to = append(*to, (*from)[last])
			*from = (*from)[:last]
		default:
			c.add(op)
		}
		return nil
	}, `SELECT seq, kind FROM operation WHERE lesson = ? AND (kind IN (?, ?) OR seq IN (SELECT operation FROM change)) ORDER BY seq`,
		lesson, opUndo, opRedo)
	return c, err
}

// add is what a new step does to the course.
func (c *course) add(op int64) {
	c.undo = append(c.undo, op)
	c.redo = nil
}

func (Undo) carryOut(s *Store) (Result, error) {
	return s.edit(func(tx *sql.Tx) (*done, error) {
		steps := s.contents.course.undo
		if len(steps) == 0 {
			return nil, fmt.Errorf("%w: nothing was done in this lesson yet", ErrNothingToUndo)
		}
		return s.again(tx, opUndo, steps[len(steps)-1])
	})
}

func (Redo) carryOut(s *Store) (Result, error) {
	return s.edit(func(tx *sql.Tx) (*done, error) {
		steps := s.contents.course.redo
		if len(steps) == 0 {
			return nil, fmt.Errorf("%w: nothing was undone, or something new was done since", ErrNothingToRedo)
		}
		return s.again(tx, opRedo, steps[len(steps)-1])
	})
}

// again undoes a step or does it again.
func (s *Store) again(tx *sql.Tx, kind string, step int64) (*done, error) {
	changes, err := readChanges(tx, step)
	if err != nil {
		return nil, err
	}
	if kind == opUndo {
		slices.Reverse(changes)
		for i := range changes {
			changes[i] = changes[i].reverse()
		}
	}
	op, err := s.operation(tx, s.contents.seq, kind, fmt.Sprint(step))
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if err := c.do(tx, op); err != nil {
			return nil, err
		}
	}
	what, err := readStep(tx, step)
	what.Undone = kind == opUndo
	return &done{step: what}, err
}

// A Step is one operation, as the history tells it.
type Step struct {
	Revision int64  // that it led to
	Kind     string // such as "press", "take back" or "rename"
	What     string // what it was done to, for people, as it is called now
	Frames   int    // of a press
	When     Moment
	Undone   bool // and can be done again, or something else was done since
}

// History returns the last n operations on the lesson in hand, the newest
// first. The frames of a press are one of them.
func (s *Store) History(n int) ([]Step, error) {
	var steps []Step
	err := s.view("reading its history", func(q querier) error {
		undone := make(map[int64]bool)
		var ops []int64
		// An operation was undone if the last word on it is an undo.
		err := each(q, func(r *sql.Rows) error {
			var kind string
			var step int64
			if err := r.Scan(&kind, &step); err != nil {
				return err
			}
			undone[step] = kind == opUndo
			return nil
		}, `SELECT kind, CAST(target AS INTEGER) FROM operation WHERE lesson = ? AND kind IN (?, ?) ORDER BY seq`, s.contents.seq, opUndo, opRedo)
		if err != nil {
			return err
		}
		err = each(q, func(r *sql.Rows) error {
			var op int64
			err := r.Scan(&op)
			ops = append(ops, op)
			return err
		}, `SELECT seq FROM operation WHERE lesson = ? AND (kind <> ? OR seq IN (SELECT created_by FROM press))
			ORDER BY seq DESC LIMIT ?`, s.contents.seq, opKeep, n)
		if err != nil {
			return err
		}
		for _, op := range ops {
			step, err := readStep(q, op)
			if err != nil {
				return err
			}
			step.Undone = undone[op]
			steps = append(steps, step)
		}
		return nil
	})
	return steps, err
}

// Next tells what Undo would undo and what Redo would do again; nil for nothing.
func (s *Store) Next() (undo, redo *Step, err error) {
	err = s.view("reading its history", func(q querier) error {
		for _, next := range []struct {
			steps []int64
			step  **Step
		}{{s.contents.course.undo, &undo}, {s.contents.course.redo, &redo}} {
			if n := len(next.steps); n > 0 {
				step, err := readStep(q, next.steps[n-1])
				if err != nil {
					return err
				}
				*next.step = &step
			}
		}
		return nil
	})
	return undo, redo, err
}

// readStep tells an operation.
func readStep(q querier, op int64) (Step, error) {
	step := Step{Revision: op}
	var target string
	var since int64
	var wall sql.NullInt64
	err := q.QueryRow(`SELECT kind, target, boot, since_ns, wall_ns FROM operation WHERE seq = ?`, op).
		Scan(&step.Kind, &target, &step.When.Boot, &since, &wall)
	if err != nil {
		return step, err
	}
	step.When = moment(step.When.Boot, since, wall)
	switch step.Kind {
	case opKeep:
		step.Kind = "press"
		err = q.QueryRow(`SELECT class.name, count(example.seq) FROM press JOIN class ON class.seq = press.class
			JOIN example ON example.press = press.seq WHERE press.created_by = ?`, op).Scan(&step.What, &step.Frames)
	case opTakeBack, opDrop, opMove:
		// The press of a move may be gone from a loaded lesson, which has the move
		// because a class was made by it.
		err = q.QueryRow(`SELECT ifnull(class.name, ''), count(example.seq) FROM press JOIN class ON class.seq = press.class
			JOIN example ON example.press = press.seq WHERE press.id = ?`, target).Scan(&step.What, &step.Frames)
	case opForget, opMerge, opRename:
		err = q.QueryRow(`SELECT name FROM class WHERE id = ?`, target).Scan(&step.What)
	case opUndo, opRedo:
		var of int64
		if _, err := fmt.Sscan(target, &of); err != nil || of >= op {
			return step, &finding{ErrDamaged, fmt.Sprintf("operation %d is an %s of %q", op, step.Kind, target)}
		}
		var what Step
		if what, err = readStep(q, of); err == nil {
			step.What = what.Kind
			if what.What != "" {
				step.What += " " + what.What
			}
		}
	}
	return step, err
}

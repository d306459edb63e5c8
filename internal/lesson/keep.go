package lesson

import (
	"bytes"
	"database/sql"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"teachbox/device"
	"teachbox/inference"
)

// Bounds of what one example may be, in bytes.
const (
	maxEmbedding = 1 << 16
	maxPicture   = 4 << 20
)

// The kinds of operation.
const (
	opBegin    = "begin"     // a new file
	opKeep     = "keep"      // one frame; target: the example
	opTakeBack = "take back" // target: the press
	opDrop     = "drop"      // target: the press
	opMove     = "move"      // target: the press
	opForget   = "forget"    // target: the class
	opMerge    = "merge"     // target: the class that took the presses
	opRename   = "rename"    // target: the class
	opDescribe = "describe"  // target: the lesson
	opUndo     = "undo"      // target: sequence number of the operation
	opRedo     = "redo"      // target: the same
	opNew      = "new"       // target: the lesson put away
	opAside    = "put aside" // as new, since the lesson cannot be compared with what is seen now
	opRestore  = "restore"   // of the lesson brought back; target: the one put away
	opLoad     = "load"      // of the lesson that a file brought; target: the same
	opSave     = "save"      // last of a file that Save wrote; target: the lesson
	opRescue   = "rescue"    // of the lesson that was still in memory when the file was found damaged
)

// newID returns an id that sorts by the time it was made.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// NewPressID returns an id for a press, to be given to Keep with each of its
// frames.
func NewPressID() string { return newID() }

// A Keep is one frame to be kept.
type Keep struct {
	Button     device.Button // its class is made if there is none
	Press      string        // from NewPressID
	Embedding  inference.Embedding
	Provenance inference.Provenance
	Picture    []byte // JPEG; nil if there is none. Not stored if the policy forbids it
}

// An Example is one kept frame.
type Example struct {
	ID       string
	Seq      int64  // strictly increasing over the whole file, never used again
	Class    string // id
	Press    string // id
	Revision int64  // of the contents with this example
}

// Keep keeps one frame. When it returns without an error the frame is on the
// disk. It refuses an embedding without content (ErrNoContent), one that
// cannot be compared with the live examples of the lesson (ErrSpace), and a
// press that belongs to another class or was taken back (ErrPress); the other
// errors are those of Writable, and the next Keep tries again.
func (s *Store) Keep(k Keep) (Example, error) {
	var kept Example
	err := s.write("keeping a frame", func(tx *sql.Tx) (func(), error) {
		apply, err := s.keep(tx, k, &kept)
		return apply, err
	})
	if err != nil {
		return Example{}, err
	}
	return kept, nil
}

func (s *Store) keep(tx *sql.Tx, k Keep, kept *Example) (func(), error) {
	if err := s.check(&k); err != nil {
		return nil, err
	}
	kl, p, err := s.place(tx, k.Button, k.Press)
	if err != nil {
		return nil, err
	}
	e := example{q: bytes.Clone(k.Embedding.Q)}
	kept.ID = newID()
	op, err := s.operation(tx, s.contents.seq, opKeep, kept.ID)
	if err != nil {
		return nil, err
	}

	var changes []change
	newClass := kl == nil
	if newClass {
		if kl, err = s.makeClass(tx, k.Button, op); err != nil {
			return nil, err
		}
		changes = append(changes, added(tableClass, kl.seq))
	}
	newPress := p == nil
	if newPress {
		p = &press{id: k.Press}
		p.seq, err = insert(tx, `INSERT INTO press (id, class, created_by) VALUES (?, ?, ?)`, p.id, kl.seq, op)
		if err != nil {
			return nil, err
		}
		changes = append(changes, added(tablePress, p.seq))
		if err := writeDown(tx, op, changes...); err != nil {
			return nil, err
		}
	}
	e.space = s.contents.space(k.Embedding.Space)
	newSpace := e.space == nil
	if newSpace || !e.space.fits(e.q) || e.space.zeroPoint != k.Embedding.ZeroPoint {
		e.space = spaceOf(k.Embedding)
		if e.space.seq, err = e.space.enter(tx); err != nil {
			return nil, err
		}
	}
	by, err := provenance(tx, k.Provenance)
	if err != nil {
		return nil, err
	}
	e.seq, err = insert(tx, `INSERT INTO example (id, press, space, provenance, embedding, created_by) VALUES (?, ?, ?, ?, ?, ?)`,
		kept.ID, p.seq, e.space.seq, by, e.q, op)
	if err != nil {
		return nil, err
	}
	if len(k.Picture) > 0 && s.pictures != KeepNever {
		if _, err := tx.Exec(`INSERT INTO picture (example, jpeg) VALUES (?, ?)`, e.seq, k.Picture); err != nil {
			return nil, err
		}
		e.picture = true
	}

	kept.Seq, kept.Class, kept.Press, kept.Revision = e.seq, kl.id, p.id, op
	return func() {
		c := s.contents
		if newClass {
			c.classes = append(c.classes, kl)
		}
		if newPress {
			kl.presses = append(kl.presses, p)
			c.course.add(op)
		}
		if newSpace {
			c.spaces = append(c.spaces, e.space)
		}
		p.frames = append(p.frames, e)
		c.revision = op
	}, nil
}

// check refuses an embedding or a picture that must not be kept.
func (s *Store) check(k *Keep) error {
	e := &k.Embedding
	switch {
	case k.Button > device.Nothing:
		return fmt.Errorf("there is no button %d", k.Button)
	case len(k.Picture) > maxPicture:
		return fmt.Errorf("a picture of %d bytes (want at most %d): lower its size in the configuration", len(k.Picture), maxPicture)
	}
	if err := checkEmbedding(e); err != nil {
		return err
	}
	if c := s.contents.coverage(e.Space); c.Have+c.Pending == 0 && c.Lost > 0 {
		return fmt.Errorf("%w: it is of %v, the lesson of another: go back to that model and view, or begin a new lesson", ErrSpace, e.Space)
	}
	return nil
}

// checkEmbedding refuses what cannot be an example's embedding.
func checkEmbedding(e *inference.Embedding) error {
	switch {
	case len(e.Q) > maxEmbedding:
		return fmt.Errorf("%w: %d values (want at most %d): choose another model", ErrSpace, len(e.Q), maxEmbedding)
	case e.ZeroPoint < 0 || e.ZeroPoint > 255:
		return fmt.Errorf("%w: zero point %d (want 0 to 255): choose another model", ErrSpace, e.ZeroPoint)
	case !slices.ContainsFunc(e.Q, func(v uint8) bool { return int(v) != e.ZeroPoint }):
		return fmt.Errorf("%w: check the camera", ErrNoContent)
	}
	return nil
}

// place finds the class and the press that a frame goes into; each is nil if
// it must be made.
func (s *Store) place(q querier, b device.Button, id string) (*class, *press, error) {
	if k, p := s.contents.press(id); p != nil {
		if k.button != b {
			return nil, nil, fmt.Errorf("%w: %s belongs to %q: begin a new press", ErrPress, id, k.name)
		}
		return k, p, nil
	}
	if err := uuid.Validate(id); err != nil {
		return nil, nil, fmt.Errorf("%w: %q is no press id: begin a new press", ErrPress, id)
	}
	var used bool
	if err := q.QueryRow(`SELECT EXISTS (SELECT 1 FROM press WHERE id = ?)`, id).Scan(&used); err != nil {
		return nil, nil, err
	}
	if used {
		return nil, nil, fmt.Errorf("%w: %s was removed or put away: begin a new press", ErrPress, id)
	}
	return s.contents.class(b), nil, nil
}

// makeClass makes the class of a button, called by the button's name.
func (s *Store) makeClass(tx *sql.Tx, b device.Button, op int64) (*class, error) {
	k := &class{id: newID(), name: b.String(), button: b}
	var err error
	k.seq, err = k.insert(tx, s.contents.seq, op)
	return k, err
}

// insert enters a class that an operation made in a lesson.
func (k *class) insert(tx *sql.Tx, lesson, op int64) (int64, error) {
	kind, slot := kindClass, any(int(k.button))
	if k.button == device.Nothing {
		kind, slot = kindNothing, nil
	}
	return insert(tx, `INSERT INTO class (id, lesson, name, kind, slot, created_by) VALUES (?, ?, ?, ?, ?, ?)`,
		k.id, lesson, k.name, kind, slot, op)
}

// spaceOf is what an embedding says of its space.
func spaceOf(e inference.Embedding) *space {
	return &space{Space: e.Space, zeroPoint: e.ZeroPoint, length: len(e.Q)}
}

// enter enters an embedding space, if it is not there, and returns its sequence
// number. One that is there and gives other embeddings is refused (ErrSpace).
func (s *space) enter(tx *sql.Tx) (int64, error) {
	_, err := tx.Exec(`INSERT INTO space (model, cut, crop, flip, rotation, filter, zero_point, length) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, s.Model, s.Cut, s.Crop, s.Flip, s.Rotation, s.Filter, s.zeroPoint, s.length)
	if err != nil {
		return 0, err
	}
	var seq int64
	var there space
	err = tx.QueryRow(`SELECT seq, zero_point, length FROM space WHERE (model, cut, crop, flip, rotation, filter) = (?, ?, ?, ?, ?, ?)`,
		s.Model, s.Cut, s.Crop, s.Flip, s.Rotation, s.Filter).Scan(&seq, &there.zeroPoint, &there.length)
	if err == nil && (there.zeroPoint != s.zeroPoint || there.length != s.length) {
		err = fmt.Errorf("%w: %d values with zero point %d (want %d with %d): choose another model",
			ErrSpace, s.length, s.zeroPoint, there.length, there.zeroPoint)
	}
	return seq, err
}

// provenance returns the sequence number of who computed an embedding.
func provenance(tx *sql.Tx, by inference.Provenance) (int64, error) {
	if _, err := tx.Exec(`INSERT INTO provenance (backend, arch) VALUES (?, ?) ON CONFLICT DO NOTHING`, by.Backend, by.Arch); err != nil {
		return 0, err
	}
	var seq int64
	err := tx.QueryRow(`SELECT seq FROM provenance WHERE backend = ? AND arch = ?`, by.Backend, by.Arch).Scan(&seq)
	return seq, err
}

// operation writes down what is being done to a lesson, and returns the
// revision that it leads to.
func (s *Store) operation(tx *sql.Tx, lesson int64, kind, target string) (int64, error) {
	boot, since, wall := s.now().columns()
	return insert(tx, `INSERT INTO operation (lesson, kind, target, boot, since_ns, wall_ns) VALUES (?, ?, ?, ?, ?, ?)`,
		lesson, kind, target, boot, since, wall)
}

// insert adds a row and returns its sequence number.
func insert(tx *sql.Tx, query string, args ...any) (int64, error) {
	r, err := tx.Exec(query, args...)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

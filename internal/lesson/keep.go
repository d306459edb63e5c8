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
	opBegin    = "begin"     // a new file; target: the lesson
	opKeep     = "keep"      // one frame; target: the example
	opTakeBack = "take back" // target: the press
	opForget   = "forget"    // target: the class
	opNew      = "new"       // target: the lesson put away
	opRestore  = "restore"   // target: the lesson brought back
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

	newClass := kl == nil
	if newClass {
		kl = &class{id: newID(), name: k.Button.String(), button: k.Button}
		kind, slot := kindClass, any(int(k.Button))
		if k.Button == device.Nothing {
			kind, slot = kindNothing, nil
		}
		kl.seq, err = insert(tx, `INSERT INTO class (id, lesson, name, kind, slot, created_by) VALUES (?, ?, ?, ?, ?, ?)`,
			kl.id, s.contents.seq, kl.name, kind, slot, op)
		if err != nil {
			return nil, err
		}
	}
	newPress := p == nil
	if newPress {
		p = &press{id: k.Press}
		p.seq, err = insert(tx, `INSERT INTO press (id, class, created_by) VALUES (?, ?, ?)`, p.id, kl.seq, op)
		if err != nil {
			return nil, err
		}
	}
	e.space = s.contents.space(k.Embedding.Space)
	newSpace := e.space == nil
	if newSpace {
		in := k.Embedding.Space
		e.space = &space{Space: in, zeroPoint: k.Embedding.ZeroPoint, length: len(e.q)}
		e.space.seq, err = insert(tx, `INSERT INTO space (model, cut, crop, flip, rotation, filter, zero_point, length) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			in.Model, in.Cut, in.Crop, in.Flip, in.Rotation, in.Filter, e.space.zeroPoint, e.space.length)
		if err != nil {
			return nil, err
		}
	}
	by := k.Provenance
	if _, err := tx.Exec(`INSERT INTO provenance (backend, arch) VALUES (?, ?) ON CONFLICT DO NOTHING`, by.Backend, by.Arch); err != nil {
		return nil, err
	}
	e.seq, err = insert(tx, `INSERT INTO example (id, press, space, provenance, embedding, created_by)
		VALUES (?, ?, ?, (SELECT seq FROM provenance WHERE backend = ? AND arch = ?), ?, ?)`,
		kept.ID, p.seq, e.space.seq, by.Backend, by.Arch, e.q, op)
	if err != nil {
		return nil, err
	}
	if len(k.Picture) > 0 && s.pictures != KeepNever {
		if _, err := tx.Exec(`INSERT INTO picture (example, jpeg) VALUES (?, ?)`, e.seq, k.Picture); err != nil {
			return nil, err
		}
	}

	kept.Seq, kept.Class, kept.Press, kept.Revision = e.seq, kl.id, p.id, op
	return func() {
		c := s.contents
		if newClass {
			c.classes = append(c.classes, kl)
		}
		if newPress {
			kl.presses = append(kl.presses, p)
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
	case len(e.Q) > maxEmbedding:
		return fmt.Errorf("%w: %d values (want at most %d): choose another model", ErrSpace, len(e.Q), maxEmbedding)
	case e.ZeroPoint < 0 || e.ZeroPoint > 255:
		return fmt.Errorf("%w: zero point %d (want 0 to 255): choose another model", ErrSpace, e.ZeroPoint)
	case !slices.ContainsFunc(e.Q, func(v uint8) bool { return int(v) != e.ZeroPoint }):
		return fmt.Errorf("%w: check the camera", ErrNoContent)
	}
	if other := s.contents.anyExample(); other != nil && other.space.Space != e.Space {
		return fmt.Errorf("%w: it is of %v, the lesson of %v: go back to that model, or begin a new lesson", ErrSpace, e.Space, other.space.Space)
	}
	if in := s.contents.space(e.Space); in != nil && (in.length != len(e.Q) || in.zeroPoint != e.ZeroPoint) {
		return fmt.Errorf("%w: %d values with zero point %d (want %d with %d): choose another model",
			ErrSpace, len(e.Q), e.ZeroPoint, in.length, in.zeroPoint)
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

// A Press is one push of a button.
type Press struct {
	ID     string
	Class  string // id
	Frames int
}

// TakeBack takes back the last live press of a button's class. The class
// remains, even without any press left. The press is only marked.
func (s *Store) TakeBack(b device.Button) (Press, error) {
	var taken Press
	err := s.write("taking back a press", func(tx *sql.Tx) (func(), error) {
		k := s.contents.class(b)
		if k == nil || len(k.presses) == 0 {
			return nil, fmt.Errorf("%w: %v has no press", ErrNothingToTakeBack, b)
		}
		last := len(k.presses) - 1
		p := k.presses[last]
		taken = Press{ID: p.id, Class: k.id, Frames: len(p.frames)}
		op, err := s.operation(tx, s.contents.seq, opTakeBack, p.id)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(`UPDATE press SET removed_by = ? WHERE seq = ?`, op, p.seq)
		return func() {
			k.presses = k.presses[:last]
			s.contents.revision = op
		}, err
	})
	return taken, err
}

// Forget forgets a button's class; its next press makes a new class. The class
// is only marked.
func (s *Store) Forget(b device.Button) error {
	return s.write("forgetting a class", func(tx *sql.Tx) (func(), error) {
		k := s.contents.class(b)
		if k == nil {
			return nil, fmt.Errorf("%w: %v was not taught", ErrNothingToForget, b)
		}
		op, err := s.operation(tx, s.contents.seq, opForget, k.id)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(`UPDATE class SET removed_by = ? WHERE seq = ?`, op, k.seq)
		return func() {
			s.contents.remove(k)
			s.contents.revision = op
		}, err
	})
}

// operation writes down what is being done to a lesson, and returns the
// revision that it leads to.
func (s *Store) operation(tx *sql.Tx, lesson int64, kind, target string) (int64, error) {
	m := s.now()
	var wall any
	if !m.Wall.IsZero() {
		wall = m.Wall.UnixNano()
	}
	return insert(tx, `INSERT INTO operation (lesson, kind, target, boot, since_ns, wall_ns) VALUES (?, ?, ?, ?, ?, ?)`,
		lesson, kind, target, m.Boot, m.Since.Nanoseconds(), wall)
}

// insert adds a row and returns its sequence number.
func insert(tx *sql.Tx, query string, args ...any) (int64, error) {
	r, err := tx.Exec(query, args...)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

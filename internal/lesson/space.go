package lesson

import (
	"database/sql"

	"teachbox/inference"
	"teachbox/inference/head"
)

// A Coverage counts the live frames of the lesson in hand by what can be said of
// them in an embedding space.
type Coverage struct {
	Have    int // have an embedding in it
	Pending int // have none, but a picture to make one from
	Lost    int // have neither
}

// Coverage tells how much of the lesson in hand can be compared in a space.
func (s *Store) Coverage(in inference.Space) Coverage { return s.contents.coverage(in) }

func (c *contents) coverage(in inference.Space) Coverage {
	var n Coverage
	for _, k := range c.classes {
		for _, p := range k.presses {
			for i := range p.frames {
				switch e := &p.frames[i]; {
				case e.in(in) != nil:
					n.Have++
				case e.picture:
					n.Pending++
				default:
					n.Lost++
				}
			}
		}
	}
	return n
}

// A Picture is what the camera saw in one frame.
type Picture struct {
	Example int64 // sequence number
	JPEG    []byte
}

// Pending returns the pictures of at most n live frames that have no embedding
// in a space.
func (s *Store) Pending(in inference.Space, n int) ([]Picture, error) {
	var pending []Picture
	err := s.view("reading pictures", func(q querier) error {
		for _, k := range s.contents.classes {
			for _, p := range k.presses {
				for i := range p.frames {
					e := &p.frames[i]
					if len(pending) == n || !e.picture || e.in(in) != nil {
						continue
					}
					picture := Picture{Example: e.seq}
					if err := q.QueryRow(`SELECT jpeg FROM picture WHERE example = ?`, e.seq).Scan(&picture.JPEG); err != nil {
						return err
					}
					pending = append(pending, picture)
				}
			}
		}
		return nil
	})
	return pending, err
}

// A Recomputed is what became of one picture.
type Recomputed struct {
	Example    int64
	Embedding  inference.Embedding
	Provenance inference.Provenance
	// Unreadable is a picture that no embedding can be made from. It is removed.
	Unreadable bool
}

// Recompute keeps embeddings that were made from pictures, all or none. It is
// no operation: the lesson is the same. Embeddings in spaces that are neither
// that of the frame nor this one are removed. An example that was removed for
// good meanwhile, or has an embedding in the space, is passed over. The errors
// are those of Keep.
func (s *Store) Recompute(all []Recomputed) error {
	return s.write("keeping embeddings", func(tx *sql.Tx) (func(), error) {
		for i := range all {
			if err := recompute(tx, &all[i]); err != nil {
				return nil, err
			}
		}
		after, err := load(tx)
		return func() {
			s.contents = after
			s.fitter = head.Fitter{} // an example may have another embedding than before
		}, err
	})
}

func recompute(tx *sql.Tx, r *Recomputed) error {
	if r.Unreadable {
		_, err := tx.Exec(`DELETE FROM picture WHERE example = ?`, r.Example)
		return err
	}
	e := &r.Embedding
	if err := checkEmbedding(e); err != nil {
		return err
	}
	on, err := spaceOf(*e).enter(tx)
	if err != nil {
		return err
	}
	by, err := provenance(tx, r.Provenance)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`DELETE FROM recomputed WHERE example = ? AND space <> ?`, r.Example, on)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO recomputed (example, space, provenance, embedding)
		SELECT seq, ?, ?, ? FROM example WHERE seq = ? ON CONFLICT DO NOTHING`, on, by, e.Q, r.Example)
	return err
}

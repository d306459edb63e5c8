package lesson

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"teachbox/device"
	"teachbox/inference"
	"teachbox/inference/head"
)

// A Fold is a lesson folded into a head, and what the head's numbers mean. It
// does not change with the lesson.
type Fold struct {
	// Head is nil if there is nothing to tell apart: no class was taught, or
	// only *nothing*. Everything is then unknown.
	Head     *head.Head
	Classes  []Class  // Classes[i] is the head's class i
	Presses  []string // Presses[i] is the id of the head's press i
	Revision int64    // of the contents that were folded
	Frames   int      // how many examples were folded
	// Digest is a hash of all that was given to the head: folds with equal
	// digests give equal verdicts.
	Digest string
}

// Fold folds the live examples of the lesson in hand that are in an embedding
// space. Classes count up in the order in which they were first taught,
// presses and examples by sequence number; a class without such an example is
// left out.
//
// Of more than head.MaxExamples examples as many are folded, shared evenly by
// the presses: a press gives what it has up to a common bound, spread evenly
// over the press, and the newest presses give what is left over. Only where
// there are more presses than that are the oldest presses left out, shared
// evenly by the classes.
func (s *Store) Fold(in inference.Space) (*Fold, error) {
	t := s.contents.thin(in, head.MaxExamples)
	f := &Fold{Revision: s.contents.revision, Frames: len(t.examples)}
	params := head.Params{Classes: len(t.classes), Nothing: head.None}
	for i, k := range t.classes {
		f.Classes = append(f.Classes, k.public())
		if k.button == device.Nothing {
			params.Nothing = i
		}
	}
	for _, p := range t.presses {
		f.Presses = append(f.Presses, p.id)
	}
	if on := s.contents.space(in); on != nil {
		params.ZeroPoint = on.zeroPoint
	}
	f.Digest = digest(params, t.examples)
	if params.Classes == 0 || params.Classes == 1 && params.Nothing == 0 {
		return f, nil
	}
	if in != s.fitted {
		s.fitter, s.fitted = head.Fitter{}, in // the same examples have other embeddings
	}
	h, err := s.fitter.Fit(params, t.examples)
	if err != nil {
		return nil, fmt.Errorf("lesson file %s: folding %d examples: %w: check the file", s.path, len(t.examples), err)
	}
	f.Head = h
	return f, nil
}

// thinned is what is given to a head.
type thinned struct {
	classes  []*class
	presses  []*press // by sequence number
	examples []head.Example
}

// thin chooses at most limit examples of an embedding space, as Fold says.
func (c *contents) thin(in inference.Space, limit int) thinned {
	var t thinned
	type source struct {
		press  *press
		class  int
		frames []example
	}
	var byClass [][]source
	for _, k := range c.classes {
		var sources []source
		for _, p := range k.presses {
			frames := slices.DeleteFunc(slices.Clone(p.frames), func(e example) bool { return e.in(in) == nil })
			if len(frames) > 0 {
				sources = append(sources, source{p, len(t.classes), frames})
			}
		}
		if len(sources) > 0 {
			t.classes = append(t.classes, k)
			byClass = append(byClass, sources)
		}
	}
	var sources []source
	for i, n := range share(lengths(byClass), limit) {
		newest := byClass[i][len(byClass[i])-n:]
		sources = append(sources, newest...)
	}
	slices.SortFunc(sources, func(a, b source) int { return cmp.Compare(a.press.seq, b.press.seq) })
	frames := make([][]example, len(sources))
	for i, src := range sources {
		t.presses = append(t.presses, src.press)
		frames[i] = src.frames
	}
	for i, n := range share(lengths(frames), limit) {
		for j := range n {
			e := frames[i][j*len(frames[i])/n]
			t.examples = append(t.examples, head.Example{ID: e.seq, X: e.in(in), Class: sources[i].class, Press: i})
		}
	}
	slices.SortFunc(t.examples, func(a, b head.Example) int { return cmp.Compare(a.ID, b.ID) })
	return t
}

func lengths[T any](lists [][]T) []int {
	n := make([]int, len(lists))
	for i, l := range lists {
		n[i] = len(l)
	}
	return n
}

// share divides total among the counts: each gets what it has, up to the
// greatest common bound that fits, and what is left goes one by one to the
// last ones that have more.
func share(counts []int, total int) []int {
	bound := 0
	var sum int
	for {
		next := 0
		for _, n := range counts {
			next += min(n, bound+1)
		}
		if next > total || next == sum {
			break
		}
		sum = next
		bound++
	}
	shares := make([]int, len(counts))
	for i, n := range slices.Backward(counts) {
		shares[i] = min(n, bound)
		if n > bound && sum < total {
			shares[i]++
			sum++
		}
	}
	return shares
}

// digest hashes what a head is made from. The ids of the examples are left
// out: they do not change a verdict.
func digest(p head.Params, examples []head.Example) string {
	h := sha256.New()
	put := func(values ...int) {
		for _, v := range values {
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], uint64(v))
			h.Write(b[:])
		}
	}
	put(p.Classes, p.Nothing, p.ZeroPoint, len(examples))
	for _, e := range examples {
		put(e.Class, e.Press, len(e.X))
		h.Write(e.X)
	}
	return hex.EncodeToString(h.Sum(nil))
}

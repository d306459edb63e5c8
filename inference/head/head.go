// Package head is the classifier on top of a frozen backbone: taught
// embeddings in, verdicts out. It does no I/O, draws no random number and
// knows no clock: the same examples in the same order give the same head, to
// the last bit, on one machine.
//
// The rule is a least-squares support vector machine with one closed-form
// solve (Suykens & Vandewalle 1999), its exact leave-one-out by press (Cawley &
// Talbot 2004), the similarity to the nearest example added to the score, a
// temperature fitted on the left-out scores (Guo et al. 2017) and a threshold
// for "none of these" from the left-out similarities.
package head

// None is the verdict "none of these".
const None = -1

// MaxExamples is the greatest number of examples that a head folds.
const MaxExamples = 1000

// An Example is one taught frame.
type Example struct {
	// ID names the frame; ids are unique in a fit. A Fitter takes it that equal
	// ids have equal X, from one fit to the next.
	ID    int64
	X     []uint8 // the quantized embedding; every example has the same length
	Class int     // 0 to Classes-1
	Press int     // equal for the frames of one press; a press has one class
}

// Params says what the examples mean.
type Params struct {
	Classes   int // N, each with at least one example
	Nothing   int // the class taught as "none of these", or None
	ZeroPoint int // the value of X that stands for 0
}

// A Margin tells how much better another class explains a press than its own.
type Margin struct {
	Press, Class int
	Margin       float64
}

// A Report is what the fit learned about the lesson by leaving presses out.
type Report struct {
	Temperature float64
	Theta       float64  // Accept below it is "none of these"
	Quality     float64  // share of left-out frames that were right; NaN if unknown
	Margins     []Margin // of every press that could be left out, by press
	Suspects    []int    // presses that look mislabelled, by press
}

package head

import "math"

// An Answer is what a head says of one embedding. Its slices have one entry
// for each class and are reused by Ask.
type Answer struct {
	Ridge   []float64 // R, the linear score
	Near    []float64 // similarity to the nearest example, −1 to 1
	Score   []float64 // S = R + Near
	P       []float64 // calibrated probabilities, sum 1
	Accept  float64   // a, greatest Near of the classes other than Nothing; 0 without such a class
	Winner  int       // class with the greatest score; the lowest on a tie
	Verdict int       // Winner, or None

	query vector
}

// Ask fills *a with the answer for the embedding x. It panics if x has not the
// length of the examples: embeddings of another space never get here. A caller
// that keeps a allocates nothing. Several goroutines may ask at once, each with
// an Answer of its own.
func (h *Head) Ask(x []uint8, a *Answer) {
	if len(x) != h.dim {
		panic("head: an embedding of another length")
	}
	n := h.Classes
	a.Ridge, a.Near, a.Score, a.P = resize(a.Ridge, n), resize(a.Near, n), resize(a.Score, n), resize(a.P, n)
	copy(a.Ridge, h.bias)
	for c := range a.Near {
		a.Near[c] = math.Inf(-1)
	}
	packQuery(x, &a.query)
	a.query.sum, a.query.self = sums(x)
	norm := math.Sqrt(float64(centred(a.query.self, a.query.sum, a.query.sum, h.dim, h.ZeroPoint)))
	for i := range h.examples {
		e := &h.examples[i]
		k := 0.0
		if d := centred(dot(e.words, a.query.words), e.sum, a.query.sum, h.dim, h.ZeroPoint); d != 0 && norm > 0 && h.norm[i] > 0 {
			k = float64(d) / (h.norm[i] * norm)
		}
		if c := h.class[i]; k > a.Near[c] {
			a.Near[c] = k
		}
		for c, w := range h.coef[i*n : (i+1)*n] {
			a.Ridge[c] += w * k
		}
	}
	a.Accept = math.Inf(-1)
	for c := range n {
		a.Score[c] = a.Ridge[c] + a.Near[c]
		if c != h.Nothing {
			a.Accept = max(a.Accept, a.Near[c])
		}
	}
	if math.IsInf(a.Accept, -1) {
		a.Accept = 0
	}
	a.Winner = argmax(a.Score)
	softmax(a.P, a.Score, h.report.Temperature)
	a.Verdict = a.Winner
	if a.Winner == h.Nothing || a.Accept < h.report.Theta {
		a.Verdict = None
	}
}

func softmax(p, s []float64, t float64) {
	norm := logSumExp(s, t)
	for c, v := range s {
		p[c] = math.Exp(v/t - norm)
	}
}

func resize(s []float64, n int) []float64 {
	if cap(s) < n {
		return make([]float64, n)
	}
	return s[:n]
}

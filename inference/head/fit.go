package head

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// The constants of the rule. They were chosen once, over nine sets of
// photographs, and are part of the rule: nothing of them is fitted per lesson.
const (
	lambda            = 0.1  // ridge strength
	t0                = 0.16 // centre of the temperature prior; the temperature when no press can be left out
	temperaturePrior  = 3.0  // weight of that prior
	temperatureSteps  = 40   // temperatures tried: t0·exp(k/20), k = −40…40
	acceptQuantile    = 0.05 // share of left-out frames that the threshold may turn away
	acceptPrior       = 0.5  // threshold without evidence; counts as one press
	suspectMargin     = 0.4
	suspectMinPresses = 3 // presses in the class before one may be called suspect
)

// ErrExamples is wrapped by every error that Fit returns for examples that
// break the contract.
var ErrExamples = errors.New("examples")

// A Fitter fits heads and remembers dot products between fits, so that a
// lesson that grew by one frame is folded in the time of the solve. The zero
// value is ready. It is used from one goroutine; the heads that it returns are
// immutable and may be shared.
type Fitter struct {
	known map[int64]int // ID → index of frames
	frame []remembered
}

// remembered is a frame and its dot products with itself and all before it.
type remembered struct {
	vector
	dots []uint32
}

// maxRemembered bounds the memory of a Fitter: frames that were taken back may
// come back, but not for ever. At the bound the dot products take 8 MB.
const maxRemembered = 2 * MaxExamples

// remember returns the index of every example among the remembered frames.
func (f *Fitter) remember(examples []Example) []int {
	fresh := 0
	for _, e := range examples {
		if _, ok := f.known[e.ID]; !ok {
			fresh++
		}
	}
	if f.known == nil || len(f.frame)+fresh > maxRemembered {
		f.known, f.frame = make(map[int64]int), nil
	}
	index := make([]int, len(examples))
	var query vector
	for i, e := range examples {
		at, ok := f.known[e.ID]
		if !ok {
			at = len(f.frame)
			r := remembered{vector: pack(e.X), dots: make([]uint32, at+1)}
			packQuery(e.X, &query)
			for j := range f.frame {
				// Frames of another backbone may be remembered, too; they
				// never meet in one fit.
				if len(f.frame[j].words) == len(query.words) {
					r.dots[j] = uint32(dot(f.frame[j].words, query.words))
				}
			}
			r.dots[at] = uint32(r.self)
			f.frame = append(f.frame, r)
			f.known[e.ID] = at
		}
		index[i] = at
	}
	return index
}

// A Head answers for one lesson. It is immutable.
type Head struct {
	Params
	dim      int
	examples []vector
	norm     []float64 // of the examples, after the zero point
	class    []int
	coef     []float64 // A, one row of Classes entries for each example
	bias     []float64 // b
	report   Report

	// What the test vectors ask for beyond the report; left-out values are NaN
	// where the press cannot be left out.
	gram      *mat.SymDense
	looScore  [][]float64
	looAccept []float64
}

// Report returns what the fit learned about the lesson. It must not be changed.
func (h *Head) Report() *Report { return &h.report }

// Fit folds the examples into a head. The error wraps ErrExamples unless it is
// nil; the same examples in the same order give the same head.
func (f *Fitter) Fit(p Params, examples []Example) (*Head, error) {
	if err := check(p, examples); err != nil {
		return nil, err
	}
	n := len(examples)
	index := f.remember(examples)
	h := &Head{
		Params:   p,
		dim:      len(examples[0].X),
		examples: make([]vector, n),
		norm:     make([]float64, n),
		class:    make([]int, n),
		gram:     mat.NewSymDense(n, nil),
	}
	for i, e := range examples {
		v := f.frame[index[i]].vector
		h.examples[i], h.class[i] = v, e.Class
		h.norm[i] = math.Sqrt(float64(centred(v.self, v.sum, v.sum, h.dim, p.ZeroPoint)))
	}
	for i := range n {
		for j := range i + 1 {
			hi, lo := max(index[i], index[j]), min(index[i], index[j])
			c := centred(int64(f.frame[hi].dots[lo]), h.examples[i].sum, h.examples[j].sum, h.dim, p.ZeroPoint)
			if c != 0 && h.norm[i] > 0 && h.norm[j] > 0 {
				h.gram.SetSym(i, j, float64(c)/(h.norm[i]*h.norm[j]))
			}
		}
	}
	s, err := h.solve()
	if err != nil {
		return nil, err
	}
	h.leaveOut(s, pressesOf(examples, p.Classes))
	return h, nil
}

// check holds the examples to the contract.
func check(p Params, examples []Example) error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrExamples}, a...)...)
	}
	n := len(examples)
	if n == 0 || n > MaxExamples {
		return bad("%d of them (want 1 to %d)", n, MaxExamples)
	}
	if p.Classes < 1 || p.Classes > n || p.Nothing < None || p.Nothing >= p.Classes {
		return bad("%d classes, nothing %d", p.Classes, p.Nothing)
	}
	dim := len(examples[0].X)
	if dim == 0 || dim > maxDim {
		return bad("%d values (want 1 to %d)", dim, maxDim)
	}
	seen := make([]bool, p.Classes)
	classOf := make(map[int]int)
	ids := make(map[int64]bool, n)
	for i, e := range examples {
		if len(e.X) != dim {
			return bad("number %d has %d values, the first has %d", i, len(e.X), dim)
		}
		if e.Class < 0 || e.Class >= p.Classes {
			return bad("number %d is of class %d (want 0 to %d)", i, e.Class, p.Classes-1)
		}
		if c, ok := classOf[e.Press]; ok && c != e.Class {
			return bad("press %d is of class %d and of class %d", e.Press, c, e.Class)
		}
		if ids[e.ID] {
			return bad("id %d twice", e.ID)
		}
		ids[e.ID] = true
		classOf[e.Press] = e.Class
		seen[e.Class] = true
	}
	if c := slices.Index(seen, false); c >= 0 {
		return bad("none of class %d", c)
	}
	return nil
}

// A press is the indices of its frames.
type press struct {
	id, class int
	frames    []int
	tested    bool // it can be left out: its class has another press
}

// pressesOf groups the examples by press, ascending by id.
func pressesOf(examples []Example, classes int) []press {
	at := make(map[int]int)
	var all []press
	inClass := make([]int, classes)
	for i, e := range examples {
		k, ok := at[e.Press]
		if !ok {
			k = len(all)
			at[e.Press] = k
			all = append(all, press{id: e.Press, class: e.Class})
			inClass[e.Class]++
		}
		all[k].frames = append(all[k].frames, i)
	}
	for i := range all {
		all[i].tested = inClass[all[i].class] >= 2
	}
	slices.SortFunc(all, func(a, b press) int { return a.id - b.id })
	return all
}

// solution is what leaving out needs of the solve.
type solution struct {
	target *mat.Dense    // Y, n × N
	root   *mat.TriDense // U⁻¹ of K = U'U, upper: K⁻¹ = U⁻¹ (U⁻¹)'
	u      *mat.VecDense // K⁻¹ 1
	sumU   float64       // 1'u
}

// solve solves the bordered system
//
//	[ G + diag(d)  1 ] [ A ]   [ Y ]
//	[     1'       0 ] [ b ] = [ 0 ]
//
// with d_i = λ·n_c·N/n, which balances the classes, and Y_ic = [y_i = c] − 1/N.
func (h *Head) solve() (*solution, error) {
	n, classes := len(h.class), h.Classes
	count := make([]float64, classes)
	for _, c := range h.class {
		count[c]++
	}
	k := mat.NewSymDense(n, nil)
	k.CopySym(h.gram)
	s := &solution{target: mat.NewDense(n, classes, nil), u: mat.NewVecDense(n, nil)}
	ones := mat.NewVecDense(n, nil)
	for i, y := range h.class {
		ones.SetVec(i, 1)
		k.SetSym(i, i, k.At(i, i)+lambda*count[y]*float64(classes)/float64(n))
		for c := range classes {
			s.target.Set(i, c, -1/float64(classes))
		}
		s.target.Set(i, y, 1-1/float64(classes))
	}
	var chol mat.Cholesky
	if !chol.Factorize(k) {
		// diag(d) makes K positive definite for every legal input.
		return nil, fmt.Errorf("%w: the system is not positive definite; the examples in memory are corrupt", ErrExamples)
	}
	var upper, root mat.TriDense
	chol.UTo(&upper)
	var v mat.Dense
	// Errors of the solves only report a poor condition, which the ridge
	// bounds by n²/(λN)+1: 8e3 was the worst ever measured.
	_ = root.InverseTri(&upper)
	_ = chol.SolveVecTo(s.u, ones)
	_ = chol.SolveTo(&v, s.target)
	s.root, s.sumU = &root, mat.Sum(s.u)

	h.bias = make([]float64, classes)
	for c := range classes {
		h.bias[c] = mat.Sum(v.ColView(c)) / s.sumU
	}
	h.coef = make([]float64, n*classes)
	for i := range n {
		for c := range classes {
			h.coef[i*classes+c] = v.At(i, c) - s.u.AtVec(i)*h.bias[c]
		}
	}
	return s, nil
}

// leaveOut answers for every press as if it had not been taught, in closed
// form, and learns the report from the answers. It must go by press: the frames
// of a press are near-copies, and leaving out single frames flatters.
func (h *Head) leaveOut(s *solution, presses []press) {
	n, classes := len(h.class), h.Classes
	h.looScore = make([][]float64, n)
	h.looAccept = make([]float64, n)
	for i := range n {
		h.looAccept[i] = math.NaN()
	}
	var tested []press
	for _, p := range presses {
		if !p.tested {
			continue
		}
		tested = append(tested, p)
		ridge := h.ridgeWithout(s, p)
		for a, i := range p.frames {
			score := h.nearestWithout(i, p)
			h.looAccept[i] = score[p.class]
			for c := range classes {
				score[c] += ridge.At(a, c)
			}
			h.looScore[i] = score
		}
	}
	h.report = Report{Temperature: h.temperature(tested), Theta: h.theta(tested), Quality: math.NaN()}
	if len(tested) == 0 || classes == 1 {
		return
	}
	inClass := make([]int, classes)
	quality := 0.0
	for _, p := range tested {
		inClass[p.class]++
		quality += h.right(p)
	}
	h.report.Quality = quality / float64(len(tested))
	for _, p := range tested {
		m := h.margin(p)
		h.report.Margins = append(h.report.Margins, Margin{p.id, p.class, m})
		if m > suspectMargin && inClass[p.class] >= suspectMinPresses {
			h.report.Suspects = append(h.report.Suspects, p.id)
		}
	}
}

// ridgeWithout is R of the frames of p when p is left out: Y_g − (B_gg)⁻¹ A_g,
// where B_gg is the press's block of K⁻¹ − u u'/(1'u).
func (h *Head) ridgeWithout(s *solution, p press) *mat.Dense {
	g, classes := len(p.frames), h.Classes
	block := mat.NewSymDense(g, nil)
	raw := s.root.RawTriangular()
	for a, i := range p.frames {
		for b := range a + 1 {
			j := p.frames[b]
			// Rows of an upper triangle: zero before the later of the two.
			from := max(i, j)
			ri, rj := raw.Data[i*raw.Stride+from:i*raw.Stride+raw.N], raw.Data[j*raw.Stride+from:j*raw.Stride+raw.N]
			sum := 0.0
			for k, x := range ri {
				sum += x * rj[k]
			}
			block.SetSym(a, b, sum-s.u.AtVec(i)*s.u.AtVec(j)/s.sumU)
		}
	}
	coef := mat.NewDense(g, classes, nil)
	target := mat.NewDense(g, classes, nil)
	for a, i := range p.frames {
		coef.SetRow(a, h.coef[i*classes:(i+1)*classes])
		target.SetRow(a, s.target.RawRowView(i))
	}
	var out mat.Dense
	var chol mat.Cholesky
	// B is positive definite on every proper subset of the examples, and a
	// press that can be left out is one.
	chol.Factorize(block)
	_ = chol.SolveTo(&out, coef)
	out.Sub(target, &out)
	return &out
}

// nearestWithout is, for each class, the similarity of frame i to the nearest
// example outside the press p.
func (h *Head) nearestWithout(i int, p press) []float64 {
	near := make([]float64, h.Classes)
	for c := range near {
		near[c] = math.Inf(-1)
	}
	k := 0
	for j, c := range h.class {
		if k < len(p.frames) && p.frames[k] == j {
			k++
			continue
		}
		near[c] = max(near[c], h.gram.At(i, j))
	}
	return near
}

// temperature is the one of the grid that makes the left-out answers likeliest
// under the prior; the smallest on a tie.
func (h *Head) temperature(tested []press) float64 {
	if len(tested) == 0 || h.Classes == 1 {
		return t0
	}
	best, least := t0, math.Inf(1)
	for k := -temperatureSteps; k <= temperatureSteps; k++ {
		x := float64(k) / 20
		t := t0 * math.Exp(x)
		cost := temperaturePrior * x * x
		for _, p := range tested {
			sum := 0.0
			for _, i := range p.frames {
				sum += logSumExp(h.looScore[i], t) - h.looScore[i][p.class]/t
			}
			cost += sum / float64(len(p.frames))
		}
		if cost < least {
			best, least = t, cost
		}
	}
	return best
}

func logSumExp(s []float64, t float64) float64 {
	top := slices.Max(s)
	sum := 0.0
	for _, v := range s {
		sum += math.Exp((v - top) / t)
	}
	return top/t + math.Log(sum)
}

// theta is the 5 % quantile of the left-out similarities to the own class,
// drawn towards the prior, which counts as one press.
func (h *Head) theta(tested []press) float64 {
	var v []float64
	m := 0.0
	for _, p := range tested {
		if p.class == h.Nothing {
			continue
		}
		m++
		for _, i := range p.frames {
			v = append(v, h.looAccept[i])
		}
	}
	if m == 0 {
		return acceptPrior
	}
	slices.Sort(v)
	at := acceptQuantile * float64(len(v)-1)
	i := int(at)
	q := v[i]
	if i+1 < len(v) {
		q += (at - float64(i)) * (v[i+1] - v[i])
	}
	return (m*q + acceptPrior) / (m + 1)
}

// right is the share of the frames of p that are still answered rightly when p
// is left out.
func (h *Head) right(p press) float64 {
	n := 0
	for _, i := range p.frames {
		if argmax(h.looScore[i]) == p.class {
			n++
		}
	}
	return float64(n) / float64(len(p.frames))
}

// margin is how much better, on average, the best other class explains p than
// its own class does.
func (h *Head) margin(p press) float64 {
	sum := 0.0
	for _, i := range p.frames {
		rival := math.Inf(-1)
		for c, s := range h.looScore[i] {
			if c != p.class {
				rival = max(rival, s)
			}
		}
		sum += rival - h.looScore[i][p.class]
	}
	return sum / float64(len(p.frames))
}

// argmax is the index of the greatest value; the lowest on a tie.
func argmax(v []float64) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}

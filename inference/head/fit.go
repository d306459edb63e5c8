package head

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
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
	work  []float64 // n × n, used again by the next fit
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
}

// Report returns what the fit learned about the lesson. It must not be changed.
func (h *Head) Report() *Report { return &h.report }

// Fit folds the examples into a head. The error wraps ErrExamples unless it is
// nil; the same examples in the same order give the same head.
func (f *Fitter) Fit(p Params, examples []Example) (*Head, error) {
	if err := check(p, examples); err != nil {
		return nil, err
	}
	t := f.prepare(p, examples)
	s, err := t.solve()
	if err != nil {
		return nil, err
	}
	t.leaveOut(s, pressesOf(examples, p.Classes))
	return t.Head, nil
}

// A fit is a head in the making, with what is only needed meanwhile.
type fit struct {
	*Head
	fitter *Fitter
	index  []int // of the examples, among the remembered frames
	left   leftOut
}

// leftOut is what is answered to each example when its press is left out: nil
// and NaN where that cannot be.
type leftOut struct {
	score  [][]float64 // S, n × N
	accept []float64   // similarity to the nearest other example of its class
}

func (f *Fitter) prepare(p Params, examples []Example) *fit {
	n := len(examples)
	t := &fit{fitter: f, index: f.remember(examples), Head: &Head{
		Params:   p,
		dim:      len(examples[0].X),
		examples: make([]vector, n),
		norm:     make([]float64, n),
		class:    make([]int, n),
	}}
	for i, e := range examples {
		v := f.frame[t.index[i]].vector
		t.examples[i], t.class[i] = v, e.Class
		t.norm[i] = math.Sqrt(float64(centred(v.self, v.sum, v.sum, t.dim, p.ZeroPoint)))
	}
	return t
}

// similarity is G_ij, the cosine of two examples; 0 if one has no content.
func (t *fit) similarity(i, j int) float64 {
	if t.norm[i] == 0 || t.norm[j] == 0 {
		return 0
	}
	hi, lo := max(t.index[i], t.index[j]), min(t.index[i], t.index[j])
	c := centred(int64(t.fitter.frame[hi].dots[lo]), t.examples[i].sum, t.examples[j].sum, t.dim, t.ZeroPoint)
	return float64(c) / (t.norm[i] * t.norm[j])
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
	target []float64         // Y, n rows of N
	root   blas64.Triangular // U⁻¹ of K = U'U, upper: K⁻¹ = U⁻¹ (U⁻¹)'
	u      []float64         // K⁻¹ 1
	sumU   float64           // 1'u
}

// solve solves the bordered system
//
//	[ G + diag(d)  1 ] [ A ]   [ Y ]
//	[     1'       0 ] [ b ] = [ 0 ]
//
// with d_i = λ·n_c·N/n, which balances the classes, and Y_ic = [y_i = c] − 1/N.
// It works in place: a full lesson's matrix has 8 MB.
func (t *fit) solve() (*solution, error) {
	n, classes := len(t.class), t.Classes
	count := make([]float64, classes)
	for _, c := range t.class {
		count[c]++
	}
	if cap(t.fitter.work) < n*n {
		t.fitter.work = make([]float64, n*n)
	}
	k := blas64.Symmetric{Uplo: blas.Upper, N: n, Stride: n, Data: t.fitter.work[:n*n]}
	s := &solution{target: make([]float64, n*classes)}
	// K⁻¹ is applied to Y and to 1 together: N columns and one.
	right := blas64.General{Rows: n, Cols: classes + 1, Stride: classes + 1, Data: make([]float64, n*(classes+1))}
	for i, y := range t.class {
		for j := i; j < n; j++ {
			k.Data[i*n+j] = t.similarity(i, j)
		}
		k.Data[i*n+i] += lambda * count[y] * float64(classes) / float64(n)
		row, b := s.target[i*classes:(i+1)*classes], right.Data[i*right.Stride:(i+1)*right.Stride]
		for c := range row {
			row[c] = -1 / float64(classes)
		}
		row[y]++
		copy(b, row)
		b[classes] = 1
	}
	upper, ok := lapack64.Potrf(k)
	if !ok {
		// diag(d) makes K positive definite for every legal input.
		return nil, fmt.Errorf("%w: the system is not positive definite; the examples in memory are corrupt", ErrExamples)
	}
	lapack64.Potrs(upper, right)
	lapack64.Trtri(upper)
	s.root = upper

	s.u = make([]float64, n)
	t.bias = make([]float64, classes)
	for i := range n {
		v := right.Data[i*right.Stride : (i+1)*right.Stride]
		s.u[i] = v[classes]
		s.sumU += v[classes]
		for c := range classes {
			t.bias[c] += v[c]
		}
	}
	for c := range t.bias {
		t.bias[c] /= s.sumU
	}
	t.coef = make([]float64, n*classes)
	for i := range n {
		for c := range classes {
			t.coef[i*classes+c] = right.Data[i*right.Stride+c] - s.u[i]*t.bias[c]
		}
	}
	return s, nil
}

// leaveOut answers for every press as if it had not been taught, in closed
// form, and learns the report from the answers. It must go by press: the frames
// of a press are near-copies, and leaving out single frames flatters.
func (t *fit) leaveOut(s *solution, presses []press) {
	n, classes := len(t.class), t.Classes
	t.left = leftOut{score: make([][]float64, n), accept: make([]float64, n)}
	for i := range n {
		t.left.accept[i] = math.NaN()
	}
	var tested []press
	for _, p := range presses {
		if !p.tested {
			continue
		}
		tested = append(tested, p)
		ridge := t.ridgeWithout(s, p)
		for a, i := range p.frames {
			score := t.nearestWithout(i, p)
			t.left.accept[i] = score[p.class]
			for c := range classes {
				score[c] += ridge.At(a, c)
			}
			t.left.score[i] = score
		}
	}
	t.report = Report{Temperature: t.temperature(tested), Theta: t.theta(tested), Quality: math.NaN()}
	if len(tested) == 0 || classes == 1 {
		return
	}
	inClass := make([]int, classes)
	quality := 0.0
	for _, p := range tested {
		inClass[p.class]++
		quality += t.right(p)
	}
	t.report.Quality = quality / float64(len(tested))
	for _, p := range tested {
		m := t.margin(p)
		t.report.Margins = append(t.report.Margins, Margin{p.id, p.class, m})
		if m > suspectMargin && inClass[p.class] >= suspectMinPresses {
			t.report.Suspects = append(t.report.Suspects, p.id)
		}
	}
}

// ridgeWithout is R of the frames of p when p is left out: Y_g − (B_gg)⁻¹ A_g,
// where B_gg is the press's block of K⁻¹ − u u'/(1'u).
func (t *fit) ridgeWithout(s *solution, p press) *mat.Dense {
	g, classes := len(p.frames), t.Classes
	block := mat.NewSymDense(g, nil)
	raw := s.root
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
			block.SetSym(a, b, sum-s.u[i]*s.u[j]/s.sumU)
		}
	}
	coef := mat.NewDense(g, classes, nil)
	target := mat.NewDense(g, classes, nil)
	for a, i := range p.frames {
		coef.SetRow(a, t.coef[i*classes:(i+1)*classes])
		target.SetRow(a, s.target[i*classes:(i+1)*classes])
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
func (t *fit) nearestWithout(i int, p press) []float64 {
	near := make([]float64, t.Classes)
	for c := range near {
		near[c] = math.Inf(-1)
	}
	k := 0
	for j, c := range t.class {
		if k < len(p.frames) && p.frames[k] == j {
			k++
			continue
		}
		near[c] = max(near[c], t.similarity(i, j))
	}
	return near
}

// temperature is the one of the grid that makes the left-out answers likeliest
// under the prior; the smallest on a tie.
func (t *fit) temperature(tested []press) float64 {
	if len(tested) == 0 || t.Classes == 1 {
		return t0
	}
	best, least := t0, math.Inf(1)
	for k := -temperatureSteps; k <= temperatureSteps; k++ {
		x := float64(k) / 20
		try := t0 * math.Exp(x)
		cost := temperaturePrior * x * x
		for _, p := range tested {
			sum := 0.0
			for _, i := range p.frames {
				sum += logSumExp(t.left.score[i], try) - t.left.score[i][p.class]/try
			}
			cost += sum / float64(len(p.frames))
		}
		if cost < least {
			best, least = try, cost
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
func (t *fit) theta(tested []press) float64 {
	var v []float64
	m := 0.0
	for _, p := range tested {
		if p.class == t.Nothing {
			continue
		}
		m++
		for _, i := range p.frames {
			v = append(v, t.left.accept[i])
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
func (t *fit) right(p press) float64 {
	n := 0
	for _, i := range p.frames {
		if argmax(t.left.score[i]) == p.class {
			n++
		}
	}
	return float64(n) / float64(len(p.frames))
}

// margin is how much better, on average, the best other class explains p than
// its own class does.
func (t *fit) margin(p press) float64 {
	sum := 0.0
	for _, i := range p.frames {
		rival := math.Inf(-1)
		for c, s := range t.left.score[i] {
			if c != p.class {
				rival = max(rival, s)
			}
		}
		sum += rival - t.left.score[i][p.class]
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

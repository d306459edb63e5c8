package head

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/mat"
)

// golden is a test vector; see the rule's description for the fields.
type golden struct {
	Name     string
	Classes  int
	Nothing  *int
	Examples []struct {
		Class, Press int
		X            []byte
	}
	Queries []struct {
		Note string
		X    []byte
	}
	Expected struct {
		GramCorner  [][]float64  `json:"gram_corner"`
		WeightNorm  []float64    `json:"weight_norm"`
		Bias        []float64    `json:"bias"`
		Temperature float64      `json:"temperature"`
		LooScore    [][]*float64 `json:"loo_score"`
		LooAccept   []*float64   `json:"loo_accept"`
		LooAccuracy *float64     `json:"loo_accuracy"`
		Theta       float64      `json:"theta"`
		Margins     [][3]float64 `json:"margins"`
		Suspects    []int        `json:"suspects"`
		Queries     []struct {
			R, NN, S, P     []float64
			A               float64
			Winner, Verdict int
		} `json:"queries"`
	}
}

func (g *golden) fit(t *testing.T) *fit {
	t.Helper()
	p := Params{Classes: g.Classes, Nothing: None}
	if g.Nothing != nil {
		p.Nothing = *g.Nothing
	}
	examples := make([]Example, len(g.Examples))
	for i, e := range g.Examples {
		examples[i] = Example{ID: int64(i), X: e.X, Class: e.Class, Press: e.Press}
	}
	var f Fitter
	made := f.prepare(p, examples)
	s, err := made.solve()
	if err != nil {
		t.Fatal(err)
	}
	made.leaveOut(s, pressesOf(examples, g.Classes))
	return made
}

func cases(t testing.TB) []golden {
	t.Helper()
	names, err := filepath.Glob("testdata/case*.json")
	if err != nil || len(names) != 7 {
		t.Fatalf("test vectors: %d found, %v (want 7)", len(names), err)
	}
	var all []golden
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var g golden
		if err := json.Unmarshal(b, &g); err != nil {
			t.Fatal(name, err)
		}
		all = append(all, g)
	}
	return all
}

const tolerance = 1e-6

// differ counts the numbers compared, so that a vector that lost its numbers
// cannot pass.
type differ struct {
	*testing.T
	compared int
	worst    float64
}

func (d *differ) number(got, want float64, what string, at ...any) {
	d.Helper()
	d.compared++
	d.worst = max(d.worst, math.Abs(got-want))
	if !(math.Abs(got-want) <= tolerance) {
		d.Errorf("%s: got %.12g, want %.12g", fmt.Sprintf(what, at...), got, want)
	}
}

func (d *differ) numbers(got, want []float64, what string, at ...any) {
	d.Helper()
	if len(got) != len(want) {
		d.Errorf("%s: %d values, want %d", fmt.Sprintf(what, at...), len(got), len(want))
		return
	}
	for i := range want {
		d.number(got[i], want[i], what, at...)
	}
}

func TestGolden(t *testing.T) {
	for _, g := range cases(t) {
		t.Run(g.Name, func(t *testing.T) {
			d := &differ{T: t}
			h := g.fit(t)
			want := &g.Expected

			for i, row := range want.GramCorner {
				for j, v := range row {
					d.number(h.similarity(i, j), v, "gram %d %d", i, j)
				}
			}
			a := mat.NewDense(len(g.Examples), g.Classes, h.coef)
			gram := mat.NewSymDense(len(g.Examples), nil)
			for i := range g.Examples {
				for j := range i + 1 {
					gram.SetSym(i, j, h.similarity(i, j))
				}
			}
			var ga, aga mat.Dense
			ga.Mul(gram, a)
			aga.Mul(a.T(), &ga)
			for c, v := range want.WeightNorm {
				d.number(math.Sqrt(max(0, aga.At(c, c))), v, "weight norm %d", c)
			}
			d.numbers(h.bias, want.Bias, "bias")

			r := h.Report()
			d.number(r.Temperature, want.Temperature, "temperature")
			d.number(r.Theta, want.Theta, "theta")
			if want.LooAccuracy == nil {
				if !math.IsNaN(r.Quality) {
					t.Errorf("quality: got %v, want none", r.Quality)
				}
			} else {
				d.number(r.Quality, *want.LooAccuracy, "quality")
			}
			for i := range g.Examples {
				if want.LooAccept[i] == nil {
					if !math.IsNaN(h.left.accept[i]) || h.left.score[i] != nil {
						t.Errorf("example %d: left out, but its class has one press", i)
					}
					continue
				}
				d.number(h.left.accept[i], *want.LooAccept[i], "left-out accept %d", i)
				for c, v := range want.LooScore[i] {
					d.number(h.left.score[i][c], *v, "left-out score %d %d", i, c)
				}
			}
			if len(r.Margins) != len(want.Margins) {
				t.Fatalf("%d margins, want %d", len(r.Margins), len(want.Margins))
			}
			for i, m := range want.Margins {
				if got := r.Margins[i]; got.Press != int(m[0]) || got.Class != int(m[1]) {
					t.Errorf("margin %d: of press %d of class %d, want %v", i, got.Press, got.Class, m)
				}
				d.number(r.Margins[i].Margin, m[2], "margin %d", i)
			}
			if diff := cmp.Diff(append([]int{}, want.Suspects...), append([]int{}, r.Suspects...)); diff != "" {
				t.Errorf("suspects (-want +got):\n%s", diff)
			}

			var got Answer
			for i, q := range g.Queries {
				w := want.Queries[i]
				h.Ask(q.X, &got)
				d.numbers(got.Ridge, w.R, "%s: R", q.Note)
				d.numbers(got.Near, w.NN, "%s: nn", q.Note)
				d.numbers(got.Score, w.S, "%s: S", q.Note)
				d.numbers(got.P, w.P, "%s: P", q.Note)
				d.number(got.Accept, w.A, "%s: a", q.Note)
				if got.Winner != w.Winner || got.Verdict != w.Verdict {
					t.Errorf("%s: winner %d verdict %d, want %d and %d", q.Note, got.Winner, got.Verdict, w.Winner, w.Verdict)
				}
			}
			if d.compared < 20 || len(want.Queries) == 0 {
				t.Errorf("only %d numbers and %d queries compared", d.compared, len(want.Queries))
			}
			t.Logf("%d numbers, largest difference %.2g", d.compared, d.worst)
		})
	}
}

// TestIncremental shows that a Fitter that saw the lesson grow, shrink and
// meet frames of another length gives the head of a fresh one, to the bit.
func TestIncremental(t *testing.T) {
	g := cases(t)[2]
	var all []Example
	for i, e := range g.Examples {
		all = append(all, Example{ID: int64(i), X: e.X, Class: e.Class, Press: e.Press})
	}
	p := Params{Classes: g.Classes, Nothing: None}
	var grown, fresh Fitter
	for n := 1; n < len(all); n++ {
		classes := 1 + all[n-1].Class
		if _, err := grown.Fit(Params{Classes: classes, Nothing: None}, all[:n]); err != nil {
			t.Fatal(err)
		}
	}
	short := []Example{{ID: 1000, X: []byte{1, 2, 3}}}
	if _, err := grown.Fit(Params{Classes: 1, Nothing: None}, short); err != nil {
		t.Fatal(err)
	}
	a, err := grown.Fit(p, all)
	if err != nil {
		t.Fatal(err)
	}
	b, err := fresh.Fit(p, all)
	if err != nil {
		t.Fatal(err)
	}
	for i := range a.coef {
		if a.coef[i] != b.coef[i] {
			t.Fatalf("coefficient %d: %v after growing, %v afresh", i, a.coef[i], b.coef[i])
		}
	}
	if diff := cmp.Diff(a.report, b.report); diff != "" {
		t.Error(diff)
	}
}

// TestForget shows that a Fitter's memory is bounded and that forgetting
// changes nothing.
func TestForget(t *testing.T) {
	var f Fitter
	x := make([]byte, 16)
	for i := range 3 * maxRemembered {
		x[i%16]++
		e := []Example{{ID: int64(i), X: append([]byte(nil), x...)}}
		if _, err := f.Fit(Params{Classes: 1, Nothing: None}, e); err != nil {
			t.Fatal(err)
		}
		if len(f.frame) > maxRemembered || len(f.known) > maxRemembered {
			t.Fatalf("remembers %d frames", len(f.frame))
		}
	}
}

// TestZeroPoint shows that shifting the codes and the zero point together
// changes nothing.
func TestZeroPoint(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	plain, shifted := make([]Example, 12), make([]Example, 12)
	for i := range plain {
		x, y := make([]byte, 64), make([]byte, 64)
		for j := range x {
			x[j] = byte(rng.IntN(100))
			y[j] = x[j] + 100
		}
		plain[i] = Example{ID: int64(i), X: x, Class: i % 3, Press: i}
		shifted[i] = Example{ID: int64(i), X: y, Class: i % 3, Press: i}
	}
	var f, g Fitter
	a, err := f.Fit(Params{Classes: 3, Nothing: None}, plain)
	if err != nil {
		t.Fatal(err)
	}
	b, err := g.Fit(Params{Classes: 3, Nothing: None, ZeroPoint: 100}, shifted)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.report, b.report); diff != "" {
		t.Error(diff)
	}
	var p, q Answer
	a.Ask(plain[3].X, &p)
	b.Ask(shifted[3].X, &q)
	if diff := cmp.Diff(p.Score, q.Score); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyNothing(t *testing.T) {
	var f Fitter
	h, err := f.Fit(Params{Classes: 1, Nothing: 0}, []Example{{ID: 1, X: []byte{1, 2}}})
	if err != nil {
		t.Fatal(err)
	}
	var a Answer
	h.Ask([]byte{1, 2}, &a)
	if a.Verdict != None {
		t.Errorf("verdict %d of a lesson of nothing", a.Verdict)
	}
}

func TestBadExamples(t *testing.T) {
	x := []byte{1, 2, 3}
	ok := Params{Classes: 1, Nothing: None}
	tests := []struct {
		name     string
		p        Params
		examples []Example
		want     string
	}{
		{"none", ok, nil, "examples: 0 of them (want 1 to 1000)"},
		{"too many", ok, make([]Example, MaxExamples+1), "examples: 1001 of them (want 1 to 1000)"},
		{"no values", ok, make([]Example, 1), "examples: 0 values (want 1 to 32768)"},
		{"lengths", ok, []Example{{ID: 1, X: x}, {ID: 2, X: x[:2]}}, "examples: number 1 has 2 values, the first has 3"},
		{"class", ok, []Example{{ID: 1, X: x, Class: 1}}, "examples: number 0 is of class 1 (want 0 to 0)"},
		{"negative class", ok, []Example{{ID: 1, X: x, Class: -1}}, "examples: number 0 is of class -1 (want 0 to 0)"},
		{"empty class", Params{Classes: 2, Nothing: None}, []Example{{ID: 1, X: x}, {ID: 2, X: x}}, "examples: none of class 1"},
		{"press of two classes", Params{Classes: 2, Nothing: None}, []Example{{ID: 1, X: x}, {ID: 2, X: x, Class: 1}}, "examples: press 0 is of class 0 and of class 1"},
		{"same id", ok, []Example{{ID: 1, X: x}, {ID: 1, X: x}}, "examples: id 1 twice"},
		{"nothing", Params{Classes: 1, Nothing: 1}, []Example{{X: x}}, "examples: 1 classes, nothing 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var f Fitter
			_, err := f.Fit(test.p, test.examples)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestAskAllocates(t *testing.T) {
	h := cases(t)[2].fit(t)
	x := cases(t)[2].Queries[0].X
	var a Answer
	h.Ask(x, &a)
	if n := testing.AllocsPerRun(100, func() { h.Ask(x, &a) }); n != 0 {
		t.Errorf("%v allocations a question, want 0", n)
	}
}

// FuzzDot compares the packed dot product with the plain one.
func FuzzDot(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255}, []byte{255, 255, 255, 255, 255, 255, 255})
	full := make([]byte, 1024)
	for i := range full {
		full[i] = 255
	}
	f.Add(full, full)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		n := min(len(a), len(b), maxDim)
		a, b = a[:n], b[:n]
		want := int64(0)
		for i := range a {
			want += int64(a[i]) * int64(b[i])
		}
		var q vector
		packQuery(b, &q)
		if got := dot(pack(a).words, q.words); got != want {
			t.Errorf("%d values: got %d, want %d", n, got, want)
		}
	})
}

// lessonOf is classes × frames random frames, five to a press.
func lessonOf(classes, frames int) []Example {
	rng := rand.New(rand.NewPCG(3, 4))
	var all []Example
	for c := range classes {
		for i := range frames {
			x := make([]byte, 1024)
			for j := range x {
				x[j] = byte(rng.IntN(60))
				if j%classes == c {
					x[j] += 40
				}
			}
			all = append(all, Example{ID: int64(len(all)), X: x, Class: c, Press: c*frames + i/5})
		}
	}
	return all
}

// BenchmarkRelearn is one fit of a lesson that grew by one frame.
func BenchmarkRelearn(b *testing.B) {
	for _, frames := range []int{50, 200} {
		b.Run(fmt.Sprintf("5x%d", frames), func(b *testing.B) {
			all := lessonOf(5, frames)
			p := Params{Classes: 5, Nothing: None}
			var f Fitter
			if _, err := f.Fit(p, all); err != nil {
				b.Fatal(err)
			}
			last := &all[len(all)-1]
			next := last.ID
			b.ReportAllocs()
			for b.Loop() {
				next++
				last.ID = next
				if _, err := f.Fit(p, all); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFirstFit is the fit after a start, with no dot product known.
func BenchmarkFirstFit(b *testing.B) {
	all := lessonOf(5, 50)
	for b.Loop() {
		var f Fitter
		if _, err := f.Fit(Params{Classes: 5, Nothing: None}, all); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAsk(b *testing.B) {
	for _, frames := range []int{50, 200} {
		b.Run(fmt.Sprintf("5x%d", frames), func(b *testing.B) {
			all := lessonOf(5, frames)
			var f Fitter
			h, err := f.Fit(Params{Classes: 5, Nothing: None}, all)
			if err != nil {
				b.Fatal(err)
			}
			var a Answer
			b.ReportAllocs()
			for b.Loop() {
				h.Ask(all[7].X, &a)
			}
		})
	}
}

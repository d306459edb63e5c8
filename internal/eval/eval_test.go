package eval

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"teachbox/inference/head"
)

// collection makes sets of pictures whose embeddings q draws.
func collection(sets, classes, each int, q func(r *rand.Rand, set, class int) []uint8) []Picture {
	r := rand.New(rand.NewPCG(1, 2))
	var pictures []Picture
	for s := range sets {
		for c := range classes {
			for range each {
				pictures = append(pictures, Picture{Set: fmt.Sprint("set ", s), Class: fmt.Sprint("class ", c), Q: q(r, s, c)})
			}
		}
	}
	return pictures
}

const dim = 64

// separable embeddings of a class stand out in three numbers of their own.
func separable(r *rand.Rand, set, class int) []uint8 {
	q := uninformed(r, set, class)
	for i := range q {
		q[i] /= 16
	}
	for i := range 3 {
		q[(3*(7*set+class)+i)%dim] = 200 + uint8(r.IntN(50))
	}
	return q
}

// uninformed embeddings tell nothing.
func uninformed(r *rand.Rand, _, _ int) []uint8 {
	q := make([]uint8, dim)
	for i := range q {
		q[i] = uint8(r.IntN(256))
	}
	return q
}

func TestDraw(t *testing.T) {
	// Unequal classes: five of them are large enough to be taught three presses.
	pictures := collection(2, 7, 12, uninformed)
	perClass := make(map[string]int)
	pictures = slices.DeleteFunc(pictures, func(p Picture) bool {
		perClass[p.Set+p.Class]++
		return p.Class < "class 2" && perClass[p.Set+p.Class] > 3
	})
	for _, o := range []Options{{Classes: 3, Held: 5}, {Classes: 5, Held: 100}, {Classes: 50, Held: 1}} {
		for number := range 50 {
			const presses = 3
			e, ok := draw(pictures, "set 1", presses, number, o)
			if !ok {
				t.Fatal("no episode")
			}
			classes := min(o.Classes, 5)
			held := min(o.Held, 12-presses)
			if e.Set != "set 1" || e.Presses != presses || e.Number != number ||
				len(e.Taught) != classes*presses || len(e.TaughtClass) != len(e.Taught) ||
				len(e.Tested) != classes*held || len(e.TestedClass) != len(e.Tested) {
				t.Fatalf("%+v: episode %+v", o, e)
			}

			// Every picture has one part.
			part := make(map[int]string)
			for name, rows := range map[string][]int{"taught": e.Taught, "tested": e.Tested, "near": e.near, "far": e.far} {
				for _, row := range rows {
					if part[row] != "" {
						t.Fatalf("picture %d is %s and %s", row, part[row], name)
					}
					part[row] = name
					if far := pictures[row].Set != "set 1"; far != (name == "far") {
						t.Fatalf("%s picture %d is of %s", name, row, pictures[row].Set)
					}
				}
			}

			// A label is one class of the set and has as many rows as any other.
			label := make(map[string]int)
			count := make(map[[2]int]int)
			note := func(tested int, rows, labels []int) {
				for i, row := range rows {
					c := pictures[row].Class
					if l, ok := label[c]; ok && l != labels[i] {
						t.Fatalf("%s has the labels %d and %d", c, l, labels[i])
					}
					label[c] = labels[i]
					count[[2]int{tested, labels[i]}]++
				}
			}
			note(0, e.Taught, e.TaughtClass)
			note(1, e.Tested, e.TestedClass)
			if len(label) != classes {
				t.Fatalf("labels %v, want %d classes", label, classes)
			}
			for l := range classes {
				if count[[2]int{0, l}] != presses || count[[2]int{1, l}] != held {
					t.Fatalf("rows by part and label: %v", count)
				}
			}

			// What is near is every picture of every class that was not taught.
			near := 0
			for _, p := range pictures {
				if _, taught := label[p.Class]; p.Set == "set 1" && !taught {
					near++
				}
			}
			if len(e.near) != near {
				t.Fatalf("%d near pictures, want %d", len(e.near), near)
			}
			if want := (2*3 + 5*12 + 9) / 10; len(e.far) != want {
				t.Fatalf("%d far pictures, want %d", len(e.far), want)
			}
		}
	}
}

func TestDrawIsRepeatable(t *testing.T) {
	pictures := collection(1, 6, 10, uninformed)
	get := func(seed uint64, number int) Episode {
		e, _ := draw(pictures, "set 0", 2, number, Options{Classes: 3, Held: 5, Seed: seed})
		return e
	}
	all := cmp.AllowUnexported(Episode{})
	if diff := cmp.Diff(get(1, 0), get(1, 0), all); diff != "" {
		t.Errorf("one seed, two episodes:\n%s", diff)
	}
	if slices.Equal(get(1, 0).Taught, get(2, 0).Taught) || slices.Equal(get(1, 0).Taught, get(1, 1).Taught) {
		t.Error("another seed or number draws the same pictures")
	}
}

func TestDrawTooFew(t *testing.T) {
	pictures := append(collection(1, 1, 9, uninformed), collection(1, 5, 3, uninformed)[3:]...)
	if e, ok := draw(pictures, "set 0", 3, 0, Options{Classes: 5, Held: 5}); ok {
		t.Errorf("one class is large enough, and yet %+v", e)
	}
}

func TestRunSeparable(t *testing.T) {
	pictures := collection(2, 7, 12, separable)
	o := Options{Presses: []int{1, 5, 100}, Episodes: 10, Held: 4}
	rows, err := Run(t.Context(), pictures, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 4 { // nobody has a hundred pictures
		t.Fatalf("%d rows, want two sets with 1 and 5 presses: %+v", len(rows), rows)
	}
	for i, r := range rows {
		if r.Set != fmt.Sprint("set ", i/2) || r.Presses != []int{1, 5}[i%2] || r.Episodes != 10 || r.Questions != 10*5*4 {
			t.Errorf("row %d: %+v", i, r)
		}
		if r.Accuracy != 1 || r.Interval != 0 {
			t.Errorf("%s, %d presses: accuracy %v ± %v, want 1 ± 0", r.Set, r.Presses, r.Accuracy, r.Interval)
		}
		if r.Accepted < 0.9 {
			t.Errorf("%s, %d presses: %v accepted, want nearly all", r.Set, r.Presses, r.Accepted)
		}
		if r.Near == nil || r.Far == nil || *r.Near > 0.05 || *r.Far > 0.05 {
			t.Errorf("%s, %d presses: untaught classes accepted: %v, other sets: %v, want nearly none", r.Set, r.Presses, r.Near, r.Far)
		}
	}
	again, err := Run(t.Context(), pictures, o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, again); diff != "" {
		t.Errorf("two runs differ:\n%s", diff)
	}
}

// TestEpisodeRun shows that what an episode reports is about its questions, one
// by one.
func TestEpisodeRun(t *testing.T) {
	pictures := collection(1, 5, 12, separable)
	e, ok := draw(pictures, "set 0", 3, 0, Options{Classes: 4, Held: 5})
	if !ok {
		t.Fatal("no episode")
	}
	e.TestedClass[7] = 3 - e.TestedClass[7] // a question with a wrong key
	r, err := e.Run(pictures)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Right) != 20 || len(r.Confidence) != 20 || r.Accuracy != 0.95 {
		t.Fatalf("%d and %d answers, accuracy %v, want 20 and 0.95", len(r.Right), len(r.Confidence), r.Accuracy)
	}
	for i := range r.Right {
		if r.Right[i] != (i != 7) {
			t.Errorf("question %d: right is %v", i, r.Right[i])
		}
		if r.Confidence[i] < 0.5 || r.Confidence[i] > 1 {
			t.Errorf("question %d: confidence %v, want that of a clear winner", i, r.Confidence[i])
		}
	}
}

func TestRunUninformed(t *testing.T) {
	for _, classes := range []int{2, 5} {
		rows, err := Run(t.Context(), collection(1, classes, 40, uninformed), Options{Presses: []int{3}, Classes: classes, Episodes: 50})
		if err != nil {
			t.Fatal(err)
		}
		r := rows[0]
		if want := 1 / float64(classes); len(rows) != 1 || math.Abs(r.Accuracy-want) > 0.05 {
			t.Errorf("accuracy %.3f ± %.3f, want about %.3f", r.Accuracy, r.Interval, want)
		}
		if r.Near != nil || r.Far != nil {
			t.Errorf("near %v and far %v, want null: there is neither", r.Near, r.Far)
		}
	}
}

// TestRunDefaults shows what the zero Options are.
func TestRunDefaults(t *testing.T) {
	rows, err := Run(t.Context(), collection(1, 7, 22, separable), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var presses []int
	for _, r := range rows {
		presses = append(presses, r.Presses)
		if held := min(20, 22-r.Presses); r.Episodes != 60 || r.Questions != 60*5*held {
			t.Errorf("%d presses: %d episodes, %d questions, want 60 and %d", r.Presses, r.Episodes, r.Questions, 60*5*held)
		}
	}
	if diff := cmp.Diff([]int{1, 3, 5, 10, 20}, presses); diff != "" {
		t.Errorf("presses (-want +got):\n%s", diff)
	}
}

func TestRunRefuses(t *testing.T) {
	const want = "pictures: too few of them (want at least two classes with 4 each)"
	for name, pictures := range map[string][]Picture{
		"none":      nil,
		"one class": collection(1, 1, 50, uninformed),
		"too few":   collection(3, 5, 3, uninformed),
	} {
		if _, err := Run(t.Context(), pictures, Options{Presses: []int{5, 3}}); !errors.Is(err, ErrPictures) || err.Error() != want {
			t.Errorf("%s: error %v, want %s", name, err, want)
		}
	}
	if _, err := Run(t.Context(), nil, Options{Presses: []int{}}); !errors.Is(err, ErrPictures) {
		t.Errorf("an empty list of presses: error %v, want %v", err, ErrPictures)
	}
	mixed := collection(1, 2, 4, uninformed)
	mixed[0].Q = mixed[0].Q[:10]
	if _, err := Run(t.Context(), mixed, Options{Presses: []int{3}, Episodes: 20}); !errors.Is(err, head.ErrExamples) {
		t.Errorf("embeddings of unequal length: error %v, want %v", err, head.ErrExamples)
	}
}

const tolerance = 1e-12

func TestMeanInterval(t *testing.T) {
	for _, c := range []struct {
		v          []float64
		mean, half float64
	}{
		{[]float64{0.7}, 0.7, 0},
		{[]float64{0.5, 0.5, 0.5}, 0.5, 0},
		{[]float64{0, 1}, 0.5, 1.96 * 0.5},                            // variance 1/2, of the mean 1/4
		{[]float64{1, 2, 3, 4}, 2.5, 1.96 * math.Sqrt(5.0/3.0/4.0)},   // squares 2.25 + 0.25 + 0.25 + 2.25
		{[]float64{-1, 0, 1, 0, 0}, 0, 1.96 * math.Sqrt(2.0/4.0/5.0)}, // squares 1 + 1
	} {
		if mean, half := MeanInterval(c.v); math.Abs(mean-c.mean) > tolerance || math.Abs(half-c.half) > tolerance {
			t.Errorf("%v: %v ± %v, want %v ± %v", c.v, mean, half, c.mean, c.half)
		}
	}
}

func TestCalibration(t *testing.T) {
	for _, c := range []struct {
		name       string
		confidence []float64
		right      []bool
		want       float64
	}{
		{"sure and right", []float64{1, 1}, []bool{true, true}, 0},
		{"sure and wrong", []float64{1, 1}, []bool{false, false}, 1},
		{"half sure, half right", []float64{0.5, 0.5}, []bool{true, false}, 0},
		{"two bins", []float64{1, 0.95, 0.55}, []bool{true, false, true}, (0.95 + 0.45) / 3},
		{"neighbours in one bin", []float64{0.31, 0.39}, []bool{true, false}, 0.3 / 2},
		{"neighbours in two bins", []float64{0.29, 0.31}, []bool{true, false}, (0.71 + 0.31) / 2},
	} {
		if got := calibration(c.confidence, c.right); math.Abs(got-c.want) > tolerance {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestSum(t *testing.T) {
	none := math.NaN()
	e := Episode{Set: "desk", Presses: 3}
	half := 0.5
	got := Sum([]Result{
		{Episode: e, Accuracy: 1, Accepted: 0.5, Near: 0.25, Far: none, Confidence: []float64{1, 0.75}, Right: []bool{true, true}},
		{Episode: e, Accuracy: 0.5, Accepted: 1, Near: 0.75, Far: none, Confidence: []float64{0.75, 1}, Right: []bool{false, true}},
	})
	want := Row{
		Set: "desk", Presses: 3, Episodes: 2, Questions: 4,
		Accuracy: 0.75, Interval: 1.96 * 0.25, Accepted: 0.75, Near: &half,
		Calibration: 0.5 / 4, // two answers of 0.75, one of them right
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

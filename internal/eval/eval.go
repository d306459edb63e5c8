// Package eval measures how well the head learns from few pictures: it draws
// episodes from folders of photographs, teaches a head a few presses of some
// classes, and asks it about other pictures.
package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"teachbox/inference/head"
)

// ErrPictures is wrapped by the errors about what there is to measure with.
var ErrPictures = errors.New("pictures")

// A Picture is one photograph and its embedding.
type Picture struct {
	Set, Class, Path string
	Q                []uint8
}

// Options says which episodes to draw.
type Options struct {
	Classes  int    // taught in an episode, if the set has so many; 0 is 5
	Presses  []int  // one table row each; none is 1, 3, 5, 10, 20
	Episodes int    // for each row; 0 is 60
	Held     int    // pictures held out to ask about, for each class at most; 0 is 20
	Seed     uint64 // of the draw
}

// An Episode is one lesson and the questions about it, as indices of pictures.
// Every taught picture is a press of its own.
type Episode struct {
	Set         string `json:"set"`
	Presses     int    `json:"presses"` // for each class
	Number      int    `json:"episode"`
	Taught      []int  `json:"taught"`
	TaughtClass []int  `json:"taught_class"`
	Tested      []int  `json:"tested"`
	TestedClass []int  `json:"tested_class"`
	near, far   []int
}

// A Result is what came out of one episode.
type Result struct {
	Episode    Episode
	Accuracy   float64   // share of questions whose winner was right
	Accepted   float64   // share of questions that were not called unknown
	Near, Far  float64   // share of pictures of untaught classes, and of other sets, not called unknown; NaN if there are none
	Confidence []float64 // probability of the winner, question by question
	Right      []bool    // question by question
}

// A Row sums up the episodes of one set with one number of presses. Shares are
// 0 to 1; intervals are half the width of the 95 % confidence interval of the
// mean over episodes.
type Row struct {
	Set         string   `json:"set"`
	Presses     int      `json:"presses"`
	Episodes    int      `json:"episodes"`
	Questions   int      `json:"questions"`
	Accuracy    float64  `json:"accuracy"`
	Interval    float64  `json:"accuracy_interval"`
	Calibration float64  `json:"calibration_error"` // over ten bins of the winner's probability
	Accepted    float64  `json:"true_accept"`
	Near        *float64 `json:"near_accepted"` // null: no untaught class in the set
	Far         *float64 `json:"far_accepted"`  // null: no other set
}

// Run draws episodes from the pictures, set by set, and returns a row for each
// set and number of presses for which the set has pictures enough. The error
// wraps ErrPictures if there is none, or is that of ctx.
func Run(ctx context.Context, pictures []Picture, o Options) ([]Row, error) {
	if o.Classes == 0 {
		o.Classes = 5
	}
	if len(o.Presses) == 0 {
		o.Presses = []int{1, 3, 5, 10, 20}
	}
	if o.Episodes == 0 {
		o.Episodes = 60
	}
	if o.Held == 0 {
		o.Held = 20
	}
	var rows []Row
	for _, set := range setsOf(pictures) {
		for _, presses := range o.Presses {
			var results []Result
			for n := range o.Episodes {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				e, ok := draw(pictures, set, presses, n, o)
				if !ok {
					break
				}
				r, err := e.Run(pictures)
				if err != nil {
					return nil, err
				}
				results = append(results, r)
			}
			if len(results) > 0 {
				rows = append(rows, Sum(results))
			}
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: too few of them (want at least two classes with %d each)", ErrPictures, slices.Min(o.Presses)+1)
	}
	return rows, nil
}

func setsOf(pictures []Picture) []string {
	var sets []string
	for _, p := range pictures {
		if !slices.Contains(sets, p.Set) {
			sets = append(sets, p.Set)
		}
	}
	return sets
}

// draw makes one episode. It reports false if the set has no two classes with
// more pictures than presses.
func draw(pictures []Picture, set string, presses, number int, o Options) (Episode, bool) {
	rng := rand.New(rand.NewPCG(o.Seed, uint64(1000*presses+number)))
	e := Episode{Set: set, Presses: presses, Number: number}
	byClass := make(map[string][]int)
	var classes []string
	others := 0
	for i, p := range pictures {
		if p.Set != set {
			if others++; others%10 == 1 {
				e.far = append(e.far, i)
			}
			continue
		}
		if byClass[p.Class] == nil {
			classes = append(classes, p.Class)
		}
		byClass[p.Class] = append(byClass[p.Class], i)
	}
	enough := slices.DeleteFunc(slices.Clone(classes), func(c string) bool { return len(byClass[c]) <= presses })
	if len(enough) < 2 {
		return e, false
	}
	rng.Shuffle(len(enough), func(i, j int) { enough[i], enough[j] = enough[j], enough[i] })
	taught := enough[:min(o.Classes, len(enough))]
	for label, c := range taught {
		rows := slices.Clone(byClass[c])
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		held := rows[presses:min(len(rows), presses+o.Held)]
		e.Taught = append(e.Taught, rows[:presses]...)
		e.TaughtClass = append(e.TaughtClass, slices.Repeat([]int{label}, presses)...)
		e.Tested = append(e.Tested, held...)
		e.TestedClass = append(e.TestedClass, slices.Repeat([]int{label}, len(held))...)
	}
	for _, c := range classes {
		if !slices.Contains(taught, c) {
			e.near = append(e.near, byClass[c]...)
		}
	}
	return e, true
}

// Teach fits the head of the episode.
func (e *Episode) Teach(pictures []Picture) (*head.Head, error) {
	examples := make([]head.Example, len(e.Taught))
	for i, row := range e.Taught {
		examples[i] = head.Example{ID: int64(row), X: pictures[row].Q, Class: e.TaughtClass[i], Press: i}
	}
	var f head.Fitter
	return f.Fit(head.Params{Classes: 1 + slices.Max(e.TaughtClass), Nothing: head.None}, examples)
}

// Run teaches and asks.
func (e *Episode) Run(pictures []Picture) (Result, error) {
	h, err := e.Teach(pictures)
	if err != nil {
		return Result{}, fmt.Errorf("%s, %d presses, episode %d: %w", e.Set, e.Presses, e.Number, err)
	}
	r := Result{Episode: *e}
	var a head.Answer
	for i, row := range e.Tested {
		h.Ask(pictures[row].Q, &a)
		right := a.Winner == e.TestedClass[i]
		r.Right = append(r.Right, right)
		r.Confidence = append(r.Confidence, a.P[a.Winner])
		if right {
			r.Accuracy++
		}
		if a.Verdict != head.None {
			r.Accepted++
		}
	}
	r.Accuracy /= float64(len(e.Tested))
	r.Accepted /= float64(len(e.Tested))
	r.Near, r.Far = accepted(h, pictures, e.near), accepted(h, pictures, e.far)
	return r, nil
}

// accepted is the share of pictures that are not called unknown.
func accepted(h *head.Head, pictures []Picture, rows []int) float64 {
	var a head.Answer
	n := 0
	for _, row := range rows {
		h.Ask(pictures[row].Q, &a)
		if a.Verdict != head.None {
			n++
		}
	}
	return float64(n) / float64(len(rows))
}

// Sum sums up the results of one set and number of presses.
func Sum(results []Result) Row {
	first := results[0].Episode
	row := Row{Set: first.Set, Presses: first.Presses, Episodes: len(results)}
	var accuracy, accept, near, far []float64
	var confidence []float64
	var right []bool
	for _, r := range results {
		row.Questions += len(r.Right)
		accuracy, accept = append(accuracy, r.Accuracy), append(accept, r.Accepted)
		near, far = append(near, r.Near), append(far, r.Far)
		confidence, right = append(confidence, r.Confidence...), append(right, r.Right...)
	}
	row.Accuracy, row.Interval = MeanInterval(accuracy)
	row.Accepted, _ = MeanInterval(accept)
	row.Calibration = calibration(confidence, right)
	if m, _ := MeanInterval(near); !math.IsNaN(m) {
		row.Near = &m
	}
	if m, _ := MeanInterval(far); !math.IsNaN(m) {
		row.Far = &m
	}
	return row
}

// MeanInterval is the mean of v and half the width of its 95 % confidence
// interval under the normal approximation; 0 for a single value.
func MeanInterval(v []float64) (mean, half float64) {
	for _, x := range v {
		mean += x
	}
	n := float64(len(v))
	mean /= n
	if len(v) < 2 {
		return mean, 0
	}
	square := 0.0
	for _, x := range v {
		square += (x - mean) * (x - mean)
	}
	return mean, 1.96 * math.Sqrt(square/(n-1)/n)
}

// calibration is the expected calibration error over ten bins of equal width
// (Guo et al. 2017): how far, on average, the share of right answers is from
// the probability that was given.
func calibration(confidence []float64, right []bool) float64 {
	const bins = 10
	var n, sum, hits [bins]float64
	for i, c := range confidence {
		b := min(int(c*bins), bins-1)
		n[b]++
		sum[b] += c
		if right[i] {
			hits[b]++
		}
	}
	e := 0.0
	for b := range bins {
		e += math.Abs(sum[b] - hits[b])
	}
	return e / float64(len(confidence))
}

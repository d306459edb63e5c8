package eval

import (
	"errors"
	"fmt"
	"slices"
)

// A Recorded is an episode with the answers that another program gave, question
// by question.
type Recorded struct {
	Episode
	Winner []int `json:"winner"`
}

// A Comparison is one set and number of presses of a replay. Shares are 0 to 1;
// the interval is half the width of the 95 % confidence interval of the mean
// difference over episodes.
type Comparison struct {
	Set        string  `json:"set"`
	Presses    int     `json:"presses"`
	Episodes   int     `json:"episodes"`
	Accuracy   float64 `json:"accuracy"`
	Reference  float64 `json:"reference_accuracy"`
	Difference float64 `json:"difference"` // mean of ours less theirs, pair by pair
	Interval   float64 `json:"difference_interval"`
}

// Replay runs recorded episodes on the pictures, whose indices they use, and
// compares the accuracy with that of the recorded answers. The last row, with
// an empty set, sums up all of them.
func Replay(pictures []Picture, episodes []Recorded) ([]Comparison, error) {
	if len(episodes) == 0 {
		return nil, errors.New("no episodes")
	}
	type key struct {
		set     string
		presses int
	}
	var order []key
	ours, theirs := make(map[key][]float64), make(map[key][]float64)
	for _, e := range episodes {
		if err := e.check(len(pictures)); err != nil {
			return nil, err
		}
		r, err := e.Run(pictures)
		if err != nil {
			return nil, err
		}
		right := 0.0
		for i, w := range e.Winner {
			if w == e.TestedClass[i] {
				right++
			}
		}
		k := key{e.Set, e.Presses}
		if ours[k] == nil {
			order = append(order, k)
		}
		for _, k := range []key{k, {}} {
			ours[k] = append(ours[k], r.Accuracy)
			theirs[k] = append(theirs[k], right/float64(len(e.Winner)))
		}
	}
	var rows []Comparison
	for _, k := range append(order, key{}) {
		row := Comparison{Set: k.set, Presses: k.presses, Episodes: len(ours[k])}
		row.Accuracy, _ = MeanInterval(ours[k])
		row.Reference, _ = MeanInterval(theirs[k])
		difference := slices.Clone(ours[k])
		for i, v := range theirs[k] {
			difference[i] -= v
		}
		row.Difference, row.Interval = MeanInterval(difference)
		rows = append(rows, row)
	}
	return rows, nil
}

// check holds a recorded episode to what Run relies on.
func (e *Recorded) check(pictures int) error {
	bad := func(what string) error {
		return fmt.Errorf("episode %s %d %d: %s", e.Set, e.Presses, e.Number, what)
	}
	if len(e.Taught) == 0 || len(e.Taught) != len(e.TaughtClass) || len(e.Tested) == 0 ||
		len(e.Tested) != len(e.TestedClass) || len(e.Tested) != len(e.Winner) {
		return bad("its lists do not have equal lengths, or are empty")
	}
	for _, row := range slices.Concat(e.Taught, e.Tested) {
		if row < 0 || row >= pictures {
			return bad(fmt.Sprintf("row %d (there are %d)", row, pictures))
		}
	}
	if slices.Min(e.TaughtClass) < 0 || slices.Max(e.TaughtClass) >= len(e.Taught) {
		return bad("a class out of range")
	}
	return nil
}

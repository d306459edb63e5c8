package head

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"teachbox/internal/benchdata"
)

// TestEpisodes holds the head to 400 few-shot episodes on real photographs:
// every winner and every verdict of the reference program.
func TestEpisodes(t *testing.T) {
	dir, ok := benchdata.Path(t, "knowledge/golden")
	if !ok {
		return // the test vectors above hold the same rule
	}
	rows, err := os.ReadFile(filepath.Join(dir, "embeddings.bin"))
	if err != nil {
		t.Fatal(err)
	}
	const dim = 1024
	row := func(i int) []byte { return rows[i*dim : (i+1)*dim] }
	b, err := os.ReadFile(filepath.Join(dir, "episodes.json"))
	if err != nil {
		t.Fatal(err)
	}
	var episodes []struct {
		Set                string
		Presses, Episode   int
		Taught             []int
		TaughtClass        []int `json:"taught_class"`
		Tested             []int
		Winner, Verdict    []int
		Theta, Temperature float64
	}
	if err := json.Unmarshal(b, &episodes); err != nil {
		t.Fatal(err)
	}
	asked, ties := 0, 0
	for _, e := range episodes {
		examples := make([]Example, len(e.Taught))
		for i, r := range e.Taught {
			examples[i] = Example{ID: int64(r), X: row(r), Class: e.TaughtClass[i], Press: i}
		}
		var f Fitter
		h, err := f.Fit(Params{Classes: 5, Nothing: None}, examples)
		if err != nil {
			t.Fatal(err)
		}
		if r := h.Report(); math.Abs(r.Theta-e.Theta) > tolerance || math.Abs(r.Temperature-e.Temperature) > tolerance {
			t.Errorf("%s %d %d: theta %v temperature %v, want %v and %v", e.Set, e.Presses, e.Episode, r.Theta, r.Temperature, e.Theta, e.Temperature)
		}
		var a Answer
		for i, r := range e.Tested {
			h.Ask(row(r), &a)
			asked++
			if a.Winner == e.Winner[i] && a.Verdict == e.Verdict[i] {
				continue
			}
			if gap := math.Abs(a.Score[a.Winner] - a.Score[e.Winner[i]]); a.Winner != e.Winner[i] && gap < 1e-9 {
				ties++
				continue
			}
			t.Errorf("%s %d %d row %d: winner %d verdict %d, want %d and %d", e.Set, e.Presses, e.Episode, r, a.Winner, a.Verdict, e.Winner[i], e.Verdict[i])
		}
	}
	if len(episodes) != 400 || asked < 30000 {
		t.Errorf("%d episodes with %d questions, want 400 and more than 30000", len(episodes), asked)
	}
	t.Logf("%d episodes, %d questions, %d ties", len(episodes), asked, ties)
}

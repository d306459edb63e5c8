package eval

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"teachbox/internal/benchdata"
)

// recorded draws an episode of two classes and answers it rightly.
func recorded(t *testing.T, pictures []Picture, set string, presses, number int) Recorded {
	t.Helper()
	e, ok := draw(pictures, set, presses, number, Options{Classes: 2, Held: 4})
	if !ok {
		t.Fatal("no episode")
	}
	return Recorded{Episode: e, Winner: slices.Clone(e.TestedClass)}
}

// TestReplay has the reference err where the head does not, by known amounts.
func TestReplay(t *testing.T) {
	pictures := collection(2, 3, 8, separable)
	a := recorded(t, pictures, "set 0", 1, 0)
	b := recorded(t, pictures, "set 0", 1, 1)
	c := recorded(t, pictures, "set 1", 2, 0)
	b.Winner[0] = 1 - b.Winner[0]
	b.Winner[5] = 7 // no class at all
	for i := range c.Winner {
		c.Winner[i] = -1
	}
	got, err := Replay(pictures, []Recorded{a, b, c})
	if err != nil {
		t.Fatal(err)
	}
	want := []Comparison{
		{Set: "set 0", Presses: 1, Episodes: 2, Accuracy: 1, Reference: 0.875, Difference: 0.125, Interval: 1.96 * 0.125},
		{Set: "set 1", Presses: 2, Episodes: 1, Accuracy: 1, Reference: 0, Difference: 1},
		// Differences 0, 1/4 and 1: squares 25/144 + 1/36 + 49/144.
		{Episodes: 3, Accuracy: 1, Reference: 1.75 / 3, Difference: 1.25 / 3, Interval: 1.96 * math.Sqrt(78.0/144.0/2.0/3.0)},
	}
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < tolerance })
	if diff := cmp.Diff(want, got, near); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestReplayRefuses(t *testing.T) {
	pictures := collection(1, 3, 8, separable)
	for _, c := range []struct {
		name   string
		damage func(*Recorded)
		want   string
	}{
		{"nothing taught", func(r *Recorded) { r.Taught, r.TaughtClass = nil, nil }, "lists"},
		{"nothing tested", func(r *Recorded) { r.Tested, r.TestedClass, r.Winner = nil, nil, nil }, "lists"},
		{"a taught class is missing", func(r *Recorded) { r.TaughtClass = r.TaughtClass[1:] }, "lists"},
		{"a tested class is missing", func(r *Recorded) { r.TestedClass = r.TestedClass[1:] }, "lists"},
		{"a winner is missing", func(r *Recorded) { r.Winner = r.Winner[1:] }, "lists"},
		{"a winner too many", func(r *Recorded) { r.Winner = append(r.Winner, 0) }, "lists"},
		{"taught row before the first", func(r *Recorded) { r.Taught[0] = -1 }, "row -1 (there are 24)"},
		{"tested row after the last", func(r *Recorded) { r.Tested[3] = 24 }, "row 24 (there are 24)"},
		{"negative class", func(r *Recorded) { r.TaughtClass[0] = -1 }, "a class out of range"},
		{"huge class", func(r *Recorded) { r.TaughtClass[0] = 1 << 40 }, "a class out of range"},
		{"a class without an example", func(r *Recorded) { r.TaughtClass = []int{0, 0, 2, 2} }, "episode 3"},
		{"a row taught twice", func(r *Recorded) { r.Taught[1] = r.Taught[0] }, "episode 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			good, bad := recorded(t, pictures, "set 0", 2, 1), recorded(t, pictures, "set 0", 2, 3)
			c.damage(&bad)
			rows, err := Replay(pictures, []Recorded{good, bad})
			if rows != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "set 0") {
				t.Errorf("%v, error %v, want one of set 0 about %q", rows, err, c.want)
			}
		})
	}
	if rows, err := Replay(pictures, nil); err == nil {
		t.Errorf("no episodes: %v", rows)
	}
}

// FuzzReplay holds that no file of episodes makes Replay panic.
func FuzzReplay(f *testing.F) {
	f.Add(`[{"set":"a","presses":1,"episode":0,"taught":[0,4],"taught_class":[0,1],"tested":[1,5],"tested_class":[0,1],"winner":[0,1]}]`)
	f.Add(`[{"taught":[0,4],"taught_class":[0,9],"tested":[1],"tested_class":[0],"winner":[-1]}]`)
	f.Add(`[{}]`)
	f.Add(`[]`)
	pictures := collection(1, 2, 4, separable)
	f.Fuzz(func(t *testing.T, file string) {
		var episodes []Recorded
		if json.Unmarshal([]byte(file), &episodes) != nil {
			return
		}
		rows, err := Replay(pictures, episodes)
		if (err == nil) != (len(rows) > 0) {
			t.Errorf("%d rows, error %v", len(rows), err)
		}
	})
}

// TestReplayReference replays the reference program's episodes on its own
// embeddings: the two must agree on every answer. Where they are absent, a
// head's own answers are recorded and replayed, which tests the bookkeeping.
func TestReplayReference(t *testing.T) {
	var pictures []Picture
	var episodes []Recorded
	if dir, ok := benchdata.Path(t, "knowledge/golden"); ok {
		rows, err := os.ReadFile(filepath.Join(dir, "embeddings.bin"))
		if err != nil {
			t.Fatal(err)
		}
		for ; len(rows) > 0; rows = rows[1024:] {
			pictures = append(pictures, Picture{Q: rows[:1024]})
		}
		b, err := os.ReadFile(filepath.Join(dir, "episodes.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &episodes); err != nil {
			t.Fatal(err)
		}
		if testing.Short() { // episodes 0 and 10 of each row
			episodes = slices.DeleteFunc(episodes, func(e Recorded) bool { return e.Number%10 != 0 })
		}
	} else {
		pictures = collection(1, 5, 20, uninformed)
		for n := range 20 {
			e := recorded(t, pictures, "set 0", 3, n)
			r, err := e.Run(pictures)
			if err != nil {
				t.Fatal(err)
			}
			for i, right := range r.Right {
				if !right {
					e.Winner[i] = 1 - e.Winner[i]
				}
			}
			episodes = append(episodes, e)
		}
	}
	rows, err := Replay(pictures, episodes)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Difference != 0 || r.Interval != 0 || r.Accuracy != r.Reference || r.Accuracy <= 0 || r.Accuracy > 1 {
			t.Errorf("%+v, want no difference", r)
		}
	}
	if all := rows[len(rows)-1]; all.Set != "" || all.Episodes != len(episodes) || len(rows) < 2 {
		t.Errorf("last row of %d: %+v, want the sum of %d episodes", len(rows), all, len(episodes))
	}
	t.Logf("%d episodes in %d rows, accuracy %.4f", len(episodes), len(rows)-1, rows[len(rows)-1].Accuracy)
}

package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"teachbox/inference"
	"teachbox/internal/api"
	"teachbox/internal/lesson"
)

var kills = flag.Int("kills", 100, "how often TestKill kills the box")

// killsPerLesson bounds how long one lesson grows.
const killsPerLesson = 10

// killScript teaches without end: bursts on four buttons at once, taps of
// nothing, and presses taken back.
const killScript = `
repeat 1000 {
	clear
	tap nothing
	show ball
	hold 1
	show cup
	hold 2
	show leaf
	hold 3
	show star
	hold 4
	wait 700ms
	release 1
	release 2
	release 3
	release 4
	wait 50ms
	hold nothing
	wait 30ms
	tap 2
	wait 150ms
	release nothing
}
`

// TestKill kills the program with SIGKILL at random moments of a lesson, a
// hundred times. Whatever wink was seen, its frame is in the lesson afterwards,
// unless it was taken back with a wink; and the head that answers after the
// restart is the one that the file says, and the one that answered before if
// nothing was kept since.
//
// The kernel survives a SIGKILL, and so does what was written but not synced:
// this shows that nothing is acknowledged too early, not that the disk keeps
// its word.
func TestKill(t *testing.T) {
	rounds := *kills
	if testing.Short() {
		rounds = min(rounds, 5)
	}
	tiny := tinyModel(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "config.toml")
	script := filepath.Join(dir, "script.txt")
	text := fmt.Sprintf("[model]\nsource = %q\n[lesson]\nskip_similar = false\n[box]\nrate = 60\n", tiny)
	for path, text := range map[string]string{config: text, script: killScript} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	space := spaceOf(t, tiny)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	var total, unchanged int
	var state, digest string
	acknowledged := make(map[int64]string)
	for round := range rounds {
		if round%killsPerLesson == 0 {
			state = filepath.Join(dir, "state"+strconv.Itoa(round))
			clear(acknowledged)
			digest = ""
		}
		before := len(acknowledged)
		life := startLife(t, config, script, state)
		life.follow(rng, acknowledged)
		if digest != "" && life.first != "" && life.first != digest {
			t.Fatalf("round %d: the box answers with %s after the restart, the file says %s", round, life.first, digest)
		}
		total += len(acknowledged) - before

		// The program's own way of opening comes first: it has to bring back
		// what the log holds.
		var frames int
		digest, frames = foldOf(t, state, space)
		stored := storedExamples(t, state)
		for seq, id := range acknowledged {
			if stored[seq] != id {
				t.Fatalf("round %d: example %d %s winked and is lost (on file: %q)", round, seq, id, stored[seq])
			}
		}
		if frames == life.frames && life.quiet {
			unchanged++
			if digest != life.last {
				t.Fatalf("round %d: %d frames fold to %s, before the kill to %s", round, frames, digest, life.last)
			}
		}
	}
	t.Logf("%d kills, %d winks seen, none lost; in %d rounds nothing was kept between the last fold and the kill", rounds, total, unchanged)
	if total < rounds {
		t.Errorf("only %d winks in %d rounds", total, rounds)
	}
}

// A life is one run of the program, up to its violent end.
type life struct {
	t      *testing.T
	kill   func()
	out    io.Reader
	first  string // digest of the first fold, unless a frame was kept before it
	last   string // digest of the last fold
	frames int    // in it
	quiet  bool   // nothing was kept or taken back since
}

func startLife(t *testing.T, config, script, state string) *life {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cmd := program(ctx, t, "--config", config, "run", "--sim", "--state", state, "--script", script, "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &life{t: t, out: out}
	l.kill = func() { _ = cmd.Process.Kill() } // SIGKILL
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("the box said: %s", stderr.String())
		}
	})
	return l
}

// follow reads the box's events and kills it a random time after the first
// wink. Every wink that was printed by then counts as seen.
func (l *life) follow(rng *rand.Rand, acknowledged map[int64]string) {
	begun := false
	s := bufio.NewScanner(l.out)
	for s.Scan() {
		var e api.Event
		if json.Unmarshal(s.Bytes(), &e) != nil {
			continue // the line that the kill cut in two
		}
		switch e.Event {
		case "kept":
			acknowledged[e.Seq] = e.Example
			l.quiet = false
			if !begun {
				begun = true
				time.AfterFunc(time.Duration(rng.Int64N(int64(600*time.Millisecond))), l.kill)
			}
		case "taken back":
			l.quiet = false
		case "learned":
			l.last, l.frames, l.quiet = e.Digest, e.Frames, true
			if l.first == "" && !begun {
				l.first = e.Digest
			}
		}
	}
	if !begun {
		l.t.Fatal("the box ended before it kept anything")
	}
}

// storedExamples reads the file behind the program's back.
func storedExamples(t *testing.T, state string) map[int64]string {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(state, lessonFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT seq, id FROM example`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	stored := make(map[int64]string)
	for rows.Next() {
		var seq int64
		var id string
		if err := rows.Scan(&seq, &id); err != nil {
			t.Fatal(err)
		}
		stored[seq] = id
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return stored
}

// foldOf folds the lesson afresh.
func foldOf(t *testing.T, state string, space inference.Space) (digest string, frames int) {
	t.Helper()
	store, err := lesson.Open(lesson.Options{Path: filepath.Join(state, lessonFile)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	f, err := store.Fold(space)
	if err != nil {
		t.Fatal(err)
	}
	return f.Digest, f.Frames
}

// spaceOf is the embedding space of a model with the default camera.
func spaceOf(t *testing.T, model string) inference.Space {
	t.Helper()
	cfg := simulated(t)
	cfg.Model.Source = model
	e, err := openEmbedder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	return e.Space()
}

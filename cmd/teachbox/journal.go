package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"teachbox/internal/box"
)

// A line is one event as `run --json` prints it. Each has "event" and "at", and
// beside them:
//
//	verdict     slot: the LED that is lit from now on, 0 for none
//	kept        button, press, example, seq: an example is safe on the disk
//	skipped     button, press: a picture nearly identical to the last one kept
//	taken back  button: its last press
//	forgotten   button: its class
//	new lesson  the old one was put away
//	restored    the last lesson was brought back
//	refused     button, press if it was one, error: nothing was done
//	health      part, error: it has failed; without an error it is well again
//	learned     frames, digest: a new head answers from now on
//	gap         lost: so many events were left out, the reader was too slow
//
// A button is "class 1" to "class 8" or "nothing". A part is what a problem is
// called: "camera", "storage", "button 2". Presses are counted from the start of
// the program.
type line struct {
	Event   string    `json:"event"`
	At      time.Time `json:"at"`
	Button  string    `json:"button,omitempty"`
	Press   int       `json:"press,omitempty"`
	Example string    `json:"example,omitempty"`
	Seq     int64     `json:"seq,omitempty"`
	Slot    *int      `json:"slot,omitempty"` // told even if it is 0
	Part    string    `json:"part,omitempty"`
	Error   string    `json:"error,omitempty"`
	Frames  int       `json:"frames,omitempty"`
	Digest  string    `json:"digest,omitempty"`
	Lost    int       `json:"lost,omitempty"`
}

// A journal prints events as lines of JSON. The box never waits for it: what
// the reader does not take in time is counted and left out.
type journal struct {
	events chan box.Event
	done   sync.WaitGroup

	mu   sync.Mutex
	lost int
}

// journalLength is how many events may wait for a slow reader.
const journalLength = 4096

func newJournal(w io.Writer) *journal {
	j := &journal{events: make(chan box.Event, journalLength)}
	j.done.Go(func() {
		e := json.NewEncoder(w)
		for ev := range j.events {
			if lost := j.takeLost(); lost > 0 {
				_ = e.Encode(line{Event: "gap", At: ev.At, Lost: lost})
			}
			// A reader that went away is no reason to stop the box.
			_ = e.Encode(lineOf(ev))
		}
	})
	return j
}

func (j *journal) observe(e box.Event) {
	if e.Kind == box.Looked {
		return
	}
	select {
	case j.events <- e:
	default:
		j.mu.Lock()
		j.lost++
		j.mu.Unlock()
	}
}

func (j *journal) takeLost() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	lost := j.lost
	j.lost = 0
	return lost
}

// close prints what is left. Nothing may be observed afterwards.
func (j *journal) close() {
	close(j.events)
	j.done.Wait()
}

func lineOf(e box.Event) line {
	l := line{Event: e.Kind.String(), At: e.At, Press: e.Press, Part: e.Part}
	switch e.Kind {
	case box.VerdictChanged:
		slot := 0
		if e.Known {
			slot = int(e.Button) + 1
		}
		l.Slot = &slot
	case box.Learned:
		if e.Fold != nil {
			l.Frames, l.Digest = e.Fold.Frames, e.Fold.Digest
		}
	case box.HealthChanged, box.NewLesson, box.Restored:
	default:
		l.Button = e.Button.String()
	}
	if e.Kind == box.Kept {
		l.Example, l.Seq = e.Example.ID, e.Example.Seq
	}
	if e.Err != nil {
		l.Error = e.Err.Error()
	}
	return l
}

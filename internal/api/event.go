package api

import (
	"time"

	"teachbox/internal/box"
)

// An Event is something that happened, as one line of JSON. Each has "event" and
// "at", and beside them:
//
//	verdict     slot: the LED that is lit from now on, 0 for none
//	kept        button, press, example, seq: an example is safe on the disk
//	skipped     button, press: a picture nearly identical to the last one kept
//	taken back  button: its last press
//	forgotten   button: its class
//	new lesson  the old one was put away
//	restored    the last lesson was brought back
//	edited      step: the lesson was changed by a command
//	locked      teaching is, from now on
//	unlocked    teaching is allowed again
//	refused     button, press if it was one, error: nothing was done
//	health      part, error: it has failed; without an error it is well again
//	learned     frames, digest: a new head answers from now on
//	gap         lost: so many events were left out, the reader was too slow; 0 if
//	            it is not known how many
//
// A button is "class 1" to "class 8" or "nothing". A part is what a problem is
// called: "camera", "storage", "button 2". Presses are counted from the start of
// the program.
type Event struct {
	Number  uint64    `json:"number,omitempty"` // counts from 1 in a run; a gap has none
	Event   string    `json:"event"`
	At      time.Time `json:"at"`
	Button  string    `json:"button,omitempty"`
	Press   int       `json:"press,omitempty"`
	Example string    `json:"example,omitempty"` // id
	Seq     int64     `json:"seq,omitempty"`
	Slot    *int      `json:"slot,omitempty"` // counts from 1; told even if it is 0
	Step    *Step     `json:"step,omitempty"`
	Part    string    `json:"part,omitempty"`
	Error   string    `json:"error,omitempty"`
	Frames  int       `json:"frames,omitempty"`
	Digest  string    `json:"digest,omitempty"`
	Lost    *uint64   `json:"lost,omitempty"` // told even if it is 0
}

// EventOf tells an event of the box. It has no number.
func EventOf(e box.Event) Event {
	w := Event{Event: e.Kind.String(), At: e.At, Press: e.Press, Part: e.Part}
	switch e.Kind {
	case box.VerdictChanged:
		slot := 0
		if e.Known {
			slot = int(e.Button) + 1
		}
		w.Slot = &slot
	case box.Learned:
		if e.Fold != nil {
			w.Frames, w.Digest = e.Fold.Frames, e.Fold.Digest
		}
	case box.Edited:
		w.Step = new(stepOf(e.Step))
	case box.Kept:
		w.Button, w.Example, w.Seq = e.Button.String(), e.Example.ID, e.Example.Seq
	case box.Skipped, box.TakenBack, box.Forgotten, box.Refused:
		w.Button = e.Button.String()
	}
	if e.Err != nil {
		w.Error = e.Err.Error()
	}
	return w
}

// Gap is the event that stands where others were left out.
func Gap(at time.Time, lost uint64) Event {
	return Event{Event: "gap", At: at, Lost: &lost}
}

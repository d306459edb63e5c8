package main

import (
	"encoding/json"
	"io"
	"sync"

	"teachbox/internal/api"
	"teachbox/internal/box"
)

// A journal prints events as lines of JSON, see api.Event, with the numbers that
// they have on the control socket. The box never waits for it: what the reader
// does not take in time is left out.
type journal struct {
	number uint64 // of the last event
	events chan numbered
	done   sync.WaitGroup
}

type numbered struct {
	box.Event
	number uint64
}

// journalLength is how many events may wait for a slow reader.
const journalLength = 4096

func newJournal(w io.Writer) *journal {
	j := &journal{events: make(chan numbered, journalLength)}
	j.done.Go(func() {
		e := json.NewEncoder(w)
		last := uint64(0)
		for ev := range j.events {
			if lost := ev.number - last - 1; lost > 0 {
				_ = e.Encode(api.Gap(ev.At, lost))
			}
			last = ev.number
			line := api.EventOf(ev.Event)
			line.Number = ev.number
			// A reader that went away is no reason to stop the box.
			_ = e.Encode(line)
		}
	})
	return j
}

// observe takes an event. It is called from one goroutine and does not wait.
func (j *journal) observe(e box.Event) {
	if e.Kind == box.Looked {
		return
	}
	j.number++
	select {
	case j.events <- numbered{e, j.number}:
	default:
	}
}

// close prints what is left. Nothing may be observed afterwards.
func (j *journal) close() {
	close(j.events)
	j.done.Wait()
}

package box

import (
	"fmt"
	"time"

	"teachbox/device"
	"teachbox/internal/lesson"
)

// An EventKind says what an Event tells.
type EventKind uint8

// The kinds of event.
const (
	Looked         EventKind = iota + 1 // a frame was seen; the snapshot is that of the frame
	VerdictChanged                      // Known: Button's LED is lit from now on; otherwise all are dark
	Kept                                // Example of Button is durable, and its LED winks
	Skipped                             // a frame nearly identical to the last one kept; the LED ticks
	TakenBack                           // the last press of Button
	Forgotten                           // the class of Button
	NewLesson                           // the lesson was put away
	Restored                            // the last lesson was brought back
	Refused                             // Err says why nothing was done; once for each press
	HealthChanged                       // Part has failed with Err, or is well again
	Learned                             // a new head answers from now on
	Edited                              // Step was done to the lesson by a command
	Locked                              // presses are refused from now on
	Unlocked                            // presses count again
)

// String is one lower-case word or two.
func (k EventKind) String() string {
	names := [...]string{
		Looked: "looked", VerdictChanged: "verdict", Kept: "kept", Skipped: "skipped", TakenBack: "taken back",
		Forgotten: "forgotten", NewLesson: "new lesson", Restored: "restored", Refused: "refused",
		HealthChanged: "health", Learned: "learned", Edited: "edited", Locked: "locked", Unlocked: "unlocked",
	}
	if k == 0 || int(k) >= len(names) {
		return fmt.Sprintf("EventKind(%d)", uint8(k))
	}
	return names[k]
}

// An Event is something that happened, for whoever watches the box.
type Event struct {
	Kind    EventKind
	At      time.Time
	Button  device.Button
	Known   bool           // VerdictChanged
	Press   int            // Kept, Skipped: counts presses since the start
	Example lesson.Example // Kept
	Part    string         // HealthChanged: as in Snapshot.Problems
	Err     error          // Refused, HealthChanged
	Fold    *lesson.Fold   // Learned
	Step    lesson.Step    // Edited
}

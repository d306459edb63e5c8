package api

import (
	"fmt"
	"time"

	"teachbox/device"
	"teachbox/device/light"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

// An Identity says which box answers.
type Identity struct {
	Version   string `json:"version"`
	State     string `json:"state"`     // folder of the lesson
	Simulated bool   `json:"simulated"` // camera and panel are
	PID       int    `json:"pid"`
	Run       string `json:"run"` // id of this run, made by New; events count within it
}

// A Snapshot is the box at one moment.
type Snapshot struct {
	Box     Identity  `json:"box"`
	Running bool      `json:"running"` // false: nothing but the lesson is open
	At      time.Time `json:"at"`
	Events  uint64    `json:"events"` // number of the newest event

	Lit         string   `json:"lit,omitempty"` // button whose LED is lit
	Known       bool     `json:"known"`         // one is lit
	Nothing     bool     `json:"nothing"`       // none is, because what won is the class *nothing*
	Winner      *Winner  `json:"winner,omitempty"`
	Asleep      bool     `json:"asleep"`
	Locked      bool     `json:"locked"` // teaching is
	Hint        bool     `json:"hint"`   // the box asks for the empty desk
	Looks       uint64   `json:"looks"`  // frames looked at since the start
	Dropped     uint64   `json:"dropped"`
	Fitness     *Fitness `json:"fitness,omitempty"`     // of the last frame
	Recomputing *Amount  `json:"recomputing,omitempty"` // frames; nil: nothing is being recomputed

	Contents Contents  `json:"contents"`
	Health   []Problem `json:"health"` // what is wrong, by part
}

// A Winner is the class that the last frame is most like, whether it lights an
// LED or not.
type Winner struct {
	Class  string  `json:"class"`  // id
	P      float64 `json:"p"`      // its probability among the classes
	Accept float64 `json:"accept"` // similarity to the nearest example of a class other than *nothing*, -1 to 1
}

// Fitness is how usable a frame is.
type Fitness struct {
	Luma      float32 `json:"luma"`      // mean, 0 to 255
	Sharpness float32 `json:"sharpness"` // mean difference between neighbours, 0 to 255
}

// An Amount is how much of something is done.
type Amount struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}

// A Problem is one part that is not well.
type Problem struct {
	Part    string    `json:"part"`    // such as "camera"
	Message string    `json:"message"` // what is wrong, and usually what to do
	Since   time.Time `json:"since"`
	Blinks  int       `json:"blinks"`           // of the status LED: 2 camera, 3 storage, 4 power, 5 software; 0: it tells nothing of this
	Remedy  string    `json:"remedy,omitempty"` // what the card for the wall says to these blinks
}

// Contents is what the lesson in hand holds.
type Contents struct {
	Lesson   string  `json:"lesson"`         // id; empty while no lesson could be read or begun
	Name     string  `json:"name,omitempty"` // as describe gave them
	Note     string  `json:"note,omitempty"`
	Revision int64   `json:"revision"` // expected by the next command; 0 without a lesson
	Classes  []Class `json:"classes"`  // in the order in which they were first taught
	Presses  int     `json:"presses"`
	Frames   int     `json:"frames"`
	Undo     int     `json:"undo"` // steps that can be undone
	Redo     int     `json:"redo"` // steps that can be done again
	Kept     int     `json:"kept"` // lessons put away
}

// A Class is something taught.
type Class struct {
	Button  string `json:"button"`
	ID      string `json:"id"`
	Name    string `json:"name"`
	Presses int    `json:"presses"`
	Frames  int    `json:"frames"`
}

// InHand is the lesson in hand with its presses.
type InHand struct {
	Contents Contents `json:"contents"`
	Presses  []Press  `json:"presses"`        // the oldest first
	Undo     string   `json:"undo,omitempty"` // what undo would undo, such as "rename Cup"
	Redo     string   `json:"redo,omitempty"` // what redo would do again
}

// A Press is one push of a button.
type Press struct {
	ID       string `json:"id"`
	Button   string `json:"button"`
	Class    string `json:"class"` // id
	Frames   int    `json:"frames"`
	Pictures int    `json:"pictures"` // frames whose picture is kept
	When     Moment `json:"when"`
}

// A Step is one operation of the history.
type Step struct {
	Revision int64  `json:"revision"` // that it led to
	Kind     string `json:"kind"`     // such as "press", "take back" or "rename"
	What     string `json:"what,omitempty"`
	Frames   int    `json:"frames,omitempty"` // of a press
	When     Moment `json:"when"`
	Undone   bool   `json:"undone,omitempty"`
}

// A Moment is a time on a machine whose clock may not be set.
type Moment struct {
	Boot  string    `json:"boot,omitempty"`
	Since float64   `json:"since"`         // seconds since that boot
	Wall  time.Time `json:"wall,omitzero"` // zero while the clock was not set
}

// A Kept is a lesson that was put away. Of a Check it may be the one in hand.
type Kept struct {
	ID       string  `json:"id"`
	Name     string  `json:"name,omitempty"`
	Note     string  `json:"note,omitempty"`
	Classes  []Class `json:"classes"`
	Presses  int     `json:"presses"`
	Frames   int     `json:"frames"`
	Pictures int     `json:"pictures"` // frames whose picture is kept
	Away     Moment  `json:"away"`     // when it was put away
	Aside    bool    `json:"aside"`    // by itself, because it could not be compared
}

// A Check tells what the lesson file holds, all of which was read.
type Check struct {
	Version int    `json:"version"` // of its form
	Bytes   int64  `json:"bytes"`
	Lessons []Kept `json:"lessons"` // the one in hand first
}

// A Done is the reply to a command.
type Done struct {
	Revision int64    `json:"revision"`       // of the lesson now
	Done     string   `json:"done"`           // what was done, for people
	Step     *Step    `json:"step,omitempty"` // of undo and redo: what was undone or done again
	Kept     *Kept    `json:"kept,omitempty"` // where the lesson that was in hand is now
	Gone     *Kept    `json:"gone,omitempty"` // lesson that was removed for good to make room
	Contents Contents `json:"contents"`
}

func snapshotOf(s *box.Snapshot) Snapshot {
	w := Snapshot{
		At: s.At, Known: s.Known, Nothing: s.Nothing, Asleep: s.Asleep, Locked: s.Locked, Hint: s.Hint,
		Looks: s.Looks, Dropped: s.Dropped, Contents: contentsOf(s.Contents), Health: []Problem{},
	}
	if s.Known {
		w.Lit = s.Lit.String()
	}
	if s.Looks > 0 {
		w.Fitness = &Fitness{s.Fitness.Luma, s.Fitness.Sharpness}
		if s.Fold != nil && s.Fold.Head != nil {
			w.Winner = &Winner{Class: s.Fold.Classes[s.Winner].ID, P: s.P[s.Winner], Accept: s.Accept}
		}
	}
	if r := s.Recomputing; r != (lesson.Coverage{}) {
		w.Recomputing = &Amount{r.Have, r.Have + r.Pending}
	}
	for _, p := range s.Problems {
		problem := Problem{Part: p.Part, Message: p.Err.Error(), Since: p.Since}
		problem.Blinks, problem.Remedy = signalOf(box.Fault(p))
		w.Health = append(w.Health, problem)
	}
	return w
}

// signalOf is how often the status LED blinks for a fault, and what to do then.
func signalOf(fault light.Conditions) (blinks int, remedy string) {
	for _, s := range light.Signals() {
		if s.When&light.Faults&fault != 0 {
			return len(s.Rhythm) / 2, s.Do // each blink is a time lit and a time dark
		}
	}
	return 0, ""
}

func contentsOf(c lesson.Contents) Contents {
	return Contents{
		Lesson: c.Lesson, Name: c.Name, Note: c.Note, Revision: c.Revision, Classes: each(c.Classes, classOf),
		Presses: c.Presses, Frames: c.Frames, Undo: c.Undo, Redo: c.Redo, Kept: c.Kept,
	}
}

func classOf(c lesson.Class) Class {
	return Class{Button: c.Button.String(), ID: c.ID, Name: c.Name, Presses: c.Presses, Frames: c.Frames}
}

func pressOf(p lesson.Press) Press {
	return Press{ID: p.ID, Button: p.Button.String(), Class: p.Class, Frames: p.Frames, Pictures: p.Pictures, When: momentOf(p.When)}
}

func stepOf(s lesson.Step) Step {
	return Step{Revision: s.Revision, Kind: s.Kind, What: s.What, Frames: s.Frames, When: momentOf(s.When), Undone: s.Undone}
}

func momentOf(m lesson.Moment) Moment {
	return Moment{Boot: m.Boot, Since: m.Since.Seconds(), Wall: m.Wall}
}

func keptOf(k lesson.Kept) Kept {
	return Kept{
		ID: k.ID, Name: k.Name, Note: k.Note, Classes: each(k.Classes, classOf),
		Presses: k.Presses, Frames: k.Frames, Pictures: k.Pictures, Away: momentOf(k.Away), Aside: k.Aside,
	}
}

func checkOf(c lesson.Check) Check {
	return Check{Version: c.Version, Bytes: c.Bytes, Lessons: each(c.Lessons, keptOf)}
}

// each translates a list. It is never nil, so that JSON has an empty list.
func each[A, B any](list []A, f func(A) B) []B {
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = f(a)
	}
	return out
}

// ParseButton reads a button as the API writes it: "class 1" to "class 8", or
// "nothing".
func ParseButton(s string) (device.Button, error) {
	for b := range device.Nothing + 1 {
		if b.String() == s {
			return b, nil
		}
	}
	return 0, fmt.Errorf("button %q: there is none: name one of %q to %q, or %q",
		s, device.Button(0), device.Nothing-1, device.Nothing)
}

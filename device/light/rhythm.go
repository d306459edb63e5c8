package light

import "time"

const ms = time.Millisecond

// A Rhythm is how one LED blinks: how long it is on, off, on, off and so on
// before it starts again. It begins lit and ends with its longest dark time,
// the pause.
type Rhythm []time.Duration

// cycle is the time after which the rhythm repeats.
func (r Rhythm) cycle() time.Duration {
	var sum time.Duration
	for _, d := range r {
		sum += d
	}
	return sum
}

// at reports whether the LED is on after d of the rhythm, and for how much longer.
func (r Rhythm) at(d time.Duration) (on bool, left time.Duration) {
	cycle := r.cycle()
	d = (d%cycle + cycle) % cycle
	i := 0
	for d >= r[i] {
		d -= r[i]
		i++
	}
	return i%2 == 0, r[i] - d
}

// blinks is n blinks, then a pause.
func blinks(n int, unit, pause time.Duration) Rhythm {
	var r Rhythm
	for range n {
		r = append(r, unit, unit)
	}
	r[len(r)-1] = pause
	return r
}

// Conditions is the set of things that the status LED could tell of. The empty
// set is Well.
type Conditions uint8

// The conditions.
const (
	FaultCamera   Conditions = 1 << iota // 2 blinks
	FaultStorage                         // 3 blinks
	FaultPower                           // 4 blinks: power or heat
	FaultSoftware                        // 5 blinks: software, model or configuration
	Busy                                 // starting, loading, putting a lesson away
	Hint                                 // the box asks for the empty desk
	Asleep                               // the scene has been dark for long

	Well Conditions = 0
	// Faults is all that only a person can mend.
	Faults = FaultCamera | FaultStorage | FaultPower | FaultSoftware
)

// A Signal is one row of the table that the LEDs and the card are made from.
type Signal struct {
	When   Conditions // one condition, or Well
	Rhythm Rhythm
	Means  string // a sentence for the card
	Do     string // what the person can do, or empty
}

// Signals is the table of what the status LED says, in order of precedence: of
// all rows whose condition holds the first is shown.
//
// Faults come first, and among them the one that can cause the others: poor
// power makes cameras and cards fail. A box without its camera does nothing,
// one without its storage still sees, and what is wrong with the software waits
// for a person with a computer anyway. Busy is short, so it may hide a hint.
//
// Three seconds, from any moment, hold one whole group of blinks, and before it
// or behind it a rest longer than the gaps within: two groups, the pause between
// them and three gaps fit in 3 s. Watched turns every rhythm upside down, which
// is why none is lit for as long as it is dark.
func Signals() []Signal {
	return []Signal{
		{FaultPower, blinks(4, 130*ms, 600*ms), "Power is low, or the box is hot.", "Fetch an adult: another power supply, more air."},
		{FaultCamera, blinks(2, 200*ms, 900*ms), "The camera does not answer.", "Fetch an adult: plug the camera in again."},
		{FaultStorage, blinks(3, 160*ms, 800*ms), "The memory card is full or damaged; nothing new is kept.", "Fetch an adult."},
		{FaultSoftware, blinks(5, 110*ms, 600*ms), "The program, its model or its settings are wrong.", "Fetch an adult with a computer."},
		{Busy, Rhythm{110 * ms, 290 * ms}, "Busy.", "Wait a moment."},
		{Hint, Rhythm{500 * ms, 150 * ms, 150 * ms, 700 * ms}, "The box wants to see the empty desk.", "Clear the desk and tap nothing."},
		{Asleep, Rhythm{700 * ms, 800 * ms}, "Asleep: it has been dark for long.", "Make light."},
		{Well, Rhythm{200 * ms, 1300 * ms}, "All is well.", ""},
	}
}

// guess is the rhythm of the class LED of a verdict to be taken as a guess.
func guess() Rhythm { return Rhythm{400 * ms, 400 * ms} }

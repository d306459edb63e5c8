package light

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/device"
)

var (
	full = device.Wiring{Slots: 4, Nothing: true, Status: true}
	dark = device.Wiring{Slots: 4, Nothing: true} // no status LED
	t0   = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const tick = 10 * ms // of the samples below

// film asks for the levels every tick, from one time to another.
func film(s *State, from, until time.Duration) []device.Lights {
	var shots []device.Lights
	for d := from; d < until; d += tick {
		l, _ := s.Levels(t0.Add(d))
		shots = append(shots, l)
	}
	return shots
}

// A span is a time for which an LED keeps its level.
type span struct {
	on  bool
	len time.Duration
}

// spans cuts the film of one LED up.
func spans(shots []device.Lights, led device.Lights) []span {
	var all []span
	for _, l := range shots {
		on := l&led != 0
		if n := len(all); n > 0 && all[n-1].on == on {
			all[n-1].len += tick
		} else {
			all = append(all, span{on, tick})
		}
	}
	return all
}

// draw writes the spans of an LED: "+200 -1300" is 200 ms of light, then dark.
func draw(shots []device.Lights, led device.Lights) string {
	var words []string
	for _, p := range spans(shots, led) {
		sign := "-"
		if p.on {
			sign = "+"
		}
		words = append(words, fmt.Sprintf("%s%d", sign, p.len/ms))
	}
	return strings.Join(words, " ")
}

// read says what a person reads from three seconds of one LED, by telling short
// from long. The first and the last span are cut off by the window, so they are
// at least as long as they look: good for "long", useless for "short".
func read(t *testing.T, shots []device.Lights, led device.Lights) string {
	t.Helper()
	const long = 400 * ms // pulses within a group are at most 200 ms
	all := spans(shots, led)
	var longest [2]time.Duration // dark, lit
	for _, p := range all {
		if i := index(p.on); p.len > longest[i] {
			longest[i] = p.len
		}
	}
	ground := longest[1] > longest[0] // which level the LED rests at
	inner := all[1:max(1, len(all)-1)]
	short := slices.ContainsFunc(inner, func(p span) bool { return p.len < 300*ms })

	say := func(name string) string {
		if ground {
			return name + " watched"
		}
		return name
	}
	switch {
	case len(all) == 1 && all[0].on:
		return "steady"
	case len(all) == 1:
		return "dark"
	case longest[0] < long && longest[1] < long:
		return say("busy")
	case longest[0] >= long && longest[1] >= long:
		if !short {
			if longest[0] > 500*ms {
				return "asleep"
			}
			return "guess"
		}
		// Long, short: the long one is the one that a short gap follows.
		for i := range inner[:len(inner)-1] {
			if inner[i].len < 300*ms && i > 0 && inner[i-1].len >= long && inner[i+1].len < 300*ms {
				ground = !inner[i-1].on
				return say("hint")
			}
		}
		for i, p := range all[:len(all)-1] { // the long one is cut off
			if i == 0 && p.len >= long && all[1].len < 300*ms {
				ground = !p.on
				return say("hint")
			}
		}
		return "long and short in no order"
	}
	// Groups of blinks: count one that has a rest before it and behind it. Gaps
	// are as long as blinks, a rest is longer.
	rest := long
	for _, p := range inner {
		if p.on != ground {
			rest = min(rest, p.len*3/2)
		}
	}
	count, open := 0, false
	for _, p := range all {
		switch {
		case p.on == ground && p.len > rest && open && count > 0:
			return say(fmt.Sprint(count, " blinks"))
		case p.on == ground && p.len > rest:
			count, open = 0, true
		case p.on != ground:
			count++
		}
	}
	return "no whole group: " + draw(shots, led)
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Three seconds from any moment tell any two states of the status LED apart.
func TestStatesAreToldApart(t *testing.T) {
	words := map[Conditions]string{
		Well: "1 blinks", Busy: "busy", Hint: "hint", Asleep: "asleep",
		FaultCamera: "2 blinks", FaultStorage: "3 blinks", FaultPower: "4 blinks", FaultSoftware: "5 blinks",
	}
	if len(words) != len(Signals()) {
		t.Fatalf("%d states are tried, the table has %d", len(words), len(Signals()))
	}
	for _, g := range Signals() {
		for _, watched := range []bool{false, true} {
			want := words[g.When]
			if watched {
				want += " watched"
				if g.When == Asleep {
					want = "1 blinks watched" // see signal
				}
			}
			tellApart(t, full, func(s *State) { s.Conditions, s.Watched = g.When, watched }, device.Status, want)
		}
	}
}

// So they do for the LED of a class, and for all of them where they play faults.
func TestClassStatesAreToldApart(t *testing.T) {
	verdict := func(s *State) { s.Lit = 1 }
	tellApart(t, full, func(*State) {}, device.Slot(1), "dark")
	tellApart(t, full, verdict, device.Slot(1), "steady")
	tellApart(t, full, verdict, device.Slot(0), "dark")
	tellApart(t, full, func(s *State) { s.Lit, s.Guess = 1, true }, device.Slot(1), "guess")

	for c, want := range map[Conditions]string{FaultCamera: "2 blinks", FaultStorage: "3 blinks", FaultPower: "4 blinks", FaultSoftware: "5 blinks"} {
		for slot := range 4 {
			tellApart(t, dark, func(s *State) { s.Conditions = c }, device.Slot(slot), want)
		}
		both := func(s *State) { s.Conditions, s.Lit, s.Guess = c, 2, true }
		tellApart(t, dark, both, device.Slot(1), want)
		tellApart(t, dark, both, device.Slot(2), want+" watched")
	}
}

// tellApart reads the LED from every phase of a whole cycle.
func tellApart(t *testing.T, w device.Wiring, set func(*State), led device.Lights, want string) {
	t.Helper()
	const (
		window = 3 * time.Second
		cycle  = 2 * time.Second // no rhythm is longer
	)
	s := New(w)
	set(s)
	shots := film(s, 0, 10*time.Second+cycle+window)[10*time.Second/tick:]
	for phase := range int(cycle / tick) {
		w := shots[phase : phase+int(window/tick)]
		if got := read(t, w, led); got != want {
			t.Errorf("condition %b, watched %v, phase %v: reads %q, want %q: %s", s.Conditions, s.Watched, time.Duration(phase)*tick, got, want, draw(w, led))
			return
		}
	}
}

func TestRhythms(t *testing.T) {
	for _, g := range append(Signals(), Signal{Rhythm: guess(), Means: "guess"}) {
		if len(g.Rhythm)%2 != 0 || slices.Min(g.Rhythm) < minPulse || g.Rhythm[len(g.Rhythm)-1] != slices.Max(g.Rhythm) {
			t.Errorf("%q: %v: want pairs of at least %v, the pause last and longest", g.Means, g.Rhythm, minPulse)
		}
		if g.Rhythm.cycle() > 1800*ms {
			t.Errorf("%q repeats after %v, too long for 3 s to hold it whole", g.Means, g.Rhythm.cycle())
		}
	}
}

func TestPrecedence(t *testing.T) {
	order := []Conditions{FaultPower, FaultCamera, FaultStorage, FaultSoftware, Busy, Hint, Asleep, Well}
	for i, first := range order {
		s := New(full)
		for _, c := range order[i:] {
			s.Conditions |= c
		}
		if got := s.signals[s.signal()].When; got != first {
			t.Errorf("conditions %b show %b, want %b", s.Conditions, got, first)
		}
	}
	s := New(full)
	s.Conditions = 1 << 7 // no such condition
	if got := s.signals[s.signal()].When; got != Well {
		t.Errorf("an unknown condition shows %b, want Well", got)
	}
}

func TestLevels(t *testing.T) {
	at := func(d time.Duration) time.Time { return t0.Add(d) }
	status, a, b, all := device.Status, device.Slot(0), device.Slot(1), device.AllSlots(4)
	tests := []struct {
		name   string
		wiring device.Wiring
		set    func(s *State)
		led    device.Lights
		want   string // from 0 to 3 s
	}{
		{"well", full, func(s *State) {}, status, "-1300 +200 -1300 +200"},
		{"watched", full, func(s *State) { s.Watched = true }, status, "+1300 -200 +1300 -200"},
		{"hint", full, func(s *State) { s.Conditions = Hint }, status, "-700 +500 -150 +150 -700 +500 -150 +150"},
		{"asleep", full, func(s *State) { s.Conditions, s.Lit = Asleep, 0 }, status, "-800 +700 -800 +700"},
		{"asleep is dark", full, func(s *State) { s.Conditions, s.Lit = Asleep, 0 }, a, "-3000"},
		{"asleep guess is dark", full, func(s *State) { s.Conditions, s.Lit, s.Guess = Asleep, 0, true }, a, "-3000"},
		{"camera", full, func(s *State) { s.Conditions = FaultCamera }, status, "-900 +200 -200 +200 -900 +200 -200 +200"},
		{"verdict beside a fault", full, func(s *State) { s.Conditions, s.Lit = FaultCamera, 0 }, a, "+3000"},
		{"verdict", full, func(s *State) { s.Lit = 0 }, a, "+3000"},
		{"only its LED", full, func(s *State) { s.Lit = 0 }, b, "-3000"},
		{"guess", full, func(s *State) { s.Lit, s.Guess = 0, true }, a, "+400 -400 +400 -400 +400 -400 +400 -200"},
		{"guess of nothing", full, func(s *State) { s.Guess = true }, all, "-3000"},
		{"no such slot", full, func(s *State) { s.Lit = 4 }, all, "-3000"},
		{"no such slot either", full, func(s *State) { s.Lit = -9 }, all, "-3000"},

		{"wink", full, func(s *State) { s.Wink(0, at(time.Second)) }, a, "-1000 +100 -1900"},
		{"wink of a lit one", full, func(s *State) { s.Lit = 0; s.Wink(0, at(time.Second)) }, a, "+1000 -100 +1900"},
		{"wink of a guess", full, func(s *State) { s.Lit, s.Guess = 0, true; s.Wink(0, at(950*ms)) }, a,
			"+400 -400 +150 -100 +150 -400 +400 -400 +400 -200"},
		{"only its LED winks", full, func(s *State) { s.Wink(0, at(time.Second)) }, b, "-3000"},
		{"winks wait", full, func(s *State) { s.Wink(0, at(0)); s.Wink(0, at(20*ms)) }, a, "+100 -100 +100 -2700"},
		{"tick", full, func(s *State) { s.Tick(0, at(0)) }, a, "+300 -2700"},
		{"taken back", full, func(s *State) { s.WinkTwice(0, at(0)) }, a, "+200 -150 +200 -2450"},
		{"forgotten", full, func(s *State) { s.Forgot(0, at(0)) }, a, "+600 -2400"},
		{"refused", full, func(s *State) { s.Refuse(at(0)) }, b, "+100 -100 +100 -100 +100 -100 +100 -2300"},
		{"refused burst", full, func(s *State) { s.Refuse(at(0)); s.Refuse(at(400 * ms)) }, a, "+100 -100 +100 -100 +100 -100 +100 -2300"},
		{"nothing winks with the status LED", full, func(s *State) { s.Wink(device.Nothing, at(100*ms)) }, status, "-100 +100 -1100 +200 -1300 +200"},
		{"also while it is on", full, func(s *State) { s.Wink(device.Nothing, at(1350*ms)) }, status, "-1300 +100 -100 +100 -1200 +200"},
		{"and not with the others", full, func(s *State) { s.Wink(device.Nothing, at(0)) }, a, "-3000"},
		{"no such button", full, func(s *State) { s.Wink(4, at(0)); s.CountForget(77, at(0), at(time.Hour)) }, all | status, "-1300 +200 -1300 +200"},

		{"forgetting", full, func(s *State) { s.CountForget(0, at(400*ms), at(2*time.Second)) }, a,
			"-400 +250 -150 +200 -150 +150 -100 +100 -100 +100 -100 +100 -1100"},
		{"not forgetting", full, func(s *State) { s.CountForget(0, at(0), at(1600*ms)); s.CancelForget(0) }, a, "-3000"},
		{"forgetting ends a wink", full, func(s *State) { s.Wink(0, at(0)); s.CountForget(0, at(0), at(300*ms)) }, a, "+250 -2750"},
		{"new lesson, last to go", full, func(s *State) { s.CountNew(at(0), at(2*time.Second)) }, a, "+2000 -1000"},
		{"new lesson, second last", full, func(s *State) { s.CountNew(at(0), at(2*time.Second)) }, b, "+1500 -1500"},
		{"new lesson, a verdict", full, func(s *State) { s.Lit = 1; s.CountNew(at(0), at(2*time.Second)) }, b, "+1500 -500 +1000"},
		{"new lesson, status", full, func(s *State) { s.CountNew(at(0), at(2*time.Second)) }, status, "-1300 +200 -1300 +200"},
		{"no new lesson", full, func(s *State) { s.CountNew(at(0), at(2*time.Second)); s.CancelNew() }, a, "-3000"},
		{"new lesson at once", full, func(s *State) { s.CountNew(at(0), at(0)) }, a, "-3000"},
		{"new lesson begun", full, func(s *State) { s.NewLesson(at(0)) }, b, "+600 -2400"},
		{"restored", full, func(s *State) { s.Restored(at(0)) }, b, "-200 +1000 -1800"},
		{"sweep", full, func(s *State) { s.Sweep(at(0)) }, b, "-200 +200 -2600"},
		{"sweep, status", full, func(s *State) { s.Sweep(at(0)) }, status, "-800 +200 -300 +200 -1300 +200"},
		{"sweep over a verdict", full, func(s *State) { s.Lit = 1; s.Sweep(at(0)) }, b, "-200 +200 -600 +2000"},

		{"no status LED", dark, func(s *State) { s.Watched = true }, status, "-3000"},
		{"no status LED, busy", dark, func(s *State) { s.Conditions = Busy | Hint }, all | status, "-3000"},
		{"no status LED, fault", dark, func(s *State) { s.Conditions = FaultCamera }, b, "-900 +200 -200 +200 -900 +200 -200 +200"},
		{"no status LED, fault and guess", dark, func(s *State) { s.Conditions, s.Lit, s.Guess = FaultCamera, 1, true }, b, "+900 -200 +200 -200 +900 -200 +200 -200"},
		{"no status LED, nothing", dark, func(s *State) { s.Wink(device.Nothing, at(0)) }, b, "+100 -2900"},
		{"no status LED, sweep", dark, func(s *State) { s.Sweep(at(0)) }, status, "-3000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(tt.wiring)
			tt.set(s)
			if got := draw(film(s, 0, 3*time.Second), tt.led); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// A burst of examples, 5 a second, kept or skipped.
func TestBurst(t *testing.T) {
	tests := []struct{ burst, want string }{
		{"wwwww", "+100 -100 +100 -100 +100 -100 +100 -100 +100 -1100"},
		{"ttttt", "+300 -100 +300 -100 +300 -900"},
		{"wtwtw", "+100 -100 +300 -100 +100 -100 +100 -1100"}, // every wink is seen
		{"rrrrr", "+100 -100 +100 -100 +100 -100 +100 -100 +100 -100 +100 -100 +100 -100 +100 -500"},
	}
	for _, tt := range tests {
		s := New(full)
		var shots []device.Lights
		for i := range 10 {
			at := time.Duration(i) * 200 * ms
			if i < len(tt.burst) {
				switch tt.burst[i] {
				case 'w':
					s.Wink(0, t0.Add(at))
				case 't':
					s.Tick(0, t0.Add(at))
				case 'r':
					s.Refuse(t0.Add(at))
				}
			}
			shots = append(shots, film(s, at, at+200*ms)...)
		}
		if got := draw(shots, device.Slot(0)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.burst, got, tt.want)
		}
	}
}

// A box without a status LED says every ten seconds that it lives, unless a
// class LED says so.
func TestAlive(t *testing.T) {
	s := New(dark)
	for slot, want := range []string{
		"-9520 +120 -9880 +120 -360", "-9640 +120 -9880 +120 -240", "-9760 +120 -9880 +120 -120", "-9880 +120 -9880 +120",
	} {
		if got := draw(film(s, 0, 20*time.Second), device.Slot(slot)); got != want {
			t.Errorf("slot %d: got %s, want %s", slot, got, want)
		}
		s = New(dark)
	}
	s.Lit = 0
	if got := draw(film(s, 0, 20*time.Second), device.Slot(1)); got != "-20000" {
		t.Errorf("beside a verdict: got %s, want none", got)
	}
	s = New(full)
	if got := draw(film(s, 0, 20*time.Second), device.AllSlots(4)); got != "-20000" {
		t.Errorf("with a status LED: got %s, want none", got)
	}
	s = New(dark)
	s.Conditions = Asleep
	if got := draw(film(s, 0, 10*time.Second), device.Slot(0)); got != "-9520 +120 -360" {
		t.Errorf("asleep: got %s, want one", got)
	}
}

// A new condition never adds to the group of blinks that it cuts short.
func TestConditionsBeginWithAPause(t *testing.T) {
	s := New(full)
	s.Conditions = FaultStorage
	shots := film(s, 0, 1200*ms) // in the middle of a blink
	s.Conditions = FaultCamera
	shots = append(shots, film(s, 1200*ms, 3*time.Second)...)
	if got, want := draw(shots, device.Status), "-800 +160 -160 +100 -880 +200 -200 +200 -300"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNextIsNoneWhenNothingMoves(t *testing.T) {
	s := New(dark)
	s.Lit = 1
	if l, next := s.Levels(t0); l != device.Slot(1) || !next.IsZero() {
		t.Errorf("got %v until %v, want slot 1 for ever", l, next)
	}
}

// act does something at random to all states alike.
func act(rng *rand.Rand, now time.Time, states ...*State) {
	what, b, n := rng.IntN(14), device.Button(rng.IntN(10)), rng.IntN(256)
	for _, s := range states {
		switch what {
		case 0:
			s.Lit = n%6 - 1
		case 1:
			s.Guess = !s.Guess
		case 2:
			s.Conditions = Conditions(n)
		case 3:
			s.Watched = !s.Watched
		case 4, 5:
			s.Wink(b, now)
		case 6:
			s.WinkTwice(b, now)
		case 7:
			s.Tick(b, now)
		case 8:
			s.Refuse(now)
		case 9:
			s.CountForget(b, now, now.Add(1600*ms))
		case 10:
			s.CancelForget(b)
		case 11:
			s.CountNew(now, now.Add(4600*ms))
		case 12:
			s.CancelNew()
			s.NewLesson(now)
		case 13:
			s.Sweep(now)
			s.Restored(now)
			s.Forgot(b, now)
		}
	}
}

// Whatever happens and whenever: no pulse is shorter than 100 ms, and a caller
// who comes when Levels says sees what one sees who looks all the time.
func TestAnything(t *testing.T) {
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := device.Wiring{Slots: []int{2, 4, 5, 8}[rng.IntN(4)], Status: rng.IntN(2) == 0}
		always, lazy := New(w), New(w)
		var lazyLights device.Lights
		var next time.Time
		changed := [device.MaxSlots + 1]time.Time{}
		var before device.Lights
		at := t0
		for at.Before(t0.Add(20 * time.Second)) {
			acted := rng.IntN(200) == 0
			if acted {
				act(rng, at, always, lazy)
			}
			if acted || at.Equal(t0) || !next.IsZero() && !next.After(at) {
				lazyLights, next = lazy.Levels(at)
				if !next.IsZero() && !next.After(at) {
					t.Fatalf("seed %d: next is %v before now", seed, at.Sub(next))
				}
			}
			l, _ := always.Levels(at)
			if l != lazyLights {
				t.Fatalf("seed %d, %v: who looks always sees %v, who comes when told %v", seed, at.Sub(t0), l, lazyLights)
			}
			if allowed := device.AllSlots(w.Slots) | device.Status; l&^allowed != 0 || !w.Status && l&device.Status != 0 {
				t.Fatalf("seed %d: %v lights what %+v lacks", seed, l, w)
			}
			for i := range changed {
				if (l^before)&device.Slot(i) == 0 {
					continue
				}
				if d := at.Sub(changed[i]); d < minPulse {
					t.Fatalf("seed %d: a pulse of %v", seed, d)
				}
				changed[i] = at
			}
			before = l
			if len(always.plays) > 100 {
				t.Fatalf("seed %d: %d plays wait", seed, len(always.plays))
			}
			at = at.Add(ms)
		}
	}
}

// Events that nobody looks at do not pile up.
func TestEventsAreBounded(t *testing.T) {
	s := New(full)
	for i := range 10000 {
		at := t0.Add(time.Duration(i%100) * ms)
		s.Wink(device.Button(i%9), at)
		s.WinkTwice(device.Button(i%9), at)
		s.CountForget(device.Button(i%9), at, at.Add(time.Hour))
		s.Refuse(at)
	}
	if n := len(s.plays); n > 100 {
		t.Errorf("%d plays wait", n)
	}
}

// The loop that the box runs wakes only when an LED may change.
func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := New(full)
		s.Sweep(start)
		s.Lit = 2
		wakes := 0
		var seen []string
		var last device.Lights
		for time.Since(start) < 3*time.Second {
			l, next := s.Levels(time.Now())
			if l != last {
				seen = append(seen, fmt.Sprint(time.Since(start).Milliseconds(), " ", l))
				last = l
			}
			wakes++
			time.Sleep(time.Until(next))
		}
		want := "0 ●○○○○○○○ ○, 200 ○●○○○○○○ ○, 400 ○○●○○○○○ ○, 600 ○○○●○○○○ ○, 800 ○○○○○○○○ ●, " +
			"1000 ○○●○○○○○ ○, 1300 ○○●○○○○○ ●, 1500 ○○●○○○○○ ○, 2800 ○○●○○○○○ ●"
		if got := strings.Join(seen, ", "); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
		if wakes > 12 {
			t.Errorf("%d wakes in 3 s", wakes)
		}
	})
}

func TestLevelsDoesNotAllocate(t *testing.T) {
	s := New(full)
	s.Lit, s.Guess = 1, true
	now := t0
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(33 * ms)
		s.Levels(now)
	}); n != 0 {
		t.Errorf("%v allocations (want 0)", n)
	}
}

func BenchmarkLevels(b *testing.B) {
	s := New(full)
	s.Lit, s.Guess = 1, true
	now := t0
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(33 * ms)
		s.Levels(now)
	}
}

package box

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
	"teachbox/device/light"
	"teachbox/inference"
	"teachbox/internal/lesson"
	"teachbox/internal/supervise"
)

const ms = time.Millisecond

// epoch is when the tests' machines begin.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func fourSlots() device.Wiring { return device.Wiring{Slots: 4, Nothing: true, Status: true} }

// A fixed lesson stands for a store that is never asked for more.
type fixed struct {
	Lessons
	contents lesson.Contents
}

func (f fixed) Contents() lesson.Contents { return f.contents }

// taught is a lesson with so many presses for each of some buttons.
func taught(presses map[device.Button]int) lesson.Contents {
	var c lesson.Contents
	for b := range device.Nothing + 1 {
		if n, ok := presses[b]; ok {
			c.Classes = append(c.Classes, lesson.Class{ID: b.String(), Button: b, Presses: n, Frames: n})
			c.Presses, c.Frames = c.Presses+n, c.Frames+n
		}
	}
	return c
}

// A rig is a machine, and the time that its test has come to.
type rig struct {
	*machine
	now time.Time
	log []string // effects, each with its time in ms since epoch
}

// newRig makes a machine that was taught nothing, in a box that sees.
func newRig(o Options, c lesson.Contents) *rig {
	b := New(Parts{
		Wiring: fourSlots(), Lessons: fixed{contents: c},
		Dark: func(f inference.Fitness) bool { return f.Luma < 16 },
	}, o)
	r := &rig{machine: b.machine, now: epoch}
	r.do(&input{})
	r.see(unknown)
	r.now = r.now.Add(time.Second) // beyond what counts as stuck at boot
	r.do(&input{})
	r.log = nil
	return r
}

// do steps, and writes down what is to be done. Frames are left out.
func (r *rig) do(in *input) {
	for _, e := range r.step(r.now, in) {
		if e.event.Kind != Looked {
			r.log = append(r.log, describe(r.now, e))
		}
	}
}

func describe(now time.Time, e effect) string {
	at := func(t time.Time) int64 { return t.Sub(epoch).Milliseconds() }
	verbs := []string{actSample: "sample", actRelease: "release", actTakeBack: "take back", actForget: "forget", actNew: "new"}
	if q := e.request; q.action != 0 {
		s := fmt.Sprintf("%d: %s %v", at(e.at), verbs[q.action], q.button)
		if q.press != 0 {
			s += fmt.Sprintf(" #%d", q.press)
		}
		return s
	}
	if e.part != "" {
		if e.problem == nil {
			return fmt.Sprintf("%d: %s: well", at(now), e.part)
		}
		return fmt.Sprintf("%d: %s: %v", at(now), e.part, e.problem)
	}
	v := e.event
	s := fmt.Sprintf("%d: [%v] %v", at(v.At), v.Kind, v.Button)
	if v.Kind == HealthChanged {
		s += " " + v.Part
	}
	if v.Press != 0 {
		s += fmt.Sprintf(" #%d", v.Press)
	}
	if v.Known {
		s += " known"
	}
	if v.Err != nil {
		s += ": " + v.Err.Error()
	}
	return s
}

// until lets time pass, with every deadline of the buttons.
func (r *rig) until(t time.Time) {
	for {
		due, ok := r.press.Next()
		if !ok || due.After(t) {
			break
		}
		r.now = due
		r.do(&input{})
	}
	r.now = t
}

// play pushes buttons. A script is times in ms after epoch, each with what goes
// down or up: 1 to 8 and n.
func (r *rig) play(t *testing.T, script string) {
	t.Helper()
	for _, word := range strings.Fields(script) {
		var at int
		var button rune
		var way rune
		if _, err := fmt.Sscanf(word, "%d:%c%c", &at, &button, &way); err != nil {
			t.Fatalf("script: %q: %v", word, err)
		}
		r.until(epoch.Add(time.Duration(at) * ms))
		b := device.Button(button - '1')
		if button == 'n' {
			b = device.Nothing
		}
		r.do(&input{kind: inEdge, edge: device.Edge{Button: b, Down: way == '+', At: r.now}})
	}
}

// everything is a head that knows a class for every button, whatever the lesson
// holds by now.
func everything() *lesson.Fold {
	f := new(lesson.Fold)
	for b := range device.Nothing + 1 {
		f.Classes = append(f.Classes, lesson.Class{ID: b.String(), Button: b, Presses: 1})
	}
	return f
}

// sees is a look of which the head says: this slot.
func sees(slot int) look {
	return look{
		fold: everything(), winner: int(buttonOf(slot)), opinion: opinion{accept: 0.9, theta: 0.5},
		fitness: inference.Fitness{Luma: 100},
	}
}

// see shows a frame of which the head says: this slot.
func (r *rig) see(slot int) {
	l := sees(slot)
	l.taken = r.now
	r.do(&input{kind: inLook, look: l})
}

// lightUp lights a slot, as two frames do.
func (r *rig) lightUp(slot int) {
	r.see(slot)
	r.now = r.now.Add(holdFor)
	r.see(slot)
}

// well gives the list of what is wrong.
func (r *rig) well(problems ...supervise.Problem) {
	r.do(&input{kind: inHealth, problems: problems})
}

// timeline is the LEDs over four seconds from now on, every 10 ms.
func timeline(s *light.State, now time.Time) []device.Lights {
	var all []device.Lights
	for d := time.Duration(0); d < 4*time.Second; d += 10 * ms {
		l, _ := s.Levels(now.Add(d))
		all = append(all, l)
	}
	return all
}

// quiet is LEDs that have nothing to say but what lasts.
func (r *rig) quiet() *light.State {
	s := light.New(r.wiring)
	s.Conditions, s.Lit, s.Guess = r.light.Conditions, r.light.Lit, r.light.Guess
	return s
}

// shows demands that the LEDs look, from now on, as after say on LEDs that had
// nothing else to say than what lasts.
func (r *rig) shows(t *testing.T, what string, say func(*light.State)) {
	t.Helper()
	fresh := r.quiet()
	say(fresh)
	want := timeline(fresh, r.now)
	if slices.Equal(want, timeline(r.quiet(), r.now)) {
		t.Fatalf("%s: nothing would be seen of it", what)
	}
	if got := timeline(r.light, r.now); !slices.Equal(got, want) {
		t.Errorf("%s: the LEDs say something else than expected", what)
	}
}

func TestGestures(t *testing.T) {
	tests := []struct {
		name, script string
		until        int // ms
		want         []string
		locked       []string // what happens if teaching is locked
	}{
		{"tap", "2000:1+ 2100:1-", 4000,
			[]string{"2000: sample class 1 #1", "2100: release class 1 #1"},
			[]string{"2000: [refused] class 1"}},
		{"hold", "2000:3+ 2900:3-", 4000,
			[]string{"2000: sample class 3 #1", "2400: sample class 3 #1", "2600: sample class 3 #1", "2800: sample class 3 #1", "2900: release class 3 #1"},
			[]string{"2000: [refused] class 3"}},
		{"held twice", "2000:3+ 2500:3- 3000:3+ 3500:3-", 4000,
			[]string{"2000: sample class 3 #1", "2400: sample class 3 #1", "2500: release class 3 #1",
				"3000: sample class 3 #2", "3400: sample class 3 #2", "3500: release class 3 #2"},
			[]string{"2000: [refused] class 3", "3000: [refused] class 3"}},
		{"two held", "2000:1+ 2000:2+ 2900:1- 2900:2-", 2500,
			[]string{"2000: sample class 1 #1", "2000: sample class 2 #2", "2400: sample class 1 #1", "2400: sample class 2 #2",
				"2600: sample class 1 #1", "2600: sample class 2 #2", "2800: sample class 1 #1", "2800: sample class 2 #2",
				"2900: release class 1 #1", "2900: release class 2 #2"},
			[]string{"2000: [refused] class 1", "2000: [refused] class 2"}},
		{"nothing tapped", "2000:n+ 2100:n-", 4000,
			[]string{"2100: sample nothing #1", "2600: sample nothing #1", "3100: sample nothing #1", "3100: release nothing #1"},
			[]string{"2100: [refused] nothing"}},
		{"two at once", "2000:1+ 2000:2+ 2100:1- 2100:2-", 4000,
			[]string{"2000: sample class 1 #1", "2000: sample class 2 #2", "2100: release class 1 #1", "2100: release class 2 #2"},
			[]string{"2000: [refused] class 1", "2000: [refused] class 2"}},
		{"take back", "2000:n+ 2100:2+ 2200:2- 2300:n-", 4000,
			[]string{"2200: take back class 2"},
			[]string{"2200: [refused] class 2"}},
		{"forget", "2000:n+ 2100:2+", 6000,
			[]string{"4100: forget class 2"},
			[]string{"2500: [refused] class 2"}},
		{"forgetting cancelled", "2000:n+ 2100:2+ 3000:2- 3100:n-", 6000,
			nil,
			[]string{"2500: [refused] class 2"}},
		{"new lesson", "2000:n+ 7500:n-", 9000,
			[]string{"7000: new nothing"},
			[]string{"2400: [refused] nothing"}},
		{"new lesson cancelled", "2000:n+ 6900:n-", 9000,
			nil,
			[]string{"2400: [refused] nothing"}},
		{"no such button", "2000:7+ 2100:7-", 4000, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, locked := range []bool{false, true} {
				r := newRig(Options{Locked: locked}, lesson.Contents{})
				r.play(t, test.script)
				r.until(epoch.Add(time.Duration(test.until) * ms))
				want := test.want
				if locked {
					want = nil
					for _, s := range test.locked {
						want = append(want, s+": "+ErrLocked.Error())
					}
				}
				if diff := cmp.Diff(want, r.log); diff != "" {
					t.Errorf("locked %t (-want +got):\n%s", locked, diff)
				}
			}
		})
	}
}

func TestStuckButton(t *testing.T) {
	for script, want := range map[string][]string{
		"2000:4+ 62200:4-": {"62000: button 4: " + errStuck.Error(), "62200: button 4: well"},
		"2000:n+ 62200:n-": {"62000: nothing button: " + errStuck.Error(), "62200: nothing button: well"},
	} {
		r := newRig(Options{}, lesson.Contents{})
		r.play(t, script)
		got := slices.DeleteFunc(r.log, func(s string) bool { return !strings.Contains(s, "button") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: effects (-want +got):\n%s", script, diff)
		}
	}
}

// TestStuckTwice has two sources of one button stuck.
func TestStuckTwice(t *testing.T) {
	r := newRig(Options{}, lesson.Contents{})
	edge := func(at int, s device.Source, down bool) {
		r.until(epoch.Add(time.Duration(at) * time.Second))
		r.do(&input{kind: inEdge, edge: device.Edge{Source: s, Button: 1, Down: down, At: r.now}})
	}
	edge(2, device.FromPanel, true)
	edge(2, device.FromPage, true)
	r.until(epoch.Add(63 * time.Second))
	r.log = nil
	edge(63, device.FromPanel, false)
	edge(64, device.FromPage, false)
	if diff := cmp.Diff([]string{"64000: button 2: well"}, r.log); diff != "" {
		t.Errorf("effects when one source after the other is free (-want +got):\n%s", diff)
	}
}

// TestStuckIsNoFault says that the LEDs tell of no fault: the rest works.
func TestStuckIsNoFault(t *testing.T) {
	r := newRig(Options{}, taught(map[device.Button]int{1: 2, device.Nothing: 1}))
	r.lightUp(1)
	r.log = nil
	r.well(supervise.Problem{Part: partOf(1), Err: errStuck})
	if r.light.Conditions != light.Well || r.light.Lit != 1 {
		t.Errorf("conditions %b, slot %d lit (want none, and slot 1)", r.light.Conditions, r.light.Lit)
	}
	want := []string{"1100: [health] class 1 button 2: " + errStuck.Error()}
	if diff := cmp.Diff(want, r.log); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestCountdowns looks at what the LEDs say while a gesture lasts.
func TestCountdowns(t *testing.T) {
	now := epoch.Add(2500 * ms)
	tests := []struct {
		name, script string // the script ends before 2.5 s
		want         func(*light.State)
	}{
		{"forgetting", "2000:n+ 2050:2+", func(s *light.State) { s.CountForget(1, epoch.Add(2450*ms), epoch.Add(4050*ms)) }},
		{"a new lesson", "2050:n+", func(s *light.State) { s.CountNew(epoch.Add(2450*ms), epoch.Add(7050*ms)) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(Options{}, lesson.Contents{})
			r.play(t, test.script)
			r.until(now)
			r.shows(t, "the countdown", test.want)

			r = newRig(Options{}, lesson.Contents{})
			r.play(t, test.script+" 2500:n-")
			got := timeline(r.light, r.now)
			if quiet := timeline(newRig(Options{}, lesson.Contents{}).light, r.now); !slices.Equal(got, quiet) {
				t.Error("letting go does not end the countdown")
			}
		})
	}
}

func TestOutcomes(t *testing.T) {
	after := taught(map[device.Button]int{2: 3})
	failed := errors.New("no")
	kept := lesson.Example{ID: "an example", Seq: 7}
	request := func(a action, b device.Button) request { return request{action: a, button: b, press: 5} }
	tests := []struct {
		name  string
		out   outcome
		event string // "" for none
		shows func(*light.State, time.Time)
	}{
		{"kept", outcome{request: request(actSample, 2), kept: kept}, "[kept] class 3 #5",
			func(s *light.State, t time.Time) { s.Wink(2, t) }},
		{"nothing kept", outcome{request: request(actSample, device.Nothing), kept: kept}, "[kept] nothing #5",
			func(s *light.State, t time.Time) { s.Wink(device.Nothing, t) }},
		{"skipped", outcome{request: request(actSample, 2), skipped: true}, "[skipped] class 3 #5",
			func(s *light.State, t time.Time) { s.Tick(2, t) }},
		{"one too many", outcome{request: request(actSample, 2), full: true}, "", nil},
		{"sample refused", outcome{request: request(actSample, 2), err: failed}, "[refused] class 3: no",
			func(s *light.State, t time.Time) { s.Refuse(t) }},
		{"released", outcome{request: request(actRelease, 2)}, "", nil},
		{"taken back", outcome{request: request(actTakeBack, 2)}, "[taken back] class 3 #5",
			func(s *light.State, t time.Time) { s.WinkTwice(2, t) }},
		{"nothing to take back", outcome{request: request(actTakeBack, 2), err: failed}, "[refused] class 3: no",
			func(s *light.State, t time.Time) { s.Refuse(t) }},
		{"forgotten", outcome{request: request(actForget, 2)}, "[forgotten] class 3 #5",
			func(s *light.State, t time.Time) { s.Forgot(2, t) }},
		{"nothing to forget", outcome{request: request(actForget, 2), err: failed}, "[refused] class 3: no",
			func(s *light.State, t time.Time) { s.Refuse(t) }},
		{"new lesson", outcome{request: request(actNew, device.Nothing)}, "[new lesson] nothing #5",
			func(s *light.State, t time.Time) { s.NewLesson(t) }},
		{"restored", outcome{request: request(actNew, device.Nothing), restored: true}, "[restored] nothing #5",
			func(s *light.State, t time.Time) { s.Restored(t) }},
		{"nothing to restore", outcome{request: request(actNew, device.Nothing), restored: true, err: failed}, "[refused] nothing: no",
			func(s *light.State, t time.Time) { s.Refuse(t) }},
		{"read again", outcome{}, "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(Options{}, lesson.Contents{})
			if test.out.action != 0 {
				r.waiting = 1
			}
			test.out.contents = after
			r.do(&input{kind: inOutcome, outcome: test.out})
			var want []string
			if test.event != "" {
				want = []string{"1000: " + test.event}
			}
			if diff := cmp.Diff(want, r.log); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if r.waiting != 0 {
				t.Errorf("%d requests are thought to wait", r.waiting)
			}
			if diff := cmp.Diff(after, r.machine.contents); diff != "" {
				t.Errorf("contents (-want +got):\n%s", diff)
			}
			if test.shows == nil {
				if !slices.Equal(timeline(r.light, r.now), timeline(r.quiet(), r.now)) {
					t.Error("the LEDs say something")
				}
				return
			}
			r.shows(t, test.name, func(s *light.State) { test.shows(s, r.now) })
		})
	}
}

// TestRefusedOncePerPress holds a button while nothing can be kept.
func TestRefusedOncePerPress(t *testing.T) {
	r := newRig(Options{}, lesson.Contents{})
	refused := func(a action, press int) {
		r.do(&input{kind: inOutcome, outcome: outcome{request: request{action: a, button: 2, press: press}, err: errors.New("no")}})
	}
	for range 3 {
		refused(actSample, 5)
	}
	refused(actSample, 6)
	for range 2 {
		refused(actTakeBack, 0)
	}
	if want := slices.Repeat([]string{"1000: [refused] class 3: no"}, 4); !slices.Equal(r.log, want) {
		t.Errorf("events %q (want one for each of two presses and two operations)", r.log)
	}
}

func TestKeptEventCarriesTheExample(t *testing.T) {
	r := newRig(Options{}, lesson.Contents{})
	kept := lesson.Example{ID: "an example", Seq: 7}
	out := r.step(r.now, &input{kind: inOutcome, outcome: outcome{request: request{action: actSample}, kept: kept}})
	if len(out) != 1 || out[0].event.Example != kept {
		t.Errorf("effects %+v (want one event with %+v)", out, kept)
	}
	f := new(lesson.Fold)
	out = r.step(r.now, &input{kind: inNews, news: news{fold: f}})
	if len(out) != 1 || out[0].event.Kind != Learned || out[0].event.Fold != f {
		t.Errorf("effects %+v (want one event with the fold)", out)
	}
}

func TestNewLessonPutsTheVerdictOut(t *testing.T) {
	r := newRig(Options{}, taught(map[device.Button]int{1: 2}))
	r.lightUp(1)
	r.log = nil
	r.do(&input{kind: inOutcome, outcome: outcome{request: request{action: actNew, button: device.Nothing}}})
	want := []string{"1100: [verdict] nothing", "1100: [new lesson] nothing"}
	if diff := cmp.Diff(want, r.log); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if r.light.Lit != light.None {
		t.Errorf("slot %d is still lit", r.light.Lit)
	}
}

// TestGone asks a head that still knows a class which is gone.
func TestGone(t *testing.T) {
	for _, test := range []struct {
		name   string
		action action
		after  map[device.Button]int
	}{
		{"forgotten", actForget, map[device.Button]int{2: 2}},
		{"its last press taken back", actTakeBack, map[device.Button]int{1: 0, 2: 2}},
		{"a new lesson", actNew, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(Options{}, taught(map[device.Button]int{1: 2, 2: 2}))
			r.lightUp(1)
			r.log = nil
			r.do(&input{kind: inOutcome, outcome: outcome{request: request{action: test.action, button: 1}, contents: taught(test.after)}})
			if r.light.Lit != light.None || !slices.Contains(r.log, "1100: [verdict] nothing") {
				t.Errorf("slot %d is lit; events %q (want none lit, and the verdict told)", r.light.Lit, r.log)
			}
			for range 3 {
				r.lightUp(1)
			}
			if r.light.Lit != light.None {
				t.Errorf("slot %d lights again before the next head", r.light.Lit)
			}
		})
	}

	// Another class of the same slot is not what the head answered with.
	r := newRig(Options{}, taught(map[device.Button]int{1: 2}))
	r.contents.Classes[0].ID = "another"
	r.lightUp(1)
	if r.light.Lit != light.None {
		t.Error("the answer of a class that is gone lights another one")
	}

	r = newRig(Options{}, taught(map[device.Button]int{6: 2}))
	r.lightUp(6)
	if r.light.Lit != light.None || r.verdict.lit != unknown {
		t.Errorf("slot %d of a panel with four lights", r.verdict.lit)
	}
}

// TestOtherOperationsLeaveTheVerdict keeps a frame while another class is lit.
func TestOtherOperationsLeaveTheVerdict(t *testing.T) {
	r := newRig(Options{}, taught(map[device.Button]int{1: 2}))
	r.lightUp(1)
	r.do(&input{kind: inOutcome, outcome: outcome{request: request{action: actSample, button: 2}, contents: taught(map[device.Button]int{1: 2, 2: 1})}})
	if r.light.Lit != 1 {
		t.Error("a frame kept for another class puts the verdict out")
	}
}

func TestVerdict(t *testing.T) {
	r := newRig(Options{}, taught(map[device.Button]int{1: 2, 2: 2, device.Nothing: 1}))
	r.lightUp(1)
	r.now = r.now.Add(100 * ms)
	r.see(1)
	r.lightUp(2)
	r.lightUp(unknown)
	want := []string{"1100: [verdict] class 2 known", "1300: [verdict] class 3 known", "1400: [verdict] nothing"}
	if diff := cmp.Diff(want, r.log); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// faults are the parts in order of precedence, each with its condition.
func faults() []struct {
	part string
	c    light.Conditions
} {
	return []struct {
		part string
		c    light.Conditions
	}{
		{partCamera, light.FaultCamera}, {partPicture, light.FaultCamera},
		{partStorage, light.FaultStorage}, {PartLessonFile, light.FaultStorage},
		{partModel, light.FaultSoftware}, {partLesson, light.FaultSoftware}, {partPanel, light.FaultSoftware},
		{partLights, light.FaultSoftware}, {PartConfiguration, light.FaultSoftware},
	}
}

func TestHealth(t *testing.T) {
	broken := errors.New("broken")
	for i, f := range faults() {
		t.Run(f.part, func(t *testing.T) {
			r := newRig(Options{}, taught(map[device.Button]int{device.Nothing: 1}))
			problem := supervise.Problem{Part: f.part, Err: broken}
			r.well(problem)
			r.well(problem)
			if got := r.light.Conditions; got != f.c {
				t.Errorf("conditions %b (want %b)", got, f.c)
			}
			problem.Err = errors.New("worse")
			r.well(problem)
			r.well()
			if got := r.light.Conditions; got != f.c {
				t.Errorf("conditions %b at once when it is well again (want %b, until it could be counted)", got, f.c)
			}
			r.until(r.now.Add(countable))
			r.do(&input{})
			if got := r.light.Conditions; got != light.Well {
				t.Errorf("conditions %b when it is well again", got)
			}
			want := []string{
				"1000: [health] class 1 " + f.part + ": broken",
				"1000: [health] class 1 " + f.part + ": worse",
				"1000: [health] class 1 " + f.part,
			}
			if diff := cmp.Diff(want, r.log); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}

			// What matters more is what is shown, whatever else is wrong.
			var all []supervise.Problem
			for _, other := range faults()[i:] {
				all = append(all, supervise.Problem{Part: other.part, Err: broken})
			}
			r.well(all...)
			alone := light.New(r.wiring)
			alone.Conditions = f.c
			if !slices.Equal(timeline(r.light, r.now), timeline(alone, r.now)) {
				t.Errorf("%s is not what shows of it and all that matters less", f.part)
			}
		})
	}
}

// TestBlind says that no verdict stands while there is nothing to see it by.
func TestBlind(t *testing.T) {
	for _, part := range []string{partCamera, partPicture, partModel} {
		t.Run(part, func(t *testing.T) {
			r := newRig(Options{}, taught(map[device.Button]int{1: 2, device.Nothing: 1}))
			r.lightUp(1)
			r.log = nil
			r.well(supervise.Problem{Part: part, Err: errors.New("gone")})
			if r.light.Lit != light.None {
				t.Errorf("slot %d is still lit", r.light.Lit)
			}
			want := []string{"1100: [health] class 1 " + part + ": gone", "1100: [verdict] nothing"}
			if diff := cmp.Diff(want, r.log); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			r.well()
			r.lightUp(1)
			if r.light.Lit != 1 {
				t.Errorf("slot %d is lit when it sees again (want 1)", r.light.Lit)
			}
		})
	}
	r := newRig(Options{}, taught(map[device.Button]int{1: 2}))
	r.lightUp(1)
	if r.well(supervise.Problem{Part: partStorage, Err: errors.New("full")}); r.light.Lit != 1 {
		t.Error("a full disk puts the verdict out")
	}
}

func TestGuess(t *testing.T) {
	for presses, want := range map[int]bool{1: true, 2: false, 9: false} {
		r := newRig(Options{}, taught(map[device.Button]int{1: presses, 2: 9 - presses, device.Nothing: 1}))
		r.lightUp(1)
		if r.light.Guess != want {
			t.Errorf("%d presses: a guess: %t (want %t)", presses, r.light.Guess, want)
		}
	}
	r := newRig(Options{}, taught(map[device.Button]int{1: 1}))
	r.lightUp(1)
	r.do(&input{kind: inOutcome, outcome: outcome{request: request{action: actSample}, contents: taught(map[device.Button]int{1: 2})}})
	if r.light.Guess {
		t.Error("still a guess after the second press")
	}
}

func TestHint(t *testing.T) {
	tests := []struct {
		name   string
		wiring device.Wiring
		taught map[device.Button]int
		want   bool
	}{
		{"empty lesson", fourSlots(), nil, true},
		{"a class", fourSlots(), map[device.Button]int{0: 1}, true},
		{"nothing", fourSlots(), map[device.Button]int{0: 1, device.Nothing: 1}, false},
		{"nothing taken back", fourSlots(), map[device.Button]int{0: 1, device.Nothing: 0}, true},
		{"no such button", device.Wiring{Slots: 2, Status: true}, map[device.Button]int{0: 1}, false},
	}
	for _, test := range tests {
		r := newRig(Options{}, taught(test.taught))
		r.wiring = test.wiring
		r.do(&input{})
		if got := r.light.Conditions&light.Hint != 0; got != test.want {
			t.Errorf("%s: hint %t (want %t)", test.name, got, test.want)
		}
	}
}

func TestBusyUntilSomethingWasSeen(t *testing.T) {
	r := &rig{machine: New(Parts{Wiring: fourSlots(), Lessons: fixed{}}, Options{}).machine, now: epoch}
	r.do(&input{})
	if r.light.Conditions&light.Busy == 0 {
		t.Error("not busy at the start")
	}
	r.see(unknown)
	if r.light.Conditions&light.Busy != 0 {
		t.Error("still busy when a frame was seen")
	}
}

func TestNight(t *testing.T) {
	r := newRig(Options{}, taught(map[device.Button]int{device.Nothing: 1}))
	dark := func() {
		r.do(&input{kind: inLook, look: look{taken: r.now, opinion: opinion{slot: unknown}, fitness: inference.Fitness{Luma: 3}}})
	}
	night := func(want bool, when string) {
		t.Helper()
		if got := r.light.Conditions&light.Asleep != 0; got != want || r.asleep != want {
			t.Errorf("%s: asleep %t, LED %t (want %t)", when, r.asleep, got, want)
		}
	}
	for range 599 {
		dark()
		r.now = r.now.Add(time.Second)
	}
	night(false, "after 9 min 59 s in the dark")
	r.see(unknown) // a door is opened
	for range 600 {
		dark()
		r.now = r.now.Add(time.Second)
	}
	night(false, "after light in between")
	dark()
	night(true, "after ten minutes in the dark")
	r.see(unknown)
	night(false, "at the first light")
}

// TestBacklog holds back a teacher that never answers.
func TestBacklog(t *testing.T) {
	r := newRig(Options{}, lesson.Contents{})
	at := 2000
	for range backlog + 3 {
		r.play(t, fmt.Sprintf("%d:1+ %d:1-", at, at+50))
		at += 100
	}
	r.play(t, fmt.Sprintf("%d:n+ %d:1+ %d:1- %d:n-", at, at+50, at+100, at+150))
	samples, refused := 0, 0
	for _, s := range r.log {
		switch {
		case strings.Contains(s, "sample"), strings.Contains(s, "take back"):
			samples++
		case strings.Contains(s, errBusy.Error()):
			refused++
		}
	}
	// Each press waits with its release.
	if samples != backlog/2 || refused != backlog+3+1-samples {
		t.Errorf("%d requests and %d refusals (want %d and %d)", samples, refused, backlog/2, backlog+3+1-backlog/2)
	}
	r.log = nil
	waits := r.waiting
	for range waits {
		r.do(&input{kind: inOutcome, outcome: outcome{request: request{action: actRelease}}})
	}
	at += 1000
	r.play(t, fmt.Sprintf("%d:1+", at))
	if len(r.log) != 1 || !strings.Contains(r.log[0], "sample") {
		t.Errorf("when the teacher has caught up: %v (want a sample)", r.log)
	}
}

// TestStepAllocatesNothing sees the same frame over and over.
func TestStepAllocatesNothing(t *testing.T) {
	r := newRig(Options{}, taught(map[device.Button]int{1: 2, device.Nothing: 1}))
	in := &input{kind: inLook, look: sees(1)}
	n := testing.AllocsPerRun(1000, func() {
		r.now = r.now.Add(66 * ms)
		in.look.taken = r.now
		r.step(r.now, in)
		r.light.Levels(r.now)
	})
	if n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func TestEventKindString(t *testing.T) {
	seen := make(map[string]bool)
	for k := Looked; k <= Unlocked; k++ {
		s := k.String()
		if s == "" || strings.Contains(s, "EventKind") || seen[s] {
			t.Errorf("kind %d is called %q", k, s)
		}
		seen[s] = true
	}
	for _, k := range []EventKind{0, Unlocked + 1} {
		if want := fmt.Sprintf("EventKind(%d)", k); k.String() != want {
			t.Errorf("%d is called %q (want %q)", k, k, want)
		}
	}
}

// TestFault is the table of what rhythm a problem plays.
func TestFault(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		problem supervise.Problem
		want    light.Conditions
	}{
		{supervise.Problem{Part: partCamera, Err: broken}, light.FaultCamera},
		{supervise.Problem{Part: partPicture, Err: broken}, light.FaultCamera},
		{supervise.Problem{Part: partStorage, Err: broken}, light.FaultStorage},
		{supervise.Problem{Part: partBackup, Err: broken}, light.FaultStorage},
		{supervise.Problem{Part: PartLessonFile, Err: broken}, light.FaultStorage},
		{supervise.Problem{Part: partPanel, Err: broken}, light.FaultSoftware},
		{supervise.Problem{Part: partLights, Err: broken}, light.FaultSoftware},
		{supervise.Problem{Part: partModel, Err: broken}, light.FaultSoftware},
		{supervise.Problem{Part: partLesson, Err: errOtherSpace}, light.FaultSoftware},
		{supervise.Problem{Part: PartConfiguration, Err: broken}, light.FaultSoftware},
		{supervise.Problem{Part: "whatever else", Err: broken}, light.FaultSoftware},
		{supervise.Problem{Part: partAside, Err: asideError(lesson.Result{})}, 0},
		{supervise.Problem{Part: partLeftOut, Err: leftOutError(1, 2)}, 0},
		{supervise.Problem{Part: partOf(3), Err: errStuck}, 0},
	} {
		if got := Fault(test.problem); got != test.want {
			t.Errorf("%s: %v (want %v)", test.problem.Part, got, test.want)
		}
	}
}

// TestBusyWhileRecomputing shows that it works, and no verdict.
func TestBusyWhileRecomputing(t *testing.T) {
	r := newRig(Options{}, taught(map[device.Button]int{1: 2, device.Nothing: 1}))
	r.lightUp(1)
	r.log = nil
	r.do(&input{kind: inNews, news: news{recomputing: lesson.Coverage{Have: 1, Pending: 2}}})
	if r.light.Conditions != light.Busy || r.verdict.lit != unknown {
		t.Errorf("conditions %v, lit %d (want busy, and dark)", r.light.Conditions, r.verdict.lit)
	}
	r.do(&input{kind: inNews, news: news{fold: everything()}})
	if r.light.Conditions != 0 {
		t.Errorf("conditions %v when it is done", r.light.Conditions)
	}
	want := []string{"1100: [verdict] nothing", "1100: [learned] class 1"}
	if diff := cmp.Diff(want, r.log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRewire begins with another panel: presses are counted on, what was stuck
// is not any more, and a slot that is not there is not lit.
func TestRewire(t *testing.T) {
	r := newRig(Options{}, taught(map[device.Button]int{1: 2, 3: 2, device.Nothing: 1}))
	r.play(t, "2000:1+ 2100:1- 3000:2+ 70000:4+ 70010:4-")
	r.lightUp(3)
	r.log, r.waiting = nil, 0
	r.do(&input{kind: inWiring, wiring: device.Wiring{Slots: 2, Nothing: true}})
	if r.verdict.lit != unknown {
		t.Errorf("slot %d is lit", r.verdict.lit)
	}
	r.now = r.now.Add(2 * time.Second)
	r.play(t, "80000:1+ 80100:1- 81000:4+")
	want := []string{
		"70110: release class 1",
		"70110: button 2: well",
		"70110: [verdict] nothing",
		"80000: sample class 1 #4",
		"80100: release class 1 #4",
	}
	if diff := cmp.Diff(want, r.log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

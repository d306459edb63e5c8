package sim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
)

const sample = `# teach a cup and a leaf
show cup
tap 1 # once
	expect kept 1 within 500ms

show leaf/2
hold 2 2s
hold nothing
release nothing
say hold it #1 still
repeat 2 {
  clear
  repeat 3 {
  }
  wait 1m30s
}
expect led 8 within 3s
expect dark within 1s
`

func TestParse(t *testing.T) {
	got, err := Parse("lesson.txt", strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	want := []step{
		{line: 2, verb: "show", text: "cup"},
		{line: 3, verb: "tap", button: 0, time: 100 * time.Millisecond},
		{line: 4, verb: "kept", number: 1, time: 500 * time.Millisecond},
		{line: 6, verb: "show", text: "leaf/2"},
		{line: 7, verb: "hold", button: 1, time: 2 * time.Second},
		{line: 8, verb: "hold", button: device.Nothing},
		{line: 9, verb: "release", button: device.Nothing},
		{line: 10, verb: "say", text: "hold it"},
		{line: 11, verb: "repeat", number: 2, body: []step{
			{line: 12, verb: "clear"},
			{line: 13, verb: "repeat", number: 3},
			{line: 15, verb: "wait", time: 90 * time.Second},
		}},
		{line: 17, verb: "led", button: 7, time: 3 * time.Second},
		{line: 18, verb: "dark", time: time.Second},
	}
	if diff := cmp.Diff(want, got.steps, cmp.AllowUnexported(step{})); diff != "" {
		t.Error(diff)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"shwo cup":                               `:1: there is no step "shwo"; choose show`,
		"\n# x\nshow":                            `:3: "show" cannot be read; write show NAME`,
		"show #cup":                              ":1: ",
		"clear all":                              "write clear",
		"tap":                                    "write tap BUTTON",
		"tap 9":                                  `there is no button "9"; choose 1 to 8 or nothing`,
		"tap 0":                                  `there is no button "0"`,
		"tap 1 2s":                               "write tap BUTTON",
		"hold":                                   "write hold BUTTON [DURATION]",
		"hold 1 2":                               `"2" is not a duration that fits`,
		"hold 1 -2s":                             "not a duration that fits",
		"hold 1 25h":                             "not a duration that fits",
		"release":                                "write release BUTTON",
		"release x":                              "there is no button",
		"wait":                                   "write wait DURATION",
		"wait 0s":                                "not a duration that fits",
		"expect":                                 "this expectation cannot be read",
		"expect led 1":                           "this expectation cannot be read",
		"expect led within 3s":                   "this expectation cannot be read",
		"expect dark 1 within 3s":                "this expectation cannot be read",
		"expect led 1 2 within 3s":               "this expectation cannot be read",
		"expect led 9 within 3s":                 "choose 1 to 8",
		"expect led 1 within 999ms":              "999ms is too short to tell; give it 1s or more",
		"expect dark within soon":                `"soon" is not a duration`,
		"expect kept 0 within 1s":                "choose 1 to 1000000",
		"expect rain 1 within 3s":                `"rain" cannot be expected; choose dark, led or kept`,
		"repeat 2":                               "write repeat TIMES {",
		"repeat 0 {\n}":                          "choose 1 to 1000",
		"repeat 2 {\nclear":                      ":1: repeat without a }",
		"clear\n}":                               ":2: } without a repeat",
		strings.Repeat("repeat 1 {\n", 5):        ":5: more than 4 repeats",
		strings.Repeat("\n", maxLines) + "clear": ":10001: more than 10000 lines",
		"clear\nsay " + strings.Repeat("x", maxLine): ":2: longer than 1000 bytes",
	} {
		_, err := Parse("a.txt", strings.NewReader(text))
		if err == nil || !strings.HasPrefix(err.Error(), "a.txt:") || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%.40q) returned %v (want a.txt%s)", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("repeat 2 {\nrepeat 2 {\n}\n}")
	f.Add("expect led 1 within 3s\nexpect")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("a.txt", strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "a.txt:") {
				t.Errorf("the error %q does not begin with the place", err)
			}
			return
		}
		check(t, s.steps)
	})
}

// check reports steps that Run could not play.
func check(t *testing.T, steps []step) {
	for _, s := range steps {
		if s.button > device.Nothing || s.time < 0 || s.time > maxWait || s.line < 1 ||
			s.verb == "repeat" && (s.number < 1 || s.number > maxRepeat) || s.verb == "show" && s.text == "" {
			t.Errorf("impossible step %+v", s)
		}
		check(t, s.body)
	}
}

// A toy is a box that remembers names: a button down teaches it the name of
// what lies on the desk, and its LEDs show the button of a name that it knows.
type toy struct {
	desk  string
	panel *Panel
	known map[string]device.Button
	kept  int
	said  []string
	shown []string
}

func (b *toy) Show(name string) error {
	if name == "ghost" {
		return errors.New("desk: there is no ghost")
	}
	b.desk = name
	b.shown = append(b.shown, name)
	return b.light()
}

func (b *toy) Clear() {
	b.desk = ""
	_ = b.light()
}

func (b *toy) light() error {
	button, ok := b.known[b.desk]
	if !ok || button == device.Nothing {
		return b.panel.Show(device.Status)
	}
	return b.panel.Show(device.Status | device.Slot(int(button)))
}

// newToy starts a toy, which ends with the test.
func newToy(t *testing.T) (*toy, Box) {
	b := &toy{
		panel: newPanel(t, PanelOptions{Wiring: device.Wiring{Slots: 4, Nothing: true, Status: true}}),
		known: make(map[string]device.Button),
	}
	if err := b.panel.Show(device.Status); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.panel.Watch(ctx, func(e device.Edge) {
			if e.Down && b.desk != "mute" {
				b.known[b.desk] = e.Button
				b.kept++
				_ = b.light()
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return b, Box{
		Desk: b, Panel: b.panel,
		Kept: func() int { return b.kept },
		Say:  func(text string) { b.said = append(b.said, text) },
	}
}

func play(t *testing.T, text string, box Box) error {
	t.Helper()
	s, err := Parse("lesson.txt", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Run(t.Context(), box)
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, box := newToy(t)
		began := time.Now()
		err := play(t, `
			say teach it
			expect dark within 2s
			show cup
			tap 1
			expect kept 1 within 1s
			show leaf
			hold nothing
			wait 200ms
			release nothing
			expect dark within 1s
			repeat 2 {
				show fish
				hold 3 300ms
			}
			expect kept 4 within 1s
			show cup
			expect led 1 within 2s
			clear
			expect dark within 2s
			show fish
			expect led 3 within 2s
			hold 4`, box)
		if err != nil {
			t.Error(err)
		}
		// Five answers of a second each, a tap, a wait and two holds: all kept
		// examples were there at once.
		if got, want := time.Since(began), 5900*time.Millisecond; got != want {
			t.Errorf("the script took %v (want %v)", got, want)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"cup", "leaf", "fish", "fish", "cup", "fish"}, b.shown); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"teach it"}, b.said); diff != "" {
			t.Error(diff)
		}
		if b.panel.Down(3) {
			t.Error("button 4 is still down after the script")
		}
	})
}

func TestRunErrors(t *testing.T) {
	for text, want := range map[string]string{
		"show cup\ntap 1\nshow leaf\nexpect led 1 within 2s": "lesson.txt:4: expected LED 1 within 2s, but the LEDs show ○○○○ ●",
		"show cup\ntap 1\nexpect led 2 within 2s":            "lesson.txt:3: expected LED 2 within 2s, but the LEDs show ●○○○ ●",
		"show cup\ntap 1\nexpect dark within 2s":             "lesson.txt:3: expected dark within 2s, but the LEDs show ●○○○ ●",
		"show mute\ntap 1\nexpect kept 1 within 2s":          "lesson.txt:3: expected 1 examples kept within 2s, but there are 0; the LEDs show ○○○○ ●",
		"show ghost":              "lesson.txt:1: desk: there is no ghost",
		"repeat 3 {\n\n tap 5\n}": "lesson.txt:3: there is no button 5: choose 1 to 4 or nothing",
	} {
		synctest.Test(t, func(t *testing.T) {
			_, box := newToy(t)
			if err := play(t, text, box); err == nil || err.Error() != want {
				t.Errorf("%q:\ngot  %v\nwant %s", text, err, want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		_, box := newToy(t)
		box.Kept, box.Say = nil, nil
		err := play(t, "say hello\nexpect kept 1 within 1s", box)
		if err == nil || !strings.Contains(err.Error(), "expect its LEDs instead") {
			t.Errorf("without Kept: %v", err)
		}
	})
}

func TestRunEnds(t *testing.T) {
	for _, text := range []string{
		"wait 1h", "hold 1 1h", "expect dark within 1h", "expect kept 5 within 1h",
		"repeat 1000 {\nrepeat 1000 {\nwait 1s\n}\n}",
	} {
		synctest.Test(t, func(t *testing.T) {
			b, box := newToy(t)
			if err := b.panel.Show(1); err != nil { // never dark
				t.Fatal(err)
			}
			s, err := Parse("a.txt", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := s.Run(ctx, box); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%q: Run returned %v (want a deadline exceeded)", text, err)
			}
			if b.panel.Down(0) {
				t.Errorf("%q: the button is still down", text)
			}
		})
	}
}

// TestExpectedLights: which courses of the LEDs say that LED 1 is lit, and which
// that all are dark. Each entry is one LED pattern and how long it lasts; the
// course goes round and round.
func TestExpectedLights(t *testing.T) {
	type phase struct {
		lights device.Lights
		ms     time.Duration
	}
	for name, test := range map[string]struct {
		course    []phase
		led, dark bool
	}{
		"on":                 {[]phase{{1, 1000}}, true, false},
		"off":                {[]phase{{0, 1000}}, false, true},
		"another":            {[]phase{{2, 1000}}, false, false},
		"blinking":           {[]phase{{1, 400}, {0, 400}}, true, false},
		"a wink":             {[]phase{{0, 300}, {1, 150}, {0, 1550}}, false, true},
		"two winks":          {[]phase{{0, 300}, {1, 150}, {0, 150}, {1, 150}, {0, 1550}}, false, true},
		"a wink while on":    {[]phase{{1, 900}, {0, 150}}, true, false},
		"another winks":      {[]phase{{1, 1200}, {3, 150}}, true, false},
		"two in turn":        {[]phase{{1, 400}, {2, 400}}, false, false},
		"a sweep while dark": {[]phase{{1, 100}, {2, 100}, {0, 1500}}, false, true},
		"status":             {[]phase{{device.Status, 100}, {0, 100}}, false, true},
		"status while on":    {[]phase{{device.Status | 1, 100}, {1, 100}}, true, false},
	} {
		for want, expected := range map[string]bool{"led 1": test.led, "dark": test.dark} {
			synctest.Test(t, func(t *testing.T) {
				b, box := newToy(t)
				done := make(chan struct{})
				defer func() { <-done }()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					defer close(done)
					for i := 0; ctx.Err() == nil; i++ {
						p := test.course[i%len(test.course)]
						_ = b.panel.Show(p.lights)
						_ = sleep(ctx, p.ms*time.Millisecond)
					}
				}()
				synctest.Wait()
				err := play(t, "expect "+want+" within 4s", box)
				if (err == nil) != expected {
					t.Errorf("%s: expect %s returned %v", name, want, err)
				}
			})
		}
	}
}

package main

import (
	"context"
	"fmt"
	"image"
	_ "image/jpeg"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/frame"
	"teachbox/inference"
	"teachbox/inference/graph"
	"teachbox/inference/head"
	"teachbox/internal/benchdata"
	"teachbox/internal/box"
	"teachbox/internal/eval"
	"teachbox/internal/lesson"
)

// simulated is the default configuration with a simulated camera and the real
// model.
func simulated(t testing.TB) *config.Config {
	t.Setenv(modelsEnv, filepath.Join(benchdata.Root(t), "models"))
	t.Setenv("TEACHBOX_CONFIG", emptyConfig(t))
	cfg := config.Default()
	cfg.Camera.Source, cfg.Panel.Source = config.SourceSim, config.SourceSim
	return cfg
}

// A sighting is one frame that the box looked at, and what its LEDs said then.
type sighting struct {
	frame frame.Frame
	slot  int // lit, or -1
	thing string
}

// A lab is a whole box in a synctest bubble, with a record of what it saw.
type lab struct {
	*appliance
	t *testing.T

	mu     sync.Mutex
	recent []frame.Frame // the newest frames of the camera
	record bool
	seen   []sighting
	events []box.Event
}

// Recent frames are kept so that the one of a look is still at hand when the
// look is told.
const recentFrames = 16

func startLab(t *testing.T, cfg *config.Config, state string) (l *lab, stop func()) {
	t.Helper()
	l = &lab{t: t}
	a, err := assemble(cfg, assembly{state: state, observe: l.observe, onFrame: l.onFrame})
	if err != nil {
		t.Fatal(err)
	}
	l.appliance = a
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.box.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if a.panel.Lights() != 0 {
			t.Errorf("LEDs after the end: %v", a.panel.Lights())
		}
		if err := a.store.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return l, stop
}

func (l *lab) onFrame(f frame.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.Pix = slices.Clone(f.Pix)
	l.recent = append(l.recent, f)
	if len(l.recent) > recentFrames {
		l.recent = slices.Delete(l.recent, 0, 1)
	}
}

func (l *lab) observe(e box.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Kind != box.Looked {
		l.events = append(l.events, e)
		return
	}
	if !l.record {
		return
	}
	seq := l.box.Snapshot().Frame
	i := slices.IndexFunc(l.recent, func(f frame.Frame) bool { return f.Seq == seq })
	if i < 0 {
		l.t.Errorf("the box looked at frame %d, which the camera did not just give", seq)
		return
	}
	l.seen = append(l.seen, sighting{l.recent[i], litSlot(l.panel.Lights(), l.wiring), l.desk.Shown()})
}

// litSlot reads the class LEDs as a person does.
func litSlot(l device.Lights, w device.Wiring) int {
	for slot := range w.Slots {
		if l&device.AllSlots(w.Slots) == device.Slot(slot) {
			return slot
		}
	}
	return -1
}

// count is the number of events of a kind so far.
func (l *lab) count(kind box.EventKind) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, e := range l.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// teach shows a thing and taps a button for it, and waits for the wink.
func (l *lab) teach(thing string, b device.Button) {
	l.t.Helper()
	l.put(thing)
	time.Sleep(300 * time.Millisecond)
	want := l.count(box.Kept) + 1
	if b == device.Nothing {
		want += 2 // three frames a tap
	}
	if err := l.panel.Tap(b, 100*time.Millisecond); err != nil {
		l.t.Fatal(err)
	}
	for range 60 {
		time.Sleep(50 * time.Millisecond)
		if l.count(box.Kept) >= want {
			time.Sleep(300 * time.Millisecond) // the fold
			return
		}
	}
	l.t.Fatalf("%s was not kept for %v within 3 s: %+v", thing, b, l.box.Snapshot().Problems)
}

// put lays a thing on the desk; "" clears it.
func (l *lab) put(thing string) {
	l.t.Helper()
	if thing == "" {
		l.desk.Clear()
		return
	}
	if err := l.desk.Show(thing); err != nil {
		l.t.Fatal(err)
	}
}

// ask shows a thing and returns the slot whose LED is lit for it.
func (l *lab) ask(thing string) int {
	l.t.Helper()
	l.put(thing)
	return l.answer()
}

// answer waits as long as a new verdict may take, and reads the LEDs.
func (l *lab) answer() int {
	time.Sleep(330 * time.Millisecond)
	return litSlot(l.panel.Lights(), l.wiring)
}

func (l *lab) startRecording() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record = true
}

// led follows the rule for the class LEDs, written down a second time and from
// its description: a verdict lights when it has held for two frames and 100 ms
// and outlives one dissenting frame; four frames that agree with nothing make
// it dark; the lit class may fall 0.02 below the threshold.
type led struct {
	lit     int
	history []int // verdicts since the lit one was seen last
	times   []time.Time
}

func (l *led) next(a *head.Answer, slots []int, theta float64, at time.Time) int {
	verdict := -1
	if a.Verdict != head.None {
		verdict = slots[a.Verdict]
	} else if slots[a.Winner] == l.lit && a.Accept >= theta-0.02 {
		verdict = l.lit
	}
	if verdict == l.lit {
		l.history, l.times = nil, nil
		return l.lit
	}
	l.history, l.times = append(l.history, verdict), append(l.times, at)
	n := len(l.history)
	first := n - 1
	for first > 0 && l.history[first-1] == verdict {
		first--
	}
	switch {
	case n-first >= 2 && at.Sub(l.times[first]) >= 100*time.Millisecond:
		l.lit = verdict
	case n >= 4 && n-first == 1:
		l.lit = -1
	default:
		return l.lit
	}
	l.history, l.times = nil, nil
	return l.lit
}

// A plan says what a lesson is taught and asked.
type plan struct {
	taught []string // class of the catalog for each slot
	near   []string // classes that are not taught
	held   int      // pictures of each class to ask about
	// far are pictures from elsewhere, shown over the whole view.
	far []string
	// What the backbone must be able to do: the share of right answers, and
	// to tell the empty desk from the rest.
	least float64
	empty bool
}

// TestLesson is the whole way on real photographs: through the simulated camera
// and buttons four classes and nothing are taught with five presses each, then
// other pictures are shown.
func TestLesson(t *testing.T) {
	if testing.Short() {
		t.Log("the real model takes minutes; the short run leaves it to TestTinyLesson")
		return
	}
	cfg := simulated(t)
	p := plan{
		taught: []string{"backpack", "calculator", "headphones", "mug"},
		near:   []string{"bike", "keyboard", "monitor", "projector"},
		held:   30, least: 0.9, empty: true,
	}
	if photos, ok := benchdata.Path(t, "photos"); ok {
		cfg.Sim.Photos = filepath.Join(photos, "desk")
		for _, set := range []string{"digits", "gesture", "lego"} {
			all, err := eval.Files(filepath.Join(photos, set))
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(all); i += 10 {
				p.far = append(p.far, all[i].Path)
			}
		}
	} else {
		t.Log("drawn objects are shown instead: this run tests the plumbing, not recognition")
		p.taught, p.near, p.held = []string{"ball", "cup", "leaf", "star"}, []string{"fish", "key"}, 7
	}
	p.test(t, cfg)
}

// TestTinyLesson is the same with a tiny backbone and drawn objects.
func TestTinyLesson(t *testing.T) {
	cfg := simulated(t)
	cfg.Model.Source = tinyModel(t)
	p := plan{taught: []string{"ball", "cup", "leaf", "star"}, near: []string{"fish", "key"}, held: 7, least: 0.5}
	p.test(t, cfg)
}

// tinyModel writes the tiny backbone and returns its path.
func tinyModel(t testing.TB) string {
	t.Helper()
	b, err := graph.Tiny(graph.TinyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tiny.tflite")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// test teaches and asks. Frame for frame the LEDs must say what the head of the
// stored lesson says of the same frame, embedded again.
func (p *plan) test(t *testing.T, cfg *config.Config) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l, stop := startLab(t, cfg, state)
		time.Sleep(time.Second)
		for range presses {
			l.teach("", device.Nothing)
		}
		for slot, class := range p.taught {
			for n := range presses {
				l.teach(fmt.Sprintf("%s/%d", class, n+1), device.Button(slot))
			}
		}
		l.startRecording()

		right, asked := 0, 0
		for slot, class := range p.taught {
			for i := range min(p.held, l.desk.Catalog().Count(class)-presses) {
				asked++
				if l.ask(fmt.Sprintf("%s/%d", class, presses+1+i)) == slot {
					right++
				}
			}
		}
		dark, untaught := 0, 0
		for _, class := range p.near {
			for i := range min(p.held, l.desk.Catalog().Count(class)) {
				untaught++
				if l.ask(fmt.Sprintf("%s/%d", class, 1+i)) < 0 {
					dark++
				}
			}
		}
		darkFar := 0
		for _, path := range p.far {
			l.desk.ShowImage(path, decode(t, path))
			if l.answer() < 0 {
				darkFar++
			}
		}
		empty := l.ask("")
		digest := l.box.Snapshot().Fold.Digest
		stop()

		t.Logf("right LED for %d of %d held-out pictures (%.1f %%)", right, asked, 100*float64(right)/float64(asked))
		t.Logf("dark for %d of %d pictures of untaught classes of the same set, for %d of %d of other sets", dark, untaught, darkFar, len(p.far))
		if float64(right) < p.least*float64(asked) {
			t.Errorf("only %d of %d right", right, asked)
		}
		if p.empty && empty >= 0 {
			t.Errorf("LED %d lights for the empty desk, which was taught as nothing", empty+1)
		}
		again(t, cfg, state, l.seen, digest)
	})
}

// presses is how often each class is taught.
const presses = 5

func decode(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return img
}

// again reopens the lesson and answers every frame once more, off the box.
func again(t *testing.T, cfg *config.Config, state string, seen []sighting, digest string) {
	store, err := lesson.Open(lesson.Options{Path: filepath.Join(state, lessonFile)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	e, err := openEmbedder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	fold, err := store.Fold(e.Space())
	if err != nil {
		t.Fatal(err)
	}
	if fold.Digest != digest {
		t.Fatalf("the stored lesson folds to %s, the box answered with %s", fold.Digest, digest)
	}
	slots := make([]int, len(fold.Classes))
	for i, k := range fold.Classes {
		slots[i] = int(k.Button)
		if k.Button == device.Nothing {
			slots[i] = -1
		}
	}
	var a head.Answer
	var look inference.Look
	// What was lit before the first look is not known: the comparison begins
	// once a verdict has had the time to change.
	const settled = 5
	var rule led
	wrong := make(map[string]int)
	for i, s := range seen {
		if err := e.Embed(s.frame, &look); err != nil {
			t.Fatal(err)
		}
		fold.Head.Ask(look.Embedding.Q, &a)
		want := rule.next(&a, slots, fold.Head.Report().Theta, s.frame.Taken)
		if i < settled {
			rule = led{lit: s.slot}
		} else if want != s.slot {
			wrong[s.thing]++
		}
	}
	if len(wrong) > 0 {
		t.Errorf("LEDs and head disagree on frames of %v", slices.Sorted(maps.Keys(wrong)))
	}
	if len(seen) < 100 {
		t.Errorf("only %d frames compared", len(seen))
	}
	t.Logf("%d frames: the LEDs said what the head says of the same frame", len(seen)-settled)
}

//go:build kernel

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/frame"
	"teachbox/device/sim"
	"teachbox/internal/api"
	"teachbox/internal/benchdata"
	"teachbox/internal/virtualpi"
)

// shipped is the arm64 program that owners get, as `make test-kernel` builds it.
func shipped(t *testing.T) string {
	t.Helper()
	path := filepath.Join(benchdata.Root(t), "bin", "teachbox-arm64")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v (make test-kernel builds it)", err)
	}
	return path
}

// somebody is a user without any rights, for what must work without root.
const somebody = 1000

// A bench is a computer with a panel wired to its GPIO chip, on which the
// program that ships is run.
type bench struct {
	t      *testing.T
	dir    string
	config string
	wiring device.Wiring
	chip   *virtualpi.GPIOChip
	panel  virtualpi.GPIOPanel

	cmd    *exec.Cmd
	ended  chan error
	stderr bytes.Buffer

	mu     sync.Mutex
	lines  []api.Event
	closed bool
	more   chan struct{} // holds a token when lines grew
}

// newBench wires the default panel to a chip that has the line names of a
// Raspberry Pi, and writes a configuration.
func newBench(t *testing.T, text string) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), wiring: config.Default().Wiring(), more: make(chan struct{}, 1)}
	b.chip, b.panel = headerChip(t)
	b.config = filepath.Join(b.dir, "teachbox.toml")
	if err := os.WriteFile(b.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return b
}

// tinyBox is a box with the tiny backbone and a camera.
func tinyBox(t *testing.T, camera string) string {
	return fmt.Sprintf("[camera]\nsource = %q\n[model]\nsource = %q\n[lesson]\nskip_similar = false\n", camera, tinyModel(t))
}

// start runs the service. It is ended with the test.
func (b *bench) start(as uint32) {
	b.t.Helper()
	state := filepath.Join(b.dir, "state")
	// Whoever the program runs as may come here.
	if err := errors.Join(os.MkdirAll(state, 0o777), os.Chmod(state, 0o777), os.Chmod(filepath.Dir(b.dir), 0o755)); err != nil {
		b.t.Fatal(err)
	}
	b.cmd = exec.Command(shipped(b.t), "--config", b.config, "run", "--service", "--json", "--state", state)
	b.cmd.Env = append(os.Environ(), modelsEnv+"="+filepath.Join(benchdata.Root(b.t), "models"))
	b.cmd.Stderr = &b.stderr
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: as, Gid: as}}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.ended = make(chan error, 1)
	go func() {
		b.follow(out)
		b.ended <- b.cmd.Wait()
	}()
	b.t.Cleanup(b.stop)
}

// follow reads the events.
func (b *bench) follow(out io.Reader) {
	for s := bufio.NewScanner(out); s.Scan(); {
		var l api.Event
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			b.t.Errorf("not an event: %q", s.Text())
			continue
		}
		b.mu.Lock()
		b.lines = append(b.lines, l)
		b.mu.Unlock()
		select {
		case b.more <- struct{}{}:
		default:
		}
	}
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
}

// stop ends the program as systemd does. It must end well, and dark.
func (b *bench) stop() {
	if b.cmd == nil {
		return
	}
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Error(err)
	}
	select {
	case err := <-b.ended:
		if err != nil {
			b.t.Errorf("the program ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		b.t.Error("the program did not end when told to")
		_ = b.cmd.Process.Kill()
		<-b.ended
	}
	b.cmd = nil
	if l := b.panel.Lights(); l != 0 {
		b.t.Errorf("the LEDs show %v after the end", l)
	}
	if b.t.Failed() {
		b.t.Logf("stderr:\n%s\nevents:\n%s", b.stderr.String(), b.history())
	}
}

func (b *bench) history() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s strings.Builder
	e := json.NewEncoder(&s)
	for _, l := range b.lines {
		_ = e.Encode(l)
	}
	return s.String()
}

// mark is the number of events so far.
func (b *bench) mark() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.lines)
}

// await waits for an event after mark, and returns it.
func (b *bench) await(mark int, within time.Duration, what string, is func(api.Event) bool) api.Event {
	b.t.Helper()
	return b.awaitNth(mark, 1, within, what, is)
}

// awaitNth waits for the n-th such event after mark, counted from one.
func (b *bench) awaitNth(mark, n int, within time.Duration, what string, is func(api.Event) bool) api.Event {
	b.t.Helper()
	late := time.After(within)
	for {
		b.mu.Lock()
		var found []api.Event
		for _, l := range b.lines[mark:] {
			if is(l) {
				found = append(found, l)
			}
		}
		closed := b.closed
		b.mu.Unlock()
		switch {
		case len(found) >= n:
			return found[n-1]
		case closed:
			b.t.Fatalf("the program ended before: %s\nstderr:\n%s\nevents:\n%s", what, b.stderr.String(), b.history())
		}
		select {
		case <-b.more:
		case <-time.After(100 * time.Millisecond):
		case <-late:
			b.t.Fatalf("not within %v: %s\nstderr:\n%s\nevents:\n%s", within, what, b.stderr.String(), b.history())
		}
	}
}

// ill and healed are events about a part.
func ill(part string) func(api.Event) bool {
	return func(l api.Event) bool { return l.Event == "health" && l.Part == part && l.Error != "" }
}

func healed(part string) func(api.Event) bool {
	return func(l api.Event) bool { return l.Event == "health" && l.Part == part && l.Error == "" }
}

// count is the number of events since mark that are so.
func (b *bench) count(mark int, is func(api.Event) bool) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, l := range b.lines[mark:] {
		if is(l) {
			n++
		}
	}
	return n
}

func event(name string) func(api.Event) bool {
	return func(l api.Event) bool { return l.Event == name }
}

// tap pushes a button for a moment.
func (b *bench) tap(button device.Button) {
	b.panel.Press(button)
	time.Sleep(120 * time.Millisecond)
	b.panel.Release(button)
}

// teach taps a button and waits until its examples are kept and answer.
func (b *bench) teach(button device.Button, patience time.Duration) {
	b.t.Helper()
	mark := b.mark()
	b.tap(button)
	want := 1
	if button == device.Nothing {
		want = 3 // over one second
	}
	b.awaitNth(mark, want, patience, fmt.Sprintf("%d examples of %v are kept", want, button), func(l api.Event) bool {
		return l.Event == "kept" && l.Button == button.String()
	})
	b.await(mark, patience, "a head that knows it", event("learned"))
}

// blinks watches the status LED until it has blinked in groups of n for several
// groups in a row.
func (b *bench) blinks(n int) {
	b.t.Helper()
	const alike = 2
	var groups []int
	was, last := true, time.Time{}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		on := b.panel.Lights()&device.Status != 0
		now := time.Now()
		if on && !was {
			if last.IsZero() || now.Sub(last) > 550*time.Millisecond {
				if m := len(groups); m > alike && !slices.ContainsFunc(groups[m-alike:], func(g int) bool { return g != n }) {
					return
				}
				groups = append(groups, 0)
			}
			groups[len(groups)-1]++
			last = now
		}
		was = on
	}
	b.t.Errorf("the status LED blinks in groups of %v (want %d)\nstderr:\n%s\nevents:\n%s", groups, n, b.stderr.String(), b.history())
}

// A stage is what the camera is shown: things on a desk.
type stage struct {
	t      *testing.T
	desk   *sim.Desk
	writer *virtualpi.Writer
	format pictures
	taken  uint64 // frames so far
}

// pictures is how the camera of a stage gives them.
type pictures uint8

const (
	yuyv pictures = iota
	mjpeg
	mjpegWithoutTables // without Huffman tables
)

const stageWidth, stageHeight = 320, 240

// newStage is a camera over a desk that is empty.
func newStage(t *testing.T, catalog *sim.Catalog, format pictures) *stage {
	t.Helper()
	desk, err := sim.NewDesk(sim.DeskOptions{Width: stageWidth, Height: stageHeight, Seed: 1, Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, desk: desk, format: format}
	virtualpi.LoadLoopback(t)
	s.writer = virtualpi.NewWriter(t, s.frame(), 15)
	s.show("")
	return s
}

// show lays a thing on the desk; "" clears it.
func (s *stage) show(thing string) {
	s.t.Helper()
	if thing == "" {
		s.desk.Clear()
	} else if err := s.desk.Show(thing); err != nil {
		s.t.Fatal(err)
	}
	s.writer.Show(s.frame(), s.frame(), s.frame()) // one that never changes is not a camera's
}

// frame is the desk as the camera takes it.
func (s *stage) frame() frame.Frame {
	s.t.Helper()
	s.taken++
	if s.format != yuyv {
		var b bytes.Buffer
		quality := 88 + int(s.taken%4) // in place of a sensor's noise
		if err := jpeg.Encode(&b, s.desk.Preview(stageWidth, stageHeight), &jpeg.Options{Quality: quality}); err != nil {
			s.t.Fatal(err)
		}
		f := frame.Frame{Format: frame.JPEG, Width: stageWidth, Height: stageHeight, Pix: b.Bytes()}
		if s.format == mjpegWithoutTables {
			f.Pix = virtualpi.StripHuffman(f.Pix)
		}
		return f
	}
	camera, err := sim.NewCamera(s.desk, sim.CameraOptions{Seed: s.taken, Jitter: sim.Jitter{Noise: 1}})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var taken frame.Frame
	if err := camera.Run(ctx, func(f frame.Frame) {
		taken = f
		taken.Pix = bytes.Clone(f.Pix)
		cancel()
	}); err != nil {
		s.t.Fatal(err)
	}
	return taken
}

// A kernelLesson is what is taught and asked in the machine.
type kernelLesson struct {
	taught  []string // class of the catalog for each slot
	strange []string // classes that are not taught
	presses int
	held    int // pictures of each class to ask about
	// look is how long an answer may take at most: several frames of the
	// backbone, on an emulated processor.
	look  time.Duration
	least float64 // share of right answers
}

// play teaches and asks through the kernel's devices alone.
func (k kernelLesson) play(b *bench, s *stage) {
	t := b.t
	t.Helper()
	b.start(0)
	b.asksForTheDesk()
	b.teach(device.Nothing, 2*k.look)
	for n := range k.presses {
		for slot, class := range k.taught {
			s.show(fmt.Sprintf("%s/%d", class, n+1))
			b.settle(k.look)
			b.teach(device.Button(slot), 2*k.look)
		}
	}
	right, dark := 0, 0
	for n := range k.held {
		for slot, class := range k.taught {
			s.show(fmt.Sprintf("%s/%d", class, k.presses+n+1))
			if got := b.answer(k.look, slot); got == slot {
				right++
			} else {
				t.Logf("%s/%d: slot %d is lit (want %d)", class, k.presses+n+1, got, slot)
			}
		}
		for _, class := range k.strange {
			s.show(fmt.Sprintf("%s/%d", class, n+1))
			if got := b.answer(k.look, -1); got == -1 {
				dark++
			} else {
				t.Logf("%s/%d, never taught: slot %d is lit", class, n+1, got)
			}
		}
	}
	asked, strange := k.held*len(k.taught), k.held*len(k.strange)
	t.Logf("right LED for %d of %d held-out pictures, dark for %d of %d of untaught things", right, asked, dark, strange)
	if float64(right) < k.least*float64(asked) || float64(dark) < k.least*float64(strange) {
		t.Errorf("too few are right (want %.0f %% of each)", 100*k.least)
	}
	s.show("")
	if got := b.answer(k.look, -1); got != -1 {
		t.Errorf("slot %d is lit for the empty desk, which was taught as nothing", got)
	}
}

// settle lets a new picture reach the box.
func (b *bench) settle(look time.Duration) { time.Sleep(look / 8) }

// answer waits until the LEDs have said the same for long enough to be believed,
// and returns the slot that is lit, -1 for none. It waits longer for what is
// wanted.
func (b *bench) answer(look time.Duration, want int) int {
	b.settle(look)
	got, since := -2, time.Now()
	for end := time.Now().Add(look); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		now := litSlot(b.panel.Lights(), b.wiring)
		if now != got {
			got, since = now, time.Now()
		}
		if got == want && time.Since(since) >= look/4 {
			return got
		}
	}
	return got
}

// TestKernelTinyLesson plays lessons with the tiny backbone through every
// format that a camera may have.
func TestKernelTinyLesson(t *testing.T) {
	for _, test := range []struct {
		name   string
		format pictures
		lesson kernelLesson
	}{
		{"YUYV", yuyv, kernelLesson{taught: []string{"ball", "cube"}, strange: []string{"cup", "key", "pencil"}}},
		{"MJPEG", mjpeg, kernelLesson{taught: []string{"cube", "cup"}, strange: []string{"star", "fish", "key"}}},
		{"MJPEG without Huffman tables", mjpegWithoutTables, kernelLesson{taught: []string{"ball", "star"}, strange: []string{"cup", "key", "pencil"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, sim.Drawn(), test.format)
			test.lesson.presses, test.lesson.held = 5, 2
			test.lesson.look, test.lesson.least = 4*time.Second, 0.8
			test.lesson.play(newBench(t, tinyBox(t, "v4l2")), s)
		})
	}
}

// TestKernelLesson plays a lesson with the real model.
func TestKernelLesson(t *testing.T) {
	catalog := sim.Drawn()
	lesson := kernelLesson{
		taught: []string{"ball", "cube", "star"}, strange: []string{"key", "pencil"},
		presses: 3, held: 2, look: 14 * time.Second, least: 0.8,
	}
	if photos, ok := benchdata.Path(t, "photos"); ok {
		var err error
		if catalog, err = sim.Photographs(filepath.Join(photos, "desk")); err != nil {
			t.Fatal(err)
		}
		lesson.taught, lesson.strange = []string{"backpack", "calculator", "mug"}, []string{"bike"}
	} else {
		t.Log("drawn objects are shown instead of photographs")
	}
	s := newStage(t, catalog, yuyv)
	lesson.play(newBench(t, "[camera]\nsource = \"v4l2\"\n"), s)
}

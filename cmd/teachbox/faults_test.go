package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"teachbox/device/sim"
	"teachbox/internal/api"
	"teachbox/internal/benchdata"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
	"teachbox/models"
)

// faultPatience bounds everything that these tests wait for.
const faultPatience = 30 * time.Second

// TestFaultTable has every part of a box die that DESIGN.md, "When parts die",
// has a row for: for a subcommand, for the service when it starts, and for the
// service while it runs. The program is what is shipped, in a process of its own,
// and says how it is on its control socket.
//
// What a machine without hardware cannot show is shown elsewhere: the kernel's
// cameras and GPIO chips that come and go by fault_kernel_test.go, a disk that
// fails at every single operation by internal/lesson, a loop that is stuck by
// internal/box.
func TestFaultTable(t *testing.T) {
	w := newWorld(t)
	type test func(*home)
	for _, row := range []struct {
		fault                      string
		subcommand, start, running test
	}{
		{"configuration", configurationByHand, configurationAtStart, configurationRunning},
		{"model", modelByHand, modelAtStart, modelRunning},
		{"lesson damaged", damagedByHand, damagedAtStart, damagedRunning},
		{"lesson newer", newerByHand, newerAtStart, nil},
		{"disk full", fullByHand, fullAtStart, fullRunning},
		// The kernel makes no file system read-only on which a file is open for
		// writing, so there is none while the box runs.
		{"disk read-only", readOnlyByHand, readOnlyAtStart, nil},
		{"disk gone", goneByHand, goneAtStart, goneRunning},
		{"camera", cameraByHand, cameraAtStart, cameraRunning},
		{"GPIO", gpioByHand, gpioAtStart, nil}, // see fault_kernel_test.go
		{"watchdog", nil, nil, watchdogRunning},
		{"killed", nil, nil, killedRunning},
	} {
		t.Run(row.fault, func(t *testing.T) {
			t.Parallel() // they mostly wait
			for _, column := range []struct {
				name string
				test test
			}{{"subcommand", row.subcommand}, {"start", row.start}, {"running", row.running}} {
				if column.test != nil {
					t.Run(column.name, func(t *testing.T) {
						t.Parallel()
						column.test(w.home(t))
					})
				}
			}
		})
	}
}

// wrong is a configuration with a mistake in its second line. All else of it
// must not count either.
const wrong = "[box]\nrate = 600\n[lesson]\nlocked = false\n"

func configurationByHand(h *home) {
	h.write("teachbox.toml", wrong)
	for _, command := range [][]string{
		{"config"}, {"classify", "picture.jpg"}, h.at("run", "--sim"), h.at("lesson", "show"),
	} {
		h.refused(command, "teachbox.toml:2: box.rate", "600", "want")
	}
}

func configurationAtStart(h *home) {
	locked := func(s *api.Snapshot) bool { return s.Locked }

	// The last good one is that of the service's last life.
	h.configure("[lesson]\nlocked = true\n")
	s := h.serve()
	s.await("locked", locked)
	s.stop()
	h.write("teachbox.toml", wrong)
	s = h.serve()
	s.ill(box.PartConfiguration, 5, "teachbox.toml:2: box.rate")
	s.await("locked, as the last good one has it", locked)
	s.looks()
	s.stop()

	// Without one, the default wants a real camera and wired buttons. Those of
	// this machine, should it have any, are left alone.
	h.state = h.path("nothing before")
	cameras, _ := filepath.Glob("/dev/video*")
	chips, _ := filepath.Glob("/dev/gpiochip*")
	if len(cameras)+len(chips) > 0 {
		s = h.serve("--sim")
	} else {
		s = h.serve()
		s.ill("camera", 2)
		s.ill("panel", 5)
	}
	s.ill(box.PartConfiguration, 5, "teachbox.toml:2: box.rate")
	h.done(h.at("lesson", "describe", "--name", "taught all the same"))
}

func configurationRunning(h *home) {
	h.configure("[lesson]\nlocked = true\n")
	s := h.serve()
	s.await("locked", func(s *api.Snapshot) bool { return s.Locked })
	h.write("teachbox.toml", wrong)
	s.signal(syscall.SIGHUP)
	s.ill(box.PartConfiguration, 5, "teachbox.toml:2: box.rate")
	h.refused(h.at("reload"), "teachbox.toml:2: box.rate")
	if !s.now().Locked {
		h.t.Error("unlocked by a configuration that was refused")
	}
	s.looks()
	h.configure("[lesson]\nlocked = false\n")
	s.signal(syscall.SIGHUP)
	s.await("unlocked", func(s *api.Snapshot) bool { return !s.Locked })
	s.well()
}

// spoiltModels is a folder with the default model, but it is another file.
func (h *home) spoiltModels() (dir, weights string) {
	m, err := models.ByName(models.Default)
	if err != nil {
		h.t.Fatal(err)
	}
	weights = h.write(filepath.Join("spoilt", m.Weights.File), "another model")
	return filepath.Dir(weights), weights
}

func modelByHand(h *home) {
	h.configureModel(h.path("gone.tflite"), "")
	h.refused([]string{"classify", "picture.jpg"}, "gone.tflite", "missing")
	h.refused(h.at("run", "--sim"), "gone.tflite", "missing")

	dir, weights := h.spoiltModels()
	h.setenv(modelsEnv, dir)
	h.configureModel(models.Default, "")
	h.refused([]string{"classify", "picture.jpg"}, filepath.Base(weights), "SHA-256", "make setup")
	h.refused(h.at("run", "--sim"), filepath.Base(weights), "SHA-256", "make setup")
}

func modelAtStart(h *home) {
	h.taught()
	blind := func(s *service) {
		h.done(h.at("lesson", "rename", "1", "Ball"))
		if now := s.now(); now.Looks != 0 || now.Known || now.Winner != nil {
			h.t.Errorf("without a model the box says what it sees: %+v", now)
		}
	}
	model := h.path("late.tflite")
	h.configureModel(model, "")
	s := h.serve()
	s.ill("model", 5, model, "missing")
	blind(s)
	h.copy(h.tiny, model)
	s.well()
	s.predicts()
	s.stop()

	dir, weights := h.spoiltModels()
	h.setenv(modelsEnv, dir)
	h.configureModel(models.Default, "")
	h.state = h.path("another lesson") // in the space of this model
	s = h.serve()
	s.ill("model", 5, filepath.Base(weights), "SHA-256")
	h.copy(filepath.Join(benchdata.Root(h.t), "models", filepath.Base(weights)), weights)
	s.well()
}

func modelRunning(h *home) {
	h.taught()
	model := h.path("early.tflite")
	h.copy(h.tiny, model)
	h.configureModel(model, "")
	s := h.serve()
	s.well()
	if err := os.Remove(model); err != nil {
		h.t.Fatal(err)
	}
	h.done(h.at("reload"))
	s.predicts()
	s.well()

	// Something that wants it read again is refused, and what is held stays.
	h.configureModel(model, "threads = 2\n")
	h.refused(h.at("reload"), model, "missing")
	s.ill(box.PartConfiguration, 5, model)
	s.predicts()
	h.copy(h.tiny, model)
	h.done(h.at("reload"))
	s.well()
	s.predicts()
}

// spoil damages the lesson file in the middle, and cuts it there.
func (h *home) spoil() {
	f, err := os.OpenFile(h.lesson(), os.O_RDWR, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		h.t.Fatal(err)
	}
	const page = 4096
	middle := info.Size() / 2 / page * page
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, 2*page), middle-2*page)
	if err := errors.Join(err, f.Truncate(middle)); err != nil {
		h.t.Fatal(err)
	}
}

func damagedByHand(h *home) {
	h.taught()
	h.spoil()
	before := h.read(h.lesson())
	h.refused(h.at("lesson", "show"), "damaged", h.lesson()+".backup.1", fmt.Sprint(h.presses, " presses"))
	h.refused(h.at("run", "--sim"), "damaged", h.lesson()+".backup.1")
	h.same(h.lesson(), before)
}

func damagedAtStart(h *home) {
	h.taught()
	h.spoil()
	before := h.read(h.lesson())
	aside := h.lesson() + ".damaged.1"
	s := h.serve()
	s.ill(box.PartLessonFile, 3, "damaged", aside, "backup", fmt.Sprint(h.presses, " presses"), "teachbox acknowledge")
	h.same(aside, before)
	s.holds(h.presses, h.frames)
	s.predicts()
	s.stop()

	s = h.serve() // and told again, since nobody has seen to it
	s.ill(box.PartLessonFile, 3, aside, "teachbox acknowledge")
	s.holds(h.presses, h.frames)
	h.done(h.at("acknowledge"))
	s.well()
	s.stop()

	s = h.serve()
	s.well()
	h.same(aside+".seen", before)
}

func damagedRunning(h *home) {
	h.taught()
	s := h.serve("--sim", "--script", h.write("script.txt", teaching))
	s.learns()
	h.spoil()
	// Whoever reads the file finds it: a check by hand, the next backup, or the
	// next thing taught that wants a part of it.
	h.run(h.at("lesson", "check"))
	s.ill(box.PartLessonFile, 3, "damaged", h.lesson()+".damaged.1", "teachbox acknowledge")
	s.learns()
	s.predicts()
	h.done(h.at("acknowledge"))
	s.well()
	s.pause()
	s.stop()
	h.acknowledged(s)
}

// makeNewer lays the first lesson down as if a later version had written it.
func (h *home) makeNewer() []byte {
	h.taught()
	b := h.read(h.lesson())
	copy(b[60:64], []byte{0, 0, 0x03, 0xe8}) // user_version (https://sqlite.org/fileformat2.html#user_version_number)
	h.write(h.lesson(), string(b))
	return b
}

func newerByHand(h *home) {
	before := h.makeNewer()
	h.refused(h.at("lesson", "show"), "newer", "update teachbox")
	h.refused(h.at("run", "--sim"), "newer", "update teachbox")
	h.same(h.lesson(), before)
}

func newerAtStart(h *home) {
	before := h.makeNewer()
	aside := h.lesson() + ".newer.1"
	s := h.serve()
	s.ill(box.PartLessonFile, 3, "newer", aside, "teachbox acknowledge")
	h.same(aside, before)
	s.holds(0, 0)
	h.done(h.at("lesson", "describe", "--name", "anew"))
	h.done(h.at("acknowledge"))
	s.well()
	s.stop()
	h.same(aside+".seen", before)
}

// renaming is an edit that is never the same twice.
func (h *home) renaming() []string {
	h.names++
	return h.at("lesson", "rename", "1", fmt.Sprint("Ball ", h.names))
}

// cannotLearn demands that the box tells of a disk that takes nothing, and does
// what it can without.
func (s *service) cannotLearn(words ...string) {
	s.h.t.Helper()
	s.ill("storage", 3, words...)
	s.h.refused(s.h.renaming(), words...)
	s.predicts()
}

// fill leaves no space on a small file system, with a lesson on it, until it is
// freed.
func (h *home) fill() (free func()) {
	ballast := filepath.Join(h.state, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 16, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			h.t.Fatal(err)
		}
	}
	return func() {
		h.t.Helper()
		if err := os.Remove(ballast); err != nil {
			h.t.Fatal(err)
		}
	}
}

func fullByHand(h *home) {
	if !h.mount() {
		return
	}
	h.taught()
	free := h.fill()
	h.refused(h.renaming(), "no space left", "free some space")
	h.done(h.at("lesson", "show"))
	free()
	h.done(h.renaming())
}

func fullAtStart(h *home) {
	if !h.mount() {
		return
	}
	h.taught()
	free := h.fill()
	s := h.serve("--sim", "--script", h.write("script.txt", teaching))
	s.cannotLearn("no space left", "free some space")
	free()
	s.well()
	s.learns()
	h.done(h.renaming())
	s.pause()
	s.stop()
	h.acknowledged(s)
}

func fullRunning(h *home) {
	if !h.mount() {
		return
	}
	h.taught()
	s := h.serve("--sim", "--script", h.write("script.txt", teaching))
	s.learns()
	free := h.fill()
	s.cannotLearn("no space left", "free some space")
	free()
	s.well()
	s.learns()
	h.done(h.renaming())
	s.pause()
	s.stop()
	h.acknowledged(s)
}

// writeProtect takes the right to write from where the lesson is, until it is
// given back.
func (h *home) writeProtect() (end func()) {
	remount := func(flags uintptr) error { return unix.Mount("", h.state, "", unix.MS_REMOUNT|flags, "") }
	shut, open := func() error { return remount(unix.MS_RDONLY) }, func() error { return remount(0) }
	if os.Getuid() != 0 {
		shut, open = func() error { return os.Chmod(h.state, 0o500) }, func() error { return os.Chmod(h.state, 0o700) }
	}
	if err := shut(); err != nil {
		h.t.Fatal(err)
	}
	return func() {
		h.t.Helper()
		if err := open(); err != nil {
			h.t.Fatal(err)
		}
	}
}

func readOnlyByHand(h *home) {
	if os.Getuid() == 0 && !h.mount() {
		return
	}
	h.taught()
	end := h.writeProtect()
	h.refused(h.renaming(), "not permitted", "let the user of teachbox write")
	h.done(h.at("lesson", "show"))
	end()
	h.done(h.renaming())
}

func readOnlyAtStart(h *home) {
	if os.Getuid() == 0 && !h.mount() {
		return
	}
	h.taught()
	end := h.writeProtect()
	h.managed() // no socket can be made there
	s := h.serve()
	s.cannotLearn("not permitted", "let the user of teachbox write")
	end()
	s.well()
	h.done(h.renaming())
	s.holds(h.presses, h.frames)
}

// unplug takes the lesson's folder away, as when a stick is pulled, until it is
// plugged in again.
func (h *home) unplug() (plug func()) {
	from, to := h.state, h.path("unplugged")
	if err := os.Rename(from, to); err != nil {
		h.t.Fatal(err)
	}
	h.state = to
	return func() {
		h.t.Helper()
		if err := os.Rename(to, from); err != nil {
			h.t.Fatal(err)
		}
		h.state = from
	}
}

func goneByHand(h *home) {
	h.taught()
	at := h.renaming()
	plug := h.unplug()
	h.refused(at, "there is no lesson in")
	plug()
	h.done(at)
}

func goneAtStart(h *home) {
	h.taught()
	// The folder is on a stick.
	stick := h.path("stick")
	if err := errors.Join(os.Mkdir(stick, 0o700), os.Rename(h.state, filepath.Join(stick, "lesson")), os.Symlink(filepath.Join(stick, "lesson"), h.state)); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(stick, h.path("pocket")); err != nil {
		h.t.Fatal(err)
	}
	h.managed() // no socket can be made there
	s := h.serve()
	s.ill("storage", 3, "input/output error")
	h.refused(h.at("lesson", "describe", "--name", "anew"), "no lesson could be read")
	s.looks()
	if err := os.Rename(h.path("pocket"), stick); err != nil {
		h.t.Fatal(err)
	}
	s.well()
	s.holds(h.presses, h.frames)
	s.predicts()
	h.done(h.renaming())
}

func goneRunning(h *home) {
	h.taught()
	s := h.serve("--sim", "--script", h.write("script.txt", teaching))
	s.learns()
	plug := h.unplug()
	s.cannotLearn("input/output error")
	plug()
	s.well()
	s.learns()
	h.done(h.renaming())
	s.pause()
	s.stop()
	h.acknowledged(s)
}

// pictures configures a camera that shows a folder, which is not there yet.
// toggle brings it or takes it away.
func (h *home) pictures() (toggle func()) {
	there, away := h.path("pictures"), h.path("away")
	desk, err := sim.NewDesk(sim.DeskOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	writeJPEG(h.t, filepath.Join(away, "desk.jpg"), desk.Preview(320, 240))
	h.write("teachbox.toml", fmt.Sprintf("[camera]\nsource = %q\n[panel]\nsource = \"sim\"\n", "folder:"+there)+h.model(h.tiny))
	return func() {
		h.t.Helper()
		if err := os.Rename(away, there); err != nil {
			h.t.Fatal(err)
		}
		there, away = away, there
	}
}

func cameraByHand(h *home) {
	h.pictures()
	h.refused(h.at("run"), "pictures", "not there", "JPEG")
}

func cameraAtStart(h *home) {
	toggle := h.pictures()
	s := h.serve()
	s.ill("camera", 2, "pictures", "JPEG")
	h.done(h.at("lesson", "describe", "--name", "blind"))
	toggle()
	s.well()
	s.looks()
}

func cameraRunning(h *home) {
	toggle := h.pictures()
	toggle()
	s := h.serve()
	s.well()
	s.looks()
	toggle()
	s.ill("camera", 2, "pictures", "JPEG")
	toggle()
	s.well()
	s.looks()
}

// unwired is a panel whose lines no machine has.
const unwired = `
[camera]
source = "sim"
[panel]
source = "gpio"
nothing = { line = "no-such-chip:1" }
status = { line = "no-such-chip:2" }
[[panel.slots]]
button = { line = "no-such-chip:3" }
led = { line = "no-such-chip:4" }
[[panel.slots]]
button = { line = "no-such-chip:5" }
led = { line = "no-such-chip:6" }
`

func gpioByHand(h *home) {
	h.write("teachbox.toml", unwired+h.model(h.tiny))
	h.refused(h.at("run"), "GPIO", "--sim-missing")
}

func gpioAtStart(h *home) {
	h.taught()
	h.write("teachbox.toml", unwired+h.model(h.tiny))
	s := h.serve()
	s.ill("panel", 5, "GPIO")
	s.predicts()
	h.done(h.renaming())
	h.done(h.at("lesson", "take-back", "1"))
	s.holds(h.presses-1, h.frames-1)
}

// watchdogRunning listens as systemd does. What systemd does when it hears
// nothing belongs to the tests of the packaged unit.
func watchdogRunning(h *home) {
	if testing.Short() {
		h.t.Log("NOT TESTED: it takes ten seconds of listening")
		return
	}
	const period = 6 * time.Second
	name := fmt.Sprintf("@teachbox-test-%d", os.Getpid())
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		h.t.Fatal(err)
	}
	defer manager.Close()
	h.setenv("NOTIFY_SOCKET", name)
	h.setenv("WATCHDOG_USEC", fmt.Sprint(period.Microseconds()))
	hears := func(within time.Duration) (string, bool) {
		h.t.Helper()
		b := make([]byte, 4096)
		if err := manager.SetReadDeadline(time.Now().Add(within)); err != nil {
			h.t.Fatal(err)
		}
		n, err := manager.Read(b)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "", false
		case err != nil:
			h.t.Fatal(err)
		}
		return string(b[:n]), true
	}
	await := func(want string, within time.Duration) {
		h.t.Helper()
		for end := time.Now().Add(within); ; {
			text, ok := hears(time.Until(end))
			if !ok {
				h.t.Fatalf("no %s for %v", want, within)
			}
			if text == want {
				return
			}
		}
	}
	s := h.serve()
	await("READY=1", faultPatience)
	for range 4 {
		await("WATCHDOG=1", period/2) // half is what sd_watchdog_enabled(3) asks for
	}
	s.signal(syscall.SIGSTOP)
	silent := time.Now()
	for time.Since(silent) < period {
		// What was sent before it stopped may still be there.
		if text, ok := hears(time.Until(silent.Add(period))); ok && time.Since(silent) > time.Second {
			h.t.Errorf("a process that stands still says %s", text)
		}
	}
	s.signal(syscall.SIGCONT)
	await("WATCHDOG=1", faultPatience)
	s.signal(syscall.SIGTERM)
	await("STOPPING=1", faultPatience)
}

// killedRunning kills the box while it learns: as systemd does when the watchdog
// was not fed, as the kernel does when there is no memory left, and as a panic
// ends.
func killedRunning(h *home) {
	h.taught()
	script := h.write("script.txt", teaching)
	told := make(map[int64]string) // that were acknowledged
	for _, signal := range []syscall.Signal{syscall.SIGABRT, syscall.SIGKILL, syscall.SIGQUIT} {
		s := h.serve("--sim", "--script", script)
		s.predicts() // what it was taught before
		s.well()
		s.learns()
		s.signal(signal)
		<-s.ended
		if s.cmd.ProcessState.Success() {
			h.t.Errorf("%v: it ended well", signal)
		}
		for _, e := range s.told("kept") {
			told[e.Seq] = e.Example
		}
		// The program's own way of opening comes first: it has to bring back what
		// the log holds.
		h.done(h.at("lesson", "check"))
		stored := storedExamples(h.t, h.state)
		for seq, id := range told {
			if stored[seq] != id {
				h.t.Errorf("%v: example %d %s was acknowledged and is lost", signal, seq, id)
			}
		}
	}
	s := h.serve()
	s.well()
	s.predicts()
}

// teaching is a lesson without an end, one example every 0.4 s, after a moment
// in which the camera begins.
const teaching = `
wait 500ms
repeat 1000 {
	show ball
	tap 1
	wait 300ms
	show cup
	tap 2
	wait 300ms
}
`

// firstLesson is what a box was taught before anything dies. Presses go on long
// enough for several pictures.
const firstLesson = `
clear
wait 500ms
tap nothing
expect kept 3 within 10s
show ball
wait 200ms
tap 1
expect kept 4 within 10s
tap 1
expect kept 5 within 10s
show cup
wait 200ms
tap 2
expect kept 6 within 10s
tap 2
expect kept 7 within 10s
`

// A world is what the homes have in common.
type world struct {
	tiny            string            // a model
	files           map[string][]byte // of a folder with the first lesson and a backup
	presses, frames int               // in it
}

func newWorld(t *testing.T) *world {
	w := &world{tiny: tinyModel(t), files: make(map[string][]byte)}
	h := w.home(t)
	h.done(h.at("run", "--sim", "--script", h.write("script.txt", firstLesson)))
	store, err := lesson.Open(lesson.Options{Path: h.lesson()})
	if err != nil {
		t.Fatal(err)
	}
	c := store.Contents()
	w.presses, w.frames = c.Presses, c.Frames
	if err := errors.Join(store.Backup(), store.Close()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{lessonFile, lessonFile + ".backup.1"} {
		w.files[name] = h.read(filepath.Join(h.state, name))
	}
	return w
}

// A home is where one box lives, with nothing of anybody else's.
type home struct {
	*world
	t     *testing.T
	dir   string
	state string // folder of the lesson
	env   []string
	byEnv bool // the environment says where everything is, not --state
	names int  // that were given
}

func (w *world) home(t *testing.T) *home {
	h := &home{world: w, t: t, dir: t.TempDir()}
	h.state = h.path("state")
	for _, name := range []string{"STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", socketEnv, renewalsEnv} {
		h.setenv(name, "")
	}
	h.setenv("HOME", h.dir)
	h.setenv("XDG_STATE_HOME", h.path("home"))
	h.setenv("TEACHBOX_CONFIG", h.path("teachbox.toml"))
	h.configure("")
	return h
}

func (h *home) setenv(name, value string) { h.env = append(h.env, name+"="+value) }

// managed has the service manager make the folders.
func (h *home) managed() {
	runtime := h.path("runtime")
	if err := os.Mkdir(runtime, 0o700); err != nil {
		h.t.Fatal(err)
	}
	// The simulated box has a folder of its own in that of the state.
	if err := os.Symlink(h.state, h.path("simulated")); err != nil {
		h.t.Fatal(err)
	}
	h.setenv("STATE_DIRECTORY", h.dir)
	h.setenv("RUNTIME_DIRECTORY", runtime)
	h.setenv(socketEnv, filepath.Join(runtime, controlName))
	h.byEnv = true
}

// mount makes the folder of the lesson a small file system of its own, and
// reports whether that is allowed.
func (h *home) mount() bool {
	if err := os.MkdirAll(h.state, 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", h.state, "tmpfs", 0, "size=8m"); err != nil {
		h.t.Logf("NOT TESTED on a file system of its own, which this user may not mount: %v", err)
		return false
	}
	h.t.Cleanup(func() { _ = unix.Unmount(h.state, unix.MNT_DETACH) })
	return true
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

func (h *home) lesson() string { return filepath.Join(h.state, lessonFile) }

// socket is where the box listens.
func (h *home) socket() string {
	if h.byEnv {
		return filepath.Join(h.path("runtime"), controlName)
	}
	return filepath.Join(h.state, controlName)
}

// write writes a file, and returns its path.
func (h *home) write(name, text string) string {
	h.t.Helper()
	if !filepath.IsAbs(name) {
		name = h.path(name)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
		h.t.Fatal(err)
	}
	return name
}

func (h *home) read(path string) []byte {
	h.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// copy makes a file appear whole.
func (h *home) copy(from, to string) {
	h.t.Helper()
	if err := os.Rename(h.write("fresh", string(h.read(from))), to); err != nil {
		h.t.Fatal(err)
	}
}

// same demands that a file is what it was.
func (h *home) same(path string, want []byte) {
	h.t.Helper()
	if !bytes.Equal(h.read(path), want) {
		h.t.Errorf("%s was changed", path)
	}
}

// taught lays the first lesson down.
func (h *home) taught() {
	for name, b := range h.files {
		h.write(filepath.Join(h.state, name), string(b))
	}
}

// configure writes a configuration of a simulated box.
func (h *home) configure(more string) {
	h.t.Helper()
	h.configureModel(h.tiny, more)
}

// configureModel does so with another model.
func (h *home) configureModel(source, more string) {
	h.t.Helper()
	h.write("teachbox.toml", "[camera]\nsource = \"sim\"\n[panel]\nsource = \"sim\"\n"+h.model(source)+more)
}

func (h *home) model(source string) string { return fmt.Sprintf("[model]\nsource = %q\n", source) }

// at is a command for the box of this home.
func (h *home) at(command ...string) []string {
	if h.byEnv {
		return command
	}
	return append(command, "--state", h.state)
}

// run runs a command to its end.
func (h *home) run(command []string) (code int, out, complaint string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), faultPatience)
	defer cancel()
	cmd := program(ctx, h.t, command...)
	cmd.Dir, cmd.Env = h.dir, append(cmd.Env, h.env...)
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited || ctx.Err() != nil {
		h.t.Fatalf("%s: %v\n%s", command, err, e.String())
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// done demands that a command does what it should.
func (h *home) done(command []string) {
	h.t.Helper()
	if code, _, complaint := h.run(command); code != 0 {
		h.t.Errorf("%s: exit code %d\n%s", command, code, complaint)
	}
}

// refused demands that a command fails in one line with some words.
func (h *home) refused(command []string, words ...string) {
	h.t.Helper()
	code, _, complaint := h.run(command)
	if code != exitFailed {
		h.t.Errorf("%s: exit code %d (want %d)", command, code, exitFailed)
	}
	if strings.Count(complaint, "\n") != 1 || !strings.HasPrefix(complaint, "teachbox: ") {
		h.t.Errorf("%s: want one line of complaint, got:\n%s", command, complaint)
	}
	for _, w := range words {
		if !strings.Contains(complaint, w) {
			h.t.Errorf("%s: no %q in its complaint: %s", command, w, complaint)
		}
	}
}

// acknowledged demands that a lesson has all that a box said that it had kept,
// and nothing that nobody had asked for. What was refused may be there: the disk
// went after it had taken it. The box was paused before it ended, and nothing was
// taken back.
func (h *home) acknowledged(s *service) {
	h.t.Helper()
	code, out, complaint := h.run(h.at("lesson", "show", "--json"))
	var in api.InHand
	if err := json.Unmarshal([]byte(out), &in); code != 0 || err != nil {
		h.t.Fatalf("lesson show: %v, %s", err, complaint)
	}
	want := map[string]int{"nothing": 3, "class 1": 2, "class 2": 2} // of the first lesson
	for _, e := range s.told("kept") {
		want[e.Button]++
	}
	refused := make(map[string]int)
	for _, e := range s.told("refused") {
		if !strings.Contains(e.Error, "teaching is locked") {
			refused[e.Button]++
		}
	}
	for _, c := range in.Contents.Classes {
		if least := want[c.Button]; c.Frames < least || c.Frames > least+refused[c.Button] {
			h.t.Errorf("%s: %d examples on file (want the %d acknowledged, and %d at most that were refused)", c.Button, c.Frames, least, refused[c.Button])
		}
		delete(want, c.Button)
	}
	if len(want) > 0 {
		h.t.Errorf("acknowledged, and not on file: %v", want)
	}
}

// A service is a box that runs in a process of its own.
type service struct {
	h      *home
	cmd    *exec.Cmd
	client *api.Client
	ended  chan struct{}

	mu     sync.Mutex
	events []api.Event
}

// serve starts the service.
func (h *home) serve(args ...string) *service {
	h.t.Helper()
	s := &service{h: h, ended: make(chan struct{})}
	s.cmd = program(context.WithoutCancel(h.t.Context()), h.t, h.at(append([]string{"run", "--service", "--json"}, args...)...)...)
	s.cmd.Dir, s.cmd.Env = h.dir, append(s.cmd.Env, h.env...)
	s.client = api.NewClient(func(ctx context.Context) (net.Conn, error) { return dialControl(ctx, h.socket()) })
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	var complaint strings.Builder
	s.cmd.Stderr = &complaint
	if err := s.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		s.follow(out)
		_ = s.cmd.Wait() // whoever wants to know asks ProcessState
	}()
	h.t.Cleanup(func() {
		s.end()
		s.client.Close()
		if h.t.Failed() {
			h.t.Logf("the service said:\n%s", complaint.String())
		}
	})
	return s
}

// follow collects events.
func (s *service) follow(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var e api.Event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // the line that a kill cut in two
		}
		s.mu.Lock()
		s.events = append(s.events, e)
		s.mu.Unlock()
	}
}

// told returns the events of a kind so far.
func (s *service) told(kind string) []api.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.events), func(e api.Event) bool { return e.Event != kind })
}

func (s *service) signal(sig syscall.Signal) {
	s.h.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.h.t.Fatal(err)
	}
}

// end ends the service, gently if it goes.
func (s *service) end() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(faultPatience):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// pause locks teaching, and returns when all that was kept before was told: of an
// example that is under way when a box ends nobody is told.
func (s *service) pause() {
	s.h.t.Helper()
	s.h.done(s.h.at("lock"))
	before := len(s.told("refused"))
	s.until(func() string { return "refusing" }, func() bool { return len(s.told("refused")) > before })
}

// stop demands that the service ends well.
func (s *service) stop() {
	s.h.t.Helper()
	s.end()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.h.t.Errorf("the service ended with %v", s.cmd.ProcessState)
	}
}

// until waits for something to hold.
func (s *service) until(what func() string, holds func() bool) {
	s.h.t.Helper()
	for deadline := time.Now().Add(faultPatience); !holds(); {
		select {
		case <-s.ended:
			s.h.t.Fatalf("the service ended with %v before it was %s", s.cmd.ProcessState, what())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.h.t.Fatalf("not %s within %v", what(), faultPatience)
		}
	}
}

// await waits until the box is as it should be.
func (s *service) await(what string, ok func(*api.Snapshot) bool) {
	s.h.t.Helper()
	var now api.Snapshot
	var err error
	s.until(func() string {
		if err != nil {
			return fmt.Sprintf("%s, but %v", what, err)
		}
		return fmt.Sprintf("%s, but %+v", what, now)
	}, func() bool {
		now, err = s.client.Snapshot(s.h.t.Context())
		return err == nil && ok(&now)
	})
}

// now is the box as it is, once it answers.
func (s *service) now() (now api.Snapshot) {
	s.h.t.Helper()
	s.await("answering", func(n *api.Snapshot) bool {
		now = *n
		return true
	})
	return now
}

// ill waits until the box tells of a part that it is not well, by so many blinks
// and with some words. A person is told the same.
func (s *service) ill(part string, blinks int, words ...string) {
	s.h.t.Helper()
	var p api.Problem
	s.await(fmt.Sprintf("%s: %d blinks", part, blinks), func(now *api.Snapshot) bool {
		i := slices.IndexFunc(now.Health, func(p api.Problem) bool { return p.Part == part })
		if i < 0 || now.Health[i].Blinks != blinks {
			return false
		}
		p = now.Health[i]
		return true
	})
	for _, w := range words {
		if !strings.Contains(p.Message, w) {
			s.h.t.Errorf("%s: no %q in: %s", part, w, p.Message)
		}
	}
	if p.Remedy == "" || p.Since.IsZero() {
		s.h.t.Errorf("%s: since %v, remedy %q", part, p.Since, p.Remedy)
	}
	code, out, _ := s.h.run(s.h.at("status", "--once"))
	line := fmt.Sprintf("\n%s, since %s, %d blinks: ", part, p.Since.Local().Format("2006-01-02 15:04:05"), blinks)
	if code != exitFailed || !strings.Contains(out, line) || !strings.Contains(out, p.Remedy) {
		s.h.t.Errorf("status: exit code %d (want %d), and this (want %q):\n%s", code, exitFailed, line, out)
	}
}

// well waits until nothing is wrong any more.
func (s *service) well() {
	s.h.t.Helper()
	s.await("well", func(now *api.Snapshot) bool { return len(now.Health) == 0 && now.Looks > 0 })
	s.h.done(s.h.at("status", "--once"))
}

// looks waits until the box has looked once more.
func (s *service) looks() {
	s.h.t.Helper()
	before := s.now().Looks
	s.await("looking", func(now *api.Snapshot) bool { return now.Looks > before })
}

// predicts waits until the box has looked once more and compared that with what
// it was taught.
func (s *service) predicts() {
	s.h.t.Helper()
	before := s.now().Looks
	s.await("predicting", func(now *api.Snapshot) bool { return now.Looks > before && now.Winner != nil })
}

// learns waits until one more example was kept.
func (s *service) learns() {
	s.h.t.Helper()
	before := len(s.told("kept"))
	s.until(func() string { return "learning" }, func() bool { return len(s.told("kept")) > before })
}

// holds waits until so much is in hand.
func (s *service) holds(presses, frames int) {
	s.h.t.Helper()
	s.await(fmt.Sprintf("holding %d presses and %d frames", presses, frames), func(now *api.Snapshot) bool {
		return now.Contents.Presses == presses && now.Contents.Frames == frames
	})
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/config"
	"teachbox/device"
	"teachbox/internal/api"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

var soak = flag.Duration("soak", 30*time.Minute, "simulated time that TestSoak lasts")

// soakParts is how many times a soak measures itself.
const soakParts = 24

// TestSoak has people at a box for a day: half of the time it only looks, in the
// other half buttons are pushed and commands are given without a rest. It must
// hold on to no more at the end than after the first quarter.
//
// Time is simulated, and the backbone is the tiny one: a day of -soak=24h takes
// some minutes.
func TestSoak(t *testing.T) {
	cfg := simulated(t)
	cfg.Model.Source = tinyModel(t)
	cfg.Camera.Width, cfg.Camera.Height = 64, 48
	cfg.Box.Rate = 5
	state := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	lasts := *soak
	if testing.Short() {
		lasts = min(lasts, 5*time.Minute)
	}
	synctest.Test(t, func(t *testing.T) {
		c := gather(t, cfg, state, rand.New(rand.NewPCG(seed, 5)))
		c.play(10 * time.Minute) // until the ring of events is full
		part := lasts / soakParts
		var looked uint64 // bytes written while the box only looked
		var all []usage
		for range soakParts {
			before := measure(t, state)
			time.Sleep(part / 2)
			looked += measure(t, state).written - before.written
			c.play(part / 2)
			// The next class has a lesson of its own.
			time.Sleep(10 * time.Second)
			c.tap(device.Nothing, 5500*time.Millisecond)
			time.Sleep(30 * time.Second)
			all = append(all, measure(t, state))
		}
		c.end()
		t.Logf("%v: %d examples kept, %d refused, %d commands done and %d declined", lasts, c.kept, c.refused, c.done, c.declined)
		for _, i := range []int{0, soakParts / 4, soakParts / 2, soakParts - 1} {
			t.Logf("after part %2d: %v", i+1, all[i])
		}
		t.Logf("written while it only looked: %.0f bytes an hour", float64(looked)/(lasts/2).Hours())
		if c.kept < 100 || c.done < 20 {
			t.Errorf("only %d examples were kept and %d commands done", c.kept, c.done)
		}
		flat(t, all)
	})
}

// TestWear reports what a press writes to the card, with the real model and
// pictures of the usual size.
func TestWear(t *testing.T) {
	cfg := simulated(t)
	if testing.Short() {
		cfg.Model.Source = tinyModel(t)
	}
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := gather(t, cfg, state, rand.New(rand.NewPCG(1, 1)))
		defer c.end()
		things := []string{"ball", "cup", "leaf", "star"}
		press := func(n int, d time.Duration) {
			t.Helper()
			before := measure(t, state)
			kept := c.kept
			for i := range n {
				if err := c.desk.Show(things[i%len(things)]); err != nil {
					t.Fatal(err)
				}
				time.Sleep(500 * time.Millisecond)
				c.tap(device.Button(i%len(things)), d)
				time.Sleep(500 * time.Millisecond)
			}
			written := measure(t, state).written - before.written
			kept = c.kept - kept
			if kept < n {
				t.Errorf("%d examples of %d presses", kept, n)
			}
			t.Logf("%d presses of %v: %d examples, %d bytes a press, %d bytes an example", n, d, kept, written/uint64(n), written/uint64(max(kept, 1)))
		}
		press(8, 100*time.Millisecond)
		press(4, 2*time.Second)
	})
}

// flat holds that what a box uses does not grow.
func flat(t *testing.T, all []usage) {
	t.Helper()
	for _, c := range []struct {
		what string
		of   func(usage) uint64
		more uint64 // that is no growth yet
	}{
		{"goroutines", func(u usage) uint64 { return u.goroutines }, 0},
		{"descriptors", func(u usage) uint64 { return u.descriptors }, 0},
		// The head remembers up to 2,000 frames, and then begins anew: 8 MB of
		// dot products and the frames themselves.
		{"bytes of the heap", func(u usage) uint64 { return u.heap }, 11 << 20},
		{"bytes of memory", func(u usage) uint64 { return u.resident }, 24 << 20},
		{"bytes of the state folder", func(u usage) uint64 { return u.folder }, 8 << 20},
	} {
		var values []uint64
		for _, u := range all {
			values = append(values, c.of(u))
		}
		quarter := len(values) / 4
		// The second quarter has seen everything that there is; the last one is
		// a day older.
		early, late := slices.Max(values[:2*quarter]), slices.Max(values[len(values)-quarter:])
		if late > early+c.more {
			t.Errorf("%s grow: %d in the first half, %d at the end (%d)", c.what, early, late, values)
		}
	}
}

// A usage is what a process holds on to, in numbers and bytes.
type usage struct {
	goroutines, descriptors, heap, resident uint64
	written                                 uint64 // to a disk, since it began
	folder                                  uint64 // the files of the state folder
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, heap %.1f MB, resident %.1f MB, state folder %.1f MB",
		u.goroutines, u.descriptors, float64(u.heap)/1e6, float64(u.resident)/1e6, float64(u.folder)/1e6)
}

func measure(t *testing.T, state string) (u usage) {
	t.Helper()
	synctest.Wait()
	runtime.GC()
	runtime.GC() // what finalizers and pools let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.goroutines, u.heap = uint64(runtime.NumGoroutine()), m.HeapAlloc
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	u.descriptors = uint64(len(open))
	u.resident = procNumber(t, "/proc/self/status", "VmRSS:") << 10
	u.written = procNumber(t, "/proc/self/io", "write_bytes:")
	if err := filepath.WalkDir(state, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			u.folder += uint64(info.Size())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return u
}

// procNumber is the first number of the line of a file of proc(5) that begins so.
func procNumber(t *testing.T, file, begin string) (n uint64) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut("\n"+string(text), "\n"+begin)
	if _, err := fmt.Sscan(line, &n); err != nil {
		t.Fatalf("%s: no %s", file, begin)
	}
	return n
}

// People are at a box: one of them pushes buttons, another one sits at a
// computer.
type people struct {
	*appliance
	t      *testing.T
	rng    *rand.Rand
	files  string // where lessons are saved
	client *api.Client
	end    func()

	kept, refused  int // told by the box
	done, declined int // commands
}

func gather(t *testing.T, cfg *config.Config, state string, rng *rand.Rand) *people {
	t.Helper()
	c := &people{t: t, rng: rng, files: t.TempDir()}
	var server *api.Server
	a, err := assemble(cfg, assembly{state: state, observe: func(e box.Event) {
		switch e.Kind { // the test reads the counts only after measure
		case box.Kept:
			c.kept++
		case box.Refused:
			c.refused++
		}
		server.Observe(e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.appliance = a
	server = api.New(controls{a.box, a.store, func(context.Context) error { return nil }}, api.Options{Running: true, TempDir: state})
	c.client = api.NewLocalClient(server)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.box.Run(ctx) }()
	c.end = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		c.client.Close()
		if err := a.store.Close(); err != nil {
			t.Error(err)
		}
	}
	return c
}

// play is a time of traffic.
func (c *people) play(d time.Duration) {
	c.t.Helper()
	things := []string{"ball", "cup", "leaf", "star", "fish", "key"}
	for until := time.Now().Add(d); time.Now().Before(until); {
		b := device.Button(c.rng.IntN(4))
		switch n := c.rng.IntN(40); {
		case n < 12:
			if err := c.desk.Show(things[c.rng.IntN(len(things))]); err != nil {
				c.t.Fatal(err)
			}
		case n < 14:
			c.desk.Clear()
		case n < 22:
			c.tap(b, 100*time.Millisecond)
		case n < 25:
			c.tap(b, time.Duration(c.rng.IntN(3000))*time.Millisecond)
		case n < 27:
			c.tap(device.Nothing, 200*time.Millisecond)
		case n < 29:
			c.chord(b, 100*time.Millisecond)
		case n == 29:
			c.chord(b, time.Duration(1500+c.rng.IntN(1000))*time.Millisecond)
		case n == 30:
			c.tap(device.Nothing, time.Duration(4500+c.rng.IntN(1000))*time.Millisecond)
		default:
			c.command(b)
		}
		time.Sleep(time.Duration(c.rng.IntN(2000)) * time.Millisecond)
	}
}

// tap pushes a button for a while.
func (c *people) tap(b device.Button, d time.Duration) {
	c.t.Helper()
	if err := c.panel.Press(b); err != nil {
		c.t.Fatal(err)
	}
	time.Sleep(d)
	if err := c.panel.Release(b); err != nil {
		c.t.Fatal(err)
	}
}

// chord pushes a button for a while with nothing held.
func (c *people) chord(b device.Button, d time.Duration) {
	c.t.Helper()
	if err := c.panel.Press(device.Nothing); err != nil {
		c.t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	c.tap(b, d)
	time.Sleep(100 * time.Millisecond)
	if err := c.panel.Release(device.Nothing); err != nil {
		c.t.Fatal(err)
	}
}

// command asks for something at random. Much of it cannot be done just then,
// which is a good answer, too.
func (c *people) command(b device.Button) {
	c.t.Helper()
	ctx := c.t.Context()
	var err error
	switch c.rng.IntN(9) {
	case 0:
		err = c.edit(lesson.Undo{})
	case 1:
		err = c.edit(lesson.Redo{})
	case 2:
		err = c.edit(lesson.Rename{Button: b, Name: fmt.Sprint("thing ", c.rng.IntN(10))})
	case 3:
		err = c.edit(lesson.Merge{From: b, Into: device.Button(c.rng.IntN(4))})
	case 4:
		err = c.edit(lesson.Restore{})
	case 5:
		_, err = c.client.Check(ctx)
	case 6:
		err = c.saveAndLoad(ctx)
	case 7:
		for _, err = range c.client.Events(ctx, 0, false) {
			if err != nil {
				break
			}
		}
	case 8:
		_, err = c.client.SetLocked(ctx, true)
		time.Sleep(time.Second)
		_, failed := c.client.SetLocked(ctx, false)
		err = errors.Join(err, failed)
	}
	if err != nil {
		c.declined++
		return
	}
	c.done++
}

// edit carries out an edit on whatever the lesson is by then.
func (c *people) edit(e lesson.Edit) error {
	hand, err := c.client.Lesson(c.t.Context())
	if err != nil {
		return err
	}
	_, err = c.client.Edit(c.t.Context(), hand.Contents.Revision, e)
	return err
}

// saveAndLoad saves the lesson to a file, and sometimes loads it again.
func (c *people) saveAndLoad(ctx context.Context) error {
	f, err := os.CreateTemp(c.files, "")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := c.client.Save(ctx, f); err != nil || c.rng.IntN(3) > 0 {
		return err
	}
	hand, err := c.client.Lesson(ctx)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = c.client.Load(ctx, hand.Contents.Revision, f)
	return err
}

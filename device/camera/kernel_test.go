//go:build kernel

package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/color"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"teachbox/device"
	"teachbox/device/devicetest"
	"teachbox/device/frame"
	"teachbox/internal/virtualpi"
)

// patience is how long a camera of the machine may take to answer.
const patience = 30 * time.Second

// grey is a YUYV picture of one brightness.
func grey(level byte) frame.Frame {
	f := frame.Frame{Format: frame.YUYV, Width: 320, Height: 240, Stride: 640}
	f.Pix = bytes.Repeat([]byte{level, 128}, f.Stride*f.Height/2)
	return f
}

func TestKernelVividIsACamera(t *testing.T) {
	v := virtualpi.LoadVivid(t)
	before := held(t)
	devicetest.TestCamera(t, func() device.Camera { return NewV4L2(Options{}) }, devicetest.CameraOptions{
		Patience: patience,
		Absent:   func() device.Camera { return NewV4L2(Options{Device: "/dev/video9"}) },
		Unplug:   v.Unbind,
		Plug:     v.Bind,
	})
	held(t).compare(t, before)
}

func TestKernelLoopbackIsACamera(t *testing.T) {
	virtualpi.LoadLoopback(t)
	data := jpegBytes(t, square(64, color.White))
	picture := frame.Frame{Format: frame.JPEG, Width: 64, Height: 64, Pix: data}
	stripped := picture
	if stripped.Pix = virtualpi.StripHuffman(data); stripped.Pix == nil {
		t.Fatal("no Huffman tables to strip")
	}
	for name, f := range map[string]frame.Frame{"YUYV": grey(100), "MJPEG": picture, "MJPEG without tables": stripped} {
		t.Run(name, func(t *testing.T) {
			w := virtualpi.NewWriter(t, f, 20)
			before := held(t)
			open := func() device.Camera { return NewV4L2(Options{Device: "loop"}) }
			devicetest.TestCamera(t, open, devicetest.CameraOptions{Patience: patience, Stall: w.Pause})
			w.Resume()
			r := start(t, open())
			if got := r.next(t, 1); !bytes.Equal(got.Pix, f.Pix) || got.Format != f.Format {
				t.Errorf("%v with %d bytes, want %v with the %d that were shown", got.Format, len(got.Pix), f.Format, len(f.Pix))
			}
			// A camera that falls silent does not keep Run.
			w.Pause()
			time.Sleep(200 * time.Millisecond)
			r.stop(t)
			held(t).compare(t, before)
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			start(t, open()).ends(t, device.ErrFormat, "waits for a program")
		})
	}
}

// TestKernelLoopbackSilent holds the limits of a camera that gives nothing.
func TestKernelLoopbackSilent(t *testing.T) {
	virtualpi.LoadLoopback(t)
	w := virtualpi.NewWriter(t, grey(100), 20)
	w.Pause()
	began := time.Now()
	const again = "unplug it and plug it in again"
	start(t, NewV4L2(Options{})).ends(t, device.ErrStall, "camera loopback (/dev/video10): stopped giving frames (no whole picture for 5s); "+again)
	if took := time.Since(began); took < v4l2Start {
		t.Errorf("given up after %v (want %v)", took, v4l2Start)
	}
	w.Resume()
	r := start(t, NewV4L2(Options{}))
	r.next(t, 3)
	w.Pause()
	began = time.Now()
	r.ends(t, device.ErrStall, "(no whole picture for 2s); "+again)
	if took := time.Since(began); took < v4l2Silence-time.Second || took > v4l2Silence+time.Second {
		t.Errorf("given up after %v (want %v)", took, v4l2Silence)
	}
}

// TestKernelLoopbackTaken holds the promise of Taken where a driver does not stamp its
// frames: one that is said to be from after a change shows it.
func TestKernelLoopbackTaken(t *testing.T) {
	virtualpi.LoadLoopback(t)
	w := virtualpi.NewWriter(t, grey(1), 20)
	time.Sleep(500 * time.Millisecond) // frames that nobody takes
	for level := byte(2); level < 12; level++ {
		w.Show(grey(level))
		changed := time.Now()
		r := start(t, NewV4L2(Options{Device: virtualpi.LoopbackPath}))
		for checked := 0; checked < 3; {
			f := r.next(t, 1)
			if f.Taken.Before(changed) {
				continue
			}
			if checked++; f.Pix[0] != level {
				t.Errorf("a frame taken %v after the change to %d shows %d", f.Taken.Sub(changed), level, f.Pix[0])
			}
		}
		// The same while it runs.
		w.Show(grey(level + 100))
		changed = time.Now()
		for f := r.next(t, 1); ; f = r.next(t, 1) {
			if f.Taken.Before(changed) {
				continue
			}
			if f.Pix[0] != level+100 {
				t.Errorf("running: a frame taken %v after the change to %d shows %d", f.Taken.Sub(changed), level+100, f.Pix[0])
			}
			break
		}
		r.stop(t)
	}
}

// TestKernelLoopbackWaited has a frame wait while the reader is busy: it is not said
// to be from after a change that came later.
func TestKernelLoopbackWaited(t *testing.T) {
	virtualpi.LoadLoopback(t)
	w := virtualpi.NewWriter(t, grey(1), 20)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var changed time.Time
	var n int
	err := NewV4L2(Options{Device: virtualpi.LoopbackPath}).Run(ctx, func(f frame.Frame) {
		switch n++; n {
		case 5:
			time.Sleep(300 * time.Millisecond) // more frames of 1 come
			w.Pause()
			w.Show(grey(2))
			changed = time.Now()
			time.Sleep(100 * time.Millisecond)
		case 6:
			if f.Pix[0] != 1 {
				t.Errorf("the frame that waited shows %d, want 1", f.Pix[0])
			}
			w.Resume()
		}
		if n > 5 && !f.Taken.Before(changed) {
			if f.Pix[0] != 2 {
				t.Errorf("frame %d, taken %v after the change, does not show it", n, f.Taken.Sub(changed))
			}
			cancel()
		}
	})
	if err != nil || n < 7 {
		t.Errorf("%d frames, error %v", n, err)
	}
}

// TestKernelStamps logs how old frames are when they are handed out, for both kinds
// of stamp.
func TestKernelStamps(t *testing.T) {
	v := virtualpi.LoadVivid(t)
	for source, name := range []string{"end of frame", "start of exposure"} {
		v.Set(virtualpi.StampSource, int32(source))
		var ages []time.Duration
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := NewV4L2(Options{MinWidth: 320, MinHeight: 180}).Run(ctx, func(f frame.Frame) {
			if ages = append(ages, time.Since(f.Taken)); len(ages) == 100 {
				cancel()
			}
		})
		cancel()
		if err != nil || len(ages) != 100 {
			t.Fatalf("%d frames, error %v", len(ages), err)
		}
		slices.Sort(ages)
		t.Logf("%s: a frame is %v old when it is handed out (median; 90%% within %v, all within %v)", name, ages[50], ages[90], ages[99])
		if ages[0] < 0 || ages[50] > time.Second {
			t.Errorf("%s: ages from %v to %v", name, ages[0], ages[99])
		}
	}
}

// TestKernelNewest has a reader that is slower than the camera: what it gets
// next is the newest frame that the driver had a buffer for, not the oldest.
func TestKernelNewest(t *testing.T) {
	virtualpi.LoadVivid(t)
	const busy = 500 * time.Millisecond // many frames
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var n int
	var last uint64
	err := NewV4L2(Options{}).Run(ctx, func(f frame.Frame) {
		t.Logf("frame %d is %v old", f.Seq, time.Since(f.Taken))
		if n++; n > 1 && f.Seq < last+wantBuffers-1 {
			t.Errorf("frame %d comes after %d, though newer ones were there", f.Seq, last)
		}
		last = f.Seq
		if time.Sleep(busy); n == 8 {
			cancel()
		}
	})
	if err != nil || n != 8 {
		t.Errorf("%d frames, error %v", n, err)
	}
}

func TestKernelAllocations(t *testing.T) {
	virtualpi.LoadVivid(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const skip, frames = 20, 200
	var n int
	var before, after runtime.MemStats
	err := NewV4L2(Options{MinWidth: 320, MinHeight: 180}).Run(ctx, func(frame.Frame) {
		switch n++; n {
		case skip:
			runtime.ReadMemStats(&before)
		case skip + frames:
			runtime.ReadMemStats(&after)
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	count := after.Mallocs - before.Mallocs
	t.Logf("%d allocations in %d frames", count, frames)
	if count > frames/10 { // the runtime makes some of its own
		t.Errorf("%d allocations in %d frames", count, frames)
	}
}

func TestKernelFaults(t *testing.T) {
	v := virtualpi.LoadVivid(t)
	before := held(t)
	c := NewV4L2(Options{})
	works := func() {
		t.Helper()
		r := start(t, c)
		r.next(t, 3)
		r.stop(t)
	}
	for _, f := range []struct {
		name  string
		fault virtualpi.Fault
		want  error
		says  string
	}{
		{"unplugged", virtualpi.Disconnected, device.ErrAbsent, "plug it in"},
		{"queue fails", virtualpi.QueueFatal, device.ErrStall, "its driver failed"},
	} {
		t.Run(f.name, func(t *testing.T) {
			r := start(t, c)
			r.next(t, 3)
			inject(t, v, f.fault, 1)
			r.ends(t, f.want, f.says)
			works()
		})
	}
	t.Run("damaged frames", func(t *testing.T) {
		r := start(t, c)
		last := r.next(t, 3).Seq
		missing := 0
		for range 10 {
			inject(t, v, virtualpi.DequeueError, 1)
			for range 3 {
				f := r.next(t, 1)
				missing += int(f.Seq - last - 1)
				last = f.Seq
			}
		}
		r.stop(t)
		if missing < 5 {
			t.Errorf("%d of 10 damaged frames are missing", missing)
		}
	})
	t.Run("lost frames", func(t *testing.T) {
		inject(t, v, virtualpi.Dropped, 60)
		defer inject(t, v, virtualpi.Dropped, 0)
		r := start(t, c)
		first := r.next(t, 1).Seq
		last := r.next(t, 20).Seq
		r.stop(t)
		if lost := int(last-first) - 20; lost < 8 {
			t.Errorf("Seq shows %d lost frames beside 20 that came, of which 60 %% were dropped", lost)
		}
	})
	held(t).compare(t, before)
}

func inject(t *testing.T, v *virtualpi.Vivid, f virtualpi.Fault, value int32) {
	t.Helper()
	if err := v.Inject(f, value); err != nil {
		t.Fatal(err)
	}
}

func TestKernelBusy(t *testing.T) {
	v := virtualpi.LoadVivid(t)
	r := start(t, NewV4L2(Options{}))
	r.next(t, 1)
	me := fmt.Sprintf("(process %d)", os.Getpid())
	start(t, NewV4L2(Options{Device: v.Path})).ends(t, device.ErrBusy, me)
	start(t, NewV4L2(Options{})).ends(t, device.ErrBusy, me)
	if who := Holders()[v.Path]; len(who) != 1 || !strings.HasSuffix(who[0], me) {
		t.Errorf("held by %q, want one that ends in %q", who, me)
	}
	// It can be listed meanwhile, and is no worse for it.
	all, err := List()
	if err != nil || len(all) == 0 || all[0].Use != Usable {
		t.Errorf("list %v, error %v", all, err)
	}
	r.next(t, 3)
	r.stop(t)
	r = start(t, NewV4L2(Options{}))
	r.next(t, 1)
	r.stop(t)

	// Another camera is taken where one is busy.
	virtualpi.LoadLoopback(t)
	w := virtualpi.NewWriter(t, grey(100), 20)
	r = start(t, NewV4L2(Options{}))
	r.next(t, 1)
	other := start(t, NewV4L2(Options{MinWidth: 320, MinHeight: 240}))
	if f := other.next(t, 1); f.Pix[0] != 100 {
		t.Errorf("the other camera shows %d, want 100", f.Pix[0])
	}
	other.stop(t)
	r.stop(t)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestKernelDenied(t *testing.T) {
	v := virtualpi.LoadVivid(t)
	if err := os.Chmod(v.Path, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		// This thread alone becomes an ordinary user to the file system, and
		// ends with its goroutine.
		runtime.LockOSThread()
		if err := errors.Join(unix.Setfsgid(1000), unix.Setfsuid(1000)); err != nil {
			t.Error(err)
		}
		all, err := List()
		if err != nil || len(all) == 0 || all[0].Use != Unreadable || !errors.Is(all[0].Err, device.ErrDenied) {
			t.Errorf("list %+v, error %v", all, err)
		}
		done <- NewV4L2(Options{}).Run(t.Context(), func(frame.Frame) { t.Error("a frame") })
	}()
	if err := <-done; !errors.Is(err, device.ErrDenied) || !strings.Contains(err.Error(), "group video") {
		t.Errorf("error %v", err)
	}
}

// TestKernelList loads vivid with other nodes beside the camera.
func TestKernelList(t *testing.T) {
	// Video capture and output, metadata capture and output.
	virtualpi.Load(t, "vivid", "n_devs=1 node_types=0x60101 num_inputs=1 input_types=0x00 vid_cap_nr=0 vid_out_nr=1 meta_cap_nr=2 meta_out_nr=3")
	defer virtualpi.Unload(t, "vivid")
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Use{"/dev/video0": Usable, "/dev/video1": Output, "/dev/video2": Metadata, "/dev/video3": Metadata}
	for _, i := range all {
		t.Logf("%v: %v %s, driver %s, bus %s", i, i.Use, i.Reason, i.Driver, i.Bus)
		if u, ok := want[i.Path]; ok && i.Use != u {
			t.Errorf("%v: %v, want %v", i, i.Use, u)
		}
		delete(want, i.Path)
		if i.Use != Usable {
			continue
		}
		for _, f := range i.Formats {
			if f.readable() {
				t.Logf("  %v (%s): %v", f, f.Name, f.Sizes)
			}
		}
		controls, err := Controls(i.Path)
		if err != nil || !slices.ContainsFunc(controls, func(c Control) bool {
			return c.Name == "brightness" && c.Min == 0 && c.Max == 255 && c.Value == 128
		}) {
			t.Errorf("controls %+v, error %v", controls, err)
		}
	}
	if len(want) > 0 {
		t.Errorf("not listed: %v", want)
	}
	for path, says := range map[string]string{"/dev/video1": "takes pictures in", "/dev/video2": "figures"} {
		start(t, NewV4L2(Options{Device: path})).ends(t, device.ErrFormat, says)
	}
}

func TestKernelControls(t *testing.T) {
	v := virtualpi.LoadVivid(t)
	var log bytes.Buffer
	r := start(t, NewV4L2(Options{
		Controls: map[string]int{"brightness": 77, "contrast": 1000, "sparkle": 1},
		Log:      slog.New(slog.NewTextHandler(&log, nil)),
	}))
	r.next(t, 1)
	r.stop(t)
	if got := v.Get(virtualpi.Brightness); got != 77 {
		t.Errorf("brightness %d, want 77", got)
	}
	for _, says := range []string{"control=contrast err=\"out of range (got 1000; want 0 to 255)\"", "control=sparkle", "gain_automatic"} {
		if !strings.Contains(log.String(), says) {
			t.Errorf("the log does not say %q:\n%s", says, &log)
		}
	}
}

// TestKernelHold holds the gain of vivid, which otherwise changes every second.
func TestKernelHold(t *testing.T) {
	v := virtualpi.LoadVivid(t)
	await := func(what string, ok func() bool) {
		t.Helper()
		for began := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Since(began) > patience {
				t.Fatalf("in %v: no %s", patience, what)
			}
		}
	}
	automatic := func() bool { return v.Get(virtualpi.Autogain) == 1 }
	manual := func() bool { return !automatic() }
	c := NewV4L2(Options{})
	c.Hold(true) // before there is a camera
	r := start(t, c)
	r.next(t, 1)
	if !automatic() {
		t.Error("held before it could settle")
	}
	await("hold", manual)
	gain := v.Get(virtualpi.Gain)
	r.next(t, 40)
	if got := v.Get(virtualpi.Gain); got != gain {
		t.Errorf("gain %d went to %d", gain, got)
	}
	c.Hold(false)
	await("release", automatic)
	c.Hold(true)
	await("hold", manual)
	gain = v.Get(virtualpi.Gain)

	// Unplugged and back, with its settings lost.
	v.Unbind()
	r.ends(t, device.ErrAbsent, "")
	v.Bind()
	if !automatic() {
		t.Fatal("a camera that was unplugged keeps its settings")
	}
	r = start(t, c)
	r.next(t, 1)
	if got := v.Get(virtualpi.Gain); automatic() || got != gain {
		t.Errorf("back again: automatic %v, gain %d, want %d", automatic(), got, gain)
	}
	r.stop(t)
	if !automatic() {
		t.Error("closed, it is not as it was found")
	}
	// Held again when opened again; released while closed.
	r = start(t, c)
	r.next(t, 1)
	if got := v.Get(virtualpi.Gain); automatic() || got != gain {
		t.Errorf("opened again: automatic %v, gain %d, want %d", automatic(), got, gain)
	}
	r.stop(t)
	c.Hold(false)
	r = start(t, c)
	r.next(t, 1)
	await("automatic", automatic)
	r.stop(t)
}

// TestKernelHoldAfterCrash finds a camera as a box leaves it that is killed.
func TestKernelHoldAfterCrash(t *testing.T) {
	v := virtualpi.LoadVivid(t)
	for _, c := range []struct {
		o    Options
		want int32
	}{
		{Options{}, 0},
		{Options{Hold: true, Controls: map[string]int{"gain_automatic": 0}}, 0},
		{Options{Hold: true}, 1},
	} {
		v.Set(virtualpi.Autogain, 0)
		r := start(t, NewV4L2(c.o))
		r.next(t, 1)
		if got := v.Get(virtualpi.Autogain); got != c.want {
			t.Errorf("%+v: gain_automatic %d, want %d", c.o, got, c.want)
		}
		r.stop(t)
	}
}

// TestKernelCycles opens and closes the camera a thousand times, and unplugs it a
// hundred times: nothing is left behind.
func TestKernelCycles(t *testing.T) {
	v := virtualpi.LoadVivid(t)
	c := NewV4L2(Options{MinWidth: 320, MinHeight: 180})
	cycle := func() {
		t.Helper()
		r := start(t, c)
		r.next(t, 1)
		r.stop(t)
	}
	unplug := func() {
		t.Helper()
		r := start(t, c)
		r.next(t, 1)
		v.Unbind()
		r.ends(t, device.ErrAbsent, "")
		v.Bind()
	}
	cycle()
	unplug()
	before := held(t)
	began := time.Now()
	const opens, unplugs = 1000, 100
	for range opens {
		cycle()
	}
	t.Logf("%d times opened and closed, %v each", opens, time.Since(began)/opens)
	held(t).compare(t, before)
	began = time.Now()
	for range unplugs {
		unplug()
	}
	t.Logf("%d times unplugged, %v each", unplugs, time.Since(began)/unplugs)
	held(t).compare(t, before)
}

// TestKernelAuto has Auto take the camera that is there.
func TestKernelAuto(t *testing.T) {
	v := virtualpi.LoadVivid(t)
	csi := &piCamera{installed: true, fault: device.ErrStall}
	c := NewAuto(NewV4L2(Options{}), csi)
	r := start(t, c)
	r.next(t, 2)
	v.Unbind()
	r.ends(t, device.ErrAbsent, "")
	start(t, c).ends(t, device.ErrStall, "") // the stand-in's
	if csi.runs != 1 {
		t.Errorf("the Pi camera ran %d times, want once", csi.runs)
	}
	v.Bind()
	r = start(t, c)
	r.next(t, 2)
	r.stop(t)
}

// A running is one call of Run. Its frames are copies.
type running struct {
	cancel context.CancelFunc
	frames chan frame.Frame // the newest one
	done   chan error
}

func start(t *testing.T, c device.Camera) *running {
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{cancel: cancel, frames: make(chan frame.Frame), done: make(chan error, 1)}
	go func() {
		defer cancel()
		r.done <- c.Run(ctx, func(f frame.Frame) {
			f.Pix = bytes.Clone(f.Pix)
			select {
			case r.frames <- f:
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond): // nobody wants it
			}
		})
	}()
	t.Cleanup(cancel)
	return r
}

// next returns the n-th frame from now on.
func (r *running) next(t *testing.T, n int) (f frame.Frame) {
	t.Helper()
	late := time.After(patience)
	for range n {
		select {
		case f = <-r.frames:
		case err := <-r.done:
			t.Fatalf("Run ended: %v", err)
		case <-late:
			t.Fatalf("no frame in %v", patience)
		}
	}
	return f
}

// stop ends the context; Run must return nil soon.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	began := time.Now()
	r.ends(t, nil, "")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Run returned %v after its context ended", took)
	}
}

// ends waits for Run to return an error that wraps want and says what is to be
// said.
func (r *running) ends(t *testing.T, want error, says string) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case <-r.frames:
		case err := <-r.done:
			if !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("Run returned %v (want %v, saying %q)", err, want, says)
			}
			return
		case <-late:
			t.Fatalf("Run goes on after %v (want %v)", patience, want)
		}
	}
}

// holding is what a process holds of the machine.
type holding struct{ descriptors, mappings, goroutines int }

// held counts, once what has just ended is gone.
func held(t *testing.T) (h holding) {
	t.Helper()
	time.Sleep(100 * time.Millisecond)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return holding{len(fds), strings.Count(string(maps), "/dev/video"), runtime.NumGoroutine()}
}

func (h holding) compare(t *testing.T, before holding) {
	t.Helper()
	if h != before {
		t.Errorf("left behind: %+v, before it was %+v", h, before)
	}
}

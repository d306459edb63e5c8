package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/color"
	"image/jpeg"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"teachbox/device"
	"teachbox/device/devicetest"
	"teachbox/device/frame"
)

// rpicamVid is the stand-in program, built once.
var rpicamVid = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "teachbox")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "rpicam-vid")
	if out, err := exec.Command("go", "build", "-o", path, "./testdata/rpicam-vid").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return os.ReadFile(path)
})

// A program is a stand-in for rpicam-vid in a folder of its own.
type program string

func newProgram(t testing.TB) program {
	t.Helper()
	data, err := rpicamVid()
	if err != nil {
		t.Fatalf("building the stand-in: %v", err)
	}
	path := filepath.Join(t.TempDir(), "rpicam-vid")
	if err := os.WriteFile(path, data, 0o777); err != nil {
		t.Fatal(err)
	}
	return program(path)
}

// fault makes the program fail from its next frame on; "" mends it.
func (p program) fault(t testing.TB, word string) {
	t.Helper()
	// Renamed, so that the program never reads half a word.
	tmp := string(p) + ".new"
	if err := os.WriteFile(tmp, []byte(word), 0o666); err != nil {
		t.Error(err)
	}
	if err := os.Rename(tmp, string(p)+".fault"); err != nil {
		t.Error(err)
	}
}

// pids lists the processes that were started.
func (p program) pids(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile(string(p) + ".pids")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(data))
}

// gone reports whether a process has ended. One that is a zombie has, if it is
// not ours to reap.
func gone(t testing.TB, pid string) bool {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(data), ") ")
	var state string
	var parent int
	if _, err := fmt.Sscan(after, &state, &parent); err != nil {
		t.Fatal(err)
	}
	return state == "Z" && parent != os.Getpid()
}

// awaitGone waits for a process to end.
func awaitGone(t testing.TB, pid string) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); !gone(t, pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("process %s lives on", pid)
		}
	}
}

// runRPiCam runs a camera until n frames have come, and calls look, which may be nil,
// with each.
func runRPiCam(t testing.TB, c *RPiCam, n int, look func(frame.Frame)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	count := 0
	err := c.Run(ctx, func(f frame.Frame) {
		if look != nil {
			look(f)
		}
		if count++; count == n {
			cancel()
		}
	})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatalf("%d frames in a minute (want %d)", count, n)
	}
	return err
}

func TestRPiCamIsACamera(t *testing.T) {
	for name, yuv := range map[string]bool{"MJPEG": false, "YUV420": true} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			p := newProgram(t)
			devicetest.TestCamera(t, func() device.Camera {
				p.fault(t, "")
				return NewRPiCam(RPiCamOptions{Program: string(p), Width: 128, Height: 96, Rate: 50, YUV: yuv})
			}, devicetest.CameraOptions{
				Absent: func() device.Camera { return NewRPiCam(RPiCamOptions{Program: string(p) + "-gone", YUV: yuv}) },
				Unplug: func() { p.fault(t, "absent") },
				Plug:   func() { p.fault(t, "") },
				Stall:  func() { p.fault(t, "stall") },
				// A machine that is busy with other tests starts programs slowly.
				Patience: 15 * time.Second,
			})
		})
	}
}

// TestRPiCamPictures compares what comes out with what the stand-in drew.
func TestRPiCamPictures(t *testing.T) {
	p := newProgram(t)
	const w, h = 256, 64
	if err := os.WriteFile(string(p)+".picture", pngBytes(t, square(8, color.NRGBA{200, 100, 50, 255})), 0o666); err != nil {
		t.Fatal(err)
	}
	o := RPiCamOptions{Program: string(p), Width: w, Height: h}
	err := runRPiCam(t, NewRPiCam(o), 3, func(f frame.Frame) {
		img, err := jpeg.Decode(bytes.NewReader(f.Pix))
		if err != nil {
			t.Fatal(err)
		}
		if size := img.Bounds().Size(); size.X != w || size.Y != h {
			t.Errorf("%v pixels (want %d×%d)", size, w, h)
		}
		r, g, b, _ := img.At(100, 30).RGBA()
		if near := func(v uint32, want int) bool { return max(int(v>>8)-want, want-int(v>>8)) <= 6 }; !near(r, 200) || !near(g, 100) || !near(b, 50) {
			t.Errorf("colour %d %d %d (want 200 100 50)", r>>8, g>>8, b>>8)
		}
	})
	if err != nil {
		t.Error(err)
	}
	o.YUV = true
	m := newYUYVMaker(w, h)
	y, cb, cr := color.RGBToYCbCr(200, 100, 50)
	want := bytes.Repeat([]byte{m.luma[y], m.chroma[cb], m.luma[y], m.chroma[cr]}, w*h/2)
	err = runRPiCam(t, NewRPiCam(o), 3, func(f frame.Frame) {
		if f.Format != frame.YUYV || f.Width != w || f.Height != h || !bytes.Equal(f.Pix, want) {
			t.Errorf("%v %d×%d % x… (want YUYV %d×%d % x…)", f.Format, f.Width, f.Height, f.Pix[:8], w, h, want[:8])
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRPiCamFrames has a stream in which not all is well: whole pictures come
// out of it, and nothing else.
func TestRPiCamFrames(t *testing.T) {
	for _, fault := range []string{"garbage", "odd", "chatter"} {
		t.Run(fault, func(t *testing.T) {
			p := newProgram(t)
			p.fault(t, fault)
			good := 0
			err := runRPiCam(t, NewRPiCam(RPiCamOptions{Program: string(p), Rate: 100}), 30, func(f frame.Frame) {
				if _, err := jpeg.Decode(bytes.NewReader(f.Pix)); err == nil {
					good++
				} else if fault != "garbage" { // which may begin a picture by chance
					t.Error(err)
				}
			})
			if err != nil {
				t.Error(err)
			}
			if good < 25 {
				t.Errorf("%d of 30 pictures are whole", good)
			}
		})
	}
}

func TestRPiCamErrors(t *testing.T) {
	p := newProgram(t)
	for fault, test := range map[string]struct {
		want error
		says string
	}{
		"absent": {device.ErrAbsent, `"ERROR: *** no cameras available ***"; switch off, check the camera's cable`},
		"busy":   {device.ErrBusy, `Pipeline handler in use by another process"; end the other program`},
		"denied": {device.ErrDenied, `"Could not open any dmaHeap device"; add the user who runs the box to the group video`},
		"die":    {device.ErrStall, `its program ended by itself (exit status 255) and says "ERROR: *** unrecognised message! ***"; try rpicam-hello`},
	} {
		t.Run(fault, func(t *testing.T) {
			p.fault(t, fault)
			err := runRPiCam(t, NewRPiCam(RPiCamOptions{Program: string(p), Sensor: 1}), 1, nil)
			if !errors.Is(err, test.want) || !strings.HasPrefix(err.Error(), "Pi camera 1: ") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v (want %v, saying %q)", err, test.want, test.says)
			}
		})
	}

	notes := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(notes, []byte("not a program"), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		opts RPiCamOptions
		want error
		says string
	}{
		"no such program": {RPiCamOptions{Program: "no-such-rpicam"}, device.ErrAbsent, "no program no-such-rpicam; install it with: sudo apt install rpicam-apps"},
		"not a program":   {RPiCamOptions{Program: notes}, device.ErrAbsent, "exec format error; install the package rpicam-apps anew"},
		"odd width":       {RPiCamOptions{Width: 641}, device.ErrFormat, "641×480 pixels; choose even numbers"},
		"odd height":      {RPiCamOptions{Height: 481}, device.ErrFormat, "640×481 pixels; choose even numbers"},
		"padded":          {RPiCamOptions{Width: 320, YUV: true}, device.ErrFormat, "choose a multiple of 128"},
		"too large":       {RPiCamOptions{Width: 10000}, device.ErrFormat, "choose 640×480"},
		"no size":         {RPiCamOptions{Width: -2}, device.ErrFormat, "choose 640×480"},
		"too fast":        {RPiCamOptions{Rate: 201}, device.ErrFormat, "choose 1 to 200"},
		"too slow":        {RPiCamOptions{Rate: -1}, device.ErrFormat, "choose 1 to 200"},
		"no camera":       {RPiCamOptions{Sensor: -1}, device.ErrFormat, "choose 0 for the first"},
	} {
		t.Run(name, func(t *testing.T) {
			err := NewRPiCam(test.opts).Run(t.Context(), func(frame.Frame) { t.Error("a frame") })
			if !errors.Is(err, test.want) || !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("error %v (want %v, saying %q)", err, test.want, test.says)
			}
		})
	}
}

// TestRPiCamNoise shows that what is no picture at all is told from silence.
func TestRPiCamNoise(t *testing.T) {
	p := newProgram(t)
	n := 0
	err := runRPiCam(t, NewRPiCam(RPiCamOptions{Program: string(p), Width: 64, Height: 64}), 1000, func(frame.Frame) {
		if n++; n == 2 {
			p.fault(t, "noise")
		}
	})
	if !errors.Is(err, device.ErrFormat) || !strings.Contains(err.Error(), "in 2.1s, but no whole picture") {
		t.Errorf("error %v (want %v)", err, device.ErrFormat)
	}
}

func TestRPiCamInstalled(t *testing.T) {
	p := newProgram(t)
	t.Setenv("PATH", filepath.Dir(string(p)))
	for _, program := range []string{"", "rpicam-vid", string(p)} {
		if !NewRPiCam(RPiCamOptions{Program: program}).Installed() {
			t.Errorf("program %q is not found", program)
		}
	}
	if err := runRPiCam(t, NewRPiCam(RPiCamOptions{}), 1, nil); err != nil {
		t.Error(err)
	}
	if err := os.Rename(string(p), filepath.Join(filepath.Dir(string(p)), "libcamera-vid")); err != nil {
		t.Fatal(err)
	}
	if !NewRPiCam(RPiCamOptions{}).Installed() {
		t.Error("libcamera-vid is not found")
	}
	if NewRPiCam(RPiCamOptions{Program: "rpicam-vid"}).Installed() {
		t.Error("rpicam-vid is found where there is none")
	}
}

// TestRPiCamEndsWell shows that a program which is in the middle of writing
// comes to see the signal that asks it to end.
func TestRPiCamEndsWell(t *testing.T) {
	p := newProgram(t)
	for range 10 {
		if err := runRPiCam(t, NewRPiCam(RPiCamOptions{Program: string(p), Rate: 200, YUV: true}), 2, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(string(p) + ".bye"); err != nil {
			t.Fatalf("the program was killed: %v", err)
		}
	}
}

// TestRPiCamHangs ends a program that heeds no signal and has a child that holds
// the pipe, once because it is silent and once because the context ends.
func TestRPiCamHangs(t *testing.T) {
	for _, silent := range []bool{true, false} {
		defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
		p := newProgram(t)
		ctx, cancel := context.WithCancel(t.Context())
		err := NewRPiCam(RPiCamOptions{Program: string(p), Width: 64, Height: 64}).Run(ctx, func(f frame.Frame) {
			if f.Seq < 3 {
				return
			}
			p.fault(t, "hang")
			if silent {
				return
			}
			go func() {
				for len(p.pids(t)) < 2 { // until its child is there
					time.Sleep(5 * time.Millisecond)
				}
				cancel()
			}()
		})
		cancel()
		if silent && !errors.Is(err, device.ErrStall) || !silent && err != nil {
			t.Errorf("silent %t: error %v", silent, err)
		}
		pids := p.pids(t)
		if len(pids) != 2 {
			t.Fatalf("processes %v (want two)", pids)
		}
		for _, pid := range pids {
			awaitGone(t, pid)
		}
	}
}

// TestRPiCamPipeHeld has a program that ends and leaves something behind that
// is not in its process group and holds the pipes.
func TestRPiCamPipeHeld(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	p := newProgram(t)
	p.fault(t, "desert")
	err := runRPiCam(t, NewRPiCam(RPiCamOptions{Program: string(p), Width: 64, Height: 64}), 1, nil)
	if !errors.Is(err, device.ErrStall) || !strings.Contains(err.Error(), `(exit status 255) and says "ERROR: *** farewell ***"`) {
		t.Errorf("error %v", err)
	}
	pids := p.pids(t)
	if len(pids) != 2 {
		t.Fatalf("processes %v (want two)", pids)
	}
	if !gone(t, pids[0]) || gone(t, pids[1]) {
		t.Errorf("processes %v: gone %t and %t (want only the first)", pids, gone(t, pids[0]), gone(t, pids[1]))
	}
	pid, err := strconv.Atoi(pids[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

// TestRPiCamLeaksNothing counts descriptors, children and goroutines.
func TestRPiCamLeaksNothing(t *testing.T) {
	p := newProgram(t)
	c := NewRPiCam(RPiCamOptions{Program: string(p), Width: 64, Height: 64, Rate: 200})
	if err := runRPiCam(t, c, 1, nil); err != nil { // opens what Go keeps open
		t.Fatal(err)
	}
	descriptors := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	before := descriptors()
	for range 50 {
		if err := runRPiCam(t, c, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	p.fault(t, "die")
	for range 10 {
		if err := runRPiCam(t, c, 1, nil); err == nil {
			t.Fatal("no error")
		}
	}
	if now := descriptors(); now != before {
		t.Errorf("%d descriptors are open (want %d)", now, before)
	}
	for _, pid := range p.pids(t) {
		if !gone(t, pid) {
			t.Errorf("process %s is left", pid)
		}
	}
}

// TestRPiCamThreads shows that the child outlives threads of this process: the
// kernel would kill it with the thread that forked it.
func TestRPiCamThreads(t *testing.T) {
	p := newProgram(t)
	err := runRPiCam(t, NewRPiCam(RPiCamOptions{Program: string(p), Width: 64, Height: 64, Rate: 100}), 50, func(frame.Frame) {
		for range 20 {
			go runtime.LockOSThread() // the thread ends with the goroutine
		}
	})
	if err != nil {
		t.Error(err)
	}
	if n := len(p.pids(t)); n != 1 {
		t.Errorf("%d processes were started (want 1)", n)
	}
}

// TestRPiCamDies kills a process in the middle of Run: its child must not live
// on, though it writes nothing and so does not see that its pipe is broken.
func TestRPiCamDies(t *testing.T) {
	const name = "TEACHBOX_TEST_RPICAM"
	if path := os.Getenv(name); path != "" { // this is the process that dies
		last := time.AfterFunc(time.Minute, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
		_ = NewRPiCam(RPiCamOptions{Program: path, Width: 64, Height: 64}).Run(t.Context(), func(f frame.Frame) {
			program(path).fault(t, "stall")
			last.Reset(500 * time.Millisecond) // after the last frame
		})
		return
	}
	p := newProgram(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestRPiCamDies$")
	cmd.Env = append(os.Environ(), name+"="+string(p))
	out, err := cmd.CombinedOutput()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("ended with %v (want SIGKILL)\n%s", err, out)
	}
	pids := p.pids(t)
	if len(pids) != 1 {
		t.Fatalf("processes %v (want one)", pids)
	}
	awaitGone(t, pids[0])
}

// TestRPiCamTaken shows how old pictures are said to be: four intervals and
// 50 ms, but no older than Run.
func TestRPiCamTaken(t *testing.T) {
	const interval = time.Second / 20
	synctest.Test(t, func(t *testing.T) {
		r, w := net.Pipe()
		box := frame.NewMailbox()
		began := time.Now()
		done := make(chan error)
		go func() { done <- NewRPiCam(RPiCamOptions{Rate: 20}).read(r, box, began) }()
		for n := range 10 {
			write(w, whole)
			f, err := box.Take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := max(0, time.Duration(n)*interval-4*interval-50*time.Millisecond)
			if got := f.Taken.Sub(began); got != want {
				t.Errorf("frame %d was taken %v after the beginning (want %v)", n, got, want)
			}
			time.Sleep(interval)
		}
		w.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTail(t *testing.T) {
	var b tail
	for i := range 3000 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	if s := b.String(); len(s) != tailSize || !strings.HasSuffix(s, "line 2998\nline 2999\n") {
		t.Errorf("%d bytes, ending in %q", len(s), s[len(s)-30:])
	}
	_, _ = b.Write(bytes.Repeat([]byte("x"), 3*tailSize))
	if s := b.String(); s != strings.Repeat("x", tailSize) || cap(b.buf) > 4*tailSize {
		t.Errorf("%d bytes in a buffer of %d", len(s), cap(b.buf))
	}
}

func TestLastLine(t *testing.T) {
	for _, test := range []struct{ text, word, want string }{
		{"", "", ""},
		{"\n\n", "", ""},
		{"one", "", "one"},
		{"one\n two \r\n\n", "", "two"},
		{"an ERROR\nthen\n", "ERROR", "an ERROR"},
		{"an ERROR\nthen\n", "none", ""},
		{strings.Repeat("x", 1000), "", strings.Repeat("x", 200)},
	} {
		if got := lastLine(test.text, test.word); got != test.want {
			t.Errorf("lastLine(%q, %q) is %q (want %q)", test.text, test.word, got, test.want)
		}
	}
}

// BenchmarkRPiCam is the whole way of a frame through the pipe.
func BenchmarkRPiCam(b *testing.B) {
	for name, yuv := range map[string]bool{"MJPEG": false, "YUV420": true} {
		b.Run(name, func(b *testing.B) {
			c := NewRPiCam(RPiCamOptions{YUV: yuv})
			frames := jpegBytes(b, square(480, color.White))
			if yuv {
				frames = make([]byte, 640*480*3/2)
			}
			r, w, err := os.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			box := frame.NewMailbox()
			done := make(chan error)
			go func() { done <- c.read(r, box, time.Now()) }()
			b.SetBytes(int64(len(frames)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Write(frames); err != nil {
					b.Fatal(err)
				}
				if _, err := box.Take(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			w.Close()
			if err := <-done; err != nil {
				b.Error(err)
			}
		})
	}
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/devicetest"
	"teachbox/device/frame"
	"teachbox/inference"
	"teachbox/inference/graph"
	"teachbox/inference/preprocess"
	"teachbox/internal/api"
	"teachbox/internal/benchdata"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

// taughtStore is a lesson of 5 classes, five examples a press, of random
// embeddings in the space and of the size of the real backbone, with pictures of
// a usual size.
func taughtStore(b *testing.B, dir string, space inference.Space, examples int) *lesson.Store {
	b.Helper()
	store, err := lesson.Open(lesson.Options{Path: filepath.Join(dir, lessonFile), KeepPictures: lesson.KeepLesson})
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	picture := make([]byte, 12<<10)
	for class := range 5 {
		for range examples / 25 {
			press := lesson.NewPressID()
			for range 5 {
				q := make([]uint8, 1024)
				for i := range q {
					q[i] = uint8(rng.IntN(40))
					if i%5 == class {
						q[i] += 60
					}
				}
				_, err := store.Keep(lesson.Keep{
					Button: device.Button(class), Press: press,
					Embedding: inference.Embedding{Q: q, Space: space}, Picture: picture,
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	return store
}

// fiveSlots is a panel that can be taught five classes.
func fiveSlots() device.Wiring { return device.Wiring{Slots: 5, Nothing: true, Status: true} }

// noiseFrame is a YUYV frame of 640×480.
func noiseFrame() frame.Frame {
	f := frame.Frame{Format: frame.YUYV, Width: 640, Height: 480, Stride: 1280, Pix: make([]byte, 1280*480)}
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range f.Pix {
		f.Pix[i] = uint8(16 + rng.IntN(220))
	}
	return f
}

// BenchmarkFrameToLED is the whole way of a frame, with 250 examples taught:
// from the camera's hand to the mailbox, the tensor, the model, the head and
// the LEDs. In the same run, in turn, a bare loop in C scales the same frames
// and runs the same model: "of-bare-C" is the ratio of the medians.
func BenchmarkFrameToLED(b *testing.B) {
	cfg := simulated(b)
	bare := startBare(b, cfg)
	e, err := openEmbedder(cfg)
	if err != nil {
		b.Fatal(err)
	}
	store := taughtStore(b, b.TempDir(), e.Space(), 250)
	defer store.Close()

	frames := make(chan frame.Frame)
	looked := make(chan struct{}, 1)
	x := box.New(box.Parts{
		Camera: &devicetest.FakeCamera{Next: devicetest.Frames(frames, nil)}, Panel: devicetest.NewFakePanel(), Wiring: fiveSlots(), Lessons: store,
		OpenEmbedder: func() (inference.Embedder, error) { return e, nil },
		Dark:         preprocess.Dark,
	}, box.Options{Rate: 1e6, Observe: func(e box.Event) {
		if e.Kind == box.Looked {
			looked <- struct{}{}
		}
	}})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	f := noiseFrame()
	one := func() {
		f.Taken = time.Now()
		f.Seq++
		frames <- f
		<-looked
	}
	for x.Snapshot().Fold == nil {
		one()
	}

	const block = 10
	var ours, theirs []float64
	var mallocs uint64
	var before, after runtime.MemStats
	n := 0
	for b.Loop() {
		if n%block == 0 {
			b.StopTimer()
			theirs = append(theirs, bare(block))
			runtime.ReadMemStats(&before)
			b.StartTimer()
		}
		began := time.Now()
		one()
		ours = append(ours, float64(time.Since(began)))
		if n++; n%block == 0 {
			b.StopTimer()
			runtime.ReadMemStats(&after)
			mallocs += after.Mallocs - before.Mallocs
			b.StartTimer()
		}
	}
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	b.ReportMetric(median(ours)/1e6, "ms/frame")
	b.ReportMetric(median(theirs)/1e6, "ms/bare-C-frame")
	b.ReportMetric(median(ours)/median(theirs), "of-bare-C")
	b.ReportMetric(float64(mallocs)/float64(max(1, n/block*block)), "allocs/frame")
	b.ReportMetric(0, "ns/op") // said better above
}

func median[T float64 | time.Duration](v []T) T {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// startBare compiles and starts the loop in C. The function that it returns
// works off n frames and returns the nanoseconds for one.
func startBare(b *testing.B, cfg *config.Config) func(n int) float64 {
	b.Helper()
	dir := b.TempDir()
	back, err := readBackbone(cfg.Model)
	if err != nil {
		b.Fatal(err)
	}
	cut, err := back.model.CutHead()
	if err != nil {
		b.Fatal(err)
	}
	data, err := graph.Write(cut.Model)
	if err != nil {
		b.Fatal(err)
	}
	model := filepath.Join(dir, "cut.tflite")
	if err := os.WriteFile(model, data, 0o600); err != nil {
		b.Fatal(err)
	}
	lib := filepath.Join(benchdata.Root(b), "third_party", "tflite")
	so := filepath.Join(lib, "linux_"+runtime.GOARCH)
	exe := filepath.Join(dir, "bare")
	gcc := exec.Command("gcc", "-O2", "-o", exe, "testdata/bare/bare.c", "-I"+filepath.Join(lib, "include"), "-L"+so, "-ltensorflowlite_c", "-Wl,-rpath,"+so)
	if out, err := gcc.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(exe, model)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	answers := bufio.NewScanner(out)
	return func(n int) float64 {
		fmt.Fprintln(in, n)
		if !answers.Scan() {
			b.Fatal("the loop in C ended")
		}
		ns, err := strconv.ParseFloat(answers.Text(), 64)
		if err != nil {
			b.Fatal(err)
		}
		return ns / float64(n)
	}
}

// BenchmarkStart is the time from starting the program to its first answer,
// with as many examples taught, and its resident memory then. The program carries
// the simulated camera and desk beside the box.
func BenchmarkStart(b *testing.B) {
	for _, examples := range []int{250, 1000} {
		b.Run(fmt.Sprint(examples), func(b *testing.B) { benchmarkStart(b, examples) })
	}
}

func benchmarkStart(b *testing.B, examples int) {
	cfg := simulated(b)
	e, err := openEmbedder(cfg)
	if err != nil {
		b.Fatal(err)
	}
	space := e.Space()
	e.Close()
	dir := b.TempDir()
	if err := taughtStore(b, dir, space, examples).Close(); err != nil {
		b.Fatal(err)
	}
	five := filepath.Join(dir, "five.toml")
	if err := os.WriteFile(five, []byte(fiveSlotsTOML), 0o600); err != nil {
		b.Fatal(err)
	}
	var rss, looks []float64
	for b.Loop() {
		began := time.Now()
		cmd := program(b.Context(), b, "--config", five, "run", "--sim", "--state", dir, "--json")
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		waitFor(b, out, "learned")
		looks = append(looks, time.Since(began).Seconds()*1e3)
		b.StopTimer()
		time.Sleep(2 * time.Second)
		rss = append(rss, resident(b, cmd.Process.Pid))
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(median(looks), "ms/start")
	b.ReportMetric(median(rss), "resident-MB")
	b.ReportMetric(0, "ns/op")
}

const fiveSlotsTOML = `
[panel]
nothing = { pin = 26 }
status = { pin = 24 }
[[panel.slots]]
button = { pin = 5 }
led = { pin = 17 }
[[panel.slots]]
button = { pin = 6 }
led = { pin = 27 }
[[panel.slots]]
button = { pin = 13 }
led = { pin = 22 }
[[panel.slots]]
button = { pin = 19 }
led = { pin = 23 }
[[panel.slots]]
button = { pin = 16 }
led = { pin = 25 }
`

// waitFor reads events up to the first of a name.
func waitFor(b testing.TB, out io.Reader, event string) {
	s := bufio.NewScanner(out)
	for s.Scan() {
		var l api.Event
		if json.Unmarshal(s.Bytes(), &l) == nil && l.Event == event {
			return
		}
	}
	b.Fatalf("the program ended without %q", event)
}

// resident is the resident memory of a process in MB.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if f := strings.Fields(l); len(f) >= 2 && f[0] == "VmRSS:" {
			kb, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

// BenchmarkPressToWink is the time from pushing a button of a running box,
// camera at 30 frames a second, to its wink, and beside it what a bare write
// and fsync of as many bytes takes on the same disk.
func BenchmarkPressToWink(b *testing.B) {
	cfg := simulated(b)
	dir := b.TempDir()
	winked := make(chan struct{}, 1)
	a, err := assemble(cfg, assembly{state: dir, observe: func(e box.Event) {
		if e.Kind == box.Kept {
			winked <- struct{}{}
		}
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer a.store.Close()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.box.Run(ctx) }()
	for a.box.Snapshot().Looks == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	if err := a.desk.Show("ball"); err != nil {
		b.Fatal(err)
	}
	sync, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		b.Fatal(err)
	}
	defer sync.Close()
	var press, fsync []float64
	for b.Loop() {
		began := time.Now()
		if err := a.panel.Press(0); err != nil {
			b.Fatal(err)
		}
		<-winked
		press = append(press, float64(time.Since(began)))
		b.StopTimer()
		if err := a.panel.Release(0); err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		if _, err := sync.WriteAt(make([]byte, 24<<10), 0); err != nil {
			b.Fatal(err)
		}
		if err := sync.Sync(); err != nil {
			b.Fatal(err)
		}
		fsync = append(fsync, float64(time.Since(began)))
		time.Sleep(time.Duration(100+rand.IntN(200)) * time.Millisecond)
		b.StartTimer()
	}
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	b.ReportMetric(median(press)/1e6, "ms/wink")
	b.ReportMetric(median(fsync)/1e6, "ms/fsync")
	b.ReportMetric(0, "ns/op")
}

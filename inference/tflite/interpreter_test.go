package tflite

import (
	"bytes"
	"errors"
	"log"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/device/frame"
	"teachbox/inference/graph"
	"teachbox/inference/preprocess"
	"teachbox/internal/benchdata"
	"teachbox/models"
)

func TestVersion(t *testing.T) {
	if got := Version(); got != "2.9.0" {
		t.Errorf("library %q; its quirks were checked with 2.9.0", got)
	}
}

func TestTensors(t *testing.T) {
	const relu6 = float64(float32(6.0 / 255))
	for _, c := range []struct {
		name    string
		o       graph.TinyOptions
		in, out Tensor // of the backbone
	}{
		{
			"uint8", graph.TinyOptions{},
			Tensor{Shape: []int{1, 32, 32, 3}, Scale: 1.0 / 128, ZeroPoint: 128},
			Tensor{Shape: []int{1, 1, 1, 64}, Scale: relu6},
		},
		{
			"int8", graph.TinyOptions{Side: 16, Size: 10, Int8: true},
			Tensor{Shape: []int{1, 16, 16, 3}, Signed: true, Scale: 1.0 / 128},
			Tensor{Shape: []int{1, 1, 1, 10}, Signed: true, Scale: relu6, ZeroPoint: -128},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := cut(t, tiny(t, c.o))
			i := open(t, b, Options{})
			if diff := cmp.Diff(c.in, i.Input()); diff != "" {
				t.Errorf("input (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.out, i.Output()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTensorValues(t *testing.T) {
	codes := []uint8{0, 1, 127, 128, 255}
	for _, c := range []struct {
		t    Tensor
		want []float64
	}{
		{Tensor{Scale: 0.5}, []float64{0, 0.5, 63.5, 64, 127.5}},
		{Tensor{Scale: 2, ZeroPoint: 128}, []float64{-256, -254, -2, 0, 254}},
		{Tensor{Scale: 2, Signed: true}, []float64{0, 2, 254, -256, -2}},
		{Tensor{Scale: 1, Signed: true, ZeroPoint: -128}, []float64{128, 129, 255, 0, 127}},
	} {
		if diff := cmp.Diff(c.want, c.t.Values(codes)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.t, diff)
		}
	}
}

// TestInferRepeats shows that an output depends on its input only: not on the
// one before it, nor on the interpreter.
func TestInferRepeats(t *testing.T) {
	for _, o := range []graph.TinyOptions{{}, {Int8: true}} {
		model := tiny(t, o)
		i := open(t, model, Options{})
		size := i.Input().Len()
		first := infer(t, i, noise(size, 1))
		other := infer(t, i, noise(size, 2))
		if bytes.Equal(first, other) {
			t.Errorf("int8 %v: two pictures give one output: %v", o.Int8, first)
		}
		if again := infer(t, i, noise(size, 1)); !bytes.Equal(first, again) {
			t.Errorf("int8 %v: %v, then %v", o.Int8, first, again)
		}
		if fresh := infer(t, open(t, model, Options{Threads: 2}), noise(size, 1)); !bytes.Equal(first, fresh) {
			t.Errorf("int8 %v: another interpreter gives %v, want %v", o.Int8, fresh, first)
		}
	}
}

// TestXNNPACK shows that the delegate computes what the built-in kernels do:
// the same for uint8, which it leaves alone, and a rounding apart for int8.
func TestXNNPACK(t *testing.T) {
	for _, c := range []struct {
		name  string
		o     graph.TinyOptions
		apart int // codes
	}{
		{"uint8", graph.TinyOptions{}, 0},
		{"int8", graph.TinyOptions{Int8: true}, 1},
	} {
		b, _ := cut(t, tiny(t, c.o))
		builtin, xnnpack := open(t, b, Options{}), open(t, b, Options{XNNPACK: true})
		for seed := range uint64(20) {
			in := noise(builtin.Input().Len(), seed)
			if d := furthest(t, infer(t, builtin, in), infer(t, xnnpack, in)); d > c.apart {
				t.Errorf("%s, picture %d: %d codes apart, want at most %d", c.name, seed, d, c.apart)
			}
		}
	}
}

func TestFillError(t *testing.T) {
	i := open(t, tiny(t, graph.TinyOptions{}), Options{})
	want := errors.New("no picture")
	err := i.Infer(func([]uint8) error { return want }, func([]uint8) { t.Error("the output of no picture was read") })
	if err != want {
		t.Errorf("error %v, want the one of fill as it is", err)
	}
	infer(t, i, noise(i.Input().Len(), 1)) // it remains usable
}

func TestClose(t *testing.T) {
	for _, o := range []Options{{}, {XNNPACK: true}} {
		i := open(t, tiny(t, graph.TinyOptions{Int8: true}), o)
		for n := range 3 {
			if err := i.Close(); err != nil {
				t.Errorf("close %d: %v", n, err)
			}
		}
		err := i.Infer(
			func([]uint8) error { t.Error("a closed interpreter was filled"); return nil },
			func([]uint8) { t.Error("a closed interpreter was read") })
		if !errors.Is(err, ErrClosed) {
			t.Errorf("error %v, want %v", err, ErrClosed)
		}
	}
}

// TestRefused shows that bytes which are no model are refused and cost no
// memory or descriptor. The library prints to the standard error meanwhile.
func TestRefused(t *testing.T) {
	model := tiny(t, graph.TinyOptions{})
	// The whole file is sound, but its last operator, SOFTMAX (25), is one that
	// no library has: what was made by then must be freed.
	unknown := bytes.ReplaceAll(model, []byte{25, 0, 0, 0}, []byte{0xd0, 0x07, 0, 0})
	if bytes.Equal(model, unknown) {
		t.Fatal("the tiny model has no SOFTMAX")
	}
	before := descriptors(t)
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"nil", nil},
		{"one byte", []byte{0}},
		{"text", []byte("not a model, but long enough to be looked at")},
		{"garbage", noise(1<<12, 1)},
		{"an identifier alone", []byte("\x08\x00\x00\x00TFL3")},
		{"garbage behind an identifier", append([]byte("\x08\x00\x00\x00TFL3"), noise(1<<12, 2)...)},
		{"half a model", model[:len(model)/2]},
		{"a model but for a few bytes", model[:len(model)-64]},
		{"unknown operator", unknown},
	} {
		for _, o := range []Options{{}, {XNNPACK: true}} {
			i, err := New(c.b, o)
			if !errors.Is(err, ErrRefused) || i != nil {
				t.Errorf("%s, %+v: error %v, want %v", c.name, o, err, ErrRefused)
			}
		}
		if _, err := NewEmbedder(c.b, Options{}, nil, embedderSpace()); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: embedder: error %v, want %v", c.name, err, ErrRefused)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d open files, %d before", after, before)
	}
}

// TestModelIsCopied shows that the caller's bytes are free after New.
func TestModelIsCopied(t *testing.T) {
	model := tiny(t, graph.TinyOptions{})
	own := bytes.Clone(model)
	i := open(t, own, Options{})
	clear(own)
	in := noise(i.Input().Len(), 1)
	if got, want := infer(t, i, in), infer(t, open(t, model, Options{}), in); !bytes.Equal(got, want) {
		t.Errorf("%v after the bytes were cleared, want %v", got, want)
	}
}

// TestCycles opens and closes interpreters until a leak would show: a model of
// 120 KB that stayed behind would be 120 MB in the end.
func TestCycles(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"builtin", Options{}},
		{"XNNPACK", Options{XNNPACK: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			model := tiny(t, graph.TinyOptions{Side: 8, Size: 4096, Classes: 1, Int8: true})
			cycle := func() {
				i, err := New(model, c.o)
				if err != nil {
					t.Fatal(err)
				}
				infer(t, i, make([]byte, i.Input().Len()))
				i.Close()
			}
			for range 100 {
				cycle()
			}
			files, memory := descriptors(t), resident(t)
			for range 1000 {
				cycle()
			}
			if n := descriptors(t); n != files {
				t.Errorf("%d open files, %d before", n, files)
			}
			grown := resident(t) - memory
			t.Logf("resident memory grew by %d KB of %d KB", grown>>10, memory>>10)
			if grown > 16<<20 {
				t.Errorf("resident memory grew by %d MB in 1000 cycles", grown>>20)
			}
		})
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// resident is the memory of this process in bytes, without Go's garbage.
func resident(t *testing.T) int {
	t.Helper()
	runtime.GC()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var pages int
	for _, c := range strings.Fields(string(b))[1] {
		pages = 10*pages + int(c-'0')
	}
	return pages * os.Getpagesize()
}

// lines passes on what is written, one call after the other.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// TestLeakReport shows that an interpreter which nobody closed is reported, and
// one that somebody closed is not.
func TestLeakReport(t *testing.T) {
	reports := make(lines, 100)
	log.SetOutput(reports)
	defer log.SetOutput(os.Stderr)
	model := tiny(t, graph.TinyOptions{})
	const leaked = 3
	for range leaked {
		if _, err := New(model, Options{}); err != nil {
			t.Fatal(err)
		}
		closed, err := New(model, Options{})
		if err != nil {
			t.Fatal(err)
		}
		closed.Close()
	}
	deadline := time.After(time.Minute)
	for n := range leaked {
		runtime.GC()
		select {
		case got := <-reports:
			if !strings.Contains(got, "collected without Close") {
				t.Errorf("report %q", got)
			}
		case <-deadline:
			t.Fatalf("%d reports, want %d", n, leaked)
		}
	}
	runtime.GC()
	if len(reports) > 0 {
		t.Errorf("one report too many: %q", <-reports)
	}
}

// TestPeacock shows a real photograph to the real classifier.
func TestPeacock(t *testing.T) {
	model, m := defaultModel(t)
	data, err := os.ReadFile(filepath.Join(benchdata.Root(t), "third_party", "pictures", "peacock.png"))
	if model == nil || err != nil {
		t.Logf("no model or no photograph (%v): the tiny model alone is tested", err)
		model, m = tiny(t, graph.TinyOptions{}), models.Model{Width: 32, Height: 32, Classes: 4}
	}
	picture := scene(64, 48, 1)
	if data != nil {
		if picture, err = preprocess.DecodeFile("peacock.png", data); err != nil {
			t.Fatal(err)
		}
	}
	p := probabilities(t, model, m, picture)
	sum := 0.0
	for _, v := range p {
		sum += v
	}
	if len(p) != m.Classes || math.Abs(sum-1) > float64(len(p))/512 {
		t.Errorf("%d probabilities with sum %v, want %d with sum 1", len(p), sum, m.Classes)
	}
	if m.Name == "" {
		return
	}
	labels, err := models.ReadLabels(filepath.Join(benchdata.Root(t), "models", m.Labels.File))
	if err != nil {
		t.Fatal(err)
	}
	best := slices.Index(p, slices.Max(p))
	t.Logf("%s %.3f", labels[best], p[best])
	if labels[best] != "peacock" || p[best] <= 0.95 {
		t.Errorf("%s %.3f, want peacock above 0.95", labels[best], p[best])
	}
}

func probabilities(t *testing.T, model []byte, m models.Model, f frame.Frame) []float64 {
	t.Helper()
	i := open(t, model, Options{})
	if diff := cmp.Diff([]int{1, m.Height, m.Width, 3}, i.Input().Shape); diff != "" {
		t.Fatalf("input (-want +got):\n%s", diff)
	}
	p := newPreprocessor(t, graph.Input{Width: m.Width, Height: m.Height})
	var out []float64
	err := i.Infer(
		func(in []uint8) error { return p.Fill(in, f) },
		func(codes []uint8) { out = i.Output().Values(codes) })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

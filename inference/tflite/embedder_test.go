package tflite

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"teachbox/device/frame"
	"teachbox/inference"
	"teachbox/inference/graph"
	"teachbox/internal/benchdata"
)

var _ inference.Embedder = (*Embedder)(nil)

func embedderSpace() inference.Space {
	return inference.Space{Model: "tiny", Cut: "embedding", Crop: "squash", Filter: 1}
}

func newEmbedder(t testing.TB, model []byte, o Options) *Embedder {
	t.Helper()
	backbone, in := cut(t, model)
	e, err := NewEmbedder(backbone, o, newPreprocessor(t, in), embedderSpace())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func look(t testing.TB, e *Embedder, f frame.Frame) inference.Look {
	t.Helper()
	var l inference.Look
	if err := e.Embed(f, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestEmbedIsInfer shows that Embed is preprocessing and Infer together, with
// int8 codes shifted to uint8 on both sides of the interpreter.
func TestEmbedIsInfer(t *testing.T) {
	for _, c := range []struct {
		name  string
		o     graph.TinyOptions
		shift uint8 // from the codes of the tensors to those of uint8
	}{
		{"uint8", graph.TinyOptions{Size: 13}, 0},
		{"int8", graph.TinyOptions{Size: 13, Int8: true}, 128},
	} {
		t.Run(c.name, func(t *testing.T) {
			model := tiny(t, c.o)
			f := scene(64, 48, 7)
			got := look(t, newEmbedder(t, model, Options{}), f)

			backbone, info := cut(t, model)
			i := open(t, backbone, Options{})
			p := newPreprocessor(t, info)
			in := make([]uint8, i.Input().Len())
			if err := p.Fill(in, f); err != nil {
				t.Fatal(err)
			}
			var want inference.Look
			want.Fitness = p.Measure(in, &want.Thumb)
			for k := range in {
				in[k] -= c.shift
			}
			out := infer(t, i, in)
			values := i.Output().Values(out)
			for k := range out {
				out[k] += c.shift
			}
			want.Embedding = inference.Embedding{Q: out, ZeroPoint: 0, Space: embedderSpace()}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("look (-want +got):\n%s", diff)
			}
			for k, q := range got.Embedding.Q {
				if v := i.Output().Scale * float64(int(q)-got.Embedding.ZeroPoint); v != values[k] {
					t.Errorf("value %d: %v, want %v", k, v, values[k])
				}
			}
		})
	}
}

// TestInt8IsUint8 shows that both kinds of one model give nearly one embedding.
func TestInt8IsUint8(t *testing.T) {
	a, b := newEmbedder(t, tiny(t, graph.TinyOptions{}), Options{}), newEmbedder(t, tiny(t, graph.TinyOptions{Int8: true}), Options{})
	for seed := range uint64(10) {
		f := scene(40, 30, seed)
		if d := furthest(t, look(t, a, f).Embedding.Q, look(t, b, f).Embedding.Q); d > 2 {
			t.Errorf("picture %d: %d codes apart, want at most 2", seed, d)
		}
	}
}

// TestEmbedOverwrites shows that a Look is used again, whatever it held.
func TestEmbedOverwrites(t *testing.T) {
	e := newEmbedder(t, tiny(t, graph.TinyOptions{}), Options{})
	first := look(t, e, scene(64, 48, 1))
	l := look(t, e, scene(64, 48, 2))
	if cmp.Equal(first, l) {
		t.Fatal("two pictures give one look")
	}
	l.Embedding.Q = append(l.Embedding.Q, 1, 2, 3)
	memory := &l.Embedding.Q[0]
	if err := e.Embed(scene(64, 48, 1), &l); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, l); diff != "" {
		t.Errorf("the first picture again (-want +got):\n%s", diff)
	}
	if &l.Embedding.Q[0] != memory {
		t.Error("the memory of the embedding was not used again")
	}
}

func TestEmbedRefuses(t *testing.T) {
	e := newEmbedder(t, tiny(t, graph.TinyOptions{}), Options{})
	want := look(t, e, scene(64, 48, 1))
	short := scene(64, 48, 2)
	short.Seq, short.Pix = 41, short.Pix[1:]
	for _, f := range []frame.Frame{{}, short, {Format: frame.JPEG, Pix: []byte("no picture"), Seq: 41}} {
		var l inference.Look
		if err := e.Embed(f, &l); !errors.Is(err, frame.ErrMalformed) || f.Seq == 41 && !strings.HasPrefix(err.Error(), "frame 41: ") {
			t.Errorf("%v: error %v, want one of frame 41 about a malformed frame", f.Format, err)
		}
	}
	if diff := cmp.Diff(want, look(t, e, scene(64, 48, 1))); diff != "" {
		t.Errorf("a good frame after bad ones (-want +got):\n%s", diff)
	}
}

func TestEmbedderClose(t *testing.T) {
	e := newEmbedder(t, tiny(t, graph.TinyOptions{}), Options{})
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	var l inference.Look
	if err := e.Embed(scene(64, 48, 1), &l); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want %v", err, ErrClosed)
	}
	if e.Space() != embedderSpace() {
		t.Errorf("space %v", e.Space())
	}
}

func TestProvenance(t *testing.T) {
	model := tiny(t, graph.TinyOptions{Int8: true})
	for o, want := range map[Options]string{{}: "tflite 2.9.0 builtin", {XNNPACK: true}: "tflite 2.9.0 xnnpack"} {
		if diff := cmp.Diff(inference.Provenance{Backend: want, Arch: runtime.GOARCH}, newEmbedder(t, model, o).Provenance()); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", o, diff)
		}
	}
}

func TestEmbedAllocates(t *testing.T) {
	for _, c := range []struct {
		name  string
		model []byte
		o     Options
	}{
		{"uint8", tiny(t, graph.TinyOptions{}), Options{}},
		{"int8", tiny(t, graph.TinyOptions{Int8: true}), Options{}},
		{"int8 XNNPACK", tiny(t, graph.TinyOptions{Int8: true}), Options{XNNPACK: true}},
	} {
		e, f := newEmbedder(t, c.model, c.o), scene(64, 48, 1)
		l := look(t, e, f)
		n := testing.AllocsPerRun(100, func() {
			if err := e.Embed(f, &l); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations for each frame, want 0", c.name, n)
		}
	}
}

// TestFlip compares the words at a time with the definition, byte by byte.
func TestFlip(t *testing.T) {
	for n := range 20 {
		q, want := noise(n, uint64(n)), noise(n, uint64(n))
		flip(q)
		for i := range want {
			want[i] = uint8(int(int8(want[i])) + 128)
		}
		if diff := cmp.Diff(want, q); diff != "" {
			t.Errorf("%d bytes (-want +got):\n%s", n, diff)
		}
	}
}

// TestDefaultEmbedding holds the default backbone to its known shape.
func TestDefaultEmbedding(t *testing.T) {
	model, _ := defaultModel(t)
	size := 1024
	if model == nil {
		model, size = tiny(t, graph.TinyOptions{}), 64
	}
	e := newEmbedder(t, model, Options{})
	f := scene(640, 480, 1)
	l := look(t, e, f)
	if got := l.Embedding; len(got.Q) != size || got.ZeroPoint != 0 {
		t.Errorf("%d values, zero point %d, want %d and 0", len(got.Q), got.ZeroPoint, size)
	}
	if diff := cmp.Diff(l, look(t, e, f)); diff != "" {
		t.Errorf("the same frame again (-first +second):\n%s", diff)
	}
}

// BenchmarkEmbed is one frame of a camera, from YUYV to embedding.
func BenchmarkEmbed(b *testing.B) {
	type run struct {
		name  string
		model []byte
		o     Options
	}
	runs := []run{{"tiny uint8", tiny(b, graph.TinyOptions{}), Options{}}}
	if model, _ := defaultModel(b); model != nil {
		runs = append(runs, run{"default", model, Options{}})
	}
	if path, ok := benchdata.Path(b, "models/tf2_mobilenet_v2_1.0_224_ptq.tflite"); ok {
		model, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		runs = append(runs, run{"int8 v2", model, Options{}}, run{"int8 v2 XNNPACK", model, Options{XNNPACK: true}})
	}
	for _, c := range runs {
		b.Run(c.name, func(b *testing.B) {
			e, f := newEmbedder(b, c.model, c.o), scene(640, 480, 1)
			l := look(b, e, f)
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Embed(f, &l); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

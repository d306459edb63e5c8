package tflite

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"teachbox/device/frame"
	"teachbox/inference/graph"
	"teachbox/inference/preprocess"
	"teachbox/internal/benchdata"
	"teachbox/models"
)

// tiny writes the tiny model, for tests of what does not depend on a real one.
func tiny(t testing.TB, o graph.TinyOptions) []byte {
	t.Helper()
	b, err := graph.Tiny(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cut takes the classifier off a model.
func cut(t testing.TB, model []byte) (backbone []byte, in graph.Input) {
	t.Helper()
	m, err := graph.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.CutHead()
	if err != nil {
		t.Fatal(err)
	}
	if backbone, err = graph.Write(c.Model); err != nil {
		t.Fatal(err)
	}
	return backbone, c.Input
}

// defaultModel returns the default backbone with its classifier, or nil if
// set-up did not fetch it.
func defaultModel(t testing.TB) ([]byte, models.Model) {
	t.Helper()
	m, err := models.ByName(models.Default)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(benchdata.Root(t), "models", m.Weights.File))
	if err != nil {
		t.Logf("%s was not fetched (`make setup` does): only generated models are tested", m.Weights.File)
		return nil, m
	}
	if err := m.Weights.Verify(b); err != nil {
		t.Fatal(err)
	}
	return b, m
}

func open(t testing.TB, model []byte, o Options) *Interpreter {
	t.Helper()
	i, err := New(model, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

func newPreprocessor(t testing.TB, in graph.Input) *preprocess.Preprocessor {
	t.Helper()
	p, err := preprocess.New(preprocess.Options{Width: in.Width, Height: in.Height})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// noise is n random bytes, the same ones for one seed.
func noise(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// scene is a YUYV frame, the same one for one seed.
func scene(width, height int, seed uint64) frame.Frame {
	return frame.Frame{Format: frame.YUYV, Width: width, Height: height, Stride: 2 * width, Pix: noise(2*width*height, seed), Seq: seed}
}

// infer returns a copy of the output for an input's codes.
func infer(t testing.TB, i *Interpreter, in []byte) []byte {
	t.Helper()
	var out []byte
	err := i.Infer(
		func(to []uint8) error {
			if n := copy(to, in); n != len(in) || n != len(to) {
				t.Errorf("%d bytes of input, the tensor has %d", len(in), len(to))
			}
			return nil
		},
		func(from []uint8) { out = bytes.Clone(from) })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// furthest is the greatest difference between two outputs, in codes.
func furthest(t testing.TB, a, b []uint8) int {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%d and %d values", len(a), len(b))
	}
	most := 0
	for i := range a {
		d := int(a[i]) - int(b[i])
		most = max(most, d, -d)
	}
	return most
}

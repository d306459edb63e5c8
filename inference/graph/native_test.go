package graph

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/mattn/go-tflite"
)

// native runs a model file in the interpreter.
type native struct {
	model       *tflite.Model
	options     *tflite.InterpreterOptions
	interpreter *tflite.Interpreter
}

// openNative creates the interpreter and allocates its tensors.
func openNative(path string) (*native, error) {
	n := &native{model: tflite.NewModelFromFile(path)}
	if n.model == nil {
		return nil, fmt.Errorf("model refused")
	}
	n.options = tflite.NewInterpreterOptions()
	n.options.SetNumThread(1)
	n.interpreter = tflite.NewInterpreter(n.model, n.options)
	if n.interpreter == nil {
		n.close()
		return nil, fmt.Errorf("interpreter refused")
	}
	if s := n.interpreter.AllocateTensors(); s != tflite.OK {
		n.close()
		return nil, fmt.Errorf("allocate: %v", s)
	}
	return n, nil
}

func (n *native) close() {
	if n.interpreter != nil {
		n.interpreter.Delete()
	}
	if n.options != nil {
		n.options.Delete()
	}
	n.model.Delete()
}

func raw(t *tflite.Tensor) []byte {
	return unsafe.Slice((*byte)(t.Data()), t.ByteSize())
}

// run returns the output's bytes for an input's.
func (n *native) run(in []byte) ([]byte, error) {
	to := raw(n.interpreter.GetInputTensor(0))
	if in != nil && len(in) != len(to) {
		return nil, fmt.Errorf("%d bytes of input (want %d)", len(in), len(to))
	}
	copy(to, in)
	if s := n.interpreter.Invoke(); s != tflite.OK {
		return nil, fmt.Errorf("invoke: %v", s)
	}
	return bytes.Clone(raw(n.interpreter.GetOutputTensor(0))), nil
}

// start opens a model from memory for the length of a test.
func start(t *testing.T, b []byte) *native {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.tflite")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := openNative(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n
}

func (n *native) mustRun(t *testing.T, in []byte) []byte {
	t.Helper()
	out, err := n.run(in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// noise is a random picture.
func noise(size int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func mustTiny(t testing.TB, o TinyOptions) []byte {
	t.Helper()
	b, err := Tiny(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, b []byte) *Model {
	t.Helper()
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustWrite(t testing.TB, m *Model) []byte {
	t.Helper()
	b, err := Write(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustCut(t testing.TB, m *Model) *Backbone {
	t.Helper()
	c, err := m.CutHead()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// realModels returns the models on this machine: the default backbone, which
// set-up fetches beside the repository's model list, and whatever a folder
// shared with the repository has.
func realModels(t testing.TB) map[string][]byte {
	t.Helper()
	shared := os.Getenv("TEACHBOX_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	models := make(map[string][]byte)
	for _, dir := range []string{filepath.Join("..", "..", "models"), filepath.Join(shared, "models")} {
		paths, err := filepath.Glob(filepath.Join(dir, "*.tflite"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			models[filepath.Base(p)] = b
		}
	}
	if len(models) == 0 {
		t.Log("no real model on this machine: only generated ones are tested")
	}
	return models
}

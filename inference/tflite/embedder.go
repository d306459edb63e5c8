package tflite

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"teachbox/device/frame"
	"teachbox/inference"
)

// A Preprocessor fills the input of a backbone from a frame, 8 bits a channel,
// and measures what it filled in.
type Preprocessor interface {
	Fill(dst []uint8, f frame.Frame) error
	Measure(pixels []uint8, t *inference.Thumb) inference.Fitness
}

// An Embedder is a backbone that looks at frames. It implements
// inference.Embedder.
type Embedder struct {
	interpreter *Interpreter
	preprocess  Preprocessor
	space       inference.Space
	provenance  inference.Provenance

	// Of the call of Embed that is under way. The functions are made once:
	// nothing is allocated for a frame.
	frame frame.Frame
	look  *inference.Look
	fill  func([]uint8) error
	read  func([]uint8)
}

// NewEmbedder makes an embedder of a backbone, a model whose output is its
// embedding. The preprocessor must fill the backbone's input. The error wraps
// ErrRefused.
func NewEmbedder(backbone []byte, o Options, p Preprocessor, s inference.Space) (*Embedder, error) {
	t, err := New(backbone, o)
	if err != nil {
		return nil, err
	}
	e := &Embedder{interpreter: t, preprocess: p, space: s}
	e.provenance = inference.Provenance{Backend: "tflite " + Version() + " builtin", Arch: runtime.GOARCH}
	if o.XNNPACK {
		e.provenance.Backend = "tflite " + Version() + " xnnpack"
	}
	zero := t.out.ZeroPoint
	if t.out.Signed {
		zero += 128
	}
	e.fill = func(in []uint8) error {
		if err := p.Fill(in, e.frame); err != nil {
			return err
		}
		e.look.Fitness = p.Measure(in, &e.look.Thumb)
		if t.in.Signed {
			flip(in)
		}
		return nil
	}
	e.read = func(out []uint8) {
		q := append(e.look.Embedding.Q[:0], out...)
		if t.out.Signed {
			flip(q)
		}
		e.look.Embedding = inference.Embedding{Q: q, ZeroPoint: zero, Space: s}
	}
	return e, nil
}

// Embed looks at one frame; see inference.Embedder.
func (e *Embedder) Embed(f frame.Frame, l *inference.Look) error {
	e.frame, e.look = f, l
	err := e.interpreter.Infer(e.fill, e.read)
	e.frame, e.look = frame.Frame{}, nil
	if err != nil {
		return fmt.Errorf("frame %d: %w", f.Seq, err)
	}
	return nil
}

// Space is the space of every embedding it makes.
func (e *Embedder) Space() inference.Space { return e.space }

// Provenance says what computes them.
func (e *Embedder) Provenance() inference.Provenance { return e.provenance }

// Close frees native memory. It may be repeated.
func (e *Embedder) Close() error { return e.interpreter.Close() }

// flip turns codes of int8 into those of uint8 and back: q+128 is q with its
// top bit flipped.
func flip(q []uint8) {
	for ; len(q) >= 8; q = q[8:] {
		binary.NativeEndian.PutUint64(q, binary.NativeEndian.Uint64(q)^0x8080808080808080)
	}
	for i := range q {
		q[i] ^= 0x80
	}
}

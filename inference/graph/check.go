package graph

import (
	"fmt"
	"math"
	"slices"
)

// Scales of computed tensors outside of this range mean nothing to an 8-bit
// picture classifier and bring the kernels' fixed-point factors to their ends.
const (
	minScale = 1.0 / (1 << 40)
	maxScale = 1 << 20
)

// elements is the product of a shape that was checked.
func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// check verifies that the model is a quantized image classifier, or a backbone
// cut from one, which can be computed in the order given.
func (m *Model) check() error {
	if len(m.tensors) > maxTensors || len(m.operators) > maxOperators {
		return refuse(ErrUnsupported, "%d tensors and %d operators (want at most %d and %d)",
			len(m.tensors), len(m.operators), maxTensors, maxOperators)
	}
	computed := 0 // bytes
	for i := range m.tensors {
		t := &m.tensors[i]
		if err := t.check(); err != nil {
			return fmt.Errorf("tensor %d %.60q: %w", i, t.name, err)
		}
		if !t.constant() {
			computed += elements(t.shape) * t.typ.size()
		}
	}
	if computed > maxActivation {
		return refuse(ErrUnsupported, "computed tensors of %d bytes together (want at most %d)", computed, maxActivation)
	}
	if err := m.checkEnds(); err != nil {
		return err
	}
	return m.checkOrder()
}

func (t *tensor) check() error {
	size := t.typ.size()
	if size == 0 {
		return refuse(ErrUnsupported, "element type %d (want uint8, int8, int32 or float32)", int8(t.typ))
	}
	if len(t.shape) > maxRank {
		return refuse(ErrUnsupported, "%d dimensions (want at most %d)", len(t.shape), maxRank)
	}
	for _, d := range t.shape {
		if d < 1 || d > maxBytes/size {
			return refuse(ErrUnsupported, "shape %v of %v (want 1 to %d bytes)", t.shape, t.typ, maxBytes)
		}
		size *= d
	}
	if t.constant() && len(t.data) != size {
		return refuse(ErrDamaged, "%d bytes of data (want %d for %v%v)", len(t.data), size, t.typ, t.shape)
	}
	return t.checkQuantization()
}

func (t *tensor) checkQuantization() error {
	if len(t.scale) != len(t.zeroPoint) {
		return refuse(ErrDamaged, "%d scales and %d zero points", len(t.scale), len(t.zeroPoint))
	}
	d := t.dimension
	if d < 0 || d > 0 && d >= len(t.shape) {
		return refuse(ErrDamaged, "quantized dimension %d of %d", d, len(t.shape))
	}
	if n := len(t.scale); n > 1 && (len(t.shape) == 0 || t.shape[d] != n) {
		return refuse(ErrDamaged, "%d scales for dimension %d of %v", n, d, t.shape)
	}
	for _, s := range t.scale {
		if !(s >= 0) || s > math.MaxFloat32 {
			return refuse(ErrDamaged, "scale %g", s)
		}
	}
	var low, high int64 // of zero points; 0 for a bias
	switch t.typ {
	case Float32:
		return nil
	case Uint8:
		high = math.MaxUint8
	case Int8:
		low, high = math.MinInt8, math.MaxInt8
	}
	for _, z := range t.zeroPoint {
		if z < low || z > high {
			return refuse(ErrDamaged, "zero point %d of %v", z, t.typ)
		}
	}
	return nil
}

// checkWhole checks that a quantized tensor has one scale, which is in range.
func checkWhole(t *tensor) error {
	if len(t.scale) != 1 {
		return refuse(ErrUnsupported, "%v with %d scales (want 1)", t.typ, len(t.scale))
	}
	if s := t.scale[0]; s < minScale || s > maxScale {
		return refuse(ErrDamaged, "scale %g", s)
	}
	return nil
}

// tensor returns tensor i, or an error that says it is out of range.
func (m *Model) tensor(i int) (*tensor, error) {
	if i < 0 || i >= len(m.tensors) {
		return nil, refuse(ErrDamaged, "tensor index %d out of range (want 0 to %d)", i, len(m.tensors)-1)
	}
	return &m.tensors[i], nil
}

// checkEnds checks that a picture goes in and one row of numbers comes out.
func (m *Model) checkEnds() error {
	if len(m.inputs) != 1 || len(m.outputs) != 1 {
		return refuse(ErrNotClassifier, "%d inputs and %d outputs (want 1 and 1)", len(m.inputs), len(m.outputs))
	}
	in, err := m.tensor(m.inputs[0])
	if err != nil {
		return fmt.Errorf("model's input: %w", err)
	}
	out, err := m.tensor(m.outputs[0])
	if err != nil {
		return fmt.Errorf("model's output: %w", err)
	}
	if in.typ == Float32 {
		return fmt.Errorf("input %.60q: %w", in.name, ErrFloat)
	}
	s := in.shape
	if len(s) != 4 || s[0] != 1 || s[3] != 3 || max(s[1], s[2]) > maxSide || !in.typ.quantized() {
		return refuse(ErrNotClassifier, "input %.60q: %v%v (want a picture, uint8[1 height width 3] of at most %d pixels a side)", in.name, in.typ, s, maxSide)
	}
	if err := checkWhole(in); err != nil {
		return fmt.Errorf("input %.60q: %w", in.name, err)
	}
	if s := out.shape; len(s) == 0 || elements(s) != s[len(s)-1] || out.typ == Int32 {
		return refuse(ErrNotClassifier, "output %.60q: %v%v (want one number for each class, in the last dimension)", out.name, out.typ, s)
	}
	return nil
}

// checkOrder goes through the operators as the interpreter will, and checks
// that each finds its inputs computed and writes an output of its own.
func (m *Model) checkOrder() error {
	ready := make([]bool, len(m.tensors))
	for i := range m.tensors {
		ready[i] = m.tensors[i].constant()
	}
	if ready[m.inputs[0]] {
		return refuse(ErrDamaged, "input %.60q is constant", m.tensors[m.inputs[0]].name)
	}
	ready[m.inputs[0]] = true
	var work float64
	for i := range m.operators {
		o := &m.operators[i]
		done, err := m.checkOperator(o, ready)
		if err != nil {
			return fmt.Errorf("operator %d %v: %w", i, o.code, err)
		}
		ready[o.outputs[0]] = true
		work += done
	}
	out := m.outputs[0]
	if !ready[out] || m.tensors[out].constant() {
		return refuse(ErrDamaged, "output %.60q is never computed", m.tensors[out].name)
	}
	if work > maxWork {
		return refuse(ErrUnsupported, "%.2g multiply-adds for each picture (want at most %.2g)", work, float64(maxWork))
	}
	return nil
}

// checkOperator checks one operator and returns its multiply-adds.
func (m *Model) checkOperator(o *operator, ready []bool) (work float64, err error) {
	s, ok := specOf(o.code)
	if !ok {
		return 0, refuse(ErrUnsupported, "unknown operator")
	}
	if o.version < 1 || o.version > s.version {
		return 0, refuse(ErrUnsupported, "version %d (want 1 to %d)", o.version, s.version)
	}
	if len(o.inputs) < s.inputs[0] || len(o.inputs) > s.inputs[1] || len(o.outputs) != 1 {
		return 0, refuse(ErrDamaged, "%d inputs and %d outputs (want %d to %d and 1)", len(o.inputs), len(o.outputs), s.inputs[0], s.inputs[1])
	}
	n := node{operator: o, in: make([]*tensor, len(o.inputs))}
	for j, i := range o.inputs {
		if i == absent && j == 2 {
			continue // a bias is the only input that may be left out
		}
		t, err := m.tensor(i)
		if err != nil {
			return 0, fmt.Errorf("input %d: %w", j, err)
		}
		if !ready[i] {
			return 0, refuse(ErrDamaged, "input %d: %.60q is not computed yet", j, t.name)
		}
		n.in[j] = t
	}
	if n.out, err = m.tensor(o.outputs[0]); err != nil {
		return 0, fmt.Errorf("output: %w", err)
	}
	if ready[o.outputs[0]] {
		return 0, refuse(ErrDamaged, "output: %.60q is constant or written twice", n.out.name)
	}
	if n.in[0].constant() {
		return 0, refuse(ErrUnsupported, "input 0: %.60q is constant", n.in[0].name)
	}
	for _, t := range []*tensor{n.in[0], n.out} {
		if t.typ == Int32 {
			return 0, refuse(ErrUnsupported, "computes with int32 %.60q", t.name)
		}
		if t.typ.quantized() {
			if err := checkWhole(t); err != nil {
				return 0, fmt.Errorf("%.60q: %w", t.name, err)
			}
		}
	}
	shape, err := s.shape(&n)
	if err != nil {
		return 0, err
	}
	if !slices.Equal(shape, n.out.shape) {
		return 0, refuse(ErrDamaged, "output: shape %v (want %v)", n.out.shape, shape)
	}
	return n.work, nil
}

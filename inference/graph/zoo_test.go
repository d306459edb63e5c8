package graph

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// zoo is a classifier of small layers that uses every operator there is, with
// a squeeze-and-excite block as in MobileNet v3 and a float head.
func zoo(int8 bool) *Model {
	t := tiny{int8: int8, random: rand.New(rand.NewPCG(3, 4)), m: &Model{description: "zoo"}}
	ints := func(name string, shape []int, v ...int) int {
		x := tensor{name: name, typ: Int32, shape: shape}
		for _, d := range v {
			x.data = binary.LittleEndian.AppendUint32(x.data, uint32(int32(d)))
		}
		return t.add(x)
	}
	flat := func(code opcode, name string, scale float32, zeroPoint int64) {
		t.apply(code, defaultOptions(), t.computed(name, t.m.tensors[t.last].shape, scale, zeroPoint))
	}
	t.last = t.computed("input", []int{1, 9, 9, 3}, 1.0/128, 128)
	t.m.inputs = []int{t.last}
	t.apply(opPad, defaultOptions(), t.computed("pad", []int{1, 11, 12, 3}, 1.0/128, 128),
		ints("pad/by", []int{4, 2}, 0, 0, 1, 1, 1, 2, 0, 0))
	t.convolution("conv", opConv2D, 3, 2, 6)
	flat(opHardSwish, "hard swish", 6.0/255, 16)
	block := t.last
	mean := defaultOptions()
	mean.keepDims = true
	t.apply(opMean, mean, t.computed("squeeze", []int{1, 1, 1, 6}, 6.0/255, 16), ints("axes", []int{2}, 1, -2))
	t.convolution("excite", opConv2D, 1, 1, 6)
	flat(opLogistic, "gate", 1.0/256, 0)
	gate := t.last
	t.last = block
	t.apply(opMul, defaultOptions(), t.computed("gated", t.m.tensors[block].shape, 6.0/255, 16), gate)
	t.apply(opAdd, defaultOptions(), t.computed("add", t.m.tensors[block].shape, 12.0/255, 16), block)
	flat(opRelu, "relu", 6.0/255, 0)
	flat(opRelu6, "relu6", 6.0/255, 0)
	t.convolution("depthwise", opDepthwiseConv2D, 3, 1, 6)
	pool := defaultOptions()
	pool.padding, pool.strideW, pool.strideH, pool.filterW, pool.filterH = paddingValid, 2, 2, 2, 2
	s := t.m.tensors[t.last].shape
	t.apply(opMaxPool2D, pool, t.computed("max", []int{1, s[1] / 2, s[2] / 2, 6}, relu6Scale, 0))
	t.pool("average")
	t.apply(opSqueeze, defaultOptions(), t.computed("flat", []int{6}, relu6Scale, 0))
	o := defaultOptions()
	o.dims = []int{1, 1, -1}
	t.apply(opReshape, o, t.computed("row", []int{1, 1, 6}, relu6Scale, 0), ints("row/shape", []int{3}, 1, 1, -1))
	o = defaultOptions()
	o.keepDims = true
	w, _ := t.weights("dense/weights", []int{5, 6}, 6)
	t.apply(opFullyConnected, o, t.computed("dense", []int{1, 1, 5}, 8.0/255, 128), w, absent)
	if int8 {
		t.m.operators[len(t.m.operators)-1].version = 4
	}
	flat(opQuantize, "requantized", 4.0/255, 64)
	back := t.add(tensor{name: "float", typ: Float32, shape: []int{1, 1, 5}})
	t.apply(opDequantize, defaultOptions(), back)
	floats := make([]byte, 4*5*3)
	for i := range 15 {
		binary.LittleEndian.PutUint32(floats[4*i:], 0x3e000000+uint32(i)<<20)
	}
	fw := t.add(tensor{name: "head/weights", typ: Float32, shape: []int{3, 5}, data: floats})
	fb := t.add(tensor{name: "head/bias", typ: Float32, shape: []int{3}, data: floats[:12]})
	t.apply(opFullyConnected, defaultOptions(), t.add(tensor{name: "logits", typ: Float32, shape: []int{1, 3}}), fw, fb)
	o = defaultOptions()
	o.beta = 1
	t.apply(opSoftmax, o, t.add(tensor{name: "probabilities", typ: Float32, shape: []int{1, 3}}))
	t.m.outputs = []int{t.last}
	return t.m
}

// Every operator in the greatest version that the check lets through loads.
func TestVersions(t *testing.T) {
	for _, m := range []*Model{zoo(false), zoo(true), mustParse(t, mustTiny(t, TinyOptions{}))} {
		m = m.compact()
		for i := range m.operators {
			s, _ := specOf(m.operators[i].code)
			m.operators[i].version = s.version
		}
		start(t, mustWrite(t, m)).mustRun(t, nil)
	}
}

func TestZoo(t *testing.T) {
	seen := make(map[opcode]bool)
	for _, m := range []*Model{zoo(false), zoo(true), mustParse(t, mustTiny(t, TinyOptions{}))} {
		for _, o := range m.operators {
			seen[o.code] = true
		}
		b := mustWrite(t, m)
		again := mustParse(t, b)
		if d := cmp.Diff(m.compact(), again, cmp.AllowUnexported(Model{}, tensor{}, operator{}, options{}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("written and read (-want +got)\n%s", d)
		}
		if !bytes.Equal(mustWrite(t, again), b) {
			t.Error("written twice, it differs")
		}
		start(t, b).mustRun(t, nil)
	}
	for code := range opcode(256) {
		if _, ok := specOf(code); ok && !seen[code] {
			t.Errorf("%v is never run", code)
		}
	}
}

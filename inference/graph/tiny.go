package graph

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// TinyOptions says what Tiny writes. A zero field has the default named.
type TinyOptions struct {
	Side    int  // of the input picture, pixels; 32
	Size    int  // of the embedding, numbers; 64
	Classes int  // of the classifier; 4
	Int8    bool // int8 throughout instead of uint8
}

// Tiny writes a small classifier of MobileNet's shape, for tests and for
// machines too slow for a real one. It has learned nothing: its weights are
// random, the same ones on every machine. Random filters still tell colours
// and patterns apart (Jarrett et al., "What is the Best Multi-Stage
// Architecture for Object Recognition?", 2009), so that a lesson taught on its
// embeddings works for things that clearly differ.
func Tiny(o TinyOptions) ([]byte, error) {
	for _, d := range []struct {
		name          string
		value         *int
		absent, least int
		most          int
	}{
		{"side", &o.Side, 32, 8, 256},
		{"size", &o.Size, 64, 1, maxEmbedding},
		{"classes", &o.Classes, 4, 1, maxEmbedding},
	} {
		if *d.value == 0 {
			*d.value = d.absent
		}
		if *d.value < d.least || *d.value > d.most {
			return nil, fmt.Errorf("tiny model: %s %d (want %d to %d)", d.name, *d.value, d.least, d.most)
		}
	}
	t := tiny{int8: o.Int8, random: rand.New(rand.NewPCG(1, 2)), m: &Model{description: "Teachbox tiny backbone"}}
	// A pixel p stands for (p − 128) / 128, as in MobileNet.
	t.last = t.computed("input", []int{1, o.Side, o.Side, 3}, 1.0/128, 128)
	t.m.inputs = []int{t.last}
	t.convolution("stem", opConv2D, 3, 2, 24)
	t.convolution("depthwise", opDepthwiseConv2D, 3, 2, 24)
	t.convolution("pointwise", opConv2D, 1, 1, o.Size)
	t.pool("embedding")
	t.classifier(o.Classes)
	t.m.outputs = []int{t.last}
	return Write(t.m)
}

// tiny builds a model layer by layer. All of its random numbers are integers,
// and its arithmetic is the same on every processor.
type tiny struct {
	m      *Model
	int8   bool
	random *rand.Rand
	last   int // the tensor that the next layer starts from
}

// relu6Scale spreads 0 to 6 over 8 bits.
const relu6Scale = 6.0 / 255

func (t *tiny) add(x tensor) int {
	t.m.tensors = append(t.m.tensors, x)
	return len(t.m.tensors) - 1
}

// computed adds a tensor for results; zeroPoint is that of uint8.
func (t *tiny) computed(name string, shape []int, scale float32, zeroPoint int64) int {
	x := tensor{name: name, typ: Uint8, shape: shape, scale: []float32{scale}, zeroPoint: []int64{zeroPoint}}
	if t.int8 {
		x.typ, x.zeroPoint = Int8, []int64{zeroPoint - 128}
	}
	return t.add(x)
}

// weights adds random weights of mean 0 such that fanIn inputs of mean square
// 1 give a sum of mean square 2, half of which a ReLU lets through (He et al.,
// "Delving Deep into Rectifiers", 2015).
func (t *tiny) weights(name string, shape []int, fanIn int) (index int, scale float32) {
	const most = 127 // uniform integers of ±127 have a mean square of 127 × 128 / 3
	scale = float32(math.Sqrt(2 / (float64(fanIn) * most * (most + 1) / 3)))
	x := tensor{name: name, typ: Uint8, shape: shape, scale: []float32{scale}, zeroPoint: []int64{128}}
	x.data = make([]byte, elements(shape))
	for i := range x.data {
		x.data[i] = byte(t.random.IntN(2*most+1) - most + 128)
	}
	if t.int8 {
		x.typ, x.zeroPoint = Int8, []int64{0}
		for i := range x.data {
			x.data[i] ^= 0x80
		}
	}
	return t.add(x), scale
}

// bias adds random biases between -1/2 and 1/2.
func (t *tiny) bias(name string, channels int, scale float32) int {
	most := int(0.5 / scale)
	x := tensor{name: name, typ: Int32, shape: []int{channels}, scale: []float32{scale}, zeroPoint: []int64{0}}
	for range channels {
		x.data = binary.LittleEndian.AppendUint32(x.data, uint32(int32(t.random.IntN(2*most+1)-most)))
	}
	return t.add(x)
}

// apply adds an operator from the last tensor and more inputs to out.
func (t *tiny) apply(code opcode, o options, out int, more ...int) {
	version := 1
	if t.int8 {
		// The first version of each that knows int8.
		switch code {
		case opConv2D, opDepthwiseConv2D:
			version = 3
		case opAveragePool2D, opSoftmax:
			version = 2
		}
	}
	t.m.operators = append(t.m.operators, operator{
		code: code, version: version, options: o,
		inputs: append([]int{t.last}, more...), outputs: []int{out},
	})
	t.last = out
}

func (t *tiny) convolution(name string, code opcode, kernel, stride, channels int) {
	in := t.m.tensors[t.last]
	o := defaultOptions()
	o.padding, o.activation = paddingSame, activationRelu6
	o.strideW, o.strideH = int32(stride), int32(stride)
	shape, fanIn := []int{channels, kernel, kernel, in.shape[3]}, kernel*kernel*in.shape[3]
	if code == opDepthwiseConv2D {
		shape, fanIn = []int{1, kernel, kernel, channels}, kernel*kernel
		o.multiplier = 1
	}
	weights, scale := t.weights(name+"/weights", shape, fanIn)
	bias := t.bias(name+"/bias", channels, in.scale[0]*scale)
	side := (in.shape[1] + stride - 1) / stride
	out := t.computed(name, []int{1, side, side, channels}, relu6Scale, 0)
	t.apply(code, o, out, weights, bias)
}

// pool adds the mean over the picture.
func (t *tiny) pool(name string) {
	in := t.m.tensors[t.last]
	o := defaultOptions()
	o.padding, o.strideW, o.strideH = paddingValid, 1, 1
	o.filterW, o.filterH = int32(in.shape[2]), int32(in.shape[1])
	t.apply(opAveragePool2D, o, t.computed(name, []int{1, 1, 1, in.shape[3]}, relu6Scale, 0))
}

// classifier adds a 1×1 convolution to logits, RESHAPE and SOFTMAX.
func (t *tiny) classifier(classes int) {
	in := t.m.tensors[t.last]
	o := defaultOptions()
	o.strideW, o.strideH = 1, 1
	weights, scale := t.weights("logits/weights", []int{classes, 1, 1, in.shape[3]}, in.shape[3])
	bias := t.bias("logits/bias", classes, in.scale[0]*scale)
	const logitScale = 1.0 / 16 // -8 to 8
	t.apply(opConv2D, o, t.computed("logits", []int{1, 1, 1, classes}, logitScale, 128), weights, bias)
	flat := []int{1, classes}
	o = defaultOptions()
	o.dims = slices.Clone(flat)
	t.apply(opReshape, o, t.computed("flat", flat, logitScale, 128))
	o = defaultOptions()
	o.beta = 1
	t.apply(opSoftmax, o, t.computed("probabilities", flat, 1.0/256, 0))
}

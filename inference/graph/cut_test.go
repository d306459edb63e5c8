package graph

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const defaultBackbone = "mobilenet_v1_1.0_224_quant.tflite"

func TestRealModels(t *testing.T) {
	want := map[string]Backbone{
		defaultBackbone: {
			Input:     Input{"Placeholder", 224, 224, Uint8, 0.003921569, 0},
			Embedding: Embedding{"MobilenetV1/Logits/AvgPool_1a/AvgPool", 1024, Uint8, 0.023528477, 0},
			Classes:   1001,
		},
		"mobilenet_v1_0.25_128_quant.tflite": {
			Input:     Input{"input", 128, 128, Uint8, 0.0078125, 128},
			Embedding: Embedding{"MobilenetV1/Logits/AvgPool_1a/AvgPool", 256, Uint8, 0.023528477, 0},
			Classes:   1001,
		},
		"mobilenet_v2_1.0_224_quant.tflite": {
			Input:     Input{"input", 224, 224, Uint8, 0.0078125, 128},
			Embedding: Embedding{"MobilenetV2/Logits/AvgPool", 1280, Uint8, 0.023528477, 0},
			Classes:   1001,
		},
		"tf2_mobilenet_v2_1.0_224_ptq.tflite": {
			Input:     Input{"input", 224, 224, Uint8, 0.007843138, 127},
			Embedding: Embedding{"", 1280, Int8, 0.019077832, -128},
			Classes:   1001,
		},
	}
	for name, b := range realModels(t) {
		t.Run(name, func(t *testing.T) {
			before := sha256.Sum256(b)
			m := mustParse(t, b)
			c := mustCut(t, m)
			if w, ok := want[name]; ok {
				got := *c
				got.Model = nil
				if w.Embedding.Tensor == "" { // a name of several lines
					got.Embedding.Tensor = ""
				}
				if d := cmp.Diff(w, got); d != "" {
					t.Errorf("(-want +got)\n%s", d)
				}
			}
			checkRoundTrip(t, b, 2)
			if sha256.Sum256(b) != before {
				t.Error("the file was changed")
			}
		})
	}
}

// checkRoundTrip checks that writing what was parsed changes no result, and
// that a Go head on the cut model gives the classifier's logits.
func checkRoundTrip(t *testing.T, b []byte, pictures int) {
	t.Helper()
	m := mustParse(t, b)
	c := mustCut(t, m)
	whole, again := start(t, b), start(t, mustWrite(t, m))
	backbone := start(t, mustWrite(t, c.Model))

	// The same model, ending at the logits.
	last := *m
	k := len(c.Model.operators)
	for head := &m.operators[k]; head.code != opConv2D && head.code != opFullyConnected; head = &m.operators[k] {
		k++
	}
	last.operators, last.outputs = m.operators[:k+1], m.operators[k].outputs
	logits := start(t, mustWrite(t, &last))

	for i := range pictures {
		in := noise(c.Input.Height*c.Input.Width*3, uint64(i))
		if !bytes.Equal(whole.mustRun(t, in), again.mustRun(t, in)) {
			t.Errorf("picture %d: the model written again gives another result", i)
		}
		embedding := backbone.mustRun(t, in)
		if len(embedding) != c.Embedding.Size {
			t.Fatalf("embedding of %d bytes (want %d)", len(embedding), c.Embedding.Size)
		}
		want, off := logits.mustRun(t, in), 0
		for j, got := range classify(m, &m.operators[k], embedding) {
			d := int(got) - int(want[j])
			if d < -1 || d > 1 {
				t.Fatalf("picture %d: logit %d is %d (want %d)", i, j, got, want[j])
			}
			if d != 0 {
				off++
			}
		}
		t.Logf("picture %d: %d of %d logits off by one", i, off, len(want))
		if off > 1 {
			t.Errorf("picture %d: %d logits off by one (want at most 1)", i, off)
		}
	}
}

// rescale is the kernels' fixed-point product of a sum and a factor below 1
// (Jacob et al., "Quantization and Training of Neural Networks for Efficient
// Integer-Arithmetic-Only Inference", 2018, section 2.2).
func rescale(sum int64, factor float64) int64 {
	fraction, exponent := math.Frexp(factor)
	high := (sum*int64(math.Round(fraction*(1<<31))) + 1<<30) >> 31
	if exponent < 0 {
		high = (high + 1<<(-exponent-1)) >> -exponent
	}
	return high
}

// classify computes a quantized head over an embedding in integers.
func classify(m *Model, head *operator, embedding []byte) []byte {
	x, w := &m.tensors[head.inputs[0]], &m.tensors[head.inputs[1]]
	y := &m.tensors[head.outputs[0]]
	value := func(t *tensor, b byte, channel int) int64 {
		v := int64(b)
		if t.typ == Int8 {
			v = int64(int8(b))
		}
		return v - t.zeroPoint[min(channel, len(t.zeroPoint)-1)]
	}
	var bias []byte
	if i := head.inputs[2]; i != absent {
		bias = m.tensors[i].data
	}
	low, high := int64(0), int64(255)
	if y.typ == Int8 {
		low, high = -128, 127
	}
	logits := make([]byte, w.shape[0])
	for c := range logits {
		var sum int64
		if bias != nil {
			sum = int64(int32(binary.LittleEndian.Uint32(bias[4*c:])))
		}
		for i, b := range embedding {
			sum += value(x, b, 0) * value(w, w.data[c*len(embedding)+i], c)
		}
		scale := float64(x.scale[0]) * float64(w.scale[min(c, len(w.scale)-1)]) / float64(y.scale[0])
		q := rescale(sum, scale) + y.zeroPoint[0]
		logits[c] = byte(min(max(q, low), high))
	}
	return logits
}

// The zoo's head is float: the embedding is what was dequantized for it.
func TestCutFloatHead(t *testing.T) {
	c := mustCut(t, zoo(false))
	want := Embedding{"requantized", 5, Uint8, 4.0 / 255, 64}
	if d := cmp.Diff(want, c.Embedding); d != "" || c.Classes != 3 {
		t.Errorf("%d classes, embedding (-want +got)\n%s", c.Classes, d)
	}
	start(t, mustWrite(t, c.Model)).mustRun(t, nil)
}

// A model that ends in a pooled embedding is used as it is.
func TestCutTwice(t *testing.T) {
	once := mustCut(t, mustParse(t, mustTiny(t, TinyOptions{})))
	twice := mustCut(t, mustParse(t, mustWrite(t, once.Model)))
	if once.Embedding != twice.Embedding || twice.Classes != 0 {
		t.Errorf("once %+v, twice %+v with %d classes", once.Embedding, twice.Embedding, twice.Classes)
	}
	if !bytes.Equal(mustWrite(t, once.Model), mustWrite(t, twice.Model)) {
		t.Error("the backbone was changed")
	}
}

func TestCutRefuses(t *testing.T) {
	// bare is a picture, and whatever follows it.
	bare := func(add func(*tiny)) *Model {
		b := tiny{m: &Model{}, random: rand.New(rand.NewPCG(3, 4))}
		b.last = b.computed("input", []int{1, 8, 8, 3}, 1.0/128, 128)
		b.m.inputs = []int{b.last}
		add(&b)
		b.m.outputs = []int{b.last}
		return b.m
	}
	connected := func(b *tiny) {
		in := b.m.tensors[b.last].shape
		size := elements(in)
		w, scale := b.weights("w", []int{2, size}, size)
		out := b.computed("logits", []int{1, 2}, 1.0/16, 128)
		b.apply(opFullyConnected, defaultOptions(), out, w, b.bias("b", 2, scale))
	}
	flat := func(b *tiny) {
		in := b.m.tensors[b.last]
		o := defaultOptions()
		o.dims = []int{1, -1}
		b.apply(opReshape, o, b.computed("flat", []int{1, elements(in.shape)}, in.scale[0], in.zeroPoint[0]))
	}
	softmax := func(b *tiny) {
		o := defaultOptions()
		o.beta = 1
		b.apply(opSoftmax, o, b.computed("probabilities", b.m.tensors[b.last].shape, 1.0/256, 0))
	}
	for _, c := range []struct {
		name   string
		m      *Model
		reason error
		want   string
	}{
		{"input only", bare(flat), ErrNotClassifier, `output "flat": nothing is learned`},
		{"no backbone", bare(func(b *tiny) { flat(b); connected(b) }), ErrNotClassifier, "operator 1 FULLY_CONNECTED: there is no backbone"},
		{"not pooled", bare(func(b *tiny) { b.convolution("conv", opConv2D, 3, 2, 8); connected(b) }), ErrUnsupported, `embedding "conv": shape [1 4 4 8] is not pooled`},
		{"too long", bare(func(b *tiny) { b.convolution("conv", opConv2D, 3, 1, 80); flat(b); connected(b) }), ErrUnsupported, `embedding "flat": 5120 numbers (want at most 4096)`},
		{"classes by pooling", bare(func(b *tiny) { b.convolution("conv", opConv2D, 3, 1, 8); b.pool("pool"); softmax(b) }), ErrUnsupported, "operator 1 AVERAGE_POOL_2D: gives classes"},
	} {
		if err := c.m.check(); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		_, err := c.m.CutHead()
		checkError(t, c.name, err, c.reason, c.want)
	}
}

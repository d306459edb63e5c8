package graph

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"
)

func checkError(t *testing.T, name string, err, reason error, want string) {
	t.Helper()
	if !errors.Is(err, reason) || !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("%s: got %v\n\twant %q … %v", name, err, want, reason)
	}
}

// unchecked writes a model that Write would refuse.
func unchecked(m *Model) []byte {
	w := writer{flatbuffers.NewBuilder(0)}
	w.FinishWithFileIdentifier(w.model(m), []byte(identifier))
	return w.FinishedBytes()
}

func TestParseRefuses(t *testing.T) {
	o := func(m *Model, code opcode) *operator {
		return &m.operators[slices.IndexFunc(m.operators, func(o operator) bool { return o.code == code })]
	}
	named := func(m *Model, name string) *tensor {
		return &m.tensors[slices.IndexFunc(m.tensors, func(t tensor) bool { return t.name == name })]
	}
	for _, c := range []struct {
		name   string
		edit   func(m *Model)
		reason error
		want   string
	}{
		{"index", func(m *Model) { m.operators[1].inputs[1] = 99 }, ErrDamaged, "operator 1 CONV_2D: input 1: tensor index 99 out of range (want 0 to "},
		{"negative index", func(m *Model) { m.operators[1].inputs[1] = -1 }, ErrDamaged, "operator 1 CONV_2D: input 1: tensor index -1 out of range"},
		{"no bias", func(m *Model) { m.operators[1].inputs[2] = absent }, ErrUnsupported, "operator 1 CONV_2D: input 2: no bias"},
		{"output index", func(m *Model) { m.operators[1].outputs[0] = -1 }, ErrDamaged, "operator 1 CONV_2D: output: tensor index -1"},
		{"too few inputs", func(m *Model) { m.operators[1].inputs = m.operators[1].inputs[:2] }, ErrDamaged, "operator 1 CONV_2D: 2 inputs and 1 outputs (want 3 to 3 and 1)"},
		{"cycle", func(m *Model) { m.operators[1].inputs[0] = m.operators[1].outputs[0] }, ErrDamaged, `operator 1 CONV_2D: input 0: "conv" is not computed yet`},
		{"written twice", func(m *Model) { m.operators[3].outputs[0] = m.operators[2].outputs[0] }, ErrDamaged, `operator 3 MEAN: output: "hard swish" is constant or written twice`},
		{"writes a constant", func(m *Model) { m.operators[1].outputs[0] = m.operators[1].inputs[1] }, ErrDamaged, `output: "conv/weights" is constant or written twice`},
		{"unknown operator", func(m *Model) { m.operators[2].code = 49 }, ErrUnsupported, "operator 2 builtin operator 49: unknown operator"},
		{"version", func(m *Model) { m.operators[1].version = 6 }, ErrUnsupported, "operator 1 CONV_2D: version 6 (want 1 to 5)"},
		{"float input", func(m *Model) { m.tensors[m.inputs[0]].typ = Float32 }, ErrFloat, `input "input": float32 model: Teachbox needs a quantized one (uint8 or int8)`},
		{"float convolution", func(m *Model) {
			m.operators = slices.Clone(m.operators)
			named(m, "pad").typ = Float32
			m.operators[0].code, m.operators[0].inputs = opDequantize, m.operators[0].inputs[:1]
			named(m, "pad").shape = []int{1, 9, 9, 3}
		}, ErrFloat, "operator 1 CONV_2D: float32 model"},
		{"no output", func(m *Model) { m.outputs = nil }, ErrNotClassifier, "1 inputs and 0 outputs (want 1 and 1)"},
		{"detection", func(m *Model) { m.outputs = []int{1, 2, 3, 4} }, ErrNotClassifier, "1 inputs and 4 outputs (want 1 and 1)"},
		{"segmentation", func(m *Model) { m.outputs = []int{o(m, opHardSwish).outputs[0]} }, ErrNotClassifier, `output "hard swish": uint8[1 6 6 6]`},
		{"grey pictures", func(m *Model) { m.tensors[m.inputs[0]].shape = []int{1, 9, 9, 1} }, ErrNotClassifier, `input "input": uint8[1 9 9 1]`},
		{"several pictures", func(m *Model) { m.tensors[m.inputs[0]].shape = []int{2, 9, 9, 3} }, ErrNotClassifier, `input "input": uint8[2 9 9 3]`},
		{"output not computed", func(m *Model) { m.operators = m.operators[:8] }, ErrDamaged, `output "probabilities" is never computed`},
		{"element type", func(m *Model) { named(m, "pad").typ = 7 }, ErrUnsupported, `"pad": element type 7`},
		{"dimensions", func(m *Model) { named(m, "pad").shape = []int{1, 1, 1, 1, 1} }, ErrUnsupported, `"pad": 5 dimensions (want at most 4)`},
		{"size", func(m *Model) { named(m, "pad").shape = []int{1, 1 << 13, 1 << 13, 3} }, ErrUnsupported, `"pad": shape [1 8192 8192 3]`},
		{"size of all", func(m *Model) {
			for range 3 {
				m.tensors = append(m.tensors, tensor{typ: Uint8, shape: []int{60 << 20}})
			}
		}, ErrUnsupported, "computed tensors of 1887"},
		{"empty dimension", func(m *Model) { named(m, "pad").shape = []int{1, 0, 12, 3} }, ErrUnsupported, "shape [1 0 12 3]"},
		{"data", func(m *Model) { named(m, "conv/weights").data = []byte{1, 2} }, ErrDamaged, `"conv/weights": 2 bytes of data (want 162 for uint8[6 3 3 3])`},
		{"zero points", func(m *Model) { named(m, "pad").zeroPoint = []int64{1, 2} }, ErrDamaged, `"pad": 1 scales and 2 zero points`},
		{"zero point", func(m *Model) { named(m, "pad").zeroPoint = []int64{256} }, ErrDamaged, `"pad": zero point 256 of uint8`},
		{"quantized dimension", func(m *Model) { named(m, "pad").dimension = 4 }, ErrDamaged, `"pad": quantized dimension 4 of 4`},
		{"scales", func(m *Model) {
			named(m, "pad").scale, named(m, "pad").zeroPoint = make([]float32, 3), make([]int64, 3)
		}, ErrDamaged, `"pad": 3 scales for dimension 0 of [1 11 12 3]`},
		{"scale", func(m *Model) { named(m, "pad").scale = []float32{float32(math.NaN())} }, ErrDamaged, `"pad": scale NaN`},
		{"scale 0", func(m *Model) { named(m, "pad").scale = []float32{0} }, ErrDamaged, `operator 0 PAD: "pad": scale 0`},
		{"no scale", func(m *Model) { named(m, "pad").scale, named(m, "pad").zeroPoint = nil, nil }, ErrUnsupported, `operator 0 PAD: "pad": uint8 with 0 scales`},
		{"scales apart", func(m *Model) { named(m, "conv").scale = []float32{1e-11} }, ErrDamaged, "operator 1 CONV_2D: scales that differ by "},
		{"output shape", func(m *Model) { named(m, "conv").shape = []int{1, 6, 7, 6} }, ErrDamaged, "operator 1 CONV_2D: output: shape [1 6 7 6] (want [1 6 6 6])"},
		{"weights", func(m *Model) { named(m, "pad").shape = []int{1, 11, 12, 1} }, ErrDamaged, "operator 0 PAD: output: shape [1 11 12 1] (want [1 11 12 3])"},
		{"bias", func(m *Model) { m.operators[1].inputs[2] = m.operators[1].inputs[1] }, ErrDamaged, "input 2: bias uint8[6 3 3 3] (want constant int32[6])"},
		{"stride", func(m *Model) { o(m, opConv2D).options.strideW = 0 }, ErrDamaged, "operator 1 CONV_2D: stride 0"},
		{"dilation", func(m *Model) { o(m, opConv2D).options.dilationH = -1 }, ErrDamaged, "dilation -1"},
		{"padding", func(m *Model) { o(m, opConv2D).options.padding = 2 }, ErrDamaged, "padding 2"},
		{"activation", func(m *Model) { o(m, opConv2D).options.activation = 4 }, ErrUnsupported, "fused activation 4"},
		{"multiplier", func(m *Model) { o(m, opDepthwiseConv2D).options.multiplier = 2 }, ErrDamaged, "weights [1 3 3 6] do not fit the input [1 6 6 6]"},
		{"window", func(m *Model) { o(m, opMaxPool2D).options.filterW = 7 }, ErrDamaged, "window of 7 over 6"},
		{"shuffled", func(m *Model) { o(m, opFullyConnected).options.weightsFormat = 1 }, ErrUnsupported, "shuffled weights"},
		{"reshape", func(m *Model) { named(m, "row/shape").data[0] = 4 }, ErrDamaged, "RESHAPE: from [6] to [4 1 -1]"},
		{"reshape by zero", func(m *Model) { named(m, "row/shape").data[0] = 0 }, ErrDamaged, "RESHAPE: from [6] to [0 1 -1]"},
		{"mean", func(m *Model) { named(m, "axes").data[0] = 4 }, ErrDamaged, "MEAN: dimension 4 of 4"},
		{"mean twice", func(m *Model) { named(m, "axes").data[0] = 2 }, ErrDamaged, "MEAN: dimension -2 of 4, or twice"},
		{"pad", func(m *Model) { named(m, "pad/by").data[3] = 0x80 }, ErrDamaged, "PAD: input 1: padding by -2147483648"},
		{"squeeze", func(m *Model) { o(m, opSqueeze).options.dims = []int{3} }, ErrDamaged, "SQUEEZE: dimension 3 of [1 1 1 6] is not 1"},
		{"beta", func(m *Model) { o(m, opSoftmax).options.beta = 0 }, ErrDamaged, "SOFTMAX: beta 0"},
		{"probabilities", func(m *Model) { named(m, "gate").scale = []float32{1} }, ErrDamaged, "LOGISTIC: output: scale 1, zero point 0 (want 1/256 and 0)"},
		{"shapes", func(m *Model) { o(m, opMul).inputs[1] = o(m, opConv2D).inputs[0] }, ErrDamaged, "MUL: inputs [1 6 6 6] and [1 11 12 3]"},
	} {
		m := zoo(false)
		c.edit(m)
		_, err := Parse(unchecked(m))
		checkError(t, c.name, err, c.reason, c.want)
		if _, err := Write(m); !errors.Is(err, c.reason) {
			t.Errorf("%s: Write gives %v", c.name, err)
		}
	}
}

// Per-channel scales belong to int8 weights and their own dimension.
func TestPerChannel(t *testing.T) {
	for _, c := range []struct {
		name      string
		int8      bool
		channels  int
		dimension int
		zeroPoint int64
		want      string
	}{
		{"right", true, 6, 0, 0, ""},
		{"uint8", false, 6, 0, 128, "6 scales along dimension 0 for 6 channels"},
		{"dimension", true, 3, 3, 0, "3 scales along dimension 3 for 6 channels"},
		{"zero point", true, 6, 0, 1, "zero point 1 of int8 weights (want 0)"},
	} {
		m := zoo(c.int8)
		w := &m.tensors[m.operators[1].inputs[1]]
		w.scale = slices.Repeat(w.scale, c.channels)
		w.zeroPoint = slices.Repeat([]int64{c.zeroPoint}, c.channels)
		w.dimension = c.dimension
		b, err := Parse(unchecked(m))
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			b = mustParse(t, mustWrite(t, b))
			start(t, mustWrite(t, b)).mustRun(t, nil)
			continue
		}
		checkError(t, c.name, err, ErrUnsupported, c.want)
	}
}

// file builds a file by hand, of parts that the writer never writes.
func file(version uint32, parts func(w writer) map[int]offset) []byte {
	w := writer{flatbuffers.NewBuilder(0)}
	p := parts(w)
	w.StartObject(modelFields)
	w.PrependUint32Slot(modelVersion, version, 0)
	for id, o := range p {
		w.PrependUOffsetTSlot(id, o, 0)
	}
	w.FinishWithFileIdentifier(w.EndObject(), []byte(identifier))
	return w.FinishedBytes()
}

func TestParseRefusesParts(t *testing.T) {
	// object writes a table with one field.
	object := func(w writer, fields int, set func()) offset {
		w.StartObject(fields)
		set()
		return w.EndObject()
	}
	empty := func(w writer) offset { return object(w, 0, func() {}) }
	list := func(w writer, o ...offset) offset { return w.CreateVectorOfTables(o) }
	oneTensor := func(set func(w writer)) []byte {
		return file(3, func(w writer) map[int]offset {
			tensors := list(w, object(w, tensorFields, func() { set(w) }))
			g := object(w, graphFields, func() { w.PrependUOffsetTSlot(graphTensors, tensors, 0) })
			return map[int]offset{modelSubgraphs: list(w, g), modelBuffers: list(w, empty(w))}
		})
	}
	for _, c := range []struct {
		name   string
		b      []byte
		reason error
		want   string
	}{
		{"nothing", nil, ErrNotTFLite, "no TFL3 mark"},
		{"text", []byte("a label file"), ErrNotTFLite, "no TFL3 mark"},
		{"mark only", []byte("\x00\x00\x00\x00TFL3"), ErrDamaged, ""},
		{"far root", []byte("\xff\xff\xff\x7fTFL3"), ErrDamaged, "model: offset 0 is beyond the end"},
		{"too large", append([]byte("\x08\x00\x00\x00TFL3"), make([]byte, MaxFileSize)...), ErrUnsupported, "67108872 bytes (want at most 67108864)"},
		{"version", file(2, func(writer) map[int]offset { return nil }), ErrUnsupported, "schema version 2 (want 3)"},
		{"no subgraph", file(3, func(writer) map[int]offset { return nil }), ErrUnsupported, "0 subgraphs (want 1)"},
		{"subgraphs", file(3, func(w writer) map[int]offset {
			return map[int]offset{modelSubgraphs: list(w, empty(w), empty(w))}
		}), ErrUnsupported, "2 subgraphs (want 1)"},
		{"variable", oneTensor(func(w writer) { w.PrependBoolSlot(tensorVariable, true, false) }), ErrUnsupported, `tensor 0 "": variable`},
		{"buffer", oneTensor(func(w writer) { w.PrependUint32Slot(tensorBuffer, 1, 0) }), ErrDamaged, `tensor 0 "": buffer 1 of 1`},
		{"sparse", file(3, func(w writer) map[int]offset {
			s := empty(w)
			tensors := list(w, object(w, tensorFields, func() { w.PrependUOffsetTSlot(tensorSparsity, s, 0) }))
			g := object(w, graphFields, func() { w.PrependUOffsetTSlot(graphTensors, tensors, 0) })
			return map[int]offset{modelSubgraphs: list(w, g), modelBuffers: list(w, empty(w))}
		}), ErrUnsupported, `tensor 0 "": sparse`},
		{"custom quantization", file(3, func(w writer) map[int]offset {
			q := object(w, quantFields, func() { w.PrependByteSlot(quantDetails, 1, 0) })
			tensors := list(w, object(w, tensorFields, func() { w.PrependUOffsetTSlot(tensorQuantization, q, 0) }))
			g := object(w, graphFields, func() { w.PrependUOffsetTSlot(graphTensors, tensors, 0) })
			return map[int]offset{modelSubgraphs: list(w, g), modelBuffers: list(w, empty(w))}
		}), ErrUnsupported, `tensor 0 "": custom quantization`},
		{"custom operator", file(3, func(w writer) map[int]offset {
			name := w.CreateString("TFLite_Detection_PostProcess")
			codes := list(w, object(w, codeFields, func() {
				w.PrependInt8Slot(codeDeprecated, 32, 0)
				w.PrependUOffsetTSlot(codeCustom, name, 0)
			}))
			operators := list(w, empty(w))
			g := object(w, graphFields, func() { w.PrependUOffsetTSlot(graphOperators, operators, 0) })
			return map[int]offset{modelSubgraphs: list(w, g), modelCodes: codes}
		}), ErrUnsupported, `operator 0 builtin operator 32: custom operator "TFLite_Detection_PostProcess"`},
		{"operator code", file(3, func(w writer) map[int]offset {
			operators := list(w, empty(w))
			g := object(w, graphFields, func() { w.PrependUOffsetTSlot(graphOperators, operators, 0) })
			return map[int]offset{modelSubgraphs: list(w, g)}
		}), ErrDamaged, "operator code 0 of 0"},
		{"data elsewhere", file(3, func(w writer) map[int]offset {
			return map[int]offset{modelBuffers: list(w, object(w, bufferFields, func() { w.PrependUint64Slot(bufferOffset, 64, 0) }))}
		}), ErrUnsupported, "buffer 0: data outside of the flatbuffer"},
		{"many tensors", file(3, func(w writer) map[int]offset {
			tensors := list(w, slices.Repeat([]offset{empty(w)}, maxTensors+1)...)
			g := object(w, graphFields, func() { w.PrependUOffsetTSlot(graphTensors, tensors, 0) })
			return map[int]offset{modelSubgraphs: list(w, g)}
		}), ErrUnsupported, "tensors: 4097 entries (want at most 4096)"},
	} {
		_, err := Parse(c.b)
		checkError(t, c.name, err, c.reason, c.want)
	}
}

// bomb is a small file whose tensors all share one long name and one long
// shape.
func bomb() []byte {
	return file(3, func(w writer) map[int]offset {
		name, shape := w.CreateString(strings.Repeat("x", 8000)), w.ints(make([]int, 4000))
		w.StartObject(tensorFields)
		w.PrependUOffsetTSlot(tensorName, name, 0)
		w.PrependUOffsetTSlot(tensorShape, shape, 0)
		tensors := w.CreateVectorOfTables(slices.Repeat([]offset{w.EndObject()}, maxTensors))
		w.StartObject(graphFields)
		w.PrependUOffsetTSlot(graphTensors, tensors, 0)
		g := w.CreateVectorOfTables([]offset{w.EndObject()})
		w.StartObject(0)
		return map[int]offset{modelSubgraphs: g, modelBuffers: w.CreateVectorOfTables([]offset{w.EndObject()})}
	})
}

// Parse allocates no more than a small multiple of what it is given.
func TestAllocations(t *testing.T) {
	files := realModels(t)
	files["tiny"] = mustTiny(t, TinyOptions{})
	files["bomb"] = bomb()
	for name, b := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Parse(b)
		runtime.ReadMemStats(&after)
		got := int(after.TotalAlloc - before.TotalAlloc)
		t.Logf("%s: %d bytes for a file of %d, %v", name, got, len(b), err)
		if limit := 2 * (budgetBase + budgetFactor*len(b)); got > limit {
			t.Errorf("%s: %d bytes allocated for a file of %d (want at most %d)", name, got, len(b), limit)
		}
		if name == "bomb" {
			checkError(t, name, err, ErrDamaged, "parts overlap")
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, o := range []TinyOptions{{Side: 8, Size: 2, Classes: 1}, {Side: 8, Size: 2, Int8: true}} {
		f.Add(mustTiny(f, o))
	}
	f.Add(mustWrite(f, zoo(false)))
	f.Add(mustWrite(f, zoo(true)))
	f.Add(bomb())
	f.Add([]byte("\x08\x00\x00\x00TFL3"))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		m, err := Parse(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the file was changed")
		}
		if err != nil {
			for _, reason := range []error{ErrNotTFLite, ErrDamaged, ErrFloat, ErrNotClassifier, ErrUnsupported} {
				if errors.Is(err, reason) {
					return
				}
			}
			t.Fatalf("an error without reason: %v", err)
		}
		again := mustParse(t, mustWrite(t, m))
		if !bytes.Equal(mustWrite(t, again), mustWrite(t, m)) {
			t.Fatal("written and read, the model differs")
		}
		if c, err := m.CutHead(); err == nil {
			mustParse(t, mustWrite(t, c.Model))
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, file := range realModels(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(file); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCutAndWrite(b *testing.B) {
	file, ok := realModels(b)[defaultBackbone]
	if !ok {
		file = mustTiny(b, TinyOptions{})
	}
	b.ReportAllocs()
	for b.Loop() {
		mustWrite(b, mustCut(b, mustParse(b, file)).Model)
	}
}

package graph

import (
	"fmt"

	flatbuffers "github.com/google/flatbuffers/go"
)

// dataAlignment is what the schema demands of constants, in bytes.
const dataAlignment = 16

// Write returns the model as a .tflite file of its own. Tensors that no
// operator uses are left out, as are metadata and signatures. Equal models give
// equal bytes. A model that Parse would refuse gives the same error here.
func Write(m *Model) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	w := writer{flatbuffers.NewBuilder(1 << 16)}
	w.FinishWithFileIdentifier(w.model(m.compact()), []byte(identifier))
	b := w.FinishedBytes()
	if len(b) > MaxFileSize {
		return nil, fmt.Errorf("write: %w", refuse(ErrUnsupported, "%d bytes (want at most %d)", len(b), MaxFileSize))
	}
	return b, nil
}

// compact returns a copy that has only the tensors in use, in their old order.
func (m *Model) compact() *Model {
	used := make([]bool, len(m.tensors))
	m.eachTensor(func(i int) int { used[i] = true; return i })
	index := make([]int, len(m.tensors))
	c := &Model{description: m.description}
	for i, u := range used {
		if u {
			index[i] = len(c.tensors)
			c.tensors = append(c.tensors, m.tensors[i])
		}
	}
	c.inputs, c.outputs, c.operators = m.eachTensor(func(i int) int { return index[i] })
	return c
}

// eachTensor returns the model's lists with every tensor index replaced by f.
func (m *Model) eachTensor(f func(int) int) (inputs, outputs []int, operators []operator) {
	replace := func(list []int) []int {
		to := make([]int, len(list))
		for j, i := range list {
			to[j] = absent
			if i != absent {
				to[j] = f(i)
			}
		}
		return to
	}
	operators = make([]operator, len(m.operators))
	for i, o := range m.operators {
		o.inputs, o.outputs = replace(o.inputs), replace(o.outputs)
		operators[i] = o
	}
	return replace(m.inputs), replace(m.outputs), operators
}

// A writer lays out flatbuffer tables. The Builder demands that what a table
// points to is written before the table is begun.
type writer struct{ *flatbuffers.Builder }

type offset = flatbuffers.UOffsetT

func (w writer) model(m *Model) offset {
	buffers, bufferOf := w.buffers(m.tensors)
	codes, codeOf := w.codes(m.operators)
	tensors := make([]offset, len(m.tensors))
	for i := range m.tensors {
		tensors[i] = w.tensor(&m.tensors[i], bufferOf[i])
	}
	operators := make([]offset, len(m.operators))
	for i := range m.operators {
		operators[i] = w.operator(&m.operators[i], codeOf[i])
	}

	tensorList, operatorList := w.CreateVectorOfTables(tensors), w.CreateVectorOfTables(operators)
	inputs, outputs := w.ints(m.inputs), w.ints(m.outputs)
	name := w.CreateString("main")
	w.StartObject(graphFields)
	w.PrependUOffsetTSlot(graphTensors, tensorList, 0)
	w.PrependUOffsetTSlot(graphInputs, inputs, 0)
	w.PrependUOffsetTSlot(graphOutputs, outputs, 0)
	w.PrependUOffsetTSlot(graphOperators, operatorList, 0)
	w.PrependUOffsetTSlot(graphName, name, 0)
	subgraphs := w.CreateVectorOfTables([]offset{w.EndObject()})

	description := w.CreateString(m.description)
	w.StartObject(modelFields)
	w.PrependUint32Slot(modelVersion, schemaVersion, 0)
	w.PrependUOffsetTSlot(modelCodes, codes, 0)
	w.PrependUOffsetTSlot(modelSubgraphs, subgraphs, 0)
	w.PrependUOffsetTSlot(modelDescription, description, 0)
	w.PrependUOffsetTSlot(modelBuffers, buffers, 0)
	return w.EndObject()
}

// buffers writes every constant once, even where tensors share it, and returns
// the list and the place in it for each tensor.
func (w writer) buffers(tensors []tensor) (list offset, of []uint32) {
	w.StartObject(bufferFields)
	written := []offset{w.EndObject()} // the schema demands that buffer 0 is empty
	of = make([]uint32, len(tensors))
	type part struct {
		first *byte
		size  int
	}
	seen := make(map[part]uint32)
	for i := range tensors {
		data := tensors[i].data
		if len(data) == 0 {
			continue
		}
		p := part{&data[0], len(data)}
		if seen[p] == 0 {
			seen[p] = uint32(len(written))
			w.Prep(dataAlignment, len(data))
			v := w.CreateByteVector(data)
			w.StartObject(bufferFields)
			w.PrependUOffsetTSlot(bufferData, v, 0)
			written = append(written, w.EndObject())
		}
		of[i] = seen[p]
	}
	return w.CreateVectorOfTables(written), of
}

// codes writes every pair of operator and version once.
func (w writer) codes(operators []operator) (list offset, of []uint32) {
	type pair struct {
		code    opcode
		version int
	}
	seen := make(map[pair]uint32)
	var written []offset
	of = make([]uint32, len(operators))
	for i, o := range operators {
		p := pair{o.code, o.version}
		k, ok := seen[p]
		if !ok {
			k = uint32(len(written))
			seen[p] = k
			w.StartObject(codeFields)
			w.PrependInt8Slot(codeDeprecated, int8(min(o.code, 127)), 0)
			w.PrependInt32Slot(codeVersion, int32(o.version), 1)
			w.PrependInt32Slot(codeBuiltin, int32(o.code), 0)
			written = append(written, w.EndObject())
		}
		of[i] = k
	}
	return w.CreateVectorOfTables(written), of
}

func (w writer) tensor(t *tensor, buffer uint32) offset {
	var quantization offset
	if len(t.scale) > 0 {
		scale, zeroPoint := w.float32s(t.scale), w.int64s(t.zeroPoint)
		w.StartObject(quantFields)
		w.PrependUOffsetTSlot(quantScale, scale, 0)
		w.PrependUOffsetTSlot(quantZeroPoint, zeroPoint, 0)
		w.PrependInt32Slot(quantDimension, int32(t.dimension), 0)
		quantization = w.EndObject()
	}
	name, shape := w.CreateString(t.name), w.ints(t.shape)
	w.StartObject(tensorFields)
	w.PrependUOffsetTSlot(tensorShape, shape, 0)
	w.PrependInt8Slot(tensorType, int8(t.typ), 0)
	w.PrependUint32Slot(tensorBuffer, buffer, 0)
	w.PrependUOffsetTSlot(tensorName, name, 0)
	w.PrependUOffsetTSlot(tensorQuantization, quantization, 0)
	return w.EndObject()
}

func (w writer) operator(o *operator, code uint32) offset {
	s, _ := specOf(o.code)
	options := w.options(s, o.options)
	inputs, outputs := w.ints(o.inputs), w.ints(o.outputs)
	w.StartObject(operatorFields)
	w.PrependUint32Slot(operatorCode, code, 0)
	w.PrependUOffsetTSlot(operatorInputs, inputs, 0)
	w.PrependUOffsetTSlot(operatorOutputs, outputs, 0)
	w.PrependByteSlot(operatorUnion, s.union, 0)
	w.PrependUOffsetTSlot(operatorOptions, options, 0)
	return w.EndObject()
}

// options writes the fields that s names. What equals the schema's default is
// left out by the Builder.
func (w writer) options(s spec, o options) offset {
	if s.union == 0 {
		return 0
	}
	var dims offset // no table has two lists
	if len(o.dims) > 0 {
		dims = w.ints(o.dims)
	}
	defaults := defaultOptions()
	absent := s.fields(&defaults)
	w.StartObject(len(absent))
	for id, f := range s.fields(&o) {
		switch f := f.(type) {
		case *int8:
			w.PrependInt8Slot(id, *f, *absent[id].(*int8))
		case *int32:
			w.PrependInt32Slot(id, *f, *absent[id].(*int32))
		case *bool:
			w.PrependBoolSlot(id, *f, false)
		case *float32:
			w.PrependFloat32Slot(id, *f, 0)
		case *[]int:
			w.PrependUOffsetTSlot(id, dims, 0)
		}
	}
	return w.EndObject()
}

func (w writer) ints(v []int) offset {
	w.StartVector(4, len(v), 4)
	for i := len(v) - 1; i >= 0; i-- {
		w.PrependInt32(int32(v[i]))
	}
	return w.EndVector(len(v))
}

func (w writer) int64s(v []int64) offset {
	w.StartVector(8, len(v), 8)
	for i := len(v) - 1; i >= 0; i-- {
		w.PrependInt64(v[i])
	}
	return w.EndVector(len(v))
}

func (w writer) float32s(v []float32) offset {
	w.StartVector(4, len(v), 4)
	for i := len(v) - 1; i >= 0; i-- {
		w.PrependFloat32(v[i])
	}
	return w.EndVector(len(v))
}

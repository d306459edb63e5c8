package graph

// An Input says what picture a backbone takes.
type Input struct {
	Tensor    string // name
	Height    int    // pixels
	Width     int    // pixels
	Type      Type   // Uint8 or Int8
	Scale     float32
	ZeroPoint int // of Type
}

// An Embedding says what a backbone gives: Size numbers, each of which stands
// for Scale × (q − ZeroPoint).
type Embedding struct {
	Tensor    string // name
	Size      int    // numbers
	Type      Type   // Uint8 or Int8
	Scale     float32
	ZeroPoint int // of Type
}

// A Backbone is a model that ends at its embedding.
type Backbone struct {
	Model     *Model
	Input     Input
	Embedding Embedding
	Classes   int // of the classifier that was cut off; 0 if there was none
}

// CutHead returns the model without its classifier. The classifier is the last
// CONV_2D or FULLY_CONNECTED, if only operators follow that turn its result
// into probabilities, and its input is the embedding. A model that ends in a
// pooled embedding is used as it is. m stays as it was; Write gives the bytes.
//
// The error wraps ErrNotClassifier or ErrUnsupported.
func (m *Model) CutHead() (*Backbone, error) {
	producer := make(map[int]int, len(m.operators)) // of a tensor
	for i := range m.operators {
		producer[m.operators[i].outputs[0]] = i
	}
	// before walks back from a tensor over operators that a classifier may end
	// in, and returns the one before them, or -1 at the model's input.
	before := func(t int) (last int, probabilities bool) {
		for {
			i, ok := producer[t]
			if !ok {
				return -1, probabilities
			}
			o := &m.operators[i]
			if !o.code.tail() {
				return i, probabilities
			}
			probabilities = probabilities || o.code == opSoftmax || o.code == opLogistic
			t = o.inputs[0]
		}
	}
	embedding, classes := m.outputs[0], 0
	last, probabilities := before(embedding)
	switch {
	case last < 0:
		return nil, refuse(ErrNotClassifier, "output %.60q: nothing is learned on the way to it", m.tensors[embedding].name)
	case m.operators[last].code == opConv2D || m.operators[last].code == opFullyConnected:
		head := &m.operators[last]
		shape := m.tensors[head.outputs[0]].shape
		embedding, classes = head.inputs[0], shape[len(shape)-1]
		if first, _ := before(embedding); first < 0 {
			return nil, refuse(ErrNotClassifier, "operator %d %v: there is no backbone before the classifier", last, head.code)
		}
	case probabilities:
		return nil, refuse(ErrUnsupported, "operator %d %v: gives classes (want CONV_2D or FULLY_CONNECTED)", last, m.operators[last].code)
	}
	// A float head stands on dequantized numbers.
	for !m.tensors[embedding].typ.quantized() {
		o := &m.operators[producer[embedding]]
		if o.code != opDequantize && o.code != opReshape && o.code != opSqueeze {
			return nil, refuse(ErrUnsupported, "embedding %.60q is %v", m.tensors[embedding].name, m.tensors[embedding].typ)
		}
		embedding = o.inputs[0]
	}
	e, err := m.embedding(embedding)
	if err != nil {
		return nil, err
	}
	in := &m.tensors[m.inputs[0]]
	end := producer[embedding] + 1
	cut := *m
	cut.operators = m.operators[:end:end]
	cut.outputs = []int{embedding}
	return &Backbone{
		Model: &cut,
		Input: Input{
			Tensor: in.name,
			Height: in.shape[1],
			Width:  in.shape[2],
			Type:   in.typ, Scale: in.scale[0], ZeroPoint: int(in.zeroPoint[0]),
		},
		Embedding: e,
		Classes:   classes,
	}, nil
}

// tail reports whether an operator may follow a classifier: it keeps the order
// of the numbers and adds nothing learned.
func (o opcode) tail() bool {
	switch o {
	case opSoftmax, opLogistic, opReshape, opSqueeze, opQuantize, opDequantize:
		return true
	}
	return false
}

// embedding describes tensor i, if it may be one.
func (m *Model) embedding(i int) (Embedding, error) {
	t := &m.tensors[i]
	size := elements(t.shape)
	if len(t.shape) == 0 || t.shape[len(t.shape)-1] != size {
		return Embedding{}, refuse(ErrUnsupported, "embedding %.60q: shape %v is not pooled (want every dimension but the last to be 1)", t.name, t.shape)
	}
	if size > maxEmbedding {
		return Embedding{}, refuse(ErrUnsupported, "embedding %.60q: %d numbers (want at most %d)", t.name, size, maxEmbedding)
	}
	return Embedding{
		Tensor: t.name,
		Size:   size,
		Type:   t.typ, Scale: t.scale[0], ZeroPoint: int(t.zeroPoint[0]),
	}, nil
}

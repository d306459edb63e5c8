package graph

import "fmt"

const identifier = "TFL3"

const schemaVersion = 3

// The fields of the schema's tables.
const (
	modelVersion, modelCodes, modelSubgraphs, modelDescription, modelBuffers = 0, 1, 2, 3, 4
	modelMetadata, modelSignatures, modelFields                              = 6, 7, 8

	codeDeprecated, codeCustom, codeVersion, codeBuiltin, codeFields = 0, 1, 2, 3, 4

	graphTensors, graphInputs, graphOutputs, graphOperators, graphName, graphFields = 0, 1, 2, 3, 4, 5

	tensorShape, tensorType, tensorBuffer, tensorName, tensorQuantization = 0, 1, 2, 3, 4
	tensorVariable, tensorSparsity, tensorFields                          = 5, 6, 8

	quantScale, quantZeroPoint, quantDetails, quantDimension, quantFields = 2, 3, 4, 6, 7

	operatorCode, operatorInputs, operatorOutputs, operatorUnion, operatorOptions = 0, 1, 2, 3, 4
	operatorCustom, operatorMutating, operatorIntermediates, operatorFields       = 5, 7, 8, 9

	bufferData, bufferOffset, bufferSize, bufferFields = 0, 1, 2, 3

	metadataName, metadataBuffer = 0, 1

	signatureInputs, signatureOutputs, signatureKey = 0, 1, 2
	signatureName, signatureTensor                  = 0, 1
)

// Parse reads a .tflite file and checks all of it that native code would rely
// on. It never panics and allocates a small multiple of len(b) at most. The
// model keeps b, which must not change any more.
//
// The error wraps ErrNotTFLite, ErrDamaged, ErrFloat, ErrNotClassifier or
// ErrUnsupported and names the place in the file.
func Parse(b []byte) (*Model, error) {
	if len(b) < 8 || string(b[4:8]) != identifier {
		return nil, refuse(ErrNotTFLite, "no %s mark", identifier)
	}
	if len(b) > MaxFileSize {
		return nil, refuse(ErrUnsupported, "%d bytes (want at most %d)", len(b), MaxFileSize)
	}
	m, err := decode(newReader(b))
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

// decode reads the structure. What it means is left to check.
func decode(r *reader) (*Model, error) {
	root := r.table(r.follow(0))
	if v := root.uint32(modelVersion); r.err == nil && v != schemaVersion {
		return nil, refuse(ErrUnsupported, "schema version %d (want %d)", v, schemaVersion)
	}
	m := &Model{description: root.string(modelDescription)}
	if r.err != nil {
		return nil, fmt.Errorf("model: %w", r.err)
	}
	codes, err := decodeCodes(root)
	if err != nil {
		return nil, err
	}
	buffers, err := decodeBuffers(root)
	if err != nil {
		return nil, err
	}
	subgraphs := root.tables(modelSubgraphs, maxOperators)
	if r.err != nil {
		return nil, fmt.Errorf("subgraphs: %w", r.err)
	}
	if len(subgraphs) != 1 {
		return nil, refuse(ErrUnsupported, "%d subgraphs (want 1)", len(subgraphs))
	}
	g := subgraphs[0]
	g.string(graphName) // native code reads it
	tensors := g.tables(graphTensors, maxTensors)
	if r.err != nil {
		return nil, fmt.Errorf("tensors: %w", r.err)
	}
	m.tensors = make([]tensor, len(tensors))
	for i, t := range tensors {
		if err := decodeTensor(t, buffers, &m.tensors[i]); err != nil {
			return nil, fmt.Errorf("tensor %d %.60q: %w", i, m.tensors[i].name, err)
		}
	}
	operators := g.tables(graphOperators, maxOperators)
	if r.err != nil {
		return nil, fmt.Errorf("operators: %w", r.err)
	}
	m.operators = make([]operator, len(operators))
	for i, t := range operators {
		if err := decodeOperator(t, codes, &m.operators[i]); err != nil {
			return nil, fmt.Errorf("operator %d %v: %w", i, m.operators[i].code, err)
		}
	}
	m.inputs, m.outputs = g.ints(graphInputs), g.ints(graphOutputs)
	if r.err != nil {
		return nil, fmt.Errorf("subgraph: %w", r.err)
	}
	if err := checkExtras(root, len(buffers), len(tensors)); err != nil {
		return nil, err
	}
	return m, nil
}

// A code is an entry of the model's list of operator codes.
type code struct {
	opcode  opcode
	version int
	custom  string // name of a custom operator
}

func decodeCodes(root table) ([]code, error) {
	tables := root.tables(modelCodes, maxCodes)
	codes := make([]code, len(tables))
	for i, t := range tables {
		// Numbers over 127 do not fit into the old field; files of before 2020
		// lack the new one.
		codes[i] = code{
			opcode:  max(opcode(t.int8(codeDeprecated, 0)), opcode(t.int32(codeBuiltin, 0))),
			version: int(t.int32(codeVersion, 1)),
			custom:  t.string(codeCustom),
		}
	}
	if err := root.r.err; err != nil {
		return nil, fmt.Errorf("operator codes: %w", err)
	}
	return codes, nil
}

func decodeBuffers(root table) ([][]byte, error) {
	tables := root.tables(modelBuffers, 2*maxTensors)
	buffers := make([][]byte, len(tables))
	for i, t := range tables {
		buffers[i] = t.bytes(bufferData)
		for _, id := range []int{bufferOffset, bufferSize} {
			if t.field(id, 8) != 0 {
				return nil, refuse(ErrUnsupported, "buffer %d: data outside of the flatbuffer", i)
			}
		}
	}
	if err := root.r.err; err != nil {
		return nil, fmt.Errorf("buffers: %w", err)
	}
	return buffers, nil
}

func decodeTensor(t table, buffers [][]byte, to *tensor) error {
	to.name = t.string(tensorName)
	to.typ = Type(t.int8(tensorType, 0))
	to.shape = t.ints(tensorShape)
	if q, ok := t.table(tensorQuantization); ok {
		to.scale, to.zeroPoint = q.float32s(quantScale), q.int64s(quantZeroPoint)
		to.dimension = int(q.int32(quantDimension, 0))
		if q.int8(quantDetails, 0) != 0 {
			return refuse(ErrUnsupported, "custom quantization")
		}
	}
	if t.int8(tensorVariable, 0) != 0 {
		return refuse(ErrUnsupported, "variable")
	}
	if _, ok := t.table(tensorSparsity); ok {
		return refuse(ErrUnsupported, "sparse")
	}
	buffer := t.uint32(tensorBuffer)
	if t.r.err != nil {
		return t.r.err
	}
	if uint64(buffer) >= uint64(len(buffers)) {
		return refuse(ErrDamaged, "buffer %d of %d", buffer, len(buffers))
	}
	to.data = buffers[buffer]
	return nil
}

func decodeOperator(t table, codes []code, to *operator) error {
	index := t.uint32(operatorCode)
	if t.r.err != nil {
		return t.r.err
	}
	if uint64(index) >= uint64(len(codes)) {
		return refuse(ErrDamaged, "operator code %d of %d", index, len(codes))
	}
	c := codes[index]
	to.code, to.version, to.options = c.opcode, c.version, defaultOptions()
	to.inputs, to.outputs = t.ints(operatorInputs), t.ints(operatorOutputs)
	if c.custom != "" {
		return refuse(ErrUnsupported, "custom operator %.60q", c.custom)
	}
	s, ok := specOf(c.opcode)
	if !ok {
		return refuse(ErrUnsupported, "unknown operator")
	}
	for _, id := range []int{operatorCustom, operatorMutating, operatorIntermediates} {
		if _, n := t.vector(id, 1); n != 0 {
			return refuse(ErrUnsupported, "custom options or state")
		}
	}
	if s.union == 0 {
		return t.r.err
	}
	o, ok := t.table(operatorOptions)
	if union := uint8(t.int8(operatorUnion, 0)); t.r.err == nil && ok && union != s.union {
		return refuse(ErrDamaged, "options of kind %d (want %d)", union, s.union)
	}
	for id, f := range s.fields(&to.options) {
		switch f := f.(type) {
		case *int8:
			*f = o.int8(id, *f)
		case *int32:
			*f = o.int32(id, *f)
		case *bool:
			*f = o.int8(id, 0) != 0
		case *float32:
			*f = o.float32(id)
		case *[]int:
			*f = o.ints(id)
		}
	}
	return t.r.err
}

// checkExtras checks parts that the model does not keep but that native code
// reads when it is given the file as it is.
func checkExtras(root table, buffers, tensors int) error {
	r := root.r
	for i, t := range root.tables(modelMetadata, maxTensors) {
		if _, n := t.vector(metadataName, 1); n == 0 {
			r.fail("metadata %d has no name", i)
		}
		if b := t.uint32(metadataBuffer); uint64(b) >= uint64(buffers) {
			r.fail("metadata %d: buffer %d of %d", i, b, buffers)
		}
	}
	for i, t := range root.tables(modelSignatures, maxTensors) {
		if t.field(signatureKey, 4) == 0 {
			r.fail("signature %d has no key", i)
		}
		t.string(signatureKey)
		for _, id := range []int{signatureInputs, signatureOutputs} {
			for _, e := range t.tables(id, maxTensors) {
				if e.field(signatureName, 4) == 0 {
					r.fail("signature %d has a nameless tensor", i)
				}
				e.string(signatureName)
				if n := e.uint32(signatureTensor); uint64(n) >= uint64(tensors) {
					r.fail("signature %d: tensor %d of %d", i, n, tensors)
				}
			}
		}
	}
	if r.err != nil {
		return fmt.Errorf("metadata or signatures: %w", r.err)
	}
	return nil
}

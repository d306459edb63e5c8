// Package graph reads, checks, edits and writes quantized image classifiers in
// the TensorFlow Lite format (.tflite). Nothing here runs a model: the package
// stands between a file from outside and native code that trusts its input.
//
// Parse refuses whatever it does not understand, so that a Model is always a
// classifier of MobileNet's kind whose shapes, types, bounds and order of
// computation agree. Field and operator numbers are those of TensorFlow's
// tensorflow/lite/schema/schema.fbs, version 3.
package graph

import (
	"errors"
	"fmt"
)

// MaxFileSize bounds a .tflite file, in bytes. The largest MobileNet has 7 MB.
const MaxFileSize = 64 << 20

// Bounds of a model. All are far above any MobileNet; they keep a hostile file
// from taking the memory or the time of a small computer.
const (
	maxTensors    = 4096
	maxOperators  = 4096
	maxCodes      = 256
	maxRank       = 4         // the kernels' own limit for most operators
	maxBytes      = 64 << 20  // one tensor, or the scratch space of one convolution
	maxActivation = 128 << 20 // all computed tensors together, bytes
	maxWork       = 10e9      // multiply-adds for one picture; MobileNet v1 needs 0.6e9
	maxSide       = 1024      // of the input picture, pixels
	maxEmbedding  = 4096      // numbers
)

// The reasons for which a model is refused. Every error of Parse, Write and
// CutHead wraps one of them.
var (
	ErrNotTFLite     = errors.New("not a TensorFlow Lite model: give a .tflite file")
	ErrDamaged       = errors.New("damaged model: fetch or copy the file again")
	ErrFloat         = errors.New("float32 model: Teachbox needs a quantized one (uint8 or int8): convert it again with full integer quantization")
	ErrNotClassifier = errors.New("not an image classifier: take a quantized MobileNet classifier")
	ErrUnsupported   = errors.New("beyond what Teachbox understands: take a quantized MobileNet classifier")
)

// refuse explains one of the reasons above.
func refuse(reason error, format string, a ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, a...), reason)
}

// A Type is the type of a tensor's elements, numbered as in the schema.
type Type int8

// The types that a quantized classifier uses.
const (
	Float32 Type = 0
	Int32   Type = 2
	Uint8   Type = 3
	Int8    Type = 9
)

// String names the type as Go does.
func (t Type) String() string {
	switch t {
	case Float32:
		return "float32"
	case Int32:
		return "int32"
	case Uint8:
		return "uint8"
	case Int8:
		return "int8"
	}
	return fmt.Sprintf("Type(%d)", int8(t))
}

// size is the bytes of one element, or 0 for a type that is not understood.
func (t Type) size() int {
	switch t {
	case Float32, Int32:
		return 4
	case Uint8, Int8:
		return 1
	}
	return 0
}

// quantized reports whether elements stand for scale × (q − zero point).
func (t Type) quantized() bool { return t == Uint8 || t == Int8 }

// A Model is a checked classifier, or a backbone cut from one. It is immutable
// for its users. An edit works on a copy of the slices in Model and replaces,
// never changes, what the elements point to.
type Model struct {
	description string
	tensors     []tensor
	operators   []operator // in the order of computation
	inputs      []int      // one tensor, [1,H,W,3]
	outputs     []int      // one tensor, [1,…,1,N]
}

type tensor struct {
	name  string
	typ   Type
	shape []int
	// One scale and zero point for the whole tensor, or one for each index of
	// dimension, or none.
	scale     []float32
	zeroPoint []int64
	dimension int
	data      []byte // of a constant, little endian; empty for what is computed
}

func (t *tensor) constant() bool { return len(t.data) > 0 }

type operator struct {
	code    opcode
	version int
	inputs  []int // tensors; absent for an optional one that is left out
	outputs []int // one tensor
	options options
}

// absent is the schema's index of an optional input that is left out.
const absent = -1

// options are the settings of every operator together; spec.fields says which
// of them an operator has.
type options struct {
	padding       int8
	activation    int8
	weightsFormat int8
	keepDims      bool
	strideW       int32
	strideH       int32
	dilationW     int32
	dilationH     int32
	filterW       int32 // of a pool
	filterH       int32
	multiplier    int32 // output channels for each input channel, DEPTHWISE_CONV_2D
	beta          float32
	dims          []int // the new shape of RESHAPE, the dimensions for SQUEEZE
}

// defaultOptions are what the schema says of fields that a file leaves out.
func defaultOptions() options { return options{dilationW: 1, dilationH: 1} }

const (
	paddingSame  = 0
	paddingValid = 1
)

const (
	activationNone  = 0
	activationRelu6 = 3 // the greatest that MobileNets use; 1 is ReLU, 2 is ReLU −1 to 1
)

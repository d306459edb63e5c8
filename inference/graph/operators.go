package graph

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// An opcode is a builtin operator, numbered as in the schema.
type opcode int32

const (
	opAdd             opcode = 0
	opAveragePool2D   opcode = 1
	opConv2D          opcode = 3
	opDepthwiseConv2D opcode = 4
	opDequantize      opcode = 6
	opFullyConnected  opcode = 9
	opLogistic        opcode = 14
	opMaxPool2D       opcode = 17
	opMul             opcode = 18
	opRelu            opcode = 19
	opRelu6           opcode = 21
	opReshape         opcode = 22
	opSoftmax         opcode = 25
	opPad             opcode = 34
	opMean            opcode = 40
	opSqueeze         opcode = 43
	opQuantize        opcode = 114
	opHardSwish       opcode = 117
)

// String is the operator's name in the schema.
func (o opcode) String() string {
	if s, ok := specOf(o); ok {
		return s.name
	}
	return fmt.Sprintf("builtin operator %d", int32(o))
}

// A spec says what an operator looks like in a file, and what it computes.
type spec struct {
	name    string
	version int    // the greatest that TensorFlow Lite 2.9 takes
	inputs  [2]int // the least and the most
	// union numbers the operator's table in the schema's BuiltinOptions, and
	// fields are that table's, in order; nil for one that does not matter.
	// Operators without settings that matter have neither.
	union  uint8
	fields func(o *options) []any
	// shape checks the operator's inputs and options and returns the shape of
	// its output.
	shape func(n *node) ([]int, error)
}

func specOf(code opcode) (s spec, ok bool) {
	none := func(*options) []any { return nil }
	activation := func(o *options) []any { return []any{&o.activation} }
	conv := func(o *options) []any {
		return []any{&o.padding, &o.strideW, &o.strideH, &o.activation, &o.dilationW, &o.dilationH}
	}
	depthwise := func(o *options) []any {
		return []any{&o.padding, &o.strideW, &o.strideH, &o.multiplier, &o.activation, &o.dilationW, &o.dilationH}
	}
	pool := func(o *options) []any {
		return []any{&o.padding, &o.strideW, &o.strideH, &o.filterW, &o.filterH, &o.activation}
	}
	connected := func(o *options) []any { return []any{&o.activation, &o.weightsFormat, &o.keepDims} }
	beta := func(o *options) []any { return []any{&o.beta} }
	dims := func(o *options) []any { return []any{&o.dims} }
	keep := func(o *options) []any { return []any{&o.keepDims} }

	one, two, three := [2]int{1, 1}, [2]int{2, 2}, [2]int{3, 3}
	switch code {
	case opAdd:
		s = spec{"ADD", 4, two, 11, activation, (*node).elementwise}
	case opAveragePool2D:
		s = spec{"AVERAGE_POOL_2D", 3, one, 5, pool, (*node).pool}
	case opConv2D:
		s = spec{"CONV_2D", 5, three, 1, conv, (*node).convolution}
	case opDepthwiseConv2D:
		s = spec{"DEPTHWISE_CONV_2D", 6, three, 2, depthwise, (*node).convolution}
	case opDequantize:
		s = spec{"DEQUANTIZE", 5, one, 0, none, (*node).convert}
	case opFullyConnected:
		s = spec{"FULLY_CONNECTED", 9, [2]int{2, 3}, 8, connected, (*node).fullyConnected}
	case opLogistic:
		s = spec{"LOGISTIC", 3, one, 0, none, (*node).probability}
	case opMaxPool2D:
		s = spec{"MAX_POOL_2D", 3, one, 5, pool, (*node).pool}
	case opMul:
		s = spec{"MUL", 5, two, 21, activation, (*node).elementwise}
	case opRelu:
		s = spec{"RELU", 3, one, 0, none, (*node).same}
	case opRelu6:
		s = spec{"RELU6", 3, one, 0, none, (*node).same}
	case opReshape:
		s = spec{"RESHAPE", 1, [2]int{1, 2}, 17, dims, (*node).reshape}
	case opSoftmax:
		s = spec{"SOFTMAX", 3, one, 9, beta, (*node).softmax}
	case opPad:
		s = spec{"PAD", 4, two, 0, none, (*node).pad}
	case opMean:
		s = spec{"MEAN", 3, two, 27, keep, (*node).mean}
	case opSqueeze:
		s = spec{"SQUEEZE", 2, one, 30, dims, (*node).squeeze}
	case opQuantize:
		s = spec{"QUANTIZE", 3, one, 0, none, (*node).convert}
	case opHardSwish:
		s = spec{"HARD_SWISH", 1, one, 0, none, (*node).same}
	default:
		return spec{}, false
	}
	return s, true
}

// A node is an operator with its tensors.
type node struct {
	*operator
	in   []*tensor // nil where an optional one is absent
	out  *tensor
	work float64 // multiply-adds, set by shape
}

// Bounds of options, which the kernels keep in 16 bits.
const (
	maxStride = 64 // and dilation
	maxWindow = 1024
)

// maxMultiplier bounds the factor from one step of an accumulator to steps of
// the output. The kernels keep it as a fixed-point number and abort the
// process beyond their range; 2^15 saturates any 8-bit output.
const maxMultiplier = 1 << 15

// window returns the length of a convolution's or a pool's output along one
// dimension.
func (o *options) window(size, kernel int, stride, dilation int32) (int, error) {
	if stride < 1 || stride > maxStride || dilation < 1 || dilation > maxStride {
		return 0, refuse(ErrDamaged, "stride %d, dilation %d (want 1 to %d)", stride, dilation, maxStride)
	}
	if kernel < 1 || kernel > maxWindow {
		return 0, refuse(ErrDamaged, "window of %d (want 1 to %d)", kernel, maxWindow)
	}
	span := (kernel-1)*int(dilation) + 1
	switch {
	case o.padding == paddingSame:
		return (size + int(stride) - 1) / int(stride), nil
	case o.padding == paddingValid && span <= size:
		return (size-span)/int(stride) + 1, nil
	case o.padding == paddingValid:
		return 0, refuse(ErrDamaged, "window of %d over %d", span, size)
	}
	return 0, refuse(ErrDamaged, "padding %d", o.padding)
}

func (o *options) checkActivation() error {
	if o.activation < activationNone || o.activation > activationRelu6 {
		return refuse(ErrUnsupported, "fused activation %d", o.activation)
	}
	return nil
}

// rescales checks the factor between a product of scales and the output's.
func (n *node) rescales(product float64) error {
	if !n.out.typ.quantized() {
		return nil
	}
	if f := product / float64(n.out.scale[0]); !(f < maxMultiplier) {
		return refuse(ErrDamaged, "scales that differ by %g (want less than %d)", f, maxMultiplier)
	}
	return nil
}

// checkWeights checks input 1 (constant weights) and input 2 (constant bias),
// of which there is one for each channel. dimension is that of the channels in
// weights with scales of their own, or -1 where the kernels know no such.
func (n *node) checkWeights(channels, dimension int) error {
	x, w := n.in[0], n.in[1]
	if !w.constant() {
		return refuse(ErrUnsupported, "input 1: weights that are not constant")
	}
	if x.typ != w.typ || x.typ != n.out.typ {
		return refuse(ErrUnsupported, "%v input, %v weights, %v output (want equal types)", x.typ, w.typ, n.out.typ)
	}
	if len(n.in) == 3 && n.in[2] != nil {
		b, want := n.in[2], Int32
		if x.typ == Float32 {
			want = Float32
		}
		if !b.constant() || b.typ != want || !slices.Equal(b.shape, []int{channels}) {
			return refuse(ErrDamaged, "input 2: bias %v%v (want constant %v[%d])", b.typ, b.shape, want, channels)
		}
	}
	if err := n.options.checkActivation(); err != nil || x.typ == Float32 {
		return err
	}
	switch {
	case len(w.scale) == 1:
	case w.typ == Int8 && len(w.scale) == channels && w.dimension == dimension:
	default:
		return refuse(ErrUnsupported, "input 1: %d scales along dimension %d for %d channels", len(w.scale), w.dimension, channels)
	}
	for i, s := range w.scale {
		// Kernels for int8 leave the weights' zero point out of the sum.
		if w.typ == Int8 && w.zeroPoint[i] != 0 {
			return refuse(ErrUnsupported, "input 1: zero point %d of int8 weights (want 0)", w.zeroPoint[i])
		}
		if err := n.rescales(float64(x.scale[0]) * float64(s)); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) convolution() ([]int, error) {
	x, w := n.in[0], n.in[1]
	if x.typ == Float32 {
		return nil, ErrFloat
	}
	if n.in[2] == nil {
		return nil, refuse(ErrUnsupported, "input 2: no bias, which the kernels need")
	}
	if len(x.shape) != 4 || len(w.shape) != 4 {
		return nil, refuse(ErrDamaged, "input %v, weights %v (want four dimensions each)", x.shape, w.shape)
	}
	channels, dimension, each := w.shape[0], 0, w.shape[3]
	fits := w.shape[3] == x.shape[3]
	if n.code == opDepthwiseConv2D {
		channels, dimension, each = w.shape[3], 3, 1
		fits = w.shape[0] == 1 && channels == x.shape[3]*int(n.options.multiplier)
	}
	if !fits {
		return nil, refuse(ErrDamaged, "weights %v do not fit the input %v", w.shape, x.shape)
	}
	if err := n.checkWeights(channels, dimension); err != nil {
		return nil, err
	}
	o := &n.options
	height, err := o.window(x.shape[1], w.shape[1], o.strideH, o.dilationH)
	if err != nil {
		return nil, err
	}
	width, err := o.window(x.shape[2], w.shape[2], o.strideW, o.dilationW)
	if err != nil {
		return nil, err
	}
	shape := []int{x.shape[0], height, width, channels}
	// The kernels may spread the windows out side by side.
	windows := float64(x.shape[0]) * float64(height) * float64(width)
	patch := float64(w.shape[1]) * float64(w.shape[2]) * float64(each)
	if windows*patch > maxBytes {
		return nil, refuse(ErrUnsupported, "%g bytes of scratch space (want at most %d)", windows*patch, maxBytes)
	}
	n.work = windows * patch * float64(channels)
	return shape, nil
}

func (n *node) fullyConnected() ([]int, error) {
	x, w := n.in[0], n.in[1]
	if len(w.shape) != 2 || len(x.shape) == 0 {
		return nil, refuse(ErrDamaged, "input %v, weights %v (want two dimensions of weights)", x.shape, w.shape)
	}
	if n.options.weightsFormat != 0 {
		return nil, refuse(ErrUnsupported, "shuffled weights")
	}
	units, depth := w.shape[0], w.shape[1]
	if err := n.checkWeights(units, -1); err != nil {
		return nil, err
	}
	size, last := elements(x.shape), len(x.shape)-1
	n.work = float64(size) * float64(units)
	switch {
	case n.options.keepDims && x.shape[last] == depth:
		return append(slices.Clone(x.shape[:last]), units), nil
	case !n.options.keepDims && size%depth == 0:
		return []int{size / depth, units}, nil
	}
	return nil, refuse(ErrDamaged, "weights %v do not fit the input %v", w.shape, x.shape)
}

func (n *node) pool() ([]int, error) {
	if _, err := n.same(); err != nil {
		return nil, err
	}
	if err := n.options.checkActivation(); err != nil {
		return nil, err
	}
	x, o := n.in[0], &n.options
	if len(x.shape) != 4 {
		return nil, refuse(ErrDamaged, "input %v (want four dimensions)", x.shape)
	}
	height, err := o.window(x.shape[1], int(o.filterH), o.strideH, 1)
	if err != nil {
		return nil, err
	}
	width, err := o.window(x.shape[2], int(o.filterW), o.strideW, 1)
	if err != nil {
		return nil, err
	}
	shape := []int{x.shape[0], height, width, x.shape[3]}
	n.work = float64(elements(shape)) * float64(o.filterH) * float64(o.filterW)
	return shape, nil
}

// elementwise is ADD and MUL, which stretch dimensions of 1 to fit.
func (n *node) elementwise() ([]int, error) {
	a, b := n.in[0], n.in[1]
	if a.typ != b.typ {
		return nil, refuse(ErrDamaged, "input 1 is %v (want %v)", b.typ, a.typ)
	}
	if _, err := n.same(); err != nil {
		return nil, err
	}
	if err := n.options.checkActivation(); err != nil {
		return nil, err
	}
	if a.typ.quantized() {
		if err := checkWhole(b); err != nil {
			return nil, fmt.Errorf("input 1: %w", err)
		}
		product := float64(b.scale[0])
		if n.code == opMul {
			product *= float64(a.scale[0])
		}
		if err := n.rescales(product); err != nil {
			return nil, err
		}
	}
	long, short := a.shape, b.shape
	if len(long) < len(short) {
		long, short = short, long
	}
	shape := slices.Clone(long)
	for i, d := range short {
		at := &shape[len(long)-len(short)+i]
		if *at != d && *at != 1 && d != 1 {
			return nil, refuse(ErrDamaged, "inputs %v and %v (want equal shapes)", a.shape, b.shape)
		}
		*at = max(*at, d)
	}
	return shape, nil
}

// same is for operators that keep type and shape.
func (n *node) same() ([]int, error) {
	x := n.in[0]
	if x.typ != n.out.typ {
		return nil, refuse(ErrDamaged, "output is %v (want %v)", n.out.typ, x.typ)
	}
	if x.typ.quantized() {
		if err := n.rescales(float64(x.scale[0])); err != nil {
			return nil, err
		}
	}
	return x.shape, nil
}

// convert is QUANTIZE and DEQUANTIZE.
func (n *node) convert() ([]int, error) {
	x := n.in[0]
	fits := x.typ.quantized() && n.out.typ == Float32
	if n.code == opQuantize {
		fits = (x.typ.quantized() || x.typ == Float32) && n.out.typ.quantized()
	}
	if !fits {
		return nil, refuse(ErrDamaged, "from %v to %v", x.typ, n.out.typ)
	}
	if x.typ.quantized() {
		if err := n.rescales(float64(x.scale[0])); err != nil {
			return nil, err
		}
	}
	return x.shape, nil
}

func (n *node) softmax() ([]int, error) {
	x := n.in[0]
	if len(x.shape) == 0 {
		return nil, refuse(ErrDamaged, "input without dimensions")
	}
	if !(n.options.beta > 0) || n.options.beta > maxMultiplier {
		return nil, refuse(ErrDamaged, "beta %g", n.options.beta)
	}
	// The kernel aborts unless beta × scale × 2^26 is a factor over 1.
	if x.typ.quantized() && float64(n.options.beta)*float64(x.scale[0]) <= 1.0/(1<<26) {
		return nil, refuse(ErrDamaged, "input 0: scale %g is too small", x.scale[0])
	}
	return n.probability()
}

// probability is for operators with results from 0 to 1, to which the kernels
// give all 256 steps.
func (n *node) probability() ([]int, error) {
	if n.out.typ.quantized() {
		zero := int64(0)
		if n.out.typ == Int8 {
			zero = -128
		}
		if n.out.scale[0] != 1.0/256 || n.out.zeroPoint[0] != zero {
			return nil, refuse(ErrDamaged, "output: scale %g, zero point %d (want 1/256 and %d)", n.out.scale[0], n.out.zeroPoint[0], zero)
		}
	}
	return n.same()
}

func (n *node) reshape() ([]int, error) {
	want := n.options.dims
	if len(n.in) == 2 {
		var err error
		if want, err = n.constantInts(1, 1); err != nil {
			return nil, err
		}
	}
	if len(n.options.dims) > maxRank {
		return nil, refuse(ErrUnsupported, "to %d dimensions (want at most %d)", len(n.options.dims), maxRank)
	}
	x := n.in[0]
	size, known, open := elements(x.shape), 1, -1
	shape := slices.Clone(want)
	for i, d := range want {
		switch {
		case d == -1 && open < 0:
			open = i
		case d < 1 || known > size/d:
			return nil, refuse(ErrDamaged, "from %v to %v", x.shape, want)
		default:
			known *= d
		}
	}
	if open >= 0 {
		shape[open] = size / known
		known *= shape[open]
	}
	if len(shape) == 0 || known != size {
		return nil, refuse(ErrDamaged, "from %v to %v", x.shape, want)
	}
	if _, err := n.same(); err != nil {
		return nil, err
	}
	return shape, nil
}

func (n *node) squeeze() ([]int, error) {
	x := n.in[0]
	drop, err := axes(n.options.dims, len(x.shape))
	if err != nil {
		return nil, err
	}
	var shape []int
	for i, d := range x.shape {
		switch {
		case drop[i] && d != 1:
			return nil, refuse(ErrDamaged, "dimension %d of %v is not 1", i, x.shape)
		case drop[i] || len(n.options.dims) == 0 && d == 1:
		default:
			shape = append(shape, d)
		}
	}
	if _, err := n.same(); err != nil {
		return nil, err
	}
	return shape, nil
}

func (n *node) mean() ([]int, error) {
	x := n.in[0]
	v, err := n.constantInts(1, 1)
	if err != nil {
		return nil, err
	}
	over, err := axes(v, len(x.shape))
	if err != nil {
		return nil, err
	}
	var shape []int
	for i, d := range x.shape {
		switch {
		case !over[i]:
			shape = append(shape, d)
		case n.options.keepDims:
			shape = append(shape, 1)
		}
	}
	n.work = float64(elements(x.shape))
	if _, err := n.same(); err != nil {
		return nil, err
	}
	return shape, nil
}

func (n *node) pad() ([]int, error) {
	x := n.in[0]
	v, err := n.constantInts(1, 2)
	if err != nil {
		return nil, err
	}
	if len(v) != 2*len(x.shape) || n.in[1].shape[1] != 2 {
		return nil, refuse(ErrDamaged, "input 1: shape %v (want [%d 2])", n.in[1].shape, len(x.shape))
	}
	shape := slices.Clone(x.shape)
	for i, d := range v {
		if d < 0 || d > maxWindow {
			return nil, refuse(ErrDamaged, "input 1: padding by %d (want 0 to %d)", d, maxWindow)
		}
		shape[i/2] += d
	}
	if _, err := n.same(); err != nil {
		return nil, err
	}
	return shape, nil
}

// axes marks the listed dimensions; one below 0 counts from the end.
func axes(list []int, rank int) ([maxRank]bool, error) {
	var mark [maxRank]bool
	for _, d := range list {
		i := d
		if i < 0 {
			i += rank
		}
		if i < 0 || i >= rank || mark[i] {
			return mark, refuse(ErrDamaged, "dimension %d of %d, or twice", d, rank)
		}
		mark[i] = true
	}
	return mark, nil
}

// constantInts returns what input i holds, which has rank dimensions.
func (n *node) constantInts(i, rank int) ([]int, error) {
	t := n.in[i]
	if !t.constant() || t.typ != Int32 || len(t.shape) != rank {
		return nil, refuse(ErrUnsupported, "input %d: %v%v (want a constant int32 with %d dimensions)", i, t.typ, t.shape, rank)
	}
	if len(t.data) > 4*2*maxRank {
		return nil, refuse(ErrDamaged, "input %d: shape %v", i, t.shape)
	}
	v := make([]int, len(t.data)/4)
	for j := range v {
		v[j] = int(int32(binary.LittleEndian.Uint32(t.data[4*j:])))
	}
	return v, nil
}

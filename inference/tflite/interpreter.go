// Package tflite runs a .tflite file through the TFLite C library, and makes an
// inference.Embedder of a backbone.
//
// All native memory hangs on one Interpreter with one accessor and one ordered
// Close. The binding's own finalizers, error reporter and in-memory models are
// not used: the first do not exist, the second crashes on some messages, and
// the third leak.
package tflite

/*
#include <stdint.h>

// The XNNPACK delegate is in the library, but in none of the headers that are
// distributed with it. Checked against version 2.9.0.
typedef struct TfLiteDelegate TfLiteDelegate;
typedef struct { int32_t num_threads; uint32_t flags; } xnnpack_options;
extern xnnpack_options TfLiteXNNPackDelegateOptionsDefault(void);
extern TfLiteDelegate* TfLiteXNNPackDelegateCreate(const xnnpack_options*);
extern void TfLiteXNNPackDelegateDelete(TfLiteDelegate*);
extern const char* TfLiteVersion(void);

#cgo linux,amd64 LDFLAGS: -L${SRCDIR}/../../third_party/tflite/linux_amd64
#cgo linux,arm64 LDFLAGS: -L${SRCDIR}/../../third_party/tflite/linux_arm64
#cgo LDFLAGS: -ltensorflowlite_c
*/
import "C"

import (
	"errors"
	"fmt"
	"log"
	"runtime"
	"unsafe"

	"github.com/mattn/go-tflite"
	"golang.org/x/sys/unix"
)

// The errors of this package.
var (
	ErrRefused = errors.New("the TFLite library refused the model")
	ErrClosed  = errors.New("interpreter is closed")
	ErrInvoke  = errors.New("the TFLite library could not run the model")
)

// Options says how to run a model.
type Options struct {
	Threads int  // of the kernels; 0 is 1
	XNNPACK bool // hand int8 operators to the XNNPACK delegate
}

// Version is the version of the TFLite library, such as "2.9.0".
func Version() string { return C.GoString(C.TfLiteVersion()) }

// A Tensor says what goes into or comes out of an interpreter. Both are 8 bits
// a value.
type Tensor struct {
	Shape     []int
	Signed    bool // int8, not uint8
	Scale     float64
	ZeroPoint int
}

// Len is the number of values.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Values is what the codes of the tensor stand for: scale × (q − zero point).
func (t Tensor) Values(codes []uint8) []float64 {
	v := make([]float64, len(codes))
	for i, q := range codes {
		n := int(q)
		if t.Signed {
			n = int(int8(q))
		}
		v[i] = t.Scale * float64(n-t.ZeroPoint)
	}
	return v
}

// An Interpreter runs one model with one input and one output of 8-bit values.
// It is used from one goroutine. Close frees it; an interpreter that is
// collected without Close is reported, not freed.
type Interpreter struct {
	native  *native
	in, out Tensor
	cleanup runtime.Cleanup
}

// native is what must be freed, in the order interpreter, delegate, options,
// model.
type native struct {
	model       *tflite.Model
	options     *tflite.InterpreterOptions
	delegate    *delegate
	interpreter *tflite.Interpreter
	// The tensors' own memory; it lives as long as the interpreter.
	in, out []uint8
}

func (n *native) free() {
	n.in, n.out = nil, nil
	if n.interpreter != nil {
		n.interpreter.Delete()
	}
	if n.delegate != nil {
		n.delegate.Delete()
	}
	if n.options != nil {
		n.options.Delete()
	}
	if n.model != nil {
		n.model.Delete()
	}
	*n = native{}
}

// New makes an interpreter of a model. The model must have passed
// graph.Parse: the library crashes on some files that it does not check. The
// error wraps ErrRefused; the bytes are copied.
func New(model []byte, o Options) (*Interpreter, error) {
	n := &native{}
	t, err := n.load(model, o)
	if err != nil {
		n.free()
		return nil, err
	}
	t.cleanup = runtime.AddCleanup(t, func(string) {
		log.Print("tflite: an interpreter was collected without Close; its native memory is lost")
	}, "")
	return t, nil
}

func (n *native) load(model []byte, o Options) (*Interpreter, error) {
	// The library maps the file that it is given: a memory file needs no disk
	// and cannot be truncated under it.
	fd, err := unix.MemfdCreate("model", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memory file for the model: %w", err)
	}
	defer unix.Close(fd)
	for b := model; len(b) > 0; {
		w, err := unix.Write(fd, b)
		if err != nil {
			return nil, fmt.Errorf("memory file for the model: %w", err)
		}
		b = b[w:]
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE); err != nil {
		return nil, fmt.Errorf("memory file for the model: %w", err)
	}
	if n.model = tflite.NewModelFromFile(fmt.Sprintf("/proc/self/fd/%d", fd)); n.model == nil {
		return nil, ErrRefused
	}
	if n.options = tflite.NewInterpreterOptions(); n.options == nil {
		return nil, fmt.Errorf("%w: no options", ErrRefused)
	}
	n.options.SetNumThread(max(1, o.Threads))
	if o.XNNPACK {
		if n.delegate = newDelegate(max(1, o.Threads)); n.delegate == nil {
			return nil, fmt.Errorf("%w: no XNNPACK delegate", ErrRefused)
		}
		n.options.AddDelegate(n.delegate)
	}
	if n.interpreter = tflite.NewInterpreter(n.model, n.options); n.interpreter == nil {
		return nil, ErrRefused
	}
	if n.interpreter.AllocateTensors() != tflite.OK {
		return nil, fmt.Errorf("%w: no memory for its tensors", ErrRefused)
	}
	if i, o := n.interpreter.GetInputTensorCount(), n.interpreter.GetOutputTensorCount(); i != 1 || o != 1 {
		return nil, fmt.Errorf("%w: %d inputs and %d outputs (want one of each)", ErrRefused, i, o)
	}
	t := &Interpreter{native: n}
	if n.in, t.in, err = view(n.interpreter.GetInputTensor(0)); err != nil {
		return nil, fmt.Errorf("%w: input: %w", ErrRefused, err)
	}
	if n.out, t.out, err = view(n.interpreter.GetOutputTensor(0)); err != nil {
		return nil, fmt.Errorf("%w: output: %w", ErrRefused, err)
	}
	return t, nil
}

// view is the memory of a tensor and what it means.
func view(t *tflite.Tensor) ([]uint8, Tensor, error) {
	typ := t.Type()
	if typ != tflite.UInt8 && typ != tflite.Int8 {
		return nil, Tensor{}, fmt.Errorf("values of type %v (want uint8 or int8)", typ)
	}
	q := t.QuantizationParams()
	info := Tensor{Shape: t.Shape(), Signed: typ == tflite.Int8, Scale: q.Scale, ZeroPoint: q.ZeroPoint}
	size := int(t.ByteSize())
	if t.Data() == nil || size != info.Len() {
		return nil, Tensor{}, fmt.Errorf("%d bytes for shape %v", size, info.Shape)
	}
	return unsafe.Slice((*uint8)(t.Data()), size), info, nil
}

// Input says what Infer's fill must write.
func (t *Interpreter) Input() Tensor { return t.in }

// Output says what Infer's read is given.
func (t *Interpreter) Output() Tensor { return t.out }

// Infer lets fill write the input, runs the model and lets read see the output.
// Both slices are native memory: they are valid only during the call. An error
// of fill is returned as it is; the others wrap ErrClosed or ErrInvoke.
func (t *Interpreter) Infer(fill func(in []uint8) error, read func(out []uint8)) error {
	n := t.native
	if n == nil {
		return ErrClosed
	}
	if err := fill(n.in); err != nil {
		return err
	}
	if n.interpreter.Invoke() != tflite.OK {
		return ErrInvoke
	}
	read(n.out)
	runtime.KeepAlive(t)
	return nil
}

// Close frees all native memory, in order. It may be repeated.
func (t *Interpreter) Close() error {
	if t.native == nil {
		return nil
	}
	t.cleanup.Stop()
	t.native.free()
	t.native = nil
	return nil
}

// A delegate is XNNPACK, for the binding's AddDelegate. Its own package for it
// does not link with this library and cannot set flags.
type delegate struct{ d *C.TfLiteDelegate }

// flagQS8 hands int8 operators to XNNPACK. There is a flag for uint8 ones, too,
// with which this library cannot make an interpreter.
const flagQS8 = 1

func newDelegate(threads int) *delegate {
	o := C.TfLiteXNNPackDelegateOptionsDefault()
	o.num_threads = C.int32_t(threads)
	o.flags |= flagQS8
	d := C.TfLiteXNNPackDelegateCreate(&o)
	if d == nil {
		return nil
	}
	return &delegate{d}
}

// Delete frees the delegate, after the interpreter that uses it.
func (d *delegate) Delete() { C.TfLiteXNNPackDelegateDelete(d.d) }

// Ptr is the delegate as the binding wants it.
func (d *delegate) Ptr() unsafe.Pointer { return unsafe.Pointer(d.d) }

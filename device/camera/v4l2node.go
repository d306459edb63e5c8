package camera

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// steady calls f on a stack that does not move. go4vl hands the kernel the
// addresses of its own local variables as plain integers, which the runtime
// does not correct when it moves a stack: the kernel would then write into
// memory that is somebody else's. A stack moves when it must grow, and when a
// garbage collection finds less than a quarter of it in use. A large frame
// below f prevents the latter, unless f itself once needs 128 KB; the former
// has happened before f is called. Everything that calls go4vl runs within
// steady.
//
//go:noinline
func steady(f func() error) error {
	var room [32 << 10]byte
	headroom()
	err := f()
	runtime.KeepAlive(&room)
	return err
}

// headroom makes the stack large enough for the system calls of go4vl.
//
//go:noinline
func headroom() {
	var room [16 << 10]byte
	runtime.KeepAlive(&room)
}

// A node is an open device of V4L2. Its methods return what go4vl returns: an
// error that wraps the errno, or v4l2.ErrorSystem for several that mean that
// the device is of no use any more.
type node struct {
	// go4vl asks for a whole device where it uses three of its methods.
	v4l2.StreamingDevice
	fd    int
	count uint32 // buffers to ask for, later those that there are
}

func (n *node) Fd() uintptr              { return uintptr(n.fd) }
func (n *node) BufferType() v4l2.BufType { return v4l2.BufTypeVideoCapture }
func (n *node) MemIOType() v4l2.IOType   { return v4l2.IOTypeMMAP }
func (n *node) BufferCount() uint32      { return n.count }

// openNode opens a device without waiting for it.
func openNode(path string) (*node, error) {
	fd, err := v4l2.OpenDevice(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &node{fd: int(fd)}, nil
}

func (n *node) close() { unix.Close(n.fd) }

// capability tells what the node is.
func (n *node) capability() (v4l2.Capability, error) {
	c, err := v4l2.GetCapability(n.Fd())
	if errors.Is(err, v4l2.ErrorUnsupported) {
		return c, errNotVideo
	}
	return c, err
}

// errNotVideo is the error of a file that does not speak V4L2.
var errNotVideo = errors.New("not a video device")

// maxEntries bounds the answers to one question, should a driver not stop.
const maxEntries = 256

// formats lists what the node can capture, with the sizes and rates of the
// formats that the box can read.
func (n *node) formats() []Format {
	var all []Format
	for i := range uint32(maxEntries) {
		d, err := v4l2.GetFormatDescription(n.Fd(), i)
		if err != nil {
			break
		}
		f := Format{Code: d.PixelFormat, Name: d.Description}
		if f.readable() {
			f.Sizes = n.sizes(f.Code)
		}
		all = append(all, f)
	}
	return all
}

func (n *node) sizes(code uint32) []Size {
	var all []Size
	for i := range uint32(maxEntries) {
		e, err := v4l2.GetFormatFrameSize(n.Fd(), i, code)
		if err != nil {
			break
		}
		s := e.Size
		if e.Type == v4l2.FrameSizeTypeDiscrete {
			all = append(all, Size{
				Width: int(s.MaxWidth), Height: int(s.MaxHeight),
				Rate: n.rate(code, s.MaxWidth, s.MaxHeight),
			})
			continue
		}
		return append(all, Size{
			Width: int(s.MaxWidth), Height: int(s.MaxHeight),
			MinWidth: int(max(1, s.MinWidth)), MinHeight: int(max(1, s.MinHeight)),
			StepWidth: int(max(1, s.StepWidth)), StepHeight: int(max(1, s.StepHeight)),
		})
	}
	return all
}

// rate returns the most frames a second at a size. It is 0 for a driver that
// gives a range of intervals, since go4vl misreads those.
func (n *node) rate(code, width, height uint32) float64 {
	most := 0.0
	for i := range uint32(maxEntries) {
		e, err := v4l2.GetFormatFrameInterval(n.Fd(), i, code, width, height)
		if err != nil || e.Type != v4l2.FrameIntervalTypeDiscrete {
			break
		}
		if t := e.Interval.Min; t.Numerator > 0 {
			most = max(most, float64(t.Denominator)/float64(t.Numerator))
		}
	}
	return most
}

// setFormat asks for a format and returns what the driver made of it.
func (n *node) setFormat(code uint32, width, height int) (v4l2.PixFormat, error) {
	err := v4l2.SetPixFormat(n.Fd(), v4l2.PixFormat{
		PixelFormat: code,
		Width:       uint32(width),
		Height:      uint32(height),
		Field:       v4l2.FieldNone,
	})
	if err != nil {
		return v4l2.PixFormat{}, err
	}
	return v4l2.GetPixFormat(n.Fd())
}

// setRate asks for frames a second and returns the time from one frame to the
// next, 0 if the driver does not tell. A driver without a choice is no error.
func (n *node) setRate(rate int) time.Duration {
	var want v4l2.StreamParam
	want.Capture.TimePerFrame = v4l2.Fract{Numerator: 1, Denominator: uint32(rate)}
	v4l2.SetStreamParam(n.Fd(), n.BufferType(), want)
	got, err := v4l2.GetStreamParam(n.Fd(), n.BufferType())
	t := got.Capture.TimePerFrame
	if err != nil || t.Denominator == 0 {
		return 0
	}
	return time.Duration(float64(time.Second) * float64(t.Numerator) / float64(t.Denominator))
}

// share asks for count buffers and maps those that the driver gives. They must
// be unmapped, even if there is an error.
func (n *node) share(count uint32) ([][]byte, error) {
	n.count = count
	got, err := v4l2.InitBuffers(n)
	if err != nil {
		return nil, err
	}
	n.count = got.Count
	var buffers [][]byte
	for i := range n.count {
		b, err := v4l2.GetBuffer(n, i)
		if err != nil {
			return buffers, err
		}
		// go4vl's own mapping forgets what it has mapped when one of them fails.
		m, err := unix.Mmap(n.fd, int64(b.Info.Offset), int(b.Length), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return buffers, fmt.Errorf("map: %w", err)
		}
		buffers = append(buffers, m)
	}
	return buffers, nil
}

// queue gives a buffer to the driver.
func (n *node) queue(index uint32) error {
	_, err := v4l2.QueueBuffer(n.Fd(), n.MemIOType(), n.BufferType(), index)
	return err
}

// dequeue takes the oldest full buffer. The error is unix.EAGAIN if there is
// none; it is then better to have asked poll, since go4vl allocates it.
func (n *node) dequeue() (v4l2.Buffer, error) {
	return v4l2.DequeueBuffer(n.Fd(), n.MemIOType(), n.BufferType())
}

func (n *node) streamOn() error { return v4l2.StreamOn(n) }

// streamOff takes all buffers back from the driver. An unplugged camera gives
// an error that tells nothing new.
func (n *node) streamOff() { v4l2.StreamOff(n) }

// list, get and set implement knobs.
func (n *node) list() []Control {
	var all []Control
	var id uint32
	for range maxEntries {
		c, err := v4l2.QueryControlInfo(n.Fd(), id|v4l2.CtrlFlagNextCtrl)
		if err != nil {
			break
		}
		id = c.ID
		switch c.Type {
		case v4l2.CtrlTypeInt, v4l2.CtrlTypeBool, v4l2.CtrlTypeMenu, v4l2.CtrlTypeIntegerMenu:
		default: // headings, buttons, texts: nothing that a number could set
			continue
		}
		if c.Flags&(v4l2.CtrlFlagDisabled|v4l2.CtrlFlagReadOnly|v4l2.CtrlFlagWriteOnly) != 0 {
			continue
		}
		all = append(all, Control{
			ID: c.ID, Name: controlName(c.Name),
			Min: int(c.Minimum), Max: int(c.Maximum), Step: int(c.Step), Default: int(c.Default),
		})
	}
	return all
}

func (n *node) get(id uint32) (int, error) {
	v, err := v4l2.GetControlValue(n.Fd(), id)
	return int(v), err
}

func (n *node) set(id uint32, value int) error {
	return v4l2.SetControlValue(n.Fd(), id, int32(value))
}

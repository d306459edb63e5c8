package virtualpi

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"teachbox/internal/virtualpi/kmod"
)

// A Vivid is the kernel's virtual camera: a test pattern with moving bars, in
// YUYV and other formats, with controls and faults. It has no MJPEG.
// See the kernel's admin-guide/media/vivid.html.
type Vivid struct {
	Path string // its video capture device
	t    testing.TB
}

// vividCapture makes vivid one webcam at /dev/video0.
const vividCapture = "n_devs=1 node_types=0x1 num_inputs=1 input_types=0x00 vid_cap_nr=0"

// LoadVivid loads vivid as a webcam and nothing else. It is unplugged and
// unloaded at the end of the test that loaded it.
func LoadVivid(t testing.TB) *Vivid {
	t.Helper()
	v := &Vivid{Path: "/dev/video0", t: t}
	loadFor(t, "vivid", vividCapture, func() {
		_ = v.plug("unbind") // whoever has it open lets go; it may be unplugged already
		Unload(t, "vivid")
	})
	return v
}

// loadFor loads a module and has it unloaded at the end of the test, unless it
// was there before.
func loadFor(t testing.TB, name, params string, unload func()) {
	t.Helper()
	loaded, err := kmod.Loaded(name)
	if err != nil {
		t.Fatal(err)
	}
	Load(t, name, params)
	if !loaded {
		t.Cleanup(unload)
	}
}

// The controls of vivid that tests look at beside its faults.
const (
	Brightness = 0x00980900
	Autogain   = 0x00980912
	Gain       = 0x00980913
	// StampSource is whether frames are stamped at the end of the frame (0) or
	// at the beginning of the exposure (1).
	StampSource = 0x00f0f000 + 24
)

// A Fault is something that vivid can do wrong: the number of one of its
// controls.
type Fault uint32

// The faults, by vivid-ctrls.c in the kernel. Their base is its VIVID_CID_BASE.
const (
	Dropped      Fault = 0x00f0f000 + 64 // drops so many per cent of the frames
	Disconnected Fault = 0x00f0f000 + 65 // is unplugged, until everybody has closed it
	DequeueError Fault = 0x00f0f000 + 66 // marks one frame as damaged
	QueueFatal   Fault = 0x00f0f000 + 70 // fails for good, until it streams anew
)

// Inject does something wrong. value is the percentage for Dropped and 1 for
// the others. It fails while the camera is unplugged.
func (v *Vivid) Inject(f Fault, value int32) error {
	return v.control(vidiocSCtrl, &control{uint32(f), value})
}

// control is struct v4l2_control.
type control struct {
	id    uint32
	value int32
}

// The ioctls of linux/videodev2.h, on 64-bit machines.
const (
	vidiocSFmt     = 0xc0d05605
	vidiocStreamOn = 0x40045612
	vidiocGCtrl    = 0xc008561b
	vidiocSCtrl    = 0xc008561c
)

// Set sets a control by its number.
func (v *Vivid) Set(id uint32, value int32) {
	v.t.Helper()
	if err := v.control(vidiocSCtrl, &control{id, value}); err != nil {
		v.t.Fatal(err)
	}
}

// Get returns the value of a control.
func (v *Vivid) Get(id uint32) int32 {
	v.t.Helper()
	c := control{id: id}
	if err := v.control(vidiocGCtrl, &c); err != nil {
		v.t.Fatal(err)
	}
	return c.value
}

func (v *Vivid) control(request uintptr, c *control) error {
	f, err := os.OpenFile(v.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := ioctl(f, request, unsafe.Pointer(c)); err != nil {
		return fmt.Errorf("vivid control %#x: %w", c.id, err)
	}
	return nil
}

// ioctl calls the kernel. The memory of arg is kept where it is meanwhile.
func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
	}); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// vividDriver is where a device of vivid is taken from its driver and given
// back to it.
const vividDriver = "/sys/bus/platform/drivers/vivid"

// Unbind pulls the plug: the device vanishes, also from those who have it open.
func (v *Vivid) Unbind() {
	v.t.Helper()
	if err := v.plug("unbind"); err != nil {
		v.t.Fatal(err)
	}
}

// Bind plugs it in again.
func (v *Vivid) Bind() {
	v.t.Helper()
	if err := v.plug("bind"); err != nil {
		v.t.Fatal(err)
	}
}

func (v *Vivid) plug(file string) error {
	return os.WriteFile(filepath.Join(vividDriver, file), []byte("vivid.0"), 0)
}

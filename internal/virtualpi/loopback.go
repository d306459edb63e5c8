package virtualpi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
	"unsafe"

	"teachbox/device/frame"
)

// LoopbackPath is the device of LoadLoopback.
const LoopbackPath = "/dev/video10"

// LoadLoopback loads v4l2loopback: a camera that shows what a Writer gives it.
// It is a camera only while there is a Writer. The module is unloaded at the end
// of the test that loaded it.
func LoadLoopback(t testing.TB) {
	t.Helper()
	const name = "v4l2loopback"
	loadFor(t, name, "devices=1 video_nr=10 exclusive_caps=1 max_buffers=4 card_label=loopback", func() { Unload(t, name) })
}

// A Writer feeds a camera of v4l2loopback: it shows pictures in turn, again and
// again. Its methods may be called from several goroutines.
type Writer struct {
	file *os.File
	stop chan struct{}
	done chan struct{}

	mu       sync.Mutex // held while a frame is written
	pictures [][]byte
	turn     int // of pictures
	paused   bool
	err      error // of writing; nothing is written after it
}

// pixFormat is the beginning of struct v4l2_format for a picture; the kernel's
// is 208 bytes long.
type pixFormat struct {
	kind, _       uint32
	width, height uint32
	code, field   uint32
	_             [208 - 6*4]byte
}

// NewWriter begins to show f at the rate, in frames a second. The camera has
// the format and the size of f; a JPEG must say its size.
func NewWriter(t testing.TB, f frame.Frame, rate int) *Writer {
	t.Helper()
	file, err := os.OpenFile(LoopbackPath, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := become(file, f); err != nil {
		file.Close()
		t.Fatalf("%s: %v", LoopbackPath, err)
	}
	w := &Writer{file: file, stop: make(chan struct{}), done: make(chan struct{})}
	w.Show(f)
	// The device is a camera from the first frame on.
	if err := w.write(); err != nil {
		file.Close()
		t.Fatalf("%s: %v", LoopbackPath, err)
	}
	go w.run(time.Second / time.Duration(rate))
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("%s: %v", LoopbackPath, err)
		}
	})
	return w
}

// become makes the device a camera for frames like f.
func become(file *os.File, f frame.Frame) error {
	output := uint32(2)   // V4L2_BUF_TYPE_VIDEO_OUTPUT
	const progressive = 1 // V4L2_FIELD_NONE
	want := pixFormat{kind: output, width: uint32(f.Width), height: uint32(f.Height), code: code(f.Format), field: progressive}
	got := want
	if err := ioctl(file, vidiocSFmt, unsafe.Pointer(&got)); err != nil {
		return fmt.Errorf("set %v %d×%d: %w", f.Format, f.Width, f.Height, err)
	}
	if got.width != want.width || got.height != want.height || got.code != want.code {
		return fmt.Errorf("set %v %d×%d: it is still what another writer made it, and somebody has it open", f.Format, f.Width, f.Height)
	}
	// Writing would do that too, but the driver takes only one who streams for a
	// writer, and lets another one in after it.
	return ioctl(file, vidiocStreamOn, unsafe.Pointer(&output))
}

// code is the four characters by which V4L2 calls a format.
func code(f frame.Format) uint32 {
	name := map[frame.Format]string{frame.YUYV: "YUYV", frame.JPEG: "MJPG", frame.RGB: "RGB3"}[f]
	return binary.LittleEndian.Uint32([]byte(name))
}

func (w *Writer) run(period time.Duration) {
	defer close(w.done)
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			w.write()
		}
	}
}

// write gives the camera one frame.
func (w *Writer) write() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.paused && w.err == nil {
		_, w.err = w.file.Write(w.pictures[w.turn%len(w.pictures)])
		w.turn++
	}
	return w.err
}

// Show changes the picture: when it returns, the old one is not written any
// more. Several are shown in turn, a frame each, as one that stays exactly the
// same is not what a sensor gives. Their format must be that of the camera and,
// unless it is JPEG, also the size, without gaps between rows.
func (w *Writer) Show(f frame.Frame, more ...frame.Frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pictures = [][]byte{bytes.Clone(f.Pix)}
	for _, f := range more {
		w.pictures = append(w.pictures, bytes.Clone(f.Pix))
	}
}

// Pause makes the camera fall silent, and Resume ends that.
func (w *Writer) Pause() { w.setPaused(true) }

// Resume goes on after Pause.
func (w *Writer) Resume() { w.setPaused(false) }

func (w *Writer) setPaused(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = on
}

// Close takes the camera away. It may be called more than once. The error is
// that of writing.
func (w *Writer) Close() error {
	w.mu.Lock()
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.mu.Unlock()
	<-w.done
	if err := w.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return w.err
}

// StripHuffman leaves the Huffman tables out of a JPEG, as many webcams do. It
// must have the standard ones, as those of image/jpeg. The result is nil if
// there are none.
func StripHuffman(jpeg []byte) []byte {
	const soi, sos, dht = 0xd8, 0xda, 0xc4
	if len(jpeg) < 2 || jpeg[0] != 0xff || jpeg[1] != soi {
		return nil
	}
	out, found := bytes.Clone(jpeg[:2]), false
	for rest := jpeg[2:]; len(rest) >= 4 && rest[0] == 0xff; {
		marker := rest[1]
		if marker == sos {
			if !found {
				return nil
			}
			return append(out, rest...)
		}
		n := 2 + int(binary.BigEndian.Uint16(rest[2:]))
		if n > len(rest) {
			return nil
		}
		if marker == dht {
			found = true
		} else {
			out = append(out, rest[:n]...)
		}
		rest = rest[n:]
	}
	return nil
}

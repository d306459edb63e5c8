package camera

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"

	"teachbox/device/frame"
)

// wantBuffers is how many buffers to ask for: one is with the reader, one is
// being filled, and two are for a driver that needs several at once.
const wantBuffers = 4

// lookAgain is how long, in milliseconds, to wait for a frame before asking
// whether the camera is still there: not every driver wakes those who wait
// when it is unplugged.
const lookAgain = 1000

const (
	// v4l2Start is how long the first picture may take: a webcam measures the
	// light first.
	v4l2Start = 5 * time.Second
	// v4l2Silence is how long the next one may take.
	v4l2Silence = 2 * time.Second
)

// A capture is the flow of frames from an open camera.
type capture struct {
	node    *node
	layout  layout
	buffers [][]byte
	clock   clock
	polled  [2]unix.PollFd // the camera, and what wakes the stream
	empty   time.Time      // when no frame was last waiting
	failed  int            // how often in a row poll said that the driver failed
	patient time.Duration  // how long the next picture may take
	due     time.Time      // by when it has to be there
}

// failures is how often in a row a camera must say that it failed to be
// believed: vb2_fop_poll of the kernel says so, too, when a signal comes while
// it waits for the driver's lock, and Go's scheduler sends signals.
const failures = 5

// errFailed is the error of a driver that gives up.
var errFailed = errors.New("its driver failed")

// newCapture begins to stream. The error is that of a system call.
func newCapture(n *node, l layout, interval time.Duration) (*capture, error) {
	c := &capture{node: n, layout: l, clock: clock{interval: cmp.Or(interval, unknownInterval)}}
	if err := c.begin(); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *capture) begin() (err error) {
	if c.buffers, err = c.node.share(wantBuffers); err != nil {
		return err
	}
	for i := range c.buffers {
		if err := c.node.queue(uint32(i)); err != nil {
			return err
		}
	}
	c.empty = time.Now()
	c.clock.began = c.empty
	c.expect(v4l2Start)
	return c.node.streamOn()
}

// expect gives the camera so long for its next picture.
func (c *capture) expect(within time.Duration) {
	c.patient, c.due = within, time.Now().Add(within)
}

// stop ends the stream. Without it the buffers would keep the camera busy even
// after it is closed.
func (c *capture) stop() {
	c.node.streamOff()
	for _, b := range c.buffers {
		unix.Munmap(b)
	}
}

// run hands out frames until ctx ends, which is told by wake, or the camera
// fails. between is called now and then, at least as often as emit.
func (c *capture) run(ctx context.Context, wake int, emit func(frame.Frame), between func()) error {
	c.polled = [2]unix.PollFd{
		{Fd: int32(c.node.fd), Events: unix.POLLIN},
		{Fd: int32(wake), Events: unix.POLLIN},
	}
	for ctx.Err() == nil {
		between()
		ready, err := c.ready(0)
		if err == nil && !ready {
			left := max(0, time.Until(c.due).Milliseconds()) + 1 // not before it is due
			ready, err = c.ready(int(min(lookAgain, left)))
		}
		if err == nil && ready {
			err = c.give(emit)
		}
		// Damaged frames alone are no better than none.
		if err == nil && !time.Now().Before(c.due) {
			err = fmt.Errorf("no whole picture for %v", c.patient)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ready waits for a frame, for so many milliseconds or until the stream is
// woken. The error says that there will be none.
func (c *capture) ready(wait int) (bool, error) {
	asked := time.Now()
	_, err := unix.Poll(c.polled[:], wait)
	if err == unix.EINTR {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if c.polled[1].Revents != 0 {
		var count [8]byte
		unix.Read(int(c.polled[1].Fd), count[:])
	}
	switch got := c.polled[0].Revents; {
	case got&unix.POLLHUP != 0:
		return false, unix.ENODEV
	case got&(unix.POLLERR|unix.POLLNVAL) != 0:
		if c.failed++; c.failed < failures {
			return false, nil
		}
		return false, errFailed
	case got&unix.POLLIN != 0:
		c.failed = 0
		return true, nil
	}
	c.failed = 0
	c.empty = asked
	return false, nil
}

// give takes all frames that are waiting and hands out the newest that is
// whole. The others go back to the driver at once.
func (c *capture) give(emit func(frame.Frame)) error {
	since := c.empty
	var newest frame.Frame // without Pix: none yet
	var buffer v4l2.Buffer // of newest
	// Not for ever, should a driver fill buffers as fast as it gets them back.
	for range c.buffers {
		b, err := c.node.dequeue()
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err == nil && int(b.Index) >= len(c.buffers) {
			err = fmt.Errorf("buffer %d of %d", b.Index, len(c.buffers))
		}
		if err != nil {
			return c.broken(err)
		}
		stale, none := b.Index, false
		if f := c.frame(&b); f.Check() == nil {
			stale, none = buffer.Index, newest.Pix == nil
			newest, buffer = f, b
		}
		if !none {
			if err := c.node.queue(stale); err != nil {
				return c.broken(err)
			}
		}
		ready, err := c.ready(0)
		if err != nil {
			return err
		}
		if !ready {
			break
		}
	}
	if newest.Pix == nil {
		return nil
	}
	st, first := stampOf(&buffer), c.clock.seq == 0
	wall, monotonic := now()
	newest.Taken = c.clock.take(st, wall, monotonic, since)
	newest.Seq = c.clock.next(buffer.Sequence)
	// Without a stamp the first one may be of any age: v4l2loopback gives what
	// was written before anybody looked.
	if !first || st.monotonic() {
		emit(newest)
		c.expect(v4l2Silence) // emit may have taken long
	}
	if err := c.node.queue(buffer.Index); err != nil {
		return c.broken(err)
	}
	return nil
}

// frame is what a buffer holds. It does not pass Check if the driver marked the
// buffer as damaged or did not fill it.
func (c *capture) frame(b *v4l2.Buffer) frame.Frame {
	f := frame.Frame{Format: c.layout.format, Width: c.layout.width, Height: c.layout.height, Stride: c.layout.stride}
	if p := c.buffers[b.Index]; b.Flags&v4l2.BufFlagError == 0 && int(b.BytesUsed) <= len(p) {
		f.Pix = p[:b.BytesUsed]
	}
	return f
}

// broken is the error for a buffer that the driver refused to take or to give.
// go4vl drops the errno that would tell why; poll knows it too.
func (c *capture) broken(err error) error {
	if _, why := c.ready(0); why != nil {
		return why
	}
	return fmt.Errorf("%w: %v", errFailed, err)
}

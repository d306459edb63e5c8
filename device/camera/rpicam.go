package camera

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"teachbox/device"
	"teachbox/device/frame"
)

const (
	// rpiStages is how many frame intervals old a picture may be when it has
	// arrived: exposure, readout, image processor, and encoding with the way
	// through the pipe. They work on different frames at once, so none of them
	// can take longer than an interval without the rate breaking down.
	rpiStages = 4
	// rpiSlack is for what is late now and then: the scheduler.
	rpiSlack = 50 * time.Millisecond

	// rpiStart is how long the first picture may take: libcamera loads its
	// modules and finds the camera first, a second or two on a fast board.
	rpiStart = 10 * time.Second
	// rpiSilence and two frame intervals, but no more than rpiLeeway, are how
	// long the next one may take: whoever reads the frames has limits, too, and
	// does not know what the program said.
	rpiSilence = 2 * time.Second
	rpiLeeway  = time.Second / 2

	// rpiQuality is the quality of the MJPEG pictures, as that of the pictures
	// that a lesson keeps. The program's own choice, 50, shows.
	rpiQuality = 85
)

// YUVStep is what the width of a Pi camera's YUV420 must be a multiple of, in
// pixels: such rows are not padded on any board.
const YUVStep = 128

// An RPiCam is a camera on the ribbon cable of a Raspberry Pi. Linux shows only
// its raw sensor, so it is read through a child process, rpicam-vid of the
// Debian package rpicam-apps (formerly libcamera-vid), which writes its
// pictures to a pipe.
//
// They are MJPEG unless YUV420 is asked for. YUV420 is the cheaper of the two,
// which counts on a Pi Zero 2 W: rpicam-vid encodes JPEG in software, and the
// box decodes every picture that it looks at, seven times the work of
// converting YUV420 (measured on amd64). But MJPEG says itself where each
// picture begins and how large it is, whatever the board pads and the driver
// adjusts. YUV420 has no marks: a frame size that differs from the one assumed
// here gives wrong pictures or none. Both are equally late: encoding is short
// against the three frame intervals that the sensor and its image processor
// take.
//
// YUV420 is the memory of the image processor as it is, with rows padded to a
// multiple of 64 bytes on boards up to the Pi 4 (raspberrypi/linux, pull 4419)
// and of 128 on the Pi 5 (pisp_be_formats.h there). Only widths that are not
// padded on either are accepted. Both codecs carry the full range of sYCC
// (rpicam_vid.cpp chooses that colour space for them), which becomes the limited
// range that frame.YUYV has.
//
// All of this comes from the sources of rpicam-apps and from reports of people
// who use it. It was tested with a stand-in, never with a real rpicam-vid.
type RPiCam struct {
	opts RPiCamOptions
}

// RPiCamOptions say which camera and which pictures. The zero value is good.
type RPiCamOptions struct {
	Program       string       // a name or path; "": rpicam-vid, else libcamera-vid, from PATH
	Sensor        int          // number of the camera, from 0, as rpicam-vid --list-cameras counts
	Width, Height int          // pixels, even; 0 means 640 and 480. With YUV Width is a multiple of 128
	Rate          int          // frames a second, 1 to 200; 0 means 30
	YUV           bool         // ask for YUV420 instead of MJPEG
	Log           *slog.Logger // told what the program said when it failed; nil: nobody
}

// NewRPiCam returns a camera. Neither the program nor the camera need be there
// before Run, which also reports options that are out of range.
func NewRPiCam(o RPiCamOptions) *RPiCam {
	o.Width, o.Height, o.Rate = cmp.Or(o.Width, 640), cmp.Or(o.Height, 480), cmp.Or(o.Rate, 30)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &RPiCam{o}
}

// String names the camera for people.
func (c *RPiCam) String() string { return fmt.Sprintf("Pi camera %d", c.opts.Sensor) }

// Installed reports whether there is such a program. It says nothing of a
// camera.
func (c *RPiCam) Installed() bool {
	_, err := c.find()
	return err == nil
}

// Run implements device.Camera. A pipe has no capture times: Taken is the
// arrival less four frame intervals and 50 ms, and never before Run was called.
// The pipe is read without a pause, and frames that emit was too slow for are
// dropped and show as gaps in Seq, which starts at 1 in every Run.
//
// The child is ended by SIGINT, and after a second by SIGKILL, together with all
// that it may have started. It dies with this process, too.
func (c *RPiCam) Run(ctx context.Context, emit func(frame.Frame)) error {
	if ctx.Err() != nil {
		return nil
	}
	if err := c.check(); err != nil {
		return err
	}
	path, err := c.find()
	if err != nil {
		return err
	}
	began := time.Now()
	child, err := startChild(path, c.args())
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: %w; let the user who runs the box execute it", c, device.ErrDenied, err)
	case err != nil:
		return fmt.Errorf("%s: %w: %w; install the package rpicam-apps anew", c, device.ErrAbsent, err)
	}

	// The pipe's reader never waits for emit: what lay in the pipe meanwhile
	// would be old when it is read.
	box := frame.NewMailbox()
	reading, done := context.WithCancel(ctx)
	defer done()
	var broke error
	var reader sync.WaitGroup
	reader.Go(func() {
		defer done()
		broke = c.read(child.stdout, box, began)
	})
	for {
		f, err := box.Take(reading)
		if err != nil {
			break
		}
		emit(f)
	}
	// The reader goes on meanwhile: a child that waits for room in the pipe
	// would not see the signal.
	if ctx.Err() != nil || broke != nil || !child.wait(grace) {
		child.stop()
	}
	reader.Wait()
	if ctx.Err() != nil {
		return nil
	}
	said := child.said.String()
	c.opts.Log.Debug("camera program failed", "program", path, "status", child.status, "err", broke, "stderr", said)
	if broke != nil {
		return fmt.Errorf("%s: %w%s; try rpicam-hello on the box", c, broke, quoted(said))
	}
	return c.explain(child.status, said)
}

// check reports options that are out of range.
func (c *RPiCam) check() error {
	o := &c.opts
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%s: %w: %w", c, device.ErrFormat, fmt.Errorf(format, a...))
	}
	switch err := frame.CheckSize(o.Width, o.Height); {
	case err != nil:
		return bad("%w; choose 640×480", err)
	case o.Width%2 != 0 || o.Height%2 != 0:
		return bad("%d×%d pixels; choose even numbers", o.Width, o.Height)
	case o.YUV && o.Width%YUVStep != 0:
		return bad("a width of %d pixels does not go with YUV420; choose a multiple of %d, such as 640, or MJPEG", o.Width, YUVStep)
	case o.Rate < 1 || o.Rate > 200:
		return bad("rate %d is not usable; choose 1 to 200 frames a second", o.Rate)
	case o.Sensor < 0:
		return bad("no camera has the number %d; choose 0 for the first", o.Sensor)
	}
	return nil
}

// find returns the path of the program.
func (c *RPiCam) find() (string, error) {
	names := []string{"rpicam-vid", "libcamera-vid"}
	if c.opts.Program != "" {
		names = []string{c.opts.Program}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w: no program %s; install it with: sudo apt install rpicam-apps",
		c, device.ErrAbsent, strings.Join(names, " or "))
}

// args is the command line. The long names are those that libcamera-vid
// understood already.
func (c *RPiCam) args() []string {
	o := &c.opts
	args := []string{
		"-t", "0", "-n", // for ever, without a preview window
		"--width", strconv.Itoa(o.Width), "--height", strconv.Itoa(o.Height),
		"--framerate", strconv.Itoa(o.Rate),
		"--flush", "-o", "-",
	}
	if o.YUV {
		args = append(args, "--codec", "yuv420")
	} else {
		args = append(args, "--codec", "mjpeg", "--quality", strconv.Itoa(rpiQuality))
	}
	if o.Sensor != 0 { // the first versions had no such option
		args = append(args, "--camera", strconv.Itoa(o.Sensor))
	}
	return args
}

// read puts the pictures of a stream into a mailbox until the stream ends. The
// error is nil at its end, and wraps device.ErrStall or device.ErrFormat if no
// pictures come.
func (c *RPiCam) read(r stream, box *frame.Mailbox, began time.Time) error {
	o := &c.opts
	interval := time.Second / time.Duration(o.Rate)
	f := frame.Frame{Format: frame.JPEG}
	var pictures splitter = newMJPEG(2*o.Width*o.Height + 64<<10) // more than any real picture needs
	var yuyv *yuyvMaker
	if o.YUV {
		pictures = newI420(o.Width, o.Height)
		yuyv = newYUYVMaker(o.Width, o.Height)
		f = frame.Frame{Format: frame.YUYV, Width: o.Width, Height: o.Height, Stride: 2 * o.Width}
	}
	return split(r, pictures, interval, func(pix []byte, count uint64) {
		if yuyv != nil {
			pix = yuyv.convert(pix)
		}
		f.Pix, f.Seq = pix, count
		f.Taken = time.Now().Add(-rpiStages*interval - rpiSlack)
		if f.Taken.Before(began) {
			f.Taken = began
		}
		box.Put(f)
	})
}

// explain makes the error of a program that ended by itself: said is what it
// wrote to its standard error last.
func (c *RPiCam) explain(status, said string) error {
	for _, known := range []struct {
		words  []string
		err    error
		remedy string
	}{
		{[]string{"in use by another process", "failed to acquire camera", "Device or resource busy"},
			device.ErrBusy, "end the other program that uses the camera"},
		{[]string{"Permission denied", "Could not open any dmaHeap device"},
			device.ErrDenied, "add the user who runs the box to the group video"},
		{[]string{"no cameras available", "selected camera is not available"},
			device.ErrAbsent, "switch off, check the camera's cable at both ends, and try rpicam-hello --list-cameras"},
	} {
		for _, word := range known.words {
			if line := lastLine(said, word); line != "" {
				return fmt.Errorf("%s: %w: it says %q; %s", c, known.err, line, known.remedy)
			}
		}
	}
	return fmt.Errorf("%s: %w: its program ended by itself (%s)%s; try rpicam-hello on the box", c, device.ErrStall, status, quoted(said))
}

// quoted is what a program said last, as part of an error.
func quoted(said string) string {
	line := cmp.Or(lastLine(said, "ERROR"), lastLine(said, ""))
	if line == "" {
		return ""
	}
	return fmt.Sprintf(" and says %q", line)
}

// lastLine returns the last line that contains word, cut to a length that fits
// an error; "" if there is none.
func lastLine(text, word string) string {
	const most = 200 // bytes
	for text != "" {
		text = strings.TrimRight(text, " \r\n")
		line := text[strings.LastIndexByte(text, '\n')+1:]
		if line != "" && strings.Contains(line, word) {
			return strings.TrimSpace(line[:min(len(line), most)])
		}
		text = text[:len(text)-len(line)]
	}
	return ""
}

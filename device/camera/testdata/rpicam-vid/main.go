// Command rpicam-vid stands in for the program of that name in tests: it takes
// the part of its command line that the box uses and writes pictures of the
// size and at the rate that it was asked for to its standard output.
//
// Two files beside the program, with its own path and these endings, change
// what it does. They are looked at before every frame.
//
//	.picture  a JPEG or PNG picture to show instead of the drawn one
//	.fault    a word that says what goes wrong:
//	          absent   end and say that there is no camera
//	          busy     end and say that another process has the camera
//	          denied   end and say that there is no permission
//	          die      end and say something else
//	          chatter  write to the standard error without end
//	          stall    give no more frames, and do not heed SIGINT
//	          hang     the same, heed no signal at all, and have a child that does so too
//	          desert   end, and leave a child in another process group
//	          garbage  write other bytes between the frames, and break every third
//	          noise    write only other bytes
//	          odd      write the frames in odd pieces
//
// When it starts, it writes the process number of itself, and in the case of
// hang and desert of its child, to a file ending in .pids, one a line. When it
// has ended because of SIGINT, there is a file ending in .bye.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	_ "image/png" // for .picture
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	width := flag.Int("width", 0, "")
	height := flag.Int("height", 0, "")
	rate := flag.Int("framerate", 30, "")
	codec := flag.String("codec", "h264", "")
	quality := flag.Int("quality", 50, "")
	output := flag.String("o", "", "")
	flag.Int("t", 5000, "")
	flag.Int("camera", 0, "")
	flag.Bool("n", false, "")
	flag.Bool("flush", false, "")
	deaf := flag.Bool("deaf", false, "only heed no signal")
	flag.Parse()
	self, err := os.Executable()
	if err != nil {
		fail(err.Error())
	}
	if *deaf {
		ignoreSignals()
		time.Sleep(time.Hour)
		return
	}
	if *output != "-" || *width <= 0 || *height <= 0 || *rate <= 0 {
		fail("wrong options")
	}
	note(self, os.Getpid())
	c := camera{self: self, width: *width, height: *height, quality: *quality}
	encode := c.jpeg
	switch *codec {
	case "mjpeg":
	case "yuv420":
		encode = c.i420
	default:
		fail("unrecognised codec " + *codec)
	}
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	tick := time.NewTicker(time.Second / time.Duration(*rate))
	for n := 0; ; n++ {
		select {
		case <-interrupt: // seen between frames only, as by the real program
			if err := os.WriteFile(self+".bye", nil, 0o666); err != nil {
				fail(err.Error())
			}
			return
		case <-tick.C:
			c.write(n, encode(c.picture(n)))
		}
	}
}

// fail ends as the real program does.
func fail(what string) {
	fmt.Fprintf(os.Stderr, "ERROR: *** %s ***\n", what)
	os.Exit(255)
}

// note adds a process to the file of processes.
func note(self string, pid int) {
	f, err := os.OpenFile(self+".pids", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		fail(err.Error())
	}
	fmt.Fprintln(f, pid)
	f.Close()
}

func ignoreSignals() {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
}

type camera struct {
	self                   string
	width, height, quality int
	shown                  image.Image // what .picture held
	since                  time.Time   // when it was written
}

// write writes frame n, or what the fault makes of it.
func (c *camera) write(n int, data []byte) {
	out := os.Stdout
	fault, _ := os.ReadFile(c.self + ".fault")
	switch strings.TrimSpace(string(fault)) {
	case "absent":
		fmt.Fprintln(os.Stderr, "[0:13:57.732391469] [810]  INFO Camera camera_manager.cpp:326 libcamera v0.5.0")
		fail("no cameras available")
	case "busy":
		fmt.Fprintln(os.Stderr, "[0:06:19.426083741] [2746]  INFO Camera camera.cpp:839 Pipeline handler in use by another process")
		fail("failed to acquire camera /base/soc/i2c0mux/i2c@1/ov5647@36")
	case "denied":
		fmt.Fprintln(os.Stderr, "Could not open any dmaHeap device")
		fail("no cameras available")
	case "die":
		fail("unrecognised message!")
	case "chatter":
		fmt.Fprint(os.Stderr, strings.Repeat("a line that has no end ", 1000))
	case "stall":
		time.Sleep(time.Hour)
	case "hang":
		ignoreSignals()
		c.leave(false)
		time.Sleep(time.Hour)
	case "desert":
		c.leave(true)
		fail("farewell")
	case "garbage":
		put(out, noise(1000+n))
		if n%3 == 2 {
			data = data[:len(data)/2]
		}
	case "noise":
		data = noise(len(data))
	case "odd":
		for size := 1; len(data) > size; size = size*3 + 1 {
			put(out, data[:size])
			data = data[size:]
		}
	}
	put(out, data)
}

// leave starts a process that holds the outputs and heeds no signal.
func (c *camera) leave(group bool) {
	child := exec.Command(c.self, "-deaf")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: group}
	if err := child.Start(); err != nil {
		fail(err.Error())
	}
	note(c.self, child.Process.Pid)
}

func put(w io.Writer, data []byte) {
	if _, err := w.Write(data); err != nil {
		fail("failed to write output bytes")
	}
}

func noise(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	return data
}

// picture returns what there is to see at frame n: the picture of .picture, or
// a bar that moves over a field of one colour.
func (c *camera) picture(n int) image.Image {
	if info, err := os.Stat(c.self + ".picture"); err == nil && info.ModTime() != c.since {
		if data, err := os.ReadFile(c.self + ".picture"); err == nil {
			if img, _, err := image.Decode(bytes.NewReader(data)); err == nil {
				c.shown, c.since = img, info.ModTime()
			}
		}
	}
	return view{c, n}
}

// A view is the picture at one frame, in the size that was asked for.
type view struct {
	*camera
	n int
}

func (v view) ColorModel() color.Model { return color.YCbCrModel }
func (v view) Bounds() image.Rectangle { return image.Rect(0, 0, v.width, v.height) }

func (v view) At(x, y int) color.Color {
	switch {
	case v.shown != nil:
		b := v.shown.Bounds()
		return v.shown.At(b.Min.X+x*b.Dx()/v.width, b.Min.Y+y*b.Dy()/v.height)
	case x/16 == v.n%(v.width/16+1):
		return color.YCbCr{Y: 255, Cb: 128, Cr: 128}
	default:
		return color.YCbCr{Y: 100, Cb: 200, Cr: 60}
	}
}

// planes is the picture as the image processor makes it: sYCC, 4:2:0.
func (c *camera) planes(img image.Image) *image.YCbCr {
	p := image.NewYCbCr(img.Bounds(), image.YCbCrSubsampleRatio420)
	for y := range c.height {
		for x := range c.width {
			px := color.YCbCrModel.Convert(img.At(x, y)).(color.YCbCr)
			p.Y[p.YOffset(x, y)] = px.Y
			p.Cb[p.COffset(x, y)] = px.Cb
			p.Cr[p.COffset(x, y)] = px.Cr
		}
	}
	return p
}

func (c *camera) jpeg(img image.Image) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, c.planes(img), &jpeg.Options{Quality: c.quality}); err != nil {
		fail(err.Error())
	}
	return b.Bytes()
}

func (c *camera) i420(img image.Image) []byte {
	p := c.planes(img)
	return bytes.Join([][]byte{p.Y, p.Cb, p.Cr}, nil)
}

package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"

	"teachbox/device"
	"teachbox/device/frame"
)

// offers makes a list of formats: codes of four characters, each with sizes.
func offers(list ...any) []Format {
	var all []Format
	for _, x := range list {
		switch x := x.(type) {
		case string:
			code := uint32(x[0]) | uint32(x[1])<<8 | uint32(x[2])<<16 | uint32(x[3])<<24
			all = append(all, Format{Code: code})
		case Size:
			last := &all[len(all)-1]
			last.Sizes = append(last.Sizes, x)
		}
	}
	return all
}

func size(w, h int, rate float64) Size { return Size{Width: w, Height: h, Rate: rate} }

func TestChoose(t *testing.T) {
	// A webcam of the usual kind: USB 2 carries YUYV at full rate only when
	// it is small.
	webcam := offers(
		"YUYV", size(640, 480, 30), size(160, 90, 30), size(320, 180, 30), size(320, 240, 30),
		size(800, 600, 24), size(1280, 720, 10), size(1920, 1080, 5),
		"MJPG", size(640, 480, 30), size(160, 90, 30), size(320, 240, 30), size(1280, 720, 30), size(1920, 1080, 30))
	// The Pi camera with the old firmware driver (bcm2835-v4l2).
	mmal := Size{Width: 2592, Height: 1944, MinWidth: 32, MinHeight: 32, StepWidth: 2, StepHeight: 2}
	for _, c := range []struct {
		name    string
		formats []Format
		o       Options
		want    string // none: it cannot be used
	}{
		{"enough for the model", webcam, Options{MinWidth: 320, MinHeight: 224}, "YUYV 320×240"},
		{"one side is not enough", webcam, Options{MinWidth: 300, MinHeight: 200}, "YUYV 320×240"},
		{"the usual", webcam, Options{MinWidth: 640, MinHeight: 480}, "YUYV 640×480"},
		{"YUYV at ten a second will do", webcam, Options{MinWidth: 1000, MinHeight: 700}, "YUYV 1280×720"},
		{"YUYV is too slow", webcam, Options{MinWidth: 1900, MinHeight: 1000}, "MJPG 1920×1080"},
		{"nothing is enough", webcam, Options{MinWidth: 4000, MinHeight: 3000}, "MJPG 1920×1080"},
		{"a wish", webcam, Options{Width: 1280, Height: 720, MinWidth: 320, MinHeight: 240}, "YUYV 1280×720"},
		{"a wish nearly met", webcam, Options{Width: 600, Height: 500}, "YUYV 640×480"},
		{"a small wish", webcam, Options{Width: 32, Height: 32, MinWidth: 640, MinHeight: 480}, "YUYV 160×90"},
		{"MJPEG alone", offers("MJPG", size(640, 480, 30), "H264", size(640, 480, 30)), Options{MinWidth: 224, MinHeight: 224}, "MJPG 640×480"},
		{"JPEG alone", offers("JPEG", size(640, 480, 0)), Options{MinWidth: 224, MinHeight: 224}, "JPEG 640×480"},
		{"RGB last", offers("RGB3", size(640, 480, 30), "MJPG", size(640, 480, 30)), Options{MinWidth: 224, MinHeight: 224}, "MJPG 640×480"},
		{"RGB alone", offers("RGB3", size(640, 480, 30), "NV12", size(640, 480, 30)), Options{MinWidth: 224, MinHeight: 224}, "RGB3 640×480"},
		{"only MJPEG is large enough", offers("YUYV", size(320, 240, 30), "MJPG", size(640, 480, 30)), Options{MinWidth: 640, MinHeight: 480}, "MJPG 640×480"},
		{"all are slow", offers("YUYV", size(640, 480, 5), "MJPG", size(640, 480, 5)), Options{MinWidth: 640, MinHeight: 480}, "YUYV 640×480"},
		{"rate unknown", offers("YUYV", size(640, 480, 0), "MJPG", size(640, 480, 30)), Options{MinWidth: 640, MinHeight: 480}, "YUYV 640×480"},
		{"a range", offers("YUYV", mmal), Options{MinWidth: 225, MinHeight: 224}, "YUYV 226×224"},
		{"a wish in a range", offers("YUYV", mmal), Options{Width: 640, Height: 480}, "YUYV 640×480"},
		{"a range is too small", offers("YUYV", mmal), Options{MinWidth: 4000, MinHeight: 100}, "YUYV 2592×100"},
		{"below a range", offers("YUYV", mmal), Options{Width: 16, Height: 16}, "YUYV 32×32"},
		{"a size that no frame may have", offers("YUYV", size(8192, 8192, 30), size(640, 480, 30)), Options{MinWidth: 4000, MinHeight: 4000}, "YUYV 640×480"},
		{"formats the box cannot read", offers("NV12", size(640, 480, 30), "H264", size(640, 480, 30)), Options{}, ""},
		{"no sizes", offers("YUYV"), Options{}, ""},
		{"nothing", nil, Options{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if best, ok := choose(c.formats, c.o); ok {
				got = fmt.Sprintf("%s %d×%d", fourCC(best.code), best.width, best.height)
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// FuzzFit holds that what is chosen of a range lies in it, on a step, and is
// the least that is enough.
func FuzzFit(f *testing.F) {
	f.Add(225, 32, 2592, 2)
	f.Add(5000, 16, 100, 7)
	f.Fuzz(func(t *testing.T, n, lo, hi, step int) {
		const most = 1 << 20
		if lo < 1 || hi < lo || hi > most || step < 1 || step > most || n < 0 || n > most {
			return
		}
		got := fit(n, lo, hi, step)
		if got < lo || got > hi || (got-lo)%step != 0 {
			t.Errorf("fit(%d, %d, %d, %d) = %d", n, lo, hi, step, got)
		}
		if got < n && got+step <= hi || got >= n && got-step >= max(n, lo) {
			t.Errorf("fit(%d, %d, %d, %d) = %d, which is not the nearest", n, lo, hi, step, got)
		}
	})
}

func TestLayout(t *testing.T) {
	pix := func(code string, w, h, stride uint32) v4l2.PixFormat {
		return v4l2.PixFormat{PixelFormat: offers(code)[0].Code, Width: w, Height: h, BytesPerLine: stride}
	}
	for _, c := range []struct {
		name string
		p    v4l2.PixFormat
		want layout
		says string // part of the error
	}{
		{"YUYV", pix("YUYV", 640, 480, 1280), layout{frame.YUYV, 640, 480, 1280}, ""},
		{"padded rows", pix("YUYV", 640, 480, 1344), layout{frame.YUYV, 640, 480, 1344}, ""},
		{"no stride", pix("YUYV", 640, 480, 0), layout{frame.YUYV, 640, 480, 1280}, ""},
		{"odd YUYV without stride", pix("YUYV", 3, 2, 0), layout{frame.YUYV, 3, 2, 8}, ""},
		{"MJPEG", pix("MJPG", 640, 480, 0), layout{frame.JPEG, 640, 480, 0}, ""},
		{"JPEG with a stride", pix("JPEG", 640, 480, 640), layout{frame.JPEG, 640, 480, 0}, ""},
		{"RGB", pix("RGB3", 640, 480, 0), layout{frame.RGB, 640, 480, 1920}, ""},
		{"another format than asked for", pix("NV12", 640, 480, 640), layout{}, "gives NV12"},
		{"a stride too short", pix("YUYV", 640, 480, 640), layout{}, "640 bytes apart"},
		{"no size", pix("YUYV", 0, 0, 0), layout{}, "0×0 pixels"},
		{"a size beyond bounds", pix("YUYV", 1<<20, 1<<20, 0), layout{}, "pixels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := layoutOf(c.p)
			if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one about %q", err, c.says)
			}
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// TestJudge goes through the devices that a Pi has: webcams, and much that only
// looks like one.
func TestJudge(t *testing.T) {
	const (
		capture  = v4l2.CapVideoCapture | v4l2.CapStreaming
		mplane   = v4l2.CapVideoCaptureMPlane | v4l2.CapVideoOutputMPlane
		metadata = v4l2.CapMetadataCapture | v4l2.CapStreaming
	)
	yuyv := offers("YUYV", size(640, 480, 30))
	for _, c := range []struct {
		name, driver, bus string
		caps              uint32
		formats           []Format
		want              Use
		says              string
	}{
		{"webcam", "uvcvideo", "usb-0000:01:00.0-1.3", capture, yuyv, Usable, ""},
		{"webcam with MJPEG alone", "uvcvideo", "usb-0000:01:00.0-1.3", capture, offers("MJPG", size(640, 480, 30)), Usable, ""},
		{"webcam's metadata", "uvcvideo", "usb-0000:01:00.0-1.3", metadata, nil, Metadata, "figures"},
		{"webcam's H.264", "uvcvideo", "usb-0000:01:00.0-1.3", capture, offers("H264"), Other, "it gives H264; want YUYV"},
		{"infrared camera", "uvcvideo", "usb-0000:01:00.0-1.3", capture, offers("GREY"), Other, "it gives GREY"},
		{"depth camera", "uvcvideo", "usb-0000:01:00.0-1.3", capture, offers("Z16 "), Other, "it gives Z16"},
		{"old Pi camera", "bm2835 mmal", "platform:bcm2835_v4l2-0", capture, offers("YU12", "YUYV", "RGB3", "JPEG", "H264"), Usable, ""},
		{"HDMI bridge on unicam", "unicam", "platform:fe801000.csi", capture, offers("RGB3", "UYVY"), Usable, ""},
		{"unicam without a media controller", "unicam", "platform:fe801000.csi", capture, offers("pBAA", "RG10"), RawSensor, "rpicam-vid"},
		{"unicam of a grey sensor", "unicam", "platform:fe801000.csi", capture, offers("GREY", "Y10P"), RawSensor, "rpicam-vid"},
		{"unicam", "unicam", "platform:fe801000.csi", capture | v4l2.CapIOMediaController, offers("YUYV", "RGB3", "pBAA", "RG10"), RawSensor, "rpicam-vid"},
		{"unicam's embedded data", "unicam", "platform:fe801000.csi", metadata | v4l2.CapIOMediaController, nil, Metadata, ""},
		{"Pi 5", "rp1-cfe", "platform:1f00110000.csi", capture | v4l2.CapMetadataCapture | v4l2.CapIOMediaController, offers("YUYV", "pBAA"), RawSensor, "rpicam-vid"},
		{"image processor", "bcm2835-isp", "platform:bcm2835-isp", capture, offers("YUYV", "RGB3"), Other, "image processor"},
		{"its input", "bcm2835-isp", "platform:bcm2835-isp", v4l2.CapVideoOutput | v4l2.CapStreaming, nil, Other, "image processor"},
		{"image processor of a Pi 5", "pispbe", "platform:1000880000.pisp_be", mplane | v4l2.CapStreaming, nil, Other, "image processor"},
		{"codec", "bcm2835-codec", "platform:bcm2835-codec", v4l2.CapVideoMem2MemMPlane | v4l2.CapStreaming, nil, Other, "converts"},
		{"decoder", "rpivid", "platform:rpivid", v4l2.CapVideoMem2MemMPlane | v4l2.CapStreaming, nil, Other, "converts"},
		{"codec of one plane", "m2m", "platform:m2m", v4l2.CapVideoMem2Mem | v4l2.CapVideoCapture, yuyv, Other, "converts"},
		{"output", "vivid", "platform:vivid-000", v4l2.CapVideoOutput | v4l2.CapStreaming, nil, Output, "takes pictures in"},
		{"loopback that nobody feeds", "v4l2 loopback", "platform:v4l2loopback-010", v4l2.CapVideoOutput | v4l2.CapStreaming, nil, Output, "waits for a program"},
		{"planes apart", "stm32", "platform:dcmi", v4l2.CapVideoCaptureMPlane | v4l2.CapStreaming, nil, Other, "does not give"},
		{"only read", "old", "platform:old", v4l2.CapVideoCapture | v4l2.CapReadWrite, yuyv, Other, "cannot stream"},
		{"no formats", "x", "platform:x", capture, nil, Other, "it gives none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			use, reason := judge(v4l2.Capability{
				Driver: c.driver, BusInfo: c.bus,
				// The device as a whole can do more than this node.
				Capabilities:       c.caps | v4l2.CapDeviceCapabilities | v4l2.CapVideoCapture | v4l2.CapMetadataCapture,
				DeviceCapabilities: c.caps,
			}, c.formats)
			if use != c.want || !strings.Contains(reason, c.says) || (use == Usable) != (reason == "") {
				t.Errorf("%v, because %q (want %v, saying %q)", use, reason, c.want, c.says)
			}
		})
	}
}

func TestPick(t *testing.T) {
	denied := fmt.Errorf("camera /dev/video9: %w", device.ErrDenied)
	logi := Info{Path: "/dev/video0", Name: "HD Pro Webcam C920", ByID: "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_ABCD-video-index0", Use: Usable}
	meta := Info{Path: "/dev/video1", Name: "HD Pro Webcam C920", Use: Metadata, Reason: "figures"}
	sensor := Info{Path: "/dev/video2", Name: "unicam", Use: RawSensor, Reason: "a bare sensor"}
	loop := Info{Path: "/dev/video10", Name: "loopback", Use: Usable}
	locked := Info{Path: "/dev/video9", Use: Unreadable, Err: denied}
	all := []Info{sensor, meta, logi, loop}
	for _, c := range []struct {
		name, part string
		all        []Info
		want       []Info
		err        error
		says       string
	}{
		{"the first", "", all, []Info{logi, loop}, nil, ""},
		{"by name", "Loopback", all, []Info{loop}, nil, ""},
		{"by part of a name", "c920", all, []Info{logi}, nil, ""},
		{"by serial number", "abcd-VIDEO", all, []Info{logi}, nil, ""},
		{"no such name", "Brio", all, nil, device.ErrAbsent, `none is called "brio"; there is unicam (/dev/video2): raw sensor`},
		{"nothing at all", "", nil, nil, device.ErrAbsent, "plug a USB camera in"},
		{"nothing at all, by name", "Brio", nil, nil, device.ErrAbsent, "plug a USB camera in"},
		{"a sensor by name", "unicam", all, nil, device.ErrFormat, "a bare sensor"},
		{"none usable", "", []Info{sensor, meta}, nil, device.ErrAbsent, "only unicam (/dev/video2): raw sensor, HD Pro"},
		{"denied", "", []Info{sensor, locked}, nil, device.ErrDenied, "/dev/video9"},
		{"denied, so nobody knows the name", "Brio", []Info{sensor, locked}, nil, device.ErrDenied, "/dev/video9"},
		{"another one denied", "C920", []Info{locked, logi}, []Info{logi}, nil, ""},
		{"many", "", []Info{sensor, sensor, sensor, sensor, sensor, sensor}, nil, device.ErrAbsent, "and 2 more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := pick(c.all, c.part)
			if !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v saying %q", err, c.err, c.says)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	there := Info{Path: "/dev/null", Name: "C920"}
	away := Info{Path: "/dev/video-gone"}
	for _, c := range []struct {
		name string
		i    Info
		err  error
		want error
		says string
	}{
		{"busy", there, fmt.Errorf("set: %w", unix.EBUSY), device.ErrBusy, "camera C920 (/dev/null): in use by"},
		{"USB full", there, unix.ENOSPC, device.ErrBusy, "elsewhere"},
		{"denied", there, &os.PathError{Op: "open", Err: unix.EACCES}, device.ErrDenied, "group video"},
		{"not permitted", there, unix.EPERM, device.ErrDenied, "group video"},
		{"no node", away, unix.ENOENT, device.ErrAbsent, "camera /dev/video-gone: not there"},
		{"unplugged", there, unix.ENODEV, device.ErrAbsent, "plug it in"},
		{"unplugged, errno lost", away, v4l2.ErrorSystem, device.ErrAbsent, "plug it in"},
		{"failed", there, v4l2.ErrorSystem, device.ErrStall, "plug it in again"},
		{"refused", there, v4l2.ErrorBadArgument, device.ErrFormat, "refuses"},
		{"wrong format", there, fmt.Errorf("%w: it gives NV12 after all", device.ErrFormat), device.ErrFormat, "it gives NV12"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := explain(c.i, c.err)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v saying %q", err, c.want, c.says)
			}
			if n := strings.Count(err.Error(), c.want.Error()); n != 1 {
				t.Errorf("%q says %q %d times", err, c.want, n)
			}
		})
	}
}

// TestHolders looks for a file that this program has open.
func TestHolders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "camera")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("(process %d)", os.Getpid())
	if who := strings.Join(holders(path)[path], ", "); !strings.HasSuffix(who, want) {
		t.Errorf("open: held by %q, want one that ends in %q", who, want)
	}
	f.Close()
	if who := holders(path)[path]; who != nil {
		t.Errorf("closed: held by %v", who)
	}
}

func TestRunErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no camera"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		want       error
		says       string
	}{
		{"absent", "/dev/video-gone", device.ErrAbsent, "/dev/video-gone"},
		{"absent id", "/dev/v4l/by-id/usb-gone", device.ErrAbsent, "usb-gone"},
		{"a file", file, device.ErrFormat, "not a video device"},
		{"another device", "/dev/null", device.ErrFormat, "not a video device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := NewV4L2(Options{Device: c.path}).Run(t.Context(), func(frame.Frame) { t.Error("a frame") })
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Run returned %v, want %v saying %q", err, c.want, c.says)
			}
		})
	}
}

// TestSteady shows that the stack stays where it is, from whatever depth. A
// bare goroutine's moves when it grows, and when a collection finds it nearly
// empty.
func TestSteady(t *testing.T) {
	moves := func(collect bool) bool {
		var local byte
		here := uintptr(unsafe.Pointer(&local))
		deep(40, func() {})
		if collect {
			runtime.GC()
			runtime.GC()
		}
		return uintptr(unsafe.Pointer(&local)) != here
	}
	const most = 400
	bare := make(chan int, 1)
	go func() {
		n := 0
		for depth := range most {
			deep(depth, func() {
				if moves(false) {
					n++
				}
			})
		}
		bare <- n
	}()
	if n := <-bare; n == 0 {
		t.Error("a bare stack does not move here, so this shows nothing")
	}
	for depth := range most {
		done := make(chan bool)
		go func() { // with a small stack
			deep(depth, func() {
				steady(func() error {
					done <- moves(depth%20 == 0)
					return nil
				})
			})
		}()
		if <-done {
			t.Errorf("the stack moved at depth %d", depth)
		}
	}
}

// deep calls f with much of the stack in use, then calls nothing.
//
//go:noinline
func deep(n int, f func()) byte {
	var room [100]byte
	if n > 0 {
		room[n%100] = deep(n-1, f)
	} else {
		f()
	}
	return room[n%100] + byte(n)
}

func TestClockTake(t *testing.T) {
	const (
		mono    = v4l2.BufFlagTimestampMonotonic
		soe     = mono | v4l2.BufFlagTimestampSourceSOE
		copied  = v4l2.BufFlagTimestampCopy
		unknown = v4l2.BufFlagTimestampUnknown | v4l2.BufFlagMapped
		frame   = 40 * time.Millisecond
		up      = time.Hour // since the machine was started
	)
	wall := time.Now()
	since := wall.Add(-30 * time.Millisecond)
	for _, c := range []struct {
		name  string
		flags uint32
		at    time.Duration
		want  time.Duration // before wall
	}{
		{"start of exposure", soe, up - 50*time.Millisecond, 50 * time.Millisecond},
		{"end of frame", mono, up - 10*time.Millisecond, 10*time.Millisecond + frame},
		{"this very moment", soe, up, 0},
		{"old", mono, up - time.Minute, time.Minute + frame},
		{"end of frame, just ahead", mono, up + 30*time.Millisecond, 10 * time.Millisecond},
		{"in the future", soe, up + time.Millisecond, 70 * time.Millisecond},
		{"another clock", soe, 50 * 365 * 24 * time.Hour, 70 * time.Millisecond},
		{"no stamp", mono, 0, 70 * time.Millisecond},
		{"copied", copied, up - 10*time.Millisecond, 70 * time.Millisecond},
		{"unknown", unknown, up - 10*time.Millisecond, 70 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := clock{interval: frame}
			got := k.take(stamp{c.flags, c.at}, wall, up, since)
			if wall.Sub(got) != c.want {
				t.Errorf("taken %v ago, want %v", wall.Sub(got), c.want)
			}
			if got == got.Round(0) {
				t.Error("no monotonic reading")
			}
			// The one after it is not older, whatever its stamp.
			if next := k.take(stamp{mono, up - time.Hour/2}, wall, up, since); next.Before(got) {
				t.Errorf("the next one was taken %v before it", got.Sub(next))
			}
		})
	}
}

// TestClockBegan holds that what has no stamp is not said to be from before the
// stream.
func TestClockBegan(t *testing.T) {
	wall := time.Now()
	began := wall.Add(-20 * time.Millisecond)
	k := clock{began: began, interval: 40 * time.Millisecond}
	if got := k.take(stamp{}, wall, time.Hour, began); !got.Equal(began) {
		t.Errorf("taken %v after the stream began, want 0", got.Sub(began))
	}
	// A driver that stamps may know better.
	k = clock{began: began, interval: 40 * time.Millisecond}
	flags := uint32(v4l2.BufFlagTimestampMonotonic | v4l2.BufFlagTimestampSourceSOE)
	if got := k.take(stamp{flags, time.Hour - time.Second}, wall, time.Hour, began); wall.Sub(got) != time.Second {
		t.Errorf("taken %v ago, want 1s", wall.Sub(got))
	}
}

// TestNow holds that the two clocks are one: what the kernel stamps now was
// taken now.
func TestNow(t *testing.T) {
	before := time.Now()
	wall, monotonic := now()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	after := time.Now()
	k := clock{}
	flags := uint32(v4l2.BufFlagTimestampMonotonic | v4l2.BufFlagTimestampSourceSOE)
	got := k.take(stamp{flags, monotonic}, wall, monotonic, time.Time{})
	if got.Before(before) || got.After(after) {
		t.Errorf("a stamp of this moment became %v, not within %v to %v", got, before, after)
	}
	if late := time.Duration(ts.Nano()) - monotonic; late < 0 || late > after.Sub(before) {
		t.Errorf("the kernel's clock went on by %v in %v", late, after.Sub(before))
	}
}

func TestClockNext(t *testing.T) {
	for _, c := range []struct {
		name   string
		driver []uint32
		want   []uint64
	}{
		{"from 0", []uint32{0, 1, 2}, []uint64{1, 2, 3}},
		{"from anywhere", []uint32{77, 78}, []uint64{1, 2}},
		{"gaps", []uint32{5, 7, 10}, []uint64{1, 3, 6}},
		{"stands still", []uint32{0, 0, 0}, []uint64{1, 2, 3}},
		{"wraps around", []uint32{1<<32 - 2, 1<<32 - 1, 0, 2}, []uint64{1, 2, 3, 5}},
		{"goes back", []uint32{100, 3, 4}, []uint64{1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var k clock
			var got []uint64
			for _, n := range c.driver {
				got = append(got, k.next(n))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestControlName(t *testing.T) {
	for name, want := range map[string]string{
		"Brightness":                  "brightness",
		"Exposure Time, Absolute":     "exposure_time_absolute",
		"White Balance, Automatic":    "white_balance_automatic",
		"Power Line Frequency":        "power_line_frequency",
		"Integer 32 Bits":             "integer_32_bits",
		"(LED1) Mode":                 "led1_mode",
		"Focus, Automatic Continuous": "focus_automatic_continuous",
		"":                            "",
	} {
		if got := controlName(name); got != want {
			t.Errorf("%q became %q, want %q", name, got, want)
		}
	}
}

func FuzzControlName(f *testing.F) {
	f.Add("Exposure Time, Absolute")
	f.Add("\xff__Ä9")
	f.Fuzz(func(t *testing.T, name string) {
		got := controlName(name)
		if strings.Trim(got, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || strings.Contains(got, "__") || strings.Trim(got, "_") != got {
			t.Errorf("%q became %q", name, got)
		}
		if again := controlName(got); again != got {
			t.Errorf("%q became %q and then %q", name, got, again)
		}
	})
}

// A fakeKnobs is a camera's settings in memory. As in real cameras a value can
// only be set while its automatic is off.
type fakeKnobs struct {
	controls []Control
	values   map[uint32]int
	locked   map[uint32]setting // a control, by the automatic that must have that value
	broken   map[uint32]bool
}

func (k *fakeKnobs) list() []Control { return k.controls }

func (k *fakeKnobs) get(id uint32) (int, error) {
	if k.broken[id] {
		return 0, unix.EIO
	}
	return k.values[id], nil
}

func (k *fakeKnobs) set(id uint32, v int) error {
	if s, ok := k.locked[id]; k.broken[id] || ok && k.values[s.id] != s.value {
		return fmt.Errorf("set %#x: %w", id, unix.EIO)
	}
	k.values[id] = v
	return nil
}

// newWebcam is a camera with automatic exposure, white balance and focus, at
// work: it has chosen 157, 4600 and 30.
func newWebcam() *fakeKnobs {
	k := &fakeKnobs{
		values: map[uint32]int{},
		locked: map[uint32]setting{
			v4l2.CtrlCameraExposureAbsolute:  {v4l2.CtrlCameraExposureAuto, 1},
			v4l2.CtrlWhiteBalanceTemperature: {v4l2.CtrlAutoWhiteBalance, 0},
			v4l2.CtrlCameraFocusAbsolute:     {v4l2.CtrlCameraFocusAuto, 0},
		},
		broken: map[uint32]bool{},
	}
	for _, c := range []Control{
		{ID: v4l2.CtrlBrightness, Name: "brightness", Max: 255, Value: 128},
		{ID: v4l2.CtrlAutoWhiteBalance, Name: "white_balance_automatic", Max: 1, Default: 1, Value: 1},
		{ID: v4l2.CtrlGain, Name: "gain", Max: 255, Value: 64},
		{ID: v4l2.CtrlWhiteBalanceTemperature, Name: "white_balance_temperature", Min: 2800, Max: 6500, Value: 4600},
		{ID: v4l2.CtrlCameraExposureAuto, Name: "auto_exposure", Max: 3, Default: 3, Value: 3},
		{ID: v4l2.CtrlCameraExposureAbsolute, Name: "exposure_time_absolute", Min: 3, Max: 2047, Value: 157},
		{ID: v4l2.CtrlCameraFocusAbsolute, Name: "focus_absolute", Max: 250, Value: 30},
		{ID: v4l2.CtrlCameraFocusAuto, Name: "focus_automatic_continuous", Max: 1, Default: 1, Value: 1},
	} {
		k.controls = append(k.controls, c)
		k.values[c.ID] = c.Value
	}
	return k
}

// state is the values by name.
func (k *fakeKnobs) state() map[string]int {
	m := make(map[string]int)
	for _, c := range k.controls {
		m[c.Name] = k.values[c.ID]
	}
	return m
}

func with(m map[string]int, name string, value int) map[string]int {
	m[name] = value
	return m
}

func TestAdjust(t *testing.T) {
	for _, c := range []struct {
		name string
		wish map[string]int
		want map[string]int // as well as what was
		log  string
	}{
		{"none", nil, nil, ""},
		{"one", map[string]int{"brightness": 7}, map[string]int{"brightness": 7}, ""},
		{"a value and its automatic, in any order",
			map[string]int{"focus_absolute": 9, "focus_automatic_continuous": 0, "auto_exposure": 1, "exposure_time_absolute": 20},
			map[string]int{"focus_absolute": 9, "focus_automatic_continuous": 0, "auto_exposure": 1, "exposure_time_absolute": 20}, ""},
		{"out of range", map[string]int{"gain": 256, "brightness": 1}, map[string]int{"brightness": 1}, "control=gain err=\"out of range (got 256; want 0 to 255)\""},
		{"unknown", map[string]int{"sparkle": 1}, nil, "it has brightness, white_balance_automatic, gain"},
		{"refused", map[string]int{"exposure_time_absolute": 20}, nil, "control=exposure_time_absolute"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newWebcam()
			want := k.state()
			for name, value := range c.want {
				want[name] = value
			}
			var log bytes.Buffer
			adjust(k, c.wish, slog.New(slog.NewTextHandler(&log, nil)))
			if diff := cmp.Diff(want, k.state()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if lines := strings.Count(log.String(), "\n"); !strings.Contains(log.String(), c.log) || (lines > 0) != (c.log != "") || lines > 1 {
				t.Errorf("logged %q, want one line with %q", &log, c.log)
			}
		})
	}
}

func TestHold(t *testing.T) {
	k := newWebcam()
	before := k.state()
	h, err := freeze(k, "C920")
	if err != nil {
		t.Fatal(err)
	}
	frozen := newWebcam().state()
	frozen["auto_exposure"], frozen["white_balance_automatic"], frozen["focus_automatic_continuous"] = 1, 0, 0
	if diff := cmp.Diff(frozen, k.state()); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}

	// Unplugged and back: another light, and everything automatic again.
	k = newWebcam()
	for id, v := range map[uint32]int{v4l2.CtrlCameraExposureAbsolute: 900, v4l2.CtrlWhiteBalanceTemperature: 3000, v4l2.CtrlCameraFocusAbsolute: 0, v4l2.CtrlGain: 3} {
		k.values[id] = v
	}
	if err := h.again(k); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(frozen, k.state()); diff != "" {
		t.Errorf("held again (-want +got):\n%s", diff)
	}
	if err := h.release(k); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, k.state()); diff != "" {
		t.Errorf("released (-want +got):\n%s", diff)
	}
}

// TestAutomate has a camera that a box held when it was killed.
func TestAutomate(t *testing.T) {
	k := newWebcam()
	want := with(k.state(), "white_balance_automatic", 0)
	if _, err := freeze(k, "C920"); err != nil {
		t.Fatal(err)
	}
	if err := automate(k, map[string]int{"white_balance_automatic": 0}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, k.state()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	h, err := freeze(k, "C920")
	if err != nil || len(h.before) != 2 {
		t.Errorf("held %v, error %v; want exposure and focus", h.before, err)
	}

	k.controls = k.controls[:1]
	if err := automate(k, nil); err != nil {
		t.Errorf("a simple camera: %v", err)
	}
	k = newWebcam()
	k.broken[v4l2.CtrlCameraFocusAuto] = true
	k.values[v4l2.CtrlCameraExposureAuto] = 1
	if err := automate(k, nil); err == nil || k.values[v4l2.CtrlCameraExposureAuto] != 3 {
		t.Errorf("one that will not: error %v, exposure %d", err, k.values[v4l2.CtrlCameraExposureAuto])
	}
}

func TestHoldWhatIsThere(t *testing.T) {
	t.Run("set by hand", func(t *testing.T) {
		k := newWebcam()
		k.values[v4l2.CtrlCameraExposureAuto] = 1
		k.values[v4l2.CtrlAutoWhiteBalance] = 0
		k.values[v4l2.CtrlCameraFocusAuto] = 0
		before := k.state()
		h, err := freeze(k, "C920")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.release(k); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, k.state()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("simple camera", func(t *testing.T) {
		k := newWebcam()
		k.controls = k.controls[:1]
		if h, err := freeze(k, "x"); err != nil || h.held != nil {
			t.Errorf("held %v, error %v", h.held, err)
		}
	})
	t.Run("one that will not", func(t *testing.T) {
		k := newWebcam()
		k.locked[v4l2.CtrlCameraFocusAuto] = setting{v4l2.CtrlBrightness, -1}
		_, err := freeze(k, "x")
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%#x", v4l2.CtrlCameraFocusAuto)) {
			t.Errorf("error %v", err)
		}
		want := with(with(newWebcam().state(), "auto_exposure", 1), "white_balance_automatic", 0)
		if diff := cmp.Diff(want, k.state()); diff != "" {
			t.Errorf("the others (-want +got):\n%s", diff)
		}
	})
	t.Run("one that cannot be read", func(t *testing.T) {
		k := newWebcam()
		k.broken[v4l2.CtrlCameraExposureAbsolute] = true
		if _, err := freeze(k, "x"); err != nil {
			t.Error(err)
		}
		if k.values[v4l2.CtrlCameraExposureAuto] != 1 {
			t.Error("exposure is not held")
		}
	})
}

func TestWantsCSI(t *testing.T) {
	infos := func(uses ...Use) (all []Info) {
		for _, u := range uses {
			all = append(all, Info{Use: u})
		}
		return all
	}
	for _, c := range []struct {
		all       []Info
		installed bool
		want      bool
	}{
		{infos(Usable), true, false},
		{infos(RawSensor, Usable), true, false},
		{infos(RawSensor, Metadata, Other), true, true},
		{infos(RawSensor), false, true},
		{infos(Other, Output), true, true},
		{infos(Other, Output), false, false},
		{infos(Unreadable), true, false},
		{infos(Unreadable, RawSensor), false, true},
		{nil, true, true},
		{nil, false, false},
	} {
		if got := wantsCSI(c.all, c.installed); got != c.want {
			t.Errorf("%v, installed %v: %v, want %v", c.all, c.installed, got, c.want)
		}
	}
}

// A piCamera stands in for a camera of libcamera.
type piCamera struct {
	installed bool
	fault     error
	frames    int // before the fault
	runs      int
}

func (c *piCamera) Installed() bool { return c.installed }
func (*piCamera) String() string    { return "Pi camera" }
func (c *piCamera) Run(_ context.Context, emit func(frame.Frame)) error {
	c.runs++
	for range c.frames {
		emit(frame.Frame{})
	}
	return fmt.Errorf("Pi camera: %w", c.fault)
}

func TestAuto(t *testing.T) {
	usb := Info{Path: "/dev/video-gone", Name: "C920", Use: Usable}
	sensor := Info{Path: "/dev/video0", Name: "unicam", Use: RawSensor, Reason: "a bare sensor"}
	codec := Info{Path: "/dev/video10", Name: "codec", Use: Other, Reason: "a codec"}
	denied := fmt.Errorf("camera /dev/video0: %w", device.ErrDenied)
	for _, c := range []struct {
		name string
		all  []Info
		csi  piCamera
		want error
		says string
		runs int // of the Pi camera, in three attempts
	}{
		{"USB camera", []Info{sensor, usb}, piCamera{installed: true}, device.ErrAbsent, "C920", 0},
		{"sensor", []Info{sensor}, piCamera{installed: true, fault: device.ErrStall}, device.ErrStall, "Pi camera", 3},
		{"sensor that libcamera does not find", []Info{sensor}, piCamera{installed: true, fault: device.ErrAbsent}, device.ErrAbsent, "Pi camera", 3},
		{"sensor, but no program", []Info{sensor}, piCamera{fault: device.ErrAbsent}, device.ErrAbsent, "Pi camera", 3},
		{"nothing", nil, piCamera{installed: true, fault: device.ErrAbsent}, device.ErrAbsent, "there is no video device; plug a USB camera in", 1},
		{"nothing of use", []Info{codec}, piCamera{installed: true, fault: device.ErrAbsent}, device.ErrFormat, "a codec", 1},
		{"nothing, and no program", nil, piCamera{}, device.ErrAbsent, "plug a USB camera in", 0},
		{"Pi camera without a sign", nil, piCamera{installed: true, fault: device.ErrBusy}, device.ErrBusy, "Pi camera", 3},
		{"Pi camera that goes", []Info{codec}, piCamera{installed: true, frames: 1, fault: device.ErrAbsent}, device.ErrAbsent, "Pi camera", 3},
		{"denied", []Info{{Path: "/dev/video0", Use: Unreadable, Err: denied}}, piCamera{installed: true}, device.ErrDenied, "/dev/video0", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := NewAuto(NewV4L2(Options{}), &c.csi)
			lists := 0
			a.list = func() ([]Info, error) { lists++; return c.all, nil }
			for range 3 {
				err := a.Run(t.Context(), func(frame.Frame) {})
				if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
					t.Errorf("error %v, want %v saying %q", err, c.want, c.says)
				}
			}
			if c.csi.runs != c.runs || lists != 3 {
				t.Errorf("in three attempts the Pi camera ran %d times (want %d), the devices were listed %d times (want 3)", c.csi.runs, c.runs, lists)
			}
		})
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	csi := &piCamera{installed: true}
	if err := NewAuto(NewV4L2(Options{}), csi).Run(ended, nil); err != nil || csi.runs != 0 {
		t.Errorf("ended before: error %v, the Pi camera ran %d times", err, csi.runs)
	}
}

// TestAutoLooksAgain looks for a Pi camera again when other devices are there.
func TestAutoLooksAgain(t *testing.T) {
	csi := &piCamera{installed: true, fault: device.ErrAbsent}
	a := NewAuto(NewV4L2(Options{}), csi)
	for i, c := range []struct {
		all  []Info
		runs int
	}{
		{nil, 1}, {nil, 1},
		{[]Info{{Path: "/dev/video10", Use: Other}}, 2}, {[]Info{{Path: "/dev/video10", Use: Other}}, 2},
		{[]Info{{Path: "/dev/video0", Use: RawSensor}}, 3},
	} {
		a.list = func() ([]Info, error) { return c.all, nil }
		if err := a.Run(t.Context(), func(frame.Frame) {}); err == nil || csi.runs != c.runs {
			t.Errorf("attempt %d: error %v, the Pi camera ran %d times (want %d)", i, err, csi.runs, c.runs)
		}
	}
}

// TestSilent polls what never gives a picture.
func TestSilent(t *testing.T) {
	silent, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(silent)
	c := &capture{node: &node{fd: silent}}
	c.expect(20 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = c.run(ctx, -1, func(frame.Frame) { t.Error("a frame") }, func() {})
	if err == nil {
		t.Fatal("nothing is wrong with a camera that is silent")
	}
	err = explain(Info{Path: "/dev/null", Name: "C920"}, err)
	const says = "camera C920 (/dev/null): stopped giving frames (no whole picture for 20ms); unplug it and plug it in again"
	if !errors.Is(err, device.ErrStall) || err.Error() != says {
		t.Errorf("error %q, want %q", err, says)
	}
}

func TestString(t *testing.T) {
	for o, want := range map[string]string{"": "V4L2 camera", "/dev/video2": "V4L2 camera /dev/video2", "C920": "V4L2 camera C920"} {
		if got := NewV4L2(Options{Device: o}).String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for s, want := range map[string]string{
		size(640, 480, 30).String():                                           "640×480, 30/s",
		size(640, 480, 29.97).String():                                        "640×480, 30/s",
		size(640, 480, 7.5).String():                                          "640×480, 7.5/s",
		size(640, 480, 0).String():                                            "640×480",
		Size{Width: 2592, Height: 1944, MinWidth: 32, MinHeight: 32}.String(): "32×32 to 2592×1944",
		offers("Y10 ")[0].String():                                            "Y10",
		Format{Code: 0x01020304}.String():                                     "????",
		fmt.Sprint(RawSensor, Usable, Use(9)):                                 "raw sensor usable Use(9)",
	} {
		if s != want {
			t.Errorf("%q, want %q", s, want)
		}
	}
}

package camera

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"

	"teachbox/device"
)

// Use says what a video device is to a box.
type Use uint8

// The uses of a video device.
const (
	Usable     Use = iota + 1 // a camera that gives pictures the box can read
	RawSensor                 // the sensor of a Pi camera, which only libcamera can read
	Metadata                  // figures about the pictures of another device
	Output                    // takes pictures in instead of giving them
	Other                     // a codec, an image processor, or formats that the box cannot read
	Unreadable                // could not be opened
)

// String is such as "raw sensor".
func (u Use) String() string {
	switch u {
	case Usable:
		return "usable"
	case RawSensor:
		return "raw sensor"
	case Metadata:
		return "metadata"
	case Output:
		return "output"
	case Other:
		return "other"
	case Unreadable:
		return "unreadable"
	}
	return fmt.Sprintf("Use(%d)", uint8(u))
}

// Info describes a video device.
type Info struct {
	Path    string // such as "/dev/video0"; it may change at every start
	ByID    string // a path below /dev/v4l/by-id that stays, or ""
	Name    string // such as "HD Pro Webcam C920"
	Driver  string // such as "uvcvideo"
	Bus     string // such as "usb-0000:01:00.0-1.3"
	Use     Use
	Reason  string // why it is not usable, or ""
	Err     error  // for Unreadable: wraps one of package device's errors
	Formats []Format
}

// String names the device for people, such as "C920 (/dev/video0)".
func (i Info) String() string {
	if i.Name == "" {
		return i.Path
	}
	return fmt.Sprintf("%s (%s)", i.Name, i.Path)
}

// The places where the kernel and udev put video devices.
const (
	devFolder  = "/dev"
	devPrefix  = "video"
	byIDFolder = "/dev/v4l/by-id"
)

// List describes every video device, in the order of their numbers. A device
// that cannot be read is in the list, with the reason.
func List() ([]Info, error) {
	entries, err := os.ReadDir(devFolder)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		// Atoi alone would also take "+1".
		text, ok := strings.CutPrefix(e.Name(), devPrefix)
		if n, err := strconv.Atoi(text); ok && err == nil && strconv.Itoa(n) == text {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	ids := byID()
	var all []Info
	for _, n := range numbers {
		path := filepath.Join(devFolder, devPrefix+strconv.Itoa(n))
		i := inspect(path)
		i.ByID = ids[path]
		all = append(all, i)
	}
	return all, nil
}

// byID maps the paths of devices to their lasting ones.
func byID() map[string]string {
	entries, err := os.ReadDir(byIDFolder)
	if err != nil {
		return nil // no camera of the kind that has an id
	}
	ids := make(map[string]string)
	for _, e := range entries {
		id := filepath.Join(byIDFolder, e.Name())
		if path, err := filepath.EvalSymlinks(id); err == nil {
			ids[path] = id
		}
	}
	return ids
}

// inspect describes one device.
func inspect(path string) Info {
	i := Info{Path: path}
	err := steady(func() error {
		n, err := openNode(path)
		if err != nil {
			return err
		}
		defer n.close()
		c, err := n.capability()
		if err != nil {
			return err
		}
		i.Name, i.Driver, i.Bus = c.Card, c.Driver, c.BusInfo
		i.Formats = n.formats()
		i.Use, i.Reason = judge(c, i.Formats)
		return nil
	})
	switch {
	case errors.Is(err, errNotVideo):
		i.Use, i.Reason = Other, "it is "+err.Error()
	case err != nil:
		i.Use, i.Err = Unreadable, explain(i, err)
		i.Reason = i.Err.Error()
	}
	return i
}

// judge says what a device is good for. What it can do says little: the raw
// sensor of a Pi and the nodes of its image processor claim to capture video
// too, and list formats that they give only inside libcamera.
func judge(c v4l2.Capability, formats []Format) (Use, string) {
	caps := c.GetCapabilities()
	switch {
	case caps&(v4l2.CapVideoMem2Mem|v4l2.CapVideoMem2MemMPlane) != 0:
		return Other, "it converts pictures and takes none"
	case slices.Contains(notCameras(), c.Driver):
		return Other, "it is part of the Pi's image processor, which belongs to libcamera"
	case caps&v4l2.CapVideoCapture == 0:
		switch {
		case caps&(v4l2.CapMetadataCapture|v4l2.CapMetadataOutput) != 0:
			return Metadata, "it gives figures about the pictures of another device"
		case caps&(v4l2.CapVideoOutput|v4l2.CapVideoOutputMPlane) != 0:
			return Output, "it takes pictures in, or waits for a program that feeds it"
		}
		return Other, "it does not give pictures"
	case caps&v4l2.CapIOMediaController != 0:
		// The formats are then those of the hardware, not of the sensor, and
		// nothing flows until libcamera has set up the way to the sensor.
		return RawSensor, "it is a bare sensor, which only libcamera can read: use the program rpicam-vid"
	case caps&v4l2.CapStreaming == 0:
		return Other, "it cannot stream"
	case slices.ContainsFunc(formats, Format.readable):
		return Usable, ""
	case !strings.HasPrefix(c.BusInfo, "usb-") && len(formats) > 0 &&
		!slices.ContainsFunc(formats, func(f Format) bool { return !f.raw() }):
		return RawSensor, "it gives raw pictures only, which libcamera can read: use the program rpicam-vid"
	}
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.String()
	}
	return Other, fmt.Sprintf("it gives no format that the box can read (it gives %s; want YUYV, MJPG, JPEG or RGB3)", cmp.Or(strings.Join(names, ", "), "none"))
}

// notCameras lists drivers whose nodes cannot be told from a camera by what
// they say of themselves.
func notCameras() []string { return []string{"bcm2835-isp", "pispbe"} }

// raw reports whether the format is what comes straight from a sensor: one
// number a pixel, of one of the three colours or grey.
func (f Format) raw() bool {
	name := f.String()
	return v4l2.PixFormat{PixelFormat: f.Code}.IsBayer() || name == "GREY" || strings.HasPrefix(name, "Y1")
}

// find returns the usable devices that are meant, best first. The error says
// what there is instead. list is not asked for one that is meant by its path.
func find(which string, list func() ([]Info, error)) ([]Info, error) {
	if strings.HasPrefix(which, "/") {
		path, err := filepath.EvalSymlinks(which)
		if err != nil {
			return nil, explain(Info{Path: which}, err)
		}
		return pick([]Info{inspect(path)}, "")
	}
	all, err := list()
	if err != nil {
		return nil, fmt.Errorf("camera: %w: %w", device.ErrAbsent, err)
	}
	return pick(all, which)
}

// pick returns the usable devices whose name or lasting path has that part,
// whatever its case.
func pick(all []Info, part string) ([]Info, error) {
	part = strings.ToLower(part)
	var named, usable []Info
	for _, i := range all {
		if !strings.Contains(strings.ToLower(i.Name), part) && !strings.Contains(strings.ToLower(filepath.Base(i.ByID)), part) {
			continue
		}
		named = append(named, i)
		if i.Use == Usable {
			usable = append(usable, i)
		}
	}
	if len(usable) > 0 {
		return usable, nil
	}
	// A camera that is only locked away is a better reason than the others, and
	// nobody knows its name.
	for _, i := range all {
		if i.Err != nil {
			return nil, i.Err
		}
	}
	switch {
	case len(all) == 0:
		return nil, fmt.Errorf("camera: %w: there is no video device; plug a USB camera in", device.ErrAbsent)
	case len(named) == 0:
		return nil, fmt.Errorf("camera: %w: none is called %q; there is %s", device.ErrAbsent, part, sum(all))
	}
	if len(named) == 1 {
		return nil, fmt.Errorf("camera %s: %w: %s", named[0], device.ErrFormat, named[0].Reason)
	}
	return nil, fmt.Errorf("camera: %w: there is only %s; plug a USB camera in", device.ErrAbsent, sum(named))
}

// sum says in one line what devices there are. A Pi has up to forty.
func sum(all []Info) string {
	const most = 4
	var parts []string
	for _, i := range all[:min(len(all), most)] {
		parts = append(parts, fmt.Sprintf("%s: %s", i, i.Use))
	}
	text := strings.Join(parts, ", ")
	if n := len(all) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// explain makes the error of a device: which it is, what is wrong with it, and
// what to do.
func explain(i Info, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		by := "another program"
		if who := Holders()[i.Path]; len(who) > 0 {
			by = strings.Join(who, ", ")
		}
		return fmt.Errorf("camera %s: %w by %s; close it", i, device.ErrBusy, by)
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("camera %s: %w: USB has no room left for its pictures; plug it in elsewhere, or choose a smaller size", i, device.ErrBusy)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("camera %s: %w; add the user who runs the box to the group video", i, device.ErrDenied)
	case errors.Is(err, device.ErrFormat):
		return fmt.Errorf("camera %s: %w; try another camera", i, err)
	case errors.Is(err, v4l2.ErrorBadArgument), errors.Is(err, v4l2.ErrorUnsupported):
		return fmt.Errorf("camera %s: %w: its driver refuses (%w); try another camera", i, device.ErrFormat, err)
	case vanished(i.Path), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("camera %s: %w (%w); plug it in", i, device.ErrAbsent, err)
	}
	return fmt.Errorf("camera %s: %w (%w); unplug it and plug it in again", i, device.ErrStall, err)
}

// vanished reports whether the device's node has vanished.
func vanished(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}

// Holders names the programs that have a video device open, such as "cheese
// (process 4711)", by the path of the device, as far as this user may know.
// Other programs than the one that streams may be among them.
func Holders() map[string][]string {
	return holders(filepath.Join(devFolder, devPrefix))
}

// holders is Holders for the files whose path begins with prefix. /proc is the
// only place that tells without opening the device.
func holders(prefix string) map[string][]string {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is good
	who := make(map[string][]string)
	for _, link := range links {
		path, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(path, prefix) {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			continue // it has ended
		}
		text := fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), filepath.Base(process))
		if !slices.Contains(who[path], text) {
			who[path] = append(who[path], text)
		}
	}
	return who
}

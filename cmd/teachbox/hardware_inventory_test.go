package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/camera"
	"teachbox/device/gpio"
)

// pi4 is the lines of a Raspberry Pi 4, as far as they matter: 28 of the header
// and some of the board.
func pi4() gpio.Chip {
	c := gpio.Chip{Path: "/dev/gpiochip0", Name: "gpiochip0", Label: "pinctrl-bcm2711"}
	for i := range 30 {
		c.Lines = append(c.Lines, gpio.LineInfo{Offset: i, Name: fmt.Sprintf("GPIO%d", i)})
	}
	c.Lines[0].Name, c.Lines[1].Name = "ID_SDA", "ID_SCL"
	c.Lines[2].Used = true // I²C
	c.Lines[28].Name, c.Lines[29].Name = "RGMII_MDIO", ""
	return c
}

func expander() gpio.Chip {
	return gpio.Chip{Path: "/dev/gpiochip1", Name: "gpiochip1", Label: "raspberrypi-exp-gpio", Lines: []gpio.LineInfo{
		{Offset: 0, Name: "BT_ON", Output: true, Used: true, Holder: "shutdown"},
		{Offset: 1, Name: "GPIO17"}, // not the one that is meant
	}}
}

func webcam(path, byID string) camera.Info {
	return camera.Info{
		Path: path, ByID: byID, Name: "HD Webcam C920", Driver: "uvcvideo", Bus: "usb-0000:01:00.0-1.2", Use: camera.Usable,
		Formats: []camera.Format{
			{Code: fourCC("YUYV"), Sizes: []camera.Size{{Width: 640, Height: 480, Rate: 30}, {Width: 1920, Height: 1080, Rate: 5}}},
			{Code: fourCC("MJPG"), Sizes: []camera.Size{{Width: 1920, Height: 1080, MinWidth: 32, MinHeight: 32}}},
			{Code: fourCC("H264")},
		},
	}
}

func fourCC(s string) uint32 { return binary.LittleEndian.Uint32([]byte(s)) }

const serialLink = "/dev/v4l/by-id/usb-046d_HD_Webcam_C920_8B2D7D6F-video-index0"

// piCameras is the video devices of a Pi with a Pi camera and a USB camera.
func piCameras() []camera.Info {
	all := []camera.Info{
		webcam("/dev/video0", serialLink),
		{Path: "/dev/video1", Name: "HD Webcam C920", Driver: "uvcvideo", Use: camera.Metadata, Reason: "figures only"},
		{Path: "/dev/video2", Name: "unicam", Driver: "unicam", Use: camera.RawSensor, Reason: "a bare sensor"},
		{Path: "/dev/video3", Use: camera.Unreadable, Reason: "camera /dev/video3: permission denied; add yourself"},
	}
	for i := range 6 {
		all = append(all, camera.Info{Path: fmt.Sprintf("/dev/video%d", 10+i), Name: fmt.Sprintf("codec %d", i), Driver: "bcm2835-codec", Use: camera.Other, Reason: "it converts pictures"})
	}
	return all
}

func TestInventoryText(t *testing.T) {
	inv := newInventory(config.Default(), piCameras(), []gpio.Chip{pi4(), expander()})
	inv.Cameras[0].Holders = []string{"cheese (process 4711)"}
	inv.Cameras[0].Controls = []controlEntry{{Name: "brightness", Min: -64, Max: 64, Step: 1, Value: 3}, {Name: "gain", Max: 10, Default: 5}}
	want := `Cameras (the configuration says camera.source = "auto")
  /dev/video0  HD Webcam C920 (uvcvideo)
    usable
    open in cheese (process 4711)
    to choose it: camera.source = "v4l2:/dev/v4l/by-id/usb-046d_HD_Webcam_C920_8B2D7D6F-video-index0"
    YUYV  640×480, 30/s; 1920×1080, 5/s
    MJPG  32×32 to 1920×1080
    controls: brightness, gain
  /dev/video1  HD Webcam C920 (uvcvideo)
    metadata: figures only
  /dev/video2  unicam (unicam)
    raw sensor: a bare sensor
    to choose it: camera.source = "rpicam"
  /dev/video3
    unreadable: camera /dev/video3: permission denied; add yourself
  /dev/video10 to /dev/video15  (bcm2835-codec)
    other: it converts pictures
  rpicam-vid is not installed (only a Pi camera needs it: sudo apt install rpicam-apps)

GPIO (the configuration says panel.source = "gpio")
  /dev/gpiochip0  pinctrl-bcm2711, 30 lines
    OFFSET  NAME    DIRECTION  HELD BY     CONFIGURED AS
    2       GPIO2   in         the kernel  -
    5       GPIO5   in         -           button of slot 1
    6       GPIO6   in         -           button of slot 2
    13      GPIO13  in         -           button of slot 3
    17      GPIO17  in         -           LED of slot 1
    19      GPIO19  in         -           button of slot 4
    22      GPIO22  in         -           LED of slot 3
    23      GPIO23  in         -           LED of slot 4
    24      GPIO24  in         -           status LED
    26      GPIO26  in         -           nothing button
    27      GPIO27  in         -           LED of slot 2
  /dev/gpiochip1  raspberrypi-exp-gpio, 2 lines
    OFFSET  NAME   DIRECTION  HELD BY   CONFIGURED AS
    0       BT_ON  out        shutdown  -
  All lines of the configuration are there, and free.
`
	if diff := cmp.Diff(want, inv.text(false)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	all := inv.text(true)
	for _, want := range []string{
		"    H264  (not for the box)\n", "    control brightness: 3, from -64 to 64, at first 0\n",
		"  /dev/video13  codec 3 (bcm2835-codec)\n", "    28      RGMII_MDIO  in         -           -\n", "    29      -           in ",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("with --all there is no %q", want)
		}
	}
	if t.Failed() {
		t.Log(all)
	}
}

// TestNoHardware holds that a person is told what to do.
func TestNoHardware(t *testing.T) {
	inv := newInventory(config.Default(), nil, nil)
	inv.ChipError = "GPIO chips: not there"
	want := `Cameras (the configuration says camera.source = "auto")
  There is no video device.
  rpicam-vid is not installed (only a Pi camera needs it: sudo apt install rpicam-apps)
  Is the camera plugged in? Without one: teachbox run --sim-missing

GPIO (the configuration says panel.source = "gpio")
  GPIO chips: not there
  Without GPIO: teachbox run --sim-missing
`
	if diff := cmp.Diff(want, inv.text(false)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	if len(inv.Wiring) != 10 {
		t.Errorf("%d lines are configured (want 10)", len(inv.Wiring))
	}
	for _, w := range inv.Wiring {
		if w.Problem != "" {
			t.Errorf("without any GPIO the %s has the problem %q", w.people, w.Problem)
		}
	}
}

// TestDenied holds that a person is asked about groups where access was denied,
// and only there.
func TestDenied(t *testing.T) {
	denied := func(path string) error { return fmt.Errorf("%s: %w", path, device.ErrDenied) }
	broken := errors.New("/dev/x: it is broken")
	for _, tt := range []struct {
		cam, chip   error
		video, gpio bool
	}{
		{denied("/dev/video0"), denied("/dev/gpiochip0"), true, true},
		{broken, denied("/dev/gpiochip0"), false, true},
		{denied("/dev/video0"), broken, true, false},
	} {
		text := newInventory(config.Default(),
			[]camera.Info{{Path: "/dev/video0", Use: camera.Unreadable, Reason: tt.cam.Error(), Err: tt.cam}},
			[]gpio.Chip{{Path: "/dev/gpiochip0", Err: tt.chip}}).text(false)
		if strings.Contains(text, "group video") != tt.video || strings.Contains(text, "group gpio") != tt.gpio {
			t.Errorf("camera %v, chip %v: it says\n%s", tt.cam, tt.chip, text)
		}
	}
}

// TestNames holds that what devices call themselves cannot play with a terminal,
// and reaches programs as it is.
func TestNames(t *testing.T) {
	cam := webcam("/dev/video0", "")
	cam.Name = "C\x1b[2J920\n"
	chip := pi4()
	chip.Label = "pinctrl\a"
	chip.Lines[3].Name, chip.Lines[3].Used, chip.Lines[3].Holder = "GPIO\t3", true, "me\x1b]0;x\a"
	inv := newInventory(config.Default(), []camera.Info{cam}, []gpio.Chip{chip})
	inv.Cameras[0].Controls = []controlEntry{{Name: "gain\r"}}
	inv.Cameras[0].Holders = []string{"cheese\x9b (process 1)"}
	for _, all := range []bool{false, true} {
		text := inv.text(all)
		for _, r := range text {
			if unicode.IsControl(r) && r != '\n' {
				t.Errorf("the text has %q:\n%q", r, text)
			}
		}
		for _, want := range []string{`  C\x1b[2J920\n (uvcvideo)`, `pinctrl\a, 30 lines`, `GPIO\t3`, `me\x1b]0;x\a`, `gain\r`} {
			if !strings.Contains(text, want) {
				t.Errorf("the text does not say %s:\n%s", want, text)
			}
		}
	}
	if inv.Cameras[0].Name != cam.Name || inv.Chips[0].Lines[3].Name != "GPIO\t3" {
		t.Errorf("programs are told of %q and %q", inv.Cameras[0].Name, inv.Chips[0].Lines[3].Name)
	}
}

func TestIsBox(t *testing.T) {
	for holder, want := range map[string]bool{
		"teachbox@812": true, "teachbox-arm64@812": true,
		"teachbox-of-the-second-classroo": true, // cut by the kernel
		"teachbox":                        false, "teachbox-arm64": false,
		"teachboxes@812": false, "my-teachbox@812": false, "teachbox.test@812": false, "": false,
	} {
		if got := isBox(holder); got != want {
			t.Errorf("%q: %v (want %v)", holder, got, want)
		}
	}
}

// TestWiring holds what is said of lines that the box cannot have.
func TestWiring(t *testing.T) {
	cfg := config.Default()
	cfg.Panel.Slots = cfg.Panel.Slots[:2]
	cfg.Panel.Slots[1].LED.Line = config.Line{Pin: config.NoPin, Name: "raspberrypi-exp-gpio:0"}
	cfg.Panel.Nothing.Line = config.Line{Pin: config.NoPin, Name: "NOSUCH"}
	cfg.Panel.Status.Line = config.Line{Pin: config.NoPin, Name: "gpiochip0:30"}
	chip := pi4()
	chip.Lines[5].Used, chip.Lines[5].Holder = true, "teachbox@812"
	chip.Lines[17].Used, chip.Lines[17].Output, chip.Lines[17].Holder = true, true, "spi0 CS0"
	chip.Lines[6].Used = true
	inv := newInventory(cfg, nil, []gpio.Chip{chip, expander()})
	if text := inv.text(false); !strings.Contains(text, "  The box is running (teachbox@812), so its camera is in use.\n") {
		t.Errorf("the camera of a running box is not said to be in use:\n%s", text)
	}
	_, text, _ := strings.Cut(inv.text(false), "  The box is running (teachbox@812) and")
	want := ` has its lines.
  Wrong with the lines of the configuration:
    LED of slot 1, GPIO17: held by "spi0 CS0"; end that program, switch that driver off in config.txt, or choose another line
    button of slot 2, GPIO6: taken by the kernel for another purpose; switch that off in config.txt (SPI, I²C, serial port …), or choose another line
    LED of slot 2, raspberrypi-exp-gpio:0: held by "shutdown"; end that program, switch that driver off in config.txt, or choose another line
    nothing button, NOSUCH: not there: no GPIO chip has a line of that name; ` + "`teachbox hardware --all`" + ` lists what there is
    status LED, gpiochip0:30: not there: the chip has the lines 0 to 29; choose one of them
`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}

	// The same for programs.
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(inv.Wiring[:2]); err != nil {
		t.Fatal(err)
	}
	wantJSON := `[{"purpose":"button1","line":"GPIO5","chip":"/dev/gpiochip0","offset":5,"holder":"teachbox@812"},` +
		`{"purpose":"led1","line":"GPIO17","chip":"/dev/gpiochip0","offset":17,"problem":"held by \"spi0 CS0\"; end that program, switch that driver off in config.txt, or choose another line"}]` + "\n"
	if diff := cmp.Diff(wantJSON, b.String()); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}

	// One line under two names.
	cfg.Panel.Nothing.Line = config.Line{Pin: config.NoPin, Name: "pinctrl-bcm2711:5"}
	if got, want := newInventory(cfg, nil, []gpio.Chip{pi4()}).Wiring[4].Problem, "the same line as that of the button of slot 1; choose another one"; got != want {
		t.Errorf("of a line with two names: %q (want %q)", got, want)
	}

	// A chip that may not be asked could have any line.
	inv = newInventory(config.Default(), nil, []gpio.Chip{{Path: "/dev/gpiochip0", Err: fmt.Errorf("/dev/gpiochip0: %w", device.ErrDenied)}})
	if got, want := inv.Wiring[0].Problem, "no readable chip has it, and one cannot be read: /dev/gpiochip0: permission denied"; got != want {
		t.Errorf("on a chip that denies: %q (want %q)", got, want)
	}
	if text := inv.text(false); !strings.Contains(text, "/dev/gpiochip0: permission denied") || !strings.Contains(text, "group gpio") {
		t.Errorf("the text says neither what was denied nor what to do:\n%s", text)
	}

	// Nobody needs the lines of a simulated panel.
	cfg.Panel.Source = config.SourceSim
	inv = newInventory(cfg, nil, []gpio.Chip{chip})
	for _, w := range inv.Wiring {
		if w.Problem != "" {
			t.Errorf("a simulated panel has the problem %q with the %s", w.Problem, w.people)
		}
	}
	if text := inv.text(false); strings.Contains(text, "NOSUCH") {
		t.Errorf("a simulated panel lacks lines:\n%s", text)
	}
}

func TestChooses(t *testing.T) {
	all := []camera.Info{
		webcam("/dev/video0", serialLink),
		webcam("/dev/video2", ""),
		{Path: "/dev/video4", Name: "Lone Cam", Use: camera.Usable},
		{Path: "/dev/video5", Name: "Lone Cam", Use: camera.Metadata},
		{Path: "/dev/video6", Use: camera.Usable},
		{Path: "/dev/video8", Name: "unicam", Use: camera.RawSensor},
	}
	want := []string{"v4l2:" + serialLink, "v4l2:/dev/video2", "v4l2:Lone Cam", "", "v4l2:/dev/video6", "rpicam"}
	for i, c := range all {
		if got := chooses(c, all); got != want[i] {
			t.Errorf("%s %s is chosen by %q (want %q)", c.Path, c.Name, got, want[i])
		}
	}
}

// TestReport holds that a report says what it runs on, and nothing that names
// the machine or its owner.
func TestReport(t *testing.T) {
	root := fstest.MapFS{
		"etc/os-release":                 {Data: []byte("NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n")},
		"etc/hostname":                   {Data: []byte("annas-pi\n")},
		"proc/device-tree/model":         {Data: []byte("Raspberry Pi 4 Model B Rev 1.4\x00")},
		"proc/device-tree/serial-number": {Data: []byte("10000000abcdef01\x00")},
		"proc/sys/kernel/osrelease":      {Data: []byte("6.12.34+rpt-rpi-v8\n")},
		"proc/sys/kernel/version":        {Data: []byte("#1 SMP PREEMPT Debian 1:6.12.34-1+rpt1\n")},
	}
	cfg := config.Default()
	cfg.Camera.Source = `folder:/home/the "anna"/pictures`
	inv := newInventory(cfg, []camera.Info{webcam("/dev/video0", serialLink)}, nil)
	text := report(root, inv)
	for _, want := range []string{
		"```text\nteachbox ", "\n```\n", "6.12.34+rpt-rpi-v8", "Raspberry Pi 4 Model B Rev 1.4\n", "Debian GNU/Linux 12 (bookworm)\n",
		"HD Webcam C920", `camera.source = "v4l2:/dev/v4l/by-id/…"`, `camera.source = "folder:…"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	for _, secret := range []string{"anna", "8B2D7D6F", "abcdef01", "pictures", "\x00"} {
		if strings.Contains(text, secret) {
			t.Errorf("the report says %q", secret)
		}
	}
	if text := machine(fstest.MapFS{}); !strings.Contains(text, "board   unknown (no device tree)\nsystem  unknown\n") {
		t.Errorf("of an unknown machine it says:\n%s", text)
	}
	if t.Failed() {
		t.Log(text)
	}
}

//go:build kernel

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"teachbox/config"
	"teachbox/device"
	"teachbox/internal/virtualpi"
)

// headerChip makes a chip like that of a Raspberry Pi, with the panel of the
// default configuration on it.
func headerChip(t *testing.T) (*virtualpi.GPIOChip, virtualpi.GPIOPanel) {
	t.Helper()
	var names []string
	for i := range 28 {
		names = append(names, fmt.Sprintf("GPIO%d", i))
	}
	chip := virtualpi.NewGPIOChip(t, "pinctrl-bcm2711", names...)
	p := virtualpi.GPIOPanel{Buttons: make(map[device.Button]virtualpi.GPIOWire), LEDs: make(map[device.Lights]virtualpi.GPIOWire)}
	wire := func(l config.Line, active string) virtualpi.GPIOWire {
		return virtualpi.GPIOWire{Chip: chip, Offset: int(l.Pin), ActiveLow: active == config.ActiveLow}
	}
	panel := config.Default().Panel
	for i, s := range panel.Slots {
		p.Buttons[device.Button(i)] = wire(s.Button.Line, s.Button.Active)
		p.LEDs[device.Slot(i)] = wire(s.LED.Line, s.LED.Active)
	}
	p.Buttons[device.Nothing] = wire(panel.Nothing.Line, panel.Nothing.Active)
	p.LEDs[device.Status] = wire(panel.Status.Line, panel.Status.Active)
	p.Idle()
	return chip, p
}

// loadVivid plugs a camera in.
func loadVivid(t *testing.T) {
	t.Helper()
	virtualpi.LoadVivid(t)
	t.Cleanup(func() { virtualpi.Unload(t, "vivid") })
}

// written writes a configuration.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "teachbox.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// said runs the program and returns what it prints and its exit code.
func said(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := program(t.Context(), t, args...)
	out, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// a talk is a running `hardware test` and a person who does what it says.
type talk struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	err bytes.Buffer

	text strings.Builder // all it said
}

func newTalk(t *testing.T, args ...string) *talk {
	t.Helper()
	k := &talk{t: t, cmd: program(t.Context(), t, args...)}
	k.cmd.Stderr = &k.err
	var err error
	if k.in, err = k.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	k.out = bufio.NewScanner(out)
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return k
}

// until reads on, and hands each line to do, until one begins so. The other end
// of the input is reached if none does.
func (k *talk) until(begins string, do func(line string)) (found bool) {
	for k.out.Scan() {
		line := k.out.Text()
		fmt.Fprintln(&k.text, line)
		if begins != "" && strings.HasPrefix(line, begins) {
			return true
		}
		if do != nil {
			do(line)
		}
	}
	return false
}

// end waits for the end and returns the exit code.
func (k *talk) end() int {
	k.until("", nil)
	_ = k.cmd.Wait()
	_ = k.in.Close()
	return k.cmd.ProcessState.ExitCode()
}

// answers does what a line asks for.
func (k *talk) answers(p virtualpi.GPIOPanel) func(line string) {
	return func(line string) {
		if answer, ok := answerTo(line, p.Lights()); ok {
			_, _ = io.WriteString(k.in, answer)
		}
		if b, ok := buttonOf(line); ok {
			p.Press(b)
			time.Sleep(200 * time.Millisecond)
			p.Release(b)
		}
	}
}

func TestKernelHardwareList(t *testing.T) {
	chip, _ := headerChip(t)
	loadVivid(t)
	empty := written(t, "")
	wants := func(out string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !regexp.MustCompile("(?m)" + want).MatchString(out) {
				t.Errorf("no line matches %s", want)
			}
		}
		if t.Failed() {
			t.Log(out)
		}
	}

	out, code := said(t, "--config", empty, "hardware")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	wants(out,
		`^  /dev/video0  vivid.* \(vivid\)$`, `^    usable`, `^    to choose it: camera.source = "v4l2:.*vivid`, `^    YUYV +.*640×360`, `^    controls: brightness, .*gain`,
		`^  `+chip.Path()+`  pinctrl-bcm2711, 28 lines$`,
		`^    5 +GPIO5 +in +- +button of slot 1$`, `^    24 +GPIO24 +in +- +status LED$`,
		`^  All lines of the configuration are there, and free.$`)
	if strings.Contains(out, "GPIO20") {
		t.Errorf("a free line is listed without --all:\n%s", out)
	}
	out, _ = said(t, "--config", empty, "hardware", "--all")
	wants(out, `^    20 +GPIO20 +in +- +-$`)
	out, _ = said(t, "--config", empty, "hardware", "--report")
	wants(out, `^kernel  6\.\d`, `^    20 +GPIO20 +in +- +-$`)

	out, _ = said(t, "--config", empty, "hardware", "--json")
	var inv inventory
	if err := json.Unmarshal([]byte(out), &inv); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The machine has a chip of its own beside the one that was made.
	at := slices.IndexFunc(inv.Chips, func(c chipEntry) bool { return c.Path == chip.Path() })
	if len(inv.Cameras) != 1 || len(inv.Cameras[0].Formats) == 0 || len(inv.Cameras[0].Controls) == 0 || at < 0 || len(inv.Chips[at].Lines) != 28 || len(inv.Wiring) != 10 {
		t.Errorf("JSON: %s", out)
	}
	for _, w := range inv.Wiring {
		if w.Problem != "" || w.Chip != chip.Path() {
			t.Errorf("%s: chip %s, problem %q", w.Purpose, w.Chip, w.Problem)
		}
	}

	// While a box, here a test, has the lines and the camera.
	k := newTalk(t, "--config", empty, "hardware", "test")
	if !k.until("Is the LED", nil) {
		t.Fatalf("it asks nothing: %s%s", k.text.String(), k.err.String())
	}
	out, _ = said(t, "--config", empty, "hardware")
	wants(out, fmt.Sprintf(`^    17 +GPIO17 +out +teachbox@%d +LED of slot 1$`, k.cmd.Process.Pid),
		fmt.Sprintf(`^  The box is running \(teachbox@%d\) and has its lines.$`, k.cmd.Process.Pid))
	out, code = said(t, "--config", empty, "hardware", "test")
	wants(out, fmt.Sprintf(`^panel +FAILED +line GPIO5: in use by "teachbox@%d".*systemctl stop teachbox`, k.cmd.Process.Pid))
	if code != exitFailed {
		t.Errorf("exit code %d (want %d)", code, exitFailed)
	}
	_, _ = io.WriteString(k.in, "q\n")
	if code := k.end(); code != exitFailed {
		t.Errorf("after q: exit code %d (want %d)", code, exitFailed)
	}

	// Lines that are not there.
	out, _ = said(t, "--config", written(t, "[[panel.slots]]\nbutton = {pin = 5}\nled = {line = \"pinctrl-bcm2711:28\"}\n[[panel.slots]]\nbutton = {line = \"X\"}\nled = {pin = 6}\n"), "hardware")
	wants(out, `^    LED of slot 1, pinctrl-bcm2711:28: not there`, `^    button of slot 2, X: not there`)
}

func TestKernelHardwareTest(t *testing.T) {
	_, panel := headerChip(t)
	loadVivid(t)
	// The same panel with mistakes: two buttons swapped, an LED on a free pin.
	wrong := `status = { pin = 24 }
[[panel.slots]]
button = { pin = 6 }
led = { pin = 17 }
[[panel.slots]]
button = { pin = 5 }
led = { pin = 16 }
`
	for _, tt := range []struct {
		name, config string
		code         int
		want         []string
	}{
		{"well", "", 0, []string{
			`^camera +ok +\d+ frames in [\d.]+ s, YUYV \d+×\d+, \d+ ms old on arrival$`,
			`^LED of slot 1 +ok`, `^LED of slot 4 +ok`, `^status LED +ok`, `^button of slot 1 +ok`, `^button of slot 4 +ok`, `^nothing button +ok`,
			`^11 ok, 0 failed, 0 skipped, 0 not tested$`,
		}},
		{"wrong", "[camera]\nsource = \"sim\"\n[panel]\n" + wrong, exitFailed, []string{
			`^camera +skipped`, `^LED of slot 1 +ok`, `^LED of slot 2 +FAILED`, `^status LED +ok`,
			`^button of slot 1 +FAILED +the button of slot 2 came`, `^button of slot 2 +FAILED +the button of slot 1 came`,
			`^2 ok, 3 failed, 1 skipped, 0 not tested$`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newTalk(t, "--config", written(t, tt.config), "hardware", "test")
			k.until("", k.answers(panel))
			if code := k.end(); code != tt.code {
				t.Errorf("exit code %d (want %d)", code, tt.code)
			}
			for _, want := range tt.want {
				if !regexp.MustCompile("(?m)" + want).MatchString(k.text.String()) {
					t.Errorf("no line matches %s", want)
				}
			}
			if l := panel.Lights(); l != 0 {
				t.Errorf("after the end the LEDs show %v", l)
			}
			if t.Failed() || testing.Verbose() {
				t.Log(k.text.String() + k.err.String())
			}
		})
	}

	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			k := newTalk(t, "--config", written(t, "[camera]\nsource = \"sim\"\n"), "hardware", "test")
			if !k.until("Is the LED of slot 1", nil) || panel.Lights() != device.Slot(0) {
				t.Errorf("at the first question the LEDs show %v", panel.Lights())
			}
			if err := k.cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			if code := k.end(); code != exitFailed {
				t.Errorf("exit code %d (want %d)", code, exitFailed)
			}
			if l := panel.Lights(); l != 0 {
				t.Errorf("after the end the LEDs show %v", l)
			}
			if !strings.Contains(k.err.String(), errEarly.Error()) {
				t.Errorf("it says %s", k.err.String())
			}
		})
	}
}

// solder wires lines of a chip together, from the offset of an output to that
// of an input, until cut is called.
func solder(chip *virtualpi.GPIOChip, wires map[int]int) (cut func()) {
	done := make(chan struct{})
	var copying sync.WaitGroup
	copying.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
				for from, to := range wires {
					chip.Set(to, chip.High(from))
				}
			}
		}
	})
	return func() {
		close(done)
		copying.Wait()
	}
}

func TestKernelHardwareLoop(t *testing.T) {
	chip, panel := headerChip(t)
	defer solder(chip, map[int]int{17: 5, 24: 12, 20: 21})()
	conf := written(t, "")
	loops := []string{"--config", conf, "hardware", "test", "--loop", "led1=button1", "--loop", "status=GPIO12", "--loop", "20=pinctrl-bcm2711:21"}
	out, code := said(t, loops...)
	if code != 0 || !strings.Contains(out, "3 ok, 0 failed") {
		t.Errorf("good wires: exit code %d\n%s", code, out)
	}
	out, code = said(t, append(loops, "--loop", "led2=button2")...)
	if code != exitFailed || !regexp.MustCompile(`(?m)^led2=button2 +FAILED +button2 stays low$`).MatchString(out) || !strings.Contains(out, "3 ok, 1 failed") {
		t.Errorf("one broken wire: exit code %d\n%s", code, out)
	}
	out, code = said(t, "--config", conf, "hardware", "test", "--loop", "led1=12", "--loop", "status=button1")
	if code != exitFailed || !strings.Contains(out, "12 stays low; led1 moves button1 instead") || !strings.Contains(out, "button1 stays low; status moves 12 instead") {
		t.Errorf("crossed wires: exit code %d\n%s", code, out)
	}
	out, code = said(t, "--config", conf, "hardware", "test", "--loop", "pinctrl-bcm2711:5=20")
	if code != exitUsage || !strings.Contains(out, "pinctrl-bcm2711:5 is the button of slot 1") {
		t.Errorf("a button as an output, by another name: exit code %d\n%s", code, out)
	}
	out, code = said(t, "--config", conf, "hardware", "test", "--loop", "led1=NOSUCH")
	if code != exitFailed || !strings.Contains(out, "NOSUCH") {
		t.Errorf("no such line: exit code %d\n%s", code, out)
	}
	if l := panel.Lights(); l != 0 {
		t.Errorf("after the end the LEDs show %v", l)
	}
}

// TestKernelReadme runs the commands of the README that want hardware, as a
// reader would who has it.
func TestKernelReadme(t *testing.T) {
	chip, panel := headerChip(t)
	loadVivid(t)
	t.Setenv("TEACHBOX_CONFIG", emptyConfig(t))
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	commands := 0
	for _, block := range readme(t, "bash") {
		for command := range strings.Lines(block) {
			command = strings.TrimSpace(command)
			commands++
			t.Run(command, func(t *testing.T) {
				args := strings.Fields(strings.TrimPrefix(command, "bin/teachbox "))
				switch command {
				case "bin/teachbox hardware test":
					k := newTalk(t, args...)
					k.until("", k.answers(panel))
					if code := k.end(); code != 0 {
						t.Errorf("exit code %d\n%s%s", code, k.text.String(), k.err.String())
					}
				case "bin/teachbox hardware test --loop 17=5 --loop led2=button2":
					cut := solder(chip, map[int]int{17: 5, 27: 6})
					out, code := said(t, args...)
					cut()
					panel.Idle()
					if code != 0 || !strings.Contains(out, "2 ok, 0 failed") {
						t.Errorf("exit code %d\n%s", code, out)
					}
				case "bin/teachbox run":
					runUntilLit(t, panel, args...)
				default:
					t.Error("nobody knows how a reader would do that")
				}
				if l := panel.Lights(); l != 0 {
					t.Errorf("after the end the LEDs show %v", l)
				}
			})
		}
	}
	if commands < 3 {
		t.Errorf("only %d commands found", commands)
	}
}

// runUntilLit runs the box until an LED lights, and ends it as a reader would.
func runUntilLit(t *testing.T, panel virtualpi.GPIOPanel, args ...string) {
	t.Helper()
	cmd := program(t.Context(), t, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for late := time.After(time.Minute); panel.Lights() == 0; time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("it ended by itself: %v\n%s", err, out.String())
		case <-late:
			t.Error("no LED lights within a minute")
			_ = cmd.Process.Kill()
			<-ended
			t.Fatal(out.String())
		default:
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}

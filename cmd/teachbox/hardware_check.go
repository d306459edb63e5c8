package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/gpio"
)

// hardwareTestCmd tests the camera and, with a person's help, each LED and
// button; or wires from outputs to inputs, by itself.
type hardwareTestCmd struct {
	Wait time.Duration `default:"30s" help:"How long to wait for each button."`
	Loop []string      `sep:"none" placeholder:"FROM=TO" help:"Test a wire from an output to an input, and nothing else; repeat --loop for each wire. FROM is led1, status …, TO is button1, nothing …, or each a BCM number, a line's name or CHIP:OFFSET."`
}

// Help is the rest of the help.
func (hardwareTestCmd) Help() string {
	return `Takes pictures for a second, then asks you about each LED and waits for each button, --wait long. ` +
		`With --loop nobody is needed: wires from outputs to inputs are tested. ` +
		`Ends in a table. The exit code is 1 if anything failed or was left untested, and 0 if not; what you skip does not count.`
}

func (c hardwareTestCmd) Run(ctx context.Context, top *cli, s std) error {
	if c.Wait <= 0 {
		return usageError{fmt.Errorf("--wait %v: give each button some time, such as 30s", c.Wait)}
	}
	cfg, err := top.config()
	if err != nil {
		return err
	}
	// A terminal that goes away ends the test, and the LEDs go dark.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	var found []finding
	if len(c.Loop) > 0 {
		found, err = c.testLoop(ctx, cfg)
	} else {
		found, err = c.testAll(ctx, cfg, s)
	}
	if len(found) == 0 {
		return err
	}
	verdict := conclude(s.out, found)
	return cmp.Or(err, verdict)
}

// testLoop tests wires.
func (c hardwareTestCmd) testLoop(ctx context.Context, cfg *config.Config) ([]finding, error) {
	chips, _ := gpio.List() // without any, acquire says so
	wires, err := parseWires(c.Loop, purposes(panelOptions(cfg)), chips)
	if err != nil {
		return nil, usageError{err}
	}
	var o gpio.Options
	for _, w := range wires {
		o.Slots = append(o.Slots, w.slot)
	}
	panel, err := acquire(o)
	if err != nil {
		return nil, err
	}
	l := loop{panel: panel, wires: wires}
	return l.run(ctx)
}

// testAll tests the camera and the panel, unless they are simulated.
func (c hardwareTestCmd) testAll(ctx context.Context, cfg *config.Config, s std) ([]finding, error) {
	if !isReal(cfg.Camera) && cfg.Panel.Source == config.SourceSim {
		return nil, errors.New("hardware test: nothing to test: the configuration simulates both camera and panel (camera.source, panel.source)")
	}
	found := []finding{{"camera", skipped, fmt.Sprintf("camera.source is %q", cfg.Camera.Source)}}
	if isReal(cfg.Camera) {
		cam, err := realCamera(cfg, eye{usualEye, usualEye})
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(s.out, "Taking pictures.")
		found[0] = look(ctx, cam)
	}
	if cfg.Panel.Source == config.SourceSim {
		return append(found, finding{"panel", skipped, fmt.Sprintf("panel.source is %q", cfg.Panel.Source)}), nil
	}
	panel, err := acquire(panelOptions(cfg))
	if err != nil {
		return append(found, finding{"panel", failed, err.Error()}), nil
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	w := walk{panel: panel, wiring: cfg.Wiring(), answers: typedLines(ctx, s.in), out: s.out, wait: c.Wait}
	more, err := w.run(ctx)
	return append(found, more...), err
}

// acquire opens a panel.
func acquire(o gpio.Options) (*gpio.Panel, error) {
	if err := gpio.Init(); err != nil {
		return nil, err
	}
	o.Log = nil // what happens is told by the test itself
	p := gpio.New(o)
	if err := p.Acquire(); err != nil {
		return nil, endBox(err)
	}
	return p, nil
}

// endBox adds how to end the box, if it is a box that has a device. The errors
// of package device's parts name who has it: a panel's as the lines do
// ("teachbox@812"), a camera's as "teachbox (process 812)".
func endBox(err error) error {
	if !errors.Is(err, device.ErrBusy) {
		return err
	}
	box := regexp.MustCompile(`[ "]teachbox(?:-[^@ "]*)?(?:@| \(process )(\d+)`).FindStringSubmatch(err.Error())
	if box == nil {
		return err
	}
	return fmt.Errorf("%w; end the Teachbox that runs (process %s; `sudo systemctl stop teachbox` if it is the service)", err, box[1])
}

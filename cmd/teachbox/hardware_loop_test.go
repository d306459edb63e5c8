package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/devicetest"
	"teachbox/device/gpio"
)

// A wiredPanel is a panel whose LEDs drive its buttons.
type wiredPanel struct {
	*devicetest.FakePanel
	wires map[int][]device.Button // from an LED to buttons
	loose map[int]bool            // wires that have contact every second time
	shown device.Lights
	shows int
	onLit func(device.Lights) // sees every Show
}

func (p *wiredPanel) Show(l device.Lights) error {
	if err := p.FakePanel.Show(l); err != nil {
		return err
	}
	for i, buttons := range p.wires {
		lit := l&device.Slot(i) != 0
		if lit == (p.shown&device.Slot(i) != 0) {
			continue
		}
		p.shows++
		if p.loose[i] && p.shows%4 == 1 {
			continue
		}
		for _, b := range buttons {
			p.Edge(device.Edge{Button: b, Down: lit})
		}
	}
	p.shown = l
	if p.onLit != nil {
		p.onLit(l)
	}
	return nil
}

func TestLoop(t *testing.T) {
	straight := map[int][]device.Button{0: {0}, 1: {1}, 2: {2}}
	for _, tt := range []struct {
		name    string
		wires   map[int][]device.Button
		prepare func(p *wiredPanel, cancel func())
		want    []string
		err     error
	}{
		{name: "well", wires: straight, want: []string{"led1=button1: ok", "led2=6: ok", "status=nothing: ok"}},
		{name: "broken", wires: map[int][]device.Button{0: {0}, 2: {2}},
			want: []string{"led1=button1: ok", "led2=6: FAILED: 6 stays low", "status=nothing: ok"}},
		{name: "broken, with an LED that is lit when low", wires: map[int][]device.Button{0: {0}, 1: {1}},
			want: []string{"led1=button1: ok", "led2=6: ok", "status=nothing: FAILED: nothing stays high"}},
		{name: "always lit", wires: map[int][]device.Button{0: {0}, 2: {2}},
			prepare: func(p *wiredPanel, _ func()) { p.Press(1) },
			want:    []string{"led1=button1: ok", "led2=6: FAILED: 6 stays high", "status=nothing: ok"}},
		{name: "crossed", wires: map[int][]device.Button{0: {1}, 1: {0}, 2: {2}},
			want: []string{"led1=button1: FAILED: button1 stays low; led1 moves 6 instead", "led2=6: FAILED: 6 stays low; led2 moves button1 instead", "status=nothing: ok"}},
		{name: "short circuit", wires: map[int][]device.Button{0: {0}, 1: {1, 0, 2}, 2: {2}},
			want: []string{"led1=button1: ok", "led2=6: FAILED: led2 moves button1 and nothing, too: a short circuit?", "status=nothing: ok"}},
		{name: "loose", wires: straight,
			prepare: func(p *wiredPanel, _ func()) { p.loose = map[int]bool{0: true} },
			want:    []string{"led1=button1: FAILED: button1 follows 4 times of 6", "led2=6: ok", "status=nothing: ok"}},
		{name: "told to end", wires: straight, err: errEarly,
			prepare: func(p *wiredPanel, cancel func()) {
				p.onLit = func(l device.Lights) {
					if l == device.Slot(1) {
						cancel()
					}
				}
			},
			want: []string{"led1=button1: ok", "led2=6: not tested", "status=nothing: not tested"}},
		{name: "the panel fails", wires: straight, err: device.ErrAbsent,
			prepare: func(p *wiredPanel, _ func()) { p.Fail(device.ErrAbsent) },
			want:    []string{"led1=button1: not tested", "led2=6: not tested", "status=nothing: not tested"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				p := &wiredPanel{FakePanel: devicetest.NewFakePanel(), wires: tt.wires}
				if tt.prepare != nil {
					tt.prepare(p, cancel)
				}
				l := loop{panel: p, wires: []wire{
					{from: "led1", to: "button1"},
					{from: "led2", to: "6"},
					{from: "status", to: "nothing", slot: gpio.Slot{LED: gpio.LED{ActiveLow: true}}},
				}}
				found, err := l.run(ctx)
				var got []string
				for _, f := range found {
					got = append(got, joined(": ", f.part, string(f.result), f.note))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
				if !errors.Is(err, tt.err) {
					t.Errorf("error %v (want %v)", err, tt.err)
				}
				if p.Lights() != 0 {
					t.Errorf("after the test the LEDs show %v (want them dark)", p.Lights())
				}
			})
		})
	}
}

func TestParseWires(t *testing.T) {
	cfg, err := config.Parse("test.toml", []byte(`[panel]
nothing = { pin = 26 }
status = { pin = 24, active = "low" }
[[panel.slots]]
button = { pin = 5 }
led = { line = "chip:7" }
[[panel.slots]]
button = { line = "B2", pull = "none", active = "high" }
led = { pin = 27 }
`))
	if err != nil {
		t.Fatal(err)
	}
	ps := purposes(panelOptions(cfg))

	wires, err := parseWires([]string{"led1=button1", "status=12", "16=B2", "other:3=LINE=7"}, ps, nil)
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string) gpio.Line { return gpio.Line{Name: name} }
	want := []gpio.Slot{
		{Button: gpio.Button{Line: named("GPIO5"), Pull: gpio.PullDown}, LED: gpio.LED{Line: gpio.Line{Chip: "chip", Offset: 7}}},
		{Button: gpio.Button{Line: named("GPIO12"), Pull: gpio.PullUp, ActiveLow: true}, LED: gpio.LED{Line: named("GPIO24"), ActiveLow: true}},
		{Button: gpio.Button{Line: named("B2"), Pull: gpio.PullDown}, LED: gpio.LED{Line: named("GPIO16")}},
		{Button: gpio.Button{Line: named("LINE=7"), Pull: gpio.PullDown}, LED: gpio.LED{Line: gpio.Line{Chip: "other", Offset: 3}}},
	}
	for i, w := range wires {
		if diff := cmp.Diff(want[i], w.slot); diff != "" {
			t.Errorf("%s (-want +got):\n%s", w.from, diff)
		}
	}
	if len(wires) != len(want) {
		t.Errorf("%d wires (want %d)", len(wires), len(want))
	}

	many := make([]string, 9)
	for i := range many {
		many[i] = "1=2"
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"led1"}, "--loop led1: write FROM=TO, such as led1=button1"},
		{[]string{"=button1"}, "--loop =button1: write FROM=TO, such as led1=button1"},
		{[]string{"led1="}, "--loop led1=: write FROM=TO, such as led1=button1"},
		{[]string{"button1=led1"}, "--loop button1=led1: button1 is the button of slot 1; begin with an output, such as led1"},
		{[]string{"GPIO5=12"}, "--loop GPIO5=12: GPIO5 is the button of slot 1; begin with an output, such as led1"},
		{[]string{"12=chip:7"}, "--loop 12=chip:7: chip:7 is the LED of slot 1; end at an input, such as button1"},
		{[]string{"led1=button1", "led2=5"}, "--loop led2=5: line GPIO5 has two wires; test them one after the other"},
		{[]string{"12=12"}, "--loop 12=12: line GPIO12 has two wires; test them one after the other"},
		{many, "--loop: 9 wires are too many; test up to 8 at once"},

		// Slips.
		{[]string{"led9=button1"}, "--loop led9=button1: the configuration has no led9; it has led1 to led2 and status"},
		{[]string{"led0=button1"}, "--loop led0=button1: the configuration has no led0; it has led1 to led2 and status"},
		{[]string{"led1=button3"}, "--loop led1=button3: the configuration has no button3; it has button1 to button2 and nothing"},
		{[]string{"99=5"}, "--loop 99=5: 99 is no BCM number; those of a Raspberry Pi's header are 0 to 27"},
		{[]string{"28=5"}, "--loop 28=5: 28 is no BCM number; those of a Raspberry Pi's header are 0 to 27"},
		{[]string{"led1=-1"}, "--loop led1=-1: -1 is no BCM number; those of a Raspberry Pi's header are 0 to 27"},
		{[]string{"+5=6"}, "--loop +5=6: +5 is no BCM number; those of a Raspberry Pi's header are 0 to 27"},
		{[]string{"99999999999999999999=6"}, "--loop 99999999999999999999=6: 99999999999999999999 is no BCM number; those of a Raspberry Pi's header are 0 to 27"},
		{[]string{"led1=button1,led2=button2"}, "--loop led1=button1,led2=button2: repeat --loop for each wire: --loop led1=button1 --loop led2=button2"},
	} {
		if _, err := parseWires(tt.args, ps, nil); err == nil || err.Error() != tt.want {
			t.Errorf("%q: %v\n(want %s)", tt.args, err, tt.want)
		}
	}
}

// TestParseWiresPlaces holds that a line is known by whatever name: an output
// that meets a pressed button is a short circuit.
func TestParseWiresPlaces(t *testing.T) {
	ps := purposes(panelOptions(config.Default()))
	chips := []gpio.Chip{pi4(), expander()}
	if _, err := parseWires([]string{"pinctrl-bcm2711:17=gpiochip0:5", "16=raspberrypi-exp-gpio:1"}, ps, chips); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"pinctrl-bcm2711:5=20"}, "--loop pinctrl-bcm2711:5=20: pinctrl-bcm2711:5 is the button of slot 1; begin with an output, such as led1"},
		{[]string{"gpiochip0:26=20"}, "--loop gpiochip0:26=20: gpiochip0:26 is the nothing button; begin with an output, such as led1"},
		{[]string{"20=gpiochip0:24"}, "--loop 20=gpiochip0:24: gpiochip0:24 is the status LED; end at an input, such as button1"},
		{[]string{"20=gpiochip0:20"}, "--loop 20=gpiochip0:20: line gpiochip0:20 has two wires; test them one after the other"},
	} {
		if _, err := parseWires(tt.args, ps, chips); err == nil || err.Error() != tt.want {
			t.Errorf("%q: %v\n(want %s)", tt.args, err, tt.want)
		}
	}

	// Without a status LED and a nothing button these are no names.
	o := panelOptions(config.Default())
	o.Nothing, o.Status = nil, nil
	for arg, want := range map[string]string{
		"status=7":  "--loop status=7: the configuration has no status; it has led1 to led4",
		"7=nothing": "--loop 7=nothing: the configuration has no nothing; it has button1 to button4",
	} {
		if _, err := parseWires([]string{arg}, purposes(o), chips); err == nil || err.Error() != want {
			t.Errorf("%s: %v\n(want %s)", arg, err, want)
		}
	}
}

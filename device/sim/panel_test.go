package sim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
	"teachbox/device/devicetest"
)

func newPanel(t testing.TB, o PanelOptions) *Panel {
	t.Helper()
	p, err := NewPanel(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPanelIsAPanel(t *testing.T) {
	for name, wiring := range map[string]device.Wiring{
		"whole": {Slots: 8, Nothing: true, Status: true},
		"usual": {Slots: 4, Nothing: true, Status: true},
		"least": {Slots: 2},
	} {
		t.Run(name, func(t *testing.T) {
			devicetest.TestPanel(t, func(t *testing.T) devicetest.Bench {
				p := newPanel(t, PanelOptions{Wiring: wiring, Source: device.FromKeyboard})
				must := func(push func(device.Button) error) func(device.Button) {
					return func(b device.Button) {
						if err := push(b); err != nil {
							t.Error(err)
						}
					}
				}
				return devicetest.Bench{
					Panel: p, Wiring: wiring, Source: device.FromKeyboard,
					Press: must(p.Press), Release: must(p.Release), Lights: p.Lights,
				}
			})
		})
	}
}

func TestPanelErrors(t *testing.T) {
	for _, slots := range []int{-1, 0, 1, 9} {
		if _, err := NewPanel(PanelOptions{Wiring: device.Wiring{Slots: slots}}); err == nil {
			t.Errorf("a panel of %d slots was made", slots)
		}
	}
	p := newPanel(t, PanelOptions{Wiring: device.Wiring{Slots: 2}})
	for _, b := range []device.Button{2, device.Nothing, device.Nothing + 1, 255} {
		if err := p.Press(b); err == nil || !strings.Contains(err.Error(), "choose 1 to 2") {
			t.Errorf("Press(%d) returned %v", b, err)
		}
	}
}

// A pushed is an edge with its time since the test began, in milliseconds.
type pushed struct {
	At     int64
	Button device.Button
	Down   bool
}

func TestTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPanel(t, PanelOptions{Wiring: device.Wiring{Slots: 4, Nothing: true}})
		began := time.Now()
		var got []pushed
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- p.Watch(ctx, func(e device.Edge) {
				got = append(got, pushed{e.At.Sub(began).Milliseconds(), e.Button, e.Down})
			})
		}()
		at := func(ms int64, do func() error) {
			time.Sleep(time.Until(began.Add(time.Duration(ms) * time.Millisecond)))
			synctest.Wait()
			if err := do(); err != nil {
				t.Error(err)
			}
		}
		tap := func() error { return p.Tap(1, 100*time.Millisecond) }
		at(0, tap)
		at(200, tap)
		at(250, tap) // keeps it down until 350
		at(400, tap)
		at(450, func() error { return p.Press(1) }) // keeps it down
		at(600, func() error { return p.Press(1) })
		at(700, func() error {
			if !p.Down(1) {
				t.Error("the button is up")
			}
			return p.Release(1)
		})
		at(800, tap)
		at(850, func() error { return p.Release(1) })
		at(1000, func() error { return p.Tap(device.Nothing, time.Millisecond) })
		time.Sleep(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []pushed{
			{0, 1, true}, {100, 1, false},
			{200, 1, true}, {350, 1, false},
			{400, 1, true}, {700, 1, false},
			{800, 1, true}, {850, 1, false},
			{1000, device.Nothing, true}, {1001, device.Nothing, false},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []device.Lights
		p := newPanel(t, PanelOptions{
			Wiring:   device.Wiring{Slots: 2},
			OnChange: func(l device.Lights) { seen = append(seen, l) },
		})
		go func() {
			for _, l := range []device.Lights{1, 1, 2, 2 | device.Status, 3} {
				time.Sleep(time.Second)
				if err := p.Show(l); err != nil {
					t.Error(err)
				}
			}
		}()
		began := time.Now()
		got, err := p.WaitFor(t.Context(), func(l device.Lights) bool { return l&2 != 0 })
		if got != 2 || err != nil || time.Since(began) != 3*time.Second {
			t.Errorf("WaitFor returned %v, %v after %v (want LED 2 after 3 s)", got, err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got, err = p.WaitFor(ctx, func(l device.Lights) bool { return l == 0 })
		if got != 3 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitFor returned %v, %v (want both LEDs and a deadline exceeded)", got, err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]device.Lights{1, 2, 3}, seen); diff != "" {
			t.Errorf("OnChange: %s", diff)
		}
	})
}

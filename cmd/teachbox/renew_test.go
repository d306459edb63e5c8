package main

import (
	"context"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/device"
	"teachbox/device/devicetest"
)

// A flaky panel fails after a while, and may be stale then.
type flaky struct {
	*devicetest.FakePanel
	works time.Duration
	stale bool
}

func (f *flaky) Stale() bool { return f.stale }

func (f *flaky) Watch(ctx context.Context, _ func(device.Edge)) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(f.works):
		return fmt.Errorf("chip: %w", device.ErrAbsent)
	}
}

func TestRenewing(t *testing.T) {
	for _, test := range []struct {
		name    string
		panel   flaky
		renewed int           // processes in a row before
		age     time.Duration // of the process when Watch is called
		want    int           // renewals asked for in a row, 0: none
	}{
		{"gone", flaky{}, 0, 0, 0},
		{"back at once", flaky{stale: true}, 0, 0, 1},
		{"a second process in a row waits", flaky{stale: true}, 1, 900 * time.Millisecond, 0},
		{"and is then replaced", flaky{stale: true}, 1, time.Second, 2},
		{"the fifth waits longer", flaky{stale: true}, 4, 7 * time.Second, 0},
		{"but not for ever", flaky{stale: true}, 50, 64 * time.Second, 51},
		{"it worked for long", flaky{stale: true, works: steadyPanel}, 9, 0, 1},
		{"it worked, and is gone", flaky{works: steadyPanel}, 0, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.panel.FakePanel = devicetest.NewFakePanel()
				got := 0
				p := newRenewing(&test.panel, test.renewed, func(r renewal) { got = r.again })
				time.Sleep(test.age)
				if err := p.Watch(t.Context(), nil); err == nil {
					t.Error("Watch swallowed the error")
				}
				if got != test.want {
					t.Errorf("renewals %d, want %d", got, test.want)
				}
			})
		})
	}

	t.Run("told to end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newRenewing(&flaky{FakePanel: devicetest.NewFakePanel(), works: time.Hour, stale: true}, 0,
				func(renewal) { t.Error("a renewal was asked for") })
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := p.Watch(ctx, nil); err != nil {
				t.Error(err)
			}
		})
	})
}

// replaced is the program of TestReplaceProcess.
func replaced() {
	nameProcess()
	if n := renewals(); n < 3 {
		fmt.Println(replaceProcess(renewal{again: n + 1}))
		os.Exit(1)
	}
	name, err := os.ReadFile("/proc/self/comm")
	fmt.Printf("%d in a row, called %q, error %v\n", renewals(), name, err)
}

// TestReplaceProcess has a process replace itself again and again: the count must
// get through, and the name must stay.
func TestReplaceProcess(t *testing.T) {
	cmd := program(t.Context(), t)
	cmd.Args[0] = "replaced"
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "3 in a row, called \"replaced\\n\", error <nil>\n"; string(out) != want {
		t.Errorf("the last of four processes said %q, want %q", out, want)
	}
}

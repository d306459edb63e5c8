package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/sim"
	"teachbox/internal/box"
)

//go:embed demo.txt
var demoScript string

// demoCmd plays a lesson on a simulated box of its own: the real model and the
// real head, nothing kept.
type demoCmd struct {
	Photos string `placeholder:"DIR" help:"Show these photographs instead of drawn objects; wants --script."`
	Script string `placeholder:"FILE" help:"Play this script instead."`
}

func (c *demoCmd) Run(ctx context.Context, top *cli, s std) error {
	if c.Photos != "" && c.Script == "" {
		return usageError{errors.New("demo: --photos wants --script: the built-in lesson knows only the drawn objects")}
	}
	given, err := top.config()
	if err != nil {
		return err
	}
	// Of the configuration what makes the eye of a box; the rest is the demo's.
	cfg := config.Default()
	cfg.Model, cfg.Camera = given.Model, given.Camera
	cfg.Camera.Source, cfg.Panel.Source, cfg.Sim.Photos = config.SourceSim, config.SourceSim, c.Photos
	script, err := readScript(c.Script)
	if script == nil && err == nil {
		script, err = sim.Parse("demo.txt", strings.NewReader(demoScript))
	}
	if err != nil {
		return err
	}
	state, err := os.MkdirTemp("", "teachbox-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var kept atomic.Int64
	a, err := assemble(cfg, assembly{state: state, observe: func(e box.Event) {
		if e.Kind == box.Kept {
			kept.Add(1)
		}
	}})
	if err != nil {
		return err
	}
	defer a.store.Close()
	for _, text := range a.desk.Catalog().LeftOut() {
		fmt.Fprintln(s.err, "teachbox:", text)
	}
	d := &demo{a: a, out: s.out, began: time.Now(), taught: make(map[string]device.Button)}
	var ended sync.WaitGroup
	ended.Go(func() {
		defer cancel()
		err = script.Run(ctx, sim.Box{Desk: demoDesk{d}, Panel: demoPanel{a.panel, d}, Kept: func() int { return int(kept.Load()) }, Say: d.say})
		if err == nil {
			d.leave()
		}
	})
	failed := a.box.Run(ctx)
	ended.Wait()
	if errors.Is(err, context.Canceled) {
		return failed // ended by a signal, not by the script's fault
	}
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	return d.table(a.box.Snapshot())
}

// A demo notes what the script shows and what the box answers.
type demo struct {
	a     *appliance
	out   io.Writer
	began time.Time

	taught map[string]device.Button // class of the catalog → the button it was taught with
	rows   []demoRow
	thing  string // on the desk; "" is the empty desk
	pushed bool   // a button was pushed for it
}

// A demoRow is one thing that was shown without teaching it.
type demoRow struct {
	thing, answer string
	right         bool
}

func (r demoRow) verdict() string {
	if r.right {
		return "right"
	}
	return "wrong"
}

// emptyDesk is what the table calls it.
const emptyDesk = "the empty desk"

func (d *demo) say(text string) {
	fmt.Fprintf(d.out, "%4.0f s  %s\n", time.Since(d.began).Seconds(), text)
}

// leave notes and tells the answer to what lies on the desk, unless it was being
// taught.
func (d *demo) leave() {
	if d.pushed || d.thing == "" && len(d.taught) < 2 {
		return
	}
	s := d.a.box.Snapshot()
	button, taught := d.taught[class(d.thing)]
	taught = taught && button != device.Nothing
	row := demoRow{thing: d.thing, answer: "dark", right: !taught && !s.Known}
	if row.thing == "" {
		row.thing = emptyDesk
	}
	if s.Known {
		row.answer = fmt.Sprintf("LED %d", s.Lit+1)
		row.right = taught && s.Lit == button
	}
	d.rows = append(d.rows, row)
	d.say(fmt.Sprintf("%s: %s, %s", row.thing, row.answer, row.verdict()))
}

// class is the class of a thing of the catalog.
func class(thing string) string {
	name, _, _ := strings.Cut(thing, "/")
	return name
}

func (d *demo) table(s box.Snapshot) error {
	w := tabwriter.NewWriter(d.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\nTAUGHT\tAS\tPRESSES\tEXAMPLES")
	for _, k := range s.Contents.Classes {
		what := emptyDesk
		for name, b := range d.taught {
			if b == k.Button && name != "" {
				what = name
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", what, k.Button, k.Presses, k.Frames)
	}
	fmt.Fprintln(w, "\nSHOWN\tANSWERED\t\t")
	right := 0
	for _, r := range d.rows {
		if r.right {
			right++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", r.thing, r.answer, r.verdict())
	}
	fmt.Fprintf(w, "\n%d of %d right\n", right, len(d.rows))
	return w.Flush()
}

// demoDesk is the desk, with notes taken.
type demoDesk struct{ d *demo }

func (k demoDesk) Show(name string) error {
	k.d.leave()
	err := k.d.a.desk.Show(name)
	k.d.thing, k.d.pushed = k.d.a.desk.Shown(), false
	return err
}

func (k demoDesk) Clear() {
	k.d.leave()
	k.d.a.desk.Clear()
	k.d.thing, k.d.pushed = "", false
}

// demoPanel is the panel, with notes taken.
type demoPanel struct {
	*sim.Panel
	d *demo
}

func (p demoPanel) Press(b device.Button) error {
	p.d.pushed = true
	p.d.taught[class(p.d.thing)] = b
	return p.Panel.Press(b)
}

//go:build kernel

package gpio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"teachbox/device"
	"teachbox/device/devicetest"
	"teachbox/internal/virtualpi"
)

// periph looks at the chips once in a process, so every test here makes its
// chips in a process of its own, and has more of them where it needs a second
// look, with roleEnv telling them what to do.
const (
	freshEnv = "TEACHBOX_GPIO_FRESH"
	roleEnv  = "TEACHBOX_GPIO_ROLE"
)

// patience is for a machine that is emulated.
const patience = 30 * time.Second

// fresh reports whether this process is the test's own. If not, it runs the
// test in one.
func fresh(t *testing.T) bool {
	if os.Getenv(freshEnv) != "" {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), freshEnv+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("in a process of its own: %v", err)
	}
	return false
}

// A helper is another process that runs this test in a role.
type helper struct {
	*exec.Cmd
	in   io.WriteCloser
	said *bufio.Scanner
}

// role starts a helper.
func role(t *testing.T, name string) *helper {
	t.Helper()
	h := &helper{Cmd: exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")}
	h.Env = append(os.Environ(), roleEnv+"="+name)
	h.Stderr = os.Stderr
	in, err := h.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	h.in, h.said = in, bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = h.Process.Kill()
		_ = h.Wait()
	})
	return h
}

// says waits until the helper says a word.
func (h *helper) says(t *testing.T, word string) {
	t.Helper()
	for h.said.Scan() {
		if h.said.Text() == word {
			return
		}
		t.Logf("helper: %s", h.said.Text())
	}
	t.Fatalf("the helper ended without saying %q", word)
}

// goOn lets a helper go on that waits in say.
func (h *helper) goOn(t *testing.T) {
	t.Helper()
	if _, err := h.in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
}

// ends waits for the helper to end well.
func (h *helper) ends(t *testing.T) {
	t.Helper()
	for h.said.Scan() {
		t.Logf("helper: %s", h.said.Text())
	}
	if err := h.Wait(); err != nil {
		t.Errorf("the helper: %v", err)
	}
}

// say tells the process that started this helper a word, and waits for goOn.
func say(t *testing.T, word string) {
	t.Helper()
	fmt.Printf("%s\n", word)
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// wiring says how a panel is wired to simulated chips: buttons and LEDs by
// turns.
type wiring struct {
	slots              int
	pull               Pull
	pressedLow, litLow bool
	place              func(n int) (c *virtualpi.GPIOChip, l Line, offset int)
}

// connect builds both sides of a wiring.
func connect(w wiring) (Options, virtualpi.GPIOPanel) {
	hands := virtualpi.GPIOPanel{Buttons: make(map[device.Button]virtualpi.GPIOWire), LEDs: make(map[device.Lights]virtualpi.GPIOWire)}
	n := 0
	button := func(b device.Button) Button {
		c, l, offset := w.place(n)
		n++
		hands.Buttons[b] = virtualpi.GPIOWire{Chip: c, Offset: offset, ActiveLow: w.pressedLow}
		return Button{Line: l, Pull: w.pull, ActiveLow: w.pressedLow}
	}
	led := func(bit device.Lights) LED {
		c, l, offset := w.place(n)
		n++
		hands.LEDs[bit] = virtualpi.GPIOWire{Chip: c, Offset: offset, ActiveLow: w.litLow}
		return LED{Line: l, ActiveLow: w.litLow}
	}
	var o Options
	for i := range w.slots {
		o.Slots = append(o.Slots, Slot{button(device.Button(i)), led(device.Slot(i))})
	}
	o.Nothing = new(button(device.Nothing))
	o.Status = new(led(device.Status))
	return o, hands
}

// names are GPIO0 and so on.
func names(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("GPIO%d", i))
	}
	return list
}

// named is a place on one chip whose lines are GPIO0 and so on.
func named(c *virtualpi.GPIOChip) func(int) (*virtualpi.GPIOChip, Line, int) {
	return func(n int) (*virtualpi.GPIOChip, Line, int) {
		return c, Line{Name: fmt.Sprintf("GPIO%d", n)}, n
	}
}

// ordinary is the usual wiring of two slots on one chip, whose lines are GPIO0
// to GPIO5: class 1, its LED, class 2, its LED, nothing, status.
func ordinary(t *testing.T) (*virtualpi.GPIOChip, Options, virtualpi.GPIOPanel) {
	t.Helper()
	c := virtualpi.NewGPIOChip(t, "pinctrl-sim", names(6)...)
	o, hands := connect(wiring{slots: 2, pull: PullUp, pressedLow: true, place: named(c)})
	hands.Idle()
	return c, o, hands
}

// same is the options of ordinary, for a helper: the chip is there already.
func same() Options {
	o, _ := connect(wiring{slots: 2, pull: PullUp, pressedLow: true, place: named(nil)})
	return o
}

func begin(t *testing.T) {
	t.Helper()
	if err := Init(); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, o Options) *Panel {
	t.Helper()
	p := New(o)
	t.Cleanup(func() {
		if err := p.Halt(); err != nil {
			t.Errorf("Halt: %v", err)
		}
	})
	if err := p.Acquire(); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestKernelPanel holds the panel to its contract, over several wirings.
func TestKernelPanel(t *testing.T) {
	if !fresh(t) {
		return
	}
	main := virtualpi.NewGPIOChip(t, "pinctrl-sim", names(20)...)
	nameless := virtualpi.NewGPIOChip(t, "nameless", make([]string, 10)...)
	// A chip that has names of the processor's too, and the same name twice.
	hat := virtualpi.NewGPIOChip(t, "hat", "GPIO0", "GPIO1", "", "X", "X", "X", "", "")
	begin(t)
	for name, w := range map[string]wiring{
		"default": {slots: 4, pull: PullUp, pressedLow: true, place: named(main)},
		"coral":   {slots: 4, pull: PullDown, litLow: true, place: named(main)},
		"eight":   {slots: 8, pull: PullUp, pressedLow: true, place: named(main)},
		"no pull": {slots: 2, pressedLow: true, place: named(main)},
		"nameless": {slots: 4, pull: PullUp, pressedLow: true, place: func(n int) (*virtualpi.GPIOChip, Line, int) {
			return nameless, Line{Chip: "nameless", Offset: n}, n
		}},
		"nameless coral": {slots: 4, pull: PullDown, litLow: true, place: func(n int) (*virtualpi.GPIOChip, Line, int) {
			return nameless, Line{Chip: nameless.Name(), Offset: n}, n
		}},
		"spread": {slots: 4, pull: PullUp, pressedLow: true, place: func(n int) (*virtualpi.GPIOChip, Line, int) {
			if n%3 != 0 {
				return named(main)(n)
			}
			return hat, Line{Chip: "hat", Offset: n / 3}, n / 3
		}},
	} {
		t.Run(name, func(t *testing.T) {
			devicetest.TestPanel(t, func(t *testing.T) devicetest.Bench {
				o, hands := connect(w)
				hands.Idle()
				return devicetest.Bench{
					// Acquired first, since that sets the simulated pulls.
					Panel:  open(t, o),
					Wiring: device.Wiring{Slots: w.slots, Nothing: true, Status: true},
					Source: device.FromPanel,
					Press:  hands.Press, Release: hands.Release, Lights: hands.Lights,
					Patience: patience,
				}
			})
		})
	}
}

// TestKernelPins uses pins of a Raspberry Pi that its device tree names
// otherwise.
func TestKernelPins(t *testing.T) {
	if !fresh(t) {
		return
	}
	c := virtualpi.NewGPIOChip(t, "pinctrl-bcm2711", "ID_SDA", "ID_SCL", "SDA1", "SCL1", "", "GPIO5")
	virtualpi.NewGPIOChip(t, "hat", "", "GPIO2")
	begin(t)
	devicetest.TestPanel(t, func(t *testing.T) devicetest.Bench {
		o, hands := connect(wiring{slots: 2, pull: PullUp, pressedLow: true, place: named(c)})
		hands.Idle()
		return devicetest.Bench{
			Panel:  open(t, o),
			Wiring: device.Wiring{Slots: 2, Nothing: true, Status: true},
			Source: device.FromPanel,
			Press:  hands.Press, Release: hands.Release, Lights: hands.Lights,
			Patience: patience,
		}
	})
}

// A watcher is a Watch that runs.
type watcher struct {
	cancel context.CancelFunc
	done   chan error
	gate   sync.Mutex // lock it and emit does not return
	mu     sync.Mutex
	down   map[device.Button]bool
	edges  int
}

func watchPanel(t *testing.T, p *Panel) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	w := &watcher{cancel: cancel, done: make(chan error, 1), down: make(map[device.Button]bool)}
	go func() {
		w.done <- p.Watch(ctx, func(e device.Edge) {
			w.gate.Lock()
			defer w.gate.Unlock()
			w.mu.Lock()
			defer w.mu.Unlock()
			w.down[e.Button] = e.Down
			w.edges++
		})
	}()
	time.Sleep(3 * idle)
	return w
}

func (w *watcher) state(b device.Button) (down bool, edges int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down[b], w.edges
}

// ends waits for Watch to end.
func (w *watcher) ends(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.done:
		return err
	case <-time.After(patience):
		t.Fatal("Watch goes on")
		return nil
	}
}

// TestKernelBounce shows that bounce and storms end in the true level, with
// names and without.
func TestKernelBounce(t *testing.T) {
	if !fresh(t) {
		return
	}
	_, o, hands := ordinary(t)
	nameless := virtualpi.NewGPIOChip(t, "nameless", "", "")
	o.Slots[1].Button.Line = Line{Chip: "nameless", Offset: 1}
	hands.Buttons[1] = virtualpi.GPIOWire{Chip: nameless, Offset: 1, ActiveLow: true}
	hands.Idle()
	begin(t)
	w := watchPanel(t, open(t, o))
	settles := func(what string, b device.Button, want bool) {
		t.Helper()
		for late := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			if down, _ := w.state(b); down == want {
				break
			}
			if time.Now().After(late) {
				t.Fatalf("%s: %v does not settle (want down: %t)", what, b, want)
			}
		}
		time.Sleep(idle + quiet)
		if down, _ := w.state(b); down != want {
			t.Fatalf("%s: %v does not stay as it is (down: %t)", what, b, want)
		}
	}
	for _, b := range []device.Button{0, 1} {
		for round := range 3 {
			began := time.Now()
			_, before := w.state(b)
			for range 25 {
				hands.Press(b)
				hands.Release(b)
			}
			took := time.Since(began)
			settles("50 edges", b, false)
			_, after := w.state(b)
			t.Logf("%v, round %d: 50 edges in %v, of which %d were emitted", b, round, took, after-before)
			hands.Press(b)
			settles("a press", b, true)
			for range 25 {
				hands.Release(b)
				hands.Press(b)
			}
			settles("51 edges", b, true)
			hands.Release(b)
			settles("a release", b, false)
		}
	}
	// While nobody takes the edges the queue overflows, and the release of one
	// button is lost in the storm of another.
	for _, b := range []device.Button{0, 1} {
		hands.Press(b)
		settles("a press", b, true)
	}
	w.gate.Lock()
	storm := func() {
		for range 100 {
			hands.Press(device.Nothing)
			hands.Release(device.Nothing)
			time.Sleep(time.Millisecond) // or the simulated interrupts merge
		}
	}
	storm()
	hands.Release(0)
	hands.Release(1)
	storm()
	w.gate.Unlock()
	for _, b := range []device.Button{0, 1, device.Nothing} {
		settles("a storm", b, false)
	}
	w.cancel()
	if err := w.ends(t); err != nil {
		t.Error(err)
	}
}

// processorTime is what this process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestKernelGone takes a chip away under a Watch, with names and without, and
// brings it back.
func TestKernelGone(t *testing.T) {
	if os.Getenv(roleEnv) == "new process" {
		begin(t)
		o := same()
		o.Slots[1].Button.Line = Line{Chip: "nameless", Offset: 1}
		open(t, o)
		say(t, "acquired")
		return
	}
	if !fresh(t) {
		return
	}
	chip, o, _ := ordinary(t)
	nameless := virtualpi.NewGPIOChip(t, "nameless", "", "")
	o.Slots[1].Button.Line = Line{Chip: "nameless", Offset: 1}
	begin(t)
	p := open(t, o)
	for _, c := range []*virtualpi.GPIOChip{nameless, chip} {
		w := watchPanel(t, p)
		idleTime := processorTime(t)
		time.Sleep(time.Second)
		idleTime = processorTime(t) - idleTime

		began := time.Now()
		c.Remove()
		err := w.ends(t)
		t.Logf("Watch ended after %v: %v", time.Since(began), err)
		if !errors.Is(err, device.ErrAbsent) {
			t.Errorf("Watch: %v (want %v)", err, device.ErrAbsent)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("that took %v (want a second at most)", took)
		}
		if down, edges := w.state(1); down || edges != 0 {
			t.Errorf("%d edges though nobody touched a button; class 2 is down: %t", edges, down)
		}
		used := processorTime(t)
		for range 10 {
			time.Sleep(100 * time.Millisecond)
			if err := p.Show(1); !errors.Is(err, device.ErrAbsent) {
				t.Errorf("Show: %v (want %v)", err, device.ErrAbsent)
			}
		}
		used = processorTime(t) - used
		t.Logf("processor time in a second: %v while watching, %v after the chip was gone", idleTime, used)
		if max(used, idleTime) > 500*time.Millisecond {
			t.Error("something spins")
		}
		for _, f := range []func() error{p.Acquire, func() error { return p.Watch(t.Context(), nil) }} {
			if err := f(); !errors.Is(err, device.ErrAbsent) {
				t.Errorf("another attempt: %v (want %v)", err, device.ErrAbsent)
			}
		}
		if err := p.Halt(); err != nil {
			t.Errorf("Halt: %v", err)
		}
		if p.Stale() {
			t.Error("Stale though the chip is gone")
		}
		c.Restore()
		if !p.Stale() {
			t.Error("not Stale though the chip is back")
		}
		if err := p.Acquire(); !errors.Is(err, device.ErrAbsent) || !strings.Contains(err.Error(), "start the program again") {
			t.Errorf("Acquire of the chip that came back: %v", err)
		}
		if !p.Stale() {
			t.Error("not Stale after another attempt")
		}
		h := role(t, "new process")
		h.says(t, "acquired")
		if p.Stale() {
			t.Error("Stale though another process has the lines")
		}
		h.goOn(t)
		h.ends(t)
		if c == nameless { // go on without it
			o.Slots[1].Button.Line = Line{Name: "GPIO2"}
			p = open(t, o)
		}
	}
}

// TestKernelSingle takes the chip of a line that has no name away: periph reads
// such a line as low then, without an error.
func TestKernelSingle(t *testing.T) {
	if !fresh(t) {
		return
	}
	c := virtualpi.NewGPIOChip(t, "nameless", "", "")
	begin(t)
	chips, err := List()
	if err != nil {
		t.Fatal(err)
	}
	info := chips[slices.IndexFunc(chips, func(i Chip) bool { return i.Name == c.Name() })]
	in, err := (periph{}).in(info, []pin{{offset: 0, pull: PullUp}})
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	out, err := (periph{}).out(info, []pin{{offset: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer out.close()
	if bits, err := in.read(); err != nil || bits != 1 {
		t.Errorf("read: %b, %v (want high, by the pull)", bits, err)
	}
	if line, _, err := in.wait(time.Millisecond); err != nil || line != -1 {
		t.Errorf("wait: line %d, %v (want none)", line, err)
	}
	c.Set(0, false)
	if line, high, err := in.wait(patience); err != nil || line != 0 || high {
		t.Errorf("wait: line %d, high: %t, %v (want line 0, low)", line, high, err)
	}
	c.Remove()
	_, readErr := in.read()
	_, _, waitErr := in.wait(patience)
	for what, err := range map[string]error{"read": readErr, "wait": waitErr, "write": out.write(1, 1)} {
		if err == nil || !isErrno(err, syscall.ENODEV) {
			t.Errorf("%s of a chip that is gone: %v (want ENODEV)", what, err)
		}
	}
}

// TestKernelDenied begins as an ordinary user who may not open the chip, and is
// then allowed to.
func TestKernelDenied(t *testing.T) {
	if os.Getenv(roleEnv) == "user" {
		if err := syscall.Setuid(1000); err != nil {
			t.Fatal(err)
		}
		begin(t)
		p := New(same())
		err := p.Acquire()
		if !errors.Is(err, device.ErrDenied) || !strings.Contains(err.Error(), "line GPIO0: no readable chip has it, and one cannot be read: /dev/gpiochip") || !strings.Contains(err.Error(), "group gpio") {
			t.Errorf("Acquire: %v", err)
		}
		if err := p.Show(1); !errors.Is(err, device.ErrDenied) {
			t.Errorf("Show: %v", err)
		}
		if err := p.Watch(t.Context(), nil); !errors.Is(err, device.ErrDenied) {
			t.Errorf("Watch: %v", err)
		}
		if chips, err := List(); err != nil || !slices.ContainsFunc(chips, func(c Chip) bool { return errors.Is(c.Err, device.ErrDenied) }) {
			t.Errorf("List: %+v, %v (want a chip that is denied)", chips, err)
		}
		if p.Stale() {
			t.Error("Stale while denied")
		}
		say(t, "denied")
		if !p.Stale() {
			t.Error("not Stale though a new process would be allowed")
		}
		if err := p.Acquire(); !errors.Is(err, device.ErrAbsent) || !p.Stale() {
			t.Errorf("Acquire once it is allowed: %v, Stale: %t", err, p.Stale())
		}
		if err := p.Halt(); err != nil {
			t.Error(err)
		}
		return
	}
	if os.Getenv(roleEnv) == "allowed user" {
		if err := syscall.Setuid(1000); err != nil {
			t.Fatal(err)
		}
		begin(t)
		open(t, same())
		return
	}
	c, _, _ := ordinary(t)
	h := role(t, "user")
	h.says(t, "denied")
	if err := os.Chmod(c.Path(), 0o666); err != nil {
		t.Fatal(err)
	}
	h.goOn(t)
	h.ends(t)
	role(t, "allowed user").ends(t)
}

// TestKernelBusy asks for a line that another program has.
func TestKernelBusy(t *testing.T) {
	if os.Getenv(roleEnv) == "holder" {
		begin(t)
		open(t, Options{Status: &LED{Line: Line{Name: "GPIO3"}}})
		say(t, "held")
		return
	}
	if !fresh(t) {
		return
	}
	c, o, _ := ordinary(t)
	begin(t)
	h := role(t, "holder")
	h.says(t, "held")
	p := New(o)
	err := p.Acquire()
	t.Log(err)
	if !errors.Is(err, device.ErrBusy) || !strings.Contains(err.Error(), "line GPIO3: ") || !strings.Contains(err.Error(), fmt.Sprintf("@%d", h.Process.Pid)) {
		t.Errorf("Acquire: %v (want one about GPIO3 and process %d)", err, h.Process.Pid)
	}
	if p.Stale() {
		t.Error("Stale though a new process would not have the line either")
	}
	// The others must not have stayed with us.
	chips, err := List()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(chips, func(i Chip) bool { return i.Name == c.Name() })
	if i < 0 || chips[i].Path != c.Path() || chips[i].Label != "pinctrl-sim" || len(chips[i].Lines) != 6 {
		t.Fatalf("List: %+v", chips)
	}
	for n, l := range chips[i].Lines {
		held := n == 3
		if l.Offset != n || l.Name != fmt.Sprintf("GPIO%d", n) || l.Used != held || l.Output != held || (l.Holder != "") != held {
			t.Errorf("List: line %+v", l)
		}
	}
	// The kernel itself says so too, to one who did not look first.
	if _, err := (periph{}).out(chips[i], []pin{{offset: 1}, {offset: 3}}); err == nil || !isErrno(err, syscall.EBUSY) {
		t.Errorf("the request: %v (want EBUSY)", err)
	}
	h.goOn(t)
	h.ends(t)
	if err := p.Acquire(); err != nil {
		t.Errorf("Acquire once the line is free: %v", err)
	}
	if err := p.Halt(); err != nil {
		t.Error(err)
	}
}

// TestKernelDark ends a process in the ordinary way and by SIGTERM, with its
// LEDs lit. A simulated line that is freed falls back to its pull, which is dark
// here as with real LEDs; that they are made dark before is for TestShow.
func TestKernelDark(t *testing.T) {
	if name := os.Getenv(roleEnv); name != "" {
		ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
		defer stop()
		begin(t)
		o := same()
		for i := range o.Slots {
			o.Slots[i].LED.ActiveLow = name == "active low"
		}
		o.Status.ActiveLow = name == "active low"
		p := open(t, o)
		go func() {
			if err := p.Show(device.AllSlots(2) | device.Status); err != nil {
				t.Error(err)
			}
			fmt.Println("lit")
		}()
		if err := p.Watch(ctx, func(device.Edge) {}); err != nil {
			t.Error(err)
		}
		return // open halts
	}
	_, _, hands := ordinary(t)
	for _, name := range []string{"active high", "active low"} {
		for bit, w := range hands.LEDs {
			w.ActiveLow = name == "active low"
			hands.LEDs[bit] = w
		}
		hands.Idle()
		h := role(t, name)
		h.says(t, "lit")
		if l := hands.Lights(); l != device.AllSlots(2)|device.Status {
			t.Errorf("%s: the LEDs show %v", name, l)
		}
		if err := h.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		h.ends(t)
		if l := hands.Lights(); l != 0 {
			t.Errorf("%s: the LEDs show %v after the end", name, l)
		}
	}
}

// TestKernelStdin begins with two nodes for one chip, where periph closes
// descriptor 0.
func TestKernelStdin(t *testing.T) {
	if os.Getenv(roleEnv) == "reader" {
		begin(t)
		open(t, same())
		say(t, "ready")
		return
	}
	c, _, _ := ordinary(t)
	link := "/dev/gpiochip42"
	if err := os.Symlink(c.Name(), link); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(link)
	h := role(t, "reader")
	h.says(t, "ready")
	if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", h.Process.Pid)); err != nil || !strings.HasPrefix(to, "pipe:") {
		t.Errorf("its standard input is %s, %v (want the pipe that it was)", to, err)
	}
	h.goOn(t)
	h.ends(t)
	chips, err := List()
	if err != nil {
		t.Fatal(err)
	}
	chips = slices.DeleteFunc(chips, func(i Chip) bool { return i.Label != "pinctrl-sim" })
	if len(chips) != 1 || chips[0].Path != c.Path() {
		t.Errorf("List: %+v (want the chip once)", chips)
	}
}

// TestKernelLeaks counts descriptors over many lives of a panel.
func TestKernelLeaks(t *testing.T) {
	if !fresh(t) {
		return
	}
	_, o, _ := ordinary(t)
	virtualpi.NewGPIOChip(t, "nameless", "", "")
	o.Slots[1].Button.Line = Line{Chip: "nameless", Offset: 1}
	o.Slots[1].LED.Line = Line{Chip: "nameless", Offset: 0}
	begin(t)
	p := New(o)
	count := func() int {
		t.Helper()
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	cycle := func(watch bool) {
		t.Helper()
		if err := p.Acquire(); err != nil {
			t.Fatal(err)
		}
		if watch {
			w := watchPanel(t, p)
			w.cancel()
			if err := w.ends(t); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Halt(); err != nil {
			t.Fatal(err)
		}
	}
	cycle(true) // the runtime's poller opens its own
	before := count()
	for i := range 100 {
		cycle(i%10 == 0)
	}
	// Half of the lines are had, then given back.
	p = New(Options{Slots: o.Slots, Status: &LED{Line: Line{Name: "nowhere"}}})
	for range 10 {
		if err := p.Acquire(); !errors.Is(err, device.ErrAbsent) {
			t.Fatal(err)
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

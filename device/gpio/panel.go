package gpio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"teachbox/device"
)

const (
	// idle is how long a reader waits for an edge before it looks at the
	// levels; it also bounds how long Watch takes to end.
	idle = 100 * time.Millisecond
	// quiet is how long no edge may have come for a burst to be over. The
	// kernel's queue drops the oldest edges of a burst without a word, so the
	// levels are read then.
	quiet = 25 * time.Millisecond
	// drain is how long an edge that is queued already may take to be read.
	drain = 5 * time.Millisecond
	// retry is how long Show repeats the error of a panel that could not be
	// acquired, since it is called many times a second.
	retry = time.Second
	// queue is the number of edges that the kernel keeps for each line
	// (linux/gpio.h, event_buffer_size of struct gpio_v2_line_request).
	queue = 16
)

// errHalted is the error of a Watch during which the panel was halted.
var errHalted = errors.New("panel: halted; watch it again")

// A Panel is buttons and LEDs on GPIO lines. Its methods may be called from
// several goroutines.
type Panel struct {
	in, out []pin
	log     *slog.Logger
	host    host

	mu     sync.Mutex
	held   *held     // nil: the lines are not ours
	err    error     // why the lines were last not to be had, or were lost
	failed time.Time // when
}

var _ device.Panel = (*Panel)(nil)

// New returns a panel. It opens nothing; Init must have been called before the
// panel is used.
func New(o Options) *Panel {
	return newPanel(o, periph{})
}

func newPanel(o Options, h host) *Panel {
	in, out := o.pins()
	return &Panel{in: in, out: out, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), host: h}
}

// held is the lines of a panel while this process has them.
type held struct {
	in, out []*group
	shown   device.Lights

	// One Watch at a time.
	watched bool
	cancel  context.CancelFunc
	readers sync.WaitGroup
	broken  chan error // the first failure of a reader, or of Show
}

// A group is the lines that one request asks for: all inputs or all outputs of
// a chip, or a line that must be alone.
type group struct {
	chip Chip
	pins []pin
	bank bank
}

// Acquire requests every line, or none if one cannot be had, and makes the LEDs
// dark. Watch and Show do so by themselves. The error names the line and wraps
// device.ErrAbsent, device.ErrDenied or device.ErrBusy where one of them fits.
func (p *Panel) Acquire() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acquire()
}

// acquire is Acquire with mu held.
func (p *Panel) acquire() error {
	if p.held != nil {
		return nil
	}
	in, out, err := p.plan()
	if err == nil {
		p.held, err = p.request(in, out)
	}
	p.err, p.failed = err, time.Now()
	if err == nil {
		p.log.Info("panel ready", "buttons", len(p.in), "leds", len(p.out))
	}
	return err
}

// plan looks every line up in the chips as they are now, and sees that all are
// free.
func (p *Panel) plan() (in, out []*group, err error) {
	chips, err := p.host.scan()
	if err != nil {
		return nil, nil, fmt.Errorf("panel: %w", err)
	}
	type place struct {
		chip   string
		offset int
	}
	taken := make(map[place]Line)
	arrange := func(pins []pin) ([]*group, error) {
		var groups []*group
		byPlace := make(map[place]*group) // of lines together: under offset -1
		for _, pin := range pins {
			c, info, err := Find(chips, pin.line)
			if err != nil {
				return nil, err
			}
			at := place{c.Name, info.Offset}
			if other, ok := taken[at]; ok {
				return nil, fmt.Errorf("line %v: %w by the panel itself, as line %v; choose another line", pin.line, device.ErrBusy, other)
			}
			taken[at] = pin.line
			if info.Used {
				return nil, busy(pin.line, info.Holder)
			}
			if !p.host.alone(c, info.Offset) {
				at.offset = -1
			}
			g := byPlace[at]
			if g == nil {
				g = &group{chip: c}
				byPlace[at] = g
				groups = append(groups, g)
			}
			pin.offset = info.Offset
			g.pins = append(g.pins, pin)
		}
		return groups, nil
	}
	if in, err = arrange(p.in); err != nil {
		return nil, nil, err
	}
	out, err = arrange(p.out)
	return in, out, err
}

// busy is the error for a line that somebody holds.
func busy(l Line, holder string) error {
	if holder == "" {
		return fmt.Errorf("line %v: %w by something without a name; choose another line", l, device.ErrBusy)
	}
	return fmt.Errorf("line %v: %w by %q; end that program, switch that driver off, or choose another line", l, device.ErrBusy, holder)
}

// request requests what was planned: the outputs last, since they begin low,
// which lights an LED that is active low until it is made dark.
func (p *Panel) request(in, out []*group) (*held, error) {
	h := &held{broken: make(chan error, 1)}
	for _, g := range in {
		bank, err := p.host.in(g.chip, g.pins)
		if err != nil {
			_ = h.release()
			return nil, p.refused(g, err)
		}
		g.bank = bank
		h.in = append(h.in, g)
	}
	for _, g := range out {
		bank, err := p.host.out(g.chip, g.pins)
		if err != nil {
			_ = h.release()
			return nil, p.refused(g, err)
		}
		g.bank = bank
		h.out = append(h.out, g)
		if err := g.show(0, g.leds()); err != nil {
			_ = h.release()
			return nil, g.lost(err)
		}
	}
	return h, nil
}

// refused explains why the lines of a group were not to be had. The panel holds
// no line by then.
func (p *Panel) refused(g *group, err error) error {
	switch {
	case err == errUnknown || isErrno(err, unix.ENODEV):
		return fmt.Errorf("line %v: %w: its chip %s was absent or denied when the program began, or was replaced since; start the program again", g, device.ErrAbsent, g.chip.Path)
	case isErrno(err, unix.EBUSY):
		// Somebody was faster. The kernel does not say for which line.
		if _, _, err := p.plan(); errors.Is(err, device.ErrBusy) {
			return err
		}
		return fmt.Errorf("line %v: %w a moment ago; try again", g, device.ErrBusy)
	case isErrno(err, unix.EPERM), isErrno(err, unix.EACCES):
		return fmt.Errorf("line %v: %w: the kernel keeps it for itself; choose another line", g, device.ErrDenied)
	}
	return fmt.Errorf("line %v: %s does not allow it: %w; choose the lines of another chip", g, g.chip.Path, err)
}

// release makes the LEDs dark and gives the lines back. No reader may be
// running. The error is of an LED that may still be lit.
func (h *held) release() error {
	err := h.dark()
	for _, g := range h.in {
		g.bank.close()
	}
	for _, g := range h.out {
		g.bank.close()
	}
	return err
}

// dark makes the LEDs dark, all that can be reached. Those of a chip that is
// gone are no error.
func (h *held) dark() error {
	var failed []error
	for _, g := range h.out {
		if err := g.show(0, g.leds()); err != nil && !isErrno(err, unix.ENODEV) {
			failed = append(failed, g.lost(err))
		}
	}
	return errors.Join(failed...)
}

// drop gives the lines up after a failure.
func (p *Panel) drop(err error) {
	_ = p.held.release()
	p.held, p.err, p.failed = nil, err, time.Now()
}

// Show implements device.Panel. It acquires the panel if need be; after a
// failure it tries again once a second.
func (p *Panel) Show(l device.Lights) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil && p.err != nil && time.Since(p.failed) < retry {
		return p.err
	}
	if err := p.acquire(); err != nil {
		return err
	}
	h := p.held
	for _, g := range h.out {
		changed := (l ^ h.shown) & g.leds()
		if changed == 0 {
			continue
		}
		if err := g.show(l, changed); err != nil {
			err = g.lost(err)
			if h.watched {
				h.fail(err) // Watch drops the panel
			} else {
				p.drop(err)
			}
			return err
		}
		h.shown ^= changed
	}
	return nil
}

// Watch implements device.Panel. It acquires the panel if need be. After a
// failure the lines are free, and Watch may be called again; the error wraps
// device.ErrAbsent if a chip is gone, and those of Acquire.
func (p *Panel) Watch(ctx context.Context, emit func(device.Edge)) error {
	p.mu.Lock()
	if err := p.acquire(); err != nil {
		p.mu.Unlock()
		return err
	}
	h := p.held
	if h.watched {
		p.mu.Unlock()
		return errors.New("panel: it is being watched already; end the other Watch first")
	}
	h.watched = true
	reading, cancel := context.WithCancel(ctx)
	h.cancel = cancel
	edges := make(chan device.Edge, queue)
	for _, g := range h.in {
		h.readers.Go(func() {
			if err := g.read(reading, edges); err != nil {
				h.fail(g.lost(err))
			}
		})
	}
	p.mu.Unlock()

	err := h.relay(ctx, reading, edges, emit)

	cancel()
	h.readers.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	h.watched = false
	if err != nil && p.held == h {
		p.drop(err)
	}
	return err
}

// relay emits the edges until ctx ends, something fails, or Halt ends reading.
func (h *held) relay(ctx, reading context.Context, edges <-chan device.Edge, emit func(device.Edge)) error {
	for {
		select {
		case e := <-edges:
			emit(e)
		case err := <-h.broken:
			return err
		case <-reading.Done():
			if ctx.Err() != nil {
				return nil
			}
			return errHalted
		}
	}
}

// fail ends Watch.
func (h *held) fail(err error) {
	select {
	case h.broken <- err:
	default:
	}
}

// Halt implements device.Panel: the LEDs are dark at once, and the lines free
// when it returns, which may take a tenth of a second while Watch runs. Watch
// then returns an error. The panel may be used again afterwards. The error is
// of an LED that may still be lit; a chip that is gone is none.
func (p *Panel) Halt() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = time.Time{} // Show may try at once
	h := p.held
	if h == nil {
		return nil
	}
	p.held = nil
	if !h.watched {
		return h.release()
	}
	_ = h.dark()
	h.cancel()
	h.readers.Wait()
	return h.release()
}

// Stale reports whether the lines cannot be had in this process, but could now
// be had in a new one: a chip came, came back or was allowed after Init. It asks
// the chips, so it is not for every frame; it is false while the lines are held.
func (p *Panel) Stale() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil || !errors.Is(p.err, device.ErrAbsent) && !errors.Is(p.err, device.ErrDenied) {
		return false
	}
	_, _, err := p.plan()
	return err == nil
}

// read sends the edges of a group's lines until ctx ends or the lines fail.
// Only changes are sent: a Down after a Down says no more than that the Up
// between them was lost.
func (g *group) read(ctx context.Context, edges chan<- device.Edge) error {
	// The queue may hold edges from before.
	for range queue * len(g.pins) {
		line, _, err := g.bank.wait(drain)
		if err != nil {
			return err
		}
		if line < 0 {
			break
		}
	}

	down := make([]bool, len(g.pins)) // as was sent
	send := func(i int, high bool) {
		pin := g.pins[i]
		if now := high != pin.activeLow; now != down[i] {
			down[i] = now
			select {
			case edges <- device.Edge{Source: device.FromPanel, Button: pin.button, Down: now, At: time.Now()}:
			case <-ctx.Done():
			}
		}
	}
	settle := func() error {
		bits, err := g.bank.read()
		if err != nil {
			return err
		}
		for i := range g.pins {
			send(i, bits>>i&1 != 0)
		}
		return nil
	}

	if err := settle(); err != nil {
		return err
	}
	patience := idle
	for ctx.Err() == nil {
		line, high, err := g.bank.wait(patience)
		if err != nil {
			return err
		}
		if line >= 0 {
			send(line, high)
			patience = quiet
			continue
		}
		if err := settle(); err != nil {
			return err
		}
		patience = idle
	}
	return nil
}

// show sets the LEDs of mask, which must be some of the group's, as l says.
func (g *group) show(l, mask device.Lights) error {
	var bits, lines uint64
	for i, pin := range g.pins {
		if pin.led&mask == 0 {
			continue
		}
		lines |= 1 << i
		if lit := pin.led&l != 0; lit != pin.activeLow {
			bits |= 1 << i
		}
	}
	return g.bank.write(bits, lines)
}

// leds is the LEDs of the group.
func (g *group) leds() device.Lights {
	var all device.Lights
	for _, pin := range g.pins {
		all |= pin.led
	}
	return all
}

// lost explains why the lines of a group failed while they were held.
func (g *group) lost(err error) error {
	if isErrno(err, unix.ENODEV) {
		return fmt.Errorf("line %v: %w: the chip %s (%s) was removed; connect it again", g, device.ErrAbsent, g.chip.Path, g.chip.Label)
	}
	return fmt.Errorf("line %v: the chip %s (%s) failed: %w; check its connection", g, g.chip.Path, g.chip.Label, err)
}

// String lists the group's lines for messages.
func (g *group) String() string {
	names := make([]string, len(g.pins))
	for i, pin := range g.pins {
		names[i] = pin.line.String()
	}
	return strings.Join(names, ", ")
}

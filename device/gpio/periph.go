package gpio

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/driver/driverreg"
	conn "periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// Init lets periph look at the GPIO chips, once in the life of the process;
// called again it does nothing. It belongs at the beginning of main, before
// anything else opens files or runs beside it: periph closes descriptor 0 when
// two nodes lead to one chip, and Init puts standard input back. A chip that is
// absent or denied is no error here; Acquire reports it.
//
// Only gpioioctl may be imported of periph's host: its other drivers map the
// registers of the processor.
func Init() error {
	stdin, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("GPIO: standard input: %w", err)
	}
	defer unix.Close(stdin)
	// periph tells the standard logger of every chip that it may not open.
	defer log.SetOutput(log.Writer())
	log.SetOutput(io.Discard)
	_, err = driverreg.Init()
	if err := unix.Dup3(stdin, 0, 0); err != nil {
		return fmt.Errorf("GPIO: standard input: %w", err)
	}
	if err != nil {
		return fmt.Errorf("GPIO: %w", err)
	}
	return nil
}

// A host is what a panel needs of the machine.
type host interface {
	// scan lists the chips as they are now.
	scan() ([]Chip, error)
	// alone reports whether a line cannot be requested together with others.
	alone(c Chip, offset int) bool
	// in and out request lines of one chip: several, or one that is alone.
	// Inputs report both edges; outputs start low. The error is or ends with
	// that of the system call, or is errUnknown.
	in(c Chip, pins []pin) (bank, error)
	out(c Chip, pins []pin) (bank, error)
}

// errUnknown is the error for a chip that periph did not see at Init.
var errUnknown = errors.New("chip unknown")

// A bank is lines of one chip that this process holds; line i is the i-th that
// was asked for. wait and read are for inputs, write is for outputs.
type bank interface {
	// wait waits for an edge, at most d. line is -1 if none came. The level is
	// the one that the edge led to. Only one goroutine may wait.
	wait(d time.Duration) (line int, high bool, err error)
	// read returns the level of every line: bit i is set if line i is high.
	read() (uint64, error)
	// write sets the lines of mask.
	write(bits, mask uint64) error
	// close gives the lines back. Nobody may be waiting.
	close()
}

// isErrno reports whether err is that error of a system call. periph keeps only
// its text.
func isErrno(err error, errno unix.Errno) bool {
	return errors.Is(err, errno) || strings.HasSuffix(err.Error(), errno.Error())
}

// periph is the host that the kernel offers.
type periph struct{}

func (periph) scan() ([]Chip, error) { return List() }

// chip returns periph's view of a chip, or nil.
func (periph) chip(c Chip) *gpioioctl.GPIOChip {
	for _, p := range gpioioctl.Chips {
		if p.Name() == c.Name && p.Label() == c.Label && p.LineCount() == len(c.Lines) {
			return p
		}
	}
	return nil
}

// alone is for lines without a name or with one that is not unique: periph's
// line sets know lines by name only.
func (h periph) alone(c Chip, offset int) bool {
	p := h.chip(c)
	if p == nil {
		return false
	}
	name := p.ByNumber(offset).Name()
	return name == "" || p.ByName(name).Number() != offset
}

func (h periph) in(c Chip, pins []pin) (bank, error) {
	p := h.chip(c)
	if p == nil {
		return nil, errUnknown
	}
	pull := map[Pull]conn.Pull{PullNone: conn.PullNoChange, PullUp: conn.PullUp, PullDown: conn.PullDown}
	if h.alone(c, pins[0].offset) {
		return openSingle(c, p.ByNumber(pins[0].offset), func(l *gpioioctl.GPIOLine) error {
			return l.In(pull[pins[0].pull], conn.BothEdges)
		})
	}
	config := gpioioctl.LineSetConfig{DefaultDirection: gpioioctl.LineInput, DefaultEdge: conn.BothEdges, DefaultPull: conn.PullNoChange}
	byPull := make(map[Pull][]string)
	for _, pin := range pins {
		name := p.ByNumber(pin.offset).Name()
		config.Lines = append(config.Lines, name)
		byPull[pin.pull] = append(byPull[pin.pull], name)
	}
	for _, choice := range []Pull{PullUp, PullDown} {
		if lines := byPull[choice]; len(lines) > 0 {
			if err := config.AddOverrides(gpioioctl.LineInput, conn.BothEdges, pull[choice], lines...); err != nil {
				return nil, err
			}
		}
	}
	return openSet(p, &config, pins)
}

func (h periph) out(c Chip, pins []pin) (bank, error) {
	p := h.chip(c)
	if p == nil {
		return nil, errUnknown
	}
	if h.alone(c, pins[0].offset) {
		return openSingle(c, p.ByNumber(pins[0].offset), func(l *gpioioctl.GPIOLine) error { return l.Out(conn.Low) })
	}
	config := gpioioctl.LineSetConfig{DefaultDirection: gpioioctl.LineOutput, DefaultEdge: conn.NoEdge, DefaultPull: conn.PullNoChange}
	for _, pin := range pins {
		config.Lines = append(config.Lines, p.ByNumber(pin.offset).Name())
	}
	return openSet(p, &config, pins)
}

// A set is lines that were requested together.
type set struct {
	lines   *gpioioctl.LineSet
	offsets []int // on the chip
}

func openSet(p *gpioioctl.GPIOChip, config *gpioioctl.LineSetConfig, pins []pin) (bank, error) {
	lines, err := p.LineSetFromConfig(config)
	if err != nil {
		return nil, err
	}
	s := &set{lines: lines}
	for _, pin := range pins {
		s.offsets = append(s.offsets, pin.offset)
	}
	return s, nil
}

func (s *set) wait(d time.Duration) (int, bool, error) {
	offset, edge, err := s.lines.WaitForEdge(d)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return -1, false, nil
	}
	if err != nil {
		return -1, false, err
	}
	return slices.Index(s.offsets, offset), edge == conn.RisingEdge, nil
}

func (s *set) read() (uint64, error) {
	bits, err := s.lines.Read(0)
	return uint64(bits), err
}

func (s *set) write(bits, mask uint64) error {
	return s.lines.Out(conn.GPIOValue(bits), conn.GPIOValue(mask))
}

func (s *set) close() { _ = s.lines.Close() }

// A single is a line that was requested by itself. periph then says neither
// which way an edge went nor that reading failed, so the level is read after
// each edge, and believed only if the chip is there afterwards.
//
// On a chip that is reached over a bus, such as an I²C expander, a transfer may
// still fail unseen, and reads as low. Name the lines in the device tree there,
// or wire the buttons active high.
type single struct {
	line *gpioioctl.GPIOLine
	chip *os.File // open since before the line was requested, to ask whether the chip is there
}

func openSingle(c Chip, line *gpioioctl.GPIOLine, request func(*gpioioctl.GPIOLine) error) (bank, error) {
	f, err := os.Open(c.Path)
	if err != nil {
		return nil, err
	}
	s := &single{line, f}
	if err := request(line); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *single) wait(d time.Duration) (int, bool, error) {
	began := time.Now()
	if !s.line.WaitForEdge(d) {
		if _, err := askChip(s.chip); err != nil {
			return -1, false, err
		}
		if time.Since(began) < d {
			return -1, false, errors.New("waiting for an edge failed")
		}
		return -1, false, nil
	}
	bits, err := s.read()
	return 0, bits != 0, err
}

func (s *single) read() (uint64, error) {
	var bits uint64
	if s.line.Read() {
		bits = 1
	}
	_, err := askChip(s.chip)
	return bits, err
}

func (s *single) write(bits, _ uint64) error { return s.line.Out(bits&1 != 0) }

func (s *single) close() {
	s.line.Close()
	_ = s.chip.Close()
}

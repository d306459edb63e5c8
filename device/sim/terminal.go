package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A Terminal is a keyboard and a screen on which a person plays with a
// simulated box.
type Terminal struct {
	in, out *os.File
	colour  bool

	mu     sync.Mutex
	before *term.State // nil once closed
}

const (
	enter = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J" // the other screen, no cursor, no wrapping, blank
	leave = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// OpenTerminal takes over a terminal until Close, which must be called on every
// way out. In raw mode Ctrl-C is a key like others (Quit), but the other
// signals still end the program: catch them, so that Close is reached. The
// error says that in or out is not a terminal; a Log serves then.
// There is no colour if the environment has NO_COLOR.
func OpenTerminal(in, out *os.File) (*Terminal, error) {
	if !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return nil, errors.New("terminal: input or output is not one; run this in a terminal window")
	}
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("terminal: raw mode: %w; run this in another terminal window", err)
	}
	t := &Terminal{in: in, out: out, colour: os.Getenv("NO_COLOR") == "", before: before}
	if _, err := io.WriteString(out, enter); err != nil {
		return nil, errors.Join(fmt.Errorf("terminal: %w", err), t.Close())
	}
	return t, nil
}

// Draw shows a view. After Close it does nothing.
func (t *Terminal) Draw(v View) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before == nil {
		return nil
	}
	// Asked each time: windows change their size, and some terminals tell none.
	width, height, err := term.GetSize(int(t.out.Fd()))
	if err != nil || width == 0 || height == 0 {
		width, height = mostWidth, mostHeight
	}
	return Draw(t.out, v, Screen{Width: width, Height: height, Colour: t.colour})
}

// Run calls emit for every key until ctx ends (it then returns nil) or the
// terminal goes away.
func (t *Terminal) Run(ctx context.Context, emit func(Key)) error {
	// A read from a terminal cannot be called off, so wait for input first, and
	// look after ctx ten times a second.
	fds := []unix.PollFd{{Fd: int32(t.in.Fd()), Events: unix.POLLIN}}
	var keys Keys
	buf := make([]byte, 256)
	for ctx.Err() == nil {
		n, err := unix.Poll(fds, 100)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("terminal: %w", err)
		}
		if n <= 0 {
			continue
		}
		n, err = t.in.Read(buf)
		if err != nil {
			return fmt.Errorf("terminal: it went away: %w", err)
		}
		for _, key := range keys.Parse(buf[:n]) {
			emit(key)
		}
	}
	return nil
}

// Close gives the terminal back as it was. It may be called more than once.
func (t *Terminal) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before == nil {
		return nil
	}
	_, err := io.WriteString(t.out, leave)
	err = errors.Join(err, term.Restore(int(t.in.Fd()), t.before))
	t.before = nil
	return err
}

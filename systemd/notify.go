// Package systemd speaks to the service manager: it says when the service is
// ready, how it is, and that it is alive.
package systemd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The variables by which systemd says where and how to speak, see sd_notify(3)
// and sd_watchdog_enabled(3).
const (
	socketEnv      = "NOTIFY_SOCKET"
	watchdogEnv    = "WATCHDOG_USEC"
	watchdogPIDEnv = "WATCHDOG_PID"
)

// A Notifier sends messages to the service manager. All methods of a nil one do
// nothing. They may be called from several goroutines and never wait: a message
// that the manager has no room for is an error.
type Notifier struct {
	address string // a path, or @ and an abstract name
	period  time.Duration
}

// New makes a notifier as the environment says, for the process with that id.
// It is nil if no manager listens.
func New(getenv func(string) string, pid int) (*Notifier, error) {
	path := getenv(socketEnv)
	if path == "" {
		return nil, nil
	}
	n := &Notifier{address: path}
	switch most := len(unix.RawSockaddrUnix{}.Path); {
	case path[0] != '/' && path[0] != '@', len(path) == 1:
		return nil, fmt.Errorf("%s: not an address (got %q; want a path from the root, or @ and a name)", socketEnv, path)
	case len(path) >= most:
		return nil, fmt.Errorf("%s: too long (got %d bytes; want at most %d)", socketEnv, len(path), most-1)
	}
	if of := getenv(watchdogPIDEnv); of != "" && of != strconv.Itoa(pid) {
		return n, nil // another process is watched
	}
	if text := getenv(watchdogEnv); text != "" {
		us, err := strconv.ParseInt(text, 10, 64)
		if err != nil || us <= 0 || us > int64(time.Duration(1<<63-1)/time.Microsecond) {
			return nil, fmt.Errorf("%s: not a time (got %q; want a number of microseconds)", watchdogEnv, text)
		}
		n.period = time.Duration(us) * time.Microsecond
	}
	return n, nil
}

// WatchdogPeriod is within which time Watchdog must be called again and again;
// 0 if the manager does not watch.
func (n *Notifier) WatchdogPeriod() time.Duration {
	if n == nil {
		return 0
	}
	return n.period
}

// Ready says that the service has started, or that it has loaded its
// configuration again.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Status says in one line how the service is.
func (n *Notifier) Status(text string) error {
	return n.send("STATUS=" + strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; "))
}

// Watchdog says that the service is alive.
func (n *Notifier) Watchdog() error { return n.send("WATCHDOG=1") }

// Reloading says that the configuration is being loaded again. Ready ends that.
func (n *Notifier) Reloading() error {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return fmt.Errorf("service manager: monotonic clock: %w", err)
	}
	return n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", t.Nano()/1000))
}

// Stopping says that the service is about to end.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// send sends one message in a datagram of its own.
func (n *Notifier) send(message string) error {
	if n == nil {
		return nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		to := &unix.SockaddrUnix{Name: n.address} // it is written to
		err = errors.Join(unix.Sendto(fd, []byte(message), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, to), unix.Close(fd))
	}
	if err != nil {
		return fmt.Errorf("service manager: %s: %w", n.address, err)
	}
	return nil
}

package systemd

import (
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const pid = 42

// environment gives variables from pairs of names and values.
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// manager listens as systemd does.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMessages(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{filepath.Join(dir, "notify"), "@teachbox-test-" + filepath.Base(dir) + strconv.Itoa(int(time.Now().UnixNano()))} {
		m := manager(t, name)
		n, err := New(environment(socketEnv, name), pid)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			send func() error
			want string
		}{
			{n.Ready, "READY=1"},
			{func() error { return n.Status("well: sees ball") }, "STATUS=well: sees ball"},
			{func() error { return n.Status("two\nlines\r\nREADY=1\n") }, "STATUS=two; lines; READY=1"},
			{n.Watchdog, "WATCHDOG=1"},
			{n.Stopping, "STOPPING=1"},
		} {
			if err := test.send(); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, m); got != test.want {
				t.Errorf("%s: %q, want %q", name, got, test.want)
			}
		}
		if err := n.Reloading(); err != nil {
			t.Fatal(err)
		}
		us, ok := strings.CutPrefix(receive(t, m), "RELOADING=1\nMONOTONIC_USEC=")
		if at, err := strconv.ParseInt(us, 10, 64); !ok || err != nil || at <= 0 {
			t.Errorf("reloading: %q", us)
		}
	}
}

func receive(t *testing.T, m *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 1000)
	n, err := m.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestNew(t *testing.T) {
	for _, test := range []struct {
		name   string
		env    []string
		none   bool
		period time.Duration
		wrong  string
	}{
		{name: "nobody listens", env: []string{watchdogEnv, "1000000"}, none: true},
		{name: "not watched", env: []string{socketEnv, "/run/notify"}},
		{name: "watched", env: []string{socketEnv, "/run/notify", watchdogEnv, "2500000"}, period: 2500 * time.Millisecond},
		{name: "this process is", env: []string{socketEnv, "/run/notify", watchdogEnv, "2500000", watchdogPIDEnv, "42"}, period: 2500 * time.Millisecond},
		{name: "another process is", env: []string{socketEnv, "/run/notify", watchdogEnv, "2500000", watchdogPIDEnv, "43"}},
		{name: "a machine", env: []string{socketEnv, "vsock:2:1"}, wrong: "NOTIFY_SOCKET: not an address"},
		{name: "no name", env: []string{socketEnv, "@"}, wrong: "NOTIFY_SOCKET: not an address"},
		{name: "too long", env: []string{socketEnv, "/" + strings.Repeat("x", 107)}, wrong: "NOTIFY_SOCKET: too long"},
		{name: "no number", env: []string{socketEnv, "/run/notify", watchdogEnv, "soon"}, wrong: "WATCHDOG_USEC: not a time"},
		{name: "too much", env: []string{socketEnv, "/run/notify", watchdogEnv, "9223372036854775807"}, wrong: "WATCHDOG_USEC: not a time"},
		{name: "zero", env: []string{socketEnv, "/run/notify", watchdogEnv, "0"}, wrong: "WATCHDOG_USEC: not a time"},
	} {
		n, err := New(environment(test.env...), pid)
		if test.wrong != "" {
			if err == nil || !strings.HasPrefix(err.Error(), test.wrong) {
				t.Errorf("%s: %v, want %s", test.name, err, test.wrong)
			}
			continue
		}
		if err != nil || (n == nil) != test.none || n.WatchdogPeriod() != test.period {
			t.Errorf("%s: %+v, %v", test.name, n, err)
		}
	}
}

// TestSeveralAtOnce calls from several goroutines.
func TestSeveralAtOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	m := manager(t, name)
	n, err := New(environment(socketEnv, name), pid)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := n.Ready(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for range 3 {
		if got := receive(t, m); got != "READY=1" {
			t.Errorf("%q", got)
		}
	}
}

// TestNobody: a program that no manager started calls the same methods.
func TestNobody(t *testing.T) {
	var n *Notifier
	if err := errors.Join(n.Ready(), n.Status("well"), n.Watchdog(), n.Reloading(), n.Stopping()); err != nil {
		t.Error(err)
	}
}

// TestNeverWaits: a manager that does not read, or has gone, is an error.
func TestNeverWaits(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	m := manager(t, name)
	n, err := New(environment(socketEnv, name), pid)
	if err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		if err = n.Watchdog(); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("a full manager: %v", err)
	}
	m.Close()
	if err := n.Watchdog(); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a manager that has gone: %v", err)
	}
}

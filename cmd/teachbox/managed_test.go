package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"teachbox/internal/box"
	"teachbox/systemd"
)

// TestManaged runs a box as systemd does and listens to what it says.
func TestManaged(t *testing.T) {
	config := tinyConfig(t)
	dir := t.TempDir()
	address := filepath.Join(dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", address)
	t.Setenv("WATCHDOG_USEC", "800000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	var mu sync.Mutex
	var heard []string
	go func() {
		b := make([]byte, 10_000)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			mu.Lock()
			heard = append(heard, string(b[:n]))
			mu.Unlock()
		}
	}()
	count := func(prefix string) int {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, text := range heard {
			if strings.HasPrefix(text, prefix) {
				n++
			}
		}
		return n
	}
	await := func(prefix string, n int) {
		t.Helper()
		for range 500 {
			if count(prefix) >= n {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatalf("%q was not said %d times: %q", prefix, n, heard)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan int, 1)
	state := filepath.Join(dir, "state")
	began := time.Now()
	go func() {
		ended <- run(ctx, []string{"--config", config, "run", "--sim", "--json", "--state", state}, std{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	}()
	await("READY=1", 1)
	await("STATUS=well; sees unknown", 1)
	await("WATCHDOG=1", 5)
	if n, most := count("WATCHDOG=1"), int(time.Since(began)/(200*time.Millisecond))+1; n > most {
		t.Errorf("%d signs of life in %v, want at most %d", n, time.Since(began), most)
	}
	if code, _, errs := command(ctx, "--config", config, "reload", "--state", state); code != 0 {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	await("RELOADING=1\nMONOTONIC_USEC=", 1)
	await("READY=1", 2)
	if n := count("STOPPING=1"); n > 0 {
		t.Errorf("it said %d times that it ends", n)
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit %d", code)
	}
	await("STOPPING=1", 1)
}

// TestWrongManager: a box that cannot tell how it is runs all the same.
func TestWrongManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "no address")
	code, _, errs := command(t.Context(), "--config", tinyConfig(t), "run", "--sim", "--json", "--script", script(t, "wait 300ms\n"))
	if code != 0 {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// TestNoControlSocket: a box whose socket cannot be made runs, and says so.
func TestNoControlSocket(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", filepath.Join(t.TempDir(), "none")+":/elsewhere")
	code, out, errs := command(t.Context(), "--config", tinyConfig(t), "run", "--sim", "--json", "--script", script(t, "wait 700ms\n"))
	if code != 0 || !strings.Contains(out, `"part":"control socket","error":"control socket `) {
		t.Errorf("exit %d: %s\n%s", code, errs, out)
	}
}

// script writes a script.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReady: a box is ready when camera and panel are in hand. One without a
// camera is up after a while, too, and says what it lacks.
func TestReady(t *testing.T) {
	for source, want := range map[string]time.Duration{
		"sim":             time.Second,
		"v4l2:/dev/none1": readyWithin,
	} {
		cfg := simulated(t)
		cfg.Model.Source, cfg.Camera.Source = tinyModel(t), source
		dir := t.TempDir()
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "n"), Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		// What was said until now, without waiting for more.
		heard := func() (said string) {
			raw, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 10_000)
			_ = raw.Control(func(fd uintptr) {
				for {
					n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
					if err != nil {
						return
					}
					said += string(b[:n]) + "\n"
				}
			})
			return said
		}
		n, err := systemd.New(func(key string) string { return map[string]string{"NOTIFY_SOCKET": filepath.Join(dir, "n")}[key] }, 1)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			a, err := assemble(cfg, assembly{state: dir, service: true, observe: func(box.Event) {}})
			if err != nil {
				t.Fatal(err)
			}
			defer a.store.Close()
			ctx, cancel := context.WithCancel(t.Context())
			var ended sync.WaitGroup
			ended.Go(func() { _ = a.box.Run(ctx) })
			ended.Go(func() { newManaged(n).tell(ctx, a.box) })
			began := time.Now()
			var said string
			for !strings.Contains(said, "READY=1") && time.Since(began) < time.Minute {
				time.Sleep(readyEvery)
				said += heard()
			}
			if took := time.Since(began); took > want+statusEvery || want == readyWithin && took < want {
				t.Errorf("%s: ready after %v, want %v", source, took, want)
			}
			time.Sleep(2 * statusEvery)
			if said += heard(); (source == "sim") != strings.Contains(said, "STATUS=well") || strings.Count(said, "READY=1") != 1 {
				t.Errorf("%s: it said\n%s", source, said)
			}
			cancel()
			ended.Wait()
		})
	}
}

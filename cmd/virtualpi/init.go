package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"teachbox/internal/virtualpi/kmod"
)

// firstProgram is what the kernel starts: this program, built for the machine.
const firstProgram = "/init"

// outputGrace is how long the output of a program's left-over children is still
// passed on after the program itself has ended.
const outputGrace = 2 * time.Second

// firstProcess is the machine's first and only process of its own: it makes the
// machine ready, runs one job, reports, and switches the machine off. It does
// not return.
func firstProcess() {
	if err := serve(); err != nil {
		fmt.Println("virtualpi:", err) // to the console, which is the kernel's log
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

// serve runs the job that the host sends.
func serve() error {
	if err := mountSystem(); err != nil {
		return err
	}
	p, err := openPort(30 * time.Second)
	if err != nil {
		return err
	}
	s := &sender{enc: json.NewEncoder(p)}
	// The first write waits for the host; a read before it may say "no more".
	if err := s.send(report{Ready: true}); err != nil {
		return err
	}
	var j job
	if err := json.NewDecoder(p).Decode(&j); err != nil {
		return fmt.Errorf("the job from the host: %w", err)
	}
	e, err := runJob(j, s)
	if err != nil {
		e.Fault = err.Error()
	}
	unix.Sync()
	if err := s.send(report{End: &e}); err != nil {
		return err
	}
	// What was sent is on its way only; the host hangs up when it has it all.
	_, err = io.Copy(io.Discard, p)
	return err
}

// mountSystem makes a root file system out of the initramfs.
func mountSystem() error {
	for _, m := range []struct {
		kind, dir, options string
	}{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""},
		{"devpts", "/dev/pts", ""},
		{"tmpfs", "/dev/shm", "mode=1777"},
		{"tmpfs", "/tmp", "mode=1777"},
		{"tmpfs", "/run", "mode=755"},
	} {
		if err := mount(m.kind, m.kind, m.dir, 0, m.options); err != nil {
			return err
		}
	}
	if err := kmod.Load("configfs", ""); err != nil {
		return err
	}
	return mount("configfs", "configfs", "/sys/kernel/config", 0, "")
}

func mount(kind, source, dir string, flags uintptr, options string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, dir, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s %s: %w", kind, dir, err)
	}
	return nil
}

// openPort waits for the serial port, which the kernel finds by and by.
func openPort(patience time.Duration) (*os.File, error) {
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		p, err := os.OpenFile(port, os.O_RDWR, 0)
		if err == nil || time.Since(began) > patience {
			return p, err
		}
	}
}

// A sender sends reports from several goroutines.
type sender struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func (s *sender) send(r report) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.enc.Encode(r)
}

// runJob runs the program to its end. The error says why it could not be run.
func runJob(j job, s *sender) (end, error) {
	if err := loopback(); err != nil {
		return end{}, err
	}
	for _, name := range []string{"9p", "9pnet_virtio"} {
		if err := kmod.Load(name, ""); err != nil {
			return end{}, err
		}
	}
	for _, sh := range j.Shares {
		const options = "trans=virtio,version=9p2000.L,msize=262144,cache=loose"
		if err := mount("9p", sh.Tag, sh.Path, unix.MS_RDONLY, options); err != nil {
			return end{}, err
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return end{}, err
	}
	out, outDone, err := relay(func(b []byte) report { return report{Out: b} }, s)
	if err != nil {
		return end{}, err
	}
	errs, errDone, err := relay(func(b []byte) report { return report{Err: b} }, s)
	if err != nil {
		return end{}, err
	}
	// What the reports carry is not to come before this one.
	if err := s.send(report{Started: true}); err != nil {
		return end{}, err
	}
	p, err := os.StartProcess(j.Program, append([]string{j.Program}, j.Args...), &os.ProcAttr{
		Dir: j.Dir, Env: j.Env, Files: []*os.File{null, out, errs},
	})
	if err := errors.Join(out.Close(), errs.Close(), null.Close()); err != nil {
		return end{}, err
	}
	if err != nil {
		return end{}, err
	}
	status, err := reap(p.Pid)
	if err != nil {
		return end{}, err
	}
	grace := time.After(outputGrace)
	for _, done := range []<-chan struct{}{outDone, errDone} {
		select {
		case <-done:
		case <-grace:
		}
	}
	if status.Signaled() {
		return end{Code: 128 + int(status.Signal()), Signal: status.Signal().String()}, nil
	}
	return end{Code: status.ExitStatus()}, nil
}

// relay returns the end of a pipe that the program may write to. What it writes
// is sent as reports; the channel is closed once nobody can write any more.
func relay(as func([]byte) report, s *sender) (*os.File, <-chan struct{}, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Read(buf)
			if n > 0 && s.send(as(buf[:n])) != nil || err != nil {
				return
			}
		}
	}()
	return w, done, nil
}

// reap waits until the program ends, and buries what other processes leave
// behind: orphans are the first process's to wait for.
func reap(program int) (syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for the program: %w", err)
		case pid == program:
			return status, nil
		}
	}
}

// loopback switches the network interface lo on; the kernel gives it 127.0.0.1.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("switch lo on: %w", err)
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// defaultLimit bounds a program that says nothing of its own limit.
	defaultLimit = 15 * time.Minute
	// limitGrace is what a test binary gets beyond its own limit, to boot and to
	// say where it was stuck. go test itself ends us a minute after the limit.
	limitGrace = 45 * time.Second
	// sharedEnv names the folder of the bench data (internal/benchdata).
	sharedEnv = "TEACHBOX_SHARED"
	// logSize is how much of the kernel's log is kept.
	logSize = 16 << 10
)

// A machine boots, runs one program and is thrown away.
type machine struct {
	qemu              string
	kernel, initramfs string
}

// newJob says how to run a program in the machine as it would run here. args are
// the program and its arguments. A limit of 0 is none.
func newJob(root, cwd string, args, environ []string) (j job, limit time.Duration, err error) {
	program, err := filepath.Abs(args[0])
	if err != nil {
		return job{}, 0, err
	}
	if err := checkProgram(program); err != nil {
		return job{}, 0, err
	}
	j = job{
		Program: program,
		Args:    args[1:],
		Env:     []string{"PATH=/bin", "HOME=/root", "USER=root", "TMPDIR=/tmp"},
		Dir:     cwd,
	}
	folders := []string{root, filepath.Dir(program)}
	data := filepath.Join(root, "..", "shared")
	for _, e := range environ {
		if strings.HasPrefix(e, "TEACHBOX_") {
			j.Env = append(j.Env, e)
		}
		if dir, ok := strings.CutPrefix(e, sharedEnv+"="); ok && dir != "" {
			data = dir
		}
	}
	if s, err := os.Stat(data); err == nil && s.IsDir() {
		if data, err = filepath.Abs(data); err != nil {
			return job{}, 0, err
		}
		folders = append(folders, data)
	}
	j.Shares = newShares(folders)
	return j, timeLimit(j.Args), nil
}

// checkProgram says plainly what the machine's kernel would say darkly.
func checkProgram(path string) error {
	f, err := elf.Open(path)
	var open *fs.PathError
	if errors.As(err, &open) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s is not a program that Linux runs: %w (give an arm64 executable)", path, err)
	}
	defer f.Close()
	if f.Machine != elf.EM_AARCH64 {
		return fmt.Errorf("%s is for another processor, %v (build it with GOARCH=arm64)", path, f.Machine)
	}
	return nil
}

// newShares leaves out folders that lie within others.
func newShares(folders []string) []share {
	slices.Sort(folders)
	var shares []share
	for _, dir := range folders {
		if !slices.ContainsFunc(shares, func(s share) bool { return dir == s.Path || strings.HasPrefix(dir, s.Path+"/") }) {
			shares = append(shares, share{Tag: fmt.Sprintf("share%d", len(shares)), Path: dir})
		}
	}
	return shares
}

// timeLimit is how long the machine may take: longer than a test binary gives
// itself. 0 is for ever, as it is to go test.
func timeLimit(args []string) time.Duration {
	for i, arg := range args {
		value, ok := strings.CutPrefix(arg, "-test.timeout=")
		if arg == "-test.timeout" && i+1 < len(args) {
			value, ok = args[i+1], true
		}
		if d, err := time.ParseDuration(value); ok && err == nil {
			if d <= 0 {
				return 0
			}
			return d + limitGrace
		}
	}
	return defaultLimit
}

// qemuArgs describes the machine. The descriptors 3 and 4 are sockets, for the
// kernel's log and for the serial port.
func (m *machine) qemuArgs(shares []share, verbose bool) []string {
	// Hardening makes every system call some ten times slower in emulation.
	line := "console=ttyAMA0 panic=-1 nokaslr kpti=off mitigations=off"
	if !verbose {
		line += " quiet"
	}
	args := []string{
		"-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "768",
		// Never KVM: it may be there and yet hang.
		"-accel", "tcg,thread=multi",
		"-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", m.kernel, "-initrd", m.initramfs, "-append", line,
		"-chardev", "socket,id=log,fd=3", "-serial", "chardev:log",
		"-chardev", "socket,id=port,fd=4", "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port,nr=1",
	}
	for _, s := range shares {
		path := strings.ReplaceAll(s.Path, ",", ",,") // QEMU's way to quote it
		args = append(args, "-virtfs", "local,path="+path+",mount_tag="+s.Tag+",security_model=none,readonly=on,multidevs=remap")
	}
	return args
}

// run boots the machine, runs the job and returns the program's exit code. A
// limit of 0 is none. The error says that the machine failed.
func (m *machine) run(ctx context.Context, j job, limit time.Duration, verbose bool, stdout, stderr io.Writer) (int, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v", limit))
		defer cancel()
	}
	running, kill := context.WithCancel(ctx)
	defer kill()
	began := time.Now()
	b, err := m.boot(running, j.Shares, verbose)
	if err != nil {
		return exitMachine, err
	}
	defer b.close()

	kernelLog := &lastBytes{max: logSize}
	sink := io.Writer(kernelLog)
	if verbose {
		sink = io.MultiWriter(kernelLog, stderr)
	}
	var logged sync.WaitGroup
	logged.Go(func() { _, _ = io.Copy(sink, b.log) })

	e, err := converse(b.port, j, stdout, stderr, func() {
		if verbose {
			fmt.Fprintf(stderr, "virtualpi: the program starts %.1f s after the machine\n", time.Since(began).Seconds())
		}
	})
	stopped := context.Cause(ctx) // before we stop it ourselves
	kill()
	_ = b.qemu.Wait()
	logged.Wait()
	switch {
	case err == nil && e.Fault != "":
		return exitMachine, errors.New(e.Fault)
	case err == nil && e.Signal != "":
		fmt.Fprintf(stderr, "virtualpi: a signal ended %s: %s\n", filepath.Base(j.Program), e.Signal)
		return e.Code, nil
	case err == nil:
		return e.Code, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return exitMachine, fmt.Errorf("the machine was stopped: %w", stopped)
	case stopped != nil:
		err = fmt.Errorf("the machine was stopped: %w", stopped)
	default:
		err = fmt.Errorf("the machine ended before the program did: %w", err)
	}
	if len(kernelLog.data) > 0 && !verbose {
		err = fmt.Errorf("%w\nThe kernel's log ends with:\n%s", err, kernelLog.data)
	}
	if b.said.Len() > 0 {
		err = fmt.Errorf("%w\nQEMU says: %s", err, tail(b.said.String(), logSize))
	}
	return exitMachine, err
}

// A booted machine runs until its context ends.
type booted struct {
	qemu      *exec.Cmd
	said      bytes.Buffer // by QEMU, to standard error; whole after Wait
	log, port *os.File
}

// boot starts QEMU.
func (m *machine) boot(ctx context.Context, shares []share, verbose bool) (*booted, error) {
	log, itsLog, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer itsLog.Close()
	port, itsPort, err := socketPair()
	if err != nil {
		log.Close()
		return nil, err
	}
	defer itsPort.Close()
	b := &booted{log: log, port: port}
	b.qemu = exec.CommandContext(ctx, m.qemu, m.qemuArgs(shares, verbose)...)
	b.qemu.ExtraFiles = []*os.File{itsLog, itsPort}
	b.qemu.Stderr = &b.said
	// A group of its own: Ctrl-C is for us, and we kill it. Should we be killed
	// ourselves, the kernel does.
	b.qemu.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := b.qemu.Start(); err != nil {
		b.close()
		return nil, fmt.Errorf("start the machine: %w (`sh cmd/setup/packages.sh kernel` in the repository's folder installs what is needed)", err)
	}
	return b, nil
}

func (b *booted) close() {
	b.log.Close()
	b.port.Close()
}

// converse speaks with the machine until the program has ended.
func converse(port io.ReadWriter, j job, stdout, stderr io.Writer, started func()) (end, error) {
	for dec := json.NewDecoder(port); ; {
		var r report
		if err := dec.Decode(&r); err != nil {
			return end{}, err
		}
		switch {
		case r.Ready:
			if err := json.NewEncoder(port).Encode(j); err != nil {
				return end{}, err
			}
		case r.Started:
			started()
		case r.End != nil:
			return *r.End, nil
		default:
			if _, err := stdout.Write(r.Out); err != nil {
				return end{}, err
			}
			if _, err := stderr.Write(r.Err); err != nil {
				return end{}, err
			}
		}
	}
}

// socketPair returns the two ends of a socket.
func socketPair() (here, there *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "machine"), os.NewFile(uintptr(fds[1]), "host"), nil
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct {
	max  int
	data []byte
}

func (l *lastBytes) Write(p []byte) (int, error) {
	l.data = append(l.data, p...)
	if over := len(l.data) - l.max; over > 0 {
		l.data = append(l.data[:0], l.data[over:]...)
	}
	return len(p), nil
}

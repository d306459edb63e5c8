// Command virtualpi runs arm64 programs and test binaries in a virtual machine
// with the kernel's own test drivers: simulated GPIO lines (gpio-sim) and
// simulated cameras (vivid, v4l2loopback). It stands in for a Raspberry Pi
// where none is at hand. It is a tool for developing, not part of the box.
//
// The machine is QEMU's, in software emulation, with Debian's own kernel and an
// initramfs whose first process is this same program. Everything it needs is
// kept below third_party/virtualpi; nothing is installed on the host.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

const usage = `virtualpi runs arm64 programs in a virtual machine with simulated cameras and GPIO lines.

  virtualpi [-v] prepare               fetch a kernel and build its modules, once
  virtualpi [-v] test ARGS…            go test ARGS… for arm64, with the tests tagged "kernel", in the machine
  virtualpi [-v] exec PROGRAM ARGS…    run one arm64 program in the machine

The program runs as root. It sees the repository (and the folder of the bench
data, if there is one) read-only at the same place as here, the same working
folder, and the environment variables that begin with TEACHBOX_. Its output and
exit code are passed on. The exit code is 125 if the machine itself failed.

-v also shows the kernel's log. What was prepared lies below third_party/virtualpi;
delete that folder to prepare anew, with Debian's newest kernel.
`

// exitMachine is the exit code when there is none of a program to pass on.
const exitMachine = 125

func main() {
	if os.Getpid() == 1 && os.Args[0] == firstProgram {
		firstProcess()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("virtualpi", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	verbose := flags.Bool("v", false, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	args = flags.Args()
	if len(args) == 0 || args[0] == "prepare" && len(args) > 1 || args[0] == "exec" && len(args) < 2 {
		flags.Usage()
		return 2
	}
	code, err := command(ctx, args[0], args[1:], *verbose, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "virtualpi:", err)
	}
	return code
}

func command(ctx context.Context, name string, args []string, verbose bool, stdout, stderr io.Writer) (int, error) {
	if name != "prepare" && name != "test" && name != "exec" {
		return 2, fmt.Errorf("no command %q (want prepare, test or exec)", name)
	}
	cwd, err := os.Getwd()
	if err != nil {
		return exitMachine, err
	}
	root, err := findRoot(cwd)
	if err != nil {
		return exitMachine, err
	}
	m, err := (&preparer{root: root, out: stderr}).prepare(ctx)
	if err != nil {
		return exitMachine, fmt.Errorf("prepare: %w", err)
	}
	switch name {
	case "test":
		return goTest(ctx, args, verbose, stdout, stderr)
	case "exec":
		j, limit, err := newJob(root, cwd, args, os.Environ())
		if err != nil {
			return exitMachine, err
		}
		return m.run(ctx, j, limit, verbose, stdout, stderr)
	}
	return 0, nil
}

// findRoot returns the folder of the module that dir is in.
func findRoot(dir string) (string, error) {
	for up := dir; ; up = filepath.Dir(up) {
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			return up, nil
		}
		if up == filepath.Dir(up) {
			return "", fmt.Errorf("%s: no go.mod here or above (run it within the repository)", dir)
		}
	}
}

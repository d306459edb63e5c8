package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// goTest runs go test for arm64, with this program to run the test binaries.
func goTest(ctx context.Context, args []string, verbose bool, stdout, stderr io.Writer) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return exitMachine, err
	}
	runner := []string{self, "exec"}
	if verbose {
		runner = []string{self, "-v", "exec"}
	}
	quoted, err := quote(runner)
	if err != nil {
		return exitMachine, err
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-tags=kernel", "-exec=" + quoted}, args...)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=1", "CC=aarch64-linux-gnu-gcc")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// go test leaves it to the terminal to interrupt what it runs, so all of them
	// are told, wherever the interrupt came from.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return exitMachine, fmt.Errorf("go test: %w", err)
	}
	return 0, nil
}

// quote joins words in the way in which go test's -exec takes them apart: by
// blanks, but for what is in single or double quotes.
func quote(words []string) (string, error) {
	quoted := make([]string, len(words))
	for i, w := range words {
		switch {
		case !strings.ContainsAny(w, " \t\r\n'\""):
			quoted[i] = w
		case !strings.Contains(w, "'"):
			quoted[i] = "'" + w + "'"
		case !strings.Contains(w, `"`):
			quoted[i] = `"` + w + `"`
		default:
			return "", fmt.Errorf("%s: go test cannot run a program with both kinds of quotes in its path (move the repository)", w)
		}
	}
	return strings.Join(quoted, " "), nil
}

package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/internal/benchdata"
)

// program writes the first bytes of an executable.
func program(t *testing.T, path string, processor elf.Machine) string {
	t.Helper()
	header := make([]byte, 64)
	copy(header, elf.ELFMAG)
	header[elf.EI_CLASS], header[elf.EI_DATA], header[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	header[16], header[18], header[20] = byte(elf.ET_EXEC), byte(processor), byte(elf.EV_CURRENT)
	if err := os.WriteFile(path, header, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestJob(t *testing.T) {
	top := t.TempDir()
	root, build, shared := filepath.Join(top, "a repository"), filepath.Join(top, "go-build"), filepath.Join(top, "shared")
	for _, dir := range []string{root, build} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	binary := program(t, filepath.Join(build, "x.test"), elf.EM_AARCH64)
	environ := []string{"PATH=/usr/bin", "TEACHBOX_A=b c", "HOME=/home/x", "XTEACHBOX_=no"}
	args := []string{binary, "-test.timeout=1m", "-test.run", "X"}

	got, limit, err := newJob(root, filepath.Join(root, "config"), args, environ)
	if err != nil {
		t.Fatal(err)
	}
	want := job{
		Program: binary,
		Args:    []string{"-test.timeout=1m", "-test.run", "X"},
		Env:     []string{"PATH=/bin", "HOME=/root", "USER=root", "TMPDIR=/tmp", "TEACHBOX_A=b c"},
		Dir:     filepath.Join(root, "config"),
		Shares:  []share{{"share0", root}, {"share1", build}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if limit != time.Minute+limitGrace {
		t.Errorf("limit %v", limit)
	}

	paths := func(environ ...string) []string {
		j, _, err := newJob(root, root, args, environ)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, s := range j.Shares {
			paths = append(paths, s.Path)
		}
		return paths
	}
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{root, build, shared}, paths()); diff != "" {
		t.Errorf("bench data beside the repository: %s", diff)
	}
	if diff := cmp.Diff([]string{root, build}, paths(sharedEnv+"="+filepath.Join(top, "absent"))); diff != "" {
		t.Errorf("no bench data: %s", diff)
	}
	// A parent holds all that lies in it.
	if diff := cmp.Diff([]string{top}, paths(sharedEnv+"="+top)); diff != "" {
		t.Errorf("bench data around the repository: %s", diff)
	}
}

func TestSharedEnv(t *testing.T) {
	if sharedEnv != benchdata.Env {
		t.Errorf("the bench data's variable is %s, not %s", benchdata.Env, sharedEnv)
	}
}

func TestCheckProgram(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		program(t, filepath.Join(dir, "arm64"), elf.EM_AARCH64): "",
		program(t, filepath.Join(dir, "amd64"), elf.EM_X86_64):  "build it with GOARCH=arm64",
		script:                       "not a program that Linux runs",
		filepath.Join(dir, "absent"): "no such file",
	} {
		err := checkProgram(path)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", filepath.Base(path), err, want)
		}
	}
}

func TestTimeLimit(t *testing.T) {
	for args, want := range map[string]time.Duration{
		"":                              defaultLimit,
		"run --sim":                     defaultLimit,
		"-test.v -test.timeout=10m0s":   10*time.Minute + limitGrace,
		"-test.timeout 30s -test.run X": 30*time.Second + limitGrace,
		"-test.timeout=0s":              0,
		"-test.timeout=soon":            defaultLimit,
		"-test.timeout":                 defaultLimit,
	} {
		if got := timeLimit(strings.Fields(args)); got != want {
			t.Errorf("%q: %v, want %v", args, got, want)
		}
	}
}

func TestQEMU(t *testing.T) {
	m := &machine{kernel: "/k/vmlinuz", initramfs: "/k/initramfs"}
	args := m.qemuArgs([]share{{"share0", "/home/a, b"}}, false)
	follows := func(flag, want string) {
		t.Helper()
		if i := slices.Index(args, flag); i < 0 || args[i+1] != want {
			t.Errorf("%s is not %q in %q", flag, want, args)
		}
	}
	follows("-accel", "tcg,thread=multi")
	follows("-kernel", "/k/vmlinuz")
	follows("-virtfs", "local,path=/home/a,, b,mount_tag=share0,security_model=none,readonly=on,multidevs=remap")
	quiet := func(args []string) bool { return strings.HasSuffix(args[slices.Index(args, "-append")+1], " quiet") }
	if !quiet(args) || quiet(m.qemuArgs(nil, true)) {
		t.Error("the kernel is to be quiet, but not with -v")
	}
}

// TestRun boots machines that are scripts: they speak as the real one does.
func TestRun(t *testing.T) {
	const (
		ready = `echo '{"Ready":true}' >&4; read -r job <&4; echo '{"Started":true}' >&4; `
		hang  = `exec sleep 1000`
	)
	dir := t.TempDir()
	run := func(t *testing.T, script string, limit time.Duration, verbose bool) (code int, stdout, stderr string, err error) {
		t.Helper()
		path := filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-"))
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		// With -v two goroutines write to standard error, which a file bears.
		errs, err := os.Create(path + ".stderr")
		if err != nil {
			t.Fatal(err)
		}
		defer errs.Close()
		var out bytes.Buffer
		j := job{Program: "/build/x.test", Args: []string{"-test.v"}}
		code, err = (&machine{qemu: path}).run(t.Context(), j, limit, verbose, &out, errs)
		said, failed := os.ReadFile(errs.Name())
		if failed != nil {
			t.Fatal(failed)
		}
		return code, out.String(), string(said), err
	}
	t.Run("output and exit code", func(t *testing.T) {
		code, out, errs, err := run(t, ready+`echo noise >&3; echo '{"Out":"b3V0Cg=="}{"Err":"ZXJyCg=="}{"End":{"Code":3}}' >&4; `+hang, 0, false)
		if code != 3 || out != "out\n" || errs != "err\n" || err != nil {
			t.Errorf("got %d, %q, %q, %v", code, out, errs, err)
		}
	})
	t.Run("the job arrives", func(t *testing.T) {
		code, _, _, err := run(t, ready+`case $job in *'"Program":"/build/x.test","Args":["-test.v"]'*) code=0;; *) code=9;; esac; echo '{"End":{"Code":'$code'}}' >&4; `+hang, 0, false)
		if code != 0 || err != nil {
			t.Errorf("got %d, %v", code, err)
		}
	})
	t.Run("a signal", func(t *testing.T) {
		code, _, errs, err := run(t, ready+`echo '{"End":{"Code":137,"Signal":"killed"}}' >&4; `+hang, 0, false)
		if code != 137 || errs != "virtualpi: a signal ended x.test: killed\n" || err != nil {
			t.Errorf("got %d, %q, %v", code, errs, err)
		}
	})
	t.Run("the program cannot be run", func(t *testing.T) {
		code, _, _, err := run(t, `echo '{"Ready":true}{"End":{"Fault":"mount 9p: no such device"}}' >&4; `+hang, 0, false)
		if code != exitMachine || err == nil || err.Error() != "mount 9p: no such device" {
			t.Errorf("got %d, %v", code, err)
		}
	})
	t.Run("a panic of the kernel", func(t *testing.T) {
		code, out, _, err := run(t, ready+`echo '{"Out":"b3V0Cg=="}' >&4; echo 'Kernel panic' >&3`, 0, false)
		if code != exitMachine || out != "out\n" || err == nil || !strings.Contains(err.Error(), "ended before the program did") || !strings.Contains(err.Error(), "log ends with:\nKernel panic\n") {
			t.Errorf("got %d, %q, %v", code, out, err)
		}
	})
	t.Run("QEMU does not start", func(t *testing.T) {
		code, _, _, err := run(t, `echo 'no such machine' >&2; exit 1`, 0, false)
		if code != exitMachine || err == nil || !strings.Contains(err.Error(), "QEMU says: no such machine") || strings.Contains(err.Error(), "log") {
			t.Errorf("got %d, %v", code, err)
		}
	})
	t.Run("a time limit", func(t *testing.T) {
		code, _, _, err := run(t, ready+`echo 'last words' >&3; `+hang, 300*time.Millisecond, false)
		if code != exitMachine || err == nil || !strings.Contains(err.Error(), "longer than 300ms") {
			t.Errorf("got %d, %v", code, err)
		}
	})
	t.Run("verbose", func(t *testing.T) {
		code, _, errs, err := run(t, `echo Linux >&3; `+ready+`echo '{"End":{}}' >&4; `+hang, 0, true)
		if code != 0 || err != nil || !strings.Contains(errs, "Linux\n") || !strings.Contains(errs, "the program starts ") {
			t.Errorf("got %d, %q, %v", code, errs, err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		path := filepath.Join(dir, "hang")
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho 'a log' >&3\n"+ready+`echo '{"Out":"b3V0Cg=="}' >&4; `+hang+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		code, err := (&machine{qemu: path}).run(ctx, job{}, 0, false, writer(func() { cancel(errors.New("interrupt signal received")) }), os.Stderr)
		if code != exitMachine || err == nil || err.Error() != "the machine was stopped: interrupt signal received" {
			t.Errorf("got %d, %v", code, err)
		}
	})
	t.Run("no QEMU", func(t *testing.T) {
		_, err := (&machine{qemu: filepath.Join(dir, "absent")}).run(t.Context(), job{}, 0, false, os.Stdout, os.Stderr)
		if err == nil || !strings.Contains(err.Error(), "packages.sh kernel") {
			t.Error(err)
		}
	})
}

// A writer calls itself for every write.
type writer func()

func (w writer) Write(p []byte) (int, error) {
	w()
	return len(p), nil
}

func TestLastBytes(t *testing.T) {
	l := &lastBytes{max: 5}
	for _, s := range []string{"ab", "cd", "", "efg", "hijklmnop"} {
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	if string(l.data) != "lmnop" {
		t.Errorf("kept %q", l.data)
	}
}

package main

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// stub puts a shell script into a folder of programs.
func stub(t *testing.T, bin, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestPackages runs packages.sh with only those programs in PATH that a case
// names, all of them stubs. What apt-get and sudo were called with lands in a
// log.
func TestPackages(t *testing.T) {
	script, err := filepath.Abs("packages.sh")
	if err != nil {
		t.Fatal(err)
	}
	const (
		newGo = "echo go1.26.8"
		gcc   = "cat >/dev/null"
		root  = "echo 0"
		user  = "echo 1000"
	)
	apt := `echo "apt-get $*" >>"$LOG"`
	sudo := `echo "sudo $*" >>"$LOG"; exec "$@"`
	// with adds to the stubs that suffice for building.
	with := func(more map[string]string) map[string]string {
		all := map[string]string{"go": newGo, "gcc": gcc, "npm": ":", "id": root, "apt-get": apt}
		maps.Copy(all, more)
		return all
	}
	const cross = `case $1 in -E) cat >/dev/null;; *) echo /cross/libstdc++.so.6;; esac`
	for _, c := range []struct {
		name    string
		args    []string
		stubs   map[string]string
		fetched bool // the TFLite library is there
		code    int
		says    []string
		calls   string // part of the log; "" is no call at all
	}{
		{
			name:  "all there",
			stubs: map[string]string{"go": newGo, "gcc": gcc, "npm": ":", "id": root, "apt-get": apt},
		},
		{
			name:    "npm is not needed twice",
			stubs:   map[string]string{"go": newGo, "gcc": gcc, "id": root, "apt-get": apt},
			fetched: true,
		},
		{
			name:  "a newer Go",
			stubs: map[string]string{"go": "echo go1.30", "gcc": gcc, "npm": ":", "id": root, "apt-get": apt},
		},
		{
			name:  "no Go",
			stubs: map[string]string{"gcc": gcc, "npm": ":", "id": root, "apt-get": apt},
			code:  1, says: []string{"needs Go 1.26 or newer", "there is no go in PATH", "Debian 12's own package is older"},
		},
		{
			name:  "old Go",
			stubs: map[string]string{"go": "echo go1.19.8", "gcc": gcc, "npm": ":", "id": root, "apt-get": apt},
			code:  1, says: []string{"needs Go 1.26 or newer", "/go is 1.19.8", "Install a newer one"},
		},
		{
			name:  "Go 1.9 is older than 1.26",
			stubs: map[string]string{"go": "echo go1.9", "gcc": gcc, "npm": ":", "id": root, "apt-get": apt},
			code:  1, says: []string{"/go is 1.9"},
		},
		{
			name:  "Go that cannot read go.mod",
			stubs: map[string]string{"go": "exit 1", "gcc": gcc, "npm": ":", "id": root, "apt-get": apt},
			code:  1, says: []string{"too old to say"},
		},
		{
			name:  "Go before packages",
			stubs: map[string]string{"go": "echo go1.19.8", "id": root, "apt-get": apt},
			code:  1, says: []string{"needs Go"},
		},
		{
			name:  "root without npm",
			stubs: map[string]string{"go": newGo, "gcc": gcc, "id": root, "apt-get": apt},
			says:  []string{"installing npm"},
			calls: "apt-get update -qq\napt-get install -y -qq --no-install-recommends npm\n",
		},
		{
			name:  "root without anything",
			stubs: map[string]string{"go": newGo, "id": root, "apt-get": apt},
			says:  []string{"installing gcc libc6-dev npm"},
			calls: " gcc libc6-dev npm\n",
		},
		{
			name:  "a compiler without headers",
			stubs: map[string]string{"go": newGo, "gcc": gcc + "; exit 1", "npm": ":", "id": root, "apt-get": apt},
			says:  []string{"installing libc6-dev"},
			calls: " libc6-dev\n",
		},
		{
			name:  "sudo",
			stubs: map[string]string{"go": newGo, "gcc": gcc, "id": user, "sudo": sudo, "apt-get": apt},
			says:  []string{"installing npm"},
			calls: "sudo apt-get update -qq\napt-get update -qq\nsudo env DEBIAN_FRONTEND=noninteractive apt-get install",
		},
		{
			name:  "neither root nor sudo",
			stubs: map[string]string{"go": newGo, "gcc": gcc, "id": user, "apt-get": apt},
			code:  1, says: []string{"needs these Debian packages: npm\n", "apt-get install npm\n"},
		},
		{
			name:  "no npm and no apt-get",
			stubs: map[string]string{"go": newGo, "gcc": gcc, "id": root},
			code:  1, says: []string{"the packages that Debian calls: npm\n", "no apt-get here"},
		},
		{
			name:  "apt-get fails",
			stubs: map[string]string{"go": newGo, "gcc": gcc, "id": root, "apt-get": apt + "; echo unable to fetch >&2; exit 100"},
			code:  100, says: []string{"unable to fetch"},
			calls: "apt-get update -qq\n",
		},
		{
			name:  "kernel, all there",
			args:  []string{"kernel"},
			stubs: with(map[string]string{"qemu-system-aarch64": ":", "aarch64-linux-gnu-gcc": cross, "make": ":", "xz": ":", "kmod": ":"}),
		},
		{
			name:  "kernel, nothing there",
			args:  []string{"kernel"},
			stubs: with(nil),
			says:  []string{"installing qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross libstdc++6-arm64-cross make xz-utils kmod"},
			calls: "--no-install-recommends qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross libstdc++6-arm64-cross make xz-utils kmod\n",
		},
		{
			name:  "kernel and npm",
			args:  []string{"kernel"},
			stubs: map[string]string{"go": newGo, "gcc": gcc, "id": user, "qemu-system-aarch64": ":", "aarch64-linux-gnu-gcc": cross, "xz": ":", "kmod": ":"},
			code:  1, says: []string{"apt-get install npm make\n"},
		},
		{
			name:  "a cross compiler without headers and libraries",
			args:  []string{"kernel"},
			stubs: with(map[string]string{"qemu-system-aarch64": ":", "aarch64-linux-gnu-gcc": "[ $1 != -E ] || exit 1; echo libstdc++.so.6", "make": ":", "xz": ":", "kmod": ":"}),
			says:  []string{"installing libc6-dev-arm64-cross libstdc++6-arm64-cross"},
			calls: " libc6-dev-arm64-cross libstdc++6-arm64-cross\n",
		},
		{
			name:  "an unknown argument",
			args:  []string{"kernal"},
			stubs: with(nil),
			code:  2, says: []string{`what is "kernal"?`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			bin, dir := t.TempDir(), t.TempDir()
			for name, script := range c.stubs {
				stub(t, bin, name, script)
			}
			for _, name := range []string{"sort", "head", "cat", "env"} { // the system's own
				path, err := exec.LookPath(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
					t.Fatal(err)
				}
			}
			if c.fetched {
				path := filepath.Join(dir, shimHeader)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			log := filepath.Join(t.TempDir(), "log")
			cmd := exec.CommandContext(t.Context(), "/bin/sh", append([]string{script}, c.args...)...)
			cmd.Dir = dir
			cmd.Env = []string{"PATH=" + bin, "LOG=" + log}
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(said.String(), want) {
					t.Errorf("it did not say %q", want)
				}
			}
			if c.code == 0 && len(c.says) == 0 && said.Len() > 0 {
				t.Error("it spoke though there was nothing to do")
			}
			calls, err := os.ReadFile(log)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if c.calls == "" && len(calls) > 0 || !strings.Contains(string(calls), c.calls) {
				t.Errorf("calls %q, want %q", calls, c.calls)
			}
			if t.Failed() {
				t.Logf("it said:\n%s", said.String())
			}
		})
	}
}

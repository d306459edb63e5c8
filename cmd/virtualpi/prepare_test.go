package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stub is what every tool is in these tests: it logs its call, and makes the
// files that the real one would.
const stub = `#!/bin/sh
set -eu
tool=${0##*/}
echo "$tool $*" >>"$LOG"
[ "$tool" != "${FAIL-}" ] || { echo "$tool is broken" >&2; exit 1; }
version=6.12.9+deb12
case "$tool $*" in
"apt-cache show"*)
	echo "Depends: linux-image-$version-arm64 (= 6.12.9-1)" ;;
"apt-get -qq update")
	grep -q '"arm64"' "$APT_CONFIG" ;;
"apt-get -qq --print-uris download"*)
	for p in linux-image-$version-arm64 linux-headers-$version-arm64 linux-headers-$version-common linux-kbuild-$version linux-source-6.12 v4l2loopback-dkms; do
		[ -e ${p}_1.deb ] || echo "'http://mirror.example/$p' ${p}_1.deb 1500000 SHA256:0"
	done ;;
"apt-get -qq download"*)
	for p in linux-image-$version-arm64 linux-headers-$version-arm64 linux-headers-$version-common linux-kbuild-$version linux-source-6.12 v4l2loopback-dkms; do
		: >${p}_1.deb
	done ;;
"dpkg --print-architecture")
	echo amd64 ;;
"dpkg-deb -x "*linux-image*)
	mkdir -p "$3/boot" "$3/lib/modules/$version-arm64"
	echo kernel >"$3/boot/vmlinuz-$version-arm64" ;;
"dpkg-deb -x "*linux-headers-$version-arm64_1.deb*)
	mkdir -p "$3/usr/src/linux-headers-$version-arm64"
	echo "include /usr/src/linux-headers-$version-common/Makefile" >"$3/usr/src/linux-headers-$version-arm64/Makefile" ;;
"dpkg-deb -x "*v4l2loopback*)
	mkdir -p "$3/usr/src/v4l2loopback-0.12.7"
	echo 'strlcpy(a, b, c);' >"$3/usr/src/v4l2loopback-0.12.7/v4l2loopback.c"
	: >"$3/usr/src/v4l2loopback-0.12.7/v4l2loopback_formats.h" ;;
"dpkg-deb -x "*)
	mkdir -p "$3" ;;
"tar "*)
	mkdir -p linux-source-6.12/drivers/gpio linux-source-6.12/kernel/irq
	: >linux-source-6.12/drivers/gpio/gpio-sim.c
	printf '#include <linux/irq.h>\nirq_to_desc(irqnum)\n' >linux-source-6.12/kernel/irq/irq_sim.c ;;
"make "*)
	grep -q 'include ../linux-headers' Makefile
	dir=${2#M=}
	for m in irq_sim gpio-sim v4l2loopback; do cp "$dir/$m.c" "$dir/$m.ko"; done ;;
"modprobe "*)
	for last; do :; done
	echo "builtin other"
	case $last in
	v4l2loopback)
		echo "insmod $4/lib/modules/$version-arm64/extra/v4l2loopback.ko " ;;
	gpio-sim)
		for m in irq_sim gpio-sim; do echo "insmod $4/lib/modules/$version-arm64/extra/$m.ko "; done ;;
	*)
		echo "insmod $4/lib/modules/$version-arm64/kernel/$last.ko.xz " ;;
	esac ;;
"aarch64-linux-gnu-gcc -print-file-name="*)
	name=${1#*=}
	[ "$name" = "${LACKS-}" ] && echo "$name" || echo "$LIBS/$name" ;;
"xz -dc "*)
	echo "module ${2##*/}" ;;
"go build "*)
	echo "init of $(cat cmd/virtualpi/init.go)" >"$5" ;;
esac
`

// A bench is a repository to prepare in, with stubs for tools.
type bench struct {
	*preparer
	log  string
	said *bytes.Buffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	// Repositories lie in folders with blanks in their names, too.
	top := filepath.Join(t.TempDir(), "a child")
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(top, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, tool := range tools {
		write("bin/"+tool, stub)
	}
	for _, name := range libraries {
		write("libs/"+name, name)
	}
	write("root/cmd/virtualpi/init.go", "one")
	if err := os.Mkdir(filepath.Join(top, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	said := new(bytes.Buffer)
	b := &bench{
		preparer: &preparer{root: filepath.Join(top, "root"), out: said},
		log:      filepath.Join(top, "log"), said: said,
	}
	t.Setenv("PATH", filepath.Join(top, "bin")+":"+os.Getenv("PATH"))
	t.Setenv("LOG", b.log)
	t.Setenv("LIBS", filepath.Join(top, "libs"))
	t.Setenv("TMPDIR", filepath.Join(top, "tmp"))
	return b
}

// calls returns which tools were called, in order, and forgets them.
func (b *bench) calls(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(b.log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var tools []string
	for line := range strings.Lines(string(data)) {
		tool, _, _ := strings.Cut(line, " ")
		tools = append(tools, tool)
	}
	return tools
}

// left returns the names in the folder that everything is kept in.
func (b *bench) left(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.root, "third_party/virtualpi"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (b *bench) mustPrepare(t *testing.T) *machine {
	t.Helper()
	m, err := b.prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func contents(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPrepare(t *testing.T) {
	b := newBench(t)
	if err := os.MkdirAll(filepath.Join(b.root, "third_party/virtualpi/6.12.8+deb12-arm64"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := b.mustPrepare(t)
	if got := contents(t, m.kernel); got != "kernel\n" {
		t.Errorf("the kernel is %q", got)
	}
	archive := contents(t, m.initramfs)
	for _, want := range []string{"init of one\n", "lib/libstdc++.so.6", "modules/gpio-sim.order", "irq_sim.ko\ngpio-sim.ko\n", "module vivid.ko.xz\n", "irq_data_to_desc", "strscpy"} {
		if !strings.Contains(archive, want) {
			t.Errorf("there is no %q in the initramfs", want)
		}
	}
	for _, want := range []string{"downloading Debian packages, 9.0 MB\n", "1.5 MB  linux-image-6.12.9+deb12-arm64_1.deb", "building modules for Linux 6.12.9+deb12-arm64"} {
		if !strings.Contains(b.said.String(), want) {
			t.Errorf("it did not say %q but:\n%s", want, b.said)
		}
	}
	if diff := cmp.Diff([]string{"6.12.9+deb12-arm64", "current", "lock"}, b.left(t)); diff != "" {
		t.Error(diff)
	}
	if calls := b.calls(t); !slices.Contains(calls, "depmod") || !slices.Contains(calls, "aarch64-linux-gnu-strip") {
		t.Errorf("calls %q", calls)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left among the temporary files: %v, %v", left, err)
	}

	b.said.Reset()
	if again := b.mustPrepare(t); *again != *m {
		t.Errorf("prepared again: %+v, want %+v", again, m)
	}
	if calls := b.calls(t); len(calls) > 0 || b.said.Len() > 0 {
		t.Errorf("prepared again: calls %q, it said %q", calls, b.said)
	}
}

// TestPrepareChanged shows that another first process needs no other kernel.
func TestPrepareChanged(t *testing.T) {
	b := newBench(t)
	old := b.mustPrepare(t)
	b.calls(t)
	// Left by one that was killed.
	if err := os.WriteFile(filepath.Join(filepath.Dir(old.initramfs), "initramfs-new"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.root, "cmd/virtualpi/init.go"), []byte("two"), 0o644); err != nil {
		t.Fatal(err)
	}
	m := b.mustPrepare(t)
	if diff := cmp.Diff([]string{"aarch64-linux-gnu-gcc", "go"}, slices.Compact(b.calls(t))); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(contents(t, m.initramfs), "init of two\n") || exists(old.initramfs) {
		t.Error("the old initramfs was not replaced")
	}
	if exists(filepath.Join(filepath.Dir(m.initramfs), "initramfs-new")) {
		t.Error("half an initramfs was left")
	}
	// A test of this program is no part of the first process.
	if err := os.WriteFile(filepath.Join(b.root, "cmd/virtualpi/init_test.go"), []byte("three"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.mustPrepare(t)
	if calls := b.calls(t); len(calls) > 0 {
		t.Errorf("calls %q", calls)
	}
}

// TestPrepareGoesOn lets each tool fail once, and prepares again.
func TestPrepareGoesOn(t *testing.T) {
	for _, tool := range []string{"aarch64-linux-gnu-gcc", "apt-cache", "apt-get", "dpkg", "dpkg-deb", "tar", "make", "aarch64-linux-gnu-strip", "depmod", "modprobe", "xz", "go"} {
		t.Run(tool, func(t *testing.T) {
			b := newBench(t)
			t.Setenv("FAIL", tool)
			if m, err := b.prepare(t.Context()); err == nil || !strings.Contains(err.Error(), tool+" is broken") {
				t.Fatalf("got %v, %v; want what %s said", m, err, tool)
			}
			t.Setenv("FAIL", "")
			downloaded := !slices.Contains([]string{"aarch64-linux-gnu-gcc", "apt-cache", "apt-get", "dpkg", "dpkg-deb"}, tool)
			b.said.Reset()
			b.mustPrepare(t)
			if again := strings.Contains(b.said.String(), "downloading"); again == downloaded {
				t.Errorf("downloaded again: %v; it said:\n%s", again, b.said)
			}
			if diff := cmp.Diff([]string{"6.12.9+deb12-arm64", "current", "lock"}, b.left(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPrepareDamaged shows that a package which cannot be unpacked is
// downloaded anew.
func TestPrepareDamaged(t *testing.T) {
	b := newBench(t)
	t.Setenv("FAIL", "dpkg-deb")
	if _, err := b.prepare(t.Context()); err == nil || !strings.Contains(err.Error(), "run it again") {
		t.Fatal(err)
	}
	t.Setenv("FAIL", "")
	b.said.Reset()
	b.mustPrepare(t)
	if !strings.Contains(b.said.String(), "downloading Debian packages, 1.5 MB\n") {
		t.Errorf("it said:\n%s", b.said)
	}
}

func TestPrepareRefuses(t *testing.T) {
	t.Run("a tool is missing", func(t *testing.T) {
		b := newBench(t)
		t.Setenv("PATH", t.TempDir())
		if _, err := b.prepare(t.Context()); err == nil || !strings.Contains(err.Error(), "apt-get is not installed") || !strings.Contains(err.Error(), "packages.sh kernel") {
			t.Error(err)
		}
	})
	for _, name := range libraries {
		t.Run("no "+name, func(t *testing.T) {
			b := newBench(t)
			t.Setenv("LACKS", name)
			if _, err := b.prepare(t.Context()); err == nil || !strings.Contains(err.Error(), name+" for arm64 is not installed") || !strings.Contains(err.Error(), "packages.sh kernel") {
				t.Error(err)
			}
			if calls := slices.Compact(b.calls(t)); !slices.Equal(calls, []string{"aarch64-linux-gnu-gcc"}) {
				t.Errorf("calls %q before it was noticed", calls)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		b := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.prepare(ctx); err == nil || !strings.Contains(err.Error(), "run it again") {
			t.Error(err)
		}
	})
	t.Run("interrupted while another prepares", func(t *testing.T) {
		b := newBench(t)
		dir := filepath.Join(b.root, "third_party/virtualpi")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		unlock, err := lock(t.Context(), filepath.Join(dir, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.prepare(ctx); err == nil || !strings.Contains(err.Error(), "lock") {
			t.Error(err)
		}
	})
}

func TestTail(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""}, {"a\nb\n", "a\nb"}, {"first line\nlast", "last"}, {"no end in sight", "sight"}, {"at last", " last"},
	} {
		if got := tail(c.text, 5); got != c.want {
			t.Errorf("tail(%q): %q, want %q", c.text, got, c.want)
		}
	}
}

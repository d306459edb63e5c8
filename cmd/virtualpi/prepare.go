package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// modules are what the machine can load, each with what it depends on: the test
// drivers, and what the machine itself or a test's disk needs.
var modules = []string{
	"vivid", "v4l2loopback", "gpio-sim",
	"configfs", "9p", "9pnet_virtio",
	"virtio_blk", "ext4", "dm-flakey",
}

// libraries are what arm64 programs with cgo need, and the TFLite library.
var libraries = []string{
	"ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0",
	"librt.so.1", "libresolv.so.2", "libgcc_s.so.1", "libstdc++.so.6",
}

// tools are the programs that preparing needs, all of them before anything is
// downloaded.
var tools = []string{
	"apt-get", "apt-cache", "dpkg", "dpkg-deb", "tar", "xz", "make", "depmod", "modprobe",
	"aarch64-linux-gnu-gcc", "aarch64-linux-gnu-strip", "qemu-system-aarch64", "go",
}

// A preparer makes the files that the machine boots from, below
// third_party/virtualpi of the module's folder:
//
//	RELEASE/vmlinuz        the kernel
//	RELEASE/modules        *.ko, and NAME.order for each of modules
//	RELEASE/initramfs-SUM  for one state of the first process's sources
//	current                a link to RELEASE
//	download, new          until a kernel is complete
type preparer struct {
	root string
	out  io.Writer // told of what takes long
}

// prepare makes what is missing and returns the machine.
func (p *preparer) prepare(ctx context.Context) (*machine, error) {
	sum, err := p.sourceSum()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(p.root, "third_party/virtualpi")
	current := filepath.Join(dir, "current")
	m := &machine{
		qemu:      "qemu-system-aarch64",
		kernel:    filepath.Join(current, "vmlinuz"),
		initramfs: filepath.Join(current, "initramfs-"+sum),
	}
	if exists(m.kernel, m.initramfs) {
		return m, nil
	}
	for _, name := range tools {
		if _, err := lookPath(name); err != nil {
			return nil, notInstalled(name)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// Tests of several packages may come here at the same time.
	unlock, err := lock(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	libs, err := findLibraries(ctx)
	if err != nil {
		return nil, err
	}
	wanted := []string{m.kernel}
	for _, name := range modules {
		wanted = append(wanted, filepath.Join(current, "modules", name+".order"))
	}
	if !exists(wanted...) {
		if err := p.fetchKernel(ctx, dir); err != nil {
			return nil, err
		}
	}
	if !exists(m.initramfs) {
		if err := p.makeInitramfs(ctx, current, libs, m.initramfs); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// notInstalled is the error for a program or a library that is missing.
func notInstalled(name string) error {
	return fmt.Errorf("%s is not installed (run `sh cmd/setup/packages.sh kernel` in the repository's folder, which installs what is needed)", name)
}

// findLibraries asks the compiler where each of libraries is: it depends on
// whether arm64 is the host's own architecture.
func findLibraries(ctx context.Context) (map[string]string, error) {
	paths := make(map[string]string)
	for _, name := range libraries {
		out, err := output(ctx, "", nil, "aarch64-linux-gnu-gcc", "-print-file-name="+name)
		if err != nil {
			return nil, err
		}
		path := strings.TrimSpace(string(out))
		if !filepath.IsAbs(path) { // it answers with the bare name if there is none
			return nil, notInstalled(name + " for arm64")
		}
		paths[name] = path
	}
	return paths, nil
}

// sourceSum tells one state of the first process's sources from another.
func (p *preparer) sourceSum() (string, error) {
	h := sha256.New()
	for _, dir := range []string{"cmd/virtualpi", "internal/virtualpi/kmod"} {
		names, err := filepath.Glob(filepath.Join(p.root, dir, "*.go"))
		if err != nil {
			return "", err
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			data, err := os.ReadFile(name)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%s %d\n%s", filepath.Base(name), len(data), data)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

func exists(paths ...string) bool {
	return !slices.ContainsFunc(paths, func(path string) bool {
		_, err := os.Stat(path)
		return err != nil
	})
}

// lock waits until no other process holds the file.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if ctx.Err() != nil || !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, cmp.Or(context.Cause(ctx), err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// fetchKernel downloads the newest kernel, builds its modules and makes it the
// current one. The downloads are kept until all is done.
func (p *preparer) fetchKernel(ctx context.Context, dir string) error {
	arch, err := output(ctx, "", nil, "dpkg", "--print-architecture")
	if err != nil {
		return err
	}
	host := strings.TrimSpace(string(arch))
	download := filepath.Join(dir, "download")
	a, err := newApt(download, host)
	if err != nil {
		return err
	}
	fmt.Fprintln(p.out, "virtualpi: fetching Debian's lists of packages (about 20 MB)")
	k, err := a.newest(ctx)
	if err != nil {
		return err
	}
	packages := k.packages(host)
	missing, err := a.missing(ctx, packages)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		total := int64(0)
		for _, d := range missing {
			total += d.size
		}
		fmt.Fprintf(p.out, "virtualpi: downloading Debian packages, %s\n", megabytes(total))
		for _, d := range missing {
			fmt.Fprintf(p.out, "  %s  %s\n", megabytes(d.size), d.file)
		}
		if err := a.download(ctx, packages); err != nil {
			return err
		}
	}

	fmt.Fprintf(p.out, "virtualpi: building modules for Linux %s\n", k.release)
	// Not below dir: the kernel's makefiles cannot bear a blank in a path.
	tmp, err := os.MkdirTemp("", "virtualpi-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	image := filepath.Join(tmp, "image")
	if err := a.unpack(ctx, "linux-image-*", image); err != nil {
		return err
	}
	built, err := buildModules(ctx, a, k, tmp)
	if err != nil {
		return err
	}
	stage, done := filepath.Join(dir, "new"), filepath.Join(dir, k.release)
	if err := errors.Join(os.RemoveAll(stage), os.MkdirAll(filepath.Join(stage, "modules"), 0o755)); err != nil {
		return err
	}
	if err := collectModules(ctx, k, image, built, filepath.Join(stage, "modules")); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(stage, "vmlinuz"), filepath.Join(image, "boot/vmlinuz-"+k.release)); err != nil {
		return err
	}
	// Whenever this is interrupted, there is no link, and the downloads are
	// still there.
	link := filepath.Join(dir, "current")
	kernels, err := filepath.Glob(filepath.Join(dir, "*-arm64"))
	if err != nil {
		return err
	}
	for _, old := range append(kernels, link) {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	if err := os.Rename(stage, done); err != nil {
		return err
	}
	if err := os.Symlink(k.release, link); err != nil {
		return err
	}
	return os.RemoveAll(download)
}

// makeInitramfs writes what the machine starts from: this program as /init, the
// modules and the libraries, by their names.
func (p *preparer) makeInitramfs(ctx context.Context, current string, libs map[string]string, to string) error {
	fmt.Fprintln(p.out, "virtualpi: building the machine's first process")
	tmp, err := os.MkdirTemp("", "virtualpi-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	binary := filepath.Join(tmp, "init")
	env := append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0", "GOFLAGS=")
	if _, err := output(ctx, p.root, env, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./cmd/virtualpi"); err != nil {
		return err
	}
	files := map[string]string{"init": binary}
	for name, path := range libs {
		files["lib/"+name] = path
	}
	kos, err := os.ReadDir(filepath.Join(current, "modules"))
	if err != nil {
		return err
	}
	for _, e := range kos {
		files["modules/"+e.Name()] = filepath.Join(current, "modules", e.Name())
	}

	f, err := os.Create(filepath.Join(current, "initramfs-new"))
	if err != nil {
		return err
	}
	if err := errors.Join(writeInitramfs(f, files), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), to); err != nil {
		return err
	}
	// Those for other states of this program are of no use any more.
	all, err := filepath.Glob(filepath.Join(current, "initramfs-*"))
	if err != nil {
		return err
	}
	for _, path := range all {
		if path != to {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// lookPath finds a program also where only root's PATH leads.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		for _, dir := range []string{"/usr/sbin", "/sbin"} {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
	}
	return path, err
}

// output runs a program to its end and returns what it printed. A nil
// environment is this program's own.
func output(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	path, err := lookPath(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = dir, env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, errors.New("interrupted (run it again: it goes on where it was)")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", name, err, tail(stderr.String(), 4000))
	}
	return out, nil
}

// tail is the last n bytes of a text, from the start of a line if possible.
func tail(text string, n int) string {
	text = strings.TrimSpace(text)
	if len(text) <= n {
		return text
	}
	text = text[len(text)-n:]
	if _, rest, ok := strings.Cut(text, "\n"); ok {
		return rest
	}
	return text
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// An edit mends a source file for building outside the kernel's tree.
type edit struct{ old, new string }

// edits are what each source needs.
var edits = map[string][]edit{
	// Part of the kernel itself, never a module: it uses a function that
	// modules may not.
	"irq_sim.c": {
		{"irq_to_desc(irqnum)", "irq_data_to_desc(irq_get_irq_data(irqnum))"},
		{"#include <linux/irq.h>\n", "#include <linux/irq.h>\n#include <linux/irqdesc.h>\n#include <linux/module.h>\nMODULE_DESCRIPTION(\"simulated interrupts\");\nMODULE_LICENSE(\"GPL\");\n"},
	},
	"gpio-sim.c": nil,
	// Debian's 0.12.7 is older than the kernel, which has dropped strlcpy.
	"v4l2loopback.c": {{"strlcpy(", "strscpy("}},
	// The headers name each other by where they lie once installed.
	"Makefile": {{"include /usr/src/", "include ../"}},
}

// mend applies the edits of a source file.
func mend(name, text string) (string, error) {
	for _, e := range edits[name] {
		if !strings.Contains(text, e.old) {
			return "", fmt.Errorf("%s: there is no %q in it; this version cannot be built here", name, e.old)
		}
		text = strings.ReplaceAll(text, e.old, e.new)
	}
	return text, nil
}

// mendFile copies a source file, mended.
func mendFile(to, from string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	mended, err := mend(filepath.Base(from), string(text))
	if err != nil {
		return err
	}
	return os.WriteFile(to, []byte(mended), 0o644)
}

// buildModules builds the modules that no Debian package has for this kernel,
// and returns their files.
func buildModules(ctx context.Context, a *apt, k kernel, tmp string) ([]string, error) {
	for _, pattern := range []string{"linux-headers-" + k.release + "_*", "linux-headers-*-common_*", "linux-kbuild-*", "linux-source-*", "v4l2loopback-dkms_*"} {
		if err := a.unpack(ctx, pattern, tmp); err != nil {
			return nil, err
		}
	}
	src, dir := filepath.Join(tmp, "usr/src"), filepath.Join(tmp, "build")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	tree := "linux-source-" + series
	if _, err := output(ctx, src, nil, "tar", "-xJf", tree+".tar.xz", tree+"/drivers/gpio/gpio-sim.c", tree+"/kernel/irq/irq_sim.c"); err != nil {
		return nil, err
	}
	loopback, err := filepath.Glob(filepath.Join(src, "v4l2loopback-*"))
	if err != nil || len(loopback) != 1 {
		return nil, fmt.Errorf("v4l2loopback-dkms holds %d folders of sources, want one", len(loopback))
	}
	headers := filepath.Join(src, "linux-headers-"+k.release)
	if err := errors.Join(
		mendFile(filepath.Join(dir, "irq_sim.c"), filepath.Join(src, tree, "kernel/irq/irq_sim.c")),
		mendFile(filepath.Join(dir, "gpio-sim.c"), filepath.Join(src, tree, "drivers/gpio/gpio-sim.c")),
		mendFile(filepath.Join(dir, "v4l2loopback.c"), filepath.Join(loopback[0], "v4l2loopback.c")),
		mendFile(filepath.Join(headers, "Makefile"), filepath.Join(headers, "Makefile")),
		copyFile(filepath.Join(dir, "v4l2loopback_formats.h"), filepath.Join(loopback[0], "v4l2loopback_formats.h")),
		os.WriteFile(filepath.Join(dir, "Makefile"), []byte("obj-m := irq_sim.o gpio-sim.o v4l2loopback.o\n"), 0o644),
	); err != nil {
		return nil, err
	}
	if _, err := output(ctx, headers, nil, "make", "-s", "M="+dir, "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"); err != nil {
		return nil, err
	}
	built, err := filepath.Glob(filepath.Join(dir, "*.ko"))
	if err != nil {
		return nil, err
	}
	_, err = output(ctx, dir, nil, "aarch64-linux-gnu-strip", append([]string{"--strip-debug"}, built...)...)
	return built, err
}

// collectModules puts the wanted modules and what they depend on into one
// folder, with their orders. image is the kernel's unpacked package.
func collectModules(ctx context.Context, k kernel, image string, built []string, to string) error {
	extra := filepath.Join(image, "lib/modules", k.release, "extra")
	if err := os.MkdirAll(extra, 0o755); err != nil {
		return err
	}
	for _, path := range built {
		if err := copyFile(filepath.Join(extra, filepath.Base(path)), path); err != nil {
			return err
		}
	}
	if _, err := output(ctx, "", nil, "depmod", "-b", image, k.release); err != nil {
		return err
	}
	for _, name := range modules {
		// -C: what the host's own modprobe is configured to do is nothing to us.
		text, err := output(ctx, "", nil, "modprobe", "-C", os.DevNull, "-d", image, "-S", k.release, "--show-depends", name)
		if err != nil {
			return err
		}
		var order strings.Builder
		for _, path := range parseDepends(text) {
			file := strings.TrimSuffix(filepath.Base(path), ".xz")
			fmt.Fprintln(&order, file)
			if err := copyModule(ctx, filepath.Join(to, file), path); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(to, name+".order"), []byte(order.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// parseDepends reads the files out of lines of: insmod FILE. What is built into
// the kernel has lines of its own.
func parseDepends(text []byte) []string {
	var files []string
	for line := range strings.Lines(string(text)) {
		if file, ok := strings.CutPrefix(line, "insmod "); ok {
			files = append(files, strings.TrimSpace(file))
		}
	}
	return files
}

// copyModule copies a module, unpacked.
func copyModule(ctx context.Context, to, from string) error {
	if !strings.HasSuffix(from, ".xz") {
		return copyFile(to, from)
	}
	data, err := output(ctx, "", nil, "xz", "-dc", from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

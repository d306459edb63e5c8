// Package kmod loads and unloads the kernel modules that lie in the virtual
// machine's folder /modules. For each name there is a file NAME.order that
// lists the files to load, in order, the module itself last.
package kmod

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir is where the modules lie, in the machine.
const Dir = "/modules"

// Load loads a module and what it depends on. What is loaded already is left as
// it is. The parameters, such as "n_devs=1 vid_cap_nr=0", are for the module
// itself.
func Load(name, params string) error {
	order, err := readOrder(Dir, name)
	if err != nil {
		return err
	}
	for i, file := range order {
		p := ""
		if i == len(order)-1 {
			p = params
		}
		if err := load(filepath.Join(Dir, file), p); err != nil {
			return fmt.Errorf("load module %s: %s: %w", name, file, err)
		}
	}
	return nil
}

func load(path, params string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), params, 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// Unload unloads a module but not what it depends on. The error wraps
// unix.EWOULDBLOCK while it is in use, and unix.ENOENT if it is not loaded.
func Unload(name string) error {
	if err := unix.DeleteModule(kernelName(name), unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("unload module %s: %w", name, err)
	}
	return nil
}

// Loaded reports whether a module is loaded.
func Loaded(name string) (bool, error) {
	_, err := os.Stat(filepath.Join("/sys/module", kernelName(name), "initstate"))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// kernelName is what the kernel calls the module in the file NAME.ko.
func kernelName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// readOrder returns the files that NAME.order lists.
func readOrder(dir, name string) ([]string, error) {
	path := filepath.Join(dir, name+".order")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w (the virtual machine does not have it)", name, err)
	}
	var files []string
	for line := range strings.Lines(string(text)) {
		file := strings.TrimSuffix(line, "\n")
		if !filepath.IsLocal(file) || !strings.HasSuffix(file, ".ko") {
			return nil, fmt.Errorf("%s: %q is not the name of a module file", path, file)
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: it lists no module", path)
	}
	return files, nil
}

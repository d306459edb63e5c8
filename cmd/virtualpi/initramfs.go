package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
)

// texts are the small files that the C library looks for.
var texts = map[string]string{
	"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
	"etc/group":  "root:x:0:\n",
	"etc/hosts":  "127.0.0.1 localhost\n",
}

// writeInitramfs writes an archive of the files (by their place in it, without
// the leading slash) and of texts. It is not compressed: software emulation
// would take longer to unpack it than the host to hand it over.
func writeInitramfs(w io.Writer, files map[string]string) error {
	c := &cpio{w: bufio.NewWriter(w), dirs: map[string]bool{".": true}}
	c.dir("root")
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		c.file(name, 0o644, []byte(texts[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data, err := os.ReadFile(files[name])
		if err != nil {
			return err
		}
		c.file(name, 0o755, data)
	}
	c.entry("TRAILER!!!", 0, nil)
	return c.w.Flush()
}

// A cpio writes an archive in the "newc" format, which the kernel unpacks at
// its start (Documentation/driver-api/early-userspace/buffer-format.rst).
// Errors are kept by the bufio.Writer until Flush.
type cpio struct {
	w     *bufio.Writer
	inode int
	dirs  map[string]bool // written already
}

// The types of entries, as in stat(2).
const (
	typeDir  = 0o040000
	typeFile = 0o100000
)

// dir writes a folder and those it lies in, unless they are there.
func (c *cpio) dir(name string) {
	if c.dirs[name] {
		return
	}
	c.dirs[name] = true
	c.dir(path.Dir(name))
	c.entry(name, typeDir|0o755, nil)
}

func (c *cpio) file(name string, mode int, data []byte) {
	c.dir(path.Dir(name))
	c.entry(name, typeFile|mode, data)
}

func (c *cpio) entry(name string, mode int, data []byte) {
	c.inode++
	// Magic, inode, mode, owner, group, links, time, size, four numbers of
	// devices, length of the name with its NUL, checksum.
	fmt.Fprintf(c.w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", c.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	c.w.WriteString(name)
	c.w.WriteByte(0)
	c.pad(110 + len(name) + 1)
	c.w.Write(data)
	c.pad(len(data))
}

// pad fills up to a multiple of four bytes.
func (c *cpio) pad(n int) {
	for ; n%4 != 0; n++ {
		c.w.WriteByte(0)
	}
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readCpio reads an archive as the kernel does: name, mode and contents of each
// entry, in order.
func readCpio(t *testing.T, data []byte) []string {
	t.Helper()
	var entries []string
	pos := 0
	take := func(n int) []byte {
		if n < 0 || pos+n > len(data) {
			t.Fatalf("the archive ends at %d, within an entry", len(data))
		}
		pos += n
		return data[pos-n : pos]
	}
	for {
		header := take(110)
		if string(header[:6]) != "070701" {
			t.Fatalf("no entry at %d", pos-110)
		}
		field := func(i int) int {
			n, err := strconv.ParseUint(string(header[6+8*i:14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		name := take(field(11))
		take(-pos & 3)
		contents := take(field(6))
		take(-pos & 3)
		if string(name) == "TRAILER!!!\x00" {
			if pos != len(data) {
				t.Errorf("%d bytes after the end", len(data)-pos)
			}
			return entries
		}
		entries = append(entries, fmt.Sprintf("%s %o %q", bytes.TrimSuffix(name, []byte{0}), field(1), contents))
	}
}

func TestInitramfs(t *testing.T) {
	dir := t.TempDir()
	program, module := filepath.Join(dir, "p"), filepath.Join(dir, "m")
	for path, text := range map[string]string{program: "program", module: "module!!"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := writeInitramfs(&b, map[string]string{"init": program, "lib/deep/a.so": module, "lib/b.so": program}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`root 40755 ""`,
		`etc 40755 ""`,
		`etc/group 100644 "root:x:0:\n"`,
		`etc/hosts 100644 "127.0.0.1 localhost\n"`,
		`etc/passwd 100644 "root:x:0:0:root:/root:/bin/sh\n"`,
		`init 100755 "program"`,
		`lib 40755 ""`,
		`lib/b.so 100755 "program"`,
		`lib/deep 40755 ""`,
		`lib/deep/a.so 100755 "module!!"`,
	}
	if diff := cmp.Diff(want, readCpio(t, b.Bytes())); diff != "" {
		t.Error(diff)
	}
	if err := writeInitramfs(&b, map[string]string{"init": filepath.Join(dir, "absent")}); err == nil {
		t.Error("an archive without its program was made")
	}
}

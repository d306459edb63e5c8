package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"teachbox/internal/benchdata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"", 2, "virtualpi [-v] prepare"},
		{"-h", 0, "virtualpi [-v] exec PROGRAM"},
		{"-x prepare", 2, "-x"},
		{"prepare now", 2, "virtualpi [-v] prepare"},
		{"exec", 2, "virtualpi [-v] exec PROGRAM"},
		{"boot", 2, `no command "boot"`},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(c.args), &stdout, &stderr)
		if code != c.code || !strings.Contains(stderr.String(), c.says) || stdout.Len() > 0 {
			t.Errorf("virtualpi %s: exit %d, want %d with %q; it said:\n%s%s", c.args, code, c.code, c.says, &stdout, &stderr)
		}
	}
}

func TestOutsideRepository(t *testing.T) {
	t.Chdir(t.TempDir())
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"prepare"}, &stderr, &stderr); code != exitMachine || !strings.Contains(stderr.String(), "no go.mod") {
		t.Errorf("exit %d: %s", code, &stderr)
	}
}

func TestFindRoot(t *testing.T) {
	root := benchdata.Root(t)
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := findRoot(cwd); got != root || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, root)
	}
	if got, err := findRoot(filepath.Join(root, "nowhere", "deep")); got != root || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, root)
	}
}

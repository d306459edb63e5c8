package benchdata

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A recorder is a test whose log can be read.
type recorder struct {
	testing.TB
	log string
}

func (r *recorder) Logf(format string, a ...any) { r.log += fmt.Sprintf(format, a...) }

func TestPath(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(Env, dir)
	want := filepath.Join(dir, "knowledge", "golden")
	r := &recorder{TB: t}
	if got, ok := Path(r, "knowledge/golden"); ok || got != "" || !strings.Contains(r.log, "no knowledge/golden") || !strings.Contains(r.log, Env) {
		t.Errorf("absent: %q, %v, log %q", got, ok, r.log)
	}
	if err := os.MkdirAll(want, 0o700); err != nil {
		t.Fatal(err)
	}
	r = &recorder{TB: t}
	if got, ok := Path(r, "knowledge/golden"); !ok || got != want || r.log != "" {
		t.Errorf("there: %q, %v, log %q, want %q and no log", got, ok, r.log, want)
	}
}

func TestPathBesideRepository(t *testing.T) {
	t.Setenv(Env, "")
	root := filepath.Join(t.TempDir(), "repository")
	inner := filepath.Join(root, "a", "b")
	want := filepath.Join(filepath.Dir(root), "shared", "photos")
	for _, dir := range []string{inner, want} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(inner)
	if got := Root(t); got != root {
		t.Errorf("root %q, want %q", got, root)
	}
	if got, ok := Path(t, "photos"); !ok || got != want {
		t.Errorf("%q, %v, want %q", got, ok, want)
	}
}

func TestRootIsOurs(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(Root(t), "go.mod"))
	if err != nil || !strings.HasPrefix(string(data), "module teachbox\n") {
		t.Errorf("go.mod begins %.20q, error %v", data, err)
	}
}

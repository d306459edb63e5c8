// Package benchdata finds the photographs and reference values that tests and
// benches use and that are not part of the repository, because they carry no
// licence. Every test that asks for them also tests something without them.
package benchdata

import (
	"os"
	"path/filepath"
	"testing"
)

// Env names the folder that holds photos/, models/ and knowledge/. Without it,
// the folder "shared" beside the repository is tried.
const Env = "TEACHBOX_SHARED"

// Path returns the place of one file or folder of the bench data, such as
// "photos". It says plainly in the test's log when there is none, and the
// second result is then false.
func Path(t testing.TB, name string) (string, bool) {
	t.Helper()
	dir := os.Getenv(Env)
	if dir == "" {
		dir = filepath.Join(Root(t), "..", "shared")
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Logf("BENCH DATA ABSENT: no %s; this test ran without it (set %s to the folder that holds it)", name, Env)
		return "", false
	}
	return path, true
}

// Root returns the top folder of the repository.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = up
	}
}

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// split takes apart as go test does with -exec (cmd/internal/quoted).
func split(s string) []string {
	var words []string
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		switch {
		case s == "":
			return words
		case s[0] == '\'' || s[0] == '"':
			word, rest, _ := strings.Cut(s[1:], s[:1])
			words, s = append(words, word), rest
		default:
			end := strings.IndexAny(s, " \t\r\n")
			if end < 0 {
				end = len(s)
			}
			words, s = append(words, s[:end]), s[end:]
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("/home/a child/bin/virtualpi", "exec")
	f.Add("/home/child's/virtualpi", `"`)
	f.Add(`'"`, "x")
	f.Fuzz(func(t *testing.T, a, b string) {
		quoted, err := quote([]string{a, b})
		both := func(s string) bool { return strings.Contains(s, "'") && strings.Contains(s, `"`) }
		if err != nil {
			if !both(a) && !both(b) {
				t.Error(err)
			}
			return
		}
		if a == "" || b == "" {
			return // no program has an empty path
		}
		if diff := cmp.Diff([]string{a, b}, split(quoted)); diff != "" {
			t.Errorf("%s\n%s", quoted, diff)
		}
	})
}

// stubGo makes a script the go of this test.
func stubGo(t *testing.T, script string) {
	t.Helper()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

func TestGoTest(t *testing.T) {
	stubGo(t, "for a; do echo \"$a\"; done\necho $GOOS $GOARCH $CGO_ENABLED $CC >&2\nexit 1\n")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code, err := goTest(t.Context(), []string{"./device/gpio", "-run", "A B"}, true, &stdout, &stderr)
	if code != 1 || err != nil {
		t.Errorf("got %d, %v; want go test's own exit code 1", code, err)
	}
	if want := "test\n-tags=kernel\n-exec=" + self + " -v exec\n./device/gpio\n-run\nA B\n"; stdout.String() != want {
		t.Errorf("go was called with\n%swant\n%s", &stdout, want)
	}
	if want := "linux arm64 1 aarch64-linux-gnu-gcc\n"; stderr.String() != want {
		t.Errorf("environment %q, want %q", &stderr, want)
	}
}

// TestGoTestInterrupted shows that what go test runs is interrupted, too.
func TestGoTestInterrupted(t *testing.T) {
	// The shell in front waits for the one behind, as go test does.
	stubGo(t, `sh -c 'trap "echo interrupted; exit 1" INT; echo there; while :; do sleep 0.01; done'; exit 1`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var said strings.Builder
	_, err := goTest(ctx, nil, false, io.MultiWriter(&said, writer(cancel)), io.Discard)
	if said.String() != "there\ninterrupted\n" {
		t.Errorf("it said %q; %v", &said, err)
	}
}

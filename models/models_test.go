package models

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"teachbox/internal/files"

	"github.com/google/go-cmp/cmp"
)

func TestManifest(t *testing.T) {
	hash := regexp.MustCompile(`^[0-9a-f]{64}$`)
	module := regexp.MustCompile(`^[a-z0-9./_-]+@v[0-9]+\.[0-9]+\.[0-9]+$`)
	names, files := make(map[string]bool), make(map[string]bool)
	for _, m := range Manifest() {
		if m.Name == "" || names[m.Name] {
			t.Errorf("model %q: no name of its own", m.Name)
		}
		names[m.Name] = true
		if m.About == "" || m.Licence == "" || m.Width < 1 || m.Height < 1 || m.Classes < 1 {
			t.Errorf("%s: incomplete: %+v", m.Name, m)
		}
		if !module.MatchString(m.Module) {
			t.Errorf("%s: module %q (want path@version)", m.Name, m.Module)
		}
		for _, a := range append([]Artefact{m.Weights, m.Labels}, m.Pictures...) {
			if a.File == "" || a.File != filepath.Base(a.File) || files[a.File] {
				t.Errorf("%s: file %q: not a name of its own", m.Name, a.File)
			}
			files[a.File] = true
			if !filepath.IsLocal(a.Path) || a.Size < 1 || a.Size > MaxFileSize || !hash.MatchString(a.SHA256) {
				t.Errorf("%s: %s: incomplete: %+v", m.Name, a.File, a)
			}
		}
	}
	if !names[Default] {
		t.Errorf("the default model %s is not in the manifest", Default)
	}
}

// TestFetched holds the manifest to the files that set-up fetched.
func TestFetched(t *testing.T) {
	for _, m := range Manifest() {
		data := make(map[string][]byte)
		for _, a := range []Artefact{m.Weights, m.Labels} {
			b, err := ReadFile(a.File) // they lie in this folder
			if errors.Is(err, ErrMissing) {
				t.Logf("%s was not fetched (`make setup` does): its entry is not compared with it", a.File)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Verify(b); err != nil || int64(len(b)) != a.Size {
				t.Errorf("%d bytes (want %d), %v", len(b), a.Size, err)
			}
			data[a.File] = b
		}
		if data[m.Labels.File] == nil {
			continue
		}
		labels, err := ReadLabels(m.Labels.File)
		if err != nil || len(labels) != m.Classes {
			t.Errorf("%d labels (want %d), error %v", len(labels), m.Classes, err)
		}
	}
}

func TestByName(t *testing.T) {
	m, err := ByName(Default)
	if err != nil || m.Name != Default {
		t.Errorf("model %q, error %v", m.Name, err)
	}
	_, err = ByName("resnet")
	const want = `unknown model "resnet" (known: mobilenet_v1_1.0_224_quant; or give the path of a .tflite file)`
	if !errors.Is(err, ErrUnknown) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func write(t *testing.T, path, data string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	a := Artefact{File: "a.tflite"}
	empty, first, second := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(second, a.File), "second")
	for _, folders := range [][]string{{empty, second, first}, {first, second}} {
		if got, err := Find(a, folders); err != nil || got != filepath.Join(second, a.File) {
			t.Errorf("%q, error %v", got, err)
		}
	}
	write(t, filepath.Join(first, a.File), "first")
	if got, err := Find(a, []string{empty, first, second}); err != nil || got != filepath.Join(first, a.File) {
		t.Errorf("%q, error %v, want the one in the first folder", got, err)
	}
	_, err := Find(a, []string{"one", "two"})
	const want = "a.tflite: missing (looked in one, two; `make setup` fetches it)"
	if !errors.Is(err, ErrMissing) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestSearchPath(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(exe)
	rest := []string{filepath.Join(dir, "models"), filepath.Join(filepath.Dir(dir), "models"), "models", "/usr/share/teachbox/models"}
	if diff := cmp.Diff(rest, SearchPath("")); diff != "" {
		t.Errorf("without a folder given (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(append([]string{"given"}, rest...), SearchPath("given")); diff != "" {
		t.Errorf("with a folder given (-want +got):\n%s", diff)
	}
}

func TestVerify(t *testing.T) {
	// The SHA-256 of "abc", from FIPS 180-2.
	a := Artefact{File: "a.tflite", SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
	if err := a.Verify([]byte("abc")); err != nil {
		t.Error(err)
	}
	err := a.Verify(nil)
	const want = "a.tflite: not the file that it should be (SHA-256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, " +
		"want ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad; delete it and run `make setup`)"
	if !errors.Is(err, ErrHash) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "model"), "bytes")
	if data, err := ReadFile(path); err != nil || string(data) != "bytes" {
		t.Errorf("%q, error %v", data, err)
	}
	huge := write(t, filepath.Join(dir, "huge"), "")
	if err := os.Truncate(huge, 1<<40); err != nil { // sparse
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	for _, c := range []struct {
		path string
		is   error // nil: any
		want string
	}{
		{missing, ErrMissing, missing + ": missing (check the path)"},
		{dir, nil, dir + ": not a regular file (give a file, not a folder or a device)"},
		{huge, files.ErrTooBig, huge + ": too big (more than 64 MB)"},
	} {
		data, err := ReadFile(c.path)
		if data != nil || err == nil || err.Error() != c.want || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %d bytes, error %v, want %s", c.path, len(data), err, c.want)
		}
	}
}

func TestReadFileLimit(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "file"), "12345")
	if data, err := readFile(path, 5); err != nil || len(data) != 5 {
		t.Errorf("as many bytes as may be: %d, error %v", len(data), err)
	}
	if _, err := readFile(path, 4); !errors.Is(err, files.ErrTooBig) {
		t.Errorf("one more: error %v, want %v", err, files.ErrTooBig)
	}
}

func TestReadLabels(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       []string
	}{
		{"lines", "background\ntench, Tinca tinca\ngoldfish\n", []string{"background", "tench, Tinca tinca", "goldfish"}},
		{"no line end after the last", "a\nb", []string{"a", "b"}},
		{"CRLF", "a\r\nb c\r\n", []string{"a", "b c"}},
		{"spaces around", "  a \t\n\tb\n", []string{"a", "b"}},
		{"an empty line keeps its number", "a\n\nc\n", []string{"a", "", "c"}},
		{"empty", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ReadLabels(write(t, filepath.Join(t.TempDir(), "labels.txt"), c.file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadLabelsRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, path, want string }{
		{"line too long", write(t, filepath.Join(dir, "long"), "a\n"+strings.Repeat("x", 1<<17)), "one label a line"},
		{"file too big", write(t, filepath.Join(dir, "big"), string(bytes.Repeat([]byte("label\n"), 1<<18))), "more than 1 MB"},
		{"missing", filepath.Join(dir, "none"), "check the path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			labels, err := ReadLabels(c.path)
			if labels != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), c.path) {
				t.Errorf("%d labels, error %v, want one about %q", len(labels), err, c.want)
			}
		})
	}
}

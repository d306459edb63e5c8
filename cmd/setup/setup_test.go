package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/internal/benchdata"
	"teachbox/models"
)

const (
	library      = "third_party/tflite/linux_amd64/lib.so"
	header       = "third_party/tflite/include/c_api.h"
	shimHeader   = "third_party/tflite/include/tensorflow/lite/c/c_api_experimental.h"
	source       = "third_party/go-tflite/tflite.go"
	mark         = "third_party/go-tflite/cgo_flags.go"
	tfliteModule = "github.com/mattn/go-tflite@v1.0.5"
	cameraModule = "github.com/vladimirvivien/go4vl@v0.5.0"
	weights      = "models/net.tflite"
	picture      = "third_party/pictures/bird.png"
)

// A world is a folder to set up, and the registries that its files come from.
type world struct {
	setup
	t       *testing.T
	archive []byte            // what npm packs
	modules map[string]string // folder of each Go module
	sum     string            // of each Go module
	calls   []string          // of the client
	out     bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	w := &world{t: t, modules: make(map[string]string), sum: "h1:sum="}
	w.root, w.client, w.setup.out = filepath.Join(t.TempDir(), "module"), w.fetch, &w.out
	w.write(filepath.Join(w.root, "go.mod"), "module teachbox\n")
	w.bindings = bindings
	sums := ""
	for _, b := range bindings {
		sums += strings.Replace(b.module, "@", " ", 1) + " h1:sum=\n"
	}
	w.write(filepath.Join(w.root, "go.sum"), sums)

	w.library = map[string]models.Artefact{
		"package/lib.so":  artefact("linux_amd64/lib.so", "library"),
		"package/c_api.h": artefact("include/c_api.h", "header"),
	}
	w.archive = pack(t, "package/README", "-", "package/lib.so", "library", "package/c_api.h", "header")

	w.module(cameraModule, map[string]string{"v4l2/format.go": "package v4l2\n", "docs/x": "-"})
	w.module(tfliteModule, map[string]string{"tflite.go": "package tflite\n", "delegates/d.go": "package delegates\n", "_example/big.go": "-", "testdata/x": "-"})

	const net = "example.com/net@v1.0.0"
	at := func(a models.Artefact, path string) models.Artefact { a.Path = path; return a }
	w.manifest = []models.Model{{
		Name: "net", Module: net,
		Weights:  at(artefact("net.tflite", "weights"), "sub/w"),
		Labels:   at(artefact("net.labels.txt", "labels"), "sub/l"),
		Pictures: []models.Artefact{at(artefact("bird.png", "bird"), "b")},
	}}
	w.module(net, map[string]string{"sub/w": "weights", "sub/l": "labels", "b": "bird"})
	return w
}

func artefact(file, content string) models.Artefact {
	sum := sha256.Sum256([]byte(content))
	return models.Artefact{File: file, SHA256: hex.EncodeToString(sum[:])}
}

func (w *world) write(path, content string) {
	w.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) module(name string, files map[string]string) {
	w.t.Helper()
	dir := w.t.TempDir()
	for path, content := range files {
		w.write(filepath.Join(dir, path), content)
	}
	w.modules[name] = dir
}

// pack makes an npm archive of names and contents in turn.
func pack(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	a := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		err := a.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))})
		_, err2 := a.Write([]byte(files[i+1]))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fetch is the client.
func (w *world) fetch(_ context.Context, dir, name string, args ...string) ([]byte, error) {
	w.calls = append(w.calls, name+" "+strings.Join(args, " "))
	if strings.HasPrefix(dir, w.root) {
		w.t.Errorf("%s ran inside the module", name)
	}
	last := args[len(args)-1]
	switch {
	case name == "npm" && args[0] == "pack":
		return nil, os.WriteFile(filepath.Join(dir, "package-1.tgz"), w.archive, 0o600)
	case name == "go" && args[0] == "mod" && w.modules[last] != "":
		return json.Marshal(map[string]string{"Dir": w.modules[last], "Sum": w.sum})
	case name == "go":
		return []byte(`{"Error": "the network is down"}`), errors.New("exit status 1")
	}
	return nil, errors.New("the network is down")
}

// try runs the set-up and holds that it leaves nothing in the temporary folder.
func (w *world) try() error {
	w.t.Helper()
	err := w.run(w.t.Context())
	left, readErr := os.ReadDir(os.TempDir())
	if readErr != nil || len(left) > 0 {
		w.t.Errorf("left behind: %v, %v", left, readErr)
	}
	return err
}

func (w *world) must() {
	w.t.Helper()
	if err := w.try(); err != nil {
		w.t.Fatal(err)
	}
}

// fails runs the set-up, which has to fail with an error about every word.
func (w *world) fails(words ...string) {
	w.t.Helper()
	err := w.try()
	if err == nil {
		w.t.Fatalf("no error, want one about %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			w.t.Errorf("error %q, want one about %q", err, word)
		}
	}
}

func (w *world) read(path string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.root, path))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

func (w *world) absent(path string) {
	w.t.Helper()
	if _, err := os.Stat(filepath.Join(w.root, path)); !errors.Is(err, fs.ErrNotExist) {
		w.t.Errorf("%s is there (%v)", path, err)
	}
}

// files lists what lies below the root and when it was changed. A file that
// came and went changes the time of its folder.
func (w *world) files() map[string]time.Time {
	w.t.Helper()
	found := make(map[string]time.Time)
	err := filepath.WalkDir(w.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(w.root, path)
		found[rel] = info.ModTime()
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// age sets the times of all files back, so that a change shows.
func (w *world) age() {
	w.t.Helper()
	for path := range w.files() {
		long := time.Now().Add(-time.Hour)
		if err := os.Chtimes(filepath.Join(w.root, path), long, long); err != nil {
			w.t.Fatal(err)
		}
	}
	w.calls = nil
	w.out.Reset()
}

func TestFirstRun(t *testing.T) {
	w := newWorld(t)
	w.must()
	for path, want := range map[string]string{
		library: "library", header: "header", shimHeader: string(shim),
		source: "package tflite\n", "third_party/go-tflite/delegates/d.go": "package delegates\n",
		mark:                                  "// " + tfliteModule + "\n" + bindings[0].flags,
		"third_party/go4vl/v4l2/format.go":    "package v4l2\n",
		"third_party/go4vl/v4l2/cgo_flags.go": "// " + cameraModule + "\n" + bindings[1].flags,
		weights:                               "weights", "models/net.labels.txt": "labels", picture: "bird",
		"go.work": string(workspace(bindings)),
	} {
		if got := w.read(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	w.absent("third_party/go-tflite/_example")
	w.absent("third_party/go-tflite/testdata")
	w.absent("third_party/go4vl/docs")
	w.absent("third_party/tflite/README")
	want := []string{
		"npm pack --silent " + tflitePackage,
		"go mod download -json " + tfliteModule,
		"go mod download -json " + cameraModule,
		"go mod download -json example.com/net@v1.0.0",
	}
	if diff := cmp.Diff(want, w.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if got := strings.Count(w.out.String(), "fetching "); got != 4 {
		t.Errorf("it said %q", w.out.String())
	}
}

func TestSecondRunDoesNothing(t *testing.T) {
	w := newWorld(t)
	w.must()
	w.age()
	before := w.files()
	w.must()
	if len(w.calls) > 0 || w.out.Len() > 0 {
		t.Errorf("it called %q and said %q", w.calls, w.out.String())
	}
	if diff := cmp.Diff(before, w.files()); diff != "" {
		t.Errorf("files and their times (-before +after):\n%s", diff)
	}
}

// TestRepairs shows that what is missing or damaged is fetched again, and
// nothing else is touched.
func TestRepairs(t *testing.T) {
	for _, c := range []struct{ path, call string }{
		{library, "npm pack"},
		{header, "npm pack"},
		{mark, "go mod download -json " + tfliteModule},
		{weights, "go mod download -json example.com/net"},
		{picture, "go mod download -json example.com/net"},
		{shimHeader, ""},
		{"go.work", ""},
	} {
		for _, damage := range []string{"missing", "cut short", "something else"} {
			t.Run(filepath.Base(c.path)+" "+damage, func(t *testing.T) {
				w := newWorld(t)
				w.must()
				want := w.read(c.path)
				w.age()
				var err error
				switch path := filepath.Join(w.root, c.path); damage {
				case "missing":
					err = os.Remove(path)
				case "cut short":
					err = os.Truncate(path, 2)
				case "something else":
					err = os.WriteFile(path, []byte("something else"), 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
				w.must()
				if got := w.read(c.path); got != want {
					t.Errorf("%q, want %q", got, want)
				}
				if c.call == "" && len(w.calls) > 0 || c.call != "" && (len(w.calls) != 1 || !strings.HasPrefix(w.calls[0], c.call)) {
					t.Errorf("calls %q, want %q", w.calls, c.call)
				}
			})
		}
	}
}

// TestWrongHash shows that a file which is not what it should be is named and
// not put in place, and that the next run fetches it.
func TestWrongHash(t *testing.T) {
	w := newWorld(t)
	good := w.archive
	w.archive = pack(t, "package/lib.so", "tampered", "package/c_api.h", "header")
	w.fails(tflitePackage, "linux_amd64/lib.so", models.ErrHash.Error())
	w.absent(library)
	w.absent("go.work")

	w.archive = good
	path := filepath.Join(w.modules["example.com/net@v1.0.0"], "sub/w")
	w.write(path, "tampered")
	w.fails("example.com/net@v1.0.0", "net.tflite", models.ErrHash.Error())
	w.absent(weights)
	w.absent("go.work")

	w.write(path, "weights")
	w.must()
}

// TestWrongHashKeepsOld shows that a bad download leaves a file as it was.
func TestWrongHashKeepsOld(t *testing.T) {
	w := newWorld(t)
	w.write(filepath.Join(w.root, library), "mine")
	w.archive = pack(t, "package/lib.so", "tampered", "package/c_api.h", "header")
	w.fails("lib.so")
	if got := w.read(library); got != "mine" {
		t.Errorf("%q, want what was there", got)
	}
}

func TestBadArchives(t *testing.T) {
	var huge bytes.Buffer
	z := gzip.NewWriter(&huge)
	if err := tar.NewWriter(z).WriteHeader(&tar.Header{Name: "package/lib.so", Size: maxFile + 1}); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	whole := pack(t, "package/lib.so", "library", "package/c_api.h", "header")
	for _, c := range []struct {
		name    string
		archive []byte
		want    string
	}{
		{"a file is missing", pack(t, "package/lib.so", "library"), "1 of the 2 files"},
		{"no file", pack(t), "0 of the 2 files"},
		{"cut short", whole[:len(whole)/2], "unexpected EOF"},
		{"empty", nil, "EOF"},
		{"not an archive", []byte("<html>not found</html>"), "gzip: invalid header"},
		{"a file too big", huge.Bytes(), "more than it can be"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.archive = c.archive
			w.fails(tflitePackage, c.want)
			w.absent("go.work")
			w.archive = whole
			w.must()
		})
	}
}

// TestArchiveStaysInside shows that names in the archive decide nothing about
// where files go.
func TestArchiveStaysInside(t *testing.T) {
	w := newWorld(t)
	w.archive = pack(t,
		"../../evil", "evil", "/tmp/../"+w.root+"/evil", "evil", "package/../../evil", "evil", "./package/lib.so", "evil",
		"package/lib.so", "library", "package/c_api.h", "header")
	w.must()
	for path := range w.files() {
		if filepath.Base(path) == "evil" {
			t.Errorf("%s was written", path)
		}
	}
	if got := w.read(library); got != "library" {
		t.Errorf("library is %q", got)
	}
	outside, err := os.ReadDir(filepath.Dir(w.root))
	if err != nil || len(outside) != 1 {
		t.Errorf("beside the module: %v, %v", outside, err)
	}
}

// TestInterruptedCopy shows that a copy of the binding without its last file is
// made again from scratch.
func TestInterruptedCopy(t *testing.T) {
	w := newWorld(t)
	stale := "third_party/go-tflite/stale.go"
	w.write(filepath.Join(w.root, stale), "package stale\n")
	w.write(filepath.Join(w.root, source), "pack")
	w.must()
	w.absent(stale)
	if got := w.read(source); got != "package tflite\n" {
		t.Errorf("%q after an interrupted copy", got)
	}
	if !strings.Contains(w.read(mark), tfliteModule) {
		t.Error("the copy is not marked as complete")
	}
}

// TestCopyFails shows that a copy which fails half-way is not marked.
func TestCopyFails(t *testing.T) {
	w := newWorld(t)
	// A link to nowhere cannot be read. It is the last of the folder.
	if err := os.Symlink("nowhere", filepath.Join(w.modules[tfliteModule], "zzz.go")); err != nil {
		t.Fatal(err)
	}
	w.fails(tfliteModule, "zzz.go")
	w.absent(mark)
}

// TestNoWorkspaceWithoutCopies shows that a workspace whose copy is missing or
// old goes before anything else can fail: it would keep go from working, and so
// the next set-up.
func TestNoWorkspaceWithoutCopies(t *testing.T) {
	for _, b := range bindings {
		t.Run(b.dir, func(t *testing.T) {
			w := newWorld(t)
			w.must()
			want := w.read("go.work")
			if err := os.RemoveAll(filepath.Join(w.root, b.dir)); err != nil {
				t.Fatal(err)
			}
			good := w.modules
			w.modules = nil
			w.fails("the network is down")
			w.absent("go.work")

			w.modules = good
			w.must()
			if got := w.read("go.work"); got != want {
				t.Errorf("go.work is %q, want %q", got, want)
			}

			// One that breaks off while it copies.
			w.write(filepath.Join(w.root, b.dir, b.mark), "of another version")
			bad := filepath.Join(w.modules[b.module], "zzz.go")
			if err := os.Symlink("nowhere", bad); err != nil {
				t.Fatal(err)
			}
			w.fails(b.module, "zzz.go")
			w.absent("go.work")
			if err := os.Remove(bad); err != nil {
				t.Fatal(err)
			}
			w.must()
			if got := w.read("go.work"); got != want {
				t.Errorf("go.work is %q, want %q", got, want)
			}
		})
	}
}

func TestClientFails(t *testing.T) {
	w := newWorld(t)
	w.modules = nil
	w.fails("the network is down")
	w.absent("go.work")
	// What was fetched before stays, and is not fetched again.
	w.calls = nil
	w.fails("the network is down")
	if diff := cmp.Diff([]string{"go mod download -json " + tfliteModule}, w.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestBindingHash refuses a binding that is not what go.sum says.
func TestBindingHash(t *testing.T) {
	w := newWorld(t)
	w.sum = "h1:other="
	w.fails("not the module that it should be (h1:other= is not in go.sum)")
	w.absent(source)
	w.absent("go.work")
}

func TestModuleAnswers(t *testing.T) {
	failed := errors.New("exit status 1")
	for _, c := range []struct {
		answer string
		err    error
		want   string
	}{
		{`{"Error":"no matching versions"}`, failed, "go mod download example.com/x@v1.0.0: no matching versions"},
		{`{"Dir":"/x","Error":"checksum mismatch"}`, nil, "go mod download example.com/x@v1.0.0: checksum mismatch"},
		{`{}`, nil, "go mod download example.com/x@v1.0.0: it does not say where"},
		{`not JSON`, nil, "invalid character"},
		{``, failed, "exit status 1"},
		{`{"Dir":"/x"}`, failed, "exit status 1"},
	} {
		s := setup{root: t.TempDir(), out: io.Discard, client: func(context.Context, string, string, ...string) ([]byte, error) {
			return []byte(c.answer), c.err
		}}
		if dir, _, err := s.module(t.Context(), "example.com/x@v1.0.0"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, error %v, want %q", c.answer, dir, err, c.want)
		}
	}
}

func TestWrongFolder(t *testing.T) {
	w := newWorld(t)
	if err := os.Remove(filepath.Join(w.root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	w.fails("no go.mod here (run it in the module's folder)")
	if len(w.calls) > 0 || len(w.files()) > 2 {
		t.Errorf("calls %q, files %v", w.calls, w.files())
	}
}

func TestRunClient(t *testing.T) {
	bin, dir := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin)
	_, err := runClient(t.Context(), dir, "npm", "pack")
	const want = "npm is not installed (run `make setup`, which installs it)"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	stub(t, bin, "npm", `pwd; echo "$@"; echo broken pipe of sorts >&2; [ "$1" = pack ]`)
	out, err := runClient(t.Context(), dir, "npm", "pack", "x")
	if err != nil || string(out) != dir+"\npack x\n" {
		t.Errorf("output %q, error %v", out, err)
	}
	out, err = runClient(t.Context(), dir, "npm", "view")
	if err == nil || !strings.Contains(err.Error(), "npm view: exit status 1") || !strings.Contains(err.Error(), "broken pipe of sorts") {
		t.Errorf("error %v, want the command and what it said", err)
	}
	if string(out) != dir+"\nview\n" {
		t.Errorf("output %q of what failed", out)
	}
}

// TestTableMatchesTree holds the table of hashes to the files that set-up
// fetched, and the pinned versions to go.mod.
func TestTableMatchesTree(t *testing.T) {
	s := setup{root: benchdata.Root(t)}
	for _, a := range tfliteFiles {
		path := filepath.Join("third_party/tflite", a.File)
		if _, err := os.Stat(filepath.Join(s.root, path)); err != nil {
			t.Logf("%s was not fetched (`make setup` does): its hash is not compared with it", a.File)
			continue
		}
		if !s.has(path, a.SHA256) {
			t.Errorf("%s is not the file of the table", path)
		}
	}
	mod, err := os.ReadFile(filepath.Join(s.root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bindings {
		pinned := strings.Replace(b.module, "@", " ", 1)
		if !strings.Contains(string(mod), pinned) {
			t.Errorf("go.mod does not have %q", pinned)
		}
		if !strings.Contains(string(workspace(bindings)), pinned+" => ./"+b.dir+"\n") {
			t.Errorf("the workspace does not replace %q", pinned)
		}
	}
}

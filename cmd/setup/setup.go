package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"teachbox/models"
)

// tflitePackage is the npm package that ships the official C library 2.9.0.
// Nothing of it is executed.
const tflitePackage = "tfjs-tflite-node@0.0.2"

// maxFile bounds one file of the npm package.
const maxFile = 64 << 20

// tfliteFiles are the files of the npm package that are kept, by their place in
// it: where they go, below third_party/tflite, and what they must be.
var tfliteFiles = map[string]models.Artefact{
	"package/cc_deps/linux_amd64/libtensorflowlite_c.so":      {File: "linux_amd64/libtensorflowlite_c.so", SHA256: "dc89b4cd86d956516570bd483668e6dd98907f49901d0567dedc69a29a56b7f7"},
	"package/cc_deps/linux_arm64/libtensorflowlite_c.so":      {File: "linux_arm64/libtensorflowlite_c.so", SHA256: "ec0dee4fb3418e680d010248ac1e304d9656cc5c8de54caaf91d666712e2f633"},
	"package/cc_deps/include/tensorflow/lite/c/c_api.h":       {File: "include/tensorflow/lite/c/c_api.h", SHA256: "7b4b0e05b9d82a9c9bdc75d83e5fb12c09686a3ee0f73e7686706ee5762faae5"},
	"package/cc_deps/include/tensorflow/lite/c/c_api_types.h": {File: "include/tensorflow/lite/c/c_api_types.h", SHA256: "1ad66312ea5f89471436b77d9395f747ee789a6a7afecacf0214ce0bfa16c4cd"},
	"package/cc_deps/include/tensorflow/lite/c/common.h":      {File: "include/tensorflow/lite/c/common.h", SHA256: "b19c1f2ae6fd049ed159fc857e4d0e214d72fe6c0a12e69739078c01a5a7e5be"},
}

// shim stands in for the one header that the npm package leaves out.
//
//go:embed c_api_experimental.h
var shim []byte

// A binding is a Go module that needs cgo flags of its own. cgo takes such flags
// from the package that needs them only, so the module is copied and a file with
// the flags added. Paths in them are relative to the copy.
type binding struct {
	module string // at the version of go.mod
	dir    string // of the copy
	mark   string // the file that is added, in dir
	flags  string // its text
}

var bindings = []binding{
	{"github.com/mattn/go-tflite@v1.0.5", "third_party/go-tflite", "cgo_flags.go", `package tflite

// #cgo CFLAGS: -I${SRCDIR}/../tflite/include
// #cgo linux,amd64 LDFLAGS: -L${SRCDIR}/../tflite/linux_amd64 -Wl,-rpath,${SRCDIR}/../tflite/linux_amd64
// #cgo linux,arm64 LDFLAGS: -L${SRCDIR}/../tflite/linux_arm64 -Wl,-rpath,${SRCDIR}/../tflite/linux_arm64
import "C"
`},
	// It names two formats that came with Linux 6.2 and 6.5; the headers of
	// Debian 12 are of 6.1. The values are those of linux/videodev2.h.
	{"github.com/vladimirvivien/go4vl@v0.5.0", "third_party/go4vl", "v4l2/cgo_flags.go", `package v4l2

// #cgo CFLAGS: -DV4L2_PIX_FMT_P012=0x32313050 -DV4L2_PIX_FMT_AV1_FRAME=0x46315641
import "C"
`},
}

// workspace makes plain go commands use the copies.
func workspace(bindings []binding) []byte {
	var b bytes.Buffer
	b.WriteString("go 1.26.0\n\nuse .\n")
	for _, c := range bindings {
		fmt.Fprintf(&b, "\nreplace %s => ./%s\n", strings.Replace(c.module, "@", " ", 1), c.dir)
	}
	return b.Bytes()
}

// A client runs go or npm in a folder and returns what it printed, also if it
// failed.
type client func(ctx context.Context, dir, name string, args ...string) ([]byte, error)

func runClient(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%s is not installed (run `make setup`, which installs it)", name)
	}
	if err != nil {
		return out, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// A setup puts everything below root, the module's folder.
type setup struct {
	root     string
	out      io.Writer
	client   client
	library  map[string]models.Artefact // tfliteFiles
	bindings []binding
	manifest []models.Model
}

// run fetches what is missing or wrong.
func (s *setup) run(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(s.root, "go.mod")); err != nil {
		return errors.New("no go.mod here (run it in the module's folder)")
	}
	for _, step := range []func(context.Context) error{s.tflite, s.copies, s.models} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return s.put("go.work", workspace(s.bindings))
}

// tflite fetches the library and its headers.
func (s *setup) tflite(ctx context.Context) error {
	const dir = "third_party/tflite"
	missing := false
	for _, a := range s.library {
		missing = missing || !s.has(filepath.Join(dir, a.File), a.SHA256)
	}
	if missing {
		fmt.Fprintf(s.out, "fetching the TFLite library (npm package %s, 5 MB)\n", tflitePackage)
		tmp, err := os.MkdirTemp("", "teachbox-setup-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		if _, err := s.client(ctx, tmp, "npm", "pack", "--silent", tflitePackage); err != nil {
			return err
		}
		packed, err := filepath.Glob(filepath.Join(tmp, "*.tgz"))
		if err != nil || len(packed) != 1 {
			return fmt.Errorf("npm pack %s: no archive came out", tflitePackage)
		}
		if err := s.unpack(packed[0], dir); err != nil {
			return fmt.Errorf("%s: %w", tflitePackage, err)
		}
	}
	return s.put(filepath.Join(dir, "include/tensorflow/lite/c/c_api_experimental.h"), shim)
}

// unpack puts the wanted files of an npm archive in place, each verified.
func (s *setup) unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	found := 0
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		a, ok := s.library[h.Name]
		if !ok {
			continue
		}
		if h.Size > maxFile {
			return fmt.Errorf("%s: %d bytes, more than it can be", h.Name, h.Size)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := a.Verify(data); err != nil {
			return err
		}
		if err := s.put(filepath.Join(dir, a.File), data); err != nil {
			return err
		}
		found++
	}
	if found != len(s.library) {
		return fmt.Errorf("%d of the %d files that it should hold", found, len(s.library))
	}
	return nil
}

// copies makes the copies of the bindings.
func (s *setup) copies(ctx context.Context) error {
	for _, b := range s.bindings {
		if err := s.copy(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// copy copies a binding and adds the cgo flags.
func (s *setup) copy(ctx context.Context, b binding) error {
	mark := filepath.Join(b.dir, b.mark)
	want := []byte("// " + b.module + "\n" + b.flags)
	if got, err := os.ReadFile(filepath.Join(s.root, mark)); err == nil && bytes.Equal(got, want) {
		return nil
	}
	// A workspace that replaces a module by a copy which is not whole keeps every
	// go command from working, so it goes first and comes back last.
	if err := os.Remove(filepath.Join(s.root, "go.work")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fmt.Fprintf(s.out, "fetching the Go module %s\n", b.module)
	from, sum, err := s.module(ctx, b.module)
	if err != nil {
		return err
	}
	// It is code: hold it to what go.sum says of it.
	path, version, _ := strings.Cut(b.module, "@")
	known, err := os.ReadFile(filepath.Join(s.root, "go.sum"))
	if err != nil {
		return err
	}
	if line := path + " " + version + " " + sum; !slices.Contains(strings.Split(string(known), "\n"), line) {
		return fmt.Errorf("%s: not the module that it should be (%s is not in go.sum)", b.module, sum)
	}
	if err := os.RemoveAll(filepath.Join(s.root, b.dir)); err != nil {
		return err
	}
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{"_example", "testdata", "screenshots", "benchmark", "docs", "examples", "test"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return s.put(filepath.Join(b.dir, rel), data)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", b.module, err)
	}
	// The flags come last: they mark the copy as complete.
	return s.put(mark, want)
}

// models fetches the files of every model of the manifest, and the pictures
// that come with it.
func (s *setup) models(ctx context.Context) error {
	for _, m := range s.manifest {
		wanted := map[string]models.Artefact{
			filepath.Join("models", m.Weights.File): m.Weights,
			filepath.Join("models", m.Labels.File):  m.Labels,
		}
		for _, p := range m.Pictures {
			wanted[filepath.Join("third_party/pictures", p.File)] = p
		}
		for path, a := range wanted {
			if s.has(path, a.SHA256) {
				delete(wanted, path)
			}
		}
		if len(wanted) == 0 {
			continue
		}
		fmt.Fprintf(s.out, "fetching the model %s (Go module %s)\n", m.Name, m.Module)
		dir, _, err := s.module(ctx, m.Module)
		if err != nil {
			return err
		}
		for path, a := range wanted {
			data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(a.Path)))
			if err != nil {
				return fmt.Errorf("%s: %w", m.Module, err)
			}
			if err := a.Verify(data); err != nil {
				return fmt.Errorf("%s: %w", m.Module, err)
			}
			if err := s.put(path, data); err != nil {
				return err
			}
		}
	}
	return nil
}

// module returns the folder of a Go module and its hash, downloading it if need
// be.
func (s *setup) module(ctx context.Context, module string) (dir, sum string, err error) {
	// Away from the module's folder, so that go.mod and go.sum are not touched.
	tmp, err := os.MkdirTemp("", "teachbox-setup-")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(tmp)
	out, err := s.client(ctx, tmp, "go", "mod", "download", "-json", module)
	// With -json the reason for a failure is in the output.
	var info struct{ Dir, Sum, Error string }
	parseErr := json.Unmarshal(out, &info)
	switch {
	case parseErr == nil && info.Error != "":
		return "", "", fmt.Errorf("go mod download %s: %s (is there a network? try again)", module, info.Error)
	case err != nil:
		return "", "", err
	case parseErr != nil:
		return "", "", fmt.Errorf("go mod download %s: %w", module, parseErr)
	case info.Dir == "":
		return "", "", fmt.Errorf("go mod download %s: it does not say where the module is (try a newer Go)", module)
	}
	return info.Dir, info.Sum, nil
}

// has reports whether the file is there and is what it should be.
func (s *setup) has(path, sha string) bool {
	data, err := os.ReadFile(filepath.Join(s.root, path))
	sum := sha256.Sum256(data)
	return err == nil && hex.EncodeToString(sum[:]) == sha
}

// put writes a file whole or not at all, and not at all if it is there already.
func (s *setup) put(path string, data []byte) error {
	path = filepath.Join(s.root, path)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".setup-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

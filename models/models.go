// Package models says which backbones the box knows by name: where each comes
// from, what it weighs, its hash, its licence and its labels. Files are found,
// read within bounds and verified here; nothing is downloaded by the box.
package models

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"teachbox/internal/files"
)

// MaxFileSize bounds the size of a model, in bytes.
const MaxFileSize = 64 << 20

// maxLabelsSize bounds the size of a list of labels, in bytes.
const maxLabelsSize = 1 << 20

// Default is the name of the backbone of a box that was not told otherwise.
const Default = "mobilenet_v1_1.0_224_quant"

// The errors of this package.
var (
	ErrUnknown = errors.New("unknown model")
	ErrMissing = errors.New("missing")
	ErrHash    = errors.New("not the file that it should be")
)

// An Artefact is one file with a known content.
type Artefact struct {
	File   string `toml:"file" json:"file"`     // its name in the folder of models
	Path   string `toml:"path" json:"path"`     // its place in the source
	Size   int64  `toml:"size" json:"size"`     // bytes
	SHA256 string `toml:"sha256" json:"sha256"` // lower-case hex
}

// A Model is one entry of the manifest.
type Model struct {
	Name     string     `toml:"name" json:"name"`
	About    string     `toml:"about" json:"about"`
	Module   string     `toml:"module" json:"module"` // the Go module that ships it, with its version
	Licence  string     `toml:"licence" json:"licence"`
	Width    int        `toml:"width" json:"width"`   // of the input, pixels
	Height   int        `toml:"height" json:"height"` // of the input, pixels
	Classes  int        `toml:"classes" json:"classes"`
	Weights  Artefact   `toml:"weights" json:"weights"`
	Labels   Artefact   `toml:"labels" json:"labels"`
	Pictures []Artefact `toml:"pictures" json:"-"` // photographs that the module ships beside it
}

//go:embed manifest.toml
var manifest []byte

// Manifest returns every model that the box knows by name.
func Manifest() []Model {
	var m struct {
		Model []Model `toml:"model"`
	}
	d := toml.NewDecoder(bytes.NewReader(manifest)).DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		panic("models: the embedded manifest: " + err.Error()) // a test decodes it
	}
	return m.Model
}

// ByName returns the model of the manifest with that name. The error wraps
// ErrUnknown and lists the names.
func ByName(name string) (Model, error) {
	all := Manifest()
	names := make([]string, len(all))
	for i, m := range all {
		if m.Name == name {
			return m, nil
		}
		names[i] = m.Name
	}
	return Model{}, fmt.Errorf("%w %q (known: %s; or give the path of a .tflite file)", ErrUnknown, name, strings.Join(names, ", "))
}

// SearchPath returns the folders in which models are looked for, best first:
// the one given, the one beside the program, the working folder's, and the
// system's. Empty ones are left out.
func SearchPath(given string) []string {
	path := []string{given}
	if exe, err := os.Executable(); err == nil {
		dir := filepath.Dir(exe)
		path = append(path, filepath.Join(dir, "models"), filepath.Join(dir, "..", "models"))
	}
	path = append(path, "models", "/usr/share/teachbox/models")
	return slices.DeleteFunc(path, func(s string) bool { return s == "" })
}

// Find returns the path of an artefact in the first folder that has it. The
// error wraps ErrMissing and says where it was looked for.
func Find(a Artefact, folders []string) (string, error) {
	for _, dir := range folders {
		path := filepath.Join(dir, a.File)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w (looked in %s; `make setup` fetches it)", a.File, ErrMissing, strings.Join(folders, ", "))
}

// Verify reports whether data is the artefact. The error wraps ErrHash and
// names both hashes.
func (a Artefact) Verify(data []byte) error {
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); got != a.SHA256 {
		return fmt.Errorf("%s: %w (SHA-256 %s, want %s; delete it and run `make setup`)", a.File, ErrHash, got, a.SHA256)
	}
	return nil
}

// ReadFile reads a model or a list of labels within MaxFileSize. The error
// wraps ErrMissing or files.ErrTooBig where it is that.
func ReadFile(path string) ([]byte, error) { return readFile(path, MaxFileSize) }

func readFile(path string, limit int64) ([]byte, error) {
	data, err := files.Read(path, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w (check the path)", path, ErrMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// ReadLabels reads a list of labels, one a line.
func ReadLabels(path string) ([]string, error) {
	data, err := readFile(path, maxLabelsSize)
	if err != nil {
		return nil, err
	}
	var labels []string
	// Some editors put a byte-order mark first.
	s := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	for s.Scan() {
		labels = append(labels, strings.TrimSpace(s.Text()))
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w (one label a line)", path, err)
	}
	return labels, nil
}

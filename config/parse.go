package config

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"

	"teachbox/inference"
	"teachbox/internal/files"
)

// MaxFileSize is the greatest size of a configuration file, in bytes.
const MaxFileSize = 1 << 20

// Load reads the configuration file at path. The error wraps ErrInvalid if the
// file could be read, and otherwise the error of the file system.
func Load(path string) (*Config, error) { return LoadOver(Default(), path) }

// LoadOver is Load for a file that says only what is different from base. A file
// that lists pins replaces the whole panel, as does one that names a preset.
func LoadOver(base *Config, path string) (*Config, error) {
	data, err := files.Read(path, MaxFileSize)
	if err != nil {
		return nil, fmt.Errorf("configuration: %s: %w (check the path and that the file may be read, or leave it out to run with the defaults)", path, err)
	}
	return ParseOver(base, path, data)
}

// Parse reads a configuration from data. What it does not say is as in
// Default. The error wraps ErrInvalid and has one line for each problem, in the
// order of the file: "name:line: key: what is wrong (got …; want …)". Slots are
// counted from one there: "panel.slots#2" is the second. After the first 20
// problems it only says that there are more.
func Parse(name string, data []byte) (*Config, error) { return ParseOver(Default(), name, data) }

// ParseOver is Parse for data that says only what is different from base, see
// LoadOver.
func ParseOver(base *Config, name string, data []byte) (*Config, error) {
	if len(data) > MaxFileSize {
		return nil, &invalid{name, []problem{{text: fmt.Sprintf("too large (want at most %d bytes; is this a configuration?)", MaxFileSize)}}}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // editors on Windows write it
	if i := invalidUTF8(data); i >= 0 {
		line := 1 + bytes.Count(data[:i], []byte("\n"))
		return nil, &invalid{name, []problem{{line: line, text: fmt.Sprintf("not UTF-8 text (got byte %#02x; want a file saved as UTF-8)", data[i])}}}
	}

	var f file
	f.scan(data)
	c := f.config(base)
	if len(f.problems) == 0 {
		f.confirm(data)
	}
	f.judge(c)
	if len(f.problems) > 0 {
		slices.SortStableFunc(f.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
		return nil, &invalid{name, f.problems}
	}
	if crop, err := inference.ParseCrop(c.Camera.Crop); err == nil {
		c.Camera.Crop = crop.String()
	}
	return c, nil
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

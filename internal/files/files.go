// Package files reads what people put on disk: regular files within bounds, and
// tells pictures by their names.
package files

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The errors of Read, beside those of the file system.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrTooBig     = errors.New("too big")
)

// Read returns the content of a regular file of at most limit bytes. The error
// does not name the file.
func Read(path string, limit int64) ([]byte, error) {
	// Opening a pipe would wait for its writer, so look before opening.
	info, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w (give a file, not a folder or a device)", ErrNotRegular)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, bare(err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w (more than %d MB)", ErrTooBig, limit>>20)
	}
	return data, nil
}

// bare is the error without the operation and the path.
func bare(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// IsPicture reports whether a file is a JPEG or PNG picture by its name. Hidden
// files are none: macOS leaves ._x.jpg beside x.jpg on sticks.
func IsPicture(name string) bool {
	if strings.HasPrefix(filepath.Base(name), ".") {
		return false
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".jpg", ".jpeg", ".png":
		return true
	}
	return false
}

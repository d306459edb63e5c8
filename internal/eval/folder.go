package eval

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"teachbox/internal/files"
)

// A File is a photograph on disk and what the folders say of it.
type File struct {
	Set, Class, Path string
}

// Files lists the JPEG and PNG photographs of a folder: FOLDER/CLASS/PICTURE, a
// single set, or FOLDER/SET/CLASS/PICTURE. Other files are passed over, and so
// are folders whose name begins with a dot. The error wraps ErrPictures if
// there are none.
func Files(folder string) ([]File, error) {
	var found []File
	// WalkDir does not look behind a link.
	root, err := filepath.EvalSymlinks(folder)
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("%s: no such folder (give one with a folder of pictures for each class)", folder)
	}
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if !files.IsPicture(path) {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch part := strings.Split(filepath.ToSlash(rel), "/"); len(part) {
		case 2:
			found = append(found, File{filepath.Base(filepath.Clean(folder)), part[0], path})
		case 3:
			found = append(found, File{part[0], part[1], path})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: %w: none (want FOLDER/CLASS/PICTURE.jpg or FOLDER/SET/CLASS/PICTURE.jpg)", folder, ErrPictures)
	}
	return found, nil
}

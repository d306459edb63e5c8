package lesson

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Unreachable says what no program can erase, for people who have just erased
// everything.
const Unreachable = "A memory card or stick may hold copies of what was overwritten in places that no program can reach; " +
	"files that were saved elsewhere are not touched. To be sure, destroy the card."

// carryOut erases in an order that a pulled plug cannot turn round: while the
// mark is there, opening goes on with it.
func (Erase) carryOut(s *Store) (Result, error) {
	if s.closed {
		return Result{}, s.explain("erasing", ErrClosed)
	}
	fail := func(err error) (Result, error) {
		s.fault = s.explain("erasing", err)
		return Result{}, s.fault
	}
	if s.lock == nil {
		return fail(&finding{ErrReadOnly, "the folder cannot be written"})
	}
	if s.db != nil {
		s.db.Close() // whatever it could not write is erased anyway
		s.db = nil
	}
	if err := mark(s.disk, s.path+erasingSuffix); err != nil {
		return fail(err)
	}
	if err := s.finishErasing(); err != nil {
		return fail(err)
	}
	s.notice, s.fault = nil, nil
	if err := s.open(); err != nil {
		return fail(err)
	}
	if s.fault != nil {
		return Result{}, s.fault
	}
	return Result{Step: Step{Kind: "erase", When: s.now()}, Contents: s.Contents()}, nil
}

// finishErasing removes every file that was marked to be erased, the mark last.
// Without a mark it does nothing.
func (s *Store) finishErasing() error {
	if _, err := s.disk.Lstat(s.path + erasingSuffix); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	s.contents = &contents{revision: s.contents.revision} // numbers are not given again
	paths, err := s.beside("-wal", newSuffix, backupSuffix, versionSuffix, damagedSuffix, newerSuffix, stagedSuffix)
	if err != nil {
		return err
	}
	for _, suffix := range besides() {
		paths = append(paths, s.path+suffix)
	}
	for _, path := range paths {
		if err := shred(s.disk, path); err != nil {
			return err
		}
	}
	if err := s.disk.SyncDir(filepath.Dir(s.path)); err != nil {
		return err
	}
	if err := s.disk.Remove(s.path + erasingSuffix); err != nil {
		return err
	}
	return s.disk.SyncDir(filepath.Dir(s.path))
}

// mark makes an empty file durably.
func mark(d disk, path string) error {
	f, err := d.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}

// shred overwrites a file with zeros, where it lies on the disk, and removes it.
// One that is not there is no error.
func shred(d disk, path string) error {
	f, err := d.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", path)
	}
	zeros := make([]byte, 1<<20)
	for left := info.Size(); left > 0; {
		n, err := f.Write(zeros[:min(left, int64(len(zeros)))])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return d.Remove(path)
}

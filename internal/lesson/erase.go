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
const Unreachable = "A memory card or stick may hold copies of what was overwritten, and of what was free before, in places that no program can reach; " +
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
	if err := s.erasable(); err != nil {
		return Result{}, err
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
	// Numbers are not given again; and that teaching is locked was not taught.
	s.contents = &contents{revision: s.contents.revision, locked: s.contents.locked}
	paths, err := s.everything()
	if err != nil {
		return err
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

// everything lists the files to erase.
func (s *Store) everything() ([]string, error) {
	paths, err := s.beside("-wal", newSuffix, backupSuffix, versionSuffix, damagedSuffix, newerSuffix, stagedSuffix)
	for _, suffix := range besides() {
		paths = append(paths, s.path+suffix)
	}
	return paths, err
}

// erasable reports what nobody could erase, before anything is: a folder or a
// link that somebody gave such a name.
func (s *Store) erasable() error {
	paths, err := s.everything()
	if err != nil {
		return s.explain("erasing", err)
	}
	for _, path := range paths {
		info, err := s.disk.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return s.explain("erasing", err)
		case !info.Mode().IsRegular():
			return fmt.Errorf("lesson file %s: %s is a folder or a link, and no file of its own; nothing was erased: move it away", s.path, path)
		}
	}
	return nil
}

// EraseFile erases everything of a lesson file as Erase does, whatever the file
// is like, while no box has it open (ErrInUse). No new one is begun if it could
// not be read.
func EraseFile(o Options) error {
	s, err := newStore(o)
	if err != nil {
		return err
	}
	if err = s.open(); err == nil {
		_, err = s.Edit(AnyRevision, Erase{})
		return errors.Join(err, s.Close())
	}
	defer s.unlock()
	if s.lock == nil {
		return err
	}
	if err := s.erasable(); err != nil {
		return err
	}
	err = mark(s.disk, s.path+erasingSuffix)
	if err == nil {
		err = s.finishErasing()
	}
	if err != nil {
		return s.explain("erasing", err)
	}
	return nil
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

// Shred overwrites a copy of a lesson with zeros, where it lies on the disk, and
// removes it. One that is not there is no error.
func Shred(path string) error { return shred(system{}, path) }

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

package lesson

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// A disk is what this package asks of the file system. The tests put one in its
// place that fails. The errors are those of package os.
type disk interface {
	OpenFile(path string, flag int, perm fs.FileMode) (file, error)
	Stat(path string) (fs.FileInfo, error)
	Lstat(path string) (fs.FileInfo, error)
	SameFile(a, b fs.FileInfo) bool
	ReadDir(path string) ([]fs.DirEntry, error)
	Mkdir(path string, perm fs.FileMode) error
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(path string) error
	// Lock takes the lock that a file stands for, which is made if it is not
	// there, or returns ErrInUse. It ends with Close, or with the process,
	// however that ends.
	Lock(path string) (io.Closer, error)
	// Writable returns what keeps this user from writing a file or folder.
	Writable(path string) error
	// Free returns how many bytes can still be written in a folder.
	Free(path string) (uint64, error)
	// VFS names SQLite's way to the same files, and the one without locks.
	VFS() (locking, lockless string)
}

// A file is an open one.
type file interface {
	io.ReadWriteCloser
	Stat() (fs.FileInfo, error)
	Sync() error
}

// system is the disk of this machine.
type system struct{}

func (system) OpenFile(path string, flag int, perm fs.FileMode) (file, error) {
	f, err := os.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err // and no file, which would not be nil in an interface
	}
	if flag&os.O_CREATE != 0 {
		handOver(f)
	}
	return f, nil
}

func (system) Stat(path string) (fs.FileInfo, error)      { return os.Stat(path) }
func (system) Lstat(path string) (fs.FileInfo, error)     { return os.Lstat(path) }
func (system) SameFile(a, b fs.FileInfo) bool             { return os.SameFile(a, b) }
func (system) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }
func (system) Mkdir(path string, perm fs.FileMode) error  { return os.Mkdir(path, perm) }
func (system) Rename(from, to string) error               { return os.Rename(from, to) }
func (system) Remove(path string) error                   { return os.Remove(path) }
func (system) Writable(path string) error                 { return unix.Access(path, unix.W_OK) }
func (system) VFS() (locking, lockless string)            { return "unix", "unix-none" }

func (system) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// handOver gives a file that root makes to the owner of its folder: the service
// has to read and write what an administrator changed while it was not running.
// A file system without owners refuses, and needs it not.
func handOver(f *os.File) {
	if os.Geteuid() != 0 {
		return
	}
	if info, err := os.Stat(filepath.Dir(f.Name())); err == nil {
		owner := info.Sys().(*syscall.Stat_t)
		_ = f.Chown(int(owner.Uid), int(owner.Gid))
	}
}

func (system) Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		handOver(f)
	} else {
		// Reading goes with a lock if one can be had: an existing lock file
		// may be locked without the right to write it.
		cause := err
		if f, err = os.Open(path); err != nil {
			return nil, cause
		}
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = &finding{ErrInUse, "locked"}
		}
		return nil, err
	}
	return f, nil
}

func (system) Free(path string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}

package lesson

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"teachbox/inference/head"
)

// KeepPictures says how long the pictures of examples are kept.
type KeepPictures uint8

// The policies, from the most private.
const (
	KeepNever  KeepPictures = iota // no picture is ever stored
	KeepLesson                     // until their lesson is put away
	KeepAlways                     // as long as their lesson
)

// Options says which file to open and how.
type Options struct {
	Path         string // of the lesson file; its folder is made if it is not there
	KeepPictures KeepPictures
	Now          func() Moment // SystemMoment if nil
}

// A Store is an open lesson file. It is used from one goroutine; what its
// methods return does not change with it.
type Store struct {
	path     string
	pictures KeepPictures
	now      func() Moment

	lock     *os.File    // nil if it could not be had, or after Close
	db       *sql.DB     // nil while the file is not open for writing
	file     os.FileInfo // of the file that db writes
	fault    error       // why nothing can be written; nil if all is well
	closed   bool
	contents *contents
	fitter   head.Fitter
}

// Open opens a lesson file, and begins an empty one if there is none. The
// errors are ErrInUse, ErrNewer, ErrDamaged (the file is then as it was), and
// ErrReadOnly or ErrIO if it cannot be read. A file that can be read but not
// written, or cannot be begun, is no error: see Writable.
func Open(o Options) (*Store, error) {
	s, err := newStore(o)
	if err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		s.unlock()
		return nil, err
	}
	return s, nil
}

// A Notice says that a store did not open as it was left.
type Notice struct {
	Cause error  // wraps ErrDamaged or ErrNewer; nil if it was set aside at an earlier start
	Aside string // the new name of the file that was set aside; empty if it could not be
}

// String tells it to people.
func (n *Notice) String() string {
	switch {
	case n.Cause == nil:
		return fmt.Sprintf("%s was set aside earlier (take it away once somebody has seen to it)", n.Aside)
	case n.Aside == "":
		return fmt.Sprintf("%v; it could not be set aside, so the box runs with an empty lesson and cannot learn", n.Cause)
	}
	return fmt.Sprintf("%v; it was set aside as %s and an empty lesson begun", n.Cause, n.Aside)
}

// OpenService opens a lesson file as the service does, which must run whatever
// the file is like: one that is damaged or of a newer version is set aside and
// an empty one begun, and one that cannot be read leaves an empty lesson that
// cannot be written. The Notice is nil if the file was neither damaged nor
// newer, now or at an earlier start whose file is still set aside. The error wraps ErrInUse, or the options are wrong.
func OpenService(o Options) (*Store, *Notice, error) {
	s, err := newStore(o)
	if err != nil {
		return nil, nil, err
	}
	var notice *Notice
	err = s.open()
	if reason := asideReason(err); reason != "" {
		notice = &Notice{Cause: err}
		if notice.Aside, err = setAside(s.path, reason); err != nil {
			err = s.explain("setting it aside", err)
		} else {
			err = s.open()
		}
	}
	if errors.Is(err, ErrInUse) {
		s.unlock()
		return nil, nil, err
	}
	if err != nil {
		s.fault = err
	}
	if notice == nil {
		notice = earlierAside(s.path)
	}
	return s, notice, nil
}

// earlierAside tells of a file that an earlier start set aside.
func earlierAside(path string) *Notice {
	for _, reason := range []string{"damaged", "newer"} {
		// The error is that of a bad pattern: a path with brackets in it.
		files, _ := filepath.Glob(path + "." + reason + ".[0-9]*")
		for _, name := range files {
			if number := name[strings.LastIndexByte(name, '.')+1:]; strings.Trim(number, "0123456789") == "" {
				return &Notice{Aside: name}
			}
		}
	}
	return nil
}

// asideReason is the word in the name of a file set aside for an error of
// open, or "" if the error is no reason to set it aside.
func asideReason(err error) string {
	switch {
	case errors.Is(err, ErrNewer):
		return "newer"
	case errors.Is(err, ErrDamaged):
		return "damaged"
	}
	return ""
}

func newStore(o Options) (*Store, error) {
	if o.Path == "" {
		return nil, errors.New("lesson file: no path: name a file")
	}
	if o.KeepPictures > KeepAlways {
		return nil, fmt.Errorf("lesson file %s: unknown picture policy %d: choose never, lesson or always", o.Path, o.KeepPictures)
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("lesson file %s: %w: name it from the root", o.Path, err)
	}
	if o.Now == nil {
		o.Now = SystemMoment
	}
	return &Store{path: path, pictures: o.KeepPictures, now: o.Now, contents: new(contents)}, nil
}

// open locks and reads the file, then opens it for writing. The file is read
// and checked before anything may write to it. Where only the writing fails,
// fault says why and open succeeds. On an error s holds what it held before.
func (s *Store) open() error {
	fault := s.acquire()
	if errors.Is(fault, ErrInUse) {
		return fault
	}
	read, version, err := s.read()
	if err != nil {
		return err
	}
	if read == nil && s.contents.seq != 0 {
		// A card pulled out must not make the box forget what it holds.
		return s.explain("opening it again", &finding{ErrIO, "the file is gone"})
	}
	if fault == nil {
		fault = s.openForWriting(read == nil, version)
		if errors.Is(fault, ErrInUse) || errors.Is(fault, ErrDamaged) {
			return fault
		}
	}
	s.fault = fault
	if fault != nil && read != nil {
		s.contents = read
	}
	return nil
}

// acquire makes the folder and takes the lock.
func (s *Store) acquire() error {
	if s.lock != nil {
		return nil
	}
	err := makeDir(filepath.Dir(s.path))
	if err == nil {
		s.lock, err = lockFile(s.path + ".lock")
	}
	if err != nil {
		return s.explain("locking it", err)
	}
	return nil
}

func (s *Store) unlock() {
	if s.lock != nil {
		s.lock.Close() // ends the flock
		s.lock = nil
	}
}

// read checks the file and returns its contents and its version; nil if there
// is no file.
func (s *Store) read() (*contents, int, error) {
	fail := func(err error) (*contents, int, error) {
		return nil, 0, s.explain("reading it", err)
	}
	if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	} else if err != nil {
		return fail(err)
	}
	db, err := openForReading(s.path)
	if err != nil {
		return fail(err)
	}
	defer db.Close()
	v, err := version(db)
	if err != nil {
		return fail(err)
	}
	if err := verify(db); err != nil {
		return fail(err)
	}
	c, err := load(db)
	if err != nil {
		return fail(err)
	}
	return c, v, nil
}

// openForWriting opens the file, makes it if it is missing, leads it on from
// its version, and loads its contents.
func (s *Store) openForWriting(missing bool, version int) error {
	if missing {
		if err := s.create(); err != nil {
			return s.explain("beginning it", err)
		}
		version = len(migrations())
	}
	// SQLite finds out only when it writes, and then blames the disk.
	for _, path := range []string{s.path, filepath.Dir(s.path)} {
		if err := unix.Access(path, unix.W_OK); err != nil {
			return s.explain("opening it for writing", err)
		}
	}
	db := openForWriting(s.path)
	err := migrate(db, version)
	if err == nil {
		var c *contents
		if c, err = load(db); err == nil {
			s.file, err = os.Stat(s.path)
		}
		if err == nil {
			s.db, s.contents = db, c
			return nil
		}
	}
	db.Close()
	return s.explain("opening it for writing", err)
}

// inPlace reports whether the file that is being written is still the one under
// its name: a stick may have been pulled, or a folder removed, and what is
// written then goes nowhere.
func (s *Store) inPlace() error {
	now, err := os.Stat(s.path)
	if err != nil || !os.SameFile(s.file, now) {
		return unix.ENOENT
	}
	return nil
}

// create makes a lesson file with an empty lesson. It is made under another
// name and renamed, so that a file under the right name is always whole.
func (s *Store) create() error {
	// The log of a file that is gone would be taken for that of the new one.
	for _, suffix := range []string{"-wal", "-journal"} {
		if _, err := os.Lstat(s.path + suffix); err == nil {
			if _, err := setAside(s.path, "damaged"); err != nil {
				return err
			}
		}
	}
	fresh := s.path + ".new"
	for _, suffix := range []string{"", "-wal", "-journal"} {
		if err := os.Remove(fresh + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	// SQLite gives the files beside it the mode that this one has.
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	db := openForWriting(fresh)
	err = migrate(db, 0)
	if err == nil {
		err = inTx(db, func(tx *sql.Tx) error {
			_, err := s.begin(tx, opBegin, "")
			return err
		})
	}
	if err == nil {
		// Before the rename everything must be in the file itself.
		err = checkpoint(db)
	}
	if closed := db.Close(); err == nil {
		err = closed
	}
	if err != nil {
		os.Remove(fresh)
		return err
	}
	if err := os.Rename(fresh, s.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.path))
}

// checkpoint moves the log into the file and cuts it to nothing, which takes
// what was erased out of the log too.
func checkpoint(db *sql.DB) error {
	var busy, log, moved int
	if err := db.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &moved); err != nil {
		return err
	}
	if busy != 0 {
		return &finding{ErrInUse, "checkpoint is blocked"}
	}
	return nil
}

// Writable returns nil if the box can learn, or else what keeps it from it:
// an error that wraps ErrReadOnly, ErrFull, ErrIO or ErrDamaged. It does not
// look at the disk; it tells how the last attempt went.
func (s *Store) Writable() error { return s.fault }

// retryFree is how much space a full disk must have again before Retry says
// that the box can learn, in bytes: enough for a burst with its pictures.
const retryFree = 1 << 20

// Retry tries again what Writable reports, and returns what is still wrong.
// It writes a little, so it is called every few seconds at most.
func (s *Store) Retry() error {
	if s.closed {
		return s.explain("retrying", ErrClosed)
	}
	if s.fault == nil {
		return nil
	}
	if err := s.ready(); err != nil {
		return err
	}
	if s.fault == nil {
		return nil
	}
	s.fault = s.probe()
	return s.fault
}

// probe finds out whether a full disk can be written again.
func (s *Store) probe() error {
	var disk unix.Statfs_t
	err := unix.Statfs(filepath.Dir(s.path), &disk)
	if err == nil && disk.Bavail*uint64(disk.Bsize) < retryFree {
		err = unix.ENOSPC
	}
	if err == nil {
		err = inTx(s.db, func(tx *sql.Tx) error {
			_, err := tx.Exec(fmt.Sprintf("PRAGMA user_version = %d", len(migrations())))
			return err
		})
	}
	if err == nil {
		err = s.inPlace()
	}
	if err != nil {
		return s.explain("trying to write", err)
	}
	return nil
}

// ready makes sure that there is a file to write to. After a failure other
// than a full disk SQLite's connection is not trusted: the file is opened, and
// checked, anew. What is in memory stays if that fails.
func (s *Store) ready() error {
	if s.closed {
		return s.explain("writing", ErrClosed)
	}
	if s.db != nil && (s.fault == nil || errors.Is(s.fault, ErrFull)) {
		return nil
	}
	if s.db != nil {
		s.db.Close() // it has failed already
		s.db = nil
	}
	if err := s.open(); err != nil {
		s.fault = err
	}
	return s.fault
}

// write runs one transaction. f returns what to do in memory once the file has
// it; its refusals pass through, and leave everything as it was.
func (s *Store) write(doing string, f func(*sql.Tx) (func(), error)) error {
	if err := s.ready(); err != nil {
		return err
	}
	var apply func()
	err := inTx(s.db, func(tx *sql.Tx) (err error) {
		apply, err = f(tx)
		return err
	})
	if err == nil {
		err = s.inPlace()
	}
	switch {
	case err == nil:
		s.fault = nil
		apply()
		return nil
	case kind(err) == nil:
		return fmt.Errorf("%s: %w", doing, err)
	}
	s.fault = s.explain(doing, err)
	return s.fault
}

// Close moves everything into the one file, closes and unlocks it. It may be
// repeated. After an error nothing acknowledged is lost: it is in the log, and
// the next Open reads that.
func (s *Store) Close() error {
	s.closed = true
	var err error
	if s.db != nil {
		err = checkpoint(s.db)
		if closed := s.db.Close(); err == nil {
			err = closed
		}
		s.db = nil
	}
	s.unlock()
	if err != nil {
		return s.explain("closing it", err)
	}
	return nil
}

package lesson

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"teachbox/inference"
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

	disk disk // the system's if nil
}

// A Store is an open lesson file. It is used from one goroutine; what its
// methods return does not change with it.
type Store struct {
	path     string
	disk     disk
	pictures KeepPictures
	now      func() Moment

	service  bool        // runs whatever the file is like
	lock     io.Closer   // nil if it could not be had, or after Close
	db       *sql.DB     // nil while the file is not open for writing
	file     fs.FileInfo // of the file that db writes
	fault    error       // why nothing can be written; nil if all is well
	notice   *Notice     // what somebody has to be told
	saved    int64       // revision that the last backup has; 0 if unknown
	backed   string      // id of the lesson that the backups have in hand; "": no backups
	closed   bool
	contents *contents
	fitter   head.Fitter
	fitted   inference.Space // that the fitter knows
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
		if errors.Is(err, ErrDamaged) {
			if backup, c, _ := s.goodBackup(); backup != "" {
				err = fmt.Errorf("%w. The backup %s is good, with %d presses in hand: the box takes it when it starts", err, backup, c.presses())
			}
		}
		s.unlock()
		return nil, err
	}
	return s, nil
}

// OpenService opens a lesson file as the service does, which must run whatever
// the file is like. One that is damaged is set aside and the last good backup
// taken; damaged pictures are removed, since the lesson is whole without them.
// One of a newer version is set aside too, and an empty lesson begun. One that
// cannot be read leaves an empty lesson that cannot be written. Notice tells of
// all this, now and at later starts. The same is done when damage is found
// later. The error wraps ErrInUse, or the options are wrong.
func OpenService(o Options) (*Store, error) {
	s, err := newStore(o)
	if err != nil {
		return nil, err
	}
	s.service = true
	if err = s.open(); asideReason(err) != "" {
		err = s.recover(err)
	}
	if errors.Is(err, ErrInUse) {
		s.unlock()
		return nil, err
	}
	if err != nil {
		s.fault = err
	}
	if asides := s.asides(); s.notice == nil && len(asides) > 0 {
		s.notice = &Notice{Aside: asides[0]}
	}
	return s, nil
}

// asideReason is what the name of a file goes on with that is set aside for an
// error of open, or "" if the error is no reason to set it aside.
func asideReason(err error) string {
	switch {
	case errors.Is(err, ErrNewer):
		return newerSuffix
	case errors.Is(err, ErrDamaged):
		return damagedSuffix
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
	if o.disk == nil {
		o.disk = system{}
	}
	return &Store{path: path, disk: o.disk, pictures: o.KeepPictures, now: o.Now, contents: new(contents)}, nil
}

// open locks and reads the file, then opens it for writing. The file is read
// and checked before anything may write to it. Where only the writing fails,
// fault says why and open succeeds. On an error s holds what it held before.
func (s *Store) open() error {
	fault := s.acquire()
	if errors.Is(fault, ErrInUse) {
		return fault
	}
	if fault == nil {
		if err := s.finishErasing(); err != nil {
			return s.explain("erasing", err)
		}
		if err := s.adopt(); err != nil {
			return s.explain("going on with the new file", err)
		}
	}
	read, version, spoilt, err := s.read()
	if err != nil {
		return err
	}
	if read == nil && s.contents.seq != 0 {
		// A card pulled out must not make the box forget what it holds.
		return s.explain("opening it again", &finding{ErrIO, "the file is gone"})
	}
	if fault == nil {
		fault = s.openForWriting(read == nil, version, spoilt)
		if errors.Is(fault, ErrInUse) || errors.Is(fault, ErrDamaged) {
			return fault
		}
	}
	if fault != nil && version != 0 && version < len(migrations()) {
		return fault // it was not led on, so it cannot be understood
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
	err := makeDir(s.disk, filepath.Dir(s.path))
	if err == nil {
		s.lock, err = s.disk.Lock(s.path + lockSuffix)
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

// read checks the file and returns its contents, its version and how many
// pictures are spoilt; nil if there is no file.
func (s *Store) read() (c *contents, v, spoilt int, err error) {
	if err := verifyLog(s.disk, s.path+"-wal"); err != nil {
		return nil, 0, 0, s.explain("reading it", err)
	}
	err = s.inspectLesson(func(db *sql.DB, version int) error {
		v = version
		if spoilt, err = spoiltRows(db, tablePicture); err != nil {
			return err
		}
		if v < len(migrations()) {
			c = new(contents) // is read when it was led on
			return nil
		}
		c, err = load(db)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, 0, nil
	case err == nil && spoilt > 0 && !s.service:
		err = spoiltPictures(spoilt)
	}
	if err != nil {
		return nil, 0, 0, s.explain("reading it", err)
	}
	return c, v, spoilt, nil
}

func spoiltPictures(n int) error {
	return &finding{ErrDamaged, fmt.Sprintf("%d pictures do not match their checksums", n)}
}

// openForWriting opens the file, makes it if it is missing, leads it on from
// its version, removes pictures that are spoilt, and loads its contents.
func (s *Store) openForWriting(missing bool, version, spoilt int) error {
	fail := func(err error) error { return s.explain("opening it for writing", err) }
	if missing {
		if err := s.create(); err != nil {
			return s.explain("beginning it", err)
		}
		version = len(migrations())
	} else {
		removeFile(s.disk, s.path+newSuffix) // of a life that ended while it made one
		if err := s.renewLog(); err != nil {
			return fail(err)
		}
	}
	// SQLite finds out only when it writes, and then blames the disk.
	for _, path := range []string{s.path, filepath.Dir(s.path)} {
		if err := s.disk.Writable(path); err != nil {
			return fail(err)
		}
	}
	db := openForWriting(s.disk, s.path)
	_, err := db.Exec(`DELETE FROM lesson WHERE false`)
	if kind(err) == ErrReadOnly {
		// The system lets this user write it, so it is the file that forbids it:
		// its header has a format that SQLite may read but does not write.
		err = &finding{ErrDamaged, "its header forbids writing"}
	}
	if err == nil {
		err = s.leadOn(db, version)
	}
	if err == nil && spoilt > 0 {
		_, err = db.Exec(`DELETE FROM picture WHERE NOT intact`)
	}
	var c *contents
	if err == nil {
		c, err = load(db)
	}
	if err == nil {
		// The name of the log, too: SQLite does not mind when this fails.
		err = s.disk.SyncDir(filepath.Dir(s.path))
	}
	if err == nil {
		s.file, err = s.disk.Stat(s.path)
	}
	if err != nil {
		db.Close()
		return fail(err)
	}
	s.db, s.contents = db, c
	// The log begins anew: what a crash left in it would puzzle verifyLog.
	s.clean()
	s.fitter = head.Fitter{} // it knows the examples of another file
	s.saved, s.backed = s.backups()
	if s.service {
		if err := s.keepTo(); err != nil {
			return fail(err)
		}
	}
	if spoilt > 0 {
		s.notice = &Notice{
			Cause: s.explain("reading it", spoiltPictures(spoilt)),
			Gone:  fmt.Sprintf("%d of the kept pictures", spoilt),
		}
	}
	return nil
}

// keepTo removes the pictures that the policy does not keep any more.
func (s *Store) keepTo() error {
	query := `DELETE FROM picture`
	switch s.pictures {
	case KeepAlways:
		return nil
	case KeepLesson:
		query += ` WHERE example IN (SELECT example.seq FROM example JOIN press ON press.seq = example.press
			JOIN class ON class.seq = press.class JOIN lesson ON lesson.seq = class.lesson WHERE kept IS NOT NULL)`
	}
	var n int64
	err := inTx(s.db, func(tx *sql.Tx) error {
		r, err := tx.Exec(query)
		if err == nil {
			n, err = r.RowsAffected()
		}
		return err
	})
	if err != nil || n == 0 {
		return err
	}
	s.clean()
	if s.backed != "" {
		s.backed = outdated
	}
	s.contents, err = load(s.db)
	return err
}

// leadOn brings a file of an older version to the current one. A copy of it is
// made first, which the next backup replaces.
func (s *Store) leadOn(db *sql.DB, version int) error {
	if version == len(migrations()) {
		return nil
	}
	if err := copyDatabase(s.disk, db, fmt.Sprintf("%s%s%d", s.path, versionSuffix, version)); err != nil {
		return err
	}
	return migrate(db, version)
}

// renewLog writes the log again after a failure. What a failed flush should have
// written can be read, but is not on the disk, and no later flush puts it there.
func (s *Store) renewLog() error {
	if s.fault == nil || errors.Is(s.fault, ErrFull) {
		return nil
	}
	err := copyFile(s.disk, s.path+"-wal", s.path+"-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// forget has SQLite drop the parts of the file that it holds in memory, so that
// they are read from the disk again: it would never find that they are damaged.
func (s *Store) forget() {
	if s.db != nil {
		_, _ = s.db.Exec("PRAGMA shrink_memory") // what it keeps is not looked at
	}
}

// inPlace reports whether the file that is being written is still the one under
// its name: a stick may have been pulled, or a folder removed, and what is
// written then goes nowhere.
func (s *Store) inPlace() error {
	now, err := s.disk.Stat(s.path)
	if err != nil || !s.disk.SameFile(s.file, now) {
		return unix.ENOENT
	}
	return nil
}

// create makes a lesson file with an empty lesson. It is made under another
// name and renamed, so that a file under the right name is always whole.
func (s *Store) create() error {
	if err := s.asideLog(); err != nil {
		return err
	}
	return s.replaceFile(func(tx *sql.Tx) error {
		if err := countOn(tx, s.contents.revision); err != nil {
			return err
		}
		seq, err := s.begin(tx)
		if err != nil {
			return err
		}
		if _, err = s.operation(tx, seq, opBegin, ""); err != nil {
			return err
		}
		return enterLocked(tx, s.contents.locked)
	})
}

// asideLog sets the log of a file aside that is gone: it would be taken for that
// of a new one.
func (s *Store) asideLog() error {
	for _, suffix := range []string{"-wal", "-journal"} {
		if _, err := s.disk.Lstat(s.path + suffix); err == nil {
			if _, err := setAside(s.disk, s.path, damagedSuffix); err != nil {
				return err
			}
		}
	}
	return nil
}

// countOn begins a new file with the numbers that come after a revision of the
// one before, so that none is given twice in the life of a store.
func countOn(tx *sql.Tx, revision int64) error {
	_, err := tx.Exec(`INSERT INTO sqlite_sequence (name, seq) VALUES ('operation', ?1), ('example', ?1)`, revision)
	return err
}

// replaceFile makes a new file and gives it the name of the lesson file.
func (s *Store) replaceFile(fill func(*sql.Tx) error) error {
	fresh := s.path + newSuffix
	if err := makeFile(s.disk, fresh, fill); err != nil {
		return err
	}
	if err := s.disk.Rename(fresh, s.path); err != nil {
		return err
	}
	return s.disk.SyncDir(filepath.Dir(s.path))
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
	free, err := s.disk.Free(filepath.Dir(s.path))
	if err == nil && free < retryFree {
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
	err := s.open()
	if s.service && asideReason(err) != "" {
		err = s.recover(err)
	}
	if err != nil {
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

package lesson

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What lies beside a lesson file at PATH, other than SQLite's own files:
//
//	PATH.lock             the lock, see lockFile
//	PATH.new              the file while it is begun
//	PATH.backup.1, .2     the last backups, the newest first
//	PATH.backup.new       a backup while it is written
//	PATH.version-N        the file before it was led on from that version
//	PATH.damaged.N        set aside because it was damaged
//	PATH.newer.N          set aside because a newer teachbox wrote it
//	PATH.damaged.N.seen   the same, after somebody was told
//	PATH.load             a lesson from elsewhere while it is judged
//	PATH.erasing          there while everything is erased
const (
	lockSuffix    = ".lock"
	newSuffix     = ".new"
	backupSuffix  = ".backup"
	versionSuffix = ".version-"
	damagedSuffix = ".damaged."
	newerSuffix   = ".newer."
	seenSuffix    = ".seen"
	stagedSuffix  = ".load"
	erasingSuffix = ".erasing"
)

// generations is how many backups are kept.
const generations = 2

// besides are the endings of the files that make up one file of SQLite's.
func besides() []string { return []string{"", "-wal", "-shm", "-journal"} }

func (s *Store) backupPath(n int) string { return fmt.Sprintf("%s%s.%d", s.path, backupSuffix, n) }

// Unsaved reports whether there is anything that the last backup does not have.
func (s *Store) Unsaved() bool {
	return s.contents.revision != 0 && s.contents.revision != s.saved
}

// Overdue reports whether a backup is to be written at once, because another
// lesson is in hand than in the backups, which may have pictures that were to go
// with theirs.
func (s *Store) Overdue() bool { return s.backed != "" && s.backed != s.contents.id }

// outdated is in place of an id where the backups are overdue whatever is in hand.
const outdated = "outdated"

// backups returns the revision that the newest backup has, and the id of the
// lesson that they have in hand, or outdated if they differ. One that cannot be
// read has nothing.
func (s *Store) backups() (saved int64, backed string) {
	for n := 1; n <= generations; n++ {
		if _, err := s.disk.Lstat(s.backupPath(n)); err != nil {
			continue
		}
		revision, id, err := s.backup(n)
		switch {
		case err != nil:
			continue
		case n == 1:
			saved = revision
		}
		if backed != "" && backed != id {
			return saved, outdated
		}
		backed = id
	}
	return saved, backed
}

// backup returns the revision that a backup has, and the id of its lesson in hand.
func (s *Store) backup(n int) (revision int64, id string, err error) {
	db, err := openForReading(s.disk, s.backupPath(n))
	if err != nil {
		return 0, "", err
	}
	defer db.Close()
	err = db.QueryRow(`SELECT (SELECT max(seq) FROM operation), id FROM lesson WHERE kept IS NULL`).Scan(&revision, &id)
	return revision, id, err
}

// Backup writes everything to a second file beside the first one, from which
// the store begins again should that one be damaged. The last two are kept; but
// those that were Overdue are not. A backup is a whole file under its name, or
// it is not there.
func (s *Store) Backup() error {
	fail := func(err error) error { return s.explain("backing it up", err) }
	if err := s.ready(); err != nil {
		return err
	}
	fresh := s.path + backupSuffix + newSuffix
	s.forget()
	err := copyDatabase(s.disk, s.db, fresh)
	if err == nil {
		// What is damaged must not take the place of what is not.
		copied := &Store{path: fresh, disk: s.disk}
		err = copied.inspect(func(db *sql.DB, _ int) error {
			_, err := load(db)
			return err
		})
	}
	if err != nil {
		removeFile(s.disk, fresh)
		err = fail(err)
		if errors.Is(err, ErrDamaged) {
			s.fault = err
		}
		return err
	}
	if s.Overdue() {
		for n := 1; n <= generations; n++ {
			if err := shred(s.disk, s.backupPath(n)); err != nil {
				return fail(err)
			}
		}
	}
	// What is renamed over would leave its bytes on the disk, out of Erase's reach.
	if err := shred(s.disk, s.backupPath(generations)); err != nil {
		return fail(err)
	}
	for n := generations; n > 1; n-- {
		if err := s.disk.Rename(s.backupPath(n-1), s.backupPath(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail(err)
		}
	}
	if err := s.disk.Rename(fresh, s.backupPath(1)); err != nil {
		return fail(err)
	}
	if err := s.disk.SyncDir(filepath.Dir(s.path)); err != nil {
		return fail(err)
	}
	s.saved, s.backed = s.contents.revision, s.contents.id
	// What was copied before a new form is not needed any more.
	older, err := s.beside(versionSuffix)
	if err != nil {
		return fail(err)
	}
	for _, path := range older {
		if err := shred(s.disk, path); err != nil {
			return fail(err)
		}
	}
	return nil
}

// copyDatabase copies what is live in a database to a new file, for this user
// only and durably.
func copyDatabase(d disk, db *sql.DB, path string) error {
	removeFile(d, path)
	f, err := d.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	// SQLite takes an empty file, and does not flush it.
	_, err = db.Exec(`VACUUM INTO ?`, path)
	if err != nil && strings.Contains(err.Error(), "output file already exists") {
		err = &finding{ErrIO, "its size cannot be told"} // it is new, and ours
	}
	if err != nil {
		return err
	}
	return f.Sync()
}

// goodBackup finds the newest backup that is whole. It returns its path and its
// contents; or an error if none was found and one could not be read, which may
// be good.
func (s *Store) goodBackup() (string, *contents, error) {
	paths := []string{s.path + backupSuffix + newSuffix}
	for n := 1; n <= generations; n++ {
		paths = append(paths, s.backupPath(n))
	}
	best, found := "", (*contents)(nil)
	var unread error
	for _, path := range paths {
		b := &Store{path: path, disk: s.disk}
		err := b.inspect(func(db *sql.DB, v int) error {
			if v < len(migrations()) {
				return nil // its place was taken by a newer one at the first chance
			}
			c, err := load(db)
			if err == nil && (found == nil || c.revision > found.revision) {
				best, found = path, c
			}
			return err
		})
		if k := kind(err); k != nil && k != ErrDamaged && k != ErrNewer && !errors.Is(err, fs.ErrNotExist) {
			unread = fmt.Errorf("%s: %w", path, err)
		}
	}
	if found != nil {
		return best, found, nil
	}
	return "", nil, unread
}

// A Notice says that a store did not open as it was left, or had to begin again
// from a backup. It stands until Acknowledge.
type Notice struct {
	Cause   error  // wraps ErrDamaged or ErrNewer; nil if it happened in an earlier life
	Aside   string // the new name of the file that was set aside; empty if it could not be
	Backup  string // the backup that was taken; empty if there was none to take
	Rescued bool   // what was in memory was written to a new file: nothing is lost but pictures and what could be undone
	Presses int    // in the lesson in hand after that
	When    Moment // of the last operation that the backup has
	Gone    string // what was lost though all else of the file is there
}

// String tells it to people.
func (n *Notice) String() string {
	var b strings.Builder
	switch {
	case n.Cause == nil:
		fmt.Fprintf(&b, "%s was set aside earlier", n.Aside)
	case n.Aside == "" && n.Gone == "":
		fmt.Fprintf(&b, "%v; it could not be set aside, so the box runs with an empty lesson and cannot learn", n.Cause)
	case n.Aside == "":
		fmt.Fprintf(&b, "%v; gone are %s, and all else is there", n.Cause, n.Gone)
	case n.Rescued:
		fmt.Fprintf(&b, "%v; it was set aside as %s, and all %d presses written to a new file: gone are what could be undone, and what the backup does not have of pictures and of lessons put away", n.Cause, n.Aside, n.Presses)
	case n.Gone != "":
		fmt.Fprintf(&b, "%v; it was set aside as %s, and what can be read of it, with %d presses, written to a new file: gone are %s", n.Cause, n.Aside, n.Presses, n.Gone)
	case n.Backup == "":
		fmt.Fprintf(&b, "%v; it was set aside as %s and an empty lesson begun", n.Cause, n.Aside)
	default:
		fmt.Fprintf(&b, "%v; it was set aside as %s, and the backup", n.Cause, n.Aside)
		if !n.When.Wall.IsZero() {
			fmt.Fprintf(&b, " of %s", n.When.Wall.Format("2006-01-02 15:04"))
		}
		fmt.Fprintf(&b, " with %d presses taken: what was taught since is not in it", n.Presses)
	}
	fmt.Fprint(&b, " (once somebody has seen to it: teachbox acknowledge)")
	return b.String()
}

// Notice returns what somebody has to be told, or nil.
func (s *Store) Notice() *Notice { return s.notice }

// Acknowledge says that somebody was told what Notice says. Files that were set
// aside stay, under another name.
func (s *Store) Acknowledge() error {
	for _, path := range s.asides() {
		for _, suffix := range besides() {
			err := s.disk.Rename(path+suffix, path+seenSuffix+suffix)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return s.explain("acknowledging", err)
			}
		}
	}
	s.notice = nil
	if err := s.disk.SyncDir(filepath.Dir(s.path)); err != nil {
		return s.explain("acknowledging", err)
	}
	return nil
}

// asides are the files that were set aside and not acknowledged. A folder that
// cannot be read shows none.
func (s *Store) asides() []string {
	all, _ := s.beside(damagedSuffix, newerSuffix)
	return slices.DeleteFunc(all, func(path string) bool {
		number := path[strings.LastIndexByte(path, '.')+1:]
		return number == "" || strings.Trim(number, "0123456789") != ""
	})
}

// beside lists the files beside the lesson file whose names go on with one of
// the suffixes.
func (s *Store) beside(suffixes ...string) ([]string, error) {
	entries, err := s.disk.ReadDir(filepath.Dir(s.path))
	if err != nil {
		return nil, err
	}
	var found []string
	for _, suffix := range suffixes {
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), filepath.Base(s.path)+suffix) {
				found = append(found, filepath.Join(filepath.Dir(s.path), e.Name()))
			}
		}
	}
	return found, nil
}

// copyFile copies a whole file, for this user only and durably, under a name
// that is free.
func copyFile(d disk, from, to string) error {
	in, err := d.OpenFile(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	fresh := to + newSuffix
	out, err := d.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		d.Remove(fresh)
		return err
	}
	if err := d.Rename(fresh, to); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(to))
}

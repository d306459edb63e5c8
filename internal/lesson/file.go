package lesson

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"
)

// A connector opens SQLite connections that are set up the same way.
type connector struct {
	*sqlite3.SQLiteDriver
	dsn string
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Open(c.dsn) }
func (c connector) Driver() driver.Driver                        { return c.SQLiteDriver }

// open opens one connection to a database file. query are parameters of the
// URI, SQLite's (https://sqlite.org/uri.html) and the driver's.
//
// Exclusive locking keeps other programs out, and the index of the write-ahead
// log in memory instead of in a file of its own. It must be asked for here:
// the driver looks at the file before the hook runs.
func open(path, query string, pragmas ...string) *sql.DB {
	u := url.URL{Scheme: "file", Path: path, RawQuery: query + "&_locking_mode=EXCLUSIVE&_busy_timeout=200&_txlock=immediate"}
	db := sql.OpenDB(connector{&sqlite3.SQLiteDriver{
		ConnectHook: func(c *sqlite3.SQLiteConn) error {
			if err := c.RegisterFunc("rowsum", rowsum, true); err != nil {
				return err
			}
			// For the same reason the schema was read before rowsum was known.
			for _, p := range append([]string{"writable_schema = RESET"}, pragmas...) {
				if _, err := c.Exec("PRAGMA "+p, nil); err != nil {
					return err
				}
			}
			return nil
		},
	}, u.String()})
	db.SetMaxOpenConns(1)
	return db
}

// openForWriting opens a file that exists. Every commit is flushed to the disk
// before it returns, and what is deleted is overwritten.
func openForWriting(path string) *sql.DB {
	return open(path, "mode=rw&_synchronous=FULL&_secure_delete=ON&_foreign_keys=ON", "journal_mode = WAL")
}

// openForReading opens a file that exists without writing anything, not even
// where the folder may not be written. A write-ahead log beside it must be read
// too, and SQLite does so only under a write lock, which a read-only file
// cannot give: so SQLite is to use no locks, and our own keeps writers out.
// Without a log none may be made, which is what immutable says.
func openForReading(path string) (*sql.DB, error) {
	_, err := os.Lstat(path + "-wal")
	switch {
	case err == nil:
		return open(path, "mode=ro&vfs=unix-none"), nil
	case errors.Is(err, fs.ErrNotExist):
		return open(path, "mode=ro&immutable=1"), nil
	}
	return nil, err
}

// inTx runs f in a transaction, and undoes it if f fails.
func inTx(db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		tx.Rollback() // the cause matters more than what follows from it
		return err
	}
	return tx.Commit()
}

// makeDir makes a folder with its parents, durably, for this user only.
func makeDir(path string) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncDir makes the names in a folder durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// lockFile takes the lock that goes with a lesson file. The lock ends with the
// process, however it ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
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

// setAside gives a lesson file, and what SQLite keeps beside it, a numbered
// name that is free, and returns that name. The caller holds the lock.
func setAside(path, reason string) (string, error) {
	suffixes := []string{"", "-wal", "-shm", "-journal"}
	aside := ""
	for n := 1; aside == ""; n++ {
		aside = fmt.Sprintf("%s.%s.%d", path, reason, n)
		for _, suffix := range suffixes {
			if _, err := os.Lstat(aside + suffix); err == nil {
				aside = ""
				break
			} else if !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
	}
	for _, suffix := range suffixes {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return aside, syncDir(filepath.Dir(path))
}

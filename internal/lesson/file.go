package lesson

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"

	"github.com/mattn/go-sqlite3"
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
// setUp is done last.
func open(path, query string, setUp ...func(*sqlite3.SQLiteConn) error) *sql.DB {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs // without a root it would read as the name of a host
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: query + "&_locking_mode=EXCLUSIVE&_busy_timeout=200&_txlock=immediate"}
	db := sql.OpenDB(connector{&sqlite3.SQLiteDriver{
		ConnectHook: func(c *sqlite3.SQLiteConn) error {
			if err := c.RegisterFunc("rowsum", rowsum, true); err != nil {
				return err
			}
			// For the same reason the schema was read before rowsum was known.
			if _, err := c.Exec("PRAGMA writable_schema = RESET", nil); err != nil {
				return err
			}
			for _, f := range setUp {
				if err := f(c); err != nil {
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
func openForWriting(d disk, path string) *sql.DB {
	vfs, _ := d.VFS()
	return open(path, "vfs="+vfs+"&mode=rw&_synchronous=FULL&_secure_delete=ON&_foreign_keys=ON", writeAhead)
}

// writeAhead makes a connection use a write-ahead log. Where this fails SQLite
// goes on in a mode that does not keep what Keep promises, and says so only
// behind the row that it answers.
func writeAhead(c *sqlite3.SQLiteConn) error {
	rows, err := c.Query("PRAGMA journal_mode = WAL", nil)
	if err != nil {
		return err
	}
	defer rows.Close()
	mode := make([]driver.Value, 1)
	for err == nil {
		err = rows.Next(mode)
	}
	switch {
	case err != io.EOF:
		return err
	case mode[0] != "wal":
		return &finding{ErrIO, fmt.Sprintf("its journal mode is %v", mode[0])}
	}
	return nil
}

// openForReading opens a file that exists without writing anything, not even
// where the folder may not be written. A write-ahead log beside it must be read
// too, and SQLite does so only under a write lock, which a read-only file
// cannot give: so SQLite is to use no locks, and our own keeps writers out.
// Without a log none may be made, which is what immutable says.
func openForReading(d disk, path string) (*sql.DB, error) {
	vfs, lockless := d.VFS()
	logged, err := hasLog(d, path)
	switch {
	case err != nil:
		return nil, err
	case logged:
		return open(path, "mode=ro&vfs="+lockless, func(c *sqlite3.SQLiteConn) error {
			// SQLite removes a log that it can read nothing from.
			_ = c.SetFileControlInt("main", sqlite3.SQLITE_FCNTL_PERSIST_WAL, 1) // not every VFS can
			return nil
		}), nil
	}
	return open(path, "mode=ro&immutable=1&vfs="+vfs), nil
}

// hasLog reports whether a file is to be read with what is in its log. It is not
// if the plug was pulled while the file was given its first one, before anything
// in it was promised: a rollback journal is there then, which SQLite wants to
// write before it reads.
func hasLog(d disk, path string) (bool, error) {
	log, err := d.Lstat(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) || err == nil && log.Size() == 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = d.Lstat(path + "-journal")
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, err
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
func makeDir(d disk, path string) error {
	if _, err := d.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if err := makeDir(d, parent); err != nil {
		return err
	}
	if err := d.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.SyncDir(parent)
}

// setAside gives a lesson file, and what SQLite keeps beside it, a numbered
// name that is free and goes on with reason, and returns that name. The caller holds the lock.
func setAside(d disk, path, reason string) (string, error) {
	suffixes := besides()
	aside := ""
	for n := 1; aside == ""; n++ {
		aside = fmt.Sprintf("%s%s%d", path, reason, n)
		for _, suffix := range suffixes {
			_, err := d.Lstat(aside + suffix)
			if err != nil && errors.Is(err, fs.ErrNotExist) {
				_, err = d.Lstat(aside + seenSuffix + suffix)
			}
			if err == nil {
				aside = ""
				break
			} else if !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
	}
	for _, suffix := range suffixes {
		if err := d.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return aside, d.SyncDir(filepath.Dir(path))
}

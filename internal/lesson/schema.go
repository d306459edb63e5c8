package lesson

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"hash"
	"hash/crc32"
	"strings"

	"teachbox/device"
)

// applicationID marks a lesson file in SQLite's header: "TBox".
const applicationID = 0x54426f78

// The kinds of a class.
const (
	kindClass   = "class"
	kindNothing = "nothing"
)

// migrations returns the steps from an empty file to the current form. Step i
// leads from version i to version i+1; a step that has been released is never
// changed.
//
// Sequence numbers count up and are never used again (AUTOINCREMENT). Every
// change is a row of operation: created_by and removed_by name it, and it has
// the moment. A row with removed_by is no longer live, but is still there.
// Every row carries a checksum of itself and can say whether it is intact, so
// that a flipped bit in a blob is found like one in a page header. (A CHECK
// would say it too, but SQLite drops those where it only reads.) Since version
// 2 the name of the table is in it: a page of another one may have come in
// its place.
func migrations() []string {
	sum := func(columns string) string {
		return fmt.Sprintf("sum INTEGER NOT NULL AS (rowsum(%[1]s)) STORED, intact INTEGER AS (sum IS rowsum(%[1]s)) VIRTUAL", columns)
	}
	return []string{
		fmt.Sprintf(`
PRAGMA application_id = %d;

CREATE TABLE lesson (
	seq  INTEGER PRIMARY KEY AUTOINCREMENT,
	id   TEXT NOT NULL UNIQUE,
	kept INTEGER UNIQUE, -- its place among the lessons put away, the last one the greatest; NULL: in hand
	`, applicationID) + sum("seq, id, kept") + `
);
CREATE UNIQUE INDEX lesson_in_hand ON lesson (kept IS NULL) WHERE kept IS NULL;

CREATE TABLE operation (
	seq      INTEGER PRIMARY KEY AUTOINCREMENT,
	lesson   INTEGER NOT NULL REFERENCES lesson ON DELETE CASCADE,
	kind     TEXT NOT NULL,
	target   TEXT NOT NULL,    -- id of what it was done to
	boot     TEXT NOT NULL,    -- boot id
	since_ns INTEGER NOT NULL, -- nanoseconds since that boot
	wall_ns  INTEGER,          -- nanoseconds since 1970 UTC; NULL while the clock was not set
	` + sum("seq, lesson, kind, target, boot, since_ns, wall_ns") + `
);
CREATE INDEX operation_lesson ON operation (lesson);

CREATE TABLE class (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	id         TEXT NOT NULL UNIQUE,
	lesson     INTEGER NOT NULL REFERENCES lesson ON DELETE CASCADE,
	name       TEXT NOT NULL,
	kind       TEXT NOT NULL CHECK (kind IN ('class', 'nothing')),
	slot       INTEGER CHECK (slot BETWEEN 0 AND ` + fmt.Sprint(device.MaxSlots-1) + `),
	created_by INTEGER NOT NULL,
	removed_by INTEGER,
	` + sum("seq, id, lesson, name, kind, slot, created_by, removed_by") + `,
	CHECK ((kind = 'nothing') = (slot IS NULL))
);
CREATE INDEX class_lesson ON class (lesson);
CREATE UNIQUE INDEX class_slot ON class (lesson, slot) WHERE removed_by IS NULL;
CREATE UNIQUE INDEX class_nothing ON class (lesson) WHERE removed_by IS NULL AND kind = 'nothing';

CREATE TABLE press (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	id         TEXT NOT NULL UNIQUE,
	class      INTEGER NOT NULL REFERENCES class ON DELETE CASCADE,
	created_by INTEGER NOT NULL,
	removed_by INTEGER,
	` + sum("seq, id, class, created_by, removed_by") + `
);
CREATE INDEX press_class ON press (class);

CREATE TABLE space (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	model      TEXT NOT NULL,
	cut        TEXT NOT NULL,
	crop       TEXT NOT NULL,
	flip       TEXT NOT NULL,
	rotation   INTEGER NOT NULL,
	filter     INTEGER NOT NULL,
	zero_point INTEGER NOT NULL,
	length     INTEGER NOT NULL,
	` + sum("seq, model, cut, crop, flip, rotation, filter, zero_point, length") + `,
	UNIQUE (model, cut, crop, flip, rotation, filter)
);

CREATE TABLE provenance (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT,
	backend TEXT NOT NULL,
	arch    TEXT NOT NULL,
	` + sum("seq, backend, arch") + `,
	UNIQUE (backend, arch)
);

CREATE TABLE example (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	id         TEXT NOT NULL UNIQUE,
	press      INTEGER NOT NULL REFERENCES press ON DELETE CASCADE,
	space      INTEGER NOT NULL REFERENCES space,
	provenance INTEGER NOT NULL REFERENCES provenance,
	embedding  BLOB NOT NULL,
	created_by INTEGER NOT NULL,
	` + sum("seq, id, press, space, provenance, embedding, created_by") + `
);
CREATE INDEX example_press ON example (press);

-- Pictures are apart, so that reading the embeddings does not pass over them.
CREATE TABLE picture (
	example INTEGER PRIMARY KEY REFERENCES example ON DELETE CASCADE,
	jpeg    BLOB NOT NULL,
	` + sum("example, jpeg") + `
);
`,
		`
-- What each step changed, in order. Values are numbers or texts; "live" is 1, or
-- 0 where removed_by is set.
CREATE TABLE change (
	seq       INTEGER PRIMARY KEY AUTOINCREMENT,
	operation INTEGER NOT NULL REFERENCES operation ON DELETE CASCADE,
	thing     TEXT NOT NULL CHECK (thing IN ('lesson', 'class', 'press')),
	row       INTEGER NOT NULL, -- seq of that thing
	field     TEXT NOT NULL CHECK (field IN ('live', 'class', 'name', 'note')),
	before    NOT NULL,
	after     NOT NULL,
	` + sum("'change', seq, operation, thing, row, field, before, after") + `
);
CREATE INDEX change_operation ON change (operation);

-- Its key has an index of its own, as every table has one but that of the
-- pictures: SQLite compares the two, and finds rows that are not there any more.
CREATE TABLE description (
	lesson INTEGER NOT NULL UNIQUE REFERENCES lesson ON DELETE CASCADE,
	name   TEXT NOT NULL,
	note   TEXT NOT NULL,
	` + sum("'description', lesson, name, note") + `
);

-- When a lesson was put away, and by what kind of operation.
CREATE TABLE away (
	lesson   INTEGER NOT NULL UNIQUE REFERENCES lesson ON DELETE CASCADE,
	kind     TEXT NOT NULL,
	boot     TEXT NOT NULL,
	since_ns INTEGER NOT NULL,
	wall_ns  INTEGER,
	` + sum("'away', lesson, kind, boot, since_ns, wall_ns") + `
);

-- Embeddings in other spaces than that of the live frame, made from the
-- picture.
CREATE TABLE recomputed (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	example    INTEGER NOT NULL REFERENCES example ON DELETE CASCADE,
	space      INTEGER NOT NULL REFERENCES space,
	provenance INTEGER NOT NULL REFERENCES provenance,
	embedding  BLOB NOT NULL,
	` + sum("'recomputed', seq, example, space, provenance, embedding") + `,
	UNIQUE (example, space)
);

CREATE TABLE setting (
	name  TEXT PRIMARY KEY NOT NULL,
	value NOT NULL,
	` + sum("'setting', name, value") + `
);
`,
	}
}

// migrate leads a file on from a version to the current one.
func migrate(db *sql.DB, version int) error {
	for i, step := range migrations()[version:] {
		err := inTx(db, func(tx *sql.Tx) error {
			_, err := tx.Exec(step + fmt.Sprintf("PRAGMA user_version = %d;", version+i+1))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// version reads and judges the version of a lesson file.
func version(db *sql.DB) (int, error) {
	var id, v int
	if err := db.QueryRow("PRAGMA application_id").Scan(&id); err != nil {
		return 0, err
	}
	if err := db.QueryRow("PRAGMA user_version").Scan(&v); err != nil {
		return 0, err
	}
	known := len(migrations())
	switch {
	case id != applicationID || v < 1:
		return 0, &finding{ErrDamaged, "it is not a lesson file"}
	case v > known:
		return 0, &finding{ErrNewer, fmt.Sprintf("version %d, this teachbox knows %d", v, known)}
	}
	return v, nil
}

// verify reads the whole file and reports what is wrong with it. The indexes
// are verified too (quick_check would leave them out), because load trusts them.
// The checksums of pictures are left out: a lesson is whole without them.
func verify(q querier, version int) error {
	if err := verifySchema(q, version); err != nil {
		return err
	}
	if err := verifyPages(q); err != nil {
		return err
	}
	for _, table := range tables(version) {
		if err := verifyRows(q, table); err != nil {
			return err
		}
	}
	return each(q, func(r *sql.Rows) error {
		var table, parent string
		var row sql.NullInt64
		var key int
		if err := r.Scan(&table, &row, &parent, &key); err != nil {
			return err
		}
		return &finding{ErrDamaged, fmt.Sprintf("%s %d belongs to no %s", table, row.Int64, parent)}
	}, "PRAGMA foreign_key_check")
}

// verifyPages has SQLite verify the structure of the file.
func verifyPages(q querier) error {
	var result string
	if err := q.QueryRow("PRAGMA integrity_check(1)").Scan(&result); err != nil {
		return err
	}
	switch {
	case result == "ok":
		return nil
	case strings.Contains(result, "get page") || strings.Contains(result, "get the page"):
		// SQLite tells in the same way of a page that could not be read.
		return &finding{ErrIO, result}
	}
	return &finding{ErrDamaged, result}
}

// verifyRows compares the rows of a table with their checksums.
func verifyRows(q querier, table string) error {
	spoilt, err := spoiltRows(q, table)
	if err == nil && spoilt > 0 {
		err = &finding{ErrDamaged, fmt.Sprintf("%d rows of %s do not match their checksums", spoilt, table)}
	}
	return err
}

// spoiltRows counts the rows of a table that do not match their checksums.
func spoiltRows(q querier, table string) (n int, err error) {
	err = q.QueryRow(`SELECT count(*) FROM ` + table + ` WHERE NOT intact`).Scan(&n)
	return n, err
}

// tables lists the tables of a version, but for that of the pictures.
func tables(version int) []string {
	all := []string{"lesson", "operation", "class", "press", "space", "provenance", "example"}
	if version >= 2 {
		all = append(all, "change", "description", "away", "recomputed", "setting")
	}
	return all
}

// verifySchema compares the schema of a file with that of its version: one from
// elsewhere may bring triggers and views that do what they like.
func verifySchema(q querier, version int) error {
	sum, err := schemaSum(q)
	if err != nil {
		return err
	}
	if sum != schemas()[version-1] {
		return &finding{ErrDamaged, "its tables are not those of a lesson file"}
	}
	return nil
}

// schemas returns what schemaSum is for each version, from the first. They are
// written down because it takes longer to make a file for comparison than to
// read one.
func schemas() []string {
	return []string{
		"63f2fed762b105553926ab11cd1abb3c485dc0904ed5abc6039d83104578996a",
		"0a0abb7816a0b92e357c6ccfd26d72c7f67480a6edfb28513f942053557d6815",
	}
}

// schemaSum returns the SHA-256 of the schema of a file, in hexadecimal digits.
func schemaSum(q querier) (string, error) {
	h := sha256.New()
	err := each(q, func(r *sql.Rows) error {
		var name, definition string
		err := r.Scan(&name, &definition)
		fmt.Fprintf(h, "%q: %q\n", name, definition)
		return err
	}, `SELECT type || ' ' || name || ' ' || tbl_name, ifnull(sql, '') FROM sqlite_schema ORDER BY type, name`)
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

// rowsum is the SQL function of that name: CRC-32C over its arguments, each
// with its type and its length.
func rowsum(values ...any) (int64, error) {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for _, v := range values {
		if err := sumValue(h, v); err != nil {
			return 0, err
		}
	}
	return int64(h.Sum32()), nil
}

func sumValue(h hash.Hash32, v any) error {
	switch v := v.(type) {
	case nil:
		fmt.Fprint(h, "n;")
	case int64:
		fmt.Fprintf(h, "i%d;", v)
	case string:
		fmt.Fprintf(h, "t%d;%s", len(v), v)
	case []byte:
		fmt.Fprintf(h, "b%d;", len(v))
		h.Write(v)
	default:
		return fmt.Errorf("rowsum: no sum for %T", v)
	}
	return nil
}

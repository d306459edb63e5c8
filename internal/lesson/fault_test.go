package lesson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"teachbox/device"
)

// Killing the process does not cut the power, but it does cut every operation
// short at an arbitrary place. What was acknowledged must be there. Set
// TEACHBOX_ROUNDS for more rounds than 30.
func TestKilled(t *testing.T) {
	rounds := 30
	if n, err := strconv.Atoi(os.Getenv("TEACHBOX_ROUNDS")); err == nil {
		rounds = n
	}
	path := filepath.Join(t.TempDir(), "lesson.db")
	acked := map[int64]int{} // sequence number to N
	total := 0
	for range rounds {
		c, out := startChild(t, "keep", path)
		kill := rand.N(120 * time.Millisecond)
		var last ack
		var timer *time.Timer
		for out.Scan() {
			if timer == nil { // the clock starts with the first frame, not with the process
				timer = time.AfterFunc(kill, func() { c.Process.Kill() })
			}
			if err := json.Unmarshal(out.Bytes(), &last); err != nil {
				t.Fatalf("child: %s", out.Text())
			}
			acked[last.Seq] = last.N
			total++
		}
		c.Wait() // it was killed
		if total == 0 {
			t.Fatal("nothing was acknowledged")
		}
		l := openAt(t, testOptions(path))
		found := map[int64]bool{}
		for _, k := range l.contents.classes {
			for _, p := range k.presses {
				for _, e := range p.frames {
					n, ok := acked[e.seq]
					if !ok {
						continue // durable, but killed before it could say so
					}
					found[e.seq] = true
					want := embedding(int(k.button), n)
					if !bytes.Equal(want.Q, e.q) || e.space.Space != want.Space {
						t.Fatalf("frame %d came back different", n)
					}
					var jpeg []byte
					if err := l.db.QueryRow("SELECT jpeg FROM picture WHERE example = ?", e.seq).Scan(&jpeg); err != nil || !bytes.Equal(jpeg, picture(n)) {
						t.Fatalf("picture %d came back different (%v)", n, err)
					}
				}
			}
		}
		if len(found) != len(acked) {
			t.Fatalf("%d of %d acknowledged frames are there", len(found), len(acked))
		}
		switch {
		case l.Contents().Frames == last.Frames && foldInput(l.Store) != last.Digest:
			t.Fatal("it would fold into another head")
		case l.Contents().Frames > last.Frames+1:
			t.Fatalf("%d frames (want %d, or one more)", l.Contents().Frames, last.Frames)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d frames acknowledged in %d rounds", total, rounds)
}

func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lesson.db")
	c, out := startChild(t, "hold", path)
	if !out.Scan() || out.Text() != "held" {
		t.Fatalf("child: %q", out.Text())
	}
	for name, open := range map[string]func() error{
		"Open":        func() error { _, err := Open(testOptions(path)); return err },
		"OpenService": func() error { _, err := OpenService(testOptions(path)); return err },
	} {
		err := open()
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "systemctl stop teachbox") {
			t.Errorf("%s of a locked file: %v", name, err)
		}
	}
	c.Process.Kill() // the lock goes with the process
	c.Wait()
	l := openAt(t, testOptions(path))
	l.press(0, 1)
	l.reopen()
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	l := openAt(t, testOptions(filepath.Join(dir, "lesson.db")))
	l.press(0, 1)
	for path, want := range map[string]os.FileMode{
		dir:               0o700,
		filepath.Dir(dir): 0o700,
		l.path:            0o600,
		l.path + "-wal":   0o600,
		l.path + ".lock":  0o600,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v (want %v)", path, info, err, want)
		}
	}
	if _, err := os.Stat(l.path + "-shm"); err == nil {
		t.Error("there is an index file beside the log")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.path + "-wal"); err == nil {
		t.Error("Close leaves the log behind")
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{}, {Path: filepath.Join(t.TempDir(), "l"), KeepPictures: KeepAlways + 1}} {
		if s, err := Open(o); err == nil {
			s.Close()
			t.Errorf("%+v opens", o)
		}
		if s, err := OpenService(o); err == nil {
			s.Close()
			t.Errorf("%+v opens as a service", o)
		}
	}
	odd := filepath.Join(t.TempDir(), "a b?c#d%20e&mode=ro.db")
	l := openAt(t, testOptions(odd))
	l.press(0, 1)
	l.reopen()
	if _, err := os.Stat(odd); err != nil {
		t.Error(err)
	}
}

// copyFile copies a file that may not be there.
func copyBeside(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		err = os.WriteFile(to, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// leftBehind makes a lesson file with a log beside it, as after a pulled plug:
// two presses, the second in the log only.
func leftBehind(t testing.TB, path string) {
	t.Helper()
	l := newTeacher(t)
	l.press(0, 1)
	l.reopen()
	l.press(1, 2)
	copyBeside(t, l.path, path)
	copyBeside(t, l.path+"-wal", path+"-wal")
}

const leftBehindContents = "class 1 1/1, class 2 1/2, all 2/3"

// readOnlyBehaviour checks what a lesson from leftBehind does where nothing
// may be written.
func readOnlyBehaviour(path string) error {
	for _, tt := range []struct{ path, want string }{
		{path, leftBehindContents},                                              // with a log
		{filepath.Join(filepath.Dir(path), "absent"), "all 0/0"},                // no file
		{filepath.Join(filepath.Dir(path), "whole.db"), "class 3 1/1, all 1/1"}, // no log
	} {
		for range 2 { // reading must not spoil the next reading
			s, err := OpenService(testOptions(tt.path))
			if err != nil || s.Notice() != nil {
				return fmt.Errorf("%s: %v, %v", tt.path, s.Notice(), err)
			}
			l := &teacher{Store: s}
			if got := summary(s.Contents()); got != tt.want {
				return fmt.Errorf("%s: %s (want %s)", tt.path, got, tt.want)
			}
			if f, err := s.Fold(testSpace); err != nil || (f.Head == nil) != (s.Contents().Frames == 0) {
				return fmt.Errorf("%s: %v", tt.path, err)
			}
			if !errors.Is(s.Writable(), ErrReadOnly) {
				return fmt.Errorf("%s: Writable is %v", tt.path, s.Writable())
			}
			_, err = s.Keep(l.next(0, NewPressID()))
			for name, err := range map[string]error{"Keep": err, "New": l.edit(New{}), "Forget": l.edit(Forget{0}), "Retry": s.Retry()} {
				if !errors.Is(err, ErrReadOnly) {
					return fmt.Errorf("%s: %s: %v", tt.path, name, err)
				}
			}
			if got := summary(s.Contents()); got != tt.want {
				return fmt.Errorf("%s: after refused writes %s (want %s)", tt.path, got, tt.want)
			}
			if err := s.Close(); err != nil {
				return err
			}
		}
	}

	// A damaged file that cannot be set aside: the box runs all the same.
	spoilt := filepath.Join(filepath.Dir(path), "spoilt.db")
	s, err := OpenService(testOptions(spoilt))
	if err != nil {
		return err
	}
	defer s.Close()
	notice := s.Notice()
	if notice == nil || notice.Aside != "" || !errors.Is(notice.Cause, ErrDamaged) || !strings.Contains(notice.String(), "cannot learn") {
		return fmt.Errorf("%s: notice %v", spoilt, notice)
	}
	if got := summary(s.Contents()); got != "all 0/0" || !errors.Is(s.Writable(), ErrReadOnly) {
		return fmt.Errorf("%s: %s, %w", spoilt, got, s.Writable())
	}
	if err := s.Retry(); !errors.Is(err, ErrReadOnly) {
		return fmt.Errorf("%s: retrying: %w", spoilt, err)
	}
	return nil
}

func makeReadOnlyCases(t testing.TB, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "lesson.db")
	leftBehind(t, path)
	whole := newTeacher(t)
	whole.press(2, 1)
	if err := whole.Close(); err != nil {
		t.Fatal(err)
	}
	copyBeside(t, whole.path, filepath.Join(dir, "whole.db"))
	if err := os.WriteFile(filepath.Join(dir, "spoilt.db"), []byte("no lesson"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// snapshot reads all files of a folder.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}

func TestFolderDenied(t *testing.T) {
	// Not t.TempDir: its parent is closed to other users.
	dir, err := os.MkdirTemp("", "lesson")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.Chmod(dir, 0o700)
		os.RemoveAll(dir)
	})
	path := makeReadOnlyCases(t, dir)
	before := snapshot(t, dir)
	if os.Getuid() == 0 {
		for name := range before {
			if err := os.Chown(filepath.Join(dir, name), 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	runChild(t, "unprivileged", path)
	if d := cmp.Diff(before, snapshot(t, dir)); d != "" {
		t.Error("the files were changed")
	}
}

// mount mounts a small file system, and says why if that is not allowed.
func mount(t testing.TB, size string) (dir string, ok bool) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Logf("NOT TESTED on a file system of its own, which this user may not mount (%v); a bounded process is tested instead", err)
		return "", false
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir, true
}

func TestReadOnlyFileSystem(t *testing.T) {
	dir, ok := mount(t, "8m")
	if !ok {
		return // TestFolderDenied takes the rights away in another way
	}
	path := makeReadOnlyCases(t, dir)
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY)
	if err := readOnlyBehaviour(path); err != nil {
		t.Error(err)
	}

	l := openAt(t, testOptions(path))
	l.want(leftBehindContents)
	absent := openAt(t, testOptions(filepath.Join(dir, "absent")))
	remount(0)
	if err := l.Retry(); err != nil {
		t.Errorf("retrying where the cause is gone: %v", err)
	}
	l.press(1, 1)
	l.want("class 1 1/1, class 2 2/3, all 3/4")
	absent.press(7, 1) // Keep alone opens again
	if err := absent.Writable(); err != nil {
		t.Error(err)
	}
	l.reopen()
	absent.reopen()
}

// fillUp teaches until shut makes the disk full, and goes on after free.
func fillUp(path string, shut, free func() error) error {
	s, err := Open(Options{Path: path, KeepPictures: KeepAlways})
	if err != nil {
		return err
	}
	defer s.Close()
	l := &teacher{Store: s}
	acked := 0
	keep := func(n int) error {
		for range n {
			if _, err := s.Keep(l.next(device.Button(l.n%3), NewPressID())); err != nil {
				return err
			}
			acked++
		}
		return nil
	}
	if err := keep(5); err != nil {
		return err
	}
	if err := shut(); err != nil {
		return err
	}
	if err := keep(10_000); !errors.Is(err, ErrFull) {
		return fmt.Errorf("keeping on a full disk: %w (want ErrFull)", err)
	}
	for range 3 { // it stays full
		if err := keep(1); !errors.Is(err, ErrFull) {
			return fmt.Errorf("keeping on a full disk again: %w (want ErrFull)", err)
		}
	}
	if err := s.Writable(); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "free some space") {
		return fmt.Errorf("writable: %w", err)
	}
	check := func(s *Store, what string) error {
		if got := s.Contents().Frames; got != acked {
			return fmt.Errorf("%s: %d frames (want the %d acknowledged)", what, got, acked)
		}
		f, err := s.Fold(testSpace)
		if err != nil || f.Head == nil {
			return fmt.Errorf("%s: no fold: %w", what, err)
		}
		return nil
	}
	if err := check(s, "in memory"); err != nil {
		return err
	}
	_ = s.Close() // may fail, and then leaves the log
	full, err := Open(testOptions(path))
	if err != nil {
		return fmt.Errorf("opening on a full disk: %w", err)
	}
	defer full.Close()
	if err := check(full, "opened on a full disk"); err != nil {
		return err
	}
	// Closing has moved the log into the file, so there may be room again.
	l.Store = full
	s = full
	if err := keep(10_000); !errors.Is(err, ErrFull) {
		return fmt.Errorf("filling up again: %w (want ErrFull)", err)
	}
	if err := free(); err != nil {
		return err
	}
	if err := s.Retry(); err != nil || s.Writable() != nil {
		return fmt.Errorf("retrying with space: %w, %w", err, s.Writable())
	}
	if err := keep(5); err != nil {
		return fmt.Errorf("keeping with space: %w", err)
	}
	if err := check(s, "at the end"); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	again, err := Open(testOptions(path))
	if err != nil {
		return err
	}
	defer again.Close()
	return check(again, "opened again")
}

func TestDiskFull(t *testing.T) {
	runChild(t, "bounded", filepath.Join(t.TempDir(), "lesson.db"))
	dir, ok := mount(t, "4m")
	if !ok {
		return
	}
	ballast := filepath.Join(dir, "ballast")
	err := fillUp(filepath.Join(dir, "lesson.db"), func() error {
		return os.WriteFile(ballast, make([]byte, 3<<20), 0o600)
	}, func() error {
		return os.Remove(ballast)
	})
	if err != nil {
		t.Error(err)
	}

	// A lesson that cannot even be begun.
	dir, _ = mount(t, "2m")
	ballast = filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	l := openAt(t, testOptions(filepath.Join(dir, "lesson.db")))
	if err := l.Writable(); !errors.Is(err, ErrFull) {
		t.Errorf("a lesson begun on a full disk: %v", err)
	}
	if err := l.Retry(); !errors.Is(err, ErrFull) {
		t.Errorf("retrying on a full disk: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	l.press(0, 1)
	l.reopen()
	l.want("class 1 1/1, all 1/1")
}

// damage opens a file that was spoiled, in both ways, and demands that it is
// left as it is, or set aside as it is.
func damage(t *testing.T, path string, want error, suffix string) {
	t.Helper()
	dir := filepath.Dir(path)
	before := snapshot(t, dir)
	if s, err := Open(testOptions(path)); !errors.Is(err, want) {
		if err == nil {
			s.Close()
		}
		t.Fatalf("Open: %v (want %v)", err, want)
	}
	after := snapshot(t, dir)
	delete(after, "lesson.db.lock")
	delete(before, "lesson.db.lock")
	if d := cmp.Diff(before, after); d != "" {
		t.Fatal("Open has changed the files")
	}
	s, err := OpenService(testOptions(path))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	notice := s.Notice()
	if notice == nil || notice.Aside != path+suffix || !errors.Is(notice.Cause, want) || !strings.Contains(notice.String(), notice.Aside) {
		t.Fatalf("notice %v (want %s)", notice, suffix)
	}
	l := &teacher{TB: t, Store: s}
	l.want("all 0/0")
	l.press(6, 1)
	l.reopen()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	after = snapshot(t, dir)
	for name, b := range before {
		if moved := strings.Replace(name, "lesson.db", "lesson.db"+suffix, 1); after[moved] != b {
			t.Errorf("%s is not as it was under its new name %s", name, moved)
		}
	}
}

func TestDamaged(t *testing.T) {
	change := func(at int, b byte) func([]byte) []byte {
		return func(f []byte) []byte {
			f[at] ^= b
			return f
		}
	}
	pattern := func(old []byte) func([]byte) []byte {
		return func(f []byte) []byte {
			at := strings.Index(string(f), string(old))
			if at < 0 {
				t.Fatal("pattern not found")
			}
			f[at+len(old)/2] ^= 4
			return f
		}
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"garbage":          func(f []byte) []byte { return []byte(strings.Repeat("no lesson ", 1000)) },
		"empty":            func(f []byte) []byte { return nil },
		"cut":              func(f []byte) []byte { return f[:len(f)/2+100] },
		"cut in header":    func(f []byte) []byte { return f[:50] },
		"one page only":    func(f []byte) []byte { return f[:4096] },
		"header":           change(5, 1),
		"page size":        change(16, 0x40),
		"application id":   change(68, 0x10),
		"version 0":        change(63, 2),
		"a page zeroed":    func(f []byte) []byte { clear(f[4*4096 : 5*4096]); return f },
		"bit in embedding": pattern(embedding(0, 1).Q[500:540]),
		"bit in a name":    pattern([]byte("class 1")),
		"another database": func(f []byte) []byte {
			path := filepath.Join(t.TempDir(), "other.db")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			db := open(path, "mode=rw")
			defer db.Close()
			if _, err := db.Exec("CREATE TABLE hens (eggs)"); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newTeacher(t)
			l.press(0, 3)
			l.press(1, 3)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(l.path)
			if err == nil {
				err = os.WriteFile(l.path, spoil(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			damage(t, l.path, ErrDamaged, ".damaged.1")
		})
	}
}

// SQLite reads a file whose header has a format of the future, and refuses to
// write it: the lesson goes on in a new one.
func TestFutureFormat(t *testing.T) {
	l := newTeacher(t)
	l.press(0, 3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	b[18] = 9
	if err := os.WriteFile(l.path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if l.Store, err = OpenService(testOptions(l.path)); err != nil {
		t.Fatal(err)
	}
	if n := l.Notice(); n == nil || !errors.Is(n.Cause, ErrDamaged) || n.Aside != l.path+".damaged.1" || n.Presses != 1 {
		t.Errorf("notice %v", n)
	}
	l.want("class 1 1/3, all 1/3")
	l.press(1, 2)
	l.reopen()
	l.want("class 1 1/3, class 2 1/2, all 2/5")
}

// A file that is cut anywhere is found damaged; with any bit flipped it is
// found damaged or has lost nothing.
func TestCutsAndFlips(t *testing.T) {
	l := newTeacher(t)
	for range 2 {
		l.press(0, 2)
		l.press(device.Nothing, 1)
	}
	want, digest := l.Contents(), l.fold().Digest
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	read := func(file []byte) error {
		if err := os.WriteFile(l.path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, _, err := l.read()
		if err == nil {
			l.contents = c
		}
		return err
	}
	for n := 0; n < len(whole); n += 512 {
		if err := read(whole[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(whole), err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 500 {
		at, bit := r.IntN(len(whole)), uint8(1)<<r.IntN(8)
		spoilt := bytes.Clone(whole)
		spoilt[at] ^= bit
		err := read(spoilt)
		switch {
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrNewer):
			found++
		case err != nil:
			t.Errorf("bit %#x of byte %d: %v", bit, at, err)
		case !cmp.Equal(l.Contents(), want) || l.fold().Digest != digest:
			t.Errorf("bit %#x of byte %d: another lesson, silently", bit, at)
		}
	}
	t.Logf("%d of 500 flips were found; the others hit nothing that counts", found)
}

// A step that has been released is never changed.
func TestSchemas(t *testing.T) {
	db := open("/schema", "mode=memory")
	defer db.Close()
	for i, step := range migrations() {
		if _, err := db.Exec(step); err != nil {
			t.Fatal(err)
		}
		if sum, err := schemaSum(db); err != nil || i >= len(schemas()) || sum != schemas()[i] {
			t.Errorf("version %d: %s, %v (want what schemas has)", i+1, sum, err)
		}
	}
}

// The promises that SQLite keeps only if it is asked to.
func TestSettings(t *testing.T) {
	l := newTeacher(t)
	for pragma, want := range map[string]string{
		"synchronous": "2", "journal_mode": "wal", "locking_mode": "exclusive", "secure_delete": "1", "foreign_keys": "1",
	} {
		var got string
		if err := l.db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v (want %s)", pragma, got, err, want)
		}
	}
}

// Rows that SQLite is content with, but no lesson.
func TestInconsistent(t *testing.T) {
	for name, spoil := range map[string]string{
		"no lesson in hand":      `UPDATE lesson SET kept = 1`,
		"press without examples": `DELETE FROM example`,
		"class of no lesson":     `PRAGMA foreign_keys = OFF; DELETE FROM press; DELETE FROM class; DELETE FROM example; UPDATE operation SET lesson = 77`,
		"embedding of a length":  `UPDATE example SET embedding = x'010203'`,
	} {
		t.Run(name, func(t *testing.T) {
			l := newTeacher(t)
			l.press(0, 1)
			if _, err := l.db.Exec(spoil); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			damage(t, l.path, ErrDamaged, ".damaged.1")
		})
	}
}

func TestNewer(t *testing.T) {
	// Once in the file, once in the log only, as after a pulled plug.
	for name, closed := range map[string]bool{"closed": true, "in the log": false} {
		t.Run(name, func(t *testing.T) {
			l := newTeacher(t)
			l.press(0, 1)
			if _, err := l.db.Exec("PRAGMA user_version = 99"); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "lesson.db")
			if closed {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			copyBeside(t, l.path, path)
			copyBeside(t, l.path+"-wal", path+"-wal")
			if _, err := os.Stat(path + "-wal"); closed == (err == nil) {
				t.Fatalf("log: %v", err)
			}
			damage(t, path, ErrNewer, ".newer.1")
		})
	}
}

func TestSetAsideNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lesson.db")
	for _, taken := range []string{".damaged.1", ".damaged.2-wal"} {
		if err := os.WriteFile(path+taken, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, suffix := range []string{".damaged.3", ".damaged.4"} {
		if err := os.WriteFile(path, []byte(suffix), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenService(testOptions(path))
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if notice := s.Notice(); notice.Aside != path+suffix {
			t.Errorf("set aside as %s (want %s)", notice.Aside, suffix)
		}
	}
	for _, taken := range []string{".damaged.1", ".damaged.2-wal"} {
		if b, err := os.ReadFile(path + taken); err != nil || string(b) != "precious" {
			t.Errorf("%s is now %q, %v", taken, b, err)
		}
	}
}

// The log of a lesson that is gone must not be read into the new one.
func TestLogWithoutFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lesson.db")
	leftBehind(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	l := openAt(t, testOptions(path))
	l.want("all 0/0")
	l.press(0, 1)
	l.reopen()
	if aside, err := os.ReadFile(path + ".damaged.1-wal"); err != nil || !bytes.Equal(aside, log) {
		t.Errorf("the old log: %v", err)
	}
}

// A start that was cut short leaves a half-made file under another name.
func TestBegunBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lesson.db")
	for _, suffix := range []string{".new", ".new-wal", ".new-journal"} {
		if err := os.WriteFile(path+suffix, []byte("half made"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := openAt(t, testOptions(path))
	l.press(0, 1)
	l.reopen()
	if left, err := filepath.Glob(path + ".new*"); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// A file that is gone while the box runs: the box goes on with what it holds,
// begins no new lesson in its place, and recovers when the file is back.
func TestGone(t *testing.T) {
	l := newTeacher(t)
	l.press(0, 2)
	l.reopen() // the log is empty
	l.fault = l.explain("testing", unix.EIO)
	if err := os.Rename(l.path, l.path+".elsewhere"); err != nil {
		t.Fatal(err)
	}
	if err := l.Retry(); !errors.Is(err, ErrIO) {
		t.Errorf("retrying without the file: %v", err)
	}
	if _, err := l.Keep(l.next(0, NewPressID())); !errors.Is(err, ErrIO) {
		t.Errorf("keeping without the file: %v", err)
	}
	l.want("class 1 1/2, all 1/2")
	if f := l.fold(); f.Head == nil {
		t.Error("the box does not predict")
	}
	if err := os.Rename(l.path+".elsewhere", l.path); err != nil {
		t.Fatal(err)
	}
	l.press(0, 1)
	l.reopen()
	l.want("class 1 2/3, all 2/3")
}

// A file that cannot be read: the box runs with an empty lesson, and recovers.
func TestUnreadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lesson.db")
	if err := os.Mkdir(path, 0o700); err != nil { // a folder cannot be read as a file
		t.Fatal(err)
	}
	if s, err := Open(testOptions(path)); err == nil {
		s.Close()
		t.Error("a folder opens as a lesson")
	}
	s, err := OpenService(testOptions(path))
	if err != nil || s.Notice() != nil {
		t.Fatalf("%v, %v", s.Notice(), err)
	}
	l := &teacher{TB: t, Store: s}
	t.Cleanup(func() { l.Close() })
	if err := s.Writable(); !errors.Is(err, ErrIO) && !errors.Is(err, ErrReadOnly) {
		t.Errorf("writable: %v", err)
	}
	l.want("all 0/0")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := s.Retry(); err != nil {
		t.Error(err)
	}
	l.press(0, 1)
	l.reopen()
}

package lesson

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"teachbox/device"
	"teachbox/inference"
)

// A shelf is the files of a folder, by the rest of their names after that of
// the lesson file: "" is the lesson file, "-wal" its log.
type shelf map[string][]byte

// inMemoryDir is a folder that is not on a disk, where the system has such: the
// tests here flush often, and pull no plug but their own.
func inMemoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "teachbox")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func readShelf(t testing.TB, path string) shelf {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	all := shelf{}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), filepath.Base(path))
		if !ok || rest == lockSuffix {
			continue
		}
		if all[rest], err = os.ReadFile(path + rest); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// put makes the folder of path hold these files and no others.
func (f shelf) put(t testing.TB, path string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for rest, b := range f {
		if err := os.WriteFile(path+rest, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// with is the same shelf with one file changed; nil removes it.
func (f shelf) with(rest string, b []byte) shelf {
	f = maps.Clone(f)
	f[rest] = b
	if b == nil {
		delete(f, rest)
	}
	return f
}

// A dump is everything that a lesson file says: the rows of each table, as
// hashes.
type dump map[string][]string

func dumpOf(t testing.TB, s *Store) dump {
	t.Helper()
	d := dump{}
	err := s.view("dumping", func(q querier) error {
		for _, table := range append(tables(len(migrations())), tablePicture) {
			rows, err := q.Query("SELECT * FROM " + table)
			if err != nil {
				return err
			}
			defer rows.Close()
			names, err := rows.Columns()
			if err != nil {
				return err
			}
			values := make([]any, len(names))
			for i := range values {
				values[i] = new(any)
			}
			for rows.Next() {
				if err := rows.Scan(values...); err != nil {
					return err
				}
				h := sha256.New()
				for _, v := range values {
					fmt.Fprintf(h, "%T %[1]q,", *v.(*any))
				}
				d[table] = append(d[table], fmt.Sprintf("%x", h.Sum(nil)))
			}
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d dump) equal(e dump) bool { return maps.EqualFunc(d, e, slices.Equal) }

// without is a dump without one table.
func (d dump) without(table string) dump {
	d = maps.Clone(d)
	delete(d, table)
	return d
}

// A taught is a lesson file as a box leaves it behind.
type taught struct {
	files  shelf
	dump   dump            // of the lesson file
	backup map[string]dump // of its backups
	acked  []dump          // of the file after each operation whose record is in the log, the first one before
	ends   []int           // how long the log was then
}

// noisyPicture is a picture like no other.
func noisyPicture(n int) []byte {
	r := rand.New(rand.NewPCG(3, uint64(n)))
	b := make([]byte, 800+r.IntN(4400))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	copy(b, fmt.Sprintf("\xff\xd8 picture %d ", n))
	return b
}

// teachAll teaches five classes in 60 frames with pictures, puts two lessons
// away, and leaves steps undone. There are two backups, both of earlier times.
// If logged is set, what was done since the last one is in the log only.
func teachAll(t testing.TB, logged bool) *taught {
	t.Helper()
	l := newTeacher(t)
	c := &taught{backup: map[string]dump{}}
	keep := func(b device.Button, frames int) {
		id := NewPressID()
		for range frames {
			k := l.next(b, id)
			k.Picture = noisyPicture(l.n)
			if _, err := l.Keep(k); err != nil {
				t.Fatal(err)
			}
			c.note(t, l.Store)
		}
	}
	edit := func(e Edit) {
		if _, err := l.Edit(AnyRevision, e); err != nil {
			t.Fatal(err)
		}
		c.note(t, l.Store)
	}
	backup := func() {
		if err := l.Backup(); err != nil {
			t.Fatal(err)
		}
		if d, ok := c.backup[".backup.1"]; ok {
			c.backup[".backup.2"] = d
		}
		c.backup[".backup.1"] = dumpOf(t, l.Store)
	}
	for range 2 {
		keep(0, 4)
		keep(2, 2)
		keep(device.Nothing, 2)
		edit(New{})
	}
	for range 3 {
		for b := range device.Button(4) {
			keep(b, 3)
		}
	}
	edit(Rename{1, "cup"})
	edit(TakeBack{2})
	backup()
	keep(device.Nothing, 6)
	edit(Describe{"Monday", "with the lamp"})
	backup()
	if logged {
		l.reopen()
		c.ends, c.acked = []int{0}, []dump{dumpOf(t, l.Store)}
	}
	for b := range device.Button(3) {
		keep(b, 6)
	}
	edit(Forget{3})
	edit(Undo{})
	edit(Undo{})
	if n := l.Contents().Frames; n != 51 && l.count("example") < 76 {
		t.Fatalf("%d frames", n)
	}
	c.dump = dumpOf(t, l.Store)
	if !logged {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.files = readShelf(t, l.path)
	return c
}

// note remembers what the file says now, if it has a log to follow.
func (c *taught) note(t testing.TB, s *Store) {
	if c.ends == nil {
		return
	}
	log, err := os.Stat(s.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	c.ends = append(c.ends, int(log.Size()))
	c.acked = append(c.acked, dumpOf(t, s))
}

// outcome is how a damaged lesson was found.
type outcome string

// open opens files as the service does, and demands that nothing is silently
// wrong and that it can go on.
func (c *taught) open(t testing.TB, path string, files shelf, what string) outcome {
	t.Helper()
	files.put(t, path)
	s, err := OpenService(testOptions(path))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer s.Close()
	if err := s.Writable(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	got, n := dumpOf(t, s), s.Notice()
	result := c.judge(t, s, got, n, files, what)

	l := &teacher{TB: t, Store: s, n: 1000}
	before := s.Contents()
	l.press(6, 1)
	if after := s.Contents(); after.Frames != before.Frames+1 || after.Revision <= before.Revision {
		t.Fatalf("%s: %+v after %+v", what, after, before)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	again, err := Open(testOptions(path))
	if err != nil {
		t.Fatalf("%s: opened again: %v", what, err)
	}
	defer again.Close()
	if n := again.Contents().Frames; n != before.Frames+1 {
		t.Fatalf("%s: opened again: %d frames (want %d)", what, n, before.Frames+1)
	}
	return result
}

func (c *taught) judge(t testing.TB, s *Store, got dump, n *Notice, files shelf, what string) outcome {
	t.Helper()
	if n == nil || n.Cause == nil {
		if !got.equal(c.dump) {
			for table := range c.dump {
				if !slices.Equal(got[table], c.dump[table]) {
					t.Logf("%s: %d rows (want %d)", table, len(got[table]), len(c.dump[table]))
				}
			}
			t.Fatalf("%s: something is different, and nobody is told", what)
		}
		return "whole"
	}
	if !errors.Is(n.Cause, ErrDamaged) && !errors.Is(n.Cause, ErrNewer) || len(n.String()) < 20 {
		t.Fatalf("%s: notice %v", what, n)
	}
	if n.Aside == "" {
		// It goes on with the same file, without what is gone.
		if n.Gone == "" {
			t.Fatalf("%s: notice %v", what, n)
		}
		if got.without(tablePicture).equal(c.dump.without(tablePicture)) {
			for _, row := range got[tablePicture] {
				if !slices.Contains(c.dump[tablePicture], row) {
					t.Fatalf("%s: a picture that is none", what)
				}
			}
			if lost := len(c.dump[tablePicture]) - len(got[tablePicture]); !strings.HasPrefix(n.Gone, fmt.Sprintf("%d of", lost)) {
				t.Fatalf("%s: %d pictures are lost (said: %s)", what, lost, n.Gone)
			}
			return "without some pictures"
		}
		t.Fatalf("%s: it goes on with the same file (%v)", what, n)
	}
	for _, suffix := range besides() {
		aside, err := os.ReadFile(n.Aside + suffix)
		if was := files[suffix]; err == nil && !bytes.Equal(aside, was) || errors.Is(err, fs.ErrNotExist) != (was == nil) {
			t.Fatalf("%s: %s was not set aside as it was: %v (%v)", what, suffix, err, n)
		}
	}
	if n.Presses != s.Contents().Presses {
		t.Fatalf("%s: %v (want %d presses)", what, n, s.Contents().Presses)
	}
	if n.Gone != "" {
		if c.acked == nil && got.equal(c.dump) {
			return "whole, in a new file" // the old one forbids writing
		}
		if !slices.ContainsFunc(c.acked, got.equal) {
			t.Fatalf("%s: it was never as it is now (%v)", what, n)
		}
		return "without the last part of the log"
	}
	if n.Backup == "" {
		if s.Contents().Frames != 0 || s.Contents().Kept != 0 {
			t.Fatalf("%s: %+v after %v", what, s.Contents(), n)
		}
		if errors.Is(n.Cause, ErrNewer) {
			return "newer" // that is what it says
		}
		return "empty"
	}
	rest := strings.TrimPrefix(n.Backup, s.path)
	if !got.equal(c.backup[rest]) {
		t.Fatalf("%s: it is not what the backup %s has", what, rest)
	}
	return outcome(rest)
}

// rounds is how often a test is repeated.
func rounds(n int) int {
	if testing.Short() {
		return (n + 24) / 25
	}
	return n
}

func logOutcomes(t testing.TB, found map[outcome]int) {
	t.Helper()
	for _, o := range slices.Sorted(maps.Keys(found)) {
		t.Logf("%4d × %s", found[o], o)
	}
}

func TestCut(t *testing.T) {
	c := teachAll(t, false)
	path := filepath.Join(inMemoryDir(t), "box", "lesson.db")
	whole := c.files[""]
	found := map[outcome]int{}
	step := 512
	if testing.Short() {
		step *= 50
	}
	for size := 0; size <= len(whole); size += step {
		found[c.open(t, path, c.files.with("", whole[:size]), fmt.Sprintf("cut to %d of %d bytes", size, len(whole)))]++
	}
	logOutcomes(t, found)
	if found["whole"] == 0 && len(whole)%step == 0 || found[".backup.1"] == 0 {
		t.Error("the test sees too little")
	}
}

// spoil changes a file in one of several ways, and says how.
func spoil(r *rand.Rand, b []byte) ([]byte, string) {
	for {
		if spoilt, how := spoilOnce(r, bytes.Clone(b)); !bytes.Equal(spoilt, b) {
			return spoilt, how
		}
	}
}

func spoilOnce(r *rand.Rand, b []byte) ([]byte, string) {
	const page = 4096
	pages := len(b) / page
	at := r.IntN(len(b))
	if r.IntN(4) == 0 {
		at = r.IntN(min(len(b), 2*page)) // where the schema is
	}
	if r.IntN(8) == 0 {
		at = r.IntN(min(len(b), 100)) // in the header
	}
	switch r.IntN(6) {
	case 0:
		b[at] ^= 1 << r.IntN(8)
		return b, fmt.Sprintf("bit of byte %d", at)
	case 1:
		at = at / 512 * 512
		clear(b[at:min(at+512, len(b))])
		return b, fmt.Sprintf("sector at %d zeroed", at)
	case 2:
		n := 1 + r.IntN(100)
		for i := range min(n, len(b)-at) {
			b[at+i] = byte(r.Uint32())
		}
		return b, fmt.Sprintf("%d bytes at %d", n, at)
	case 3:
		if pages < 2 {
			b[at]++
			return b, fmt.Sprintf("byte %d", at)
		}
		from, to := r.IntN(pages)*page, r.IntN(pages)*page
		kept := bytes.Clone(b[from : from+page])
		copy(b[from:from+page], b[to:to+page])
		copy(b[to:], kept)
		return b, fmt.Sprintf("pages at %d and %d swapped", from, to)
	case 4:
		if pages < 2 {
			b[at]--
			return b, fmt.Sprintf("byte %d", at)
		}
		from, to := r.IntN(pages)*page, r.IntN(pages)*page
		copy(b[to:to+page], b[from:from+page])
		return b, fmt.Sprintf("page at %d doubled at %d", from, to)
	}
	for range 20 {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
	return b, "20 bits"
}

func TestCorrupted(t *testing.T) {
	seed := testSeed(t)
	r := rand.New(rand.NewPCG(seed, 5))
	c := teachAll(t, false)
	path := filepath.Join(inMemoryDir(t), "box", "lesson.db")
	found := map[outcome]int{}
	for range rounds(700) {
		b, what := spoil(r, c.files[""])
		found[c.open(t, path, c.files.with("", b), what)]++
	}
	logOutcomes(t, found)
	if found["empty"] > 0 {
		t.Error("a backup was not taken")
	}
	if found[".backup.1"] == 0 || found["without some pictures"] == 0 && !testing.Short() {
		t.Error("the test sees too little")
	}
}

// Any page may come in the place of any other one: that is found, or nothing
// that counts is there.
func TestPagesMisplaced(t *testing.T) {
	l := newTeacher(t)
	l.press(0, 2)
	l.must(Describe{"Monday", "with the lamp"})
	l.must(New{})
	l.press(0, 2)
	l.press(device.Nothing, 1)
	l.must(Rename{0, "cup"})
	l.must(Describe{"Tuesday", "without"})
	l.must(Undo{})
	if err := l.SetLocked(true); err != nil {
		t.Fatal(err)
	}
	want := dumpOf(t, l.Store)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	found, nothing := 0, 0
	for from := 0; from < len(whole); from += page {
		for to := 0; to < len(whole); to += page {
			b := bytes.Clone(whole)
			copy(b[to:to+page], whole[from:])
			if err := os.WriteFile(l.path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			c, _, spoilt, err := (&Store{path: l.path, disk: system{}, service: true}).read()
			switch {
			case spoilt > 0 || errors.Is(err, ErrDamaged):
				found++
			case err != nil:
				t.Errorf("page at %d doubled at %d: %v", from, to, err)
			case !dumpOf(t, &Store{path: l.path, disk: system{}, contents: c}).equal(want):
				t.Errorf("page at %d doubled at %d: something is different, and nobody is told", from, to)
			default:
				nothing++
			}
		}
	}
	t.Logf("%d of %d were found; the others hit nothing that counts", found, found+nothing)
}

// What was done last is in the log only. Damage to the last record cannot be
// told from one that a pulled plug cut short, which was never acknowledged; nor
// can that to the very end of the one before. SQLite then goes back by those,
// and nobody is told.
func TestCorruptedLog(t *testing.T) {
	seed := testSeed(t)
	r := rand.New(rand.NewPCG(seed, 6))
	c := teachAll(t, true)
	path := filepath.Join(inMemoryDir(t), "box", "lesson.db")
	last := len(c.ends) - 3
	found := map[outcome]int{}
	for range rounds(300) {
		b, what := spoil(r, c.files["-wal"])
		what = "log: " + what
		judged := *c
		if firstDifference(b, c.files["-wal"]) >= c.ends[last] {
			c.files.with("-wal", b).put(t, path)
			s, err := OpenService(testOptions(path))
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got := dumpOf(t, s); s.Notice() == nil && slices.ContainsFunc(c.acked[last:], got.equal) {
				judged.dump = got
			}
			s.Close()
		}
		o := judged.open(t, path, c.files.with("-wal", b), what)
		if !judged.dump.equal(c.dump) {
			o = "without the last record or two"
		}
		found[o]++
	}
	for size := 0; size < len(c.files["-wal"]); size += 512 * (1 + r.IntN(2*len(c.files["-wal"])/512/rounds(300))) {
		// A log that ends early is one that a pulled plug left.
		c.files.with("-wal", c.files["-wal"][:size]).put(t, path)
		s, err := OpenService(testOptions(path))
		if err != nil {
			t.Fatalf("log cut to %d: %v", size, err)
		}
		at, ok := slices.BinarySearch(c.ends, size)
		if !ok {
			at--
		}
		if !dumpOf(t, s).equal(c.acked[at]) || s.Notice() != nil {
			t.Fatalf("log cut to %d: it is not as operation %d left it (%v)", size, at, s.Notice())
		}
		s.Close()
	}
	logOutcomes(t, found)
	if found["without the last part of the log"] == 0 {
		t.Error("the test sees too little")
	}
}

// What a log says of itself is not to be trusted. Cutting one is no damage.
func FuzzBrokenLog(f *testing.F) {
	l := newTeacher(f)
	l.press(0, 2)
	log, err := os.ReadFile(l.path + "-wal")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(log, uint(len(log)))
	f.Add(log, uint(len(log)/2))
	f.Add(log[:logHeader], uint(3))
	f.Add([]byte{}, uint(0))
	f.Fuzz(func(t *testing.T, b []byte, size uint) {
		broken, err := brokenLog(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		short, err := brokenLog(bytes.NewReader(b[:min(size, uint(len(b)))]))
		if err != nil {
			t.Fatal(err)
		}
		if short && !broken {
			t.Error("it is broken when it ends early, and well if not")
		}
	})
}

func TestLogChecked(t *testing.T) {
	l := newTeacher(t)
	l.press(0, 6)
	log, err := os.ReadFile(l.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	broken := func(log []byte) bool {
		t.Helper()
		b, err := brokenLog(bytes.NewReader(log))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for size := 0; size <= len(log); size += 100 {
		if broken(log[:size]) {
			t.Fatalf("%d of %d bytes: it is only cut", size, len(log))
		}
	}
	for at := 0; at < len(log)/2; at += 1 + at/50 {
		b := bytes.Clone(log)
		b[at] ^= 4
		if !broken(b) {
			t.Errorf("byte %d of %d is not missed", at, len(log))
		}
	}
	// Frames of an earlier time are behind those of a log that was begun again.
	if _, err := l.db.Exec("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
		t.Fatal(err)
	}
	l.press(1, 1)
	again, err := os.ReadFile(l.path + "-wal")
	if err != nil || len(again) != len(log) || bytes.Equal(again, log) {
		t.Fatalf("the log was not begun again: %v", err)
	}
	if broken(again) {
		t.Error("frames of an earlier time are taken for damage")
	}
	again[100]++ // in the only transaction
	if broken(again) {
		t.Error("the last transaction cannot be judged")
	}
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

func TestDamagedBackups(t *testing.T) {
	c := teachAll(t, false)
	path := filepath.Join(inMemoryDir(t), "box", "lesson.db")
	bad := []byte(strings.Repeat("no lesson", 1000))
	half := c.files[""][:len(c.files[""])/2]
	torn, _ := spoil(rand.New(rand.NewPCG(1, 1)), c.files[".backup.1"])
	base := c.files.with("", half)
	for _, tt := range []struct {
		name  string
		files shelf
		want  outcome
	}{
		{"both good", base, ".backup.1"},
		{"no newest", base.with(".backup.1", nil), ".backup.2"},
		{"newest is garbage", base.with(".backup.1", bad), ".backup.2"},
		{"newest is empty", base.with(".backup.1", []byte{}), ".backup.2"},
		{"newest is cut", base.with(".backup.1", torn[:len(torn)-4096]), ".backup.2"},
		{"older is garbage", base.with(".backup.2", bad), ".backup.1"},
		{"both garbage", base.with(".backup.1", bad).with(".backup.2", bad), "empty"},
		{"none", base.with(".backup.1", nil).with(".backup.2", nil), "empty"},
		{"one being written", base.with(".backup.new", bad), ".backup.1"},
		{"file is empty", c.files.with("", []byte{}), ".backup.1"},
	} {
		if got := c.open(t, path, tt.files, tt.name); got != tt.want {
			t.Errorf("%s: %s (want %s)", tt.name, got, tt.want)
		}
	}
}

// A damaged file is found while the box runs: what was acknowledged is in
// memory, and goes into the new file.
func TestDamagedWhileRunning(t *testing.T) {
	seed := testSeed(t)
	r := rand.New(rand.NewPCG(seed, 7))
	found := map[outcome]int{}
	for range rounds(60) {
		found[damageRunning(t, r)]++
	}
	logOutcomes(t, found)
	if found["rescued"] == 0 && !testing.Short() {
		t.Error("the test sees too little")
	}
}

func damageRunning(t *testing.T, r *rand.Rand) outcome {
	path := filepath.Join(inMemoryDir(t), "lesson.db")
	s, err := OpenService(testOptions(path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	acked := map[string]device.Button{} // by embedding
	n := 0
	keep := func(s *Store) error {
		n++
		b := device.Button(n / 4 % 5)
		k := Keep{Button: b, Press: NewPressID(), Embedding: embedding(int(b), n), Picture: noisyPicture(n)}
		if _, err := s.Keep(k); err != nil {
			return err
		}
		acked[string(k.Embedding.Q)] = b
		return nil
	}
	check := func(s *Store, when string) {
		t.Helper()
		found := 0
		for _, k := range s.contents.classes {
			for _, p := range k.presses {
				for _, e := range p.frames {
					if b, ok := acked[string(e.q)]; !ok || b != k.button {
						t.Fatalf("%s: a frame of %v that nobody taught", when, k.button)
					}
					found++
				}
			}
		}
		if found != len(acked) {
			t.Fatalf("%s: %d of %d acknowledged frames are there (%v)", when, found, len(acked), s.Notice())
		}
	}
	for range 30 {
		if err := keep(s); err != nil {
			t.Fatal(err)
		}
	}
	if r.IntN(2) == 0 {
		if err := s.Backup(); err != nil {
			t.Fatal(err)
		}
	}
	// The pages are to be read from the disk again.
	for _, pragma := range []string{"cache_size = 4", "wal_autocheckpoint = 20", "wal_checkpoint(PASSIVE)"} {
		if _, err := s.db.Exec("PRAGMA " + pragma); err != nil {
			t.Fatal(err)
		}
	}
	for range r.IntN(20) {
		if err := keep(s); err != nil {
			t.Fatal(err)
		}
	}
	which := path
	if r.IntN(3) == 0 {
		which += "-wal"
	}
	b, err := os.ReadFile(which)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := b
	for range 1 + r.IntN(4) {
		spoilt, _ = spoil(r, spoilt)
	}
	// In place: the file stays the same one.
	f, err := os.OpenFile(which, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(spoilt, 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for i := range 50 {
		if err := keep(s); err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		check(s, "after a frame")
		if i%10 == 9 {
			if err := s.Backup(); err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
		}
		if s.Notice() != nil {
			break
		}
	}
	how := outcome("not noticed")
	if n := s.Notice(); n != nil {
		how = "rescued"
		if !n.Rescued {
			how = "without pictures"
		}
		if err := keep(s); err != nil {
			t.Fatal(err)
		}
	}
	check(s, "at the end")
	s.Close()
	again, err := OpenService(testOptions(path))
	if err != nil {
		t.Fatal(err)
	}
	s = again
	check(s, "opened again")
	if how == "not noticed" && s.Notice() != nil {
		how = "noticed at the next start"
	}
	return how
}

// A plug is a disk from which the power goes after so many changes.
type plug struct {
	system
	left *int
	lost error // what every operation gives then
}

func newPlug(left int, lost error) plug { return plug{left: &left, lost: lost} }

func (p plug) step() error {
	if *p.left <= 0 {
		return p.lost
	}
	*p.left--
	return nil
}

type pluggedFile struct {
	file
	plug plug
}

func (p plug) OpenFile(path string, flag int, perm fs.FileMode) (file, error) {
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	f, err := p.system.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return pluggedFile{f, p}, nil
}

func (f pluggedFile) Write(b []byte) (int, error) {
	if err := f.plug.step(); err != nil {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, err
	}
	return f.file.Write(b)
}

func (f pluggedFile) Sync() error {
	if err := f.plug.step(); err != nil {
		return err
	}
	return f.file.Sync()
}

func (p plug) Rename(from, to string) error {
	if err := p.step(); err != nil {
		return err
	}
	return p.system.Rename(from, to)
}

func (p plug) Remove(path string) error {
	if err := p.step(); err != nil {
		return err
	}
	return p.system.Remove(path)
}

func (p plug) SyncDir(path string) error {
	if err := p.step(); err != nil {
		return err
	}
	return p.system.SyncDir(path)
}

// powerOff lets go of a store without closing it properly.
func powerOff(s *Store) {
	if s.db != nil {
		s.db.Close()
		s.db = nil
	}
	s.unlock()
}

// The power goes at every step of setting a file aside and taking the backup:
// the next start takes it all the same.
func TestPulledWhileTakingTheBackup(t *testing.T) {
	c := teachAll(t, true)
	path := filepath.Join(inMemoryDir(t), "box", "lesson.db")
	header := bytes.Clone(c.files[""])
	clear(header[:64])
	spoilt := c.files.with("", header).with("-wal", c.files["-wal"][:100])
	for left := 0; ; left++ {
		spoilt.put(t, path)
		o := testOptions(path)
		p := newPlug(left, syscall.EIO)
		o.disk = p
		s, err := OpenService(o)
		if err != nil {
			t.Fatal(err)
		}
		done := s.Writable() == nil
		powerOff(s)

		s, err = OpenService(testOptions(path))
		if err != nil {
			t.Fatal(err)
		}
		if got := dumpOf(t, s); !got.equal(c.backup[".backup.1"]) || s.Writable() != nil || s.Notice() == nil {
			t.Errorf("pulled after %d changes: %s, %v, %v (want the backup)", left, summary(s.Contents()), s.Writable(), s.Notice())
		}
		s.Close()
		if done {
			break
		}
	}
}

// A disk that is full while a damaged file is set aside loses nothing of what
// is in memory, and the box recovers by itself.
func TestFullWhileRescuing(t *testing.T) {
	for left := 0; ; left++ {
		path := filepath.Join(inMemoryDir(t), "lesson.db")
		o := testOptions(path)
		p := newPlug(1<<30, syscall.ENOSPC)
		o.disk = p
		s, err := OpenService(o)
		if err != nil {
			t.Fatal(err)
		}
		l := &teacher{TB: t, Store: s}
		l.press(0, 3)
		l.press(1, 2)
		if err := s.Backup(); err != nil {
			t.Fatal(err)
		}
		l.press(1, 2)
		want := summary(s.Contents())
		if _, err := s.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteAt(make([]byte, 64), 0)
		f.Close()
		s.fault = s.explain("test", &finding{ErrDamaged, "found"})
		*p.left = left
		err = s.Retry()
		done := err == nil
		l.want(want)
		*p.left = 1 << 30
		if err := s.Retry(); err != nil {
			t.Fatalf("after %d changes: retrying on a disk with room: %v", left, err)
		}
		l.want(want)
		l.reopen()
		if done {
			break
		}
	}
}

// A pattern that is searched for in every byte.
func pattern(name string) []byte {
	h := sha256.Sum256([]byte(name))
	return h[:]
}

// where lists the files that have one of the patterns.
func (f shelf) where(patterns ...[]byte) []string {
	var found []string
	for rest, b := range f {
		if slices.ContainsFunc(patterns, func(p []byte) bool { return bytes.Contains(b, p) }) {
			found = append(found, rest)
		}
	}
	slices.Sort(found)
	return found
}

// everywhere leaves what is to be erased in every file that there can be.
func everywhere(t *testing.T) (files shelf, embedding, jpeg []byte) {
	t.Helper()
	embedding, jpeg = pattern("embedding"), pattern("picture")
	o := testOptions(filepath.Join(t.TempDir(), "lesson.db"))
	o.KeepPictures = KeepAlways
	l := openAt(t, o)
	keep := func(b device.Button) string {
		t.Helper()
		k := l.next(b, NewPressID())
		copy(k.Embedding.Q[500:], embedding)
		k.Picture = slices.Concat(noisyPicture(l.n), jpeg, noisyPicture(l.n))
		if _, err := l.Keep(k); err != nil {
			t.Fatal(err)
		}
		return k.Press
	}
	edit := func(e Edit) {
		t.Helper()
		if _, err := l.Edit(AnyRevision, e); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		keep(0)
		keep(1)
		edit(New{})
	}
	if err := l.Backup(); err != nil {
		t.Fatal(err)
	}
	keep(2)
	edit(Drop{keep(2)})
	edit(Undo{})
	edit(TakeBack{2})
	if err := l.Backup(); err != nil {
		t.Fatal(err)
	}
	keep(3)
	if err := l.Recompute([]Recomputed{{Example: 1, Embedding: inference.Embedding{
		Q: append(slices.Clone(embedding), 1), Space: inference.Space{Model: "other"},
	}}}); err != nil {
		t.Fatal(err)
	}
	files = readShelf(t, l.path)
	whole := files[".backup.1"]
	for _, rest := range []string{
		".new", ".new-wal", ".backup.new", ".backup.new-wal", ".version-1", ".damaged.1", ".damaged.1-wal", ".damaged.2.seen",
		".newer.1", ".newer.1-wal", ".newer.7.seen", ".load", ".load-wal", ".load.older", "-shm", "-journal",
	} {
		files[rest] = whole
	}
	return files, embedding, jpeg
}

func TestEraseSearched(t *testing.T) {
	files, embedding, jpeg := everywhere(t)
	path := filepath.Join(inMemoryDir(t), "box", "lesson.db")
	put := files.with("-journal", nil).with("-shm", nil) // SQLite would take them for its own
	put.put(t, path)
	for _, p := range [][]byte{embedding, jpeg} {
		if found := put.where(p); len(found) != len(put) {
			t.Fatalf("only %v have what is to be erased", found)
		}
	}
	l := openAt(t, testOptions(path))
	press, _ := l.press(4, 2)
	k := l.next(5, NewPressID())
	copy(k.Embedding.Q, embedding)
	k.Picture = jpeg
	if _, err := l.Keep(k); err != nil {
		t.Fatal(err)
	}
	before := l.Contents()
	if _, err := l.Edit(before.Revision-1, Erase{}); !errors.Is(err, ErrConflict) {
		t.Errorf("erasing something else: %v", err)
	}
	got, err := l.Edit(before.Revision, Erase{})
	if err != nil {
		t.Fatal(err)
	}
	l.want("all 0/0")
	if c := got.Contents; c.Kept != 0 || c.Undo != 0 || c.Redo != 0 || c.Lesson == before.Lesson || c.Revision <= before.Revision {
		t.Errorf("after erasing: %+v", c)
	}
	after := readShelf(t, path)
	if found := after.where(embedding, jpeg, []byte(press), []byte("\xff\xd8 picture"), []byte("picture 1.")); found != nil {
		t.Errorf("%v still have what was erased", found)
	}
	for rest := range after {
		if rest != "" && rest != "-wal" {
			t.Errorf("%s is still there", rest)
		}
	}
	l.press(0, 1)
	l.reopen()
	l.want("class 1 1/1, all 1/1")
}

// What was taken out of the lesson for good is not in the file either, nor in
// its log.
func TestNewErases(t *testing.T) {
	l := newTeacher(t)
	jpeg, embedding := pattern("picture"), pattern("embedding")
	k := l.next(0, NewPressID())
	k.Picture = slices.Repeat(jpeg, 300)
	copy(k.Embedding.Q, embedding)
	for i, forget := range []func(){
		func() {}, // kept, but not its pictures
		func() {
			if _, err := l.Edit(AnyRevision, TakeBack{0}); err != nil { // not kept
				t.Fatal(err)
			}
		},
	} {
		k.Press = NewPressID()
		if _, err := l.Keep(k); err != nil {
			t.Fatal(err)
		}
		if found := readShelf(t, l.path).where(jpeg); found == nil {
			t.Fatal("there is nothing to erase")
		}
		forget()
		if _, err := l.Edit(AnyRevision, New{}); err != nil {
			t.Fatal(err)
		}
		if found := readShelf(t, l.path).where(jpeg); found != nil {
			t.Errorf("%d: %v still have the picture", i, found)
		}
	}
	if n := bytes.Count(readShelf(t, l.path)[""], embedding); n != 1 {
		t.Errorf("the embedding is there %d times (want once: in the kept lesson)", n)
	}
}

// The power goes at every step of erasing: the next start ends it.
func TestPulledWhileErasing(t *testing.T) {
	files, embedding, jpeg := everywhere(t)
	files = files.with("-journal", nil).with("-shm", nil)
	path := filepath.Join(inMemoryDir(t), "box", "lesson.db")
	erased := func(what string) {
		t.Helper()
		for _, open := range []func(Options) (*Store, error){OpenService, Open} {
			s, err := open(testOptions(path))
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			c := s.Contents()
			s.Close()
			if c.Frames != 0 || c.Kept != 0 || c.Revision == 0 {
				t.Fatalf("%s: %+v", what, c)
			}
			after := readShelf(t, path)
			if found := after.where(embedding, jpeg); found != nil || len(after) != 1 {
				t.Fatalf("%s: %v are left, %v with what was erased", what, slices.Sorted(maps.Keys(after)), found)
			}
		}
	}
	step := 1
	if testing.Short() {
		step = 7
	}
	for left := 0; ; left += step {
		files.put(t, path)
		o := testOptions(path)
		p := newPlug(1<<30, syscall.EIO)
		o.disk = p
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		*p.left = left
		_, err = s.Edit(AnyRevision, Erase{})
		powerOff(s)
		if _, marked := readShelf(t, path)[erasingSuffix]; marked || err == nil {
			erased(fmt.Sprintf("pulled after %d changes", left))
		} else if left > 3 && len(readShelf(t, path)) > 1 {
			t.Fatalf("pulled after %d changes: the mark is gone before all was erased", left)
		}
		if err == nil {
			t.Logf("pulled at %d places", left)
			break
		}
	}
	// Any of the files may be there, or half erased.
	r := rand.New(rand.NewPCG(1, 8))
	for range rounds(100) {
		some := shelf{erasingSuffix: nil}
		some[erasingSuffix] = []byte{}
		for rest, b := range files {
			switch r.IntN(3) {
			case 0:
				some[rest] = b
			case 1:
				b = bytes.Clone(b)
				clear(b[:r.IntN(len(b))])
				some[rest] = b
			}
		}
		some.put(t, path)
		erased(fmt.Sprintf("%v were left", slices.Sorted(maps.Keys(some))))
	}
}

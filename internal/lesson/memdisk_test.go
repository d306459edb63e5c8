package lesson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/psanford/sqlite3vfs"
)

// A diskOp is what can be asked of a disk.
type diskOp uint8

const (
	opLook   diskOp = iota // that something is there, how large, who may use it
	opRead                 // bytes
	opWrite                // bytes
	opCut                  // to a size
	opSync                 // a file or a folder
	opLink                 // a name is given: creating, renaming
	opUnlink               // a name is taken
)

func (o diskOp) String() string {
	return [...]string{"look", "read", "write", "cut", "sync", "link", "unlink"}[o]
}

// changes reports whether the operation leaves something on the disk.
func (o diskOp) changes() bool { return o >= opWrite }

// A diskFault befalls one operation, or every one from then on.
type diskFault struct {
	name  string
	ops   []diskOp // that it can befall
	errno syscall.Errno
	short bool // half of what is written gets there
	stays bool
}

// sectorSize is what a disk writes whole or not at all, and pageSize what the
// system reads and writes of a file, in bytes.
const (
	sectorSize = 512
	pageSize   = 4096
)

// A memDisk is a disk in memory. It knows what is written and what is durable:
// the bytes of a file after its sync, names after that of their folder. Like
// Linux, it forgets what a failed sync should have written: reading shows it,
// and no later sync makes it durable. Paths begin with the name of the disk, by
// which SQLite finds it.
type memDisk struct {
	name string
	rand *rand.Rand

	mu      sync.Mutex
	live    map[string]*inode // by path on this disk
	durable map[string]*inode
	names   []nameChange // not durable yet
	locked  map[string]bool
	open    int // files

	fault diskFault
	at    int    // the operation that it befalls, of those it can; 0: none
	met   int    // operations of that kind
	hit   diskOp // the operation that it befell, if met >= at

	// before is called before each operation that changes the disk.
	before func(diskOp)
}

// An inode is a file or a folder.
type inode struct {
	folder  bool
	data    []byte // as it is read
	durable []byte
	pending []diskWrite
	lost    map[int64]bool // pages that a failed sync did not write
	locks   map[*sqlFile]sqlite3vfs.LockType
}

// A diskWrite is one that is not durable yet. Without data it cuts the file.
type diskWrite struct {
	at   int64
	data []byte
}

// A nameChange gives a name to a file, or takes it. A renamed file has both.
type nameChange struct {
	from, to string
	file     *inode
}

var (
	diskNumber atomic.Int64
	disks      sync.Map // by name
)

func newMemDisk(seed uint64) *memDisk {
	d := &memDisk{
		name: fmt.Sprintf("/disk%d", diskNumber.Add(1)),
		rand: rand.New(rand.NewPCG(seed, 0)),
		live: make(map[string]*inode), durable: make(map[string]*inode), locked: make(map[string]bool),
	}
	root := &inode{folder: true}
	d.live["/"], d.durable["/"] = root, root
	disks.Store(d.name, d)
	return d
}

// forget lets the disk go. Nothing may be open on it.
func (d *memDisk) forget() { disks.Delete(d.name) }

// path is what the store calls a file on this disk.
func (d *memDisk) path(p string) string { return d.name + p }

// local is the path of a file as the disk knows it.
func (d *memDisk) local(p string) string {
	p = strings.TrimPrefix(p, d.name)
	if p == "" {
		return "/"
	}
	return p
}

// clone copies a disk as it is, without faults and open files.
func (d *memDisk) clone(seed uint64) *memDisk {
	c := newMemDisk(seed)
	inodes := make(map[*inode]*inode)
	of := func(i *inode) *inode {
		if i == nil {
			return nil
		}
		if inodes[i] == nil {
			n := &inode{folder: i.folder, data: slices.Clone(i.data), durable: slices.Clone(i.durable)}
			n.pending = slices.Clone(i.pending) // the bytes of a write do not change
			for page := range i.lost {
				n.lose(page)
			}
			inodes[i] = n
		}
		return inodes[i]
	}
	for p, i := range d.live {
		c.live[p] = of(i)
	}
	clear(c.durable)
	for p, i := range d.durable {
		c.durable[p] = of(i)
	}
	for _, n := range d.names {
		n.file = of(n.file)
		c.names = append(c.names, n)
	}
	return c
}

// How much of what is not durable is on the disk after the plug was pulled.
type luck uint8

const (
	sparesNothing luck = iota
	sparesAll
	sparesSome
	lucks
)

func (l luck) String() string { return [...]string{"nothing", "all", "some"}[l] }

func (d *memDisk) spared(l luck) bool {
	return l == sparesAll || l == sparesSome && d.rand.IntN(2) == 0
}

// pulled returns the disk as it is when the plug was pulled now and the box
// starts again. What was written without a sync may be there or not, each
// sector and each name for itself.
func (d *memDisk) pulled(l luck) *memDisk {
	c := d.clone(d.rand.Uint64())
	for _, n := range c.names {
		if c.spared(l) {
			n.apply(c.durable)
		}
	}
	c.names, c.live = nil, make(map[string]*inode)
	for p, i := range c.durable {
		c.live[p] = i
	}
	for _, i := range c.durable {
		i.settle(func() bool { return c.spared(l) })
		i.data, i.lost = slices.Clone(i.durable), nil
	}
	return c
}

// settle ends what is pending: a sector that is spared becomes durable, another
// does not.
func (i *inode) settle(spared func() bool) {
	for _, w := range i.pending {
		if w.data == nil {
			if spared() {
				i.durable = resized(i.durable, w.at)
			}
			continue
		}
		for at, data := w.at, w.data; len(data) > 0; {
			n := min(sectorSize-at%sectorSize, int64(len(data)))
			if spared() {
				i.durable = patched(i.durable, at, data[:n])
			}
			at, data = at+n, data[n:]
		}
	}
	i.pending = nil
}

func resized(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

func patched(b []byte, at int64, data []byte) []byte {
	if end := at + int64(len(data)); end > int64(len(b)) {
		b = resized(b, end)
	}
	copy(b[at:], data)
	return b
}

func (n nameChange) apply(names map[string]*inode) {
	if n.from != "" && names[n.from] == n.file {
		delete(names, n.from)
	}
	if n.to != "" {
		names[n.to] = n.file
	}
}

// arm makes a fault befall the n-th operation that it can, from now on.
func (d *memDisk) arm(f diskFault, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.at, d.met = f, n, 0
}

// lift ends the fault. It returns whether it befell an operation, and which.
func (d *memDisk) lift() (diskOp, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	befell := d.at > 0 && d.met >= d.at
	d.at = 0
	return d.hit, befell
}

// ask is called with the lock held before every operation. An error is the
// fault.
func (d *memDisk) ask(o diskOp) error {
	if d.before != nil && o.changes() {
		d.before(o)
	}
	if d.at == 0 || !slices.Contains(d.fault.ops, o) {
		return nil
	}
	d.met++
	if d.met == d.at {
		d.hit = o
	}
	if d.met == d.at || d.fault.stays && d.met > d.at {
		return d.fault.errno
	}
	return nil
}

// openFiles counts the files that are open.
func (d *memDisk) openFiles() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

// holds names the files that a pattern is in, as they are read.
func (d *memDisk) holds(pattern []byte) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []string
	for p, i := range d.live {
		if bytes.Contains(i.data, pattern) {
			found = append(found, p)
		}
	}
	return found
}

// has reports whether there is a file.
func (d *memDisk) has(p string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.live[p] != nil
}

// put makes a file durably.
func (d *memDisk) put(p string, data []byte) {
	i := &inode{data: data, durable: slices.Clone(data)}
	d.live[p], d.durable[p] = i, i
}

func (d *memDisk) rename(n nameChange) {
	n.apply(d.live)
	d.names = append(d.names, n)
}

// create makes an empty file or folder.
func (d *memDisk) create(p string, folder bool) (*inode, error) {
	if parent := d.live[path.Dir(p)]; parent == nil || !parent.folder {
		return nil, syscall.ENOENT
	}
	if err := d.ask(opLink); err != nil {
		return nil, err
	}
	i := &inode{folder: folder}
	d.rename(nameChange{to: p, file: i})
	return i, nil
}

func (d *memDisk) remove(p string) error {
	i := d.live[p]
	if i == nil {
		return syscall.ENOENT
	}
	if err := d.ask(opUnlink); err != nil {
		return err
	}
	d.rename(nameChange{from: p, file: i})
	return nil
}

func (d *memDisk) syncFolder(p string) error {
	if err := d.ask(opSync); err != nil {
		return err
	}
	d.names = slices.DeleteFunc(d.names, func(n nameChange) bool {
		in := path.Dir(n.from) == p && n.from != "" || path.Dir(n.to) == p && n.to != ""
		if in {
			n.apply(d.durable)
		}
		return in
	})
	return nil
}

func (d *memDisk) read(i *inode, b []byte, at int64) (int, error) {
	if err := d.ask(opRead); err != nil {
		return 0, err
	}
	if at >= int64(len(i.data)) {
		return 0, io.EOF
	}
	n := copy(b, i.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (d *memDisk) write(i *inode, b []byte, at int64) (int, error) {
	err := d.ask(opWrite)
	if err != nil && d.fault.short {
		b = b[:len(b)/2]
	} else if err != nil {
		return 0, err
	}
	i.write(b, at)
	return len(b), err
}

func (i *inode) write(b []byte, at int64) {
	i.data = patched(i.data, at, b)
	end := at + int64(len(b))
	// What is written next to something lost takes it along.
	for page := at / pageSize; page <= (end-1)/pageSize; page++ {
		if i.lost[page] {
			delete(i.lost, page)
			at, end = min(at, page*pageSize), max(end, min((page+1)*pageSize, int64(len(i.data))))
		}
	}
	i.pending = append(i.pending, diskWrite{at, slices.Clone(i.data[at:end])})
}

func (d *memDisk) cut(i *inode, size int64) error {
	if err := d.ask(opCut); err != nil {
		return err
	}
	i.data = resized(i.data, size)
	i.pending = append(i.pending, diskWrite{at: size})
	return nil
}

func (d *memDisk) sync(i *inode) error {
	err := d.ask(opSync)
	if err != nil {
		for _, w := range i.pending {
			for page := w.at / pageSize; page <= (w.at+int64(len(w.data))-1)/pageSize; page++ {
				i.lose(page)
			}
		}
	}
	i.settle(func() bool { return err == nil || d.spared(sparesSome) })
	return err
}

func (i *inode) lose(page int64) {
	if i.lost == nil {
		i.lost = make(map[int64]bool)
	}
	i.lost[page] = true
}

// The rest is a memDisk as the store sees it.

func (d *memDisk) VFS() (locking, lockless string) { return memVFS(), memVFS() + "-none" }

func (d *memDisk) OpenFile(p string, flag int, _ fs.FileMode) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fail := func(err error) (file, error) { return nil, &fs.PathError{Op: "open", Path: p, Err: err} }
	i := d.live[d.local(p)]
	switch {
	case i != nil && flag&os.O_EXCL != 0:
		return fail(syscall.EEXIST)
	case i != nil || flag&os.O_CREATE == 0:
		if err := d.ask(opLook); err != nil {
			return fail(err)
		}
		if i == nil {
			return fail(syscall.ENOENT)
		}
	default:
		var err error
		if i, err = d.create(d.local(p), false); err != nil {
			return fail(err)
		}
	}
	if flag&os.O_TRUNC != 0 && len(i.data) > 0 {
		if err := d.cut(i, 0); err != nil {
			return fail(err)
		}
	}
	d.open++
	return &memFile{disk: d, inode: i, path: p}, nil
}

func (d *memDisk) Stat(p string) (fs.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.ask(opLook)
	i := d.live[d.local(p)]
	if err == nil && i == nil {
		err = syscall.ENOENT
	}
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: p, Err: err}
	}
	return diskInfo{i, path.Base(p), int64(len(i.data))}, nil
}

func (d *memDisk) Lstat(p string) (fs.FileInfo, error) { return d.Stat(p) }

func (d *memDisk) SameFile(a, b fs.FileInfo) bool { return a.(diskInfo).inode == b.(diskInfo).inode }

func (d *memDisk) ReadDir(p string) ([]fs.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.ask(opLook); err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: p, Err: err}
	}
	var all []fs.DirEntry
	for q, i := range d.live {
		if path.Dir(q) == d.local(p) && q != "/" {
			all = append(all, fs.FileInfoToDirEntry(diskInfo{i, path.Base(q), int64(len(i.data))}))
		}
	}
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return all, nil
}

func (d *memDisk) Mkdir(p string, _ fs.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := error(syscall.EEXIST)
	if d.live[d.local(p)] == nil {
		_, err = d.create(d.local(p), true)
	}
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: p, Err: err}
	}
	return nil
}

func (d *memDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.live[d.local(from)]
	err := error(syscall.ENOENT)
	if i != nil {
		err = d.ask(opLink)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	d.rename(nameChange{d.local(from), d.local(to), i})
	return nil
}

func (d *memDisk) Remove(p string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.remove(d.local(p)); err != nil {
		return &fs.PathError{Op: "remove", Path: p, Err: err}
	}
	return nil
}

func (d *memDisk) SyncDir(p string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.syncFolder(d.local(p)); err != nil {
		return &fs.PathError{Op: "sync", Path: p, Err: err}
	}
	return nil
}

func (d *memDisk) Lock(p string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p = d.local(p)
	if d.live[p] == nil {
		if _, err := d.create(p, false); err != nil {
			return nil, &fs.PathError{Op: "open", Path: p, Err: err}
		}
	}
	if d.locked[p] {
		return nil, &finding{ErrInUse, "locked"}
	}
	d.locked[p] = true
	d.open++
	return unlocker(func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.locked[p] = false
		d.open--
		return nil
	}), nil
}

type unlocker func() error

func (u unlocker) Close() error { return u() }

func (d *memDisk) Writable(p string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ask(opLook)
}

func (d *memDisk) Free(p string) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at > 0 && d.met >= d.at && d.fault.stays && d.fault.errno == syscall.ENOSPC {
		return 0, nil
	}
	return 1 << 30, d.ask(opLook)
}

// diskInfo is what Stat tells.
type diskInfo struct {
	inode *inode
	name  string
	size  int64
}

func (i diskInfo) Name() string       { return i.name }
func (i diskInfo) Size() int64        { return i.size }
func (i diskInfo) ModTime() time.Time { return time.Time{} }
func (i diskInfo) IsDir() bool        { return i.inode.folder }
func (i diskInfo) Sys() any           { return nil }
func (i diskInfo) Mode() fs.FileMode {
	if i.inode.folder {
		return fs.ModeDir | 0o700
	}
	return 0o600
}

// A memFile is one that the store opened.
type memFile struct {
	disk  *memDisk
	inode *inode
	path  string
	at    int64
}

func (f *memFile) fail(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &fs.PathError{Op: op, Path: f.path, Err: err}
}

func (f *memFile) Read(b []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, err := f.disk.read(f.inode, b, f.at)
	f.at += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, f.fail("read", err)
}

func (f *memFile) Write(b []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, err := f.disk.write(f.inode, b, f.at)
	f.at += int64(n)
	return n, f.fail("write", err)
}

func (f *memFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.fail("sync", f.disk.sync(f.inode))
}

func (f *memFile) Stat() (fs.FileInfo, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.ask(opLook); err != nil {
		return nil, f.fail("stat", err)
	}
	return diskInfo{f.inode, path.Base(f.path), int64(len(f.inode.data))}, nil
}

func (f *memFile) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk == nil || f.inode == nil {
		return fs.ErrClosed
	}
	f.inode = nil
	f.disk.open--
	return nil
}

// memVFS registers SQLite's way to every memDisk, once, and returns its name.
var memVFS = sync.OnceValue(func() string {
	const name = "memdisk"
	for suffix, locking := range map[string]bool{"": true, "-none": false} {
		if err := sqlite3vfs.RegisterVFS(name+suffix, &sqlDisk{locking}); err != nil {
			panic(err)
		}
	}
	// The file that is opened first must be an idle one: this VFS closes it
	// whenever opening another one fails.
	db := open("/idle", "mode=rwc&vfs="+name)
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE t (c)"); err != nil {
		panic(err)
	}
	return name
})

// A sqlDisk is every memDisk as SQLite sees it. It does what SQLite's own VFS
// does, and answers faults as that one does.
type sqlDisk struct{ locking bool }

// find finds the disk that a path is on. Temporary files and the idle one are on
// one of their own.
func (sqlDisk) find(p string) *memDisk {
	first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
	if d, ok := disks.Load("/" + first); ok {
		return d.(*memDisk)
	}
	return spareDisk()
}

var spareDisk = sync.OnceValue(func() *memDisk { return newMemDisk(0) })

func (v *sqlDisk) Open(p string, flags sqlite3vfs.OpenFlag) (sqlite3vfs.File, sqlite3vfs.OpenFlag, error) {
	d := v.find(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &sqlFile{disk: d, path: d.local(p), locking: v.locking, reading: flags&sqlite3vfs.OpenReadOnly != 0}
	if p == "" {
		f.inode = new(inode)
	} else if f.inode = d.live[f.path]; f.inode != nil {
		if err := d.ask(opLook); err != nil {
			return nil, 0, sqlite3vfs.CantOpenError
		}
	} else {
		if flags&sqlite3vfs.OpenCreate == 0 {
			return nil, 0, sqlite3vfs.CantOpenError
		}
		var err error
		if f.inode, err = d.create(f.path, false); err != nil {
			return nil, 0, sqlite3vfs.CantOpenError
		}
		f.fresh = flags&(sqlite3vfs.OpenWAL|sqlite3vfs.OpenMainJournal|sqlite3vfs.OpenSuperJournal) != 0
	}
	d.open++
	return f, flags, nil
}

func (v *sqlDisk) Delete(p string, sync bool) error {
	d := v.find(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	p = d.local(p)
	err := d.remove(p)
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	if err == nil && sync {
		err = d.syncFolder(path.Dir(p))
	}
	if err != nil {
		return sqlite3vfs.IOError
	}
	return nil
}

// Access says that there is no file if it cannot be told, or if it is empty.
func (v *sqlDisk) Access(p string, _ sqlite3vfs.AccessFlag) (bool, error) {
	d := v.find(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.live[d.local(p)]
	return d.ask(opLook) == nil && i != nil && len(i.data) > 0, nil
}

func (v *sqlDisk) FullPathname(p string) string { return p }

func (v *sqlDisk) CurrentTime() time.Time { return time.Now() }

// Sleep is called while a file is locked, and nobody else will unlock it.
func (v *sqlDisk) Sleep(time.Duration) {}

func (v *sqlDisk) Randomness(b []byte) int {
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return len(b)
}

// A sqlFile is one that SQLite opened.
type sqlFile struct {
	disk    *memDisk
	inode   *inode
	path    string
	fresh   bool // its first sync is one of its folder too
	reading bool // it may not be written
	locking bool
}

func (f *sqlFile) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	delete(f.inode.locks, f)
	f.disk.open--
	return nil
}

func (f *sqlFile) ReadAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, err := f.disk.read(f.inode, b, at)
	if err != nil && err != io.EOF {
		err = sqlite3vfs.IOErrorRead
	}
	return n, err
}

func (f *sqlFile) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.reading {
		return 0, syscall.EBADF
	}
	return f.disk.write(f.inode, b, at) // see answerFull
}

// answerFull makes SQLite hear of every failed write that the disk is full,
// until the function that it returns is called; otherwise it hears of an error.
// Which it is cannot be said for each write.
func answerFull() func() {
	was := sqlite3vfs.IOErrorWrite
	sqlite3vfs.IOErrorWrite = sqlite3vfs.FullError
	return func() { sqlite3vfs.IOErrorWrite = was }
}

func (f *sqlFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.reading || f.disk.cut(f.inode, size) != nil {
		return sqlite3vfs.IOError
	}
	return nil
}

func (f *sqlFile) Sync(sqlite3vfs.SyncType) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.sync(f.inode) != nil {
		return sqlite3vfs.IOError
	}
	if f.fresh {
		f.fresh = false
		_ = f.disk.syncFolder(path.Dir(f.path)) // SQLite does not mind
	}
	return nil
}

func (f *sqlFile) FileSize() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.ask(opLook) != nil {
		return 0, sqlite3vfs.IOError
	}
	return int64(len(f.inode.data)), nil
}

func (f *sqlFile) Lock(want sqlite3vfs.LockType) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if !f.locking || f.inode.locks[f] >= want {
		return nil
	}
	for other, has := range f.inode.locks {
		if other != f && (has >= sqlite3vfs.LockPending || want > sqlite3vfs.LockShared && has >= sqlite3vfs.LockReserved || want >= sqlite3vfs.LockPending) {
			return sqlite3vfs.BusyError
		}
	}
	if f.inode.locks == nil {
		f.inode.locks = make(map[*sqlFile]sqlite3vfs.LockType)
	}
	f.inode.locks[f] = want
	return nil
}

func (f *sqlFile) Unlock(to sqlite3vfs.LockType) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if to == sqlite3vfs.LockNone {
		delete(f.inode.locks, f)
	} else if f.inode.locks[f] > to {
		f.inode.locks[f] = to
	}
	return nil
}

// CheckReservedLock answers the other way round, as this VFS passes it on.
func (f *sqlFile) CheckReservedLock() (bool, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	for _, has := range f.inode.locks {
		if has >= sqlite3vfs.LockReserved {
			return false, nil
		}
	}
	return true, nil
}

func (f *sqlFile) SectorSize() int64 { return pageSize }

func (f *sqlFile) DeviceCharacteristics() sqlite3vfs.DeviceCharacteristic {
	return sqlite3vfs.IocapPowersafeOverwrite
}

var _ sqlite3vfs.ExtendedVFSv1 = (*sqlDisk)(nil)
var _ disk = (*memDisk)(nil)

package graph

import (
	"encoding/binary"
	"math"
)

// A reader reads a flatbuffer that nobody has checked. The first fault sticks:
// every later read gives zeros, and err says what was wrong. What it hands out
// is bounded by the file's size, so that a small file which names one part a
// thousand times cannot make the caller allocate without limit.
type reader struct {
	b      []byte
	budget int // bytes that may still be handed out
	err    error
}

const (
	budgetBase   = 64 << 10 // bytes
	budgetFactor = 8        // bytes for each byte of the file
	tableCharge  = 192      // bytes that a caller keeps of a table, about
)

func newReader(b []byte) *reader { return &reader{b: b, budget: budgetBase + budgetFactor*len(b)} }

func (r *reader) fail(format string, a ...any) {
	if r.err == nil {
		r.err = refuse(ErrDamaged, format, a...)
	}
}

func (r *reader) spend(n int) bool {
	if r.err == nil && n > r.budget {
		r.fail("parts overlap")
	}
	r.budget -= n
	return r.err == nil
}

// has reports whether n bytes at pos are in the file.
func (r *reader) has(pos, n int) bool {
	if r.err == nil && (pos < 0 || n < 0 || pos > len(r.b) || n > len(r.b)-pos) {
		r.fail("offset %d is beyond the end", pos)
	}
	return r.err == nil
}

func (r *reader) uint16(pos int) int {
	if !r.has(pos, 2) {
		return 0
	}
	return int(binary.LittleEndian.Uint16(r.b[pos:]))
}

func (r *reader) uint32(pos int) uint32 {
	if !r.has(pos, 4) {
		return 0
	}
	return binary.LittleEndian.Uint32(r.b[pos:])
}

// follow returns the place that the offset at pos points to.
func (r *reader) follow(pos int) int {
	off := r.uint32(pos)
	if r.err == nil && uint64(off) > uint64(len(r.b)-pos) {
		r.fail("offset %d is beyond the end", pos)
	}
	if r.err != nil {
		return 0
	}
	return pos + int(off)
}

// A table is a flatbuffer table: its vtable says where each field is. The zero
// table has no fields.
type table struct {
	r            *reader
	pos, size    int
	vtab, fields int // place of the vtable's first entry, and how many it has
}

func (r *reader) table(pos int) table {
	if !r.spend(tableCharge) || !r.has(pos, 4) {
		return table{r: r}
	}
	back := int(int32(r.uint32(pos)))
	vtab := pos - back
	if pos%4 != 0 || vtab%2 != 0 {
		r.fail("table at %d is misaligned", pos)
	}
	vsize, size := r.uint16(vtab), r.uint16(vtab+2)
	if vsize < 4 || vsize%2 != 0 || size < 4 {
		r.fail("table at %d has no valid vtable", pos)
	}
	if !r.has(vtab, vsize) || !r.has(pos, size) {
		return table{r: r}
	}
	return table{r: r, pos: pos, size: size, vtab: vtab + 4, fields: vsize/2 - 2}
}

// field returns the place of a field of n bytes, or 0 if it is left out.
func (t table) field(id, n int) int {
	if t.r.err != nil || id >= t.fields {
		return 0
	}
	off := t.r.uint16(t.vtab + 2*id)
	if off == 0 {
		return 0
	}
	if off < 4 || off+n > t.size || (t.pos+off)%n != 0 {
		t.r.fail("field %d of the table at %d is outside of it", id, t.pos)
		return 0
	}
	return t.pos + off
}

func (t table) int8(id int, absent int8) int8 {
	if p := t.field(id, 1); p != 0 {
		return int8(t.r.b[p])
	}
	return absent
}

func (t table) uint32(id int) uint32 {
	if p := t.field(id, 4); p != 0 {
		return t.r.uint32(p)
	}
	return 0
}

func (t table) int32(id int, absent int32) int32 {
	if p := t.field(id, 4); p != 0 {
		return int32(t.r.uint32(p))
	}
	return absent
}

func (t table) float32(id int) float32 { return math.Float32frombits(t.uint32(id)) }

// table returns the table that a field points to, and whether it is there.
func (t table) table(id int) (table, bool) {
	p := t.field(id, 4)
	if p == 0 {
		return table{r: t.r}, false
	}
	return t.r.table(t.r.follow(p)), true
}

// vector returns the place and the number of a vector's elements, which have
// size bytes each. Only the length is aligned for certain: TOCO aligns vectors
// of 64-bit integers to 4 bytes.
func (t table) vector(id, size int) (pos, n int) {
	p := t.field(id, 4)
	if p == 0 {
		return 0, 0
	}
	p = t.r.follow(p)
	if p%4 != 0 {
		t.r.fail("vector at %d is misaligned", p)
	}
	count := t.r.uint32(p)
	if t.r.err == nil && uint64(count)*uint64(size) > uint64(len(t.r.b)-p-4) {
		t.r.fail("vector of %d at %d is beyond the end", count, p)
	}
	if t.r.err != nil {
		return 0, 0
	}
	return p + 4, int(count)
}

// bytes returns a vector of bytes. It is part of the file, not a copy.
func (t table) bytes(id int) []byte {
	p, n := t.vector(id, 1)
	return t.r.b[p : p+n : p+n]
}

func (t table) string(id int) string {
	p, n := t.vector(id, 1)
	if p == 0 || !t.r.spend(n) || !t.r.has(p, n+1) {
		return ""
	}
	if t.r.b[p+n] != 0 {
		t.r.fail("string at %d does not end in 0", p)
	}
	return string(t.r.b[p : p+n])
}

func (t table) ints(id int) []int {
	p, n := t.vector(id, 4)
	if n == 0 || !t.r.spend(8*n) {
		return nil
	}
	v := make([]int, n)
	for i := range v {
		v[i] = int(int32(t.r.uint32(p + 4*i)))
	}
	return v
}

func (t table) int64s(id int) []int64 {
	p, n := t.vector(id, 8)
	if n == 0 || !t.r.spend(8*n) {
		return nil
	}
	v := make([]int64, n)
	for i := range v {
		v[i] = int64(binary.LittleEndian.Uint64(t.r.b[p+8*i:]))
	}
	return v
}

func (t table) float32s(id int) []float32 {
	p, n := t.vector(id, 4)
	if n == 0 || !t.r.spend(4*n) {
		return nil
	}
	v := make([]float32, n)
	for i := range v {
		v[i] = math.Float32frombits(t.r.uint32(p + 4*i))
	}
	return v
}

// tables returns the tables of a vector, most at the most.
func (t table) tables(id, most int) []table {
	p, n := t.vector(id, 4)
	if t.r.err == nil && n > most {
		t.r.err = refuse(ErrUnsupported, "%d entries (want at most %d)", n, most)
	}
	if n == 0 || t.r.err != nil {
		return nil
	}
	v := make([]table, n)
	for i := range v {
		v[i] = t.r.table(t.r.follow(p + 4*i))
	}
	return v
}

package graph

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// childMark makes the test binary run models for its parent instead of tests,
// so that a crash of native code is a failure and not the end of the suite.
const childMark = "TEACHBOX_GRAPH_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childMark); dir != "" {
		if err := runModels(dir, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// The child's answers.
const (
	ran     = 'r'
	refused = 'n' // with an error, which is as good
)

// runModels answers each model, a length and its bytes, with one byte.
func runModels(dir string, from io.Reader, to io.Writer) error {
	in := bufio.NewReader(from)
	path := filepath.Join(dir, fmt.Sprintf("%d.tflite", os.Getpid()))
	for {
		var n uint32
		if err := binary.Read(in, binary.LittleEndian, &n); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return err
		}
		// A new file each time: the interpreter maps it.
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
		answer := byte(refused)
		if m, err := openNative(path); err == nil {
			if _, err := m.run(nil); err == nil {
				answer = ran
			}
			m.close()
		}
		if _, err := to.Write([]byte{answer}); err != nil {
			return err
		}
	}
}

// A child is a process that runs models.
type child struct {
	dir string
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log bytes.Buffer
}

func (c *child) start(t *testing.T) {
	t.Helper()
	c.log.Reset()
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), childMark+"="+c.dir)
	c.cmd.Stderr = &c.log
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (c *child) stop() error {
	c.in.Close()
	return c.cmd.Wait()
}

// hang is how long a model of microseconds may take before it counts as stuck.
const hang = time.Minute

// run returns the child's answer, or an error if it died of the model.
func (c *child) run(t *testing.T, b []byte) (byte, error) {
	t.Helper()
	kill := time.AfterFunc(hang, func() { c.cmd.Process.Kill() })
	defer kill.Stop()
	message := append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
	if _, err := c.in.Write(message); err == nil {
		if answer, err := c.out.ReadByte(); err == nil {
			return answer, nil
		}
	}
	err := c.stop()
	tail := c.log.Bytes()
	tail = tail[max(0, len(tail)-400):]
	c.start(t)
	return 0, fmt.Errorf("%v: %s", err, tail)
}

// An edit changes a file in place and says what it did.
type edit func(b []byte) string

// structural returns the places of a file that say what it is: all but the
// weights.
func structural(t *testing.T, b []byte) []int {
	t.Helper()
	weight := make(map[int]bool)
	for _, x := range mustParse(t, b).tensors {
		if !x.constant() || x.typ == Int32 && x.scale == nil {
			continue
		}
		at := bytes.Index(b, x.data)
		for i := range x.data {
			weight[at+i] = true
		}
	}
	var places []int
	for i := range b {
		if !weight[i] {
			places = append(places, i)
		}
	}
	return places
}

// edits are every interesting value in every structural word and byte, and
// random changes of a few bytes.
func edits(t *testing.T, b []byte, random int) []edit {
	var list []edit
	places := structural(t, b)
	for _, at := range places {
		old := b[at]
		for _, v := range []byte{0, 1, 0x7f, 0x80, 0xff, old + 1, old - 1, old ^ 4} {
			list = append(list, func(b []byte) string {
				b[at] = v
				return fmt.Sprintf("byte %d: %#x to %#x", at, old, v)
			})
		}
		if at%4 != 0 || at+4 > len(b) {
			continue
		}
		word := binary.LittleEndian.Uint32(b[at:])
		for _, v := range []uint32{^uint32(0), 1 << 31, 1<<31 - 1, 1 << 20, 1 << 16, word + 1, word - 1, word * 2, word + 4, word - 4, uint32(len(b)), 0x7fc00000, 0x00000001, 0x7f7fffff, 0xff800000} {
			list = append(list, func(b []byte) string {
				binary.LittleEndian.PutUint32(b[at:], v)
				return fmt.Sprintf("word %d: %#x to %#x", at, word, v)
			})
		}
	}
	r := rand.New(rand.NewPCG(5, uint64(len(b))))
	for i := range random {
		list = append(list, func(b []byte) string {
			for range 1 + r.IntN(4) {
				b[places[r.IntN(len(places))]] = byte(r.Uint32())
			}
			return fmt.Sprintf("random edit %d", i)
		})
	}
	return list
}

var every = flag.Int("every", 7, "TestDamage tries every nth edit; 1 tries all, which takes a minute")

// TestDamage changes files in thousands of ways. Parse must refuse each, or
// native code must survive it.
func TestDamage(t *testing.T) {
	t.Parallel()
	c := &child{dir: t.TempDir()}
	c.start(t)
	for name, file := range map[string][]byte{
		"tiny":      mustTiny(t, TinyOptions{Side: 8, Size: 8}),
		"tiny int8": mustTiny(t, TinyOptions{Side: 8, Size: 8, Int8: true}),
		"zoo":       mustWrite(t, zoo(false)),
		"zoo int8":  mustWrite(t, zoo(true)),
	} {
		count := make(map[string]int)
		send := func(what string, b []byte) {
			answer, err := c.run(t, b)
			switch {
			case err != nil:
				count["crashed"]++
				t.Errorf("%s: %s: %v", name, what, err)
			case answer == ran:
				count["ran"]++
			default:
				count["refused by native code"]++
			}
		}
		for i, e := range edits(t, file, 4000) {
			if i%*every != 0 {
				continue
			}
			b := bytes.Clone(file)
			what := e(b)
			count["edits"]++
			m, err := Parse(b)
			if err != nil {
				count["refused by Parse"]++
				continue
			}
			send(what, b)
			if cut, err := m.CutHead(); err == nil {
				count["also cut and written"]++
				send(what+", cut", mustWrite(t, cut.Model))
			}
			if count["crashed"] > 20 {
				t.Fatal("too many crashes")
			}
		}
		var report []string
		for _, k := range slices.Sorted(maps.Keys(count)) {
			report = append(report, fmt.Sprintf("%s %d", k, count[k]))
		}
		t.Logf("%s, %d bytes: %v", name, len(file), report)
		if count["refused by Parse"] == 0 || count["ran"] == 0 {
			t.Errorf("%s: the edits prove nothing", name)
		}
	}
	if err := c.stop(); err != nil {
		t.Error(err)
	}
}

// A shortened file may only lack what is not the model: padding, or the label
// file that some tools put behind it.
func TestTruncated(t *testing.T) {
	t.Parallel()
	files := realModels(t)
	files["tiny"] = mustTiny(t, TinyOptions{})
	files["zoo"] = mustWrite(t, zoo(true))
	for name, b := range files {
		step := max(1, len(b)/3000)
		whole := mustWrite(t, mustParse(t, b))
		accepted := 0
		for n := 0; n < len(b); n += step {
			m, err := Parse(b[:n:n])
			if err != nil {
				continue
			}
			accepted++
			if !bytes.Equal(mustWrite(t, m), whole) {
				t.Errorf("%s: the first %d bytes were accepted as another model", name, n)
			}
		}
		if accepted > len(b)/step/10 {
			t.Errorf("%s: %d shortened files were accepted", name, accepted)
		}
	}
}

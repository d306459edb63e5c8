package camera

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/device"
)

// A splitting is one call of split.
type splitting struct {
	put    []string
	counts []uint64
	err    error
	took   time.Duration
}

// splits runs split over a pipe whose other end feed has, in a bubble of time.
func splits(t *testing.T, s splitter, interval time.Duration, feed func(w net.Conn)) (c splitting) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, w := net.Pipe()
		defer r.Close()
		go feed(w)
		began := time.Now()
		c.err = split(r, s, interval, func(pix []byte, count uint64) {
			c.put = append(c.put, string(pix))
			c.counts = append(c.counts, count)
		})
		c.took = time.Since(began)
	})
	return c
}

func write(w net.Conn, s string) { _, _ = w.Write([]byte(s)) }

func TestSplitEnds(t *testing.T) {
	c := splits(t, newMJPEG(1000), time.Second, func(w net.Conn) {
		write(w, whole)
		write(w, another)
		w.Close()
	})
	if len(c.put) != 2 || c.err != nil {
		t.Errorf("%q, error %v", c.put, c.err)
	}
}

// TestSplitNewest shows that of pictures that come together only the newest is
// given, and that the others are counted.
func TestSplitNewest(t *testing.T) {
	c := splits(t, newMJPEG(1000), time.Second, func(w net.Conn) {
		write(w, whole)
		write(w, whole+whole+another+"\xff\xd8")
		w.Close()
	})
	if !slices.Equal(c.put, []string{whole, another}) || !slices.Equal(c.counts, []uint64{1, 4}) || c.err != nil {
		t.Errorf("%q, counts %d, error %v", c.put, c.counts, c.err)
	}
}

func TestSplitFallsSilent(t *testing.T) {
	const interval = 100 * time.Millisecond
	for name, test := range map[string]struct {
		feed  func(w net.Conn)
		want  error
		after time.Duration
	}{
		"nothing at all": {func(w net.Conn) {}, device.ErrStall, rpiStart},
		"after a picture": {func(w net.Conn) {
			time.Sleep(time.Second)
			write(w, whole)
		}, device.ErrStall, time.Second + rpiSilence + 2*interval},
		"slow, but not silent": {func(w net.Conn) {
			for range 10 {
				write(w, whole)
				time.Sleep(2 * time.Second)
			}
		}, device.ErrStall, 18*time.Second + rpiSilence + 2*interval},
		"a slow camera": {func(w net.Conn) { write(w, whole) }, device.ErrStall, rpiSilence + 2*interval},
		"only garbage": {func(w net.Conn) {
			for range 30 {
				time.Sleep(interval)
				write(w, strings.Repeat("garbage", 1000))
			}
		}, device.ErrFormat, rpiStart},
		"garbage without a pause": {func(w net.Conn) {
			for {
				time.Sleep(time.Millisecond)
				if _, err := w.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		}, device.ErrFormat, rpiStart},
	} {
		t.Run(name, func(t *testing.T) {
			c := splits(t, newMJPEG(1000), interval, test.feed)
			if !errors.Is(c.err, test.want) {
				t.Errorf("error %v (want %v)", c.err, test.want)
			}
			if c.took < test.after || c.took > test.after+10*time.Millisecond {
				t.Errorf("given up after %v (want %v)", c.took, test.after)
			}
		})
	}
}

// TestSplitStep shows that frames without marks get back into step: a pause
// tells where they begin.
func TestSplitStep(t *testing.T) {
	const interval = 100 * time.Millisecond
	a, b := strings.Repeat("a", 24), strings.Repeat("b", 24)
	c := splits(t, newI420(4, 4), interval, func(w net.Conn) {
		for _, s := range []string{a, "text on the wrong stream", "odd", a, "b", b, a[:20], b} {
			write(w, s[:len(s)/2])
			time.Sleep(interval / 10) // no pause
			write(w, s[len(s)/2:])
			time.Sleep(interval)
		}
		w.Close()
	})
	// Text as long as a frame cannot be told from one.
	if want := []string{a, "text on the wrong stream", a, b, b}; !slices.Equal(c.put, want) || c.err != nil {
		t.Errorf("%q, error %v (want %q)", c.put, c.err, want)
	}
}

func BenchmarkSplit(b *testing.B) {
	r, w := net.Pipe()
	defer r.Close()
	pix := whole + strings.Repeat("x", 100)
	put := make(chan struct{})
	go func() { _ = split(r, newMJPEG(1000), time.Second, func([]byte, uint64) { put <- struct{}{} }) }()
	b.ReportAllocs()
	for b.Loop() {
		write(w, pix)
		<-put
	}
	w.Close()
}

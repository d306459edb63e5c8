package frame

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// filled is frame number n of a source; all of its bytes are n.
func filled(n uint64, size int) Frame {
	return Frame{Format: JPEG, Pix: bytes.Repeat([]byte{byte(n)}, size), Seq: n, Taken: time.Unix(int64(n), 0)}
}

func take(t *testing.T, m *Mailbox) Frame {
	t.Helper()
	f, err := m.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestMailboxNewestWins(t *testing.T) {
	m := NewMailbox()
	for n := range uint64(5) {
		m.Put(filled(n+1, 8))
	}
	if diff := cmp.Diff(filled(5, 8), take(t, m)); diff != "" {
		t.Errorf("newest (-want +got):\n%s", diff)
	}
	if got := m.Dropped(); got != 4 {
		t.Errorf("%d dropped, want 4", got)
	}
	m.Put(filled(6, 8))
	if got := take(t, m).Seq; got != 6 {
		t.Errorf("frame %d, want 6", got)
	}
	if got := m.Dropped(); got != 4 {
		t.Errorf("%d dropped after a frame that was taken, want 4", got)
	}
}

// TestMailboxWaits shows that Take waits for a frame newer than the last.
func TestMailboxWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMailbox()
		m.Put(filled(1, 8))
		take(t, m)
		var got uint64
		go func() { got = take(t, m).Seq }()
		synctest.Wait()
		if got != 0 {
			t.Fatalf("frame %d was taken twice", got)
		}
		m.Put(filled(2, 8))
		synctest.Wait()
		if got != 2 {
			t.Errorf("frame %d, want 2", got)
		}
	})
}

func TestMailboxTakeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f, err := NewMailbox().Take(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || f.Pix != nil {
			t.Errorf("frame %v, error %v, want none and the context's", f, err)
		}
	})
}

// TestMailboxCopies shows that both ends own their pixels: the camera may use
// its buffer again, and the reader's frame stays what it was.
func TestMailboxCopies(t *testing.T) {
	m := NewMailbox()
	source := filled(1, 64)
	m.Put(source)
	clear(source.Pix)
	held := take(t, m)
	for n := range uint64(10) {
		m.Put(filled(n+2, 64-int(n)))
	}
	if diff := cmp.Diff(filled(1, 64), held); diff != "" {
		t.Errorf("held frame (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(filled(11, 55), take(t, m)); diff != "" {
		t.Errorf("next frame (-want +got):\n%s", diff)
	}
}

// TestMailboxConcurrent has a camera and a reader at work at once: frames come
// whole and in order, and every one is either taken or counted.
func TestMailboxConcurrent(t *testing.T) {
	const frames, size = 5000, 1 << 10
	m := NewMailbox()
	var camera sync.WaitGroup
	camera.Go(func() {
		buf := make([]byte, size)
		for n := range uint64(frames) {
			for i := range buf {
				buf[i] = byte(n + 1)
			}
			m.Put(Frame{Format: JPEG, Pix: buf, Seq: n + 1})
		}
	})
	var taken, last uint64
	for last < frames {
		f := take(t, m)
		if f.Seq <= last {
			t.Fatalf("frame %d after %d", f.Seq, last)
		}
		if bytes.Count(f.Pix, []byte{byte(f.Seq)}) != size {
			t.Fatalf("frame %d is not whole", f.Seq)
		}
		taken, last = taken+1, f.Seq
	}
	camera.Wait()
	if got := m.Dropped(); taken+got != frames {
		t.Errorf("%d taken and %d dropped, want %d together", taken, got, frames)
	}
}

func TestMailboxAllocates(t *testing.T) {
	m := NewMailbox()
	f := filled(1, 1<<16)
	cycle := func() {
		m.Put(f)
		m.Put(f)
		take(t, m)
	}
	for range 3 { // every buffer grows once
		cycle()
	}
	if n := testing.AllocsPerRun(100, cycle); n != 0 {
		t.Errorf("%v allocations for each frame, want 0", n)
	}
}

func BenchmarkMailbox(b *testing.B) {
	m := NewMailbox()
	f := Frame{Format: YUYV, Width: 640, Height: 480, Stride: 1280, Pix: make([]byte, 1280*480)}
	b.SetBytes(int64(len(f.Pix)))
	b.ReportAllocs()
	for b.Loop() {
		m.Put(f)
		if _, err := m.Take(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

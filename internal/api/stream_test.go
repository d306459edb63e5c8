package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

func TestEventOf(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		in   box.Event
		want Event
	}{
		{box.Event{Kind: box.VerdictChanged, Known: true, Button: 2}, Event{Event: "verdict", Slot: new(3)}},
		{box.Event{Kind: box.VerdictChanged, Button: device.Nothing}, Event{Event: "verdict", Slot: new(0)}},
		{
			box.Event{Kind: box.Kept, Button: 0, Press: 4, Example: lesson.Example{ID: "id", Seq: 7}},
			Event{Event: "kept", Button: "class 1", Press: 4, Example: "id", Seq: 7},
		},
		{box.Event{Kind: box.Skipped, Button: device.Nothing, Press: 4}, Event{Event: "skipped", Button: "nothing", Press: 4}},
		{box.Event{Kind: box.TakenBack, Button: 1}, Event{Event: "taken back", Button: "class 2"}},
		{box.Event{Kind: box.Forgotten, Button: 1}, Event{Event: "forgotten", Button: "class 2"}},
		{box.Event{Kind: box.NewLesson}, Event{Event: "new lesson"}},
		{box.Event{Kind: box.Restored}, Event{Event: "restored"}},
		{box.Event{Kind: box.Refused, Button: 1, Press: 2, Err: box.ErrLocked}, Event{Event: "refused", Button: "class 2", Press: 2, Error: box.ErrLocked.Error()}},
		{box.Event{Kind: box.HealthChanged, Part: "camera", Err: io.EOF}, Event{Event: "health", Part: "camera", Error: "EOF"}},
		{box.Event{Kind: box.HealthChanged, Part: "camera"}, Event{Event: "health", Part: "camera"}},
		{box.Event{Kind: box.Learned, Fold: &lesson.Fold{Frames: 5, Digest: "d"}}, Event{Event: "learned", Frames: 5, Digest: "d"}},
		{box.Event{Kind: box.Learned}, Event{Event: "learned"}},
		{
			box.Event{Kind: box.Edited, Step: lesson.Step{Revision: 9, Kind: "rename", What: "Cup"}},
			Event{Event: "edited", Step: &Step{Revision: 9, Kind: "rename", What: "Cup"}},
		},
		{box.Event{Kind: box.Locked}, Event{Event: "locked"}},
		{box.Event{Kind: box.Unlocked}, Event{Event: "unlocked"}},
	} {
		tt.in.At, tt.want.At = at, at
		if d := cmp.Diff(tt.want, EventOf(tt.in)); d != "" {
			t.Errorf("%v (-want +got):\n%s", tt.in.Kind, d)
		}
	}
}

// observe makes a server see n events that are told apart by their press.
func observe(s *Server, from, n int) {
	for i := range n {
		s.Observe(box.Event{Kind: box.Skipped, At: time.Now(), Press: from + i})
	}
}

// told is a list of events in short: "+" and their numbers, "-" and how many
// were lost.
func told(t *testing.T, events []Event) string {
	t.Helper()
	var b strings.Builder
	for i, e := range events {
		switch {
		case e.Event == "gap":
			fmt.Fprintf(&b, "-%d ", *e.Lost)
		case i > 0 && i < len(events)-1 && events[i-1].Event != "gap":
			if !strings.HasSuffix(b.String(), "… ") {
				b.WriteString("… ")
			}
		default:
			fmt.Fprintf(&b, "+%d ", e.Number)
		}
		if e.Event != "gap" && e.Press != int(e.Number) {
			t.Errorf("event %d is that of press %d", e.Number, e.Press)
		}
		if e.At.IsZero() {
			t.Errorf("event %d has no time", e.Number)
		}
	}
	return strings.TrimSpace(b.String())
}

func TestEvents(t *testing.T) {
	for _, tt := range []struct {
		seen  int
		after uint64
		want  string
	}{
		{0, 0, ""},
		{0, 5, "-0"},
		{3, 0, "+1 … +3"},
		{3, 1, "+2 +3"},
		{3, 3, ""},
		{3, 4, "-0 +1 … +3"},
		{ringSize, 0, "+1 … +1024"},
		{ringSize + 1, 0, "-1 +2 … +1025"},
		{ringSize + 1, 1, "+2 … +1025"},
		{3000, 10, "-1966 +1977 … +3000"},
		{3000, 1976, "+1977 … +3000"},
		{3000, 2999, "+3000"},
		{3000, 4000, "-0 +1977 … +3000"},
		{3000, 1<<64 - 1, "-0 +1977 … +3000"},
	} {
		s := newServer(t, &fakeBox{TB: t})
		s.Observe(box.Event{Kind: box.Looked})
		observe(s, 1, tt.seen)
		c := local(t, s)
		var got []Event
		for e, err := range c.Events(context.WithValue(t.Context(), unjudged{}, true), tt.after, false) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		}
		if got := told(t, got); got != tt.want {
			t.Errorf("%d seen, after %d: %s, want %s", tt.seen, tt.after, got, tt.want)
		}
	}
}

// Whoever follows sees what happens when it happens, and ends when they want.
func TestFollow(t *testing.T) {
	for name, client := range map[string]func(testing.TB, *Server) *Client{"local": local, "remote": remote} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, &fakeBox{TB: t})
				observe(s, 1, 2)
				var got []Event
				ended := make(chan struct{})
				c := client(t, s)
				go func() {
					defer close(ended)
					for e, err := range c.Events(t.Context(), 1, true) {
						if err != nil {
							t.Error(err)
						}
						if got = append(got, e); len(got) == 4 {
							return
						}
					}
				}()
				synctest.Wait()
				if told := told(t, got); told != "+2" {
					t.Errorf("at first %s", told)
				}
				observe(s, 3, 1)
				synctest.Wait()
				if told := told(t, got); told != "+2 +3" {
					t.Errorf("then %s", told)
				}
				observe(s, 4, 2)
				<-ended
				if told := told(t, got); told != "+2 … +5" {
					t.Errorf("in the end %s", told)
				}
				synctest.Wait()
				if n := len(s.streams); n != 0 {
					t.Errorf("%d streams are open", n)
				}
			})
		})
	}
}

// A stream ends without an error when the box does, and with its context.
func TestStreamsEnd(t *testing.T) {
	for _, how := range []string{"shutdown", "context"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, &fakeBox{TB: t})
				c := remote(t, s)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ended := make(chan error, 2)
				go func() {
					for _, err := range c.Events(ctx, 0, true) {
						if err != nil {
							ended <- err
							return
						}
					}
					ended <- nil
				}()
				go func() {
					for _, err := range c.Snapshots(ctx, time.Minute) {
						if err != nil {
							ended <- err
							return
						}
					}
					ended <- nil
				}()
				synctest.Wait()
				if n := len(s.streams); n != 2 {
					t.Fatalf("%d streams are open, want 2", n)
				}
				if how == "context" {
					cancel()
				} else if err := s.Shutdown(ctx); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := <-ended; err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// The latest snapshot wins: whoever reads slowly sees the box as it is, not as
// it was.
func TestSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBox{TB: t}
		c := remote(t, newServer(t, b))
		began := time.Now()
		var at []time.Duration
		for s, err := range c.Snapshots(t.Context(), 50*time.Millisecond) {
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, s.At.Sub(began))
			switch len(at) {
			case 3:
				time.Sleep(5 * time.Second)
			case 8:
				goto enough
			}
		}
		t.Fatal("it ended")
	enough:
		if at[0] != 0 || at[1] != 50*time.Millisecond {
			t.Errorf("it begins at %v", at[:2])
		}
		// What was on its way when the reader slept is old; the rest is not.
		if late := at[len(at)-1]; late < 5*time.Second {
			t.Errorf("after five seconds it shows %v", late)
		}
	})
}

// Whoever takes nothing is dropped, and does not hold the box up meanwhile.
func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, &fakeBox{TB: t})
		dial := serve(t, s)
		conn, err := dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "GET %s/events?follow=true HTTP/1.1\r\nHost: x\r\n\r\n", prefix); err != nil {
			t.Fatal(err)
		}
		// It takes the first bytes, so that the stream has begun.
		if _, err := conn.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		observe(s, 1, 3000)
		if d := time.Since(began); d != 0 {
			t.Errorf("the box waited %v", d)
		}
		time.Sleep(stall - time.Millisecond)
		if n := len(s.streams); n != 1 {
			t.Errorf("%d streams are open before it is time, want 1", n)
		}
		time.Sleep(time.Second)
		if n := len(s.streams); n != 0 {
			t.Errorf("%d streams are open, want none", n)
		}
	})
}

func TestTooManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, &fakeBox{TB: t})
		c := remote(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		for range maxStreams {
			go func() {
				for range c.Events(ctx, 0, true) {
				}
			}()
		}
		synctest.Wait()
		for _, err := range c.Snapshots(t.Context(), time.Second) {
			refused(t, err, CodeTooMany, http.StatusServiceUnavailable)
		}
		cancel()
		synctest.Wait()
		for _, err := range c.Events(t.Context(), 0, false) {
			t.Errorf("there is room again: %v", err)
		}
	})
}

// Browsers are told the same as server-sent events, and say where they were.
func TestServerSentEvents(t *testing.T) {
	s := newServer(t, &fakeBox{TB: t})
	observe(s, 1, 3)
	c := remote(t, s)
	get := func(path, last string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://teachbox"+prefix+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html, text/event-stream;q=0.9")
		if last != "" {
			r.Header.Set("Last-Event-ID", last)
		}
		reply, err := c.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		if kind := reply.Header.Get("Content-Type"); kind != eventsType {
			t.Errorf("it is %s", kind)
		}
		data, err := io.ReadAll(reply.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	all := get("/events?after=1", "")
	if groups := strings.Split(all, "\n\n"); len(groups) != 3 || groups[2] != "" ||
		!strings.HasPrefix(groups[0], "id: 2\ndata: {\"number\":2,") || !strings.HasPrefix(groups[1], "id: 3\ndata: {") {
		t.Errorf("events %q", all)
	}
	if back := get("/events?after=1", "2"); !strings.HasPrefix(back, "id: 3\n") {
		t.Errorf("coming back: %q", back)
	}
	if other := get("/events", "9"); !strings.HasPrefix(other, "data: {\"event\":\"gap\"") {
		t.Errorf("of another run: %q", other)
	}
}

// The real thing: a Unix socket, nothing left behind.
func TestUnixSocket(t *testing.T) {
	b := newBox(t)
	b.teach(0, 1)
	s := newServer(t, b)
	dir, err := os.MkdirTemp("", "api") // the names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	c := NewClient(func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "unix", path) })
	defer c.Close()
	for range c.Snapshots(t.Context(), time.Second) {
		break
	}
	if _, err := c.Edit(t.Context(), b.contents().Revision, lesson.Rename{Button: 0, Name: "Cup"}); err != nil {
		t.Error(err)
	}
	// One header that is too long, and one that never comes.
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", maxHeader))
	if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, "431") {
		t.Errorf("a long header: %q, %v", line, err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := c.Snapshot(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "the box does not answer: ") {
		t.Errorf("after its end: %v", err)
	}
}

// More connections than there may be wait for their turn.
func TestConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		l := newBounded(p, 2)
		taken := make(chan net.Conn, 3)
		ended := make(chan error, 1)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					ended <- err
					return
				}
				taken <- c
			}
		}()
		for range 3 {
			go func() {
				if c, err := p.dial(t.Context()); err == nil {
					defer c.Close()
				}
			}()
		}
		synctest.Wait()
		if len(taken) != 2 {
			t.Errorf("%d connections, want 2", len(taken))
		}
		first := <-taken
		first.Close()
		first.Close() // makes room once
		synctest.Wait()
		if len(taken) != 2 {
			t.Errorf("%d connections after one was closed, want 2 more", len(taken))
		}
		l.Close()
		l.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// Events come from one goroutine and are read by many.
func TestRingIsShared(t *testing.T) {
	s := newServer(t, &fakeBox{TB: t})
	c := local(t, s)
	const n = 5000
	go observe(s, 1, n)
	var last uint64
	var lost []uint64
	for e, err := range c.Events(t.Context(), 0, true) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Event == "gap" {
			lost = append(lost, *e.Lost)
			last += *e.Lost
			continue
		}
		if last++; e.Number != last {
			t.Fatalf("event %d after %d (lost %v)", e.Number, last-1, lost)
		}
		if last == n {
			break
		}
	}
	if slices.Contains(lost, 0) {
		t.Errorf("a gap of nothing: %v", lost)
	}
}

func BenchmarkObserve(b *testing.B) {
	s := New(nil, Options{})
	for b.Loop() {
		s.Observe(box.Event{Kind: box.VerdictChanged, Known: true, Button: 1})
	}
}

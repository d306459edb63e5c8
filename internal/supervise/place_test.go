package supervise

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPlace exchanges one part after another. Each has ended, and is well, before
// the next one begins.
func TestPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth(nil)
		var mu sync.Mutex
		var log []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, what)
		}
		works := func(name string, ends time.Duration) func(context.Context) error {
			return func(ctx context.Context) error {
				note(name)
				<-ctx.Done()
				time.Sleep(ends)
				note(name + " ended")
				return nil
			}
		}
		fails := func(context.Context) error { return errors.New("broken") }
		ctx, cancel := context.WithCancel(t.Context())
		p := NewPlace(h, "part", works("a", time.Second))
		over := make(chan struct{})
		go func() { p.Run(ctx); close(over) }()
		synctest.Wait()
		exchange := func(part func(context.Context) error, want time.Duration) {
			t.Helper()
			began := time.Now()
			ready := make(chan struct{})
			p.Exchange(part, func() { note("ready"); close(ready) })
			if d := time.Since(began); d != 0 {
				t.Errorf("Exchange took %v", d)
			}
			<-ready
			if d := time.Since(began); d != want {
				t.Errorf("ready after %v (want %v)", d, want)
			}
			synctest.Wait()
		}
		exchange(works("b", 0), time.Second)
		exchange(fails, 0)
		time.Sleep(time.Minute)
		if n := len(h.Problems()); n != 1 {
			t.Errorf("%d problems", n)
		}
		exchange(works("c", time.Hour), 0)
		if n := len(h.Problems()); n != 0 {
			t.Errorf("%d problems after the part was exchanged", n)
		}
		// The end comes while a part takes long to end.
		p.Exchange(works("d", 0), func() { note("ready") })
		time.Sleep(time.Minute)
		cancel()
		<-over
		want := "a, a ended, ready, b, b ended, ready, ready, c, c ended, ready" // d never begins
		if got := strings.Join(log, ", "); got != want {
			t.Errorf("%s (want %s)", got, want)
		}
	})
}

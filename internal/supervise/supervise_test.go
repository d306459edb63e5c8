package supervise

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRunRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		var h *Health
		h = NewHealth(func() {
			now := "well"
			for _, p := range h.Problems() {
				now = fmt.Sprint(p.Part, ": ", p.Err)
			}
			log = append(log, now)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var starts []time.Time
		Run(ctx, h, "camera", func(ctx context.Context) error {
			starts = append(starts, time.Now())
			switch len(starts) {
			case 1:
				return errors.New("gone")
			case 2:
				return errors.New("broken")
			case 3:
				return nil
			case 4, 5, 6, 7, 8, 9:
				return errors.New("gone")
			case 10: // works for a while
				h.Clear("camera")
				time.Sleep(steady)
				return errors.New("gone")
			}
			h.Clear("camera")
			<-ctx.Done()
			return nil
		})
		want := []string{"camera: gone", "camera: broken", "camera: ended by itself", "camera: gone", "well", "camera: gone", "well"}
		if diff := cmp.Diff(want, log); diff != "" {
			t.Errorf("health (-want +got):\n%s", diff)
		}
		for i := 1; i < 9; i++ {
			pause := starts[i].Sub(starts[i-1])
			want := min(FirstPause<<(i-1), LastPause)
			if pause > want || pause < want*3/4 {
				t.Errorf("pause %d: %v, want %v less up to a quarter", i, pause, want)
			}
		}
		if pause := starts[10].Sub(starts[9]) - steady; pause > FirstPause {
			t.Errorf("pause after a steady run: %v, want at most %v", pause, FirstPause)
		}
	})
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth(nil)
		began := time.Now()
		h.Fail("storage", errors.New("full"))
		time.Sleep(time.Second)
		h.Fail("camera", errors.New("unplugged"))
		h.Fail("storage", errors.New("read-only"))
		got := h.Problems()
		if len(got) != 2 || got[0].Part != "camera" || got[1].Part != "storage" {
			t.Fatalf("problems %v", got)
		}
		if !got[1].Since.Equal(began) || got[1].Err.Error() != "read-only" {
			t.Errorf("storage: %v since %v, want the newest error since the beginning", got[1].Err, got[1].Since)
		}
		h.Clear("camera")
		h.Clear("camera")
		h.Clear("storage")
		if got := h.Problems(); len(got) != 0 {
			t.Errorf("problems %v after all were cleared", got)
		}
	})
}

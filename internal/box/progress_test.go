package box_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/device"
	"teachbox/inference"
	"teachbox/internal/lesson"
)

// TestProgress looks at what is progress, and at what hangs.
func TestProgress(t *testing.T) {
	tests := []struct {
		name  string
		setup func(setup)
		do    func(*rig)
		hangs bool
	}{
		{"well", nil, nil, false},
		{"LEDs that seldom change", func(s setup) { s.parts.Wiring = device.Wiring{Slots: 2}; s.rig.scene.silent = true }, nil, false},
		{"no camera", func(s setup) { s.rig.scene.fault = device.ErrAbsent }, nil, false},
		{"a camera without frames", func(s setup) { s.rig.scene.silent = true }, nil, false},
		{"no model", func(s setup) {
			s.parts.OpenEmbedder = func() (inference.Embedder, error) { return nil, errors.New("missing") }
		}, nil, false},
		{"a slow model", func(s setup) {
			s.parts.OpenEmbedder = func() (inference.Embedder, error) {
				return &embedder{space: space(), takes: 20 * time.Second}, nil
			}
		}, nil, false},
		{"a press that waits for a slow model", func(s setup) {
			s.parts.OpenEmbedder = func() (inference.Embedder, error) {
				return &embedder{space: space(), takes: 29 * time.Second}, nil
			}
		}, func(r *rig) {
			for range 10 {
				r.tap(0)
				r.wait(8 * time.Second)
			}
		}, false},
		{"a broken disk", func(s setup) { s.rig.store.fault = lesson.ErrIO }, func(r *rig) {
			for range 100 {
				r.tap(0)
				r.wait(time.Second)
			}
		}, false},
		{"a slow disk", nil, func(r *rig) {
			r.store.set(func(s *store) { s.slow = 3 * time.Second })
			for range 60 {
				r.tap(0)
				r.wait(time.Second)
			}
		}, false},
		{"slow folds", func(s setup) { s.rig.store.folds = 10 * time.Second }, func(r *rig) {
			for range 30 {
				r.tap(0)
				r.wait(2 * time.Second)
			}
		}, false},
		{"a camera that hangs", func(s setup) { s.parts.Camera = slowToEnd{s.parts.Camera} }, func(r *rig) {
			r.change(func(s *scene) { s.fault = device.ErrAbsent })
		}, false},
		{"a model that hangs", func(s setup) {
			s.parts.OpenEmbedder = func() (inference.Embedder, error) {
				return &embedder{space: space(), takes: 10 * time.Minute}, nil
			}
		}, nil, true},
		{"a model that does not open", func(s setup) {
			s.parts.OpenEmbedder = func() (inference.Embedder, error) {
				time.Sleep(10 * time.Minute)
				return nil, errors.New("missing")
			}
		}, nil, true},
		{"a disk that hangs", nil, func(r *rig) {
			r.store.set(func(s *store) { s.slow = 10 * time.Minute })
			r.tap(0)
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var last, rest atomic.Int64 // since the beginning, and the longest pause
				began := time.Now()
				r := start(t, func(s setup) {
					if test.setup != nil {
						test.setup(s)
					}
					s.options.Progress = func() {
						now := int64(time.Since(began))
						rest.Store(max(rest.Load(), now-last.Swap(now)))
					}
				})
				if test.do != nil {
					r.settle()
					test.do(r)
				}
				r.wait(2 * time.Minute)
				since := time.Since(began) - time.Duration(last.Load())
				if test.hangs {
					if since < time.Minute {
						t.Errorf("progress %v ago", since)
					}
					r.wait(20 * time.Minute) // it was only slow
					return
				}
				if since > time.Second || time.Duration(rest.Load()) > time.Second {
					t.Errorf("progress %v ago, and a pause of %v (want at most 1 s)", since, time.Duration(rest.Load()))
				}
			})
		})
	}
}

// TestProgressBehindAHungView stops 30 s after somebody's view of the lesson
// began to hang, not before, and goes on afterwards.
func TestProgressBehindAHungView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		r := start(t, func(s setup) { s.options.Progress = func() { n.Add(1) } })
		r.settle()
		go func() { _ = r.box.WithLesson(t.Context(), func() { time.Sleep(time.Minute) }) }()
		for _, want := range []struct {
			wait time.Duration
			goes bool
		}{{29 * time.Second, true}, {2 * time.Second, true}, {20 * time.Second, false}, {10 * time.Second, true}} {
			before := n.Load()
			r.wait(want.wait)
			if goes := n.Load() > before; goes != want.goes {
				t.Errorf("at %v: progress: %t", time.Since(r.began), goes)
			}
		}
	})
}

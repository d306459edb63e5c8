package api

import (
	"net/http"
	"strconv"

	"teachbox/internal/lesson"
)

// Bounds of the history that can be asked for.
const (
	maxHistory   = 1000
	usualHistory = 20
)

type (
	history struct {
		Steps []Step `json:"steps"`
	}
	lessons struct {
		Lessons []Kept `json:"lessons"`
	}
)

func getDescription(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(description)
	return nil
}

func (s *Server) getSnapshot(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, s.snapshot())
}

func (s *Server) snapshot() Snapshot {
	events := s.events.newest() // before the snapshot: it may know more than they tell, never less
	seen := s.box.Snapshot()
	w := snapshotOf(&seen)
	w.Box, w.Running, w.Events = s.opt.Identity, s.opt.Running, events
	return w
}

func (s *Server) getLesson(w http.ResponseWriter, r *http.Request) error {
	var l InHand
	err := s.box.View(r.Context(), func(view Lesson) error {
		l.Contents = contentsOf(view.Contents())
		presses, err := view.Presses()
		if err != nil {
			return err
		}
		l.Presses = each(presses, pressOf)
		undo, redo, err := view.Next()
		if undo != nil {
			l.Undo = called(*undo)
		}
		if redo != nil {
			l.Redo = called(*redo)
		}
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, l)
}

// called is a step in a few words.
func called(s lesson.Step) string {
	if s.What == "" {
		return s.Kind
	}
	return s.Kind + " " + s.What
}

func (s *Server) getHistory(w http.ResponseWriter, r *http.Request) error {
	n := usualHistory
	if text := r.URL.Query().Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxHistory {
			return badInput("n=%.20q: want a number from 1 to %d", text, maxHistory)
		}
	}
	var h history
	err := s.box.View(r.Context(), func(view Lesson) error {
		steps, err := view.History(n)
		h.Steps = each(steps, stepOf)
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, h)
}

func (s *Server) getCheck(w http.ResponseWriter, r *http.Request) error {
	var c lesson.Check
	err := s.one(func() error {
		return s.box.View(r.Context(), func(view Lesson) (err error) {
			c, err = view.Check()
			return err
		})
	})
	if err != nil {
		return err
	}
	return reply(w, checkOf(c))
}

func (s *Server) getLessons(w http.ResponseWriter, r *http.Request) error {
	var l lessons
	err := s.box.View(r.Context(), func(view Lesson) error {
		kept, err := view.Kept()
		l.Lessons = each(kept, keptOf)
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, l)
}

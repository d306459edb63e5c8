package api

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"teachbox/internal/lesson"
)

// What is not an answer of a box is said to be none.
func TestStrangeAnswers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		handle http.HandlerFunc
		want   string
	}{
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, "is it another version of teachbox?"},
		{"empty", func(http.ResponseWriter, *http.Request) {}, "is it another version of teachbox?"},
		{"an error without a word", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "the box answers bad gateway"},
		{"an error of another kind", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error":null}`, 500) }, "the box answers internal server error"},
	} {
		c := NewLocalClient(tt.handle)
		if _, err := c.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		for _, err := range c.Events(t.Context(), 0, false) {
			if err == nil {
				t.Errorf("%s: an event", tt.name)
			}
		}
	}
}

// Half a file is not taken for a whole one, in the process neither.
func TestHalfFile(t *testing.T) {
	c := NewLocalClient(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "half")
	}))
	if err := c.Save(t.Context(), io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

// Edits that are sent in another way say so.
func TestNotToBeSent(t *testing.T) {
	c := NewLocalClient(http.NotFoundHandler())
	for _, e := range []lesson.Edit{lesson.Load{Path: "x"}, lesson.Erase{}} {
		if _, err := c.Edit(t.Context(), 1, e); err == nil || !strings.Contains(err.Error(), "use the method of its name") {
			t.Errorf("%T: %v", e, err)
		}
	}
}

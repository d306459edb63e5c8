package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How often a stream may show the box.
const (
	minEvery   = 50 * time.Millisecond
	maxEvery   = time.Minute
	usualEvery = 500 * time.Millisecond
)

const (
	linesType  = "application/x-ndjson"
	eventsType = "text/event-stream"
)

// getSnapshots shows the box now and then. Whoever reads slowly misses some.
func (s *Server) getSnapshots(w http.ResponseWriter, r *http.Request) error {
	every := usualEvery
	if text := r.URL.Query().Get("every"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || !(seconds >= minEvery.Seconds() && seconds <= maxEvery.Seconds()) { // NaN is not
			return badInput("every=%.20q: want seconds, %g to %g", text, minEvery.Seconds(), maxEvery.Seconds())
		}
		every = time.Duration(seconds * float64(time.Second))
	}
	out, err := s.open(w, r)
	if err != nil {
		return err
	}
	defer s.leave()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for out.send(0, s.snapshot()) == nil {
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return nil
		case <-s.ending:
			return nil
		}
	}
	return nil
}

// getEvents tells what happened, and with follow what happens.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	var after uint64
	var follow bool
	text := q.Get("after")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		text = last // a browser that comes back asks as it did at first
	}
	var err error
	if text != "" {
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			return badInput("after=%.20q: want the number of an event", text)
		}
	}
	if text := q.Get("follow"); text != "" {
		if follow, err = strconv.ParseBool(text); err != nil {
			return badInput("follow=%.20q: want true or false", text)
		}
	}
	out, err := s.open(w, r)
	if err != nil {
		return err
	}
	defer s.leave()
	for {
		events, last, news := s.events.since(after)
		for _, e := range events {
			if out.send(e.Number, e) != nil {
				return nil
			}
		}
		after = last
		if !follow {
			return nil
		}
		select {
		case <-news:
		case <-r.Context().Done():
			return nil
		case <-s.ending:
			return nil
		}
	}
}

// open begins a stream, which ends with leave.
func (s *Server) open(w http.ResponseWriter, r *http.Request) (*lines, error) {
	select {
	case s.streams <- struct{}{}:
	default:
		return nil, &Error{Status: http.StatusServiceUnavailable, Code: CodeTooMany, Message: fmt.Sprintf("%d watch already: end one of them", maxStreams)}
	}
	l := &lines{w: w, c: http.NewResponseController(w), sse: wantsEvents(r)}
	kind := linesType
	if l.sse {
		kind = eventsType
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(http.StatusOK)
	_ = l.c.Flush() // whoever waits for the first line knows that it will come
	return l, nil
}

func (s *Server) leave() { <-s.streams }

// wantsEvents reports whether a request is one of a browser's EventSource.
func wantsEvents(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		for kind := range strings.SplitSeq(accept, ",") {
			if t, _, _ := mime.ParseMediaType(kind); t == eventsType {
				return true
			}
		}
	}
	return false
}

// lines sends values, one a line: of JSON, or as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type lines struct {
	w   http.ResponseWriter
	c   *http.ResponseController
	sse bool
	buf bytes.Buffer
}

// send sends one value at once. A number other than 0 becomes the event's id.
func (l *lines) send(number uint64, v any) error {
	l.buf.Reset()
	if l.sse {
		if number != 0 {
			fmt.Fprintf(&l.buf, "id: %d\n", number)
		}
		l.buf.WriteString("data: ")
	}
	if err := json.NewEncoder(&l.buf).Encode(v); err != nil { // ends the line
		return err
	}
	if l.sse {
		l.buf.WriteByte('\n')
	}
	if _, err := l.w.Write(l.buf.Bytes()); err != nil {
		return err
	}
	return l.c.Flush()
}

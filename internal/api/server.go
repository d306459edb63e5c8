package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	_ "embed"

	"golang.org/x/time/rate"
)

const (
	prefix   = "/api/v1"
	jsonType = "application/json"
	// runHeader carries the id of the run, in which events count, with every
	// answer.
	runHeader = "Teachbox-Run"
)

// Bounds of what others may ask for.
const (
	maxHeader      = 16 << 10
	maxCommand     = 64 << 10
	maxFile        = 1 << 30 // a lesson to load, in bytes
	maxConnections = 64
	maxStreams     = 16
	perSecond      = 20 // requests that the lesson is needed for
	burst          = 40

	headerTime = 5 * time.Second
	idleTime   = time.Minute
	// stall is how long the other side may take to send or take anything at all.
	stall = 10 * time.Second
)

//go:embed openapi.yaml
var description []byte

// Options says who answers and where.
type Options struct {
	Identity Identity // its Run is made by New
	Running  bool     // there is a box; otherwise only the lesson is open
	// TempDir is where lesson files are while they are sent or received. It is
	// the box's own: what an earlier run left there is removed.
	TempDir string
}

// A Server answers requests about one box.
type Server struct {
	box      Box
	opt      Options
	handler  http.Handler
	server   http.Server
	events   ring
	requests *rate.Limiter // that the lesson is needed for
	streams  chan struct{} // one entry for each that is open
	whole    chan struct{} // one entry while a request needs the whole lesson
	maxFile  int64
	ending   chan struct{}
	end      func()
}

// New returns the handlers for a box.
func New(b Box, o Options) *Server {
	o.Identity.Run = rand.Text()
	s := &Server{
		box: b, opt: o,
		requests: rate.NewLimiter(perSecond, burst),
		streams:  make(chan struct{}, maxStreams),
		whole:    make(chan struct{}, 1),
		maxFile:  maxFile,
		ending:   make(chan struct{}),
	}
	s.end = sync.OnceFunc(func() { close(s.ending) })
	s.handler = s.mux()
	s.server = http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		// net/http adds 4096 bytes to what it is told.
		MaxHeaderBytes: maxHeader - 4096,
	}
	removeTemp(o.TempDir)
	return s
}

// Serve answers on a listener until Shutdown. The listener is closed then.
func (s *Server) Serve(l net.Listener) error {
	err := s.server.Serve(newBounded(l, maxConnections))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown ends the streams, waits for what else is being answered and closes
// every connection. When ctx ends it waits no longer.
func (s *Server) Shutdown(ctx context.Context) error {
	s.end()
	if err := s.server.Shutdown(ctx); err != nil {
		s.server.Close()
		return err
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set(runHeader, s.opt.Identity.Run)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	c := http.NewResponseController(w)
	t := timed{w, c}
	if r.Body != nil && r.Body != http.NoBody {
		_ = c.SetReadDeadline(time.Now().Add(stall)) // as in timed
		r.Body = timedBody{r.Body, c}
	}
	s.handler.ServeHTTP(t, r)
}

// timed gives every write its own time, so that whoever takes nothing is
// dropped. In the process there are no deadlines, and nobody to drop.
type timed struct {
	http.ResponseWriter
	c *http.ResponseController
}

func (t timed) Write(p []byte) (int, error) {
	_ = t.c.SetWriteDeadline(time.Now().Add(stall))
	return t.ResponseWriter.Write(p)
}

// FlushError is for http.ResponseController.
func (t timed) FlushError() error {
	_ = t.c.SetWriteDeadline(time.Now().Add(stall))
	return t.c.Flush()
}

// timedBody does the same for reading.
type timedBody struct {
	io.ReadCloser
	c *http.ResponseController
}

func (t timedBody) Read(p []byte) (int, error) {
	_ = t.c.SetReadDeadline(time.Now().Add(stall))
	return t.ReadCloser.Read(p)
}

// A route is one thing that can be asked for.
type route struct {
	method, path string // path below prefix
	// lesson says that it needs the lesson: the box does nothing else with that
	// meanwhile, so such requests are limited.
	lesson bool
	// handle answers, or returns an error before it has written anything.
	handle func(w http.ResponseWriter, r *http.Request) error
}

func (s *Server) routes() []route {
	return []route{
		{http.MethodGet, "/snapshot", false, s.getSnapshot},
		{http.MethodGet, "/snapshots", false, s.getSnapshots},
		{http.MethodGet, "/events", false, s.getEvents},
		{http.MethodGet, "/lesson", true, s.getLesson},
		{http.MethodGet, "/lesson/history", true, s.getHistory},
		{http.MethodGet, "/lesson/check", true, s.getCheck},
		{http.MethodGet, "/lesson/file", true, s.getFile},
		{http.MethodPut, "/lesson/file", true, s.putFile},
		{http.MethodGet, "/lessons", true, s.getLessons},
		{http.MethodPost, "/commands/{name}", true, s.postCommand},
		{http.MethodGet, "/openapi.yaml", false, getDescription},
	}
}

func (s *Server) mux() *http.ServeMux {
	m := http.NewServeMux()
	handle := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := f(w, r); err != nil {
				fail(w, err)
			}
		})
	}
	methods := make(map[string][]string)
	for _, r := range s.routes() {
		answer := r.handle
		if r.lesson {
			answer = s.limited(answer)
		}
		handle(r.method+" "+prefix+r.path, answer)
		methods[r.path] = append(methods[r.path], r.method)
	}
	for path, allowed := range methods {
		refuse := func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			return &Error{Status: http.StatusMethodNotAllowed, Code: CodeMethod, Message: fmt.Sprintf("%.20s: not here: use %s", r.Method, strings.Join(allowed, " or "))}
		}
		handle(prefix+path, refuse)
		handle("HEAD "+prefix+path, refuse) // GET would do it: a stream without an end
	}
	handle("/", func(_ http.ResponseWriter, r *http.Request) error {
		return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Message: fmt.Sprintf("%.100q: there is nothing: see %s/openapi.yaml", r.URL.Path, prefix)}
	})
	return m
}

// limited refuses what comes too fast.
func (s *Server) limited(handle func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !s.requests.Allow() {
			return &Error{Status: http.StatusTooManyRequests, Code: CodeTooMany, Message: fmt.Sprintf("more than %d requests a second: wait a second", perSecond)}
		}
		return handle(w, r)
	}
}

// one calls f, which needs the whole lesson, unless another such is called.
func (s *Server) one(f func() error) error {
	select {
	case s.whole <- struct{}{}:
		defer func() { <-s.whole }()
		return f()
	default:
		return &Error{Status: http.StatusServiceUnavailable, Code: CodeBusy, Message: "the lesson is being sent, received or checked: wait until that is done"}
	}
}

// reply answers with JSON.
func reply(w http.ResponseWriter, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", jsonType)
	_, _ = w.Write(data) // whoever asked may be gone
	return nil
}

// failure is what an Error is sent in.
type failure struct {
	Error *Error `json:"error"`
}

// fail answers with an error.
func fail(w http.ResponseWriter, err error) {
	e := errorOf(err)
	data, err := json.Marshal(failure{e})
	if err != nil {
		panic(err) // it is two strings and two numbers
	}
	w.Header().Set("Content-Type", jsonType)
	if e.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write(data)
}

func badInput(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: CodeBadInput, Message: fmt.Sprintf(format, args...)}
}

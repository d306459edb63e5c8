package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"go.uber.org/goleak"

	"teachbox/device"
	"teachbox/inference"
	"teachbox/internal/box"
	"teachbox/internal/lesson"
)

func TestMain(m *testing.M) {
	openapi3filter.RegisterBodyDecoder(fileType, openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder(eventsType, openapi3filter.PlainBodyDecoder)
	goleak.VerifyTestMain(m)
}

var testSpace = inference.Space{Model: "c4149e63", Cut: "pool", Crop: "squash", Filter: 1}

// A fakeBox is a lesson that stands in for a box.
type fakeBox struct {
	testing.TB
	mu     sync.Mutex // held while the lesson is used
	store  *lesson.Store
	reload error

	state    sync.Mutex
	snapshot box.Snapshot
}

func newBox(t testing.TB) *fakeBox {
	t.Helper()
	store, err := lesson.Open(lesson.Options{
		Path: filepath.Join(t.TempDir(), "lesson.db"), KeepPictures: lesson.KeepLesson,
		Now: func() lesson.Moment {
			return lesson.Moment{Boot: "test", Since: 90 * time.Second, Wall: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b := &fakeBox{TB: t, store: store}
	b.publish()
	return b
}

// teach keeps a press of some frames, and returns its id.
func (b *fakeBox) teach(button device.Button, frames int) string {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	id := lesson.NewPressID()
	r := rand.New(rand.NewPCG(1, uint64(button)))
	for n := range frames {
		q := make([]uint8, 64)
		for i := range q {
			q[i] = uint8(1 + r.IntN(200))
		}
		_, err := b.store.Keep(lesson.Keep{
			Button: button, Press: id, Embedding: inference.Embedding{Q: q, Space: testSpace},
			Picture: append([]byte{0xff, 0xd8}, fmt.Sprint("picture ", n)...),
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.publish()
	return id
}

// publish makes the lesson visible. The caller has it for itself.
func (b *fakeBox) publish() {
	c := b.store.Contents()
	b.show(func(s *box.Snapshot) { s.Contents, s.Locked = c, c.Locked })
}

func (b *fakeBox) show(change func(*box.Snapshot)) {
	b.state.Lock()
	defer b.state.Unlock()
	change(&b.snapshot)
}

func (b *fakeBox) Snapshot() box.Snapshot {
	b.state.Lock()
	defer b.state.Unlock()
	s := b.snapshot
	s.At = time.Now()
	return s
}

func (b *fakeBox) Edit(_ context.Context, revision int64, e lesson.Edit) (lesson.Result, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.publish()
	return b.store.Edit(revision, e)
}

func (b *fakeBox) View(_ context.Context, f func(Lesson) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return f(b.store)
}

func (b *fakeBox) SetLocked(_ context.Context, locked bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.publish()
	return b.store.SetLocked(locked)
}

func (b *fakeBox) Acknowledge(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.store.Acknowledge()
}

func (b *fakeBox) Reload(context.Context) error { return b.reload }

func (b *fakeBox) contents() lesson.Contents { return b.Snapshot().Contents }

// newServer makes a server with a folder of its own. A box of nil is one that
// has no lesson.
func newServer(t testing.TB, b Box) *Server {
	t.Helper()
	return New(b, Options{Identity: Identity{Version: "test", State: "state", Simulated: true, PID: 1}, Running: true, TempDir: t.TempDir()})
}

// local returns a client of a server in the process, held to the description.
func local(t testing.TB, s *Server) *Client {
	t.Helper()
	c := NewLocalClient(s)
	c.http.Transport = newJudge(t, c.http.Transport)
	return c
}

// serve answers on pipes until the test ends.
func serve(t testing.TB, s *Server) func(context.Context) (net.Conn, error) {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.dial
}

// remote returns a client over such pipes, held to the description.
func remote(t testing.TB, s *Server) *Client {
	t.Helper()
	c := NewClient(serve(t, s))
	c.http.Transport = newJudge(t, c.http.Transport)
	t.Cleanup(c.Close)
	return c
}

// pipes is a listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// document is openapi.yaml, read once for all tests.
var document = sync.OnceValues(func() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(description) })

func readDocument(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// A judge holds every request and answer to the description.
type judge struct {
	t      testing.TB
	next   http.RoundTripper
	router routers.Router
	doc    *openapi3.T
}

func newJudge(t testing.TB, next http.RoundTripper) *judge {
	t.Helper()
	doc := readDocument(t)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &judge{t, next, router, doc}
}

// unjudged marks requests that are meant to be wrong: only the answers to them
// are judged.
type unjudged struct{}

func (j *judge) CloseIdleConnections() {
	if c, ok := j.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (j *judge) RoundTrip(r *http.Request) (*http.Response, error) {
	route, params, err := j.router.FindRoute(r)
	if err != nil {
		j.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		return nil, err
	}
	in := &openapi3filter.RequestValidationInput{Request: r, Route: route, PathParams: params, Options: &openapi3filter.Options{
		// A body whose length is not told is sent as it comes.
		ExcludeRequestBody: r.Body != nil && r.ContentLength <= 0, SkipSettingDefaults: true,
	}}
	if r.Context().Value(unjudged{}) == nil {
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			j.t.Errorf("%s %s: the request is not as described: %v", r.Method, r.URL, err)
		}
	}
	reply, err := j.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	stream := reply.Header.Get("Content-Type") == linesType
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: reply.StatusCode, Header: reply.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: stream},
	}
	if reply.Header.Get(runHeader) == "" {
		j.t.Errorf("%s %s: the answer has no %s", r.Method, r.URL, runHeader)
	}
	if stream {
		schema := route.Operation.Responses.Value("200").Value.Content[linesType].Schema.Value
		reply.Body = &judgedLines{ReadCloser: reply.Body, j: j, schema: schema}
	} else {
		data, err := io.ReadAll(reply.Body)
		reply.Body.Close()
		if err != nil {
			return nil, err
		}
		reply.Body = io.NopCloser(bytes.NewReader(data))
		out.SetBodyBytes(data)
	}
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		j.t.Errorf("%s %s: the answer is not as described: %v", r.Method, r.URL, err)
	}
	return reply, nil
}

// judgedLines are held to a schema line by line, as they are read.
type judgedLines struct {
	io.ReadCloser
	j      *judge
	schema *openapi3.Schema
	rest   []byte
}

func (l *judgedLines) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	l.rest = append(l.rest, p[:n]...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return n, err
		}
		l.rest = rest
		var v any
		if err := json.Unmarshal(line, &v); err != nil {
			l.j.t.Errorf("line %s: %v", line, err)
		} else if err := l.schema.VisitJSON(v); err != nil {
			l.j.t.Errorf("line %s: not as described: %v", line, err)
		}
	}
}

// ask sends a request that may be wrong, and returns the answer whole.
func ask(t testing.TB, c *Client, method, path, contentType, body string) (status int, answer []byte, header http.Header) {
	t.Helper()
	ctx := context.WithValue(t.Context(), unjudged{}, true)
	r, err := http.NewRequestWithContext(ctx, method, "http://teachbox"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	reply, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if answer, err = io.ReadAll(reply.Body); err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, answer, reply.Header
}

// refused demands an Error with a code.
func refused(t testing.TB, err error, code string, status int) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v, want %s", err, code)
	}
	if e.Code != code || e.Status != status || e.Message == "" {
		t.Fatalf("got %d %s (%s), want %d %s", e.Status, e.Code, e.Message, status, code)
	}
	return e
}

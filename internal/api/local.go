package api

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// A localTransport calls handlers in the process, streams included.
type localTransport struct{ h http.Handler }

// RoundTrip implements http.RoundTripper. The handler runs until the body of the
// reply is closed.
func (t localTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	in := r.Clone(ctx)
	if in.Body == nil {
		in.Body = http.NoBody
	}
	pr, pw := io.Pipe()
	w := &localWriter{header: make(http.Header), body: pw, begun: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer in.Body.Close()
		t.h.ServeHTTP(w, in)
		w.WriteHeader(http.StatusOK) // if nothing was written
		if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil && n != w.written {
			pw.CloseWithError(io.ErrUnexpectedEOF) // as over a connection
		}
		pw.Close()
	}()
	<-w.begun
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Header: w.sent,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: -1, Request: r,
		Body: localBody{pr, func() {
			cancel()
			pr.Close()
			<-ended
		}},
	}, nil
}

type localBody struct {
	io.Reader
	close func()
}

func (b localBody) Close() error {
	b.close()
	return nil
}

// A localWriter is the reply that a handler writes.
type localWriter struct {
	header  http.Header
	body    *io.PipeWriter
	written int64
	once    sync.Once
	begun   chan struct{} // closed once the next two are set
	status  int
	sent    http.Header
}

// Header implements http.ResponseWriter.
func (w *localWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *localWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.begun)
	})
}

func (w *localWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	n, err := w.body.Write(p)
	w.written += int64(n)
	return n, err
}

// Flush implements http.Flusher. What was written has arrived already.
func (w *localWriter) Flush() { w.WriteHeader(http.StatusOK) }

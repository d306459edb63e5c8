package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"teachbox/internal/lesson"
)

// maxFailure bounds what a box may say about an error, in bytes.
const maxFailure = 64 << 10

// A Client speaks to a box. Its methods may be called from several goroutines.
// What the box refuses comes back as *Error; any other error means that it was
// not reached.
type Client struct {
	http http.Client
}

// NewClient returns a client that reaches the box through connections made by
// dial, such as to its Unix socket.
func NewClient(dial func(ctx context.Context) (net.Conn, error)) *Client {
	return &Client{http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableCompression: true,
	}}}
}

// NewLocalClient returns a client that calls the handlers of a server in this
// process. When a method has returned, and a stream was left, no handler runs.
func NewLocalClient(h http.Handler) *Client {
	return &Client{http.Client{Transport: localTransport{h}}}
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Snapshot returns the box at this moment.
func (c *Client) Snapshot(ctx context.Context) (s Snapshot, err error) {
	err = c.get(ctx, "/snapshot", &s)
	return s, err
}

// Snapshots returns a snapshot now and then until ctx ends, the box does or
// the loop is left. every is 50 ms to a minute.
func (c *Client) Snapshots(ctx context.Context, every time.Duration) iter.Seq2[Snapshot, error] {
	return stream[Snapshot](ctx, c, "/snapshots", url.Values{"every": {strconv.FormatFloat(every.Seconds(), 'f', -1, 64)}})
}

// Events returns the events whose numbers are greater than after, as far as
// they are not forgotten. With follow it goes on with what happens, until ctx
// ends, the box does or the loop is left.
func (c *Client) Events(ctx context.Context, after uint64, follow bool) iter.Seq2[Event, error] {
	return stream[Event](ctx, c, "/events", url.Values{
		"after": {strconv.FormatUint(after, 10)}, "follow": {strconv.FormatBool(follow)},
	})
}

// Lesson returns the lesson in hand.
func (c *Client) Lesson(ctx context.Context) (l InHand, err error) {
	err = c.get(ctx, "/lesson", &l)
	return l, err
}

// History returns the last n operations on the lesson in hand, the newest
// first. n is 1 to 1000.
func (c *Client) History(ctx context.Context, n int) ([]Step, error) {
	var h history
	err := c.get(ctx, "/lesson/history?n="+strconv.Itoa(n), &h)
	return h.Steps, err
}

// Check reads the whole lesson file and tells what it holds.
func (c *Client) Check(ctx context.Context) (k Check, err error) {
	err = c.get(ctx, "/lesson/check", &k)
	return k, err
}

// Lessons lists the lessons that were put away, the last one first.
func (c *Client) Lessons(ctx context.Context) ([]Kept, error) {
	var l lessons
	err := c.get(ctx, "/lessons", &l)
	return l.Lessons, err
}

// Save writes the lesson in hand to w, as a file that Load takes. After an
// error what was written is to be thrown away.
func (c *Client) Save(ctx context.Context, w io.Writer) error {
	r, err := c.do(ctx, http.MethodGet, "/lesson/file", "", nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if _, err := io.Copy(w, r.Body); err != nil {
		return fmt.Errorf("saving the lesson: %w", err)
	}
	return nil
}

// Load takes the lesson of a file that Save wrote in hand, if the lesson is
// still at a revision.
func (c *Client) Load(ctx context.Context, revision int64, file io.Reader) (Done, error) {
	return c.reply(ctx, http.MethodPut, "/lesson/file?revision="+strconv.FormatInt(revision, 10), fileType, file)
}

// Edit carries out one edit, if the lesson is still at a revision; there is no
// lesson.AnyRevision. Load and Erase are methods of their own.
func (c *Client) Edit(ctx context.Context, revision int64, e lesson.Edit) (Done, error) {
	name, o, err := orderFor(revision, e)
	if err != nil {
		return Done{}, err
	}
	return c.command(ctx, name, o)
}

// Erase removes everything that was ever taught, if the lesson is still at a
// revision. confirm is the id of the lesson in hand.
func (c *Client) Erase(ctx context.Context, revision int64, confirm string) (Done, error) {
	return c.command(ctx, "erase", erase{plain{revision}, confirm})
}

// SetLocked locks or unlocks teaching.
func (c *Client) SetLocked(ctx context.Context, locked bool) (Done, error) {
	if locked {
		return c.command(ctx, "lock", struct{}{})
	}
	return c.command(ctx, "unlock", struct{}{})
}

// Acknowledge says that somebody has seen to what the box reported about its
// lesson file.
func (c *Client) Acknowledge(ctx context.Context) (Done, error) {
	return c.command(ctx, "acknowledge", struct{}{})
}

// Reload makes the box read its configuration again.
func (c *Client) Reload(ctx context.Context) (Done, error) {
	return c.command(ctx, "reload", struct{}{})
}

func (c *Client) command(ctx context.Context, name string, body any) (Done, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return Done{}, err
	}
	return c.reply(ctx, http.MethodPost, "/commands/"+name, jsonType, bytes.NewReader(data))
}

func (c *Client) get(ctx context.Context, path string, v any) error {
	r, err := c.do(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	return decodeReply(r, v)
}

func (c *Client) reply(ctx context.Context, method, path, contentType string, body io.Reader) (d Done, err error) {
	r, err := c.do(ctx, method, path, contentType, body)
	if err != nil {
		return Done{}, err
	}
	err = decodeReply(r, &d)
	return d, err
}

func decodeReply(r *http.Response, v any) error {
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		return fmt.Errorf("the answer of the box: %w: is it another version of teachbox?", err)
	}
	return nil
}

// do sends a request. The reply is one of success; its body is to be closed.
func (c *Client) do(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://teachbox"+prefix+path, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	r, err := c.http.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the address means nothing to people
		}
		return nil, fmt.Errorf("the box does not answer: %w", err)
	}
	if r.StatusCode == http.StatusOK {
		return r, nil
	}
	defer r.Body.Close()
	var f failure
	err = json.NewDecoder(io.LimitReader(r.Body, maxFailure)).Decode(&f)
	if err != nil || f.Error == nil {
		f.Error = &Error{Code: CodeInternal, Message: "the box answers " + strings.ToLower(http.StatusText(r.StatusCode))}
	}
	f.Error.Status = r.StatusCode
	return nil, f.Error
}

// stream reads lines of JSON as they come. A box that ends, or ctx, ends the
// stream without an error.
func stream[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		r, err := c.do(ctx, http.MethodGet, path+"?"+query.Encode(), "", nil)
		if err != nil {
			yield(none, err)
			return
		}
		defer r.Body.Close()
		for lines := json.NewDecoder(r.Body); ; {
			var v T
			switch err := lines.Decode(&v); {
			case err == io.EOF, ctx.Err() != nil:
				return
			case err != nil:
				yield(none, fmt.Errorf("the box stopped answering: %w", err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

package camera

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"teachbox/device"
)

// A stream is the reading end of a pipe.
type stream interface {
	io.Reader
	SetReadDeadline(time.Time) error
}

// A splitter finds the pictures in a stream. What was read goes into space and
// is announced with add; then next is called until it returns nil.
type splitter interface {
	space() []byte // room for at least one byte
	add(n int)
	next() []byte // a whole picture, valid until space is called
	silent()      // nothing came for half a frame interval
}

// split calls put for the pictures of a stream, count from 1, until the stream
// ends or is closed; the error is then nil. Of pictures that arrive together
// only the newest is put, but all are counted. The error wraps device.ErrStall
// if the stream falls silent, and device.ErrFormat if it goes on without a whole
// picture in it.
func split(r stream, s splitter, interval time.Duration, put func(pix []byte, count uint64)) error {
	var count uint64
	noise := 0 // bytes since the last picture
	patience := rpiStart
	due := time.Now().Add(patience)
	for {
		deadline := time.Now().Add(interval / 2)
		if deadline.After(due) {
			deadline = due
		}
		_ = r.SetReadDeadline(deadline) // Read says why it fails, if it does
		n, err := r.Read(s.space())
		s.add(n)
		noise += n
		var newest []byte
		for pix := s.next(); pix != nil; pix = s.next() {
			count++
			newest = pix
		}
		if newest != nil {
			put(newest, count)
			noise = 0
			patience = rpiSilence + min(2*interval, rpiLeeway)
			due = time.Now().Add(patience)
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.silent()
		case errors.Is(err, io.EOF) || errors.Is(err, fs.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("%w: reading the pipe: %w", device.ErrStall, err)
		}
		switch {
		case time.Now().Before(due):
		case noise > 0:
			return fmt.Errorf("%w: it gave %d bytes in %v, but no whole picture,", device.ErrFormat, noise, patience.Round(time.Second/10))
		default:
			return fmt.Errorf("%w: it gave nothing for %v", device.ErrStall, patience.Round(time.Second/10))
		}
	}
}

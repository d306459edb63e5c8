package camera

import (
	"bytes"
	"encoding/binary"
)

// The markers of JPEG that bound pictures and their parts (ITU-T T.81, table
// B.1). Each follows a byte of 0xff.
const (
	markStuffed = 0x00 // no marker: a byte of 0xff in entropy-coded data
	markTEM     = 0x01
	markRST0    = 0xd0
	markRST7    = 0xd7
	markSOI     = 0xd8
	markEOI     = 0xd9
	markSOS     = 0xda
)

// An mjpegSplitter finds the pictures in a stream of JPEGs, one after another.
// It walks from marker to marker and over the segments in between, so that a
// thumbnail within a picture neither begins nor ends it, and takes up again at
// the next picture after garbage.
type mjpegSplitter struct {
	buf   []byte // what was read; never grows beyond its capacity
	start int    // what lies before was given or is garbage
	begun bool   // an SOI is at start, and:
	pos   int    // the picture was walked up to here
	coded bool   // pos is within entropy-coded data
	scans bool   // there was some
}

// newMJPEG returns a splitter for pictures of up to limit bytes, which is also
// the most that it holds.
func newMJPEG(limit int) *mjpegSplitter {
	return &mjpegSplitter{buf: make([]byte, 0, limit)}
}

func (s *mjpegSplitter) space() []byte {
	s.buf = s.buf[:copy(s.buf, s.buf[s.start:])]
	s.pos -= s.start
	s.start = 0
	return s.buf[len(s.buf):cap(s.buf)]
}

func (s *mjpegSplitter) add(n int) { s.buf = s.buf[:len(s.buf)+n] }

// silent does nothing: the marks say where pictures begin.
func (s *mjpegSplitter) silent() {}

func (s *mjpegSplitter) next() []byte {
	for s.begun || s.begin() {
		switch s.walk() {
		case walkMore:
			if len(s.buf)-s.start < cap(s.buf) {
				return nil
			}
			s.abandon(s.start + 2) // too large
		case walkWhole:
			pix := s.buf[s.start:s.pos]
			s.abandon(s.pos)
			return pix
		case walkBroken:
			// What seemed to be a segment may have covered the next SOI.
			s.abandon(s.start + 2)
		case walkAnew:
			s.abandon(s.pos)
		}
	}
	return nil
}

// begin looks for the beginning of a picture: SOI and the first byte of the
// marker that always follows.
func (s *mjpegSplitter) begin() bool {
	i := bytes.Index(s.buf[s.start:], []byte{0xff, markSOI, 0xff})
	if i < 0 {
		s.start = max(s.start, len(s.buf)-2) // it may have come in part
		return false
	}
	s.start += i
	s.pos = s.start + 2
	s.begun, s.coded, s.scans = true, false, false
	return true
}

// abandon looks for the next picture from at on.
func (s *mjpegSplitter) abandon(at int) { s.start, s.begun = at, false }

// What a walk ends with.
type walked int

const (
	walkMore   walked = iota // pos is the end of what has come
	walkWhole                // pos is the end of the picture
	walkBroken               // this is no picture
	walkAnew                 // another picture begins at pos, and this one has no end
)

// walk goes on from pos.
func (s *mjpegSplitter) walk() walked {
	for {
		if s.coded {
			i := bytes.IndexByte(s.buf[s.pos:], 0xff)
			if i < 0 {
				s.pos = len(s.buf)
				return walkMore
			}
			s.pos += i
		}
		if len(s.buf) < s.pos+2 {
			return walkMore
		}
		if s.buf[s.pos] != 0xff {
			return walkBroken
		}
		mark := s.buf[s.pos+1]
		switch {
		case mark == 0xff: // any number of these may come before a marker
			s.pos++
			continue
		case mark == markStuffed && s.coded, mark == markTEM, mark >= markRST0 && mark <= markRST7:
			s.pos += 2
			continue
		case mark == markStuffed:
			return walkBroken
		case mark == markSOI:
			return walkAnew
		case mark == markEOI:
			s.pos += 2
			if !s.scans {
				return walkBroken
			}
			return walkWhole
		}
		s.coded = false
		if len(s.buf) < s.pos+4 {
			return walkMore
		}
		length := int(binary.BigEndian.Uint16(s.buf[s.pos+2:])) // with itself
		end := s.pos + 2 + length
		if length < 2 || end-s.start > cap(s.buf) {
			return walkBroken
		}
		if len(s.buf) < end {
			return walkMore
		}
		s.pos = end
		if mark == markSOS {
			s.coded, s.scans = true, true
		}
	}
}

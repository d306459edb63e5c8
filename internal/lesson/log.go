package lesson

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
)

// Sizes in a write-ahead log (https://sqlite.org/fileformat2.html#walformat).
const (
	logHeader   = 32
	frameHeader = 24
	minPage     = 512
	maxPage     = 1 << 16
	usualPage   = 4096 // of the files that this package makes
)

// verifyLog reports a write-ahead log that was damaged; SQLite reads one up to
// the damage and says nothing. A log that a pulled plug cut short is well. No
// log is well, too.
func verifyLog(d disk, path string) error {
	f, err := d.OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	broken, err := brokenLog(f)
	if err == nil && broken {
		err = &finding{ErrDamaged, "a part of its log cannot be read"}
	}
	return err
}

// brokenLog reports whether something was acknowledged that cannot be read any
// more. A pulled plug leaves one transaction incomplete at most, the last. So
// if one ends behind the first frame that does not fit, and another one
// follows, the plug is not to blame. The last transaction cannot be judged.
func brokenLog(r io.Reader) (bool, error) {
	b := bufio.NewReader(r)
	var header [logHeader]byte
	if _, err := io.ReadFull(b, header[:]); err != nil {
		return false, notEOF(err)
	}
	sum := logSum{order: binary.BigEndian}
	if header[3]&1 == 0 {
		sum.order = binary.LittleEndian
	}
	sum.add(header[:24])
	fits := sum.is(header[24:])
	size, salt := int(binary.BigEndian.Uint32(header[8:])), header[16:24]
	if !fits || size < minPage || size > maxPage {
		fits, size, salt = false, usualPage, nil // the salt in which two frames agree
	}

	frame := make([]byte, frameHeader+size)
	var last []byte // salt
	ended := false  // a transaction, behind the first frame that does not fit
	for {
		if _, err := io.ReadFull(b, frame); err != nil {
			return false, notEOF(err)
		}
		if salt == nil {
			if !bytes.Equal(frame[8:16], last) {
				last = bytes.Clone(frame[8:16])
				continue
			}
			salt = last
		}
		if !bytes.Equal(frame[8:16], salt) {
			fits = false // damaged, or left from before the log was begun again
			continue
		}
		if ended {
			return true, nil
		}
		sum.add(frame[:8])
		sum.add(frame[frameHeader:])
		fits = fits && sum.is(frame[16:24])
		ended = !fits && binary.BigEndian.Uint32(frame[4:]) != 0
	}
}

// notEOF is an error of reading that is not the end of the file.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// A logSum is SQLite's checksum of a log so far.
type logSum struct {
	order binary.ByteOrder
	a, b  uint32
}

// add goes on with data, a multiple of 8 bytes.
func (s *logSum) add(data []byte) {
	for ; len(data) >= 8; data = data[8:] {
		s.a += s.order.Uint32(data) + s.b
		s.b += s.order.Uint32(data[4:]) + s.a
	}
}

func (s *logSum) is(stored []byte) bool {
	return s.a == binary.BigEndian.Uint32(stored) && s.b == binary.BigEndian.Uint32(stored[4:])
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// controlName is the name of the control socket in its folder.
const controlName = "control.sock"

// controlMode lets the user of the box and its group speak to it.
const controlMode = 0o660

// answerWithin is how long a box may take to say how it is, which it does at
// once unless it hangs or its machine is very busy.
const answerWithin = 10 * time.Second

// A folder is an open folder, by which files in it have a short name: the
// address of a socket holds 107 bytes, and folders may be anywhere.
type folder struct {
	*os.File
	path string // for people
}

func openFolder(path string) (*folder, error) {
	f, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &folder{f, path}, nil
}

// name is that of a file in the folder, as long as the folder is open.
func (f *folder) name(file string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), file)
}

// A controlSocket is where a box listens. Close removes it.
type controlSocket struct {
	net.Listener
	folder *folder
}

// listenControl makes the control socket in a folder. One that nobody listens on
// any more is removed; one that answers is another box's.
func listenControl(ctx context.Context, dir string) (_ *controlSocket, err error) {
	path := filepath.Join(dir, controlName)
	defer func() {
		if err != nil {
			err = fmt.Errorf("control socket %s: %w", path, err)
		}
	}()
	f, err := openFolder(dir)
	if err != nil {
		return nil, bare(err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	switch c, err := dialControl(ctx, path); {
	case err == nil:
		c.Close()
		return nil, errors.New("another box runs here (stop that one, or give this one a folder of its own: --state)")
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := removeDead(f.name(controlName)); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// The file gets the mode of the socket, so nobody else can come in
		// between.
		var failed error
		err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), controlMode) })
		return errors.Join(err, failed)
	}}
	l, err := config.Listen(ctx, "unix", f.name(controlName))
	if err != nil {
		return nil, bare(err)
	}
	// Less what the umask took away.
	if err := os.Chmod(f.name(controlName), controlMode); err != nil {
		l.Close()
		return nil, bare(err)
	}
	return &controlSocket{l, f}, nil
}

// removeDead removes a socket that nobody listens on.
func removeDead(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return bare(err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is something else of that name (take it away)")
	}
	return bare(os.Remove(path))
}

// Close implements net.Listener. It may be repeated.
func (s *controlSocket) Close() error {
	err := s.Listener.Close() // removes the file by the folder
	s.folder.Close()
	return err
}

// dialControl connects to the control socket with that path.
func dialControl(ctx context.Context, path string) (net.Conn, error) {
	f, err := openFolder(filepath.Dir(path))
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", f.name(filepath.Base(path)))
	if err != nil {
		return nil, bare(err)
	}
	return c, nil
}

// bare is an error of the system without the names that it was given, which are
// not those that people know.
func bare(err error) error {
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no
	}
	return err
}

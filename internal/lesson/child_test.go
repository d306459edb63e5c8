package lesson

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"teachbox/device"
	"teachbox/inference/head"
)

// The tests start this program again as another process, to kill it, to take
// rights away from it, or to hold a lock.
func TestMain(m *testing.M) {
	if role := os.Getenv("TEACHBOX_LESSON_CHILD"); role != "" {
		os.Exit(child(role, os.Getenv("TEACHBOX_LESSON_PATH")))
	}
	os.Exit(m.Run())
}

// startChild runs this program in a role; its standard output comes back.
func startChild(t testing.TB, role, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "TEACHBOX_LESSON_CHILD="+role, "TEACHBOX_LESSON_PATH="+path)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewScanner(out)
}

// runChild runs a role to its end, which must be good.
func runChild(t testing.TB, role, path string) {
	t.Helper()
	c, out := startChild(t, role, path)
	for out.Scan() {
		t.Errorf("%s: %s", role, out.Text())
	}
	if err := c.Wait(); err != nil {
		t.Errorf("%s: %v", role, err)
	}
}

func child(role, path string) int {
	var err error
	switch role {
	case "keep":
		err = childKeep(path)
	case "hold":
		err = childHold(path)
	case "unprivileged":
		err = childUnprivileged(path)
	case "bounded":
		err = childBounded(path)
	default:
		err = fmt.Errorf("unknown role")
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// An ack is what the child "keep" prints when a frame was acknowledged. What
// frame N is follows from N alone.
type ack struct {
	N      int
	Seq    int64
	Frames int    // in the lesson
	Digest string // of what its fold would be given
}

// foldInput hashes what a fold would be given, without the work of folding.
func foldInput(s *Store) string {
	return digest(head.Params{}, s.contents.thin(testSpace, head.MaxExamples).examples)
}

// childKeep teaches bursts on four buttons until it is killed, and acknowledges
// each frame with a line.
func childKeep(path string) error {
	s, err := Open(testOptions(path))
	if err != nil {
		return err
	}
	// Often enough to be killed in one.
	if _, err := s.db.Exec("PRAGMA wal_autocheckpoint = 20"); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	t := &teacher{Store: s}
	for id := NewPressID(); ; {
		t.n = int(s.contents.revision) // goes on where the last child was killed
		if t.n%7 == 0 {
			id = NewPressID()
		}
		b := device.Button(t.n / 7 % 4)
		e, err := s.Keep(t.next(b, id))
		if err != nil {
			return err
		}
		if err := out.Encode(ack{t.n, e.Seq, s.Contents().Frames, foldInput(s)}); err != nil {
			return err
		}
	}
}

// childHold holds a lesson open until it is killed.
func childHold(path string) error {
	s, err := Open(testOptions(path))
	if err != nil {
		return err
	}
	fmt.Println("held")
	time.Sleep(time.Minute) // the parent kills it long before
	return s.Close()
}

// childUnprivileged reads a lesson in a folder that it may not write.
func childUnprivileged(path string) error {
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			return err
		}
	}
	return readOnlyBehaviour(path)
}

// childBounded teaches until files may not grow, then may grow again.
func childBounded(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	return fillUp(path, func() error {
		return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 300 << 10, Max: before.Max})
	}, func() error {
		return unix.Setrlimit(unix.RLIMIT_FSIZE, &before)
	})
}

package camera

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long a child may take to end when asked to.
const grace = time.Second

// A child is a process that writes to a pipe, with whatever it starts itself.
type child struct {
	stdout *os.File // to be read all the time; closed when the child has ended
	said   tail     // its standard error; to be read when it has ended
	status string   // such as "exit status 1"; to be read when it has ended
	ended  chan struct{}

	mu     sync.Mutex
	group  int  // the process group that it leads
	reaped bool // group may be another's now
}

// startChild starts a program in a process group of its own. The error is that
// of exec. Its owner ends it with stop.
func startChild(path string, args []string) (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &child{stdout: r, ended: make(chan struct{})}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = w, &c.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = grace // if something that left the group holds its standard error
	started := make(chan error)
	go c.run(cmd, started)
	err = <-started
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	return c, nil
}

// run starts the child and stays until it has ended.
func (c *child) run(cmd *exec.Cmd, started chan<- error) {
	// The kernel sends Pdeathsig when the thread that forked ends, not the
	// process (prctl(2), PR_SET_PDEATHSIG), and Go ends threads at times. Locked
	// to its goroutine, this one lives as long as the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	c.group = cmd.Process.Pid
	started <- nil

	// Wait without reaping: while the dead leader is there, the number of the
	// group is nobody else's, and whom it left behind can be killed safely.
	for {
		err := unix.Waitid(unix.P_PID, c.group, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	c.mu.Lock()
	_ = syscall.Kill(-c.group, syscall.SIGKILL) // nobody left is the ordinary case
	c.reaped = true
	c.mu.Unlock()
	_ = cmd.Wait() // what it has to say is in the state
	c.status = cmd.ProcessState.String()
	c.stdout.Close() // something that left the group may hold the other end
	close(c.ended)
}

// signal sends a signal to the child and all in its group.
func (c *child) signal(s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		_ = syscall.Kill(-c.group, s) // it may have ended just now
	}
}

// wait reports whether the child ends by itself within a time.
func (c *child) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.ended:
		return true
	case <-t.C:
		return false
	}
}

// stop ends the child and all in its group, and returns when it is reaped. The
// first signal is SIGINT, which lets rpicam-vid stop the camera in good order.
func (c *child) stop() {
	c.signal(syscall.SIGINT)
	if !c.wait(grace) {
		c.signal(syscall.SIGKILL)
		<-c.ended
	}
}

// A tail keeps the end of what is written to it.
type tail struct {
	buf []byte
}

const tailSize = 4 << 10 // bytes

// Write implements io.Writer. It never fails.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	p = p[max(0, n-tailSize):]
	if over := len(t.buf) + len(p) - tailSize; over > 0 {
		t.buf = t.buf[:copy(t.buf, t.buf[over:])]
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// String returns the last 4 KiB.
func (t *tail) String() string { return string(t.buf) }

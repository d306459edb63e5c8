//go:build kernel

package virtualpi

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestModules loads each test driver twice and unloads it, and sees its device
// come and go.
func TestKernelModules(t *testing.T) {
	for _, c := range []struct{ name, params, device string }{
		{"vivid", vividCapture, "/dev/video0"},
		{"v4l2loopback", "devices=1 video_nr=10 exclusive_caps=1", "/dev/video10"},
		{"gpio-sim", "", gpioSim}, // its chips are made by hand
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 {
				absent(t, c.device)
				Load(t, c.name, c.params)
				present(t, c.device)
				Load(t, c.name, c.params) // does nothing
				present(t, c.device)
				Unload(t, c.name)
			}
			absent(t, c.device)
			Unload(t, c.name) // does nothing
		})
	}
}

func TestKernelChip(t *testing.T) {
	// The machine has a chip of its own, as a Pi has several.
	present(t, "/dev/gpiochip0")
	chip := NewGPIOChip(t, "pinctrl-test", "GPIO4")
	if chip.Path() == "/dev/gpiochip0" {
		t.Errorf("the simulated chip is %s, the machine's own", chip.Path())
	}
	present(t, chip.Path())
	chip.Remove()
	absent(t, chip.Path())
	chip.Restore()
	present(t, chip.Path())
}

func present(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func absent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: stat says %v, want that it does not exist", path, err)
	}
}

// TestFiles shows that the repository is at hand but cannot be changed, and that
// the rest of a system is there.
func TestKernelFiles(t *testing.T) {
	present(t, "../../go.mod")
	if err := os.WriteFile("scratch", nil, 0o644); err == nil {
		t.Error("the machine wrote into the repository")
	}
	if err := os.WriteFile(filepath.Join(t.TempDir(), "scratch"), make([]byte, 1<<20), 0o644); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"/proc/self", "/sys/class", "/dev/null", "/dev/pts", "/dev/shm", "/sys/kernel/config", "/run"} {
		present(t, path)
	}
}

// TestClock shows that the machine knows what time it is: this test is older.
func TestKernelClock(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(self)
	if err != nil {
		t.Fatal(err)
	}
	// The machine's clock starts at a whole second.
	if age := time.Since(info.ModTime()); age < -time.Second || age > 24*time.Hour {
		t.Errorf("it is %v, and this test was built %v ago", time.Now(), age)
	}
	began := time.Now()
	time.Sleep(100 * time.Millisecond)
	if d := time.Since(began); d < 100*time.Millisecond {
		t.Errorf("100 ms took %v", d)
	}
}

func TestKernelLoopbackNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.WriteString(c, "hello")
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestOrphan shows that the first process buries those that nobody waits for:
// otherwise a test could not tell that a process is gone.
func TestKernelOrphan(t *testing.T) {
	const role = "TEACHBOX_TEST_ORPHAN"
	again := func(as string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOrphan$")
		cmd.Env = append(os.Environ(), role+"="+as)
		return cmd
	}
	switch os.Getenv(role) {
	case "parent":
		child := again("orphan")
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString(strconv.Itoa(child.Process.Pid) + "\n")
		os.Exit(0)
	case "orphan":
		os.Exit(0)
	}
	out, err := again("parent").Output()
	if err != nil {
		t.Fatal(err)
	}
	orphan := filepath.Join("/proc", strings.TrimSpace(string(out)), "stat")
	for range 600 {
		if _, err := os.Stat(orphan); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	stat, err := os.ReadFile(orphan)
	t.Errorf("after a minute there still is: %s%v", stat, err)
}

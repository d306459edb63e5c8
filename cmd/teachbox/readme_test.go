package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"teachbox/device/sim"
	"teachbox/internal/benchdata"
)

// readme returns the blocks of the README in a language.
func readme(t *testing.T, language string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(benchdata.Root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// TestReadme runs every command of the README as a reader would, in a folder
// that looks like the repository after set-up, with photographs of their own.
// A make target has to exist; what it runs is what these tests are part of.
func TestReadme(t *testing.T) {
	root := benchdata.Root(t)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	dir := readerFolder(t, root)
	commands := 0
	for _, block := range readme(t, "sh") {
		for command := range strings.Lines(block) {
			command = strings.TrimSpace(command)
			commands++
			if target, ok := strings.CutPrefix(command, "make "); ok {
				if !regexp.MustCompile(`(?m)^` + target + `:.* ## `).Match(makefile) {
					t.Errorf("%s: no such target", command)
				}
				continue
			}
			t.Run(command, func(t *testing.T) { runAsReader(t, dir, command) })
		}
	}
	for _, block := range readme(t, "bash") {
		// They want hardware: the virtual Pi runs them, see TestKernelReadme.
		for command := range strings.Lines(block) {
			if !strings.HasPrefix(command, "bin/teachbox ") {
				t.Errorf("%q is no command for an owner of hardware", command)
			}
		}
	}
	if commands < 12 {
		t.Errorf("only %d commands found", commands)
	}
}

// readerFolder is what a reader has: the program, what set-up fetched,
// photographs and a script of their own.
func readerFolder(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		"bin/teachbox": exe,
		"third_party":  filepath.Join(root, "third_party"),
		"models":       filepath.Join(root, "models"),
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	desk, err := sim.NewDesk(sim.DeskOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range []string{"cup", "star"} {
		for n := range 6 {
			if err := desk.Show(fmt.Sprintf("%s/%d", class, n+1)); err != nil {
				t.Fatal(err)
			}
			writeJPEG(t, filepath.Join(dir, "my-photos", class, fmt.Sprintf("%d.jpg", n)), desk.Preview(320, 240))
		}
	}
	for _, text := range readme(t, "text") {
		if strings.Contains(text, "# my-lesson.txt") {
			if err := os.WriteFile(filepath.Join(dir, "my-lesson.txt"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func writeJPEG(t *testing.T, path string, img image.Image) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := jpeg.Encode(f, img, nil); err != nil {
		t.Fatal(err)
	}
}

// runAsReader runs a command. One that would run for ever is interrupted, as a
// reader would, and must then end well.
func runAsReader(t *testing.T, dir, command string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(t.TempDir(), "state"), "TEACHBOX_CONFIG="+emptyConfig(t))
	if slices.Contains([]string{"status", "watch", "lock", "unlock", "reload"}, strings.Fields(command)[1]) {
		cmd.Env = append(cmd.Env, "TEACHBOX_SOCKET="+runningBox(t))
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(command, " run ") && !strings.Contains(command, "--script") || strings.HasSuffix(command, " watch") {
		time.Sleep(3 * time.Second)
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", errors.Join(err, ctx.Err()), out.String())
	}
	if out.Len() == 0 && !strings.Contains(command, ">") {
		t.Error("it printed nothing")
	}
}

// runningBox starts a box that a reader can speak to, and returns its socket.
func runningBox(t *testing.T) string {
	state := t.TempDir()
	box := program(context.Background(), t, "run", "--sim", "--state", state, "--json")
	out, err := box.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = box.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, out)
		if err := box.Wait(); err != nil {
			t.Error(err)
		}
	})
	waitFor(t, out, "learned")
	return filepath.Join(state, "control.sock")
}

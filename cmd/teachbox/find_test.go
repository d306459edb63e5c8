package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"teachbox/config"
	"teachbox/device"
	"teachbox/inference"
	"teachbox/internal/api"
	"teachbox/internal/lesson"
)

func TestCandidates(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "")
	t.Setenv("XDG_STATE_HOME", "/home/state")
	for _, test := range []struct {
		name, state, env, folder, source string
		want                             []candidate
	}{
		{"named", "/given", "/env.sock", "", "auto", []candidate{{"/given/control.sock", ""}}},
		{"named by the environment", "", "/env.sock", "", "auto", []candidate{{"/env.sock", ""}}},
		{"not named", "", "", "", "auto", []candidate{
			{systemSocket, ""}, {"/var/lib/teachbox/control.sock", ""},
			{"/home/state/teachbox/trial/control.sock", "the box that was tried out"},
			{"/home/state/teachbox/control.sock", "the simulated box"},
		}},
		{"configured", "", "", "/conf", "sim", []candidate{
			{systemSocket, ""}, {"/conf/control.sock", ""},
			{"/conf/trial/control.sock", "the box that was tried out"},
			{"/conf/simulated/control.sock", "the simulated box"},
		}},
	} {
		t.Setenv(socketEnv, test.env)
		cfg := config.Default()
		cfg.Camera.Source = test.source
		if test.folder != "" {
			cfg.Lesson.Folder = test.folder
		}
		got := boxFlags{State: test.state}.candidates(cfg)
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(candidate{})); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// taughtFolder is the folder of a lesson with two classes.
func taughtFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	store, err := lesson.Open(lesson.Options{Path: filepath.Join(dir, lessonFile), KeepPictures: lesson.KeepLesson})
	if err != nil {
		t.Fatal(err)
	}
	for button := range device.Button(2) {
		_, err := store.Keep(lesson.Keep{
			Button: button, Press: lesson.NewPressID(),
			Embedding: inference.Embedding{Q: []uint8{1 + uint8(button), 2, 3}, Space: inference.Space{Model: "m", Crop: "squash"}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// command runs one command line, of which it wants the exit code.
func command(ctx context.Context, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(ctx, args, std{in: strings.NewReader(""), out: &o, err: &e})
	return code, o.String(), e.String()
}

// serve answers on the control socket of a lesson's folder as a box does, with
// whatever wrap makes of the handlers.
func serve(t *testing.T, dir string, wrap func(http.Handler) http.Handler) {
	t.Helper()
	store, err := lesson.Open(lesson.Options{Path: filepath.Join(dir, lessonFile), KeepPictures: lesson.KeepLesson})
	if err != nil {
		t.Fatal(err)
	}
	l, err := listenControl(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: wrap(api.New(&lessonAlone{store: store}, api.Options{TempDir: dir}))}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), store.Close()); err != nil {
			t.Error(err)
		}
		<-ended
	})
}

// TestTwoAtOnce lets two commands look at the same lesson before either changes
// it: one does, the other is told so, and nothing is overwritten.
func TestTwoAtOnce(t *testing.T) {
	dir := taughtFolder(t)
	config := emptyConfig(t)
	var looked sync.WaitGroup
	looked.Add(2)
	serve(t, dir, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				looked.Wait()
			}
			h.ServeHTTP(w, r)
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/lesson") {
				looked.Done()
			}
		})
	})
	names := []string{"Ball", "Cup"}
	codes := make([]int, 2)
	said := make([]string, 2)
	var ended sync.WaitGroup
	for i, name := range names {
		ended.Go(func() {
			codes[i], _, said[i] = command(t.Context(), "--config", config, "lesson", "rename", "1", name, "--state", dir)
		})
	}
	ended.Wait()
	if codes[0]+codes[1] != exitFailed {
		t.Fatalf("exit codes %v, saying %q: want one 0 and one 1", codes, said)
	}
	lost := 0
	if codes[1] != 0 {
		lost = 1
	}
	if !strings.Contains(said[lost], "somebody else changed the lesson") || strings.Count(said[lost], "\n") != 1 {
		t.Errorf("the slower one says %q", said[lost])
	}
	looked.Add(1) // one more look
	code, out, errs := command(t.Context(), "--config", config, "lesson", "show", "--state", dir)
	if code != 0 || !strings.Contains(out, names[1-lost]+" (1)") || strings.Contains(out, names[lost]+" (1)") {
		t.Errorf("exit %d, %s; the lesson is\n%s", code, errs, out)
	}
}

// TestHeldByAnother: a lesson that somebody holds who does not answer.
func TestHeldByAnother(t *testing.T) {
	dir := taughtFolder(t)
	store, err := lesson.Open(lesson.Options{Path: filepath.Join(dir, lessonFile)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	code, _, errs := command(t.Context(), "--config", emptyConfig(t), "lesson", "show", "--state", dir)
	if code != exitFailed || !strings.Contains(errs, "does not answer") || strings.Count(errs, "\n") != 1 {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// TestHangs lets a box take the connection up and say nothing.
func TestHangs(t *testing.T) {
	if testing.Short() {
		t.Log("NOT TESTED: it takes ten seconds of waiting")
		return
	}
	dir := taughtFolder(t)
	ended := make(chan struct{})
	serve(t, dir, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-ended:
			}
		})
	})
	t.Cleanup(func() { close(ended) }) // before the server is
	code, _, errs := command(t.Context(), "--config", emptyConfig(t), "status", "--once", "--state", dir)
	if code != exitFailed || !strings.Contains(errs, "does not answer within 10s") || strings.Count(errs, "\n") != 1 {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// TestNothingIsLeft: commands that open the lesson themselves leave nothing open,
// and nothing behind.
func TestNothingIsLeft(t *testing.T) {
	dir := taughtFolder(t)
	file := filepath.Join(t.TempDir(), "saved")
	config := emptyConfig(t)
	before := openFiles(t)
	for _, test := range []struct {
		args []string
		code int
	}{
		{[]string{"lesson", "show"}, 0},
		{[]string{"lesson", "save", file}, 0},
		{[]string{"lesson", "load", file}, 0},
		{[]string{"lesson", "load", config}, exitFailed},
		{[]string{"lesson", "rename", "1", "Ball"}, 0},
		{[]string{"lesson", "rename", "7", "Ball"}, exitFailed},
		{[]string{"lesson", "check"}, 0},
		{[]string{"lesson", "check", file}, 0},
		{[]string{"lock"}, 0},
		{[]string{"unlock"}, 0},
		{[]string{"acknowledge"}, 0},
		{[]string{"reload"}, exitFailed},
		{[]string{"lesson", "restore"}, 0},
		{[]string{"lesson", "erase", "--yes"}, 0},
	} {
		args := append(append([]string{"--config", config}, test.args...), "--state", dir)
		if code, _, errs := command(t.Context(), args...); code != test.code {
			t.Errorf("%q: exit %d: %s", test.args, code, errs)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files open, %d before", after, before)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); name != lessonFile && name != lessonFile+".lock" {
			t.Errorf("%s is left", name)
		}
	}
}

// TestSocketDenied: a socket that this user may not use is told as such.
func TestSocketDenied(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("root may use any socket: this run shows only that the rest works")
	}
	dir := taughtFolder(t)
	serve(t, dir, func(h http.Handler) http.Handler { return h })
	if err := os.Chmod(filepath.Join(dir, controlName), 0); err != nil {
		t.Fatal(err)
	}
	code, _, errs := command(t.Context(), "--config", emptyConfig(t), "lesson", "show", "--state", dir)
	if os.Getuid() != 0 && (code != exitFailed || !strings.Contains(errs, "use sudo")) {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// TestWatchComesBack: a watcher tells every event once, over a restart of the
// box.
func TestWatchComesBack(t *testing.T) {
	config := tinyConfig(t)
	t.Setenv(modelsEnv, "")
	state := t.TempDir()
	box := func() (end func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int, 1)
		go func() {
			ended <- run(ctx, []string{"--config", config, "run", "--sim", "--json", "--state", state}, std{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
		}()
		for range 200 {
			if c, err := dialControl(ctx, filepath.Join(state, controlName)); err == nil {
				c.Close()
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		return func() {
			cancel()
			if code := <-ended; code != 0 {
				t.Errorf("the box ended with %d", code)
			}
		}
	}
	end := box()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs syncBuffer
	watched := make(chan int, 1)
	go func() {
		watched <- run(ctx, []string{"--config", config, "watch", "--state", state}, std{in: strings.NewReader(""), out: &out, err: &errs})
	}()
	await := func(b *syncBuffer, text string, n int) {
		t.Helper()
		for range 500 {
			if strings.Count(b.String(), text) >= n {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatalf("%q was not said %d times: %s %s", text, n, out.String(), errs.String())
	}
	do := func(args ...string) {
		t.Helper()
		if code, _, errs := command(ctx, append(append([]string{"--config", config}, args...), "--state", state)...); code != 0 {
			t.Fatalf("%q: exit %d: %s", args, code, errs)
		}
	}
	time.Sleep(200 * time.Millisecond) // the watcher begins with what happens from now on
	do("lock")
	await(&out, "teaching is locked", 1)
	end()
	await(&errs, "the box has ended", 1)
	end = box()
	do("unlock")
	await(&errs, "the box is back", 1)
	await(&out, "teaching is unlocked", 1)
	do("lock")
	await(&out, "teaching is locked", 2)
	end()
	await(&errs, "the box has ended", 2)
	cancel()
	if code := <-watched; code != 0 {
		t.Errorf("the watcher ended with %d", code)
	}
	if n := strings.Count(out.String(), "teaching is unlocked"); n != 1 {
		t.Errorf("unlocked was told %d times:\n%s", n, out.String())
	}
}

// A syncBuffer may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"teachbox/device/sim"
)

// TestDemo plays the whole demonstration, with the real model, in the time that
// its computing takes.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Log("the real model takes half a minute; the short run leaves the demonstration out")
		return
	}
	simulated(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	var out, errs bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		if code := run(t.Context(), []string{"demo"}, std{out: &out, err: &errs}); code != 0 {
			t.Errorf("exit %d: %s", code, errs.String())
		}
	})
	t.Log(out.String())
	course, _, _ := strings.Cut(out.String(), "TAUGHT")
	if n := len(regexp.MustCompile(`(?m)^ *\d+ s  .*: (LED \d|dark), (right|wrong)$`).FindAllString(course, -1)); n != 11 {
		t.Errorf("%d answers were told as they were given (want 11)", n)
	}
	m := regexp.MustCompile(`(?m)^(\d+) of (\d+) right$`).FindStringSubmatch(out.String())
	if m == nil || m[2] != "11" {
		t.Fatalf("no table of eleven answers in:\n%s", out.String())
	}
	if m[1] != m[2] {
		t.Errorf("only %s of %s right", m[1], m[2])
	}
}

// TestDemoIsInterrupted ends a demonstration by a signal, which is no failure.
func TestDemoIsInterrupted(t *testing.T) {
	config := tinyConfig(t)
	var out, errs bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, interrupt)
		if code := run(ctx, []string{"--config", config, "demo"}, std{out: &out, err: &errs}); code != 0 || errs.Len() > 0 {
			t.Errorf("exit %d: %s", code, errs.String())
		}
	})
	if !strings.Contains(out.String(), "Three pushes") || strings.Contains(out.String(), "SHOWN") {
		t.Errorf("it printed:\n%s", out.String())
	}
}

// tinyConfig writes a configuration with the tiny backbone.
func tinyConfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.toml")
	if err := os.WriteFile(path, fmt.Appendf(nil, "[model]\nsource = %q\n", tinyModel(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDemoOfPhotographs: the configuration and the photographs are those that
// were named.
func TestDemoOfPhotographs(t *testing.T) {
	config := tinyConfig(t)
	photos := t.TempDir()
	desk, err := sim.NewDesk(sim.DeskOptions{})
	if err != nil {
		t.Fatal(err)
	}
	writeJPEG(t, filepath.Join(photos, "mug", "1.jpg"), desk.Preview(64, 48))
	writeJPEG(t, filepath.Join(photos, "loose.jpg"), desk.Preview(64, 48))
	script := filepath.Join(photos, "script.txt")
	if err := os.WriteFile(script, []byte("show mug\nwait 1s\ntap 1\nexpect kept 1 within 3s\nshow mug\nwait 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args      []string
		code      int
		out, errs string
	}{
		{[]string{"--photos", photos}, exitUsage, "", "--photos wants --script"},
		{[]string{"--photos", photos, "--script", script}, 0, "mug/1", "left out: pictures in " + photos},
		{[]string{"--script", script}, exitFailed, "", `script.txt:1: desk: there is no "mug"`},
	} {
		var out, errs bytes.Buffer
		synctest.Test(t, func(t *testing.T) {
			args := append([]string{"--config", config, "demo"}, test.args...)
			if code := run(t.Context(), args, std{out: &out, err: &errs}); code != test.code {
				t.Errorf("%q: exit %d (want %d)", test.args, code, test.code)
			}
		})
		if !strings.Contains(out.String(), test.out) || !strings.Contains(errs.String(), test.errs) {
			t.Errorf("%q: printed\n%s\nand complained\n%s", test.args, out.String(), errs.String())
		}
	}
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"--config", script, "demo"}, std{out: io.Discard, err: &errs}); code != exitFailed {
		t.Errorf("a configuration that is none: exit %d: %s", code, errs.String())
	}
}

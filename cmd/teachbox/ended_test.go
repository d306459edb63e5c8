package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEnded(t *testing.T) {
	state := t.TempDir()
	t.Setenv("STATE_DIRECTORY", state)
	config := filepath.Join(t.TempDir(), "teachbox.toml")
	if err := os.WriteFile(config, []byte("[panel]\nsource = \"sim\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ended := func(result, code, status string) {
		t.Helper()
		t.Setenv("SERVICE_RESULT", result)
		t.Setenv("EXIT_CODE", code)
		t.Setenv("EXIT_STATUS", status)
		if code, out, errs := command(t.Context(), "--config", config, "ended"); code != 0 || out+errs != "" {
			t.Fatalf("exit %d: %s%s", code, out, errs)
		}
	}
	ended("success", "exited", "0")
	if e, err := readLastEnd(""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an end that was asked for is noted: %v, %v", e, err)
	}
	ended("watchdog", "dumped", "ABRT")
	e, err := readLastEnd("")
	if err != nil || e.String() != "watchdog (dumped, ABRT)" || e.Boot == "" || e.Since <= 0 || e.At.IsZero() {
		t.Errorf("got %+v, %v", e, err)
	}
	ended("signal", "killed", "KILL")
	ended("success", "exited", "0")
	if e, err := readLastEnd(""); err != nil || e.Result != "signal" {
		t.Errorf("the last end that was none of ours: %+v, %v", e, err)
	}
	if err := os.WriteFile(filepath.Join(state, endFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readLastEnd(""); err == nil || !strings.Contains(err.Error(), "may be removed") {
		t.Errorf("half a note: %v", err)
	}
	// A configuration that is wrong does not keep it from its work.
	if err := os.WriteFile(config, []byte("["), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "last-good.toml"), []byte("[panel]\nsource = \"sim\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ended("exit-code", "exited", "1")
	if e, err := readLastEnd(""); err != nil || e.Result != "exit-code" {
		t.Errorf("with a wrong configuration: %+v, %v", e, err)
	}
}

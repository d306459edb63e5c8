package main

import (
	"bytes"
	"regexp"
	"testing"
	"testing/synctest"
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
	m := regexp.MustCompile(`(?m)^(\d+) of (\d+) right$`).FindStringSubmatch(out.String())
	if m == nil || m[2] != "11" {
		t.Fatalf("no table of eleven answers in:\n%s", out.String())
	}
	if m[1] != m[2] {
		t.Errorf("only %s of %s right", m[1], m[2])
	}
}

package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestExitCodes holds the codes that a script relies on: 0, 1 for what failed,
// 2 for what was asked for wrongly, each with one line.
func TestExitCodes(t *testing.T) {
	simulated(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"version", 0, ""},
		{"--help", 0, ""},
		{"run --help", 0, ""},
		{"", 0, ""},
		{"help", 0, ""},
		{"nonsense", 2, "unexpected argument nonsense"},
		{"run --nonsense", 2, "unknown flag --nonsense"},
		{"run --photos x", 2, "--photos and --script want --sim"},
		{"run --script x", 2, "--photos and --script want --sim"},
		{"eval --presses 0 x", 2, "want 1 to 100000"},
		{"eval --presses x x", 2, "expected a valid"},
		{"classify", 2, `expected "<picture> ..."`},
		{"eval no-such-folder", 1, "no such folder"},
		{"run --sim --script no-such-file", 1, "no such file"},
		{"--config no-such-file config", 1, "no such file"},
		{"status --state no-such-folder", 3, "no box runs"},
		{"watch --state no-such-folder", 1, "no box runs"},
		{"reload --state no-such-folder", 1, "no box runs"},
		{"lesson show --state no-such-folder", 1, "there is no lesson in"},
		{"lesson load no-such-file --state no-such-folder", 1, "no such file"},
		{"lesson check no-such-file", 1, "no such file"},
		{"lesson undo 0", 2, "want 1 to 40"},
		{"lesson describe", 2, "give --name, --note or both"},
		{"lesson erase --state no-such-folder", 2, "say --yes"},
	} {
		t.Run(test.args, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), strings.Fields(test.args), std{in: strings.NewReader(""), out: &out, err: &errs})
			if code != test.code || !strings.Contains(errs.String(), test.says) {
				t.Errorf("exit %d, want %d, saying %q: %s", code, test.code, test.says, errs.String())
			}
			if lines := strings.Count(errs.String(), "\n"); code != 0 && lines != 1 {
				t.Errorf("%d lines of complaint:\n%s", lines, errs.String())
			}
		})
	}
}

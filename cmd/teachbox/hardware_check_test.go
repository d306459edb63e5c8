package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHardwareExitCodes holds the codes that a script relies on, on a machine
// with or without hardware.
func TestHardwareExitCodes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.toml")
	nothing := "camera.source = \"v4l2:/dev/no-such-camera\"\n" +
		"[[panel.slots]]\nbutton = { line = \"no 1\" }\nled = { line = \"no 2\" }\n[[panel.slots]]\nbutton = { line = \"no 3\" }\nled = { line = \"no 4\" }\n"
	if err := os.WriteFile(path, []byte(nothing), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		code int
	}{
		{"hardware", 0},
		{"hardware list", 0},
		{"hardware --json", 0},
		{"hardware --report", 0},
		{"hardware test", exitFailed},
		{"hardware test --loop led1=button1", exitFailed},
		{"hardware test --loop led1", exitUsage},
		{"hardware test --wait -1s", exitUsage},
		{"hardware --json --report", exitUsage},
		{"hardware lits", exitUsage},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"--config", path}, strings.Fields(test.args)...), std{in: strings.NewReader(""), out: &out, err: &errs})
		if code != test.code {
			t.Errorf("%s: exit code %d (want %d)\n%s%s", test.args, code, test.code, &out, &errs)
		}
	}
}

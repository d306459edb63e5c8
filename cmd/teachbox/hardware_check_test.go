package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"teachbox/device"
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
		{"hardware test --loop led9=button1", exitUsage},
		{"hardware test --loop 99=5", exitUsage},
		{"hardware test --loop led1=button1,led2=button2", exitUsage},
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

// TestEndBox holds that a person is sent to the box only if it is a box that
// has the device.
func TestEndBox(t *testing.T) {
	for _, tt := range []struct {
		by  string
		pid string // of the box; "": it is none
	}{
		{`"teachbox@812"; end that program`, "812"},
		{`"teachbox-arm64@7"; end that program`, "7"},
		{"teachbox-arm64 (process 7); close it", "7"},
		{"cheese (process 12), teachbox (process 812); close it", "812"},
		{`"cheese@812"; end that program`, ""},
		{`"myteachbox@812"; end that program`, ""},
		{`"teachboxes@812"; end that program`, ""},
		{"another program; close it", ""},
	} {
		err := fmt.Errorf("line GPIO5: %w by %s", device.ErrBusy, tt.by)
		want := err.Error()
		if tt.pid != "" {
			want += "; end the Teachbox that runs (process " + tt.pid + "; `sudo systemctl stop teachbox` if it is the service)"
		}
		if got := endBox(err).Error(); got != want {
			t.Errorf("%s\n(want %s)", got, want)
		}
	}
	if err := fmt.Errorf("%w: teachbox (process 812)", device.ErrAbsent); endBox(err) != err {
		t.Errorf("of a device that nobody has: %v", endBox(err))
	}
}

// TestHardwareHelp holds that a person finds the flags of the list, and what
// the exit code of a test means.
func TestHardwareHelp(t *testing.T) {
	for args, wants := range map[string][]string{
		"hardware --help":      {"--all", "--json", "--report"},
		"hardware test --help": {"exit code is 1 if anything failed or was left untested", "--wait", "repeat --loop for each wire"},
	} {
		var out bytes.Buffer
		run(t.Context(), strings.Fields(args), std{in: strings.NewReader(""), out: &out, err: &out})
		text := strings.Join(strings.Fields(out.String()), " ")
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q:\n%s", args, want, &out)
			}
		}
	}
}

// TestConclude holds that what a device calls itself cannot play with a
// terminal, or with the table.
func TestConclude(t *testing.T) {
	var out bytes.Buffer
	if err := conclude(&out, []finding{{"camera", passed, "\x1b[2J\tC\u202e920\n"}}); err != nil {
		t.Fatal(err)
	}
	if want := "camera  ok      \\x1b[2J\\tC\\u202e920\\n\n"; !strings.Contains(out.String(), want) {
		t.Errorf("it prints %q (want a line %q)", &out, want)
	}
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// commandLine is the program's own description of its commands.
func commandLine(t *testing.T) *kong.Application {
	t.Helper()
	k, err := kong.New(new(cli), kong.Name("teachbox"), kong.Vars{"system": systemConfig})
	if err != nil {
		t.Fatal(err)
	}
	return k.Model
}

func TestManual(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	code, page, errs := command(t.Context(), "manual")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	plain := strings.ReplaceAll(page, `\-`, "-")
	if !strings.HasPrefix(plain, `.TH "TEACHBOX" "1" "2023-11-14" `) {
		t.Errorf("it begins with %.60q", plain)
	}
	for _, leaf := range commandLine(t).Leaves(false) {
		name := strings.TrimPrefix(leaf.FullPath(), "teachbox ")
		there := strings.Contains(plain, ".SS \""+name+"\"\n") || strings.Contains(plain, ".SS \""+name+" ")
		if there == leaf.Hidden {
			t.Errorf("%s: in the manual: %v, hidden: %v", name, there, leaf.Hidden)
		}
		for _, f := range leaf.Flags {
			if !leaf.Hidden && !strings.Contains(plain, "--"+f.Name) {
				t.Errorf("%s: no flag --%s", name, f.Name)
			}
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Log("there is no groff here, which would look for mistakes in the page")
		return
	}
	cmd := exec.Command(groff, "-man", "-Kutf8", "-Tutf8", "-ww", "-z")
	cmd.Stdin = strings.NewReader(page)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "soon")
	if code, _, errs := command(t.Context(), "manual"); code != exitFailed || !strings.Contains(errs, "want seconds since 1970") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestRoff(t *testing.T) {
	for text, want := range map[string]string{
		"a -b":      `a \-b`,
		`a\b`:       `a\eb`,
		".TH":       `\&.TH`,
		"'so x":     `\&'so x`,
		" a\n  b\t": "a b",
	} {
		if got := roff(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestCompletion asks bash.
func TestCompletion(t *testing.T) {
	code, script, errs := command(t.Context(), "completion")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	path := filepath.Join(t.TempDir(), "teachbox")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	for typed, want := range map[string]string{
		"le":                        "lesson",
		"lesson re":                 "redo rename restore",
		"lesson show --j":           "--json",
		"run --sim":                 "--sim --sim-missing",
		"--config x.toml lesson sh": "show",
		"endi":                      "",
		"lesson show ":              "", // a file, or nothing
	} {
		words := strings.Split("teachbox "+typed, " ")
		const ask = `. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _teachbox; printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd' '`
		out, err := exec.Command("bash", append([]string{"-c", ask, path}, words...)...).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q: %q (want %q), %v", typed, got, want, err)
		}
	}
}

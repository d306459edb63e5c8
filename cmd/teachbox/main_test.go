package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"teachbox/internal/benchdata"
)

// TestMain lets the test binary be the program, for scripts and for tests that
// kill it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"teachbox": main, "replaced": replaced})
}

// program is a command that runs the program itself.
func program(ctx context.Context, t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Args = append([]string{"teachbox"}, args...)
	cmd.Env = append(os.Environ(), modelsEnv+"="+filepath.Join(benchdata.Root(t), "models"))
	return cmd
}

// emptyConfig is a configuration that says nothing, so that a test does not
// read that of the machine.
func emptyConfig(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "empty.toml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestScripts runs the scripts of testdata/script: what a person types, and
// what comes back.
func TestScripts(t *testing.T) {
	root := benchdata.Root(t)
	tiny := tinyModel(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv(modelsEnv, filepath.Join(root, "models"))
			e.Setenv("ROOT", root)
			e.Setenv("PICTURES", filepath.Join(root, "third_party", "pictures"))
			e.Setenv("MODEL", filepath.Join(root, "models", "mobilenet_v1_1.0_224_quant.tflite"))
			e.Setenv("TINY", tiny)
			e.Setenv("TEACHBOX_CONFIG", emptyConfig(t))
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, "state"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"truncate": truncate,
			"flip":     flipByte,
			"oneline":  oneLine,
			"png":      png,
			"envsubst": envsubst,
			"newer":    newer,
			"appear":   appear,
			"taught":   taught,
			"hangup":   hangUp,
		},
	})
}

package main

import (
	"testing"

	"teachbox/config"
)

// TestStateFolder: a box that is simulated or tried out never touches the lesson
// of a real one.
func TestStateFolder(t *testing.T) {
	for _, test := range []struct {
		name, given, systemd, folder, source string
		trial                                bool
		want                                 string
	}{
		{"as the command line says", "/given", "/state", "/conf", "auto", true, "/given"},
		{"a real box", "", "", "", "auto", false, "/var/lib/teachbox"},
		{"a service", "", "/state", "/conf", "auto", false, "/state"},
		{"configured", "", "", "/conf", "auto", false, "/conf"},
		{"simulated", "", "", "/conf", "sim", false, "/conf/simulated"},
		{"simulated, since it is missing", "", "", "/conf", "sim", true, "/conf/simulated"},
		{"tried out", "", "", "/conf", "auto", true, "/conf/trial"},
		{"tried out under systemd", "", "/state", "", "auto", true, "/state/trial"},
		{"simulated at home", "", "", "", "sim", false, "/home/state/teachbox"},
		{"tried out at home", "", "", "", "auto", true, "/home/state/teachbox/trial"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("STATE_DIRECTORY", test.systemd)
			t.Setenv("XDG_STATE_HOME", "/home/state")
			cfg := config.Default()
			cfg.Camera.Source = test.source
			if test.folder != "" {
				cfg.Lesson.Folder = test.folder
			}
			got, err := stateFolder(test.given, test.trial, cfg)
			if err != nil || got != test.want {
				t.Errorf("%q, %v, want %q", got, err, test.want)
			}
		})
	}
}

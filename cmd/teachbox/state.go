package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"teachbox/config"
)

// lessonFile is the name of the lesson in the state folder.
const lessonFile = "lesson.db"

// stateFolder is where the lesson is: as the command line says, else as systemd
// says, else as the configuration says. A simulated box never touches the
// lesson of a real one: it has a folder of its own in there, or one below the
// person's home where neither says anything. So has a box that somebody tries
// out on whatever hardware there is.
func stateFolder(given string, trial bool, cfg *config.Config) (string, error) {
	if given != "" {
		return given, nil
	}
	dir := os.Getenv("STATE_DIRECTORY")
	if dir == "" {
		dir = cfg.Lesson.Folder
	}
	simulated := cfg.Camera.Source == config.SourceSim
	if !simulated && !trial {
		return dir, nil
	}
	own := "trial"
	if simulated {
		own = "simulated"
	}
	if dir != config.Default().Lesson.Folder {
		return filepath.Join(dir, own), nil
	}
	if dir = os.Getenv("XDG_STATE_HOME"); dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("state folder: %w (name one with --state)", err)
		}
		dir = filepath.Join(home, ".local", "state")
	}
	dir = filepath.Join(dir, "teachbox")
	if !simulated {
		dir = filepath.Join(dir, "trial")
	}
	return dir, nil
}

// lastGoodPath is where a service keeps a copy of the last good configuration.
// It does not depend on a configuration, which may be the thing that is wrong.
func lastGoodPath(given string) string {
	dir := given
	if dir == "" {
		dir = os.Getenv("STATE_DIRECTORY")
	}
	if dir == "" {
		dir = config.Default().Lesson.Folder
	}
	return filepath.Join(dir, "last-good.toml")
}

// keepLastGood writes a good configuration down, if it is not there yet.
func keepLastGood(path string, cfg *config.Config) error {
	var b bytes.Buffer
	if err := config.Write(&b, cfg); err != nil {
		return err
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b.Bytes()) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeDurably(path, func(w io.Writer) error {
		_, err := w.Write(b.Bytes())
		return err
	})
}

// readLastGood returns the last good configuration, or the default one.
func readLastGood(path string) *config.Config {
	if cfg, err := config.Load(path); err == nil {
		return cfg
	}
	return config.Default()
}

// writeDurably writes a file whole or not at all, whatever moment the power
// goes: to a temporary file, synced, renamed, the folder synced.
func writeDurably(path string, write func(io.Writer) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = write(f)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

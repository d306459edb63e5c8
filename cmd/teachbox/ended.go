package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"teachbox/config"
	"teachbox/internal/files"
	"teachbox/internal/lesson"
)

// endedCmd is what the service manager runs after the service, whatever became
// of it: the LEDs go dark, and an end that was none of ours is noted.
type endedCmd struct{}

func (endedCmd) Run(top *cli) error {
	cfg, wrong := top.config()
	if wrong != nil {
		cfg = readLastGood(lastGoodPath(""))
	}
	return errors.Join(darken(cfg), noteEnd(os.Getenv))
}

// darken puts the LEDs out that a killed program left lit.
func darken(cfg *config.Config) error {
	if cfg.Panel.Source != config.SourceGPIO {
		return nil
	}
	p, err := acquire(panelOptions(cfg))
	if err != nil {
		return err
	}
	return p.Halt()
}

// endFile is the name of the note in the state folder.
const endFile = "last-end.json"

// A lastEnd tells how the service ended that was not told to. The first three
// are what systemd says of it, see systemd.exec(5).
type lastEnd struct {
	Result string `json:"result"`         // such as "watchdog" or "core-dump"
	Code   string `json:"code,omitempty"` // "exited", "killed" or "dumped"
	Status string `json:"status,omitempty"`

	Boot  string    `json:"boot"`        // names the boot
	Since float64   `json:"since"`       // seconds since that boot
	At    time.Time `json:"at,omitzero"` // if the clock was set
}

func (e lastEnd) String() string {
	text := e.Result
	if e.Code != "" {
		text += fmt.Sprintf(" (%s, %s)", e.Code, e.Status)
	}
	return text
}

// noteEnd writes a note of an end that was none of ours.
func noteEnd(getenv func(string) string) error {
	now := lesson.SystemMoment()
	e := lastEnd{
		Result: getenv("SERVICE_RESULT"), Code: getenv("EXIT_CODE"), Status: getenv("EXIT_STATUS"),
		Boot: now.Boot, Since: now.Since.Seconds(), At: now.Wall,
	}
	if e.Result == "" || e.Result == "success" {
		return nil
	}
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return writeDurably(endPath(""), func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
}

// endPath is where the note lies.
func endPath(given string) string { return filepath.Join(filepath.Dir(lastGoodPath(given)), endFile) }

// readLastEnd reads the note. The error wraps fs.ErrNotExist if there is none.
func readLastEnd(given string) (e lastEnd, err error) {
	data, err := files.Read(endPath(given), 1<<12)
	if err != nil {
		return lastEnd{}, err
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return lastEnd{}, fmt.Errorf("%s: %w (it may be removed)", endPath(given), err)
	}
	return e, nil
}

package main

import (
	"encoding/json"
	"io"
	"os"
)

// hardwareCmd lists cameras and GPIO, and tests the wiring.
type hardwareCmd struct {
	List hardwareListCmd `cmd:"" default:"withargs" help:"List cameras and GPIO."`
	Test hardwareTestCmd `cmd:"" help:"Test the camera, and each LED and button with your help."`
}

// Help is the rest of the help. The flags of the list can be given without its
// name, but only its own help shows them.
func (hardwareCmd) Help() string {
	return "`teachbox hardware` is short for `teachbox hardware list`, with the same flags: " +
		"--all prints every GPIO line, not only those that are configured or taken; " +
		"--json prints all of it as JSON; " +
		"--report prints all of it as a text to paste into an issue, without names and serial numbers."
}

// hardwareListCmd lists what there is. It opens nothing for longer than it
// takes to ask, and takes nothing from a box that runs.
type hardwareListCmd struct {
	All    bool `help:"Print every GPIO line, not only those that are configured or taken."`
	JSON   bool `xor:"form" help:"Print JSON, with every line."`
	Report bool `xor:"form" help:"Print all of it as a text to paste into an issue, without names and serial numbers."`
}

func (c hardwareListCmd) Run(top *cli, s std) error {
	cfg, err := top.config()
	if err != nil {
		return err
	}
	inv := takeInventory(cfg)
	switch {
	case c.JSON:
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return e.Encode(inv)
	case c.Report:
		_, err = io.WriteString(s.out, report(os.DirFS("/"), inv))
		return err
	}
	_, err = io.WriteString(s.out, inv.text(c.All))
	return err
}

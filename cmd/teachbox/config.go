package main

import (
	"fmt"
	"io"

	"teachbox/config"
)

// configCmd prints the configuration, or checks one.
type configCmd struct {
	Show    configShowCmd    `cmd:"" default:"1" help:"Print the configuration in effect."`
	Check   configCheckCmd   `cmd:"" help:"Check a configuration file."`
	Default configDefaultCmd `cmd:"" help:"Print the default configuration, with what every key means."`
}

type configShowCmd struct{}

func (configShowCmd) Run(top *cli, s std) error {
	cfg, err := top.config()
	if err != nil {
		return err
	}
	return config.Write(s.out, cfg)
}

type configCheckCmd struct {
	File string `arg:"" help:"The file."`
}

func (c configCheckCmd) Run(s std) error {
	if _, err := config.Load(c.File); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.out, "%s: ok\n", c.File)
	return err
}

type configDefaultCmd struct{}

func (configDefaultCmd) Run(s std) error {
	_, err := io.WriteString(s.out, config.Documentation())
	return err
}

package main

import "teachbox/device/light"

// cardCmd prints the card for the classroom wall.
type cardCmd struct{}

func (cardCmd) Run(top *cli, s std) error {
	cfg, err := top.config()
	if err != nil {
		return err
	}
	return light.Card(s.out, cfg.Wiring())
}

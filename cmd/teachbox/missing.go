package main

import (
	"fmt"

	"teachbox/config"
	"teachbox/device/camera"
	"teachbox/device/gpio"
)

// simulateMissing turns what the configuration wants and this machine lacks
// into simulations. It returns a remark for each.
func simulateMissing(cfg *config.Config) []string {
	var remarks []string
	if isReal(cfg.Camera) && !cameraThere() {
		cfg.Camera.Source = config.SourceSim
		remarks = append(remarks, "the camera is simulated: there is none here")
	}
	if cfg.Panel.Source == config.SourceGPIO {
		err := gpio.Init()
		if err == nil {
			p := gpio.New(panelOptions(cfg))
			err = p.Acquire()
			_ = p.Halt() // it was not used, and is opened again
		}
		if err != nil {
			cfg.Panel.Source = config.SourceSim
			remarks = append(remarks, fmt.Sprintf("buttons and LEDs are simulated: %v", err))
		}
	}
	return remarks
}

// cameraThere reports whether there is anything that looks like a camera, in
// use or not.
func cameraThere() bool {
	found, err := camera.List()
	if err != nil {
		return false
	}
	for _, c := range found {
		switch c.Use {
		case camera.Usable, camera.Unreadable:
			return true
		case camera.RawSensor:
			if camera.NewRPiCam(camera.RPiCamOptions{}).Installed() {
				return true
			}
		}
	}
	return false
}

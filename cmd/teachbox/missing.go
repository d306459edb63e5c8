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
	if isReal(cfg.Camera) {
		if why := cameraMissing(); why != "" {
			cfg.Camera.Source = config.SourceSim
			remarks = append(remarks, "the camera is simulated: "+why)
		}
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

// cameraMissing says why there is no camera to be had; "" if there is anything
// that looks like one, in use or not.
func cameraMissing() string {
	found, err := camera.List()
	if err != nil {
		return err.Error()
	}
	why := "there is none here"
	for _, c := range found {
		switch c.Use {
		case camera.Usable, camera.Unreadable:
			return ""
		case camera.RawSensor:
			if camera.NewRPiCam(camera.RPiCamOptions{}).Installed() {
				return ""
			}
			why = "there is a Pi camera, but no rpicam-vid to read it (install the package rpicam-apps)"
		}
	}
	return why
}

package main

import (
	"context"
	"fmt"

	"teachbox/config"
	"teachbox/device"
	"teachbox/device/camera"
	"teachbox/device/frame"
	"teachbox/device/gpio"
)

// simulateMissing overrides what the configuration wants and this machine lacks
// with simulations. It returns a remark for each.
func simulateMissing(cfg *config.Config, o *overrides) []string {
	var remarks []string
	if isReal(cfg.Camera) {
		if why := cameraMissing(); why != "" {
			o.camera = true
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
			o.panel = true
			remarks = append(remarks, fmt.Sprintf("buttons and LEDs are simulated: %v", err))
		}
	}
	return remarks
}

// A needed camera is one without which a box is not begun: if it fails before it
// gave a frame, fail is told.
type needed struct {
	device.Camera
	fail func(error)
	seen bool
}

// Run implements device.Camera.
func (n *needed) Run(ctx context.Context, emit func(frame.Frame)) error {
	err := n.Camera.Run(ctx, func(f frame.Frame) {
		n.seen = true
		emit(f)
	})
	if err != nil && !n.seen && ctx.Err() == nil {
		n.fail(err)
	}
	return err
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

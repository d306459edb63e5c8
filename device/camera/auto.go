package camera

import (
	"context"
	"slices"

	"teachbox/device"
	"teachbox/device/frame"
)

// An Auto is whatever camera there is: at every Run the V4L2 camera if one is
// usable, else the Pi camera.
type Auto struct {
	v4l2 *V4L2
	csi  device.Camera
}

// NewAuto returns a camera that is v, or csi where only a Pi camera is
// connected. csi may have a method Installed() bool that tells whether it could
// work at all; it is then tried even if no sensor is to be seen.
func NewAuto(v *V4L2, csi device.Camera) *Auto { return &Auto{v, csi} }

// String names the camera for people.
func (*Auto) String() string { return "camera" }

// Run implements device.Camera. Where there is no camera at all the error is
// that of V4L2, which says what was found.
func (a *Auto) Run(ctx context.Context, emit func(frame.Frame)) error {
	if ctx.Err() != nil {
		return nil
	}
	all, _ := List() // what cannot be listed cannot be used
	program, ok := a.csi.(interface{ Installed() bool })
	if wantsCSI(all, ok && program.Installed()) {
		return a.csi.Run(ctx, emit)
	}
	return a.v4l2.Run(ctx, emit)
}

// Hold holds the V4L2 camera. See V4L2.Hold.
func (a *Auto) Hold(on bool) { a.v4l2.Hold(on) }

// wantsCSI reports whether the Pi camera is the better choice.
func wantsCSI(all []Info, installed bool) bool {
	has := func(u Use) bool {
		return slices.ContainsFunc(all, func(i Info) bool { return i.Use == u })
	}
	switch {
	case has(Usable):
		return false
	case has(RawSensor):
		return true // even without the program: its error says what to install
	case has(Unreadable):
		return false // its error says more
	}
	return installed
}

package camera

import (
	"context"
	"errors"
	"slices"

	"teachbox/device"
	"teachbox/device/frame"
)

// An Auto is whatever camera there is: at every Run the V4L2 camera if one is
// usable, else the Pi camera.
type Auto struct {
	v4l2 *V4L2
	csi  device.Camera
	list func() ([]Info, error)

	// vain is, of Run only, the paths of the devices that there were when the Pi
	// camera was last looked for without a sign of one, and not found. nil: never.
	vain []string
}

// NewAuto returns a camera that is v, or csi where only a Pi camera is
// connected. csi may have a method Installed() bool that tells whether it could
// work at all; it is then tried even if no sensor is to be seen, but not again
// before other devices are there.
func NewAuto(v *V4L2, csi device.Camera) *Auto { return &Auto{v4l2: v, csi: csi, list: List} }

// String names the camera for people.
func (*Auto) String() string { return "camera" }

// Run implements device.Camera. Where there is no camera at all the error is
// that of V4L2, which says what was found.
func (a *Auto) Run(ctx context.Context, emit func(frame.Frame)) error {
	if ctx.Err() != nil {
		return nil
	}
	all, failed := a.list()
	program, ok := a.csi.(interface{ Installed() bool })
	installed := ok && program.Installed()
	paths := make([]string, len(all))
	for i := range all {
		paths[i] = all[i].Path
	}
	v4l2 := func() error { return a.v4l2.run(ctx, func() ([]Info, error) { return all, failed }, emit) }
	sensor := has(all, RawSensor)
	if !wantsCSI(all, installed) || !sensor && a.vain != nil && slices.Equal(a.vain, paths) {
		return v4l2()
	}
	flowed := false
	err := a.csi.Run(ctx, func(f frame.Frame) {
		flowed = true
		emit(f)
	})
	if sensor || flowed || !errors.Is(err, device.ErrAbsent) {
		return err
	}
	// Nothing speaks for a Pi camera, so that its cable is not to blame.
	a.vain = paths
	return v4l2()
}

// Hold holds the V4L2 camera. See V4L2.Hold.
func (a *Auto) Hold(on bool) { a.v4l2.Hold(on) }

// wantsCSI reports whether the Pi camera is the better choice.
func wantsCSI(all []Info, installed bool) bool {
	switch {
	case has(all, Usable):
		return false
	case has(all, RawSensor):
		return true // even without the program: its error says what to install
	case has(all, Unreadable):
		return false // its error says more
	}
	return installed
}

// has reports whether one of the devices is of that use.
func has(all []Info, u Use) bool {
	return slices.ContainsFunc(all, func(i Info) bool { return i.Use == u })
}

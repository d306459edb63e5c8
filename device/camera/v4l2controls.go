package camera

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/vladimirvivien/go4vl/v4l2"
)

// A Control is one setting of a camera.
type Control struct {
	ID                      uint32 // V4L2_CID_…
	Name                    string // such as "power_line_frequency"
	Min, Max, Step, Default int
	Value                   int // when Controls was called
}

// Controls lists the settings of a camera, such as "/dev/video0". The error
// wraps one of package device's.
func Controls(path string) ([]Control, error) {
	var all []Control
	err := steady(func() error {
		n, err := openNode(path)
		if err != nil {
			return err
		}
		defer n.close()
		for _, c := range n.list() {
			// One that cannot be read now is of no use to anybody.
			if c.Value, err = n.get(c.ID); err == nil {
				all = append(all, c)
			}
		}
		return nil
	})
	if err != nil {
		return nil, explain(Info{Path: path}, err)
	}
	return all, nil
}

// controlName writes the name of a control in the way of v4l2-ctl: letters and
// digits in lower case, one _ for whatever is between them.
func controlName(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "_")
}

// knobs are the settings of an open camera.
type knobs interface {
	list() []Control // Value is not filled in
	get(id uint32) (int, error)
	set(id uint32, value int) error
}

// adjust makes settings by name. What cannot be set is logged and left as it
// is.
func adjust(k knobs, wish map[string]int, log *slog.Logger) {
	if len(wish) == 0 {
		return
	}
	all := k.list()
	try := func(name string) error {
		at := slices.IndexFunc(all, func(c Control) bool { return c.Name == name })
		if at < 0 {
			names := make([]string, len(all))
			for i, c := range all {
				names[i] = c.Name
			}
			return fmt.Errorf("the camera has no such control; it has %s", strings.Join(names, ", "))
		}
		c, value := all[at], wish[name]
		if value < c.Min || value > c.Max {
			return fmt.Errorf("out of range (got %d; want %d to %d)", value, c.Min, c.Max)
		}
		return k.set(c.ID, value)
	}
	// A value may be refused until its automatic is off, whatever the order.
	var failed []string
	for _, name := range slices.Sorted(maps.Keys(wish)) {
		if try(name) != nil {
			failed = append(failed, name)
		}
	}
	for _, name := range failed {
		if err := try(name); err != nil {
			log.Warn("camera control not set", "control", name, "err", err)
		}
	}
}

// An automatic is a control that lets the camera choose the values of others.
type automatic struct {
	id     uint32
	off    int
	values []uint32
}

// automatics lists what changes the colours of a picture by itself, or its
// sharpness. See "User Controls" and "Camera Control Reference" in the kernel's
// userspace-api/media/v4l.
func automatics() []automatic {
	const exposureManual = 1 // V4L2_EXPOSURE_MANUAL
	return []automatic{
		{v4l2.CtrlCameraExposureAuto, exposureManual, []uint32{v4l2.CtrlCameraExposureAbsolute, v4l2.CtrlGain}},
		{v4l2.CtrlAutogain, 0, []uint32{v4l2.CtrlGain, v4l2.CtrlExposure}},
		{v4l2.CtrlAutoWhiteBalance, 0, []uint32{v4l2.CtrlWhiteBalanceTemperature, v4l2.CtrlRedBalance, v4l2.CtrlBlueBalance}},
		{v4l2.CtrlCameraFocusAuto, 0, []uint32{v4l2.CtrlCameraFocusAbsolute}},
	}
}

// automate puts the automatics that are not named to the driver's default. The
// error says what could not be set.
func automate(k knobs, except map[string]int) error {
	all := k.list()
	var defaults []setting
	for _, a := range automatics() {
		at := slices.IndexFunc(all, func(c Control) bool { return c.ID == a.id })
		if at < 0 {
			continue
		}
		if _, named := except[all[at].Name]; !named {
			defaults = append(defaults, setting{a.id, all[at].Default})
		}
	}
	return setAll(k, defaults)
}

// A setting is a control and its value.
type setting struct {
	id    uint32
	value int
}

// A hold is what was done to a camera to stop its automatics.
type hold struct {
	camera string    // the name of the camera
	held   []setting // each automatic off, then its values as they were then
	before []setting // the automatics as they were
}

// freeze stops the automatics of a camera where they are. What a camera lacks,
// or what somebody has set by hand, is left alone. The error says what would
// not stop.
func freeze(k knobs, camera string) (*hold, error) {
	h := &hold{camera: camera}
	all := k.list()
	read := func(id uint32) (value int, ok bool) {
		if !slices.ContainsFunc(all, func(c Control) bool { return c.ID == id }) {
			return 0, false
		}
		value, err := k.get(id)
		return value, err == nil
	}
	for _, a := range automatics() {
		mode, ok := read(a.id)
		if !ok || mode == a.off {
			continue
		}
		h.before = append(h.before, setting{a.id, mode})
		h.held = append(h.held, setting{a.id, a.off})
		// Read while all are still at work: some cameras fall back to the
		// values of the last time that they were not automatic.
		for _, id := range a.values {
			if value, ok := read(id); ok {
				h.held = append(h.held, setting{id, value})
			}
		}
	}
	return h, h.again(k)
}

// again puts a camera that was opened anew to the values that are held.
func (h *hold) again(k knobs) error { return setAll(k, h.held) }

// release gives the automatics back to the camera.
func (h *hold) release(k knobs) error { return setAll(k, h.before) }

// setAll makes all settings that it can.
func setAll(k knobs, settings []setting) error {
	var failed []error
	for _, s := range settings {
		if err := k.set(s.id, s.value); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

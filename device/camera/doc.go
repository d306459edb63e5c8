// Package camera holds the sources of frames that a box can have. Each is a
// device.Camera.
package camera

// Package virtualpi is for tests that run inside the virtual machine of
// cmd/virtualpi: it loads the kernel's test drivers and plays the hardware that
// they simulate. Such tests carry the build tag "kernel".
package virtualpi

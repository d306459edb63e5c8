package main

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"teachbox/config"
	"teachbox/device/camera"
)

// text prints the inventory for people: every line, or only those that are
// configured or taken.
func (inv *inventory) text(all bool) string {
	var b strings.Builder
	inv.cameras(&b, all)
	b.WriteString("\n")
	inv.lines(&b, all)
	return b.String()
}

func (inv *inventory) cameras(b *strings.Builder, all bool) {
	fmt.Fprintf(b, "Cameras (the configuration says camera.source = %q)\n", inv.CameraSource)
	sources := 0
	for i := 0; i < len(inv.Cameras); i++ {
		c := inv.Cameras[i]
		if c.Source == "" {
			// A Pi has dozens of devices that are of no use, alike but for
			// their numbers.
			n := 1
			for !all && i+n < len(inv.Cameras) && alike(c, inv.Cameras[i+n]) {
				n++
			}
			if n > 1 {
				printf(b, "  %s to %s  (%s)\n    %s\n", c.Path, inv.Cameras[i+n-1].Path, c.Driver, joined(": ", c.Use, c.Reason))
				i += n - 1
				continue
			}
		}
		printf(b, "  %s\n    %s\n", joined("  ", c.Path, c.title()), joined(": ", c.Use, c.Reason))
		if len(c.Holders) > 0 {
			printf(b, "    open in %s\n", strings.Join(c.Holders, ", "))
		}
		if c.Source != "" {
			sources++
			fmt.Fprintf(b, "    to choose it: camera.source = %q\n", c.Source)
			c.more(b, all)
		}
	}
	if len(inv.Cameras) == 0 {
		printf(b, "  %s\n", cmp.Or(inv.CameraError, "There is no video device."))
	}
	seen := slices.ContainsFunc(inv.Cameras, func(c cameraEntry) bool { return len(c.Holders) > 0 })
	if box := inv.box(); box != "" && !seen && isReal(config.Camera{Source: inv.CameraSource}) {
		// Only root may see what another user's programs have open.
		printf(b, "  The box is running (%s), so its camera is in use.\n", box)
	}
	if inv.RPiCam {
		fmt.Fprintln(b, `  rpicam-vid is installed: camera.source = "rpicam" takes a Pi camera`)
	} else {
		fmt.Fprintln(b, "  rpicam-vid is not installed (only a Pi camera needs it: sudo apt install rpicam-apps)")
	}
	switch {
	case sources > 0:
	case slices.ContainsFunc(inv.Cameras, func(c cameraEntry) bool { return c.denied }):
		fmt.Fprintln(b, "  May you use the camera (group video)?")
	case !inv.RPiCam:
		fmt.Fprintln(b, "  Is the camera plugged in? Without one: teachbox run --sim-missing")
	}
}

// title is the name and the driver, if they are known.
func (c cameraEntry) title() string {
	if c.Driver == "" {
		return c.Name
	}
	return fmt.Sprintf("%s (%s)", c.Name, c.Driver)
}

// alike reports whether two devices differ in nothing that matters to people.
func alike(a, b cameraEntry) bool {
	return a.Driver == b.Driver && a.Use == b.Use && a.Reason == b.Reason && a.Source == b.Source
}

// more prints what a camera gives and what can be set.
func (c cameraEntry) more(b *strings.Builder, all bool) {
	for _, f := range c.Formats {
		var sizes []string
		for _, s := range f.Sizes {
			sizes = append(sizes, camera.Size(s).String())
		}
		if all || len(sizes) > 0 {
			printf(b, "    %-5s %s\n", f.Format, cmp.Or(strings.Join(sizes, "; "), "(not for the box)"))
		}
	}
	var names []string
	for _, k := range c.Controls {
		names = append(names, k.Name)
		if all {
			printf(b, "    control %s: %d, from %d to %d, at first %d\n", k.Name, k.Value, k.Min, k.Max, k.Default)
		}
	}
	if !all && len(names) > 0 {
		printf(b, "    controls: %s\n", strings.Join(names, ", "))
	}
}

func (inv *inventory) lines(b *strings.Builder, all bool) {
	fmt.Fprintf(b, "GPIO (the configuration says panel.source = %q)\n", inv.PanelSource)
	denied := false
	for _, c := range inv.Chips {
		denied = denied || c.denied
		if c.Error != "" {
			printf(b, "  %s\n", c.Error)
			continue
		}
		printf(b, "  %s  %s, %d lines\n", c.Path, c.Label, len(c.Lines))
		w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
		listed := false
		for _, l := range c.Lines {
			if !all && !l.Used && l.Purpose == "" {
				continue
			}
			direction, holder := "in", l.Holder
			if l.Output {
				direction = "out"
			}
			if l.Used {
				holder = cmp.Or(holder, "the kernel")
			}
			if !listed {
				fmt.Fprintln(w, "    OFFSET\tNAME\tDIRECTION\tHELD BY\tCONFIGURED AS")
				listed = true
			}
			printf(w, "    %d\t%s\t%s\t%s\t%s\n",
				l.Offset, cmp.Or(l.Name, "-"), direction, cmp.Or(holder, "-"), cmp.Or(inv.people(l.Purpose), "-"))
		}
		_ = w.Flush() // to memory
	}
	if inv.ChipError != "" {
		printf(b, "  %s\n", inv.ChipError)
	}
	switch {
	case denied:
		fmt.Fprintln(b, "  May you use GPIO (group gpio)? Without it: teachbox run --sim-missing")
	case len(inv.Chips) == 0:
		fmt.Fprintln(b, "  Without GPIO: teachbox run --sim-missing")
	}
	if len(inv.Chips) > 0 && inv.PanelSource != config.SourceSim {
		inv.wiring(b)
	}
}

// box is the running box, by its lines; "" if none runs.
func (inv *inventory) box() string {
	for _, w := range inv.Wiring {
		if w.Holder != "" {
			return w.Holder
		}
	}
	return ""
}

// wiring says what is wrong with the lines of the configuration.
func (inv *inventory) wiring(b *strings.Builder) {
	box := inv.box()
	var wrong []wireEntry
	for _, w := range inv.Wiring {
		if w.Problem != "" {
			wrong = append(wrong, w)
		}
	}
	if box != "" {
		printf(b, "  The box is running (%s) and has its lines.\n", box)
	}
	if len(wrong) == 0 && box == "" {
		fmt.Fprintln(b, "  All lines of the configuration are there, and free.")
	}
	if len(wrong) > 0 {
		fmt.Fprintln(b, "  Wrong with the lines of the configuration:")
	}
	for _, w := range wrong {
		printf(b, "    %s, %s: %s\n", w.people, w.Line, w.Problem)
	}
}

// printf is fmt.Fprintf to memory, for texts that come from devices: what is in
// them is printed as it is, control characters escaped, so that no name can
// play with a terminal.
func printf(w io.Writer, format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = escaped(text)
		}
	}
	fmt.Fprintf(w, format, args...)
}

// escaped writes what cannot be seen as Go does, such as \x1b.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// joined joins the parts that are not empty.
func joined(sep string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), sep)
}

// report is what an issue should say of a machine, as a block of text for its
// page. What names a single machine or its owner is left out.
func report(root fs.FS, inv *inventory) string {
	var b strings.Builder
	_ = versionCmd{}.Run(std{out: &b}) // to memory
	b.WriteString(machine(root))
	b.WriteString("\n")
	b.WriteString(inv.text(true))
	return "```text\n" + anonymous(b.String()) + "```\n"
}

// machine says what the program runs on, from the files of the system.
func machine(root fs.FS) string {
	read := func(path string) string {
		data, err := fs.ReadFile(root, path)
		if err != nil {
			return ""
		}
		return strings.Trim(string(data), "\x00\n ")
	}
	system := "unknown"
	for line := range strings.Lines(read("etc/os-release")) {
		if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			system = strings.Trim(name, "\"'\n ")
		}
	}
	return fmt.Sprintf("kernel  %s %s %s\nboard   %s\nsystem  %s\n",
		read("proc/sys/kernel/osrelease"), runtime.GOARCH, read("proc/sys/kernel/version"),
		cmp.Or(read("proc/device-tree/model"), "unknown (no device tree)"), system)
}

// anonymous takes out what could name a single machine or its owner: links by
// id hold the serial number of a camera, and a folder may be below a home.
func anonymous(text string) string {
	text = regexp.MustCompile(`/dev/v4l/by-id/[^\s"]*`).ReplaceAllString(text, "/dev/v4l/by-id/…")
	return regexp.MustCompile(`"folder:(\\.|[^"\\])*"`).ReplaceAllString(text, `"folder:…"`)
}

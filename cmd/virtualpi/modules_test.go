package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMend(t *testing.T) {
	got, err := mend("irq_sim.c", "#include <linux/irq.h>\n\thandle_simple_irq(irq_to_desc(irqnum));\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"#include <linux/irqdesc.h>\n", "MODULE_LICENSE(\"GPL\");\n",
		"\thandle_simple_irq(irq_data_to_desc(irq_get_irq_data(irqnum)));\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	if got, err := mend("v4l2loopback.c", "strlcpy(a, b);strlcpy(c, d);"); err != nil || got != "strscpy(a, b);strscpy(c, d);" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := mend("gpio-sim.c", "as it is"); err != nil || got != "as it is" {
		t.Errorf("got %q, %v", got, err)
	}
	// A later version of the source that no longer fits must not build by luck.
	if got, err := mend("v4l2loopback.c", "strscpy(a, b);"); err == nil || !strings.Contains(err.Error(), "v4l2loopback.c") {
		t.Errorf("got %q, %v; want an error that names the file", got, err)
	}
}

func TestParseDepends(t *testing.T) {
	got := parseDepends([]byte("builtin crc16\ninsmod /tmp/x y/netfs.ko.xz \ninsmod /tmp/x y/9p.ko\n"))
	if diff := cmp.Diff([]string{"/tmp/x y/netfs.ko.xz", "/tmp/x y/9p.ko"}, got); diff != "" {
		t.Error(diff)
	}
}

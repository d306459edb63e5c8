package inference

import (
	"errors"
	"testing"
)

func TestParseCrop(t *testing.T) {
	for s, want := range map[string]string{
		"squash":              "squash",
		"center":              "center",
		"0,0,1,1":             "squash",
		" 0.10, 0,0.80,1.0 ":  "0.1,0,0.8,1",
		"0.7,-0,0.3,1e0":      "0.7,0,0.3,1",
		"0.95,0.95,0.05,0.05": "0.95,0.95,0.05,0.05",
	} {
		c, err := ParseCrop(s)
		if err != nil || c.String() != want {
			t.Errorf("ParseCrop(%q): %q, %v, want %q", s, c, err, want)
		}
		if again, err := ParseCrop(c.String()); err != nil || again != c {
			t.Errorf("%q does not read back: %+v, %v", c, again, err)
		}
	}
	for _, s := range []string{"", "all", "Squash", "0,0,1", "0,0,1,1,1", "0,0,0.04,1", "0.5,0,0.6,1", "-0.1,0,1,1", "0,0,NaN,1", "0,0,Inf,1", "0,0,1,x"} {
		if c, err := ParseCrop(s); !errors.Is(err, ErrCrop) {
			t.Errorf("ParseCrop(%q): %q, %v", s, c, err)
		}
	}
}

func FuzzParseCrop(f *testing.F) {
	f.Add("0.1,0,0.8,1")
	f.Add("center")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCrop(s)
		if err != nil {
			return
		}
		if again, err := ParseCrop(c.String()); err != nil || again != c {
			t.Errorf("%q becomes %q, which reads as %+v, %v", s, c, again, err)
		}
	})
}

package device

import "testing"

func TestButtonString(t *testing.T) {
	for b, want := range map[Button]string{0: "class 1", MaxSlots - 1: "class 8", Nothing: "nothing"} {
		if got := b.String(); got != want {
			t.Errorf("button %d: %q, want %q", uint8(b), got, want)
		}
	}
}

func TestLightsString(t *testing.T) {
	for _, c := range []struct {
		lights Lights
		want   string
	}{
		{0, "○○○○○○○○ ○"},
		{Slot(0), "●○○○○○○○ ○"},
		{Slot(3) | Status, "○○○●○○○○ ●"},
		{AllSlots(4), "●●●●○○○○ ○"},
		{Status, "○○○○○○○○ ●"},
		{AllSlots(MaxSlots) | Status, "●●●●●●●● ●"},
	} {
		if got := c.lights.String(); got != c.want {
			t.Errorf("lights %#x: %q, want %q", uint16(c.lights), got, c.want)
		}
	}
}

// TestLightsAreApart shows that no two LEDs share a bit.
func TestLightsAreApart(t *testing.T) {
	seen := Status
	for i := range MaxSlots {
		if seen&Slot(i) != 0 {
			t.Errorf("slot %d shares its bit", i)
		}
		seen |= Slot(i)
		if got := AllSlots(i + 1); got != seen&^Status {
			t.Errorf("the first %d slots: %v, want %v", i+1, got, seen&^Status)
		}
	}
}

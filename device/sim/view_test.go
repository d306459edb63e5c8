package sim

import (
	"errors"
	"flag"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// views are the screens of the golden files.
func views() map[string]View {
	lesson := View{
		Wiring: device.Wiring{Slots: 4, Nothing: true, Status: true},
		Lights: device.Slot(1) | device.Status,
		Desk:   "leaf/2", Verdict: "leaf", Familiar: "very familiar", State: "well",
		Said: "now the leaf",
	}
	lesson.Down[0], lesson.Down[device.Nothing] = true, true
	lesson.Taught[0] = Taught{"cup", 5}
	lesson.Taught[1] = Taught{"leaf", 12}
	lesson.Taught[2] = Taught{"größtes Ding", 100000}
	lesson.Taught[device.Nothing] = Taught{"", 3}

	full := View{Wiring: device.Wiring{Slots: 8, Nothing: true, Status: true}, Lights: device.AllSlots(8)}
	for i := range full.Taught {
		full.Taught[i] = Taught{"a long name of a class", 250}
	}
	full.Desk = strings.Repeat("far away ", 20)
	full.Said = "\x1b[2Jclear\r\nme\x07"

	seen := lesson
	seen.Picture = uniform(PreviewWidth, PreviewHeight, color.RGBA{1, 2, 3, 255})
	seen.Picture.Set(0, 0, color.RGBA{255, 0, 0, 255})

	return map[string]View{
		"new":     {Wiring: device.Wiring{Slots: 2}},
		"lesson":  lesson,
		"full":    full,
		"picture": seen,
	}
}

// readable shows escapes as text and lines as lines.
func readable(screen string) string {
	return strings.NewReplacer("\r\n", "\n", "\x1b", "^[").Replace(screen) + "\n"
}

func TestDraw(t *testing.T) {
	for name, view := range views() {
		for _, colour := range []bool{false, true} {
			var b strings.Builder
			if err := Draw(&b, view, colour); err != nil {
				t.Fatal(err)
			}
			got := readable(b.String())
			file := name + ".txt"
			if colour {
				file = name + "-colour.txt"
			}
			file = filepath.Join("testdata", file)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (after a change on purpose run this test with -update): %s", file, diff)
			}
			if n := strings.Count(got, "\n"); n > 24 {
				t.Errorf("%s has %d lines (want 24 at most)", file, n)
			}
			if !colour {
				for line := range strings.Lines(got) {
					for _, code := range []string{"^[[?2026h", "^[[?2026l", "^[[H", "^[[K", "^[[J", "\n"} {
						line = strings.ReplaceAll(line, code, "")
					}
					if n := len([]rune(line)); n > 80 || strings.Contains(line, "^[") {
						t.Errorf("%s: a line of %d columns (want 80 at most), or with colour: %q", file, n, line)
					}
				}
			}
		}
	}
}

func TestLine(t *testing.T) {
	v := views()
	for name, want := range map[string]string{
		"new":    "desk: empty; verdict: none yet; taught: none yet; box: –",
		"lesson": "desk: leaf/2; verdict: leaf; taught: cup 5, leaf 12, größtes Ding 100000, nothing 3; box: well; now the leaf",
	} {
		if got := Line(v[name]); got != want {
			t.Errorf("%s: %q (want %q)", name, got, want)
		}
	}
	if got := Line(v["full"]); strings.ContainsAny(got, "\x1b\r\n\a") {
		t.Errorf("control characters got through: %q", got)
	}
}

func TestLog(t *testing.T) {
	var b strings.Builder
	log := NewLog(&b)
	v := views()["lesson"]
	for range 3 {
		v.Lights ^= device.Status // blinks, which is no news
		if err := log.Draw(v); err != nil {
			t.Fatal(err)
		}
	}
	v.Verdict = "unknown"
	if err := log.Draw(v); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n != 2 {
		t.Errorf("%d lines (want 2):\n%s", n, b.String())
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("broken pipe")

func TestDrawErrors(t *testing.T) {
	if err := Draw(brokenPipe{}, View{}, true); !errors.Is(err, errBroken) {
		t.Errorf("Draw returned %v", err)
	}
	if err := NewLog(brokenPipe{}).Draw(View{}); !errors.Is(err, errBroken) {
		t.Errorf("Log.Draw returned %v", err)
	}
}

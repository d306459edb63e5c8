package sim

import (
	"errors"
	"flag"
	"image/color"
	"os"
	"path/filepath"
	"regexp"
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
		Said: "now the leaf", Notes: []string{"last: kept an example of 2"},
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
	full.Notes = []string{
		"camera: not there: this version has no driver for real cameras (set camera.source to \"sim\" or \"folder:PATH\", or run with --sim)",
		strings.Repeat("long", 100),
	}

	seen := lesson
	seen.Picture = uniform(PreviewWidth, PreviewHeight, color.RGBA{1, 2, 3, 255})
	seen.Picture.Set(0, 0, color.RGBA{255, 0, 0, 255})

	folder := lesson
	folder.NoDesk, folder.Said = true, "hold: which button?"
	folder.State, folder.Notes = "unwell (storage)", []string{
		"storage: lesson file /var/lib/teachbox/lesson.db: no space left: make room on the disk (for example by deleting old files)",
		"last: not done: lesson file /var/lib/teachbox/lesson.db: no space left: make room on the disk (for example by deleting old files)",
	}

	return map[string]View{
		"new":     {Wiring: device.Wiring{Slots: 2}},
		"folder":  folder,
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
			if err := Draw(&b, view, Screen{Width: 200, Height: 60, Colour: colour}); err != nil {
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
			for line := range strings.Lines(got) {
				if !colour && regexp.MustCompile(`\^\[\[[0-9;]*m`).MatchString(line) {
					t.Errorf("%s: with colour: %q", file, line)
				}
				if n := width(line); n > 80 {
					t.Errorf("%s: a line of %d columns (want 80 at most): %q", file, n, line)
				}
			}
		}
	}
}

// width is the width of a readable line without its escapes.
func width(line string) int {
	line = regexp.MustCompile(`\^\[\[[0-9;?]*[A-Za-z]`).ReplaceAllString(strings.TrimSuffix(line, "\n"), "")
	return len([]rune(line))
}

// TestDrawSizes draws on screens of every size: nothing is lost on one that is
// large enough, and a smaller one says what is wanted.
func TestDrawSizes(t *testing.T) {
	for name, view := range views() {
		for w := 1; w <= 82; w++ {
			for h := 1; h <= 26; h++ {
				var b strings.Builder
				if err := Draw(&b, view, Screen{Width: w, Height: h, Colour: true}); err != nil {
					t.Fatal(err)
				}
				got := readable(b.String())
				if n := strings.Count(got, "\n"); n > h {
					t.Fatalf("%s on %d×%d: %d lines", name, w, h, n)
				}
				for line := range strings.Lines(got) {
					if n := width(line); n > w {
						t.Fatalf("%s on %d×%d: a line of %d columns: %q", name, w, h, n, line)
					}
				}
				large := w >= 72 && h >= 20
				if !large && w >= 32 && !strings.Contains(got, "Make the window at least 72×20.") {
					t.Fatalf("%s on %d×%d does not say that it is too small:\n%s", name, w, h, got)
				}
				for _, must := range []string{"verdict", "h 1 hold, h 1 again let go (US keys: Shift 1)", "q quit", "[2]"} {
					if strings.Contains(got, must) != large {
						t.Fatalf("%s on %d×%d: contains %q is %v:\n%s", name, w, h, must, !large, got)
					}
				}
			}
		}
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text  []string
		width int
		most  int
		want  []string
	}{
		{nil, 10, 4, nil},
		{[]string{"", " \t"}, 10, 4, nil},
		{[]string{"one two three"}, 13, 4, []string{"one two three"}},
		{[]string{"one two three"}, 12, 4, []string{"one two", "three"}},
		{[]string{"one", "two\nthree"}, 12, 4, []string{"one", "two three"}},
		{[]string{"a /very/long/path b"}, 6, 9, []string{"a", "/very/", "long/p", "ath b"}},
		{[]string{"one two three"}, 5, 2, []string{"one", "two …"}},
		{[]string{"eleven words"}, 6, 1, []string{"eleve…"}},
		{[]string{"größe größe"}, 5, 4, []string{"größe", "größe"}},
		{[]string{"日本語"}, 4, 4, []string{"日本", "語"}},
		{[]string{"日本語"}, 1, 4, nil},
		{[]string{"one"}, 10, 0, []string{}},
	} {
		if diff := cmp.Diff(test.want, wrap(test.text, test.width, test.most)); diff != "" {
			t.Errorf("wrap(%q, %d, %d): %s", test.text, test.width, test.most, diff)
		}
	}
}

func TestLine(t *testing.T) {
	v := views()
	for name, want := range map[string]string{
		"new":    "desk: empty; verdict: none yet; taught: none yet; box: –",
		"lesson": "desk: leaf/2; verdict: leaf; taught: cup 5, leaf 12, größtes Ding 100000, nothing 3; box: well; last: kept an example of 2; now the leaf",
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
	if err := Draw(brokenPipe{}, View{Wiring: device.Wiring{Slots: 2}}, Screen{Width: 80, Height: 24}); !errors.Is(err, errBroken) {
		t.Errorf("Draw returned %v", err)
	}
	if err := NewLog(brokenPipe{}).Draw(View{}); !errors.Is(err, errBroken) {
		t.Errorf("Log.Draw returned %v", err)
	}
}

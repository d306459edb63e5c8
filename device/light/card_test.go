package light

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestCard(t *testing.T) {
	for _, tt := range []struct {
		golden string
		wiring device.Wiring
	}{
		{"card.txt", device.Wiring{Slots: 4, Nothing: true, Status: true}},
		{"card-dark.txt", device.Wiring{Slots: 4, Nothing: true}},
		{"card-bare.txt", device.Wiring{Slots: 2}},
	} {
		t.Run(tt.golden, func(t *testing.T) {
			var got bytes.Buffer
			if err := Card(&got, tt.wiring); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", tt.golden)
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("the card is not %s (-want +got); go test -update rewrites it\n%s", file, diff)
			}
			for i, line := range strings.Split(got.String(), "\n") {
				if n := utf8.RuneCountInString(line); n > 72 {
					t.Errorf("line %d has %d columns (want 72 at most)", i+1, n)
				}
				if strings.TrimRight(line, " ") != line {
					t.Errorf("line %d ends with a space", i+1)
				}
			}
		})
	}
}

// Every row of the table is on the card of a full box, and no two are drawn alike.
func TestCardHasEveryRow(t *testing.T) {
	var b bytes.Buffer
	if err := Card(&b, device.Wiring{Slots: 4, Nothing: true, Status: true}); err != nil {
		t.Fatal(err)
	}
	drawn := map[string]string{}
	for _, g := range Signals() {
		s := strip(g.Rhythm, false)
		if n := strings.Count(b.String(), s+"  "); n != 1 {
			t.Errorf("%q: %s is drawn %d times (want 1)", g.Means, s, n)
		}
		if other, ok := drawn[s]; ok {
			t.Errorf("%q and %q are drawn alike", g.Means, other)
		}
		drawn[s] = g.Means
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func TestCardReportsErrors(t *testing.T) {
	if err := Card(brokenWriter{}, device.Wiring{Slots: 2}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

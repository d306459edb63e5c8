package press

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"teachbox/device"
)

const ms = time.Millisecond

var (
	full  = device.Wiring{Slots: 3, Nothing: true, Status: true}
	birth = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	zero  = birth.Add(10 * time.Second) // where the timelines of the tables start
)

// parse reads a timeline such as "0 N↓ 100 A↓ 200 A↑": a time in milliseconds,
// then an edge. A, B and C are class buttons. A small k or p before the button
// says that the keyboard or the page sent it; "~" and a number behind it is a
// lease in milliseconds.
func parse(t *testing.T, s string) []device.Edge {
	t.Helper()
	f := strings.Fields(s)
	if len(f)%2 != 0 {
		t.Fatalf("timeline %q: odd number of fields", s)
	}
	var edges []device.Edge
	for i := 0; i < len(f); i += 2 {
		at, err := strconv.Atoi(f[i])
		if err != nil {
			t.Fatalf("timeline %q: %v", s, err)
		}
		e := device.Edge{At: zero.Add(time.Duration(at) * ms)}
		word, lease, _ := strings.Cut(f[i+1], "~")
		if lease != "" {
			n, err := strconv.Atoi(lease)
			if err != nil {
				t.Fatalf("timeline %q: %v", s, err)
			}
			e.Lease = time.Duration(n) * ms
		}
		if r, ok := strings.CutPrefix(word, "k"); ok {
			word, e.Source = r, device.FromKeyboard
		} else if r, ok := strings.CutPrefix(word, "p"); ok {
			word, e.Source = r, device.FromPage
		}
		name, arrow := word[:1], word[1:]
		e.Button = device.Nothing
		if name != "N" {
			e.Button = device.Button(name[0] - 'A')
		}
		switch arrow {
		case "↓":
			e.Down = true
		case "↑":
		default:
			t.Fatalf("timeline %q: %q is no edge", s, f[i+1])
		}
		edges = append(edges, e)
	}
	return edges
}

// play gives the edges to a fresh machine, each at its own time, with every
// deadline between them and after them kept.
func play(t *testing.T, w device.Wiring, edges []device.Edge) []Gesture {
	t.Helper()
	m := New(w)
	all := slices.Clone(m.Step(birth, nil))
	keep := func(until time.Time) {
		for n := 0; ; n++ {
			next, ok := m.Next()
			if !ok || next.After(until) {
				return
			}
			if n > 10000 {
				t.Fatal("the deadlines do not end")
			}
			all = append(all, m.Step(next, nil)...)
		}
	}
	for _, e := range edges {
		keep(e.At.Add(-1))
		all = append(all, m.Step(e.At, &e)...)
	}
	keep(zero.Add(1000 * time.Hour))
	return all
}

// show writes gestures as the tables do: "0 Sample(A1) 400 Release(A1)".
func show(gs []Gesture) string {
	var words []string
	for _, g := range gs {
		name := "N"
		if g.Button != device.Nothing {
			name = string(rune('A' + g.Button))
		}
		if g.Press != 0 {
			name += strconv.Itoa(g.Press)
		}
		s := fmt.Sprintf("%d %v(%s)", g.At.Sub(zero).Milliseconds(), g.Kind, name)
		if !g.Until.IsZero() {
			s += fmt.Sprintf("→%d", g.Until.Sub(zero).Milliseconds())
		}
		words = append(words, s)
	}
	return strings.Join(words, " ")
}

func TestGestures(t *testing.T) {
	const nothingTap = "Sample(N1) 800 Sample(N1) 1300 Sample(N1) 1300 Release(N1)"
	tests := []struct{ name, in, want string }{
		// A class button alone.
		{"tap", "0 A↓ 100 A↑", "0 Sample(A1) 100 Release(A1)"},
		{"longest tap", "0 A↓ 399 A↑", "0 Sample(A1) 399 Release(A1)"},
		{"shortest hold", "0 A↓ 400 A↑", "0 Sample(A1) 400 Sample(A1) 400 Release(A1)"},
		{"hold", "0 A↓ 950 A↑", "0 Sample(A1) 400 Sample(A1) 600 Sample(A1) 800 Sample(A1) 950 Release(A1)"},
		{"taps count presses", "0 A↓ 100 A↑ 200 B↓ 300 B↑ 400 A↓ 500 A↑",
			"0 Sample(A1) 100 Release(A1) 200 Sample(B2) 300 Release(B2) 400 Sample(A3) 500 Release(A3)"},
		{"two at once", "0 A↓ 100 B↓ 450 A↑ 550 B↑",
			"0 Sample(A1) 100 Sample(B2) 400 Sample(A1) 450 Release(A1) 500 Sample(B2) 550 Release(B2)"},

		// Nothing alone.
		{"nothing tap", "0 N↓ 300 N↑", "300 " + nothingTap},
		{"longest nothing tap", "0 N↓ 399 N↑", "399 Sample(N1) 899 Sample(N1) 1399 Sample(N1) 1399 Release(N1)"},
		{"nothing held, let go", "0 N↓ 400 N↑", "400 NewBegin(N)→5000 400 NewCancel(N)"},
		{"nothing held nearly", "0 N↓ 4999 N↑", "400 NewBegin(N)→5000 4999 NewCancel(N)"},
		{"new lesson", "0 N↓ 6000 N↑", "400 NewBegin(N)→5000 5000 NewLesson(N)"},
		{"nothing tapped twice", "0 N↓ 300 N↑ 500 N↓ 600 N↑",
			"300 Sample(N1) 600 Release(N1) 600 Sample(N2) 1100 Sample(N2) 1600 Sample(N2) 1600 Release(N2)"},
		{"class ends the series", "0 N↓ 300 N↑ 900 A↓ 1000 A↑",
			"300 Sample(N1) 800 Sample(N1) 900 Release(N1) 900 Sample(A2) 1000 Release(A2)"},
		{"chord ends the series", "0 N↓ 300 N↑ 400 N↓ 500 A↓ 600 A↑ 700 N↑",
			"300 Sample(N1) 500 Release(N1) 600 TakeBack(A)"},
		{"hold during the series", "0 N↓ 300 N↑ 350 N↓ 1000 N↑",
			"300 Sample(N1) 750 NewBegin(N)→5350 800 Sample(N1) 1000 NewCancel(N) 1300 Sample(N1) 1300 Release(N1)"},

		// Class first: nothing means nothing.
		{"A↓ N↓ A↑ N↑", "0 A↓ 100 N↓ 200 A↑ 300 N↑", "0 Sample(A1) 200 Release(A1)"},
		{"A↓ N↓ N↑ A↑", "0 A↓ 100 N↓ 200 N↑ 300 A↑", "0 Sample(A1) 300 Release(A1)"},
		{"A↓ A↑ N↓ N↑", "0 A↓ 50 A↑ 100 N↓ 300 N↑", "0 Sample(A1) 50 Release(A1) 300 Sample(N2) 800 Sample(N2) 1300 Sample(N2) 1300 Release(N2)"},
		{"inert nothing is no new lesson", "0 A↓ 100 N↓ 200 A↑ 9000 N↑", "0 Sample(A1) 200 Release(A1)"},
		{"inert nothing makes no chord", "0 A↓ 100 N↓ 200 A↑ 300 A↓ 350 A↑ 400 B↓ 450 B↑ 500 N↑",
			"0 Sample(A1) 200 Release(A1) 300 Sample(A2) 350 Release(A2) 400 Sample(B3) 450 Release(B3)"},
		{"inert nothing ends with its up", "0 A↓ 100 N↓ 200 N↑ 250 A↑ 300 N↓ 350 A↓ 400 A↑ 450 N↑",
			"0 Sample(A1) 250 Release(A1) 400 TakeBack(A)"},
		{"held class, nothing, held on", "0 A↓ 100 N↓ 700 N↑ 850 A↑",
			"0 Sample(A1) 400 Sample(A1) 600 Sample(A1) 800 Sample(A1) 850 Release(A1)"},

		// Chords: the tap.
		{"N↓ A↓ A↑ N↑", "0 N↓ 100 A↓ 200 A↑ 300 N↑", "200 TakeBack(A)"},
		{"N↓ A↓ N↑ A↑", "0 N↓ 100 A↓ 200 N↑ 300 A↑", "300 TakeBack(A)"},
		{"N↓ N↑ A↓ A↑", "0 N↓ 50 N↑ 100 A↓ 200 A↑", "50 Sample(N1) 100 Release(N1) 100 Sample(A2) 200 Release(A2)"},
		{"back twice", "0 N↓ 100 A↓ 200 A↑ 300 A↓ 400 A↑ 500 N↑", "200 TakeBack(A) 400 TakeBack(A)"},
		{"back in two classes", "0 N↓ 100 A↓ 200 A↑ 300 B↓ 400 B↑ 500 N↑", "200 TakeBack(A) 400 TakeBack(B)"},
		{"longest chord tap", "0 N↓ 100 A↓ 499 A↑ 600 N↑", "499 TakeBack(A)"},
		{"chord tap, nothing let go, class held on", "0 N↓ 100 A↓ 200 N↑ 900 A↑", ""},
		{"the same to the millisecond", "0 N↓ 100 A↓ 200 N↑ 500 A↑", ""},
		{"class taken along into a new push of nothing", "0 N↓ 100 A↓ 200 N↑ 300 N↓ 400 N↑ 3000 A↑", ""},
		{"chord after 400 ms cancels the countdown", "0 N↓ 1000 A↓ 1100 A↑ 9000 N↑",
			"400 NewBegin(N)→5000 1000 NewCancel(N) 1100 TakeBack(A)"},
		{"chord before 400 ms leaves no countdown", "0 N↓ 100 A↓ 200 A↑ 9000 N↑", "200 TakeBack(A)"},
		{"chord after a new lesson", "0 N↓ 5500 A↓ 5600 A↑ 6000 N↑",
			"400 NewBegin(N)→5000 5000 NewLesson(N) 5600 TakeBack(A)"},
		{"class at the moment of completion", "0 N↓ 5000 A↓ 5100 A↑ 6000 N↑",
			"400 NewBegin(N)→5000 5000 NewLesson(N) 5100 TakeBack(A)"},

		// Chords: the hold.
		{"forget", "0 N↓ 100 A↓ 2200 A↑ 2300 N↑", "500 ForgetBegin(A)→2100 2100 Forget(A)"},
		{"forget, class let go", "0 N↓ 100 A↓ 2099 A↑ 2300 N↑", "500 ForgetBegin(A)→2100 2099 ForgetCancel(A)"},
		{"forget, nothing let go", "0 N↓ 100 A↓ 2099 N↑ 2300 A↑", "500 ForgetBegin(A)→2100 2099 ForgetCancel(A)"},
		{"forget, then back", "0 N↓ 100 A↓ 2200 A↑ 2300 A↓ 2400 A↑ 2500 N↑",
			"500 ForgetBegin(A)→2100 2100 Forget(A) 2400 TakeBack(A)"},
		{"forget two", "0 N↓ 100 A↓ 200 B↓ 3000 B↑ 3000 A↑ 3100 N↑",
			"500 ForgetBegin(A)→2100 600 ForgetBegin(B)→2200 2100 Forget(A) 2200 Forget(B)"},
		{"nothing let go cancels both", "0 N↓ 100 A↓ 200 B↓ 1000 N↑ 3000 B↑ 3000 A↑",
			"500 ForgetBegin(A)→2100 600 ForgetBegin(B)→2200 1000 ForgetCancel(A) 1000 ForgetCancel(B)"},
		{"back while another is held", "0 N↓ 100 A↓ 700 B↓ 800 B↑ 1000 A↑ 1100 N↑",
			"500 ForgetBegin(A)→2100 800 TakeBack(B) 1000 ForgetCancel(A)"},
		{"class after the chord's nothing went", "0 N↓ 100 A↓ 200 N↑ 250 B↓ 300 B↑ 350 A↑",
			"250 Sample(B1) 300 Release(B1) 350 TakeBack(A)"},
		{"class pressed, nothing inert, class in no chord", "0 A↓ 50 N↓ 100 B↓ 150 B↑ 200 A↑ 250 N↑",
			"0 Sample(A1) 100 Sample(B2) 150 Release(B2) 200 Release(A1)"},

		// Bounce.
		{"short bounce of a tap", "0 A↓ 3 A↑ 6 A↓ 100 A↑ 104 A↓ 109 A↑", "0 Sample(A1) 100 Release(A1)"},
		{"a push shorter than bounce", "0 A↓ 10 A↑", "0 Sample(A1) 30 Release(A1)"},
		{"chatter that outlasts the window", "0 A↓ 10 A↑ 20 A↓ 35 A↑ 50 A↓ 60 A↑ 70 A↓ 300 A↑ 310 A↓ 325 A↑", "0 Sample(A1) 300 Release(A1)"},
		{"a glitch within bounce", "0 A↓ 10 A↑ 19 A↓ 300 A↑", "0 Sample(A1) 300 Release(A1)"},
		{"after the bounce an edge acts at once", "0 A↓ 20 A↑", "0 Sample(A1) 20 Release(A1)"},
		{"the window is no lag", "0 A↓ 300 A↑ 310 A↓ 500 A↑", "0 Sample(A1) 300 Release(A1) 330 Sample(A2) 500 Release(A2)"},
		{"nothing bounces", "0 N↓ 5 N↑ 10 N↓ 300 N↑ 305 N↓ 310 N↑", "300 " + nothingTap},

		// Sources.
		{"or-ed", "0 A↓ 100 kA↓ 200 A↑ 300 kA↑", "0 Sample(A1) 300 Release(A1)"},
		{"bounce of each source apart", "0 A↓ 5 kA↓ 10 kA↑ 30 A↑", "0 Sample(A1) 30 Release(A1)"},
		{"chord over sources", "0 kN↓ 100 A↓ 200 A↑ 300 kN↑", "200 TakeBack(A)"},
		{"other source's up is none", "0 A↓ 100 kA↑ 300 A↑", "0 Sample(A1) 300 Release(A1)"},
		{"down again is none", "0 A↓ 100 A↓ 300 A↑", "0 Sample(A1) 300 Release(A1)"},

		// Leases.
		{"lease ends", "0 pA↓~300", "0 Sample(A1) 300 Release(A1)"},
		{"lease renewed", "0 pA↓~300 200 pA↓~300", "0 Sample(A1) 400 Sample(A1) 500 Release(A1)"},
		{"lease and up", "0 pA↓~300 100 pA↑ 1000 A↓ 1100 A↑", "0 Sample(A1) 100 Release(A1) 1000 Sample(A2) 1100 Release(A2)"},
		{"lease of one source only", "0 pA↓~300 100 A↓ 390 A↑", "0 Sample(A1) 390 Release(A1)"},
		{"lost tablet cancels", "0 pN↓~1000", "400 NewBegin(N)→5000 1000 NewCancel(N)"},
		{"lease shorter than bounce", "0 pA↓~5", "0 Sample(A1) 20 Release(A1)"},
		{"lease of no length", "0 pA↓~-5", "0 Sample(A1) 20 Release(A1)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := show(play(t, full, parse(t, tt.in)))
			if diff := gocmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s\n(-want +got)\n%s", tt.in, diff)
			}
		})
	}
}

// expected says what one push of each button means, by looking at the whole
// timeline at once, which is another way to say what the machine says.
func expected(at map[string]int) string {
	type item struct {
		at, order int
		text      string
	}
	var items []item
	add := func(t int, format string, a ...any) {
		items = append(items, item{t, len(items), fmt.Sprintf("%d ", t) + fmt.Sprintf(format, a...)})
	}
	nd, nu := at["N↓"], at["N↑"]
	classes := []string{"A", "B"}
	if at["B↓"] < at["A↓"] {
		classes = []string{"B", "A"}
	}
	inert, firstChord, seriesEnd := false, 1<<30, 1<<30
	for _, c := range classes {
		d, u := at[c+"↓"], at[c+"↑"]
		if d < nd && nd < u {
			inert = true
		}
		if nd < d && d < nu {
			firstChord = min(firstChord, d)
		}
		if d > nu {
			seriesEnd = min(seriesEnd, d)
		}
	}
	tap := !inert && firstChord == 1<<30 && nu-nd < 400
	if !inert && min(firstChord, nu)-nd >= 400 {
		add(nd+400, "NewBegin(N)→%d", nd+5000)
		if min(firstChord, nu)-nd >= 5000 {
			add(nd+5000, "NewLesson(N)")
		} else {
			add(min(firstChord, nu), "NewCancel(N)")
		}
	}
	press := map[string]int{}
	number := func(name string) { press[name] = len(press) + 1 }
	numbered := !tap
	for _, c := range classes {
		if !numbered && at[c+"↓"] > nu {
			number("N")
			numbered = true
		}
		if inert || at[c+"↓"] < nd || at[c+"↓"] > nu {
			number(c)
		}
	}
	if !numbered {
		number("N")
	}
	if tap {
		end := nu + 1000
		for _, s := range []int{0, 500, 1000} {
			if nu+s < seriesEnd {
				add(nu+s, "Sample(N%d)", press["N"])
			} else {
				end = seriesEnd
			}
		}
		add(end, "Release(N%d)", press["N"])
	}
	for _, c := range classes {
		d, u := at[c+"↓"], at[c+"↑"]
		if press[c] != 0 {
			add(d, "Sample(%s%d)", c, press[c])
			for s := d + 400; s <= u; s += 200 {
				add(s, "Sample(%s%d)", c, press[c])
			}
			add(u, "Release(%s%d)", c, press[c])
			continue
		}
		switch end := min(u, nu); {
		case u-d < 400:
			add(u, "TakeBack(%s)", c)
		case end-d >= 2000:
			add(d+400, "ForgetBegin(%s)→%d", c, d+2000)
			add(d+2000, "Forget(%s)", c)
		case end-d >= 400:
			add(d+400, "ForgetBegin(%s)→%d", c, d+2000)
			add(end, "ForgetCancel(%s)", c)
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		if strings.Contains(a.text, "Cancel") && strings.Contains(b.text, "Cancel") {
			return cmp.Or(a.at-b.at, strings.Compare(a.text, b.text)) // one up cancels in the order of the buttons
		}
		return cmp.Or(a.at-b.at, a.order-b.order)
	})
	var words []string
	for _, it := range items {
		words = append(words, it.text)
	}
	return strings.Join(words, " ")
}

// Every order in which nothing and two class buttons can go down and up, each
// with some of the choices of short and long gaps between the edges.
func TestEveryOrder(t *testing.T) {
	gaps := []int{53, 457, 2111, 5303}
	orders, rows := 0, 0
	var walk func(done []string)
	walk = func(done []string) {
		if len(done) < 6 {
			for _, b := range []string{"N", "A", "B"} {
				for _, e := range []string{b + "↓", b + "↑"} {
					if !slices.Contains(done, e) && (e == b+"↓" || slices.Contains(done, b+"↓")) {
						walk(append(slices.Clone(done), e))
					}
				}
			}
			return
		}
		orders++
		for n := orders % 29; n < 1<<10; n += 29 { // four to the number of gaps
			at := map[string]int{}
			var line []string
			now := 0
			for i, e := range done {
				if i > 0 {
					now += gaps[n>>(2*(i-1))&3]
				}
				at[e] = now
				line = append(line, fmt.Sprint(now, " ", e))
			}
			in := strings.Join(line, " ")
			rows++
			if got, want := show(play(t, full, parse(t, in))), expected(at); got != want {
				t.Fatalf("%s\n got %s\nwant %s", in, got, want)
			}
		}
	}
	walk(nil)
	if orders != 90 {
		t.Errorf("%d orders were tried (want 6!/2³ = 90)", orders)
	}
	t.Logf("%d orders, %d timelines", orders, rows)
}

func TestFiftyEdgesInOneBounce(t *testing.T) {
	var edges []device.Edge
	bounces := func(from int, level bool) {
		for i := range 50 {
			edges = append(edges, device.Edge{Down: i%2 == 0 == level, At: zero.Add(time.Duration(from)*ms + time.Duration(i)*300*time.Microsecond)})
		}
		edges = append(edges, device.Edge{Down: level, At: zero.Add(time.Duration(from+15) * ms)})
	}
	bounces(0, true)
	bounces(200, false)
	if got, want := show(play(t, full, edges)), "0 Sample(A1) 200 Release(A1)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// An edge that the caller came to late still counts at its own time, and one
// that was overtaken neither retracts nor repeats anything.
func TestLateEdges(t *testing.T) {
	type step struct {
		now int
		e   string // one edge, or none
	}
	tests := []struct {
		name  string
		steps []step
		want  string
	}{
		{"late up is still a tap", []step{{0, "0 N↓"}, {450, "390 N↑"}},
			"390 Sample(N1) 890 Sample(N1) 1390 Sample(N1) 1390 Release(N1)"},
		{"overtaken by its own deadline", []step{{0, "0 N↓"}, {410, ""}, {411, "390 N↑"}},
			"400 NewBegin(N)→5000 400 NewCancel(N)"},
		{"all in one go", []step{{5000, "0 A↓"}, {5000, "100 A↑"}, {5000, "200 B↓"}, {5000, "300 B↑"}, {5000, ""}},
			"0 Sample(A1) 100 Release(A1) 200 Sample(B2) 300 Release(B2)"},
		{"older reading of one line", []step{{100, "100 A↑"}, {101, "90 A↓"}, {500, ""}}, ""},
		{"bounce known after its window", []step{{0, "0 A↓"}, {21, ""}, {22, "15 A↑"}, {22, "17 A↓"}, {300, "300 A↑"}},
			"0 Sample(A1) 300 Release(A1)"},
		{"up known after its window", []step{{0, "0 A↓"}, {21, ""}, {22, "15 A↑"}},
			"0 Sample(A1) 40 Release(A1)"},
		{"from the future", []step{{0, "9000 A↓"}, {100, "100 A↑"}}, "0 Sample(A1) 100 Release(A1)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := New(full)
			m.Step(birth, nil)
			var all []Gesture
			for _, s := range tt.steps {
				var e *device.Edge
				if s.e != "" {
					e = &parse(t, s.e)[0]
				}
				all = append(all, m.Step(zero.Add(time.Duration(s.now)*ms), e)...)
			}
			for next, ok := m.Next(); ok; next, ok = m.Next() {
				all = append(all, m.Step(next, nil)...)
			}
			if got := show(all); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestStuck(t *testing.T) {
	boot := int(birth.Sub(zero).Milliseconds()) // the timelines count from zero
	at := func(n int) string { return strconv.Itoa(boot + n) }
	tests := []struct{ name, in, want string }{
		{"at boot", at(10) + " A↓ 0 B↓ 100 B↑ 5000 A↑ 6000 A↓ 6100 A↑",
			at(1000) + " Stuck(A) 0 Sample(B1) 100 Release(B1) 5000 Unstuck(A) 6000 Sample(A2) 6100 Release(A2)"},
		{"nothing at boot leaves presses alone", at(100) + " N↓ 0 A↓ 100 A↑", at(1000) + " Stuck(N) 0 Sample(A1) 100 Release(A1)"},
		{"child at boot", at(100) + " A↓ " + at(700) + " A↑ 0 A↓ 100 A↑", "0 Sample(A1) 100 Release(A1)"},
		{"just after boot", at(101) + " A↓ " + at(300) + " A↑", at(101) + " Sample(A1) " + at(300) + " Release(A1)"},
		{"page at boot", at(0) + " pA↓ " + at(300) + " pA↑", at(0) + " Sample(A1) " + at(300) + " Release(A1)"},
		{"stuck at boot, page works", at(0) + " A↓ 0 pA↓ 100 pA↑", at(1000) + " Stuck(A) 0 Sample(A1) 100 Release(A1)"},
		{"nothing held for a minute", "0 N↓ 60500 A↓ 60600 A↑ 61000 N↑",
			"400 NewBegin(N)→5000 5000 NewLesson(N) 60000 Stuck(N) 60500 Sample(A1) 60600 Release(A1) 61000 Unstuck(N)"},
		{"chord held for a minute", "0 N↓ 100 A↓ 61000 A↑ 62000 N↑",
			"500 ForgetBegin(A)→2100 2100 Forget(A) 60000 Stuck(N) 60100 Stuck(A) 61000 Unstuck(A) 62000 Unstuck(N)"},
		{"just under a minute", "0 N↓ 59999 N↑", "400 NewBegin(N)→5000 5000 NewLesson(N)"},
		{"a renewed lease is no person either", func() string {
			var b strings.Builder
			for at := range 140 {
				fmt.Fprintf(&b, "%d pN↓~1000 ", at*500)
			}
			return b.String()
		}(), "400 NewBegin(N)→5000 5000 NewLesson(N) 60000 Stuck(N) 70500 Unstuck(N)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := show(play(t, full, parse(t, tt.in))); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}

	t.Run("class held for a minute", func(t *testing.T) {
		got := play(t, full, parse(t, "0 A↓ 61000 A↑ 62000 A↓ 62100 A↑"))
		var samples int
		rest := slices.DeleteFunc(slices.Clone(got), func(g Gesture) bool {
			if g.Kind == Sample {
				samples++
			}
			return g.Kind == Sample && g.Press == 1
		})
		if want := "60000 Release(A1) 60000 Stuck(A) 61000 Unstuck(A) 62000 Sample(A2) 62100 Release(A2)"; show(rest) != want {
			t.Errorf("\n got %s\nwant %s", show(rest), want)
		}
		if want := 1 + (60000-400)/200 + 1 + 1; samples != want {
			t.Errorf("%d samples, want %d", samples, want)
		}
	})
}

func TestWiring(t *testing.T) {
	bare := device.Wiring{Slots: 2}
	in := "0 N↓ 100 A↓ 200 A↑ 300 N↑ 400 C↓ 500 C↑ 1000 N↓ 9000 N↑"
	if got, want := show(play(t, bare, parse(t, in))), "100 Sample(A1) 200 Release(A1)"; got != want {
		t.Errorf("without nothing and a third button: got %s, want %s", got, want)
	}
	for _, w := range []device.Wiring{{}, {Slots: -1, Nothing: true}, {Slots: 300, Nothing: true}} {
		m := New(w)
		m.Step(birth, nil)
		for b := range 256 {
			for s := range 256 {
				m.Step(zero, &device.Edge{Source: device.Source(s), Button: device.Button(b), Down: true, At: zero})
			}
		}
	}
}

// check holds the gestures of one run to what is true of every run.
func check(t *testing.T, gs []Gesture) {
	t.Helper()
	begun := map[device.Button]time.Time{} // countdowns showing, by when they complete
	owner := map[int]device.Button{}
	over := map[int]bool{}
	stuck := map[[2]int]bool{}
	var last time.Time
	for i, g := range gs {
		fail := func(why string) {
			t.Helper()
			t.Fatalf("%s: gesture %d of %s", why, i, show(gs))
		}
		if g.At.Before(last) {
			fail("time runs backwards")
		}
		last = g.At
		line := [2]int{int(g.Source), int(g.Button)}
		switch g.Kind {
		case Sample:
			if b, ok := owner[g.Press]; ok && b != g.Button {
				fail("a press with two buttons")
			} else if !ok && g.Press != len(owner)+1 {
				fail("presses are not counted from 1")
			}
			if over[g.Press] {
				fail("a Sample after Release")
			}
			owner[g.Press] = g.Button
		case Release:
			if owner[g.Press] != g.Button || over[g.Press] {
				fail("a Release of no press")
			}
			over[g.Press] = true
		case TakeBack:
			if g.Button == device.Nothing {
				fail("nothing was taken back")
			}
			if _, ok := begun[g.Button]; ok {
				fail("a hold became a tap")
			}
		case ForgetBegin, NewBegin:
			if _, ok := begun[g.Button]; ok {
				fail("a countdown began twice")
			}
			begun[g.Button] = g.Until
		case ForgetCancel, NewCancel, Forget, NewLesson:
			until, ok := begun[g.Button]
			if !ok {
				fail("a countdown ended that never began")
			}
			if done := g.Kind == Forget || g.Kind == NewLesson; done != g.At.Equal(until) && done {
				fail("a countdown completed at the wrong time")
			}
			delete(begun, g.Button)
		case Stuck, Unstuck:
			if stuck[line] == (g.Kind == Stuck) {
				fail("stuck and unstuck do not take turns")
			}
			stuck[line] = g.Kind == Stuck
		default:
			fail("no such kind")
		}
	}
	if len(begun) != 0 {
		t.Fatalf("a countdown never ended: %s", show(gs))
	}
	if len(over) != len(owner) {
		t.Fatalf("%d presses, %d ended: %s", len(owner), len(over), show(gs))
	}
}

// decode makes edges out of bytes, two for each edge: which line and level, then
// the time since the last edge (short and long ones) or back from it.
func decode(data []byte) []device.Edge {
	var edges []device.Edge
	at := birth
	for ; len(data) >= 2 && len(edges) < 500; data = data[2:] {
		what, gap := data[0], time.Duration(data[1])
		switch what >> 6 {
		case 0:
			at = at.Add(gap * ms)
		case 1:
			at = at.Add(gap * 10 * ms)
		case 2:
			at = at.Add(gap * 400 * ms)
		case 3:
			at = at.Add(-gap * ms)
		}
		e := device.Edge{Down: what&1 != 0, Source: device.Source(what >> 1 & 3), At: at}
		switch what >> 3 & 7 {
		case 0, 1, 2:
			e.Button = device.Button(what >> 3 & 7)
		case 3:
			e.Lease = 300 * ms
		default:
			e.Button = device.Nothing
		}
		edges = append(edges, e)
	}
	return edges
}

// run plays the edges, lets go of everything and checks what came out.
func run(t *testing.T, edges []device.Edge) {
	t.Helper()
	m := New(full)
	now := birth
	all := slices.Clone(m.Step(now, nil))
	step := func(at time.Time, e *device.Edge) {
		t.Helper()
		now = later(now, at)
		all = append(all, m.Step(now, e)...)
		if next, ok := m.Next(); e == nil && ok && !next.After(now) {
			t.Fatalf("Next is %v before now: %s", now.Sub(next), show(all))
		}
	}
	for i, e := range edges {
		if i%3 == 0 { // sometimes the deadlines are kept, sometimes an edge comes first
			if next, ok := m.Next(); ok && next.Before(e.At) {
				step(next, nil)
			}
		}
		step(e.At, &e)
	}
	now = now.Add(bounce)
	for s := range device.NumSources {
		for b := range device.Nothing + 1 {
			step(now, &device.Edge{Source: s, Button: b, At: now})
			step(now, nil)
		}
	}
	for n := 0; ; n++ {
		next, ok := m.Next()
		if !ok {
			break
		}
		if n > 1000 {
			t.Fatal("the deadlines do not end")
		}
		step(next, nil)
	}
	check(t, all)
}

func TestInvariants(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		data := make([]byte, 2*rng.IntN(60))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		run(t, decode(data))
	}
}

// What edges mean does not depend on how often the caller looks at the clock.
func TestStepsDoNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		var edges []device.Edge
		at := zero
		for range rng.IntN(40) {
			at = at.Add(time.Duration(rng.IntN([]int{25, 500, 3000}[rng.IntN(3)])) * ms)
			b := []device.Button{0, 1, device.Nothing}[rng.IntN(3)]
			edges = append(edges, device.Edge{Button: b, Down: rng.IntN(2) == 0, At: at})
		}
		want := show(play(t, full, edges))

		m := New(full)
		m.Step(birth, nil)
		var all []Gesture
		now := birth
		for _, e := range edges {
			if now.Before(e.At) && rng.IntN(2) == 0 {
				now = now.Add(time.Duration(rng.Int64N(int64(e.At.Sub(now)))))
				all = append(all, m.Step(now, nil)...)
			}
			if now.Before(e.At) {
				now = e.At
			}
			all = append(all, m.Step(now.Add(time.Duration(rng.IntN(1000))*ms), &e)...)
		}
		all = append(all, m.Step(zero.Add(time.Hour), nil)...)
		if got := show(all); got != want {
			t.Fatalf("%v\n got %s\nwant %s", edges, got, want)
		}
	}
}

func FuzzStep(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x61, 100, 0x41, 10, 0x40, 10, 0x60, 10})       // nothing, class, class up, nothing up
	f.Add([]byte{0x61, 100, 0x41, 10, 0x60, 10, 0x80, 10})       // nothing let go first
	f.Add([]byte{0x5d, 200, 0xc1, 10, 0xa0, 255, 0x07, 0, 9, 9}) // leases, backwards, long
	f.Fuzz(func(t *testing.T, data []byte) { run(t, decode(data)) })
}

// The loop that the box runs: a timer for Next, a channel for edges.
func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edges := make(chan device.Edge)
		go func() {
			defer close(edges)
			time.Sleep(time.Second)
			for _, e := range []struct {
				wait time.Duration
				b    device.Button
				down bool
			}{{0, 0, true}, {700 * ms, 0, false}, {ms, 0, true}, {ms, 0, false}, {time.Second, device.Nothing, true}, {ms, device.Nothing, false}, {300 * ms, device.Nothing, true}, {6 * time.Second, device.Nothing, false}, {time.Second, 1, true}} {
				time.Sleep(e.wait)
				edges <- device.Edge{Button: e.b, Down: e.down, At: time.Now()}
			}
			time.Sleep(2 * time.Minute)
		}()

		start := time.Now()
		m := New(full)
		timer := time.NewTimer(0)
		var all []Gesture
		steps := 0
		for open := true; open; steps++ {
			var e *device.Edge
			select {
			case <-timer.C:
			case got, ok := <-edges:
				if open = ok; ok {
					e = &got
				}
			}
			all = append(all, m.Step(time.Now(), e)...)
			if next, ok := m.Next(); ok {
				timer.Reset(time.Until(next))
			}
		}
		check(t, all)
		for i := range all {
			all[i].At = all[i].At.Add(zero.Sub(start))
			if !all[i].Until.IsZero() {
				all[i].Until = all[i].Until.Add(zero.Sub(start))
			}
		}
		got := show(slices.DeleteFunc(all, func(g Gesture) bool { return g.Kind == Sample && g.Press == 3 }))
		want := "1000 Sample(A1) 1400 Sample(A1) 1600 Sample(A1) 1700 Release(A1) " +
			"2723 Sample(N2) 3223 Sample(N2) 3403 NewBegin(N)→8003 3723 Sample(N2) 3723 Release(N2) " +
			"8003 NewLesson(N) 70003 Release(B3) 70003 Stuck(B)"
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if steps > 400 {
			t.Errorf("%d steps: the loop runs hot", steps)
		}
	})
}

func BenchmarkStep(b *testing.B) {
	m := New(full)
	now := zero
	m.Step(now, nil)
	var e device.Edge
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(30 * ms)
		e = device.Edge{Down: !e.Down, At: now}
		m.Step(now, &e)
	}
}

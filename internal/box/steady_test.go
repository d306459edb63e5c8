package box

import (
	"testing"
	"time"
)

// TestSteady reads rows of verdicts, one letter a frame: A and B are slots 0
// and 1, a is slot 0 with a similarity just below the threshold, . is unknown.
func TestSteady(t *testing.T) {
	tests := []struct {
		name      string
		every     time.Duration
		see, want string
	}{
		{"lights after 100 ms", 50 * time.Millisecond, "AAAAA", "..AAA"},
		{"lights after two frames", time.Second, "AAA", ".AA"},
		{"two frames are not enough when they are quick", 30 * time.Millisecond, "AAAAAA", "....AA"},
		{"outlives one dissenting frame", 50 * time.Millisecond, "AAABAA.AAA", "..AAAAAAAA"},
		{"outlives one dissenting frame, slowly", time.Second, "AABAA.A", ".AAAAAA"},
		{"goes dark", 50 * time.Millisecond, "AAA....", "..AAA.."},
		{"changes", 50 * time.Millisecond, "AAABBBB", "..AAABB"},
		{"does not know any more", 50 * time.Millisecond, "AAAB.CB.C", "..AAAA..."},
		{"a blended frame between two things", 50 * time.Millisecond, "AAACBBBB", "..AAAABB"},
		{"never lights what does not hold", 50 * time.Millisecond, "ABABAB.A", "........"},
		{"the edge of unknown does not flicker", 50 * time.Millisecond, "AAAaaaa", "..AAAAA"},
		{"the edge of unknown does not light", 50 * time.Millisecond, "aaaaa", "....."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSteady()
			at := time.Now()
			got := ""
			for _, c := range test.see {
				o := opinion{slot: unknown, accept: 0.4, theta: 0.5}
				switch c {
				case '.':
				case 'a':
					o.slot, o.accept = 0, o.theta-slack/2
				default:
					o.slot, o.accept = int(c-'A'), 0.9
				}
				switch lit := s.next(o, at); lit {
				case unknown:
					got += "."
				default:
					got += string(rune('A' + lit))
				}
				at = at.Add(test.every)
			}
			if got != test.want {
				t.Errorf("%s: got %s, want %s", test.see, got, test.want)
			}
		})
	}
}

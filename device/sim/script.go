package sim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"teachbox/device"
)

// The bounds of a script.
const (
	maxLines  = 10_000
	maxLine   = 1000           // bytes
	maxDepth  = 4              // repeats within repeats
	maxRepeat = 1000           // rounds of one repeat
	maxWait   = 24 * time.Hour // of one step
)

// tapTime is how long a tap holds a button down.
const tapTime = 100 * time.Millisecond

// A Script is a lesson for a simulated box, one step a line:
//
//	# teach a cup and a leaf            a comment, also after a step
//	show cup                            the next cup of the catalog
//	show leaf/2                         the second leaf
//	clear                               the empty desk
//	tap 1                               push a button, 1 to 8 or nothing, for 100 ms
//	hold 1 2s                           hold it for 2 s
//	hold nothing                        hold it until released
//	release nothing
//	wait 500ms
//	expect led 1 within 3s              LED 1 and no other says "I know it"
//	expect dark within 3s               every LED of a class says "unknown"
//	expect kept 5 within 1s             at least 5 examples were kept
//	say now without the cup             words for whoever watches
//	repeat 3 {                          the steps up to the }, 3 times
//	}
//
// A class LED that is on or blinks for one second says that the thing is known
// (so a wink does not), and all of them dark for one second say unknown. The
// status LED is not looked at.
type Script struct {
	name  string
	steps []step
}

// A step is one line.
type step struct {
	line   int
	verb   string        // its first word; for an expectation what is expected
	text   string        // of show and say
	button device.Button // of tap, hold, release and led
	number int           // of kept and repeat
	time   time.Duration // of tap, hold (0: until released), wait, led, dark and kept
	body   []step        // of repeat
}

// Parse reads a script. name stands for it in errors, which begin with it and
// the line, such as "lesson.txt:3: …".
func Parse(name string, r io.Reader) (*Script, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	// open[0] collects the script's steps, the others those of open repeats.
	open := [][]step{nil}
	n := 0
	fail := func(line int, err error) (*Script, error) {
		return nil, fmt.Errorf("%s:%d: %w", name, line, err)
	}
	for lines.Scan() {
		n++
		if n > maxLines {
			return fail(n, fmt.Errorf("more than %d lines; split the script", maxLines))
		}
		text := strings.TrimSpace(lines.Text())
		if i := comment(text); i >= 0 {
			text = strings.TrimSpace(text[:i])
		}
		if text == "" {
			continue
		}
		last := len(open) - 1
		if text == "}" {
			if last == 0 {
				return fail(n, errors.New("} without a repeat; remove it"))
			}
			outer := open[last-1]
			outer[len(outer)-1].body = open[last]
			open = open[:last]
			continue
		}
		s, err := parseStep(text)
		if err != nil {
			return fail(n, err)
		}
		s.line = n
		open[last] = append(open[last], s)
		if s.verb == "repeat" {
			if last == maxDepth {
				return fail(n, fmt.Errorf("more than %d repeats within each other; write them out", maxDepth))
			}
			open = append(open, nil)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fail(n+1, fmt.Errorf("longer than %d bytes; make it shorter", maxLine))
	} else if err != nil {
		return fail(n+1, err)
	}
	if last := len(open) - 1; last > 0 {
		outer := open[last-1]
		return fail(outer[len(outer)-1].line, errors.New("repeat without a }; add one on a line of its own"))
	}
	return &Script{name: name, steps: open[0]}, nil
}

// comment finds where a comment begins: a # at the beginning or after a space.
// It is -1 without one.
func comment(text string) int {
	for i := range len(text) {
		if text[i] == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
			return i
		}
	}
	return -1
}

// parseStep reads one step that is neither blank nor "}".
func parseStep(text string) (step, error) {
	words := strings.Fields(text)
	word, args := words[0], words[1:]
	rest := strings.TrimSpace(text[len(word):])
	usage := func(form string) (step, error) {
		return step{}, fmt.Errorf("%.60q cannot be read; write %s", text, form)
	}
	s := step{verb: word}
	var err error
	switch word {
	case "show":
		if s.text = rest; rest == "" {
			return usage("show NAME")
		}
	case "clear":
		if rest != "" {
			return usage("clear")
		}
	case "say":
		s.text = rest
	case "tap":
		if len(args) != 1 {
			return usage("tap BUTTON")
		}
		s.time = tapTime
		s.button, err = parseButton(args[0])
	case "hold":
		if len(args) != 1 && len(args) != 2 {
			return usage("hold BUTTON [DURATION]")
		}
		s.button, err = parseButton(args[0])
		if err == nil && len(args) == 2 {
			s.time, err = parseTime(args[1])
		}
	case "release":
		if len(args) != 1 {
			return usage("release BUTTON")
		}
		s.button, err = parseButton(args[0])
	case "wait":
		if len(args) != 1 {
			return usage("wait DURATION")
		}
		s.time, err = parseTime(args[0])
	case "expect":
		s, err = parseExpect(args)
	case "repeat":
		if len(args) != 2 || args[1] != "{" {
			return usage("repeat TIMES {")
		}
		s.number, err = parseNumber(args[0], maxRepeat)
	default:
		return s, fmt.Errorf("there is no step %.20q; choose show, clear, tap, hold, release, wait, expect, say or repeat", word)
	}
	return s, err
}

// parseExpect reads what follows "expect".
func parseExpect(args []string) (s step, err error) {
	n := len(args)
	if n < 3 || n > 4 || args[n-2] != "within" || (args[0] == "dark") != (n == 3) {
		return s, errors.New("this expectation cannot be read; write " +
			"expect dark within DURATION, expect led NUMBER within DURATION or expect kept NUMBER within DURATION")
	}
	s.verb = args[0]
	switch s.verb {
	case "dark":
	case "led":
		var slot int
		slot, err = parseNumber(args[1], device.MaxSlots)
		s.button = device.Button(slot - 1)
	case "kept":
		s.number, err = parseNumber(args[1], 1_000_000)
	default:
		err = fmt.Errorf("%.20q cannot be expected; choose dark, led or kept", s.verb)
	}
	if err != nil {
		return s, err
	}
	s.time, err = parseTime(args[n-1])
	if err == nil && s.verb != "kept" && s.time < settled {
		err = fmt.Errorf("%v is too short to tell; give it %v or more", s.time, settled)
	}
	return s, err
}

func parseButton(word string) (device.Button, error) {
	if word == "nothing" {
		return device.Nothing, nil
	}
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 || n > device.MaxSlots {
		return 0, fmt.Errorf("there is no button %.20q; choose 1 to %d or nothing", word, device.MaxSlots)
	}
	return device.Button(n - 1), nil
}

func parseNumber(word string, greatest int) (int, error) {
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 || n > greatest {
		return 0, fmt.Errorf("%.20q is not a number that fits; choose 1 to %d", word, greatest)
	}
	return n, nil
}

func parseTime(word string) (time.Duration, error) {
	d, err := time.ParseDuration(word)
	if err != nil || d <= 0 || d > maxWait {
		return 0, fmt.Errorf("%.20q is not a duration that fits; write one such as 500ms, 2s or 1m30s", word)
	}
	return d, nil
}

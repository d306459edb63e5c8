package box

import "time"

// The rules that keep a verdict from flickering.
const (
	holdFrames = 2                      // a new verdict lights after so many frames in a row
	holdFor    = 100 * time.Millisecond // that span at least so long
	// strayFrames frames in a row that agree neither with what is lit nor with
	// each other make the box dark: it does not know any more.
	strayFrames = 4
	// slack is how far the similarity of the lit class may fall below the
	// threshold for unknown before the class goes dark, so that a picture on
	// the edge does not flicker.
	slack = 0.02
)

// unknown is the slot of "none of these".
const unknown = -1

// An opinion is what the head says of one frame.
type opinion struct {
	slot   int     // of the winner; unknown for nothing or an empty lesson
	accept float64 // similarity to the nearest example of a class other than nothing
	theta  float64 // the threshold for it
}

// verdict is the rule of the head alone, without memory.
func (o opinion) verdict() int {
	if o.accept < o.theta {
		return unknown
	}
	return o.slot
}

// A steady turns opinions into the slot that is lit. The zero value is not
// ready: use newSteady.
type steady struct {
	lit int

	rival  int       // the verdict of the frames since began
	began  time.Time // when the first of them was taken
	frames int
	strays int // frames in a row that were not of lit
}

func newSteady() steady { return steady{lit: unknown, rival: unknown} }

// next takes the opinion on a frame and when the frame was taken, and returns
// the slot that is lit.
func (s *steady) next(o opinion, taken time.Time) int {
	v := o.verdict()
	if v == unknown && o.slot != unknown && o.slot == s.lit && o.accept >= o.theta-slack {
		v = s.lit
	}
	if v == s.lit {
		s.frames, s.strays = 0, 0
		return s.lit
	}
	if s.frames == 0 || v != s.rival {
		s.rival, s.began, s.frames = v, taken, 0
	}
	s.frames++
	s.strays++
	switch {
	case s.frames >= holdFrames && taken.Sub(s.began) >= holdFor:
		*s = steady{lit: v, rival: v}
	case s.strays >= strayFrames && s.frames < holdFrames:
		*s = newSteady()
	}
	return s.lit
}

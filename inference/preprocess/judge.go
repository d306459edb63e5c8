package preprocess

import (
	"time"

	"teachbox/inference"
)

// The thresholds of the judgements below. The photographs that they were chosen
// by are 1,592 of desks, hands and toys, by many cameras.
const (
	// DarkLuma is far below the darkest photograph, whose mean luma is 79, and
	// above what a covered lens gives.
	DarkLuma = 16

	// BlurredSharpness is just below the least sharp photograph, with 0.95.
	// Out of focus by a tenth of the frame they have 0.6 to 2.0, so many
	// blurred pictures of rich scenes pass.
	BlurredSharpness = 0.9

	// DuplicateDistance lies between photographs of one still scene and of a
	// thing that was touched, at 320×240. Still, with noise of 4 levels in each
	// channel and 1 % more or 3 % less light, they are at most 2.7 apart. A
	// thing that takes 30 % of the width, shifted by 3 % of the frame or turned
	// by 10 degrees, makes at least 5.9.
	DuplicateDistance = 4.0

	// A sensor's noise makes every frame differ from the one before, so a
	// camera that gives FrozenFrames equal ones over FrozenFor has stopped.
	FrozenFrames = 10
	FrozenFor    = 5 * time.Second
)

// Dark reports whether there is too little light to see by: a covered lens, or
// night.
func Dark(f inference.Fitness) bool { return f.Luma < DarkLuma }

// Blurred reports whether there is next to no detail: a lens out of focus, or
// something held right before it. A bare desk can be as plain, so it is a
// reason for a hint, not for refusing an example.
func Blurred(f inference.Fitness) bool { return f.Sharpness < BlurredSharpness }

// Frozen tells a camera that repeats one frame for ever from a still scene.
// The zero value is ready.
type Frozen struct {
	digest uint64
	frames int
	since  time.Time
}

// See takes the next frame and the moment at which it was taken, and reports
// whether the picture is frozen. Dark frames never are: without light, a
// healthy camera may well give equal ones.
func (z *Frozen) See(f inference.Fitness, taken time.Time) bool {
	if z.frames == 0 || f.Digest != z.digest || Dark(f) {
		*z = Frozen{digest: f.Digest, since: taken}
	}
	z.frames++
	return z.frames >= FrozenFrames && taken.Sub(z.since) >= FrozenFor
}

// Distance is how different two pictures are: the greatest difference between
// cells, in levels, after b was made as bright as a. So a lamp that flickers
// counts little, and a small thing that moved counts as much as a large one.
func Distance(a, b *inference.Thumb) float64 {
	var sumA, sumB int
	for i := range a {
		sumA += int(a[i])
		sumB += int(b[i])
	}
	gain := 1.0
	if sumB > 0 {
		gain = float64(sumA) / float64(sumB)
	}
	greatest := 0.0
	for i := range a {
		d := float64(a[i]) - gain*float64(b[i])
		greatest = max(greatest, d, -d)
	}
	return greatest
}

// NearDuplicate reports whether b shows what a shows, at the same place.
func NearDuplicate(a, b *inference.Thumb) bool { return Distance(a, b) < DuplicateDistance }

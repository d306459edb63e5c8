package camera

import (
	"time"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// unknownInterval stands for the time from one frame to the next where the
// driver does not tell. It is long, since it makes frames look older than they
// are, which is safe.
const unknownInterval = 100 * time.Millisecond

// A clock turns the stamps and numbers of a driver into Taken and Seq of the
// frames of one stream.
type clock struct {
	began    time.Time     // when the stream began
	interval time.Duration // from one frame to the next
	taken    time.Time     // of the frame before; zero at first
	seq      uint64        // of the frame before; 0 at first
	number   uint32        // the driver's, of the frame before
}

// A stamp is what the driver says about the time of a frame.
type stamp struct {
	flags uint32        // v4l2_buffer.flags
	at    time.Duration // v4l2_buffer.timestamp
}

func stampOf(b *v4l2.Buffer) stamp {
	return stamp{b.Flags, time.Duration(b.Timestamp.Nano())}
}

// monotonic reports whether the stamp is the time of a clock that the box can
// read.
func (s stamp) monotonic() bool {
	return s.flags&v4l2.BufFlagTimestampMask == v4l2.BufFlagTimestampMonotonic && s.at > 0
}

// now reads the two clocks that a stamp is converted with. What happens between
// the two readings makes frames look older, never younger.
func now() (wall time.Time, monotonic time.Duration) {
	wall = time.Now()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return wall, 0 // no stamp is then in the past, so none is believed
	}
	return wall, time.Duration(ts.Nano())
}

// take returns when a frame was taken. wall and monotonic are the present, and
// since is a moment before which the frame cannot have been ready.
//
// The kernel stamps a frame with CLOCK_MONOTONIC as time.Now does. The stamp
// marks the beginning of the exposure or, if it does not say so, the end of the
// frame, one interval later. (uvcvideo says the former and means the arrival of
// the first packet, which is some milliseconds later.) Where the stamp is
// copied from elsewhere, missing or in the future it is worth nothing: the
// frame was then ready at since at the earliest, and begun one interval before,
// but not before the stream. See "Buffer Flags" in the kernel's userspace-api/media/v4l/buffer.html.
func (c *clock) take(s stamp, wall time.Time, monotonic time.Duration, since time.Time) time.Time {
	taken := since.Add(-c.interval)
	if taken.Before(c.began) {
		taken = c.began
	}
	if s.monotonic() {
		age := monotonic - s.at
		if s.flags&v4l2.BufFlagTimestampSourceMask != v4l2.BufFlagTimestampSourceSOE {
			age += c.interval
		}
		if age >= 0 {
			taken = wall.Add(-age)
		}
	}
	// Frames come in the order in which they were taken.
	if taken.Before(c.taken) {
		taken = c.taken
	}
	c.taken = taken
	return taken
}

// next returns the number of a frame, from 1, given the driver's, which may
// begin anywhere, stand still or wrap around.
func (c *clock) next(number uint32) uint64 {
	step := uint64(1)
	if ahead := number - c.number; c.seq > 0 && ahead > 1 && ahead < 1<<31 {
		step = uint64(ahead)
	}
	c.seq += step
	c.number = number
	return c.seq
}

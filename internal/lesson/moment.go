package lesson

import (
	"database/sql"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Moment is a time on a machine whose clock may not be set.
type Moment struct {
	Boot  string        // names the boot; empty if the system does not tell
	Since time.Duration // since that boot, time asleep included
	Wall  time.Time     // zero while the clock is not set
}

// moment is one as the file has it.
func moment(boot string, since int64, wall sql.NullInt64) Moment {
	m := Moment{Boot: boot, Since: time.Duration(since)}
	if wall.Valid {
		m.Wall = time.Unix(0, wall.Int64)
	}
	return m
}

// columns is the reverse of moment.
func (m Moment) columns() (boot string, since int64, wall sql.NullInt64) {
	if !m.Wall.IsZero() {
		wall = sql.NullInt64{Int64: m.Wall.UnixNano(), Valid: true}
	}
	return m.Boot, m.Since.Nanoseconds(), wall
}

// SystemMoment reads the clocks of this machine.
func SystemMoment() Moment {
	var m Moment
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		m.Boot = strings.TrimSpace(string(id))
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err == nil {
		m.Since = time.Duration(t.Nano())
	}
	m.Wall = plausible(time.Now())
	return m
}

// plausible returns t, or zero if it is before this program was made: a
// machine without a battery starts at 1970 or at the date of its image.
func plausible(t time.Time) time.Time {
	if t.Year() <= 2024 {
		return time.Time{}
	}
	return t
}

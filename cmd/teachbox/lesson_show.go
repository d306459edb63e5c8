package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"teachbox/internal/api"
	"teachbox/internal/lesson"
)

// lessonShowCmd shows the lesson in hand.
type lessonShowCmd struct {
	boxFlags
	JSON bool `help:"Print JSON."`
}

func (c *lessonShowCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.with(ctx, top, s, func(r *reached) error {
		in, err := r.Lesson(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return json.NewEncoder(s.out).Encode(in)
		}
		return showLesson(s.out, in, lesson.SystemMoment())
	})
}

// showLesson prints a lesson: a line for every class, and below it one for each
// of its presses.
func showLesson(w io.Writer, in api.InHand, now lesson.Moment) error {
	c := in.Contents
	fmt.Fprintln(w, titled("lesson", c.Name)+":", amounts(len(c.Classes), c.Presses, c.Frames))
	if c.Note != "" {
		fmt.Fprintln(w, c.Note)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	short := shortIDs(pressIDs(in))
	for _, k := range c.Classes {
		fmt.Fprintf(t, "\n%s: %s, %s\n", nameOf(k), count(k.Presses, "press", "presses"), count(k.Frames, "picture", "pictures"))
		for i, p := range in.Presses {
			if p.Class == k.ID {
				fmt.Fprintf(t, "  %s\t%s\t%s\n", short[i], when(p.When, now), count(p.Frames, "picture", "pictures"))
			}
		}
	}
	for _, next := range []struct{ command, what string }{{"undo", in.Undo}, {"redo", in.Redo}} {
		if next.what != "" {
			fmt.Fprintf(t, "\n%s would %s: %s", next.command, next.command, next.what)
		}
	}
	if in.Undo+in.Redo != "" {
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// titled is what something is, with its name, if it has one.
func titled(what, name string) string {
	if name == "" {
		return what
	}
	return fmt.Sprintf("%s %q", what, name)
}

// amounts is how much was taught. Each example is a picture for people, whether
// the picture is kept or not.
func amounts(classes, presses, frames int) string {
	if classes == 0 {
		return "nothing was taught yet"
	}
	return strings.Join([]string{
		count(classes, "class", "classes"), count(presses, "press", "presses"), count(frames, "picture", "pictures"),
	}, ", ")
}

// count is a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}

// when is a moment as people write it. Without a clock that was set it can be
// told only in the same life of the machine.
func when(m api.Moment, now lesson.Moment) string {
	at := m.Wall
	if at.IsZero() && m.Boot == now.Boot && m.Boot != "" && !now.Wall.IsZero() {
		at = now.Wall.Add(time.Duration(m.Since*float64(time.Second)) - now.Since)
	}
	switch {
	case !at.IsZero():
		return at.Local().Format("2006-01-02 15:04")
	case m.Boot == now.Boot && m.Boot != "":
		return fmt.Sprintf("%s ago", (now.Since - time.Duration(m.Since*float64(time.Second))).Round(time.Second))
	}
	return "while the clock was not set"
}

// lessonListCmd lists the lessons that were put away.
type lessonListCmd struct {
	boxFlags
	JSON bool `help:"Print JSON."`
}

func (c *lessonListCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.with(ctx, top, s, func(r *reached) error {
		kept, err := r.Lessons(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return json.NewEncoder(s.out).Encode(kept)
		}
		if len(kept) == 0 {
			_, err := fmt.Fprintln(s.out, "no lesson was put away")
			return err
		}
		return listLessons(s.out, kept, lesson.SystemMoment())
	})
}

// listLessons prints lessons that were put away.
func listLessons(w io.Writer, kept []api.Kept, now lesson.Moment) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var ids []string
	for _, k := range kept {
		ids = append(ids, k.ID)
	}
	short := shortIDs(ids)
	fmt.Fprintln(t, "\tID\tNAME\tPUT AWAY\tTAUGHT")
	for i, k := range kept {
		away := when(k.Away, now)
		if k.Aside {
			away += ", by itself: it was taught with another model or view"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", i+1, short[i], k.Name, away, amounts(len(k.Classes), k.Presses, k.Frames))
	}
	return t.Flush()
}

// lessonHistoryCmd tells what was done.
type lessonHistoryCmd struct {
	boxFlags
	N    int  `short:"n" default:"20" help:"How many steps."`
	JSON bool `help:"Print JSON."`
}

func (c *lessonHistoryCmd) Run(ctx context.Context, top *cli, s std) error {
	return c.with(ctx, top, s, func(r *reached) error {
		steps, err := r.History(ctx, c.N)
		if err != nil {
			return err
		}
		if c.JSON {
			return json.NewEncoder(s.out).Encode(steps)
		}
		return tellSteps(s.out, steps, lesson.SystemMoment())
	})
}

// tellSteps prints a history.
func tellSteps(w io.Writer, steps []api.Step, now lesson.Moment) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, step := range steps {
		fmt.Fprintf(t, "%s\t%s\n", when(step.When, now), stepWords(step))
	}
	return t.Flush()
}

// stepWords is what was done in a step.
func stepWords(step api.Step) string {
	text := step.Kind
	if step.What != "" {
		text += " " + step.What
	}
	if step.Kind == "press" {
		text += ", " + count(step.Frames, "picture", "pictures")
	}
	if step.Undone {
		text += " (undone)"
	}
	return text
}

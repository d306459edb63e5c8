package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"teachbox/config"
)

// manualCmd prints the manual page, made from the command line's own
// description, in the man macros of groff_man(7).
type manualCmd struct{}

func (manualCmd) Run(top *cli, k *kong.Context, s std) error {
	date, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	m := manual{}
	m.macro("TH", "TEACHBOX", "1", date.Format(time.DateOnly), "teachbox "+version(), "User Commands")
	m.macro("SH", "NAME")
	m.text("teachbox - " + lowerFirst(strings.TrimSuffix(k.Model.Help, ".")))
	m.macro("SH", "SYNOPSIS")
	m.line(`.B teachbox`)
	m.line(`.RI [ options ] " command " [ arguments ]`)
	m.macro("SH", "DESCRIPTION")
	m.text("Show the box something and press a button; show it something else and press another one. From then on it lights an LED for what it sees. It needs a camera, and buttons and LEDs on GPIO lines, and simulates what is not there if asked to. It runs as the service teachbox.service.")
	m.text("What the buttons and LEDs mean, teachbox card prints. The commands below speak to the box that runs, or work on its lesson if none does.")
	m.macro("SH", "OPTIONS")
	m.flags(k.Model.Flags)
	m.macro("SH", "COMMANDS")
	for _, leaf := range k.Model.Leaves(true) {
		title := strings.TrimPrefix(leaf.FullPath(), k.Model.Name+" ")
		for _, p := range leaf.Positional {
			title += " " + p.Summary()
		}
		m.macro("SS", title)
		m.text(leaf.Help)
		if leaf.Detail != "" && leaf.Detail != leaf.Help {
			m.text(leaf.Detail)
		}
		for _, p := range leaf.Positional {
			m.macro("TP")
			m.line(".I " + roff(p.Summary()))
			m.line(roff(p.Help))
		}
		m.flags(leaf.Flags)
	}
	m.macro("SH", "EXIT STATUS")
	m.text("0 if all is well, 1 if something failed, 2 if the command line is wrong, 3 if no box runs where one is wanted.")
	m.macro("SH", "ENVIRONMENT")
	m.terms([][2]string{
		{"TEACHBOX_CONFIG", "The configuration file, as --config names it."},
		{modelsEnv, "A folder in which models are looked for first."},
	})
	m.macro("SH", "FILES")
	m.terms([][2]string{
		{systemConfig, "The configuration. Every key is explained there."},
		{config.Default().Lesson.Folder, "What the box was taught, with a backup."},
		{"/usr/share/teachbox/models", "The model that looks at the pictures."},
		{"/run/teachbox/" + controlName, "The socket by which commands speak to the service. The members of the group teachbox may use it."},
	})
	_, err = io.WriteString(s.out, m.String())
	return err
}

// sourceDate is the date of what is printed: now, unless a build says another
// one, in seconds since 1970.
func sourceDate(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Now().UTC(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: not a time (got %q; want seconds since 1970)", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// A manual is a page in the making.
type manual struct{ strings.Builder }

func (m *manual) line(s string) { fmt.Fprintln(m, s) }

// macro writes a request with its arguments.
func (m *manual) macro(name string, args ...string) {
	fmt.Fprintf(m, ".%s", name)
	for _, a := range args {
		fmt.Fprintf(m, ` "%s"`, strings.ReplaceAll(roff(a), `"`, `\(dq`))
	}
	fmt.Fprintln(m)
}

// text writes a paragraph for each of the lines.
func (m *manual) text(s string) {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			m.line(".P")
			m.line(roff(line))
		}
	}
}

// terms writes a list of things and what they are.
func (m *manual) terms(list [][2]string) {
	for _, t := range list {
		m.macro("TP")
		m.line(".B " + roff(t[0]))
		m.line(roff(t[1]))
	}
}

// flags writes the flags of one command.
func (m *manual) flags(flags []*kong.Flag) {
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		m.macro("TP")
		m.line(".B " + roff(f.String())) // with its short form and placeholder
		m.line(roff(f.Help))
	}
}

// roff is text without a meaning to roff(7): a hyphen that is one, a backslash,
// and a point or an apostrophe at the start of a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(strings.Join(strings.Fields(s), " "))
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// completionCmd prints a completion for bash: commands, then flags.
type completionCmd struct{}

func (completionCmd) Run(k *kong.Context, s std) error {
	var b strings.Builder
	b.WriteString("# Completion of teachbox for bash, made by the program itself.\n_teachbox() {\n" +
		"\tlocal cur=${COMP_WORDS[COMP_CWORD]} path= word\n" +
		"\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n" +
		"\t\tcase \"$path $word\" in\n\t\t")
	var paths, words []string
	var walk func(n *kong.Node, path string)
	walk = func(n *kong.Node, path string) {
		var offers []string
		for _, c := range n.Children {
			if !c.Hidden {
				offers = append(offers, c.Name)
				walk(c, path+" "+c.Name)
			}
		}
		for _, f := range slices.Concat(k.Model.Flags, n.Flags) {
			if offer := "--" + f.Name; !f.Hidden && !slices.Contains(offers, offer) {
				offers = append(offers, offer)
			}
		}
		if path != "" {
			paths = append(paths, fmt.Sprintf("%q", path))
		}
		words = append(words, fmt.Sprintf("\t%q) words=%q ;;\n", path, strings.Join(offers, " ")))
	}
	walk(k.Model.Node, "")
	slices.Sort(paths)
	slices.Sort(words)
	b.WriteString(strings.Join(paths, " | ") + ") path=\"$path $word\" ;;\n\t\tesac\n\tdone\n\tlocal words=\n\tcase $path in\n" +
		strings.Join(words, "") + "\tesac\n" +
		"\tcase $cur in\n\t-*) ;;\n\t*) [[ $words == --* ]] && words= ;;\n\tesac\n" +
		"\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\ncomplete -o default -F _teachbox teachbox\n")
	_, err := io.WriteString(s.out, b.String())
	return err
}

// Command teachbox is a box that a child teaches by pressing buttons: it looks
// at the desk through a camera, learns from a few presses what is what, and
// lights an LED for what it sees.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"teachbox/config"
)

// systemConfig is read where no other configuration is named, if it is there.
const systemConfig = "/etc/teachbox/teachbox.toml"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		stop() // a second signal ends the program at once
		// The LEDs are dark by now, and what was acknowledged is on the disk:
		// whatever still hangs is not worth waiting for.
		time.AfterFunc(grace, func() { os.Exit(exitFailed) })
	})
	// A reader that goes away is no reason to end a box: writing gives an error.
	signal.Ignore(syscall.SIGPIPE)
	code := run(ctx, os.Args[1:], std{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// grace is how long the program may take to end after the first signal.
const grace = 5 * time.Second

// cli is the command line.
type cli struct {
	Config string `short:"c" placeholder:"FILE" env:"TEACHBOX_CONFIG" help:"Configuration file (default: ${system} if it is there, else the built-in one)."`

	Run         runCmd         `cmd:"" help:"Run the box."`
	Demo        demoCmd        `cmd:"" help:"Play a lesson of one minute on the simulated box."`
	Status      statusCmd      `cmd:"" help:"Say how the box is and what it sees."`
	Watch       watchCmd       `cmd:"" help:"Tell what happens in the box, as it happens."`
	Lesson      lessonCmd      `cmd:"" help:"Look at what the box was taught, and change it."`
	Lock        lockCmd        `cmd:"" help:"Lock teaching: presses are refused."`
	Unlock      unlockCmd      `cmd:"" help:"Allow teaching again."`
	Acknowledge acknowledgeCmd `cmd:"" help:"Say that you have seen to what the box reported about its lesson."`
	Reload      reloadCmd      `cmd:"" help:"Make the box read its configuration again."`
	Hardware    hardwareCmd    `cmd:"" help:"List cameras and GPIO, or test the wiring."`
	Classify    classifyCmd    `cmd:"" help:"Say what the stock model sees in pictures."`
	Eval        evalCmd        `cmd:"" help:"Measure how well the box learns from the photographs of a folder."`
	Models      modelsCmd      `cmd:"" help:"List the models and verify their files."`
	Settings    configCmd      `cmd:"" name:"config" help:"Print the configuration, or check a file."`
	Card        cardCmd        `cmd:"" help:"Print what the buttons and LEDs mean, as a card for the wall."`
	Version     versionCmd     `cmd:"" help:"Print the version."`

	// What the package and the service manager call.
	Ended      endedCmd      `cmd:"" hidden:"" help:"Make the LEDs dark after the service, and note how it ended."`
	Manual     manualCmd     `cmd:"" hidden:"" help:"Print the manual page."`
	Completion completionCmd `cmd:"" hidden:"" help:"Print the completion for bash."`
}

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, s std) (code int) {
	var c cli
	type exit int
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	parser, err := kong.New(&c,
		kong.Name("teachbox"),
		kong.Description("A box that a child teaches by pressing buttons."),
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { panic(exit(code)) }), // after --help
		kong.Vars{"system": systemConfig},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s, &c),
	)
	if err != nil {
		panic(err) // the command line above is wrong
	}
	if len(args) == 0 || args[0] == "help" {
		args = []string{"--help"}
	}
	cmd, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(s.err, "teachbox: %v (see teachbox --help)\n", err)
		return exitUsage
	}
	if err := cmd.Run(); err != nil {
		if _, told := errors.AsType[reported](err); !told {
			fmt.Fprintln(s.err, "teachbox:", err)
		}
		if _, usage := errors.AsType[usageError](err); usage {
			return exitUsage
		}
		if e, ok := errors.AsType[exitError](err); ok {
			return e.code
		}
		return exitFailed
	}
	return 0
}

// An exitError has an exit code of its own.
type exitError struct {
	error
	code int
}

// reported is an error that was already told to the person.
type reported struct{ error }

// config reads the configuration that the command line names.
func (c *cli) config() (*config.Config, error) {
	if c.Config != "" {
		return config.Load(c.Config)
	}
	cfg, err := config.Load(systemConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return config.Default(), nil
	}
	return cfg, err
}

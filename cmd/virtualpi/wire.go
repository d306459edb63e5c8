package main

// The host and the machine's first process speak through one serial port: the
// host sends one job, the machine answers with reports until one says how the
// program ended. Both are JSON, one value after another.

// port is where the machine finds the serial port.
const port = "/dev/vport0p1"

// A job is what the machine is to run.
type job struct {
	Program string   // absolute path
	Args    []string // without the program's name
	Env     []string // as NAME=value
	Dir     string   // working folder, absolute
	Shares  []share  // parents before children
}

// A share is a folder of the host that the machine sees, read-only, at the same
// place.
type share struct {
	Tag  string // its name in the machine's hardware
	Path string // absolute
}

// A report is a piece of the program's output, or its end.
type report struct {
	Ready   bool   `json:",omitempty"` // the machine waits for the job
	Started bool   `json:",omitempty"` // the program runs
	Out     []byte `json:",omitempty"` // of standard output
	Err     []byte `json:",omitempty"` // of standard error
	End     *end   `json:",omitempty"` // the last report
}

// An end says how a program ended.
type end struct {
	Code   int    // exit code; 128 + the signal's number if a signal ended it
	Signal string `json:",omitempty"` // the signal that ended it
	Fault  string `json:",omitempty"` // why the program was not run
}

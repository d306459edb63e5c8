package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"teachbox/inference/tflite"
)

// version is that of this program.
func version() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		return b.Main.Version
	}
	return "unknown"
}

// versionCmd prints what was built from what.
type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

func (c versionCmd) Run(s std) error {
	v := struct {
		Version string `json:"version"`
		Commit  string `json:"commit,omitempty"`
		Go      string `json:"go"`
		TFLite  string `json:"tflite"`
		Arch    string `json:"arch"`
	}{version(), "", runtime.Version(), tflite.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(v)
	}
	commit := ""
	if v.Commit != "" {
		commit = "commit " + v.Commit + ", "
	}
	_, err := fmt.Fprintf(s.out, "teachbox %s (%s%s, TFLite %s, %s)\n", v.Version, commit, v.Go, v.TFLite, v.Arch)
	return err
}

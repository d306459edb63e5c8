// Command setup fetches what the build and the box need and no Go module can
// declare: the TFLite library with its headers, and the default backbone. Every
// file is checked by SHA-256 before it is put in place. What is already there
// and right is left alone.
//
// It needs the module's folder as working directory, and the clients go and
// npm. Install the packages first: packages.sh beside it does.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"teachbox/models"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s := setup{root: ".", out: os.Stdout, client: runClient, library: tfliteFiles, bindings: bindings, manifest: models.Manifest()}
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

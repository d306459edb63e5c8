package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"teachbox/inference"
	"teachbox/internal/eval"
)

// evalCmd measures few-shot learning on a folder of photographs.
type evalCmd struct {
	Folder   string `arg:"" help:"FOLDER/CLASS/PICTURE, or FOLDER/SET/CLASS/PICTURE for several sets."`
	Presses  []int  `default:"1,3,5,10,20" help:"Presses for each class, one row each (default ${default})."`
	Classes  int    `default:"5" help:"Classes taught in an episode (default ${default})."`
	Episodes int    `default:"60" help:"Episodes for each row (default ${default})."`
	Held     int    `default:"20" help:"Pictures to ask about, for each class at most (default ${default})."`
	Seed     uint64 `default:"1" help:"Of the draw (default ${default})."`
	Replay   string `placeholder:"FILE" help:"Replay the episodes of this JSON file instead, and compare with its answers; embeddings.csv beside it names the pictures."`
	JSON     bool   `help:"Print JSON."`
}

// maxEval bounds every number of the evaluation.
const maxEval = 100_000

// errInterrupted says that a signal ended a command before its end.
var errInterrupted = errors.New("interrupted")

func (c *evalCmd) Run(ctx context.Context, top *cli, s std) error {
	for _, n := range append([]int{c.Classes - 1, c.Episodes, c.Held}, c.Presses...) {
		if n < 1 || n > maxEval {
			return usageError{fmt.Errorf("eval: --presses, --episodes and --held want 1 to %d, --classes 2 to %[1]d", maxEval)}
		}
	}
	cfg, err := top.config()
	if err != nil {
		return err
	}
	b, err := readBackbone(cfg.Model)
	if err != nil {
		return err
	}
	e, err := b.embedder(cfg.Camera)
	if err != nil {
		return err
	}
	defer e.Close()
	if c.Replay != "" {
		return c.replay(ctx, e, s)
	}
	files, err := eval.Files(c.Folder)
	if err != nil {
		return err
	}
	pictures, err := embedAll(ctx, e, files, s)
	if err != nil {
		return err
	}
	rows, err := eval.Run(ctx, pictures, eval.Options{
		Classes: c.Classes, Presses: c.Presses, Episodes: c.Episodes, Held: c.Held, Seed: c.Seed,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.Folder, err)
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(rows)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "set\tpresses\taccuracy %\t± 95 %\tcalibration error\ttrue accept\tnear accepted\tfar accepted\tepisodes\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%s\t%s\t%d\t\n", r.Set, r.Presses, 100*r.Accuracy, 100*r.Interval,
			100*r.Calibration, 100*r.Accepted, percent(r.Near), percent(r.Far), r.Episodes)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = io.WriteString(s.out, evalLegend)
	return err
}

const evalLegend = `
presses            taught pictures of each kind, one a press
accuracy           share of other pictures of the taught kinds that were named rightly
calibration error  how far its probabilities are from the truth, in points
true accept        share of those pictures that were not called unknown
near, far          share of pictures of kinds that were not taught, of the same set and
                   of other sets, that were taken for a taught kind; – if there are none
`

func percent(share *float64) string {
	if share == nil {
		return "–"
	}
	return fmt.Sprintf("%.1f", 100**share)
}

// embedAll looks at every file. A picture that cannot be read is reported and
// left out.
func embedAll(ctx context.Context, e inference.Embedder, files []eval.File, s std) ([]eval.Picture, error) {
	progress := mpb.New(mpb.WithOutput(io.Discard))
	if isTerminal(s.err) {
		progress = mpb.New(mpb.WithOutput(s.err))
	}
	bar := progress.AddBar(int64(len(files)), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name("looking at pictures ")), mpb.AppendDecorators(decor.CountersNoUnit("%d of %d")))
	defer progress.Wait()
	defer bar.Abort(true)
	var pictures []eval.Picture
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, errInterrupted
		}
		q, err := embedFile(e, f.Path)
		if err != nil {
			fmt.Fprintf(s.err, "teachbox: left out: %v\n", err)
		} else {
			pictures = append(pictures, eval.Picture{Set: f.Set, Class: f.Class, Path: f.Path, Q: q})
		}
		bar.Increment()
	}
	return pictures, nil
}

func embedFile(e inference.Embedder, path string) ([]uint8, error) {
	f, err := readPicture(path)
	if err != nil {
		return nil, err
	}
	var l inference.Look
	if err := e.Embed(f, &l); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l.Embedding.Q, nil
}

// replay runs given episodes on embeddings of our own and compares the
// accuracy with that of the answers in the file.
func (c *evalCmd) replay(ctx context.Context, e inference.Embedder, s std) error {
	files, err := replayFiles(filepath.Join(filepath.Dir(c.Replay), "embeddings.csv"), c.Folder)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(c.Replay)
	if err != nil {
		return err
	}
	var episodes []eval.Recorded
	if err := json.Unmarshal(data, &episodes); err != nil {
		return fmt.Errorf("%s: %w", c.Replay, err)
	}
	pictures, err := embedAll(ctx, e, files, s)
	if err != nil {
		return err
	}
	if len(pictures) != len(files) {
		return fmt.Errorf("%s: %d of its %d pictures are missing", c.Folder, len(files)-len(pictures), len(files))
	}
	rows, err := eval.Replay(pictures, episodes)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Replay, err)
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(rows)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "set\tpresses\taccuracy %\treference %\tdifference\t± 95 %\tepisodes\t")
	for _, r := range rows {
		set, presses := r.Set, strconv.Itoa(r.Presses)
		if set == "" {
			set, presses = "all", ""
		}
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%+.2f\t%.2f\t%d\t\n", set, presses, 100*r.Accuracy, 100*r.Reference, 100*r.Difference, 100*r.Interval, r.Episodes)
	}
	return w.Flush()
}

// replayFiles reads which picture each row is: columns row, set, class, file.
func replayFiles(path, folder string) ([]eval.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var files []eval.File
	for _, r := range records[min(1, len(records)):] {
		if len(r) != 4 {
			return nil, fmt.Errorf("%s: %d columns (want row, set, class, file)", path, len(r))
		}
		files = append(files, eval.File{Set: r[1], Class: r[2], Path: filepath.Join(folder, r[1], r[2], r[3])})
	}
	return files, nil
}

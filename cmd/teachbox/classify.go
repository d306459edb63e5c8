package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"teachbox/config"
	"teachbox/device/frame"
	"teachbox/inference"
	"teachbox/inference/graph"
	"teachbox/inference/tflite"
)

// classifyCmd says what the stock model sees.
type classifyCmd struct {
	Pictures  []string `arg:"" name:"picture" help:"JPEG or PNG files."`
	Top       int      `default:"5" placeholder:"N" help:"How many answers for each picture (default ${default})."`
	Embedding bool     `help:"Print the embedding instead: what the box learns from."`
	JSON      bool     `help:"Print JSON, one line for each picture."`
}

// An answer is one class that a model was trained on and how sure it is.
type answer struct {
	Label       string  `json:"label"`
	Class       int     `json:"class"`
	Probability float64 `json:"probability"`
}

func (c *classifyCmd) Run(ctx context.Context, top *cli, s std) error {
	cfg, err := top.config()
	if err != nil {
		return err
	}
	b, err := readBackbone(cfg.Model)
	if err != nil {
		return err
	}
	if !c.Embedding {
		if b.labels, err = readLabels(cfg.Model); err != nil {
			return err
		}
	}
	look, done, err := c.open(b, cfg.Camera)
	if err != nil {
		return err
	}
	defer done()
	failed := 0
	for _, path := range c.Pictures {
		if ctx.Err() != nil {
			return errInterrupted
		}
		f, err := readPicture(path)
		if err == nil {
			err = look(path, f, s)
		}
		if err != nil {
			failed++
			fmt.Fprintln(s.err, "teachbox:", err)
		}
	}
	if failed > 0 {
		return reported{fmt.Errorf("%d of %d pictures", failed, len(c.Pictures))}
	}
	return nil
}

// open returns the function that looks at one picture and prints.
func (c *classifyCmd) open(b *backbone, camera config.Camera) (look func(path string, f frame.Frame, s std) error, done func() error, err error) {
	if c.Embedding {
		e, err := b.embedder(camera)
		if err != nil {
			return nil, nil, err
		}
		return func(path string, f frame.Frame, s std) error { return c.embedding(e, path, f, s) }, e.Close, nil
	}
	cut, err := b.model.CutHead()
	if err != nil {
		return nil, nil, fmt.Errorf("model: %s: %w", b.path, err)
	}
	if cut.Classes == 0 {
		return nil, nil, fmt.Errorf("model: %s: has no classifier of its own (use --embedding)", b.path)
	}
	p, err := preprocessor(cut.Input, camera)
	if err != nil {
		return nil, nil, err
	}
	// What was understood is run, not what was read.
	data, err := graph.Write(b.model)
	if err != nil {
		return nil, nil, fmt.Errorf("model: %s: %w", b.path, err)
	}
	t, err := tflite.New(data, b.options(cut.Input))
	if err != nil {
		return nil, nil, fmt.Errorf("model: %s: %w", b.path, err)
	}
	look = func(path string, f frame.Frame, s std) error {
		var out []float64
		err := t.Infer(func(in []uint8) error {
			if err := p.Fill(in, f); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if cut.Input.Type == graph.Int8 {
				for i := range in {
					in[i] ^= 0x80
				}
			}
			return nil
		}, func(q []uint8) { out = t.Output().Values(q) })
		if err != nil {
			return err
		}
		return c.answers(b, path, out, s)
	}
	return look, t.Close, nil
}

// answers prints the most probable classes.
func (c *classifyCmd) answers(b *backbone, path string, p []float64, s std) error {
	all := make([]answer, len(p))
	for i, v := range p {
		all[i] = answer{Label: fmt.Sprintf("class %d", i), Class: i, Probability: v}
		if i < len(b.labels) {
			all[i].Label = b.labels[i]
		}
	}
	slices.SortStableFunc(all, func(x, y answer) int { return cmp.Compare(y.Probability, x.Probability) })
	all = all[:min(max(c.Top, 0), len(all))]
	if c.JSON {
		return json.NewEncoder(s.out).Encode(struct {
			Picture string   `json:"picture"`
			Answers []answer `json:"answers"`
		}{path, all})
	}
	text := path + "\n"
	for _, a := range all {
		if a.Probability < 0.0005 {
			break // 0.000
		}
		text += fmt.Sprintf("  %.3f  %s\n", a.Probability, a.Label)
	}
	_, err := io.WriteString(s.out, text)
	return err
}

// embedding prints what the box would learn from.
func (c *classifyCmd) embedding(e inference.Embedder, path string, f frame.Frame, s std) error {
	var l inference.Look
	if err := e.Embed(f, &l); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if c.JSON {
		q := make([]int, len(l.Embedding.Q)) // as numbers, not as base64
		for i, v := range l.Embedding.Q {
			q[i] = int(v)
		}
		return json.NewEncoder(s.out).Encode(struct {
			Picture   string          `json:"picture"`
			Space     inference.Space `json:"space"`
			ZeroPoint int             `json:"zero_point"`
			Embedding []int           `json:"embedding"`
		}{path, l.Embedding.Space, l.Embedding.ZeroPoint, q})
	}
	_, err := fmt.Fprintln(s.out, path, strings.Trim(fmt.Sprint(l.Embedding.Q), "[]"))
	return err
}

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"teachbox/config"
	"teachbox/inference"
	"teachbox/inference/graph"
	"teachbox/inference/preprocess"
	"teachbox/inference/tflite"
	"teachbox/models"
)

// modelsEnv names a folder in which models are looked for first.
const modelsEnv = "TEACHBOX_MODELS"

// A backbone is a model file that was read and checked.
type backbone struct {
	path    string
	hash    string // SHA-256 of the file, hex
	model   *graph.Model
	labels  []string // for classify; nil if there are none
	threads int
}

// readBackbone finds, reads and checks the configured model. Nothing native has
// seen it yet.
func readBackbone(c config.Model) (*backbone, error) {
	b := &backbone{threads: c.Threads}
	path, own := c.File()
	var known models.Model
	if !own {
		var err error
		if known, err = models.ByName(c.Source); err != nil {
			return nil, fmt.Errorf("model.source: %w", err)
		}
		folders := models.SearchPath(os.Getenv(modelsEnv))
		if path, err = models.Find(known.Weights, folders); err != nil {
			return nil, fmt.Errorf("model: %w", err)
		}
	}
	data, err := models.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if !own {
		if err := known.Weights.Verify(data); err != nil {
			return nil, fmt.Errorf("model: %w", err)
		}
	}
	if b.model, err = graph.Parse(data); err != nil {
		return nil, fmt.Errorf("model: %s: %w", path, err)
	}
	sum := sha256.Sum256(data)
	b.path, b.hash = path, hex.EncodeToString(sum[:])
	return b, nil
}

// readLabels reads the names of what the configured model was trained on. Only
// classify wants them; the box learns and answers without. A model of one's own
// need not have any.
func readLabels(c config.Model) ([]string, error) {
	path := c.Labels
	if _, own := c.File(); path == "" && !own {
		known, err := models.ByName(c.Source)
		if err != nil {
			return nil, fmt.Errorf("model.source: %w", err)
		}
		if path, err = models.Find(known.Labels, models.SearchPath(os.Getenv(modelsEnv))); err != nil {
			return nil, fmt.Errorf("model: %w", err)
		}
	}
	if path == "" {
		return nil, nil
	}
	labels, err := models.ReadLabels(path)
	if err != nil {
		return nil, fmt.Errorf("model.labels: %w", err)
	}
	return labels, nil
}

// embedder opens the backbone behind the camera's geometry.
func (b *backbone) embedder(c config.Camera) (inference.Embedder, error) {
	cut, err := b.model.CutHead()
	if err != nil {
		return nil, fmt.Errorf("model: %s: %w", b.path, err)
	}
	data, err := graph.Write(cut.Model)
	if err != nil {
		return nil, fmt.Errorf("model: %s: %w", b.path, err)
	}
	p, err := preprocessor(cut.Input, c)
	if err != nil {
		return nil, err
	}
	o := p.Options()
	space := inference.Space{
		Model: b.hash, Cut: cut.Embedding.Tensor,
		Crop: o.Crop, Flip: o.Flip, Rotation: o.Rotation, Filter: preprocess.FilterVersion,
	}
	e, err := tflite.NewEmbedder(data, b.options(cut.Input), p, space)
	if err != nil {
		return nil, fmt.Errorf("model: %s: %w", b.path, err)
	}
	return e, nil
}

// options says how to run a model with that input. XNNPACK takes int8
// operators, many times faster, and leaves uint8 ones alone.
func (b *backbone) options(in graph.Input) tflite.Options {
	return tflite.Options{Threads: b.threads, XNNPACK: in.Type == graph.Int8}
}

func preprocessor(in graph.Input, c config.Camera) (*preprocess.Preprocessor, error) {
	return preprocess.New(preprocess.Options{
		Width: in.Width, Height: in.Height, Crop: c.Crop, Flip: c.Flip, Rotation: c.Rotation,
	})
}

// openEmbedder is readBackbone and embedder in one.
func openEmbedder(c *config.Config) (inference.Embedder, error) {
	b, err := readBackbone(c.Model)
	if err != nil {
		return nil, err
	}
	return b.embedder(c.Camera)
}

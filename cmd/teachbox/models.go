package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"teachbox/inference/graph"
	"teachbox/models"
)

// modelsCmd lists the models and verifies their files.
type modelsCmd struct {
	JSON bool `help:"Print JSON."`
}

// A modelState is a model of the manifest and how its files are.
type modelState struct {
	models.Model
	Found  string `json:"found,omitempty"` // path of the weights
	Status string `json:"status"`          // "ok", or what is wrong
}

func (c *modelsCmd) Run(s std) error {
	folders := models.SearchPath(os.Getenv(modelsEnv))
	var states []modelState
	var bad error
	for _, m := range models.Manifest() {
		st := modelState{Model: m, Status: "ok"}
		var err error
		if st.Found, err = verifyModel(m, folders); err != nil {
			st.Status = err.Error()
			bad = errors.Join(bad, err)
		}
		states = append(states, st)
	}
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		if err := e.Encode(states); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tINPUT\tSIZE\tLICENCE\tFILE\tSTATUS")
		for _, st := range states {
			fmt.Fprintf(w, "%s\t%d×%d\t%.1f MB\t%s\t%s\t%s\n", st.Name, st.Width, st.Height, float64(st.Weights.Size)/1e6, st.Licence, st.Found, st.Status)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if bad != nil {
		return reported{bad}
	}
	return nil
}

// verifyModel finds a model's files and checks them; the weights also by
// structure.
func verifyModel(m models.Model, folders []string) (path string, err error) {
	for _, a := range []models.Artefact{m.Labels, m.Weights} {
		if path, err = models.Find(a, folders); err != nil {
			return "", err
		}
		data, err := models.ReadFile(path)
		if err != nil {
			return "", err
		}
		if err := a.Verify(data); err != nil {
			return path, err
		}
		if a == m.Weights {
			if _, err := graph.Parse(data); err != nil {
				return path, fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return path, nil
}

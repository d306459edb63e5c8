// Package inference holds the contracts between pictures and the head: an
// Embedder turns a frame into an Embedding, and a Space says which embeddings
// may be compared. The packages below it implement them.
package inference

import (
	"fmt"

	"teachbox/device/frame"
)

// A Space is what makes two embeddings comparable. Two embeddings may be
// compared if and only if their spaces are equal.
type Space struct {
	Model    string `json:"model"`    // SHA-256 of the source .tflite, lower-case hex
	Cut      string `json:"cut"`      // name of the tensor that is the embedding
	Crop     string `json:"crop"`     // "squash", "center", or "x,y,w,h" as fractions of the frame
	Flip     string `json:"flip"`     // "", "h", "v" or "hv"
	Rotation int    `json:"rotation"` // degrees clockwise: 0, 90, 180, 270
	Filter   int    `json:"filter"`   // version of the preprocessing arithmetic
}

// String is short enough for a log line.
func (s Space) String() string {
	return fmt.Sprintf("%.8s/%s/%s/%s%d/f%d", s.Model, s.Cut, s.Crop, s.Flip, s.Rotation, s.Filter)
}

// A Provenance says who computed an embedding. It does not separate spaces:
// back ends differ by a few quantization steps at most.
type Provenance struct {
	Backend string // such as "tflite 2.9.0 builtin"
	Arch    string // GOARCH
}

// An Embedding is the backbone's pooled output as it comes, quantized.
type Embedding struct {
	Q         []uint8 // int8 outputs are stored with their top bit flipped
	ZeroPoint int     // the value of Q that stands for 0, after that flip
	Space     Space
}

// ThumbSide is the side of a Thumb, in pixels.
const ThumbSide = 16

// A Thumb is the luma (0 to 255) of what the backbone was shown, averaged down
// to ThumbSide squared, row by row. Frames are compared by it.
type Thumb [ThumbSide * ThumbSide]uint8

// Fitness is how usable a frame is. The thresholds that judge it belong to
// whoever acts on it.
type Fitness struct {
	Luma      float32 // mean luma of what the backbone was shown, 0 to 255
	Sharpness float32 // mean absolute luma difference between neighbours, 0 to 255
	Digest    uint64  // a hash of it: equal for frames that are equal to the bit
}

// A Look is all that the box learns from looking at one frame.
type Look struct {
	Embedding Embedding
	Thumb     Thumb
	Fitness   Fitness
}

// An Embedder turns frames into embeddings. It is used from one goroutine.
type Embedder interface {
	// Embed looks at one frame and overwrites *l, reusing l.Embedding.Q if it
	// is large enough. The error wraps frame.ErrMalformed for a picture that
	// cannot be read; the embedder remains usable.
	Embed(f frame.Frame, l *Look) error
	// Space is the space of every embedding it makes.
	Space() Space
	// Provenance says what computes them.
	Provenance() Provenance
	// Close frees native memory. Embed fails afterwards; Close may be repeated.
	Close() error
}

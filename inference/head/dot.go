package head

// A vector is an embedding laid out for exact dot products, three values to a
// word. Ask multiplies a query with every example for every frame, and Go has
// no vector instructions: three products in one 64-bit multiplication are what
// keeps a thousand examples cheap on a Raspberry Pi.
//
// With x = 2^20, a word of an example is a0 + a1·x + a2·x² and a word of a
// query b2 + b1·x + b0·x². The x² digit of their product is a0·b0 + a1·b1 +
// a2·b2. The digits below it cannot carry into it, and those above it fall off
// the word or are masked away.
type vector struct {
	words []uint64
	sum   int64 // Σ q
	self  int64 // Σ q²
}

const (
	digit     = 20           // bits of a digit
	digitMask = 1<<digit - 1 // one digit
	runLength = 4            // products that add up before the x² digit, at most 3·255² each, could overflow
	maxDim    = 1 << 15      // longest embedding: dot products stay within 32 bits
)

// pack lays out q as an example.
func pack(q []uint8) vector {
	v := vector{words: make([]uint64, (len(q)+2)/3)}
	for i, x := range q {
		v.words[i/3] |= uint64(x) << (digit * (i % 3))
	}
	v.sum, v.self = sums(q)
	return v
}

// packQuery lays out q as a query, reusing the words of *v.
func packQuery(q []uint8, v *vector) {
	n := (len(q) + 2) / 3
	if cap(v.words) < n {
		v.words = make([]uint64, n)
	}
	v.words = v.words[:n]
	w := v.words
	for ; len(q) >= 3; q, w = q[3:], w[1:] {
		w[0] = uint64(q[2]) | uint64(q[1])<<digit | uint64(q[0])<<(2*digit)
	}
	if len(q) > 0 {
		w[0] = uint64(q[0]) << (2 * digit)
		if len(q) > 1 {
			w[0] |= uint64(q[1]) << digit
		}
	}
}

func sums(q []uint8) (sum, self int64) {
	for _, x := range q {
		sum += int64(x)
		self += int64(x) * int64(x)
	}
	return sum, self
}

// dot is Σ a·b of an example and a query of the same length, exactly.
func dot(example, query []uint64) int64 {
	query = query[:len(example)]
	var total uint64
	i := 0
	for ; i+runLength <= len(example); i += runLength {
		a, b := example[i:i+runLength:i+runLength], query[i:i+runLength:i+runLength]
		p := a[0]*b[0] + a[1]*b[1] + a[2]*b[2] + a[3]*b[3]
		total += p >> (2 * digit) & digitMask
	}
	for ; i < len(example); i++ {
		total += example[i] * query[i] >> (2 * digit) & digitMask
	}
	return int64(total)
}

// centred is Σ (a−zero)(b−zero) from Σ a·b and the sums of a and b.
func centred(dot, sumA, sumB int64, dim, zero int) int64 {
	z := int64(zero)
	return dot - z*(sumA+sumB) + int64(dim)*z*z
}

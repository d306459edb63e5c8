/*
 * The least that can be done for a frame: scale YUYV 640×480 to the model's
 * input by area, run the model, copy the output. The benchmarks compare the
 * box with it.
 *
 *   bare MODEL    then one number a line on stdin: that many frames are worked
 *                 off, and the nanoseconds they took are printed
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tensorflow/lite/c/c_api.h"

enum { WIDTH = 640, HEIGHT = 480, MAX_OUT = 512, MAX_WEIGHTS = 32 };

/* What one output takes from one line of samples: area weights in 1/65536. */
typedef struct {
	int first, n;
	uint32_t weight[MAX_WEIGHTS];
} tap;

static void make_taps(tap *t, int in, int out) {
	for (int i = 0; i < out; i++) {
		double lo = (double)in * i / out, hi = (double)in * (i + 1) / out;
		t[i].first = (int)lo;
		int end = (int)hi;
		if (end < hi) end++;
		t[i].n = end - t[i].first;
		uint32_t left = 65536;
		for (int k = 0; k < t[i].n; k++) {
			double from = t[i].first + k, to = from + 1;
			if (from < lo) from = lo;
			if (to > hi) to = hi;
			uint32_t w = k == t[i].n - 1 ? left : (uint32_t)((to - from) / (hi - lo) * 65536 + 0.5);
			t[i].weight[k] = w;
			left -= w;
		}
	}
}

static tap rows[MAX_OUT], luma[MAX_OUT], chroma[MAX_OUT];
static uint32_t line[2 * WIDTH];

static uint32_t squeeze(const uint32_t *l, int step, const tap *t) {
	uint32_t s = 0;
	l += t->first * step;
	for (int k = 0; k < t->n; k++) s += (l[k * step] >> 4) * (t->weight[k] >> 4);
	return s >> 16;
}

static uint8_t clamp(int v) { return v < 0 ? 0 : v > 255 ? 255 : v; }

/* BT.601, limited range. */
static void fill(uint8_t *dst, const uint8_t *pix, int width, int height) {
	for (int j = 0; j < height; j++) {
		const uint8_t *p = pix + rows[j].first * 2 * WIDTH;
		memset(line, 0, sizeof line);
		for (int k = 0; k < rows[j].n; k++, p += 2 * WIDTH) {
			uint32_t w = rows[j].weight[k];
			for (int x = 0; x < 2 * WIDTH; x++) line[x] += p[x] * w;
		}
		for (int x = 0; x < 2 * WIDTH; x++) line[x] >>= 8;
		for (int i = 0; i < width; i++, dst += 3) {
			int y = (int)squeeze(line, 2, &luma[i]) - 16 * 256;
			int cb = (int)squeeze(line + 1, 4, &chroma[i]) - 128 * 256;
			int cr = (int)squeeze(line + 3, 4, &chroma[i]) - 128 * 256;
			dst[0] = clamp((298 * y + 409 * cr + (1 << 15)) >> 16);
			dst[1] = clamp((298 * y - 100 * cb - 208 * cr + (1 << 15)) >> 16);
			dst[2] = clamp((298 * y + 516 * cb + (1 << 15)) >> 16);
		}
	}
}

static void die(const char *what) {
	fprintf(stderr, "bare: %s\n", what);
	exit(1);
}

int main(int argc, char **argv) {
	if (argc != 2) die("usage: bare MODEL");
	TfLiteModel *model = TfLiteModelCreateFromFile(argv[1]);
	if (!model) die("cannot read the model");
	TfLiteInterpreterOptions *options = TfLiteInterpreterOptionsCreate();
	TfLiteInterpreterOptionsSetNumThreads(options, 1);
	TfLiteInterpreter *t = TfLiteInterpreterCreate(model, options);
	if (!t || TfLiteInterpreterAllocateTensors(t) != kTfLiteOk) die("cannot make an interpreter");
	TfLiteTensor *in = TfLiteInterpreterGetInputTensor(t, 0);
	const TfLiteTensor *out = TfLiteInterpreterGetOutputTensor(t, 0);
	int height = TfLiteTensorDim(in, 1), width = TfLiteTensorDim(in, 2);
	if (width > MAX_OUT || height > MAX_OUT || width < WIDTH / (MAX_WEIGHTS - 2)) die("input size");
	make_taps(rows, HEIGHT, height);
	make_taps(luma, WIDTH, width);
	make_taps(chroma, WIDTH / 2, width);
	static uint8_t pix[2 * WIDTH * HEIGHT];
	uint32_t seed = 1;
	for (size_t i = 0; i < sizeof pix; i++) pix[i] = 16 + ((seed = seed * 1664525 + 1013904223) >> 24) % 220;
	uint8_t *embedding = malloc(TfLiteTensorByteSize(out));
	int n;
	while (scanf("%d", &n) == 1) {
		struct timespec a, b;
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (int i = 0; i < n; i++) {
			fill(TfLiteTensorData(in), pix, width, height);
			if (TfLiteInterpreterInvoke(t) != kTfLiteOk) die("cannot run the model");
			memcpy(embedding, TfLiteTensorData(out), TfLiteTensorByteSize(out));
		}
		clock_gettime(CLOCK_MONOTONIC, &b);
		printf("%lld\n", (b.tv_sec - a.tv_sec) * 1000000000LL + (b.tv_nsec - a.tv_nsec));
		fflush(stdout);
	}
	return 0;
}

// Attention of one query to what its row keeps, and the norm and rotation before it.
#pragma once

#include <cmath>

#include "matrix.h"

// Norm by `weight` (null for none) and rotation of one head's C channels, padded with zeros to whole vectors -> out.
static void norm_and_rotate(const float* x, const float* weight, const float* rotation, int64_t C, double eps, float* out) {
    float scale = 1;
    if (weight) inverse_rms(x, 0, {0, 1}, C, eps, &scale);
    const float *cos = rotation, *sin = rotation + C;
    const int64_t half = C / 2;
    for (int64_t i = 0; i < C; i++) out[i] = weight ? x[i] * scale * weight[i] : x[i];
    for (int64_t i = 0; i < half; i++) {
        float low = out[i], high = out[i + half];
        out[i] = low * cos[i] + high * sin[i];
        out[i + half] = high * cos[i + half] + low * sin[i + half];
    }
    for (int64_t i = C; i < divided_up(C, LANES) * LANES; i++) out[i] = 0;
}

// Into the second cache: what attention reads next while it works on something else.
INLINE void fetch(const float* from) { __builtin_prefetch(from, 0, 2); }

// sum of weights[i] values[i] over N vectors of each line, times `by` -> out (count floats)
template <int N>
void mix(const float* weights, const float* values, int64_t line, int64_t used, float by, float* out, int64_t count,
         const float* next) {
    Vector mixed[N] = {};
    for (int64_t i = 0; i < used; i++)
#pragma GCC unroll 4
        for (int v = 0; v < N; v++) {
            mixed[v] += load(values + i * line + v * LANES) * weights[i];
            fetch(next + i * line + v * LANES);
        }
    for (int v = 0; v < N; v++) store(out, FLOAT32, v * LANES, mixed[v] * by, (int)smaller(LANES, count - v * LANES));
}

// softmax(q keys / sqrt(C)) values over `used` places -> out (C). Keys, values and q have lines of C floats, padded with
// zeros to whole vectors; scores: room for whole vectors; next: the keys of the next call.
static void attend(const float* q, const float* keys, const float* values, int64_t used, int64_t C, float* scores, float* out,
            const float* next) {
    const int64_t vectors = divided_up(C, LANES), line = vectors * LANES, padded = divided_up(used, LANES) * LANES;
    const float scale = (float)(1 / std::sqrt((double)C));
    Vector most = splat(-INFINITY), total = {};
    for (int64_t i = 0; i < padded; i += LANES) {
        Vector dots[LANES] = {};
        for (int64_t c = 0; c < line; c += LANES) {
            Vector query = load(q + c);
#pragma GCC unroll 16
            for (int k = 0; k < LANES; k++) {
                dots[k] += load(keys + (i + k) * line + c) * query;
                fetch(values + (i + k) * line + c);
            }
        }
        sums(dots, LANES, scores + i);
        Vector score = load(scores + i) * scale;
        for (int64_t k = used - i; k < LANES; k++) score[k] = -INFINITY;
        most = score > most ? score : most;
        store(scores + i, score);
    }
    float top = -INFINITY;
    for (int k = 0; k < LANES; k++) top = most[k] > top ? most[k] : top;
    for (int64_t i = 0; i < padded; i += LANES) {
        Vector weight = exponential(load(scores + i) - top);
        total += weight;
        store(scores + i, weight);
    }
    const float by = 1 / sum(total);
    for (int64_t v = 0; v < vectors; v += 4) {
        const float *from = values + v * LANES, *then = next + v * LANES;
        float* to = out + v * LANES;
        const int64_t count = C - v * LANES;
        switch (vectors - v) {
            case 1: mix<1>(scores, from, line, used, by, to, count, then); break;
            case 2: mix<2>(scores, from, line, used, by, to, count, then); break;
            case 3: mix<3>(scores, from, line, used, by, to, count, then); break;
            default: mix<4>(scores, from, line, used, by, to, count, then);
        }
    }
}

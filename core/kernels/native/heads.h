// What attention needs of single heads: rows of qkv normed and turned, the gradient back through that, and tiles of
// them packed as operands of gemm.h.
#pragma once

#include <cstdlib>
#include <initializer_list>

#include "gemm.h"

const int64_t TILE = 64, STRIP = 16;  // on the diagonal, strips of a tile leave out what is hidden
const int64_t AHEAD = 8;  // rows
const float LN2 = 0.693147181f;

struct Attention {
    int64_t dtype, batch, length, heads, groups, channels, window, threads;
    double eps;
    const void* qkv;                   // (B, T, H + 2G, C)
    const float *q_weight, *k_weight;  // (C,), or null where there is no norm
    const float* rotation;             // (T, 2, C): [cos, cos], [-sin, sin]
    int64_t rotation_row;              // from one row of the batch to the next; 0 where all stand at the same positions
    void* y;                           // (B, T, H, C)
    float* logs;                       // (B, H, T)
    const void* dy;                    // as y
    void* dqkv;                        // as qkv
    float *dq_weight, *dk_weight;      // (B, G, C), what each task adds; zeros at the start

    int64_t width() const { return heads + 2 * groups; }
    int64_t padded() const { return (channels + LANES - 1) / LANES * LANES; }
    int lanes(int64_t c) const { return (int)(channels - c < LANES ? channels - c : LANES); }
    float score_factor() const { return 1.0f / (LN2 * __builtin_sqrtf((float)channels)); }
    int64_t tiles() const { return (length + TILE - 1) / TILE; }
    // Rows of the tile from token t0 on that are worked on: whole strips, as the last tile is seldom full.
    int64_t live(int64_t t0) const {
        int64_t rows = (length - t0 + STRIP - 1) / STRIP * STRIP;
        return rows < TILE ? rows : TILE;
    }
    int64_t at(int64_t b, int64_t t, int64_t head) const { return ((b * length + t) * width() + head) * channels; }
    const float* turn(int64_t b, int64_t t) const { return rotation + b * rotation_row + t * 2 * channels; }
    int64_t first_tile(int64_t i) const {
        int64_t low = window ? i * TILE - window + 1 : 0;
        return low > 0 ? low / TILE : 0;
    }
};

struct Arena {
    char *start, *next;
    explicit Arena(size_t bytes) : start((char*)malloc(bytes + 64)) {
        next = (char*)(((size_t)start + 63) & ~(size_t)63);
    }
    ~Arena() { free(start); }
    template <typename T> T* take(int64_t n) {
        T* out = (T*)next;
        next += ((size_t)n * sizeof(T) + 63) & ~(size_t)63;
        return out;
    }
};

// --- rows of heads --------------------------------------------------------------------------------------------------

// A row of qkv as floats with zeros up to the padded width; the sum of its squares.
static float read_row(const Attention& s, int64_t at, float* out) {
    Vector squares = {};
    for (int64_t c = 0; c < s.padded(); c += LANES) {
        Vector x = c < s.channels ? load(s.qkv, s.dtype, at + c, s.lanes(c)) : Vector{};
        squares += x * x;
        store(out + c, x);
    }
    return sum(squares);
}

static float inverse_rms(const Attention& s, float squares) {
    return 1.0f / __builtin_sqrtf(squares / (float)s.channels + (float)s.eps);
}

// One head's rows lie far apart, so the CPU does not see what comes next.
INLINE void prefetch_row(const Attention& s, const void* from, int64_t at, int64_t width) {
    const char* p = (const char*)from + at * (s.dtype == FLOAT32 ? 4 : 2);
    for (int64_t i = 0; i < width * (s.dtype == FLOAT32 ? 4 : 2); i += 64) __builtin_prefetch(p + i);
}

// Channel i and i + C/2 are a pair; `sign` -1 turns back.
static void rotate(float* x, const float* rotation, int64_t channels, float sign) {
    int64_t half = channels / 2;
    const float *cosine = rotation, *sine = rotation + channels + half;
    for (int64_t i = 0; i < half; i++) {
        float a = x[i], b = x[i + half], s = sign * sine[i];
        x[i] = a * cosine[i] - b * s;
        x[i + half] = b * cosine[i] + a * s;
    }
}

// The live rows of one head from token t0 on, zeros after the last: values as they are, or queries and keys normed, turned
// and times `factor`.
static void read_tile(const Attention& s, int64_t b, int64_t t0, int64_t head, bool value, const float* weight,
                      float factor, float* out) {
    int64_t n = s.padded(), rows = s.live(t0);
    for (int64_t r = 0; r < rows; r++, out += n) {
        if (t0 + r >= s.length) {
            memset(out, 0, sizeof(float) * (size_t)n);
            continue;
        }
        if (t0 + r + AHEAD < s.length) prefetch_row(s, s.qkv, s.at(b, t0 + r + AHEAD, head), s.channels);
        float squares = read_row(s, s.at(b, t0 + r, head), out);
        if (value) continue;
        if (weight) {
            float scale = inverse_rms(s, squares) * factor;
            for (int64_t c = 0; c < s.channels; c++) out[c] *= scale * weight[c];
        } else {
            for (int64_t c = 0; c < s.channels; c++) out[c] *= factor;
        }
        rotate(out, s.turn(b, t0 + r), s.channels, 1.0f);
    }
}

// The gradient by a row of qkv from that by the normed and turned one, g; g and x are overwritten, dweight grows.
static void write_gradient(const Attention& s, int64_t b, int64_t t, int64_t head, const float* weight, float* g,
                           float* x, float* dweight) {
    int64_t n = s.padded(), at = s.at(b, t, head);
    rotate(g, s.turn(b, t), s.channels, -1.0f);
    if (weight) {
        float scale = inverse_rms(s, read_row(s, at, x));
        Vector along = {};
        for (int64_t c = 0; c < s.channels; c++) {
            x[c] *= scale;
            dweight[c] += g[c] * x[c];
            g[c] *= weight[c];
        }
        for (int64_t c = 0; c < n; c += LANES) along += load(g + c) * load(x + c);
        float mean = sum(along) / (float)s.channels;
        for (int64_t c = 0; c < s.channels; c++) g[c] = (g[c] - x[c] * mean) * scale;
    }
    for (int64_t c = 0; c < s.channels; c += LANES) store(s.dqkv, s.dtype, at + c, load(g + c), s.lanes(c));
}

// The same for a tile of rows from token t0 on, whose gradient is `factor` times g.
static void write_gradients(const Attention& s, int64_t b, int64_t t0, int64_t head, const float* weight, float factor,
                            float* g, float* x, float* dweight) {
    int64_t n = s.padded();
    for (int64_t r = 0; r < TILE && t0 + r < s.length; r++, g += n) {
        if (t0 + r + AHEAD < s.length) {
            int64_t at = s.at(b, t0 + r + AHEAD, head);
            prefetch_row(s, s.qkv, at, s.channels);
            prefetch_row(s, s.dqkv, at, s.channels);
        }
        for (int64_t c = 0; c < n; c += LANES) store(g + c, load(g + c) * factor);
        write_gradient(s, b, t0 + r, head, weight, g, x, dweight);
    }
}

// --- packing of the live rows of a tile (TILE, n) into operands ----------------------------------------------------------------------

// Left operand: rows, contracted over channels.
static void pack_rows(const float* tile, int64_t rows, int64_t n, float* out) {
    memcpy(out, tile, sizeof(float) * (size_t)(rows * n));
}

static void pack_rows(const float* tile, int64_t rows, int64_t n, Pair* out) {
    for (int64_t i = 0; i < rows * n; i += LANES) {
        Halves halves = brief(load(tile + i));
        memcpy((uint16_t*)out + i, &halves, sizeof halves);
    }
}

// Right operand (n units, TILE): contracted over channels.
static void pack_columns(const float* tile, int64_t rows, int64_t n, float* out) {
    for (int64_t c = 0; c < n; c++)
        for (int64_t r = 0; r < rows; r++) out[c * TILE + r] = tile[r * n + c];
}

static void pack_columns(const float* tile, int64_t rows, int64_t n, Pair* out) {
    for (int64_t c = 0; c < n; c += 2) {
        float low[TILE], high[TILE];
        for (int64_t r = 0; r < rows; r++) low[r] = tile[r * n + c], high[r] = tile[r * n + c + 1];
        for (int64_t r = 0; r < rows; r += LANES) {
            Bits both = paired(brief(load(low + r)), brief(load(high + r)));
            memcpy(out + c / 2 * TILE + r, &both, sizeof both);
        }
    }
}

// Right operand (TILE units, n): contracted over tokens.
static void pack_tokens(const float* tile, int64_t rows, int64_t n, float* out) { pack_rows(tile, rows, n, out); }

static void pack_tokens(const float* tile, int64_t rows, int64_t n, Pair* out) {
    for (int64_t r = 0; r < rows; r += 2)
        for (int64_t c = 0; c < n; c += LANES) {
            Bits both = paired(brief(load(tile + r * n + c)), brief(load(tile + (r + 1) * n + c)));
            memcpy(out + r / 2 * n + c, &both, sizeof both);
        }
}

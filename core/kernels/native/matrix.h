// Products of a few rows with packed matrices, and how threads share the work.
//
// A matrix W (outputs, inner) is kept as panels of PANEL outputs, (panels, inner, PANEL), padded with zeros. Every output
// is one chain of fused multiply-adds over the inner axis: its bits depend neither on how many rows there are nor on the
// number of threads.
#pragma once

#include <cmath>

#include "vector.h"

#ifdef _OPENMP
extern "C" int omp_get_num_threads();
#else
INLINE int omp_get_num_threads() { return 1; }
#endif

#define PANEL (2 * LANES)

#if defined(__AVX512F__) || defined(__aarch64__)
#define TILE 12  // rows of a tile: its 24 sums and what they are made of fit into 32 registers
#else
#define TILE 6
#endif

// The threads that work on the same rows. One alone needs no barriers.
struct Team {
    int rank, size, thread;

    void sync() const {
        if (size > 1) {
#pragma omp barrier
        }
    }
};

struct Range {
    int64_t first, stop;
};

INLINE Range share(int64_t n, const Team& team) { return {n * team.rank / team.size, n * (team.rank + 1) / team.size}; }

struct Matrix {
    const float* panels;
    int64_t outputs, inner;

    int64_t n_panels() const { return divided_up(outputs, PANEL); }
};

// scale[r] = 1 / sqrt(mean(x[r]^2) + eps) of the first n columns
static void inverse_rms(const float* x, int64_t line, Range rows, int64_t n, double eps, float* scale) {
    for (int64_t r = rows.first; r < rows.stop; r++) {
        Vector squares = {};
        for (int64_t i = 0; i < n; i += LANES) {
            Vector part = load(x + r * line, FLOAT32, i, n - i < LANES ? (int)(n - i) : LANES);
            squares += part * part;
        }
        scale[r] = (float)(1 / std::sqrt(sum(squares) / (double)n + eps));
    }
}

// What becomes of a product: it is stored, added to what is there, or taken as LANES values and LANES gates of which
// value * silu(gate) is stored.
enum Use { STORE, ADD, SWIGLU };

template <int ROWS, int PANELS, Use USE>
INLINE void tile(const float* x, int64_t x_row, const float* w, int64_t inner, const float* scale, float* y, int64_t y_row) {
    Vector sums[ROWS][2 * PANELS] = {};
    for (int64_t i = 0; i < inner; i++) {
        Vector part[2 * PANELS];
#pragma GCC unroll 8
        for (int p = 0; p < 2 * PANELS; p++) part[p] = load(w + p / 2 * inner * PANEL + i * PANEL + p % 2 * LANES);
#pragma GCC unroll 12
        for (int r = 0; r < ROWS; r++) {
            Vector input = splat(x[r * x_row + i]);
#pragma GCC unroll 8
            for (int p = 0; p < 2 * PANELS; p++) sums[r][p] += input * part[p];
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++) {
        float by = scale ? scale[r] : 1.0f;
        float* out = y + r * y_row;
#pragma GCC unroll 8
        for (int p = 0; p < 2 * PANELS; p++) {
            Vector sum = sums[r][p] * by;
            if (USE == STORE) store(out + p * LANES, sum);
            if (USE == ADD) store(out + p * LANES, load(out + p * LANES) + sum);
            if (USE == SWIGLU && p % 2 == 0) {
                Vector gate = sums[r][p + 1] * by;
                store(out + p / 2 * LANES, sum * (gate * sigmoid(gate)));
            }
        }
    }
}

template <int ROWS, Use USE>
void tiles(const float* x, int64_t x_row, const Matrix& w, Range panels, const float* scale, float* y, int64_t y_row) {
    const int several = ROWS == 1 ? 4 : ROWS <= 3 ? 2 : 1;  // panels at once, so that few rows keep the units busy
    const int64_t step = USE == SWIGLU ? LANES : PANEL;
    int64_t p = panels.first;
    for (; p + several <= panels.stop; p += several)
        tile<ROWS, several, USE>(x, x_row, w.panels + p * w.inner * PANEL, w.inner, scale, y + p * step, y_row);
    for (; p < panels.stop; p++)
        tile<ROWS, 1, USE>(x, x_row, w.panels + p * w.inner * PANEL, w.inner, scale, y + p * step, y_row);
}

// y[r] (outputs) = scale[r] W x[r] for `rows` rows, used as USE says: the team's share of the outputs.
template <Use USE>
void multiply(const float* x, int64_t x_row, Range rows, const Matrix& w, const float* scale, float* y, int64_t y_row,
              const Team& team) {
    Range panels = share(w.n_panels(), team);
    int64_t n_tiles = divided_up(rows.stop - rows.first, TILE), n = rows.stop - rows.first;
    for (int64_t p = panels.first; p < panels.stop; p += 4) {  // few panels stay in the cache for all rows
        Range few = {p, p + 4 < panels.stop ? p + 4 : panels.stop};
        for (int64_t t = 0; t < n_tiles; t++) {
            int64_t first = rows.first + n * t / n_tiles, stop = rows.first + n * (t + 1) / n_tiles;
            const float* from = x + first * x_row;
            float* to = y + first * y_row;
            const float* by = scale ? scale + first : nullptr;
            switch (stop - first) {
#define CASE(ROWS) \
    case ROWS: tiles<ROWS, USE>(from, x_row, w, few, by, to, y_row); break;
                CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#if TILE > 6
                CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
#undef CASE
            }
        }
    }
}

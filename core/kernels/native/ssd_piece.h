// A call of the dual recurrence of Mamba-2 and a piece of its work, which forward and backward share.
//
//     h[t] = exp(dt[t] A) h[t-1] + dt[t] B[t] x[t]^T        y[t] = h[t]^T C[t] + D x[t]        per head, h (N, P)
//
// A piece is some heads of one group in one row. It walks over the chunks with its heads' states in the cache: inside a
// chunk by products of matrices, from chunk to chunk by handing the states on (arXiv 2405.21060, section 6).
//
// Sizes: N states, P channels a head, L tokens of the chunk, each rounded up, with zeros behind the data. The decay
// from token j to i is 2^(log[i] - log[j]), log being the running sum of dt A log2(e) in the chunk.
#pragma once

#include "products.h"

struct Call {
    int64_t batch, length, heads, groups, channels, states;
    int64_t chunk, parts, threads;  // parts: pieces that a group's heads are divided into
    Rows x, dt, B, C, y;            // (batch, length, ..); dt is float32; in the backward y is its gradient
    const float *A, *D;             // (heads); D may be null
    const float* initial;           // (batch, heads, channels, states) or null for zeros
    const uint8_t* starts;          // (batch, length): another document starts here; or null
    float* final;                   // like initial: the last state, in the backward its gradient; or null
    float* kept;                    // states at the chunks' starts as right factors (P, N), or null
    Rows dx, ddt, dB, dC;
    float *parts_B, *parts_C;       // (batch, length, parts, groups, states): dB, dC by parts; null where there is one
    float *dA, *dD, *dinitial;      // (batch, heads), the same or null, like initial or null
    float* scratch;                 // (threads, foretell_ssd_scratch)
};

constexpr int LINE = 16;  // floats a cache line
constexpr float LOG2E = 1.44269504f;
constexpr float STRONGEST = -46.0f;  // 2^-46 is the square of float32's precision

INLINE int rounded_up(int64_t n) { return (int)(divided_up(n, PAD) * PAD); }

INLINE bool in_pairs(const Call& call) { return HAS_PAIRS && call.x.dtype == BFLOAT16; }

// Floats of `kept` a chunk and head.
INLINE int64_t kept_floats(const Call& call) {
    return (int64_t)rounded_up(call.states) * rounded_up(call.channels) / (in_pairs(call) ? 2 : 1);
}

// The piece of work, its present chunk and its present head, with what the forward and the backward share.
struct Piece {
    const Call& call;
    float* const scratch;  // null only to count what is taken
    int64_t taken = 0;

    const int N = rounded_up(call.states), P = rounded_up(call.channels);
    const int longest = rounded_up(smaller(call.chunk, call.length));
    const int64_t chunks = divided_up(call.length, call.chunk);
    const int heads = (int)(call.heads / call.groups / call.parts);

    int64_t b = 0, group = 0, part = 0, first_head = 0;

    int64_t chunk = 0, begin = 0;  // the chunk's number and first token
    int tokens = 0, L = 0;
    bool carried = false;    // whether a state comes in
    bool handed_on = false;  // whether anyone wants the state, or its gradient, that goes out
    int reached = 0;         // tokens before the first border: these see the state that comes in
    int* since = (int*)take(longest);  // the first token of each token's document

    int64_t head = 0;
    float *dt = take(longest), *log = take(longest), *from_start = take(longest), *to_end = take(longest);
    float keep = 0;  // the decay over the whole chunk

    Piece(const Call& call, float* scratch) : call(call), scratch(scratch) {}

    float* take(int64_t floats) {
        float* memory = scratch ? scratch + taken : nullptr;
        taken += divided_up(floats, 16) * 16;
        return memory;
    }

    void enter(int64_t piece) {
        part = piece % call.parts;
        group = piece / call.parts % call.groups;
        b = piece / call.parts / call.groups;
        first_head = (group * call.parts + part) * heads;
    }

    void enter_chunk(int64_t number) {
        chunk = number;
        begin = chunk * call.chunk;
        tokens = (int)smaller(call.chunk, call.length - begin);
        L = rounded_up(tokens);
        carried = chunk > 0 || call.initial;
        handed_on = chunk + 1 < chunks || call.final;
        reached = tokens;
        const uint8_t* starts = call.starts ? call.starts + b * call.length + begin : nullptr;
        for (int i = 0, document = 0; i < L; i++) {
            if (starts && i < tokens && starts[i]) {
                if (reached == tokens) reached = i;
                document = i;
            }
            since[i] = document;
        }
    }

    void enter_head(int64_t number) {
        head = number;
        float rate = call.A[head] * LOG2E, total = 0;
        for (int i = 0; i < L; i++) {
            dt[i] = i < tokens ? call.dt.get_one(b, begin + i, head) : 0.0f;
            float step = dt[i] * rate;
            // more would change nothing, but the weak decays beside it would be lost in a large sum
            total += step < STRONGEST ? STRONGEST : step;
            log[i] = total;
        }
        for (int i = 0; i < L; i += LANES) {
            store(from_start + i, exp2(load(log + i)));
            store(to_end + i, exp2(total - load(log + i)));
        }
        keep = reached < tokens ? 0.0f : from_start[tokens - 1];
        for (int i = reached; i < L; i++) from_start[i] = 0;
        for (int i = 0; i < since[tokens - 1]; i++) to_end[i] = 0;
    }

    // Vectors of the `width` neighbours of a token from element `at` on, with zeros behind the data.
    struct Strip {
        const Rows& from;
        int64_t place, known;

        Vector operator[](int c) const {
            if (c + LANES <= known) return load(from.data, from.dtype, place + c);
            return c < known ? load(from.data, from.dtype, place + c, (int)(known - c)) : Vector{};
        }
    };

    // The strip beside it, the next head's, is fetched meanwhile. [A quarter of the time: such short strips far from
    // each other are not foreseen by the CPU.]
    Strip strip(const Rows& from, int token, int64_t at, int64_t width) const {
        if (token >= tokens) return {from, 0, 0};
        for (int64_t next = at + width; next < at + 2 * width; next += LINE) from.fetch(b, begin + token, next);
        return {from, from.at(b, begin + token, at), width};
    }

    // Fetches what the group's heads share of another chunk, while they are computed for this one.
    void fetch_shared(int64_t number) const {
        const int64_t stop = smaller(call.length, (number + 1) * call.chunk);
        if (number < 0) return;
        for (int64_t t = number * call.chunk; t < stop; t++)
            for (int64_t n = 0; n < call.states; n += LINE) {
                call.B.fetch(b, t, group * call.states + n);
                call.C.fetch(b, t, group * call.states + n);
            }
    }

    // (L, padded)
    void read(float* to, const Rows& from, int64_t at, int64_t width, int padded) const {
        for (int i = 0; i < L; i++) {
            const Strip token = strip(from, i, at, width);
            for (int c = 0; c < padded; c += LANES) store(to + i * padded + c, token[c]);
        }
    }

    // V vectors of one token, from element c of `width` on; nothing behind the data.
    template <int V>
    void write(const Rows& to, int token, int64_t at, int64_t width, int c, const Vector (&x)[V]) const {
        if (token >= tokens) return;
        const int64_t place = to.at(b, begin + token, at + c);
        for (int v = 0; v < V; v++) {
            const int64_t rest = width - c - v * LANES;
            if (rest < LANES) {
                if (rest > 0) store(to.data, to.dtype, place + v * LANES, x[v], (int)rest);
            } else if (to.dtype == FLOAT32) {
                store((float*)to.data + place + v * LANES, x[v]);
            } else {
                store_row<true>((float*)to.data, place + v * LANES, x[v]);
            }
        }
    }

    int64_t state_at(int64_t h) const { return (b * call.heads + h) * call.channels * call.states; }
    float* kept() const { return call.kept + ((b * chunks + chunk) * call.heads + head) * kept_floats(call); }

    void read_state(float* h, const float* from) const {
        for (int i = 0; i < N * P; i++) h[i] = 0;
        if (!from) return;
        for (int p = 0; p < call.channels; p++)
            for (int n = 0; n < call.states; n++) h[n * P + p] = from[p * call.states + n];
    }

    void write_state(float* to, const float* h) const {
        for (int p = 0; p < call.channels; p++)
            for (int n = 0; n < call.states; n++) to[p * call.states + n] = h[n * P + p];
    }

    // h = keep h + left (N, L) right (L, P)
    template <bool pairs>
    void hand_on(float* h, const float* left, const float* right) const {
        const int depth = L / (pairs ? 2 : 1);
        over_columns(0, P, [&](auto vectors, int p) {
            constexpr int V = decltype(vectors)::value;
            for (int n = 0; n < N; n += ROWS) {
                Tile<V> tile;
                for (int r = 0; r < ROWS; r++)
                    for (int v = 0; v < V; v++) tile.at[r][v] = keep * load(h + (n + r) * P + p + v * LANES);
                add_product<pairs>(tile, left + n * depth, depth, right + p, P, 0, depth);
                put(tile, h + n * P + p, P);
            }
        });
    }
};

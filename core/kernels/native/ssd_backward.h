// The gradients of the dual recurrence. They go back over the chunks with the gradients of the states in the cache; the
// states themselves are known at the chunks' starts.
//
// What is (L, L) is transposed against the forward: a row is a key j, a column a query i >= j.
#pragma once

#include "ssd_piece.h"

template <bool pairs>
struct Backward : Piece {
    static constexpr int UNIT = pairs ? 2 : 1;

    using Piece::Piece;
    // shared by the heads
    float *turned = take(longest * N), *B = take(longest * N), *C = take(longest * N);
    float *B_rows = take(longest * N), *B_right = take(longest * N), *C_right = take(longest * N);
    float *C_turned = take(longest * N), *C_columns = take(longest * N);
    float *dB = take(longest * N), *dC = take(longest * N);
    float *scores = take(longest * longest), *dscores = take(longest * longest);
    float *dscores_rows = take(longest * longest), *dscores_turned = take(longest * longest);
    // a head's own
    float *mixing = take(longest * longest), *x = take(longest * P), *dy = take(longest * P);
    float *x_rows = take(longest * P), *dy_rows = take(longest * P), *dy_columns = take(longest * P);
    float *dy_right = take(longest * P), *dy_carried = take(longest * P);
    float *dstates = take(heads * N * P);  // gradients of the states after the chunk
    float *dstate_rows = take(N * P), *dstate_right = take(N * P), *dstate_turned = take(N * P);
    float* partial = take(longest * LANES);  // a vector a token, to be summed
    float *by_query = take(longest), *by_key = take(longest), *by_end = take(longest), *gain = take(longest);

    void run(int64_t piece) {
        enter(piece);
        for (int k = 0; k < heads; k++) {
            const int64_t place = b * call.heads + first_head + k;
            read_state(dstates + k * N * P, call.final ? call.final + state_at(first_head + k) : nullptr);
            call.dA[place] = 0;
            if (call.dD) call.dD[place] = 0;
        }
        for (int64_t c = chunks - 1; c >= 0; c--) {
            enter_chunk(c);
            score();
            fetch_shared(c - 1);
            for (int k = 0; k < heads; k++) {
                float* dh = dstates + k * N * P;
                enter_head(first_head + k);
                read_inputs();
                mix();
                if (handed_on) prepare_state(dh);
                differentiate_inputs(pairs ? dstate_right : dh);
                if (carried) through_states(dC, by_query, pairs ? dy_rows : dy, kept(), from_start, C);
                if (handed_on) through_states(dB, by_end, x_rows, dstate_turned, to_end, B);
                differentiate_steps();
                if (chunk > 0 || call.dinitial) hand_on<pairs>(dh, C_turned, dy_carried);
            }
            differentiate_shared();
        }
        if (call.dinitial)
            for (int k = 0; k < heads; k++)
                write_state(call.dinitial + state_at(first_head + k), dstates + k * N * P);
    }

    void score() {
        read(C, call.C, group * call.states, call.states, N);
        by_depth<pairs>(C_right, C, L, N);
        transpose(turned, C, L, N);
        by_rows<pairs>(C_turned, turned, N, L);
        by_depth<pairs>(C_columns, turned, N, L);
        read(B, call.B, group * call.states, call.states, N);
        by_rows<pairs>(B_rows, B, L, N);
        by_depth<pairs>(B_right, B, L, N);
        for (int j = 0; j < L; j += ROWS)
            over_columns(j / LANES * LANES, L, [&](auto vectors, int i) {
                Tile<decltype(vectors)::value> tile = {};
                add_product<pairs>(tile, B_rows + j * (N / UNIT), N / UNIT, C_columns + i, L, 0, N / UNIT);
                put(tile, scores + j * L + i, L);
            });
        for (int i = 0; i < L * N; i++) dB[i] = dC[i] = 0;
        for (int i = 0; i < L * L; i++) dscores[i] = 0;
    }

    void read_inputs() {
        const int64_t at = head * call.channels;
        Vector skipped = {};
        for (int i = 0; i < L; i += UNIT) {
            const int j = i + UNIT - 1;
            const Strip x_first = strip(call.x, i, at, call.channels), x_second = strip(call.x, j, at, call.channels);
            const Strip first = strip(call.y, i, at, call.channels), second = strip(call.y, j, at, call.channels);
            for (int p = 0; p < P; p += LANES) {
                Vector x_one = x_first[p], x_other = pairs ? x_second[p] : Vector{};
                Vector one = first[p], other = pairs ? second[p] : Vector{};
                skipped += one * x_one + other * x_other;
                store(x + i * P + p, x_one);
                store(dy + i * P + p, one);
                store_row<pairs>(x_rows, i * P + p, x_one * dt[i]);
                if (pairs) {
                    store(x + j * P + p, x_other);
                    store(dy + j * P + p, other);
                    store_row<pairs>(x_rows, j * P + p, x_other * dt[j]);
                    store_row<pairs>(dy_rows, i * P + p, one);
                    store_row<pairs>(dy_rows, j * P + p, other);
                    store(dy_right + i / UNIT * P + p, paired<pairs>(one, other));
                }
                store(dy_carried + i / UNIT * P + p, paired<pairs>(one * from_start[i], other * from_start[j]));
            }
        }
        if (call.dD) call.dD[b * call.heads + head] += sum(skipped);
        transpose(dy_columns, pairs ? dy_rows : dy, L, P / UNIT);
    }

    // mixing as in the forward; its gradient (dt x) dy^T goes into that of the scores and, by the logarithm of each
    // decay, into by_query and by_key: the same numbers in float32, so that the sums over spans cancel
    void mix() {
        for (int i = 0; i < L; i++) by_query[i] = by_key[i] = by_end[i] = gain[i] = 0;
        for (int j = 0; j < L; j += ROWS) {
            Vector keys[ROWS] = {};
            over_columns(j / PAD * PAD, L, [&](auto vectors, int from) {
                constexpr int V = decltype(vectors)::value;
                Tile<V> tile = {};
                add_product<pairs>(tile, x_rows + j * (P / UNIT), P / UNIT, dy_columns + from, L, 0, P / UNIT);
                for (int v = 0; v < V; v++) {
                    const int i = from + v * LANES;
                    Integers token = lane_numbers() + i, document;
                    memcpy(&document, since + i, sizeof document);
                    Vector here = load(log + i), queries = load(by_query + i);
                    for (int r = 0; r < ROWS; r++) {
                        const int key = j + r, cell = key * L + i;
                        Vector decay = exp2(here - log[key]);
                        decay = (token >= key) & (document <= key) ? decay : Vector{};
                        Vector mixed = load(scores + cell) * decay;
                        Vector by_log = token > key ? tile.at[r][v] * mixed : Vector{};
                        store(dscores + cell, load(dscores + cell) + tile.at[r][v] * decay);
                        store_row<pairs>(mixing + key * (L / UNIT), i, mixed);
                        queries += by_log;
                        keys[r] += by_log;
                    }
                    store(by_query + i, queries);
                }
            });
            for (int r = 0; r < ROWS; r++) store(partial + (j + r) * LANES, keys[r]);
        }
        add_partial(by_key);
    }

    void add_partial(float* to) const {
        for (int i = 0; i < L; i += LANES) store(to + i, load(to + i) + sums(partial + i * LANES));
    }

    void prepare_state(const float* dh) {
        if (pairs) {
            by_rows<pairs>(dstate_rows, dh, N, P);
            by_depth<pairs>(dstate_right, dh, N, P);
        }
        transpose(dstate_turned, pairs ? dstate_rows : dh, N, P / UNIT);
    }

    // d(dt x) = to_end (B dh) + mixing^T dy
    void differentiate_inputs(const float* dh) {
        const float skip = call.D ? call.D[head] : 0.0f;
        over_columns(0, P, [&](auto vectors, int p) {
            constexpr int V = decltype(vectors)::value;
            for (int j = 0; j < tokens; j += ROWS) {
                Tile<V> tile = {};
                if (handed_on) {
                    add_product<pairs>(tile, B_rows + j * (N / UNIT), N / UNIT, dh + p, P, 0, N / UNIT);
                    scale_rows(tile, to_end + j);
                }
                add_product<pairs>(tile, mixing + j * (L / UNIT), L / UNIT, (pairs ? dy_right : dy) + p, P, j / UNIT,
                                   L / UNIT);
                for (int r = 0; r < ROWS; r++) {
                    Vector total = {};
                    for (int v = 0; v < V; v++) {
                        const int cell = (j + r) * P + p + v * LANES;
                        total += tile.at[r][v] * load(x + cell);
                        tile.at[r][v] = tile.at[r][v] * dt[j + r] + skip * load(dy + cell);
                    }
                    write(call.dx, j + r, head * call.channels, call.channels, p, tile.at[r]);
                    store(partial + (j + r) * LANES, total);
                }
            }
            add_partial(gain);
        });
    }

    // to (L, N) += scale (left (L, P) right (P, N)); totals += what is added . factor, by token
    void through_states(float* to, float* totals, const float* left, const float* right, const float* scale,
                        const float* factor) {
        over_columns(0, N, [&](auto vectors, int n) {
            constexpr int V = decltype(vectors)::value;
            for (int i = 0; i < L; i += ROWS) {
                Tile<V> tile = {};
                add_product<pairs>(tile, left + i * (P / UNIT), P / UNIT, right + n, N, 0, P / UNIT);
                scale_rows(tile, scale + i);
                for (int r = 0; r < ROWS; r++) {
                    Vector total = {};
                    for (int v = 0; v < V; v++) {
                        const int cell = (i + r) * N + n + v * LANES;
                        total += tile.at[r][v] * load(factor + cell);
                        store(to + cell, load(to + cell) + tile.at[r][v]);
                    }
                    store(partial + (i + r) * LANES, total);
                }
            }
            add_partial(totals);
        });
    }

    // A decay's logarithm is a sum of dt A over the tokens it spans, so that by dt A is the sum over the decays that
    // span the token: those to later queries, less those from later keys
    void differentiate_steps() {
        float rate = 0, by_A = 0;
        if (carried && handed_on && keep != 0) {
            Vector total = {};
            for (int i = 0; i < N * (P / UNIT); i += LANES)
                total = multiply_add<pairs>(load(dstate_turned + i), load(kept() + i), total);
            rate = keep * sum(total);
        }
        for (int i = 0; i < tokens; i++) rate += by_end[i];
        for (int i = tokens - 1; i >= 0; i--) {
            rate += by_query[i] - by_key[i] - by_end[i];
            by_A += rate * dt[i];
            store_one(call.ddt.data, FLOAT32, call.ddt.at(b, begin + i, head), gain[i] + rate * call.A[head]);
        }
        call.dA[b * call.heads + head] += by_A;
    }

    // what goes through the scores: dB += dscores^T C, dC += dscores B
    void differentiate_shared() {
        transpose(dscores_turned, dscores, L, L);
        by_rows<pairs>(dscores_rows, dscores, L, L);
        finish(call.dB, call.parts_B, dB, dscores_rows, C_right, true);
        by_rows<pairs>(dscores_rows, dscores_turned, L, L);
        finish(call.dC, call.parts_C, dC, dscores_rows, B_right, false);
    }

    void finish(const Rows& whole, float* parts, const float* so_far, const float* left, const float* right,
                bool later) {
        const int64_t width = call.parts * call.groups * call.states, at = (part * call.groups + group) * call.states;
        const Rows to = parts ? Rows{parts, FLOAT32, call.length * width, width} : whole;
        over_columns(0, N, [&](auto vectors, int n) {
            constexpr int V = decltype(vectors)::value;
            for (int i = 0; i < tokens; i += ROWS) {
                Tile<V> tile = {};
                add_product<pairs>(tile, left + i * (L / UNIT), L / UNIT, right + n, N, later ? i / UNIT : 0,
                                   (later ? L : i + ROWS) / UNIT);
                for (int r = 0; r < ROWS; r++) {
                    for (int v = 0; v < V; v++) tile.at[r][v] += load(so_far + (i + r) * N + n + v * LANES);
                    write(to, i + r, at, call.states, n, tile.at[r]);
                }
            }
        });
    }
};

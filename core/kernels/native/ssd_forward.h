// The dual recurrence forward: what ssd_piece.h defines.
#pragma once

#include "ssd_piece.h"

template <bool pairs>
struct Forward : Piece {
    static constexpr int UNIT = pairs ? 2 : 1;

    using Piece::Piece;
    float *plain = take(longest * (N > P ? N : P)), *turned = take(longest * N);
    float *C_rows = take(longest * N), *B_turned = take(longest * N), *B_columns = take(longest * N);
    float *scores = take(longest * longest), *mixing = take(longest * longest);
    float *x = take(longest * P), *inside = take(longest * P), *added = take(longest * P);
    float *states = take(heads * N * P), *state_right = take(N * P), *state_rows = take(N * P);

    void run(int64_t piece) {
        enter(piece);
        for (int k = 0; k < heads; k++)
            read_state(states + k * N * P, call.initial ? call.initial + state_at(first_head + k) : nullptr);
        for (int64_t c = 0; c < chunks; c++) {
            enter_chunk(c);
            score();
            fetch_shared(c + 1);
            for (int k = 0; k < heads; k++) {
                float* h = states + k * N * P;
                enter_head(first_head + k);
                mix();
                weigh_inputs();
                if (call.kept) keep_state(h);
                read_out(h);
                if (handed_on) hand_on<pairs>(h, B_turned, added);
            }
        }
        if (call.final)
            for (int k = 0; k < heads; k++) write_state(call.final + state_at(first_head + k), states + k * N * P);
    }

    // scores[i, j] = C[i] . B[j], which all heads of the group share
    void score() {
        read(plain, call.C, group * call.states, call.states, N);
        by_rows<pairs>(C_rows, plain, L, N);
        read(plain, call.B, group * call.states, call.states, N);
        transpose(turned, plain, L, N);
        by_rows<pairs>(B_turned, turned, N, L);
        by_depth<pairs>(B_columns, turned, N, L);
        for (int i = 0; i < L; i += ROWS)
            over_columns(0, i / LANES * LANES + LANES, [&](auto vectors, int j) {
                Tile<decltype(vectors)::value> tile = {};
                add_product<pairs>(tile, C_rows + i * (N / UNIT), N / UNIT, B_columns + j, L, 0, N / UNIT);
                put(tile, scores + i * L + j, L);
            });
    }

    // mixing[i, j] = scores[i, j] decay from j to i, for j <= i in the same document
    void mix() {
        for (int i = 0; i < L; i++)
            for (int j = 0; j < i / PAD * PAD + PAD; j += LANES) {
                Integers token = lane_numbers() + j;
                Vector mixed = load(scores + i * L + j) * exp2(log[i] - load(log + j));
                store_row<pairs>(mixing + i * (L / UNIT), j, (token <= i) & (token >= since[i]) ? mixed : Vector{});
            }
    }

    // dt x, and that times the decay to the end
    void weigh_inputs() {
        const int64_t at = head * call.channels;
        for (int i = 0; i < L; i += UNIT) {
            const int j = i + UNIT - 1;
            const Strip first = strip(call.x, i, at, call.channels), second = strip(call.x, j, at, call.channels);
            for (int p = 0; p < P; p += LANES) {
                Vector one = first[p], other = pairs ? second[p] : one;
                store(x + i * P + p, one);
                if (pairs) store(x + j * P + p, other);
                one *= dt[i], other *= dt[j];
                store(inside + i / UNIT * P + p, paired<pairs>(one, other));
                if (handed_on) store(added + i / UNIT * P + p, paired<pairs>(one * to_end[i], other * to_end[j]));
            }
        }
    }

    void keep_state(const float* h) {
        by_rows<pairs>(state_rows, h, N, P);
        transpose(kept(), state_rows, N, P / UNIT);
    }

    // y = from_start (C h) + mixing (dt x) + D x
    void read_out(const float* h) {
        if (pairs && carried) {
            by_depth<pairs>(state_right, h, N, P);
            h = state_right;
        }
        const float skip = call.D ? call.D[head] : 0.0f;
        over_columns(0, P, [&](auto vectors, int p) {
            constexpr int V = decltype(vectors)::value;
            for (int i = 0; i < tokens; i += ROWS) {
                Tile<V> tile = {};
                if (carried) {
                    add_product<pairs>(tile, C_rows + i * (N / UNIT), N / UNIT, h + p, P, 0, N / UNIT);
                    scale_rows(tile, from_start + i);
                }
                add_product<pairs>(tile, mixing + i * (L / UNIT), L / UNIT, inside + p, P, 0, (i + ROWS) / UNIT);
                for (int r = 0; r < ROWS; r++) {
                    for (int v = 0; v < V; v++) tile.at[r][v] += skip * load(x + (i + r) * P + p + v * LANES);
                    write(call.y, i + r, head * call.channels, call.channels, p, tile.at[r]);
                }
            }
        });
    }
};

// Decoding: all layers of a model one token further for a batch of rows, and for a model of one symbol the draw of the
// next one as well, many tokens in one call.
//
// Rows know their own place, so they need neither start nor end together. Weights are packed (matrix.h) and have the
// weight of the norm before them folded in. Threads share the rows, or the outputs where there are few rows.
// State-space states are kept as (channels / LANES, N, LANES), keys and values as (positions, C rounded up to LANES).
#include <atomic>
#include <cmath>

#include "attend.h"
#include "draw.h"

struct Layer {
    int64_t kind;  // 'A', 'M' or 'S'
    Matrix in, out;
    // M and S. conv_weight (taps, channels), conv_bias (channels); decay is A log2(e): (blocks, N, LANES) for M, (heads)
    // for S; dt_bias and skip (channels) for M, (heads) for S. conv (slots, taps - 1, channels), ssm (slots, ...).
    Matrix x_proj, dt_proj;
    const float *conv_weight, *conv_bias, *dt_bias, *decay, *skip;
    float *conv, *ssm;
    // A. qk_norm (2, C) for queries and keys or null. keys and values (slots, key heads, ...).
    const float* qk_norm;
    float *keys, *values;
    Matrix fc1, fc2;
};

struct Ngrams {
    int64_t orders, letters;
    const int64_t *order, *size;
    const float* const* table;
};

struct Model {
    int64_t threads, large, width, vocabulary, layers;  // large: not even one row's work is little for all threads
    double eps, gated_eps;
    const float* embedding;
    Ngrams ngrams;
    const Layer* layer;
    const float* norm_f;
    Matrix readout;  // with norm_f in it
    // of Mamba mixers
    int64_t inner, taps, rank, states1, states2, heads2, groups2, channels2;
    // of attention: a ring of `room` positions, rotation (positions, 2, channels)
    int64_t heads, key_heads, channels, room;
    const float* rotation;
    // What is computed for a row on the way, a line of `line` floats each; logits and a thread's scratch have their own.
    int64_t line, logits_line, scratch_line;
    float *x, *projected, *convolved, *low_rank, *steps, *mixed, *logits, *scratch;
};

// The rows that live, and all slots' tokens and numbers, (slots, length) each.
struct Draws {
    int64_t rows, length, min_length;
    const int64_t* slot;
    int64_t *position, *tokens;
    const int64_t *origin, *prefix;
    const double* uniforms;
    float *nats, *masked;
    uint8_t* ended;
    Sampling sampling;
    const uint8_t *banned, *banned_early, *allowed;  // (V), (V), (rows, V) or null
};

enum End : uint8_t { LIVE = 0, FINISHED = 1, FULL = 2, NOTHING_ALLOWED = 3 };
const int64_t BOS = 1, EOS = 2, SPECIALS = 5;

namespace {

// The row's embedding of what it reads at its position, into x.
void embed(const Model& m, const Draws& d, int64_t row, float* x) {
    const int64_t slot = d.slot[row], *tokens = d.tokens + slot * d.length;
    const int64_t at = d.position[slot], origin = d.origin[slot];
    const float* from = m.embedding + (at > origin ? tokens[at - 1] : BOS) * m.width;
    memcpy(x, from, m.width * sizeof(float));
    const int64_t prime = 2147483647;
    int64_t code = 0, power = 1, reach = 0;
    for (int64_t k = 0; k < m.ngrams.orders; k++) reach = std::max(reach, m.ngrams.order[k]);
    for (int64_t lag = 0; lag < reach; lag++) {
        int64_t id = at - lag > origin ? tokens[at - lag - 1] : 0;
        code = (code + std::max<int64_t>(id - (SPECIALS - 1), 0) * power) % prime;
        power = power * m.ngrams.letters % prime;
        for (int64_t k = 0; k < m.ngrams.orders; k++) {
            if (m.ngrams.order[k] != lag + 1) continue;
            int64_t size = m.ngrams.size[k];
            // a table is as long as there are n-grams, or hashed; a negative size says hashed
            int64_t index = size > 0 ? code : (code * 2654435761 >> 16) % -size;
            const float* more = m.ngrams.table[k] + index * m.width;
            for (int64_t i = 0; i < m.width; i++) x[i] += more[i];
        }
    }
}

// silu of the convolution of `channels` inputs at `offset` of projected, the team's share of them -> convolved
void convolve(const Model& m, const Layer& layer, const Draws& d, int64_t channels, int64_t offset, Range rows,
              const Team& team) {
    const int64_t before = m.taps - 1;
    Range blocks = share(divided_up(channels, LANES), team);
    for (int64_t r = rows.first; r < rows.stop; r++) {
        float* history = layer.conv + d.slot[r] * before * channels;
        for (int64_t c = blocks.first * LANES; c < blocks.stop * LANES; c += LANES) {
            int count = channels - c < LANES ? (int)(channels - c) : LANES;
            Vector input = load(m.projected + r * m.line + offset + c);
            Vector out = load(layer.conv_bias, FLOAT32, c, count);
            for (int64_t k = 0; k < before; k++) {
                Vector past = load(history, FLOAT32, k * channels + c, count);
                out += load(layer.conv_weight, FLOAT32, k * channels + c, count) * past;
                if (k) store(history, FLOAT32, (k - 1) * channels + c, past, count);
            }
            out += load(layer.conv_weight, FLOAT32, before * channels + c, count) * input;
            if (before) store(history, FLOAT32, (before - 1) * channels + c, input, count);
            store(m.convolved + r * m.line + c, out * sigmoid(out));
        }
    }
}

void mamba1(const Model& m, const Layer& layer, const Draws& d, Range rows, const Team& team) {
    const int64_t line = m.line, N = m.states1, n_blocks = divided_up(m.inner, LANES);
    float* scale = m.scratch + team.thread * m.scratch_line;
    inverse_rms(m.x, line, rows, m.width, m.eps, scale);
    multiply<STORE>(m.x, line, rows, layer.in, scale, m.projected, line, team);  // [x, z]
    team.sync();
    convolve(m, layer, d, m.inner, 0, rows, team);
    team.sync();
    multiply<STORE>(m.convolved, line, rows, layer.x_proj, nullptr, m.low_rank, line, team);  // [dt, B, C]
    team.sync();
    multiply<STORE>(m.low_rank, line, rows, layer.dt_proj, nullptr, m.steps, line, team);
    Range panels = share(layer.dt_proj.n_panels(), team);
    for (int64_t r = rows.first; r < rows.stop; r++) {
        const float *B = m.low_rank + r * line + m.rank, *C = B + N;
        float* states = layer.ssm + d.slot[r] * n_blocks * N * LANES;
        for (int64_t b = 2 * panels.first; b < smaller(2 * panels.stop, n_blocks); b++) {
            const int64_t c = b * LANES;
            int count = m.inner - c < LANES ? (int)(m.inner - c) : LANES;
            Vector u = load(m.convolved + r * line + c), y = load(layer.skip, FLOAT32, c, count) * u;
            Vector step = softplus(load(m.steps + r * line + c) + load(layer.dt_bias, FLOAT32, c, count));
            Vector input = step * u;
            float* state = states + b * N * LANES;
            const float* decay = layer.decay + b * N * LANES;
            for (int64_t n = 0; n < N; n++) {
                Vector h = exp2(step * load(decay + n * LANES)) * load(state + n * LANES) + input * B[n];
                store(state + n * LANES, h);
                y += h * C[n];
            }
            Vector z = load(m.projected + r * line + m.inner + c);
            store(m.mixed + r * line + c, y * (z * sigmoid(z)));
        }
    }
    team.sync();
    multiply<ADD>(m.mixed, line, rows, layer.out, nullptr, m.x, line, team);
    team.sync();
}

void mamba2(const Model& m, const Layer& layer, const Draws& d, Range rows, const Team& team) {
    const int64_t line = m.line, N = m.states2, group = m.inner / m.groups2, headdim = m.inner / m.heads2;
    const int64_t n_blocks = divided_up(group, LANES);  // of a group
    float* scale = m.scratch + team.thread * m.scratch_line;
    inverse_rms(m.x, line, rows, m.width, m.eps, scale);
    multiply<STORE>(m.x, line, rows, layer.in, scale, m.projected, line, team);  // [z, x, B, C, dt]
    team.sync();
    convolve(m, layer, d, m.channels2, m.inner, rows, team);
    team.sync();
    Range blocks = share(m.groups2 * n_blocks, team);
    for (int64_t r = rows.first; r < rows.stop; r++) {
        const float *convolved = m.convolved + r * line, *projected = m.projected + r * line;
        const float* dt = projected + m.inner + m.channels2;
        float* states = layer.ssm + d.slot[r] * m.groups2 * n_blocks * N * LANES;
        for (int64_t b = blocks.first; b < blocks.stop; b++) {
            const int64_t g = b / n_blocks, c = g * group + b % n_blocks * LANES;
            const float *B = convolved + m.inner + g * N, *C = B + m.groups2 * N;
            int count = (g + 1) * group - c < LANES ? (int)((g + 1) * group - c) : LANES;
            float of_head[3][LANES] = {};
            for (int i = 0; i < count; i++) {
                int64_t h = (c + i) / headdim;
                of_head[0][i] = dt[h] + layer.dt_bias[h];
                of_head[1][i] = layer.decay[h];
                of_head[2][i] = layer.skip[h];
            }
            Vector step = softplus(load(of_head[0])), decay = exp2(step * load(of_head[1]));
            Vector u = load(convolved, FLOAT32, c, count), input = step * u, y = load(of_head[2]) * u;
            float* state = states + b * N * LANES;
            for (int64_t n = 0; n < N; n++) {
                Vector h = decay * load(state + n * LANES) + input * B[n];
                store(state + n * LANES, h);
                y += h * C[n];
            }
            Vector z = load(projected, FLOAT32, c, count);
            store(m.mixed + r * line, FLOAT32, c, y * (z * sigmoid(z)), count);
        }
    }
    team.sync();
    for (int64_t g = 0; g < m.groups2; g++) {  // the norm is over a group, so each group's columns have a scale
        Matrix part = {layer.out.panels + g * layer.out.n_panels() * group * PANEL, m.width, group};
        inverse_rms(m.mixed + g * group, line, rows, group, m.gated_eps, scale);
        multiply<ADD>(m.mixed + g * group, line, rows, part, scale, m.x, line, team);
    }
    team.sync();
}

void attention(const Model& m, const Layer& layer, const Draws& d, Range rows, const Team& team) {
    const int64_t line = m.line, C = m.channels, G = m.key_heads, group = m.heads / G;
    const int64_t padded = divided_up(C, LANES) * LANES, places = divided_up(m.room, LANES) * LANES;
    float *scale = m.scratch + team.thread * m.scratch_line, *scores = scale;
    inverse_rms(m.x, line, rows, m.width, m.eps, scale);
    multiply<STORE>(m.x, line, rows, layer.in, scale, m.projected, line, team);  // [q, k, v]
    team.sync();
    Range heads = share(G, team);
    for (int64_t r = rows.first; r < rows.stop; r++) {
        const int64_t slot = d.slot[r], seen = d.position[slot] - d.origin[slot], place = seen % m.room;
        const float* rotation = m.rotation + seen * 2 * C;
        for (int64_t g = heads.first; g < heads.stop; g++) {
            const float *k = m.projected + r * line + (m.heads + g) * C, *v = k + G * C;
            float* keys = layer.keys + (slot * G + g) * places * padded;
            float* values = layer.values + (slot * G + g) * places * padded;
            norm_and_rotate(k, layer.qk_norm ? layer.qk_norm + C : nullptr, rotation, C, m.eps, keys + place * padded);
            memcpy(values + place * padded, v, C * sizeof(float));
            float* query = m.convolved + r * line + g * padded;
            const bool last = g + 1 == heads.stop;  // of this row
            const int64_t next_slot = last && r + 1 < rows.stop ? d.slot[r + 1] : slot;
            const float* next = layer.keys + (next_slot * G + (last ? heads.first : g + 1)) * places * padded;
            for (int64_t h = g * group; h < (g + 1) * group; h++) {
                norm_and_rotate(m.projected + r * line + h * C, layer.qk_norm, rotation, C, m.eps, query);
                attend(query, keys, values, smaller(seen + 1, m.room), C, scores, m.mixed + r * line + h * C, next);
            }
        }
    }
    team.sync();
    multiply<ADD>(m.mixed, line, rows, layer.out, nullptr, m.x, line, team);
    team.sync();
    inverse_rms(m.x, line, rows, m.width, m.eps, scale);
    multiply<SWIGLU>(m.x, line, rows, layer.fc1, scale, m.mixed, line, team);
    team.sync();
    multiply<ADD>(m.mixed, line, rows, layer.fc2, nullptr, m.x, line, team);
    team.sync();
}

// The token at the row's position: that of its prefix, or one that is drawn.
void take(const Model& m, const Draws& d, int64_t row, const Team& team) {
    const int64_t slot = d.slot[row], at = d.position[slot]++, cell = slot * d.length + at;
    if (at >= d.prefix[slot]) {
        float* own = m.scratch + team.thread * m.scratch_line;
        float* weights = own + divided_up(m.vocabulary, LANES) * LANES;
        Drawn drawn = draw(m.logits + row * m.logits_line, m.vocabulary, at < d.min_length ? d.banned_early : d.banned,
                           d.allowed ? d.allowed + row * m.vocabulary : nullptr, d.sampling, d.uniforms[cell], own, weights);
        if (drawn.symbol < 0) {
            d.ended[slot] = NOTHING_ALLOWED;
            return;
        }
        d.tokens[cell] = drawn.symbol;
        d.nats[cell] = drawn.nats;
        d.masked[cell] = drawn.masked;
    }
    if (d.tokens[cell] == EOS && at >= d.prefix[slot])
        d.ended[slot] = FINISHED;
    else if (at + 1 == d.length)
        d.ended[slot] = FULL;
}

Range own_rows(Range rows, const Team& team) {
    Range part = share(rows.stop - rows.first, team);
    return {rows.first + part.first, rows.first + part.stop};
}

// x of `rows` through all layers; then scale has what the norm after them divides by
float* through_layers(const Model& m, const Draws& d, Range rows, const Team& team) {
    for (int64_t i = 0; i < m.layers; i++) {
        const Layer& layer = m.layer[i];
        (layer.kind == 'A' ? attention : layer.kind == 'M' ? mamba1 : mamba2)(m, layer, d, rows, team);
    }
    float* scale = m.scratch + team.thread * m.scratch_line;
    inverse_rms(m.x, m.line, rows, m.width, m.eps, scale);
    return scale;
}

// One token for `rows`; whether one of those this thread drew has ended.
bool step(const Model& m, const Draws& d, Range rows, const Team& team) {
    const Range own = own_rows(rows, team);
    for (int64_t r = own.first; r < own.stop; r++) embed(m, d, r, m.x + r * m.line);
    team.sync();
    const float* scale = through_layers(m, d, rows, team);
    multiply<STORE>(m.x, m.line, rows, m.readout, scale, m.logits, m.logits_line, team);
    team.sync();
    bool ended = false;
    for (int64_t r = own.first; r < own.stop; r++) {
        take(m, d, r, team);
        ended |= d.ended[d.slot[r]] != LIVE;
    }
    return ended;
}

// work(rows, team, all threads) on every thread
template <class Work>
void share_rows(const Model& m, int64_t n, Work work) {
    // Sharing a row's work takes five barriers a layer, and a thread that others keep from running stops all at each.
    const bool by_rows = !m.large || n >= 2 * m.threads;
#pragma omp parallel num_threads((int)(by_rows ? smaller(m.threads, n) : m.threads))
    {
        const int thread = omp_get_thread_num(), threads = omp_get_num_threads();
        const Team all = {thread, threads, thread}, team = by_rows ? Team{0, 1, thread} : all;
        work(by_rows ? share(n, all) : Range{0, n}, team, all);
    }
}

}  // namespace

extern "C" int64_t foretell_lanes() { return LANES; }

// At most `steps` tokens for every row, until one of them has ended; returns how many.
extern "C" int64_t foretell_decode(const Model* model, const Draws* draws, int64_t steps) {
    const Model& m = *model;
    const Draws& d = *draws;
    int64_t done = 0;
    std::atomic<bool> over[2] = {};
    share_rows(m, d.rows, [&](Range rows, const Team& team, const Team& all) {
        for (int64_t s = 0; s < steps; s++) {
            if (step(m, d, rows, team)) over[s % 2] = true;  // two flags: a thread may be a step ahead of another's look
            all.sync();
            if (all.rank == 0) done = s + 1;
            if (over[s % 2]) break;
        }
    });
    return done;
}

// Embedded rows x (rows, width) one token further -> hidden (rows, width), after the final norm. Of `draws` only rows,
// slot, position and origin are looked at, and nothing is written there.
extern "C" void foretell_advance(const Model* model, const Draws* draws, const float* x, float* hidden) {
    const Model& m = *model;
    share_rows(m, draws->rows, [&](Range rows, const Team& team, const Team&) {
        const Range own = own_rows(rows, team);
        for (int64_t r = own.first; r < own.stop; r++) memcpy(m.x + r * m.line, x + r * m.width, m.width * sizeof(float));
        team.sync();
        const float* scale = through_layers(m, *draws, rows, team);
        for (int64_t r = own.first; r < own.stop; r++)
            for (int64_t i = 0; i < m.width; i++) hidden[r * m.width + i] = m.x[r * m.line + i] * scale[r] * m.norm_f[i];
    });
}

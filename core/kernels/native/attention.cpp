// Causal attention of fused projections, forward and backward: RMSNorm of queries and keys, rotation, softmax, values.
//
//   qkv (B, T, H + 2G, C) -> y (B, T, H, C), and per query the base-2 logarithm of its softmax's denominator
//
// One task is a row of the batch and a key head: its keys and values are normed, turned and packed once, and tiles of
// 64 queries meet tiles of 64 keys, so that scores never leave the cache (arXiv 2205.14135). The backward makes them
// again. Sums are float32, scores in units of log 2. Nothing depends on the number of threads.
#include <cmath>

#include "heads.h"

// --- scores ---------------------------------------------------------------------------------------------------------

// Keys of tile j that row r of query tile i has scores for.
INLINE int64_t columns(int64_t i, int64_t j, int64_t r) { return i == j ? r / STRIP * STRIP + STRIP : TILE; }

// rows (live, n) times columns (n, TILE); on the diagonal only strips up to it are made.
template <typename Unit>
static void tile_products(const Attention& s, int64_t i, int64_t j, const Unit* rows, const Unit* right, float* out) {
    int64_t units = s.padded() / Of<Unit>::elements, live = s.live(i * TILE), strip = i == j ? STRIP : live;
    for (int64_t r = 0; r < live; r += strip)
        product(rows + r * units, units, 1, right, TILE, out + r * TILE, TILE, strip, i == j ? r + strip : TILE, units,
                false);
}

// Scores of a tile's live queries and TILE keys, -inf where hidden.
template <typename Unit>
static void tile_scores(const Attention& s, int64_t i, int64_t j, const Unit* queries, const Unit* keys,
                        float* scores) {
    tile_products(s, i, j, queries, keys, scores);
    if (i != j && !(s.window && (i - j + 1) * TILE > s.window)) return;
    for (int64_t r = 0; r < s.live(i * TILE); r++) {
        int64_t last = (i - j) * TILE + r, first = s.window ? last - s.window + 1 : 0;
        for (int64_t c = 0; c < columns(i, j, r); c++)
            if (c > last || c < first) scores[r * TILE + c] = -__builtin_inff();
    }
}

// out (live, n) += p (live, TILE) tokens (TILE, n), where p is 0 above the diagonal if there is one.
static void add_weighted(const float* p, const float* tokens, int64_t live, int64_t n, bool diagonal, float* out) {
    if (!diagonal) return product(p, TILE, 1, tokens, n, out, n, live, n, TILE, true);
    for (int64_t r = 0; r < live; r += STRIP)
        product(p + r * TILE, TILE, 1, tokens, n, out + r * n, n, STRIP, n, r + STRIP, true);
}

static void add_weighted(const Pair* p, const Pair* tokens, int64_t live, int64_t n, bool diagonal, float* out) {
    if (!diagonal) return product(p, TILE / 2, 1, tokens, n, out, n, live, n, TILE / 2, true);
    for (int64_t r = 0; r < live; r += STRIP)
        product(p + r * TILE / 2, TILE / 2, 1, tokens, n, out + r * n, n, STRIP, n, (r + STRIP) / 2, true);
}

// out (TILE, n) += p^T (TILE, live) tokens (live, n), contracted over queries; p in units along queries, (units, TILE).
template <typename Unit>
static void add_transposed(const Unit* p, const Unit* tokens, int64_t live, int64_t n, bool diagonal, float* out) {
    const int64_t e = Of<Unit>::elements;
    if (!diagonal) return product(p, 1, TILE, tokens, n, out, n, TILE, n, live / e, true);
    for (int64_t r = 0; r < live; r += STRIP)
        product(p + r / e * TILE + r, 1, TILE, tokens + r / e * n, n, out + r * n, n, STRIP, n, (live - r) / e, true);
}

// Two rows of probabilities as a left operand contracted over keys, and as one contracted over queries (or null).
INLINE void write_pair(float* rows, float* queries, int64_t r, int64_t c, Vector a, Vector b) {
    (void)queries;  // the same numbers, read along the other axis
    store(rows + r * TILE + c, a);
    store(rows + (r + 1) * TILE + c, b);
}

INLINE void write_pair(Pair* rows, Pair* queries, int64_t r, int64_t c, Vector a, Vector b) {
    Halves low = brief(a), high = brief(b);
    memcpy((uint16_t*)rows + r * TILE + c, &low, sizeof low);
    memcpy((uint16_t*)rows + (r + 1) * TILE + c, &high, sizeof high);
    if (queries) {
        Bits both = paired(low, high);
        memcpy(queries + r / 2 * TILE + c, &both, sizeof both);
    }
}

// --- forward --------------------------------------------------------------------------------------------------------

template <typename Unit> struct ForwardSpace {
    Unit *keys, *values, *queries, *p;
    float *tile, *scores, *out, *most, *next;
    Vector* total;

    static size_t bytes(const Attention& s) {
        int64_t tile = TILE * s.padded() * 4;
        return (size_t)((2 * s.tiles() + 3) * tile + 2 * TILE * TILE * 4 + TILE * (8 + 4 * LANES) + 1024);
    }
    ForwardSpace(const Attention& s, Arena& arena) {
        int64_t n = TILE * s.padded(), units = n / Of<Unit>::elements;
        keys = arena.take<Unit>(s.tiles() * units), values = arena.take<Unit>(s.tiles() * units);
        queries = arena.take<Unit>(units), p = arena.take<Unit>(TILE * TILE / Of<Unit>::elements);
        tile = arena.take<float>(n), out = arena.take<float>(n), scores = arena.take<float>(TILE * TILE);
        most = arena.take<float>(TILE), next = arena.take<float>(TILE), total = arena.take<Vector>(TILE);
    }
};

// One more tile of keys for a tile of queries: the largest score so far, the sum and the weighted values follow it.
template <typename Unit> static void accumulate(const Attention& s, ForwardSpace<Unit>& w, int64_t i, int64_t j) {
    int64_t n = s.padded(), units = TILE * n / Of<Unit>::elements, live = s.live(i * TILE);
    tile_scores(s, i, j, w.queries, w.keys + j * units, w.scores);
    for (int64_t r = 0; r < live; r++) {
        Vector most = splat(w.most[r]);
        for (int64_t c = 0; c < columns(i, j, r); c += LANES) {
            Vector x = load(w.scores + r * TILE + c);
            most = x > most ? x : most;
        }
        w.next[r] = largest(most);
    }
    for (int64_t r = 0; r < live; r += LANES) {
        Vector next = load(w.next + r), shrink = exp2(load(w.most + r) - next);
        store(w.most + r, next);
        store(w.next + r, shrink);
    }
    for (int64_t r = 0; r < live; r += 2) {
        Vector sums[2] = {w.total[r] * w.next[r], w.total[r + 1] * w.next[r + 1]};
        for (int64_t c = 0; c < columns(i, j, r); c += LANES) {
            Vector a = exp2(load(w.scores + r * TILE + c) - w.most[r]);
            Vector b = exp2(load(w.scores + (r + 1) * TILE + c) - w.most[r + 1]);
            sums[0] += a, sums[1] += b;
            write_pair(w.p, (Unit*)nullptr, r, c, a, b);
        }
        for (int64_t k = 0; k < 2; k++) {
            w.total[r + k] = sums[k];
            if (w.next[r + k] != 1.0f)
                for (int64_t c = 0; c < n; c += LANES)
                    store(w.out + (r + k) * n + c, load(w.out + (r + k) * n + c) * w.next[r + k]);
        }
    }
    add_weighted(w.p, w.values + j * units, live, n, i == j, w.out);
}

template <typename Unit>
static void forward_task(const Attention& s, ForwardSpace<Unit>& w, int64_t b, int64_t g) {
    int64_t n = s.padded(), units = TILE * n / Of<Unit>::elements, shared = s.heads / s.groups;
    for (int64_t j = 0; j < s.tiles(); j++) {
        int64_t live = s.live(j * TILE);
        read_tile(s, b, j * TILE, s.heads + g, false, s.k_weight, 1.0f, w.tile);
        pack_columns(w.tile, live, n, w.keys + j * units);
        read_tile(s, b, j * TILE, s.heads + s.groups + g, true, nullptr, 1.0f, w.tile);
        pack_tokens(w.tile, live, n, w.values + j * units);
    }
    for (int64_t h = g * shared; h < (g + 1) * shared; h++)
        for (int64_t i = 0; i < s.tiles(); i++) {
            int64_t live = s.live(i * TILE);
            read_tile(s, b, i * TILE, h, false, s.q_weight, s.score_factor(), w.tile);
            pack_rows(w.tile, live, n, w.queries);
            memset(w.out, 0, sizeof(float) * (size_t)(live * n));
            for (int64_t r = 0; r < live; r++) w.most[r] = -1e30f, w.total[r] = Vector{};
            for (int64_t j = s.first_tile(i); j <= i; j++) accumulate(s, w, i, j);
            for (int64_t r = 0; r < TILE && i * TILE + r < s.length; r++) {
                int64_t t = i * TILE + r, at = ((b * s.length + t) * s.heads + h) * s.channels;
                float total = sum(w.total[r]), share = 1.0f / total;
                for (int64_t c = 0; c < s.channels; c += LANES)
                    store(s.y, s.dtype, at + c, load(w.out + r * n + c) * share, s.lanes(c));
                s.logs[(b * s.heads + h) * s.length + t] = w.most[r] + log2f(total);
            }
        }
}

// --- backward -------------------------------------------------------------------------------------------------------

template <typename Unit> struct BackwardSpace {
    Unit *keys, *values, *key_tokens, *queries, *query_tokens, *grads, *grad_tokens;
    Unit *p, *p_queries, *ds, *ds_queries;
    float *dkeys, *dvalues, *dqueries, *tile, *scores, *dp, *logs, *along;

    static size_t bytes(const Attention& s) {
        int64_t tile = TILE * s.padded() * 4;
        return (size_t)((5 * s.tiles() + 6) * tile + 6 * TILE * TILE * 4 + TILE * 8 + 2048);
    }
    BackwardSpace(const Attention& s, Arena& arena) {
        const int64_t e = Of<Unit>::elements, n = TILE * s.padded(), units = n / e, squares = TILE * TILE;
        for (Unit** all : {&keys, &values, &key_tokens}) *all = arena.take<Unit>(s.tiles() * units);
        for (Unit** one : {&queries, &query_tokens, &grads, &grad_tokens}) *one = arena.take<Unit>(units);
        for (Unit** both : {&p, &ds}) *both = arena.take<Unit>(squares / e);
        p_queries = e == 1 ? p : arena.take<Unit>(squares / e);
        ds_queries = e == 1 ? ds : arena.take<Unit>(squares / e);
        dkeys = arena.take<float>(s.tiles() * n), dvalues = arena.take<float>(s.tiles() * n);
        dqueries = arena.take<float>(n), tile = arena.take<float>(n);
        scores = arena.take<float>(squares), dp = arena.take<float>(squares);
        logs = arena.take<float>(TILE), along = arena.take<float>(TILE);
    }
};

// The gradient of y for a tile of queries, packed both ways, and along = sum_c dy y, which is sum_j dp p.
template <typename Unit>
static void read_gradients(const Attention& s, BackwardSpace<Unit>& w, int64_t b, int64_t i, int64_t h) {
    int64_t n = s.padded(), live = s.live(i * TILE);
    for (int64_t r = 0; r < live; r++) {
        int64_t t = i * TILE + r, at = ((b * s.length + t) * s.heads + h) * s.channels;
        bool real = t < s.length;
        if (t + AHEAD < s.length) {
            prefetch_row(s, s.dy, at + AHEAD * s.heads * s.channels, s.channels);
            prefetch_row(s, s.y, at + AHEAD * s.heads * s.channels, s.channels);
        }
        Vector along = {};
        for (int64_t c = 0; c < n; c += LANES) {
            int lanes = real ? s.lanes(c) : 0;
            Vector g = load(s.dy, s.dtype, real ? at + c : 0, lanes);
            along += g * load(s.y, s.dtype, real ? at + c : 0, lanes);
            store(w.tile + r * n + c, g);
        }
        w.along[r] = sum(along);
        w.logs[r] = real ? s.logs[(b * s.heads + h) * s.length + t] : 1e30f;  // the probabilities of no token are 0
    }
    pack_rows(w.tile, live, n, w.grads);
    pack_tokens(w.tile, live, n, w.grad_tokens);
}

template <typename Unit>
static void accumulate_gradients(const Attention& s, BackwardSpace<Unit>& w, int64_t i, int64_t j) {
    int64_t n = s.padded(), units = TILE * n / Of<Unit>::elements, live = s.live(i * TILE);
    bool diagonal = i == j;
    tile_scores(s, i, j, w.queries, w.keys + j * units, w.scores);
    tile_products(s, i, j, w.grads, w.values + j * units, w.dp);
    for (int64_t r = 0; r < live; r += 2)
        for (int64_t c = 0; c < columns(i, j, r); c += LANES) {
            Vector p[2], ds[2];
            for (int64_t k = 0; k < 2; k++) {
                int64_t at = (r + k) * TILE + c;
                p[k] = exp2(load(w.scores + at) - w.logs[r + k]);
                ds[k] = p[k] * (load(w.dp + at) - w.along[r + k]);
            }
            write_pair(w.p, w.p_queries, r, c, p[0], p[1]);
            write_pair(w.ds, w.ds_queries, r, c, ds[0], ds[1]);
        }
    add_transposed(w.p_queries, w.grad_tokens, live, n, diagonal, w.dvalues + j * TILE * n);
    add_transposed(w.ds_queries, w.query_tokens, live, n, diagonal, w.dkeys + j * TILE * n);
    add_weighted(w.ds, w.key_tokens + j * units, live, n, diagonal, w.dqueries);
}

template <typename Unit>
static void backward_task(const Attention& s, BackwardSpace<Unit>& w, int64_t b, int64_t g) {
    int64_t n = s.padded(), units = TILE * n / Of<Unit>::elements, shared = s.heads / s.groups;
    float *dq_weight = s.dq_weight + (b * s.groups + g) * s.channels;
    float *dk_weight = s.dk_weight + (b * s.groups + g) * s.channels;
    for (int64_t j = 0; j < s.tiles(); j++) {
        int64_t live = s.live(j * TILE);
        read_tile(s, b, j * TILE, s.heads + g, false, s.k_weight, 1.0f, w.tile);
        pack_columns(w.tile, live, n, w.keys + j * units);
        pack_tokens(w.tile, live, n, w.key_tokens + j * units);
        read_tile(s, b, j * TILE, s.heads + s.groups + g, true, nullptr, 1.0f, w.tile);
        pack_columns(w.tile, live, n, w.values + j * units);
    }
    memset(w.dkeys, 0, sizeof(float) * (size_t)(s.tiles() * TILE * n));
    memset(w.dvalues, 0, sizeof(float) * (size_t)(s.tiles() * TILE * n));
    for (int64_t h = g * shared; h < (g + 1) * shared; h++)
        for (int64_t i = 0; i < s.tiles(); i++) {
            int64_t live = s.live(i * TILE);
            read_gradients(s, w, b, i, h);
            read_tile(s, b, i * TILE, h, false, s.q_weight, s.score_factor(), w.tile);
            pack_rows(w.tile, live, n, w.queries);
            pack_tokens(w.tile, live, n, w.query_tokens);
            memset(w.dqueries, 0, sizeof(float) * (size_t)(live * n));
            for (int64_t j = s.first_tile(i); j <= i; j++) accumulate_gradients(s, w, i, j);
            write_gradients(s, b, i * TILE, h, s.q_weight, s.score_factor() * LN2, w.dqueries, w.tile, dq_weight);
        }
    for (int64_t j = 0; j < s.tiles(); j++) {
        write_gradients(s, b, j * TILE, s.heads + g, s.k_weight, LN2, w.dkeys + j * TILE * n, w.tile, dk_weight);
        for (int64_t r = 0; r < TILE && j * TILE + r < s.length; r++)
            for (int64_t c = 0; c < s.channels; c += LANES)
                store(s.dqkv, s.dtype, s.at(b, j * TILE + r, s.heads + s.groups + g) + c,
                      load(w.dvalues + (j * TILE + r) * n + c), s.lanes(c));
    }
}

// --- entries --------------------------------------------------------------------------------------------------------

template <typename Space, typename Task> static void each_task(const Attention& s, Task task) {
    #pragma omp parallel num_threads((int)s.threads)
    {
        Arena arena(Space::bytes(s));
        Space space(s, arena);
        #pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < s.batch * s.groups; i++) task(s, space, i / s.groups, i % s.groups);
    }
}

extern "C" void foretell_attention_forward(const Attention* s) {
    if (HAS_PAIRS && s->dtype == BFLOAT16) each_task<ForwardSpace<Pair>>(*s, forward_task<Pair>);
    else each_task<ForwardSpace<float>>(*s, forward_task<float>);
}

extern "C" void foretell_attention_backward(const Attention* s) {
    if (HAS_PAIRS && s->dtype == BFLOAT16) each_task<BackwardSpace<Pair>>(*s, backward_task<Pair>);
    else each_task<BackwardSpace<float>>(*s, backward_task<float>);
}

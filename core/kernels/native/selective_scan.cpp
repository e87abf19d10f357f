// The selective scan of Mamba-1, forward and backward:
//
//     dt = softplus(delta + bias)    h[t] = exp(dt A) h[t-1] + dt u B    y = (h . C + D u) silu(z)
//
// Vectors run over channels; a row's group of channels is one piece of work, so that no result depends on the number of
// threads. The forward keeps the states at the borders of chunks; the backward computes those inside a chunk again.
// States are taken in tiles of 16, 8, 4, 2 and 1, each unrolled into registers.
#include "vector.h"

namespace {

const int CHUNK = 32;
const float LOG2E = 1.44269504f, LN2 = 0.693147181f;

struct Scan {
    int64_t batch, length, channels, states, group, threads;
    int64_t softplus;        // whether delta stands before softplus
    Rows u, delta, B, C, z;  // z may be absent
    const float *A, *D, *bias, *initial;  // (channels, states), (channels), (channels), (batch, channels, states)
    const uint8_t* starts;                // (batch, length): a document starts here
    const int64_t* ends;                  // (batch): tokens before the padding
    Rows y;
    float *final, *borders;  // (batch, channels, states); (batch, chunks, states, channels)

    Rows dy;
    const float* dfinal;  // (batch, channels, states)
    Rows du, ddelta, dB, dC, dz;
    float *parts_B, *parts_C;            // (groups, batch, length, states), sums over the channels of a group
    float *dA, *dD, *dbias, *dinitial;   // each with batch as its first axis; null where nobody wants it
    float* scratch;                      // (threads, scratch_size)
};

int64_t chunks_of(const Scan& s) { return divided_up(s.length, CHUNK); }

// Floats per thread: A, its gradient and the carried states of a group; B and C of a chunk, their gradients by lane;
// the states at the chunk's border.
int64_t scratch_size(const Scan& s) {
    int64_t vectors = s.group / LANES;
    return s.states * (2 * CHUNK + 2 * CHUNK * LANES + 3 * vectors * LANES + LANES);
}

void widen_chunk(const Rows& from, int64_t b, int64_t first, int tokens, int64_t states, float* to) {
    for (int t = 0; t < tokens; t++)
        for (int64_t n = 0; n < states; n += LANES) {
            int count = (int)smaller(LANES, states - n);
            store(to, FLOAT32, t * states + n, from.get(b, first + t, n, count), count);
        }
}

// One vector of channels through one chunk.
struct Piece {
    int tokens;
    int64_t states;
    const float *B, *C;    // (tokens, states)
    const uint8_t* starts;  // (tokens) or null
    Vector u[CHUNK], dt[CHUNK], input[CHUNK], y[CHUNK];
    Vector slope[CHUNK], dout[CHUNK], z[CHUNK], gate[CHUNK];  // d dt / d delta, gradient of the result, sigmoid(z)
    Vector dy[CHUNK], ddt[CHUNK], dinput[CHUNK];
};

// Reads the chunk, and asks for the one that comes next, `ahead` tokens away.
template <bool WHOLE, bool BACKWARD>
INLINE void prepare(const Scan& s, Piece& p, int64_t b, int64_t first, int64_t d, int count) {
    if (WHOLE) count = LANES;
    const int64_t end = s.ends ? s.ends[b] : s.length, ahead = BACKWARD ? -CHUNK : CHUNK;
    const Vector bias = s.bias ? load(s.bias, FLOAT32, d, count) : Vector{};
    for (int64_t t = 0; t < p.tokens; t++) {
        const int64_t at = first + t;
        s.u.fetch(b, at + ahead, d);
        s.delta.fetch(b, at + ahead, d);
        Vector u = s.u.get(b, at, d, count), dt = s.delta.get(b, at, d, count) + bias;
        if (s.softplus) {
            Vector e = exponential(dt < 0.0f ? dt : -dt);
            if (BACKWARD) p.slope[t] = (dt < 0.0f ? e : splat(1.0f)) * reciprocal(1.0f + e);
            dt = (dt < 0.0f ? splat(0.0f) : dt) + log1p(e);
        } else if (BACKWARD) {
            p.slope[t] = splat(1.0f);
        }
        if (at >= end) dt = p.slope[t] = Vector{};  // padding does not move the state
        p.u[t] = u;
        p.dt[t] = dt;
        p.input[t] = at >= end ? Vector{} : dt * u;
        p.y[t] = Vector{};
        if (BACKWARD) {
            s.dy.fetch(b, at + ahead, d);
            p.dout[t] = p.dy[t] = s.dy.get(b, at, d, count);
            p.ddt[t] = p.dinput[t] = Vector{};
            if (s.z.data) {
                s.z.fetch(b, at + ahead, d);
                p.z[t] = s.z.get(b, at, d, count);
                p.gate[t] = sigmoid(p.z[t]);
                p.dy[t] *= p.z[t] * p.gate[t];
            }
        }
    }
}

template <int S>
INLINE void forward_tile(Piece& p, int64_t n, const Vector* a, Vector* carried) {
    Vector h[S];
    for (int i = 0; i < S; i++) h[i] = carried[n + i];
    for (int t = 0; t < p.tokens; t++) {
        if (p.starts && p.starts[t])
            for (int i = 0; i < S; i++) h[i] = Vector{};
        const float *B = p.B + t * p.states + n, *C = p.C + t * p.states + n;
        Vector dt = p.dt[t], input = p.input[t], even = p.y[t], odd = {};
#pragma GCC unroll 16
        for (int i = 0; i < S; i++) {
            h[i] = exp2(dt * a[n + i]) * h[i] + input * B[i];
            (i % 2 ? odd : even) += h[i] * C[i];
        }
        p.y[t] = even + odd;
    }
    for (int i = 0; i < S; i++) carried[n + i] = h[i];
}

template <int S, bool BY_A>
INLINE void backward_tile(Piece& p, int64_t n, const Vector* a, const Vector* border, Vector* carried, Vector* dA,
                          Vector* __restrict dB, Vector* __restrict dC) {
    Vector decays[CHUNK][S], products[CHUNK][S], h[S];
    for (int i = 0; i < S; i++) h[i] = border[n + i];
    for (int t = 0; t < p.tokens; t++) {
        if (p.starts && p.starts[t])
            for (int i = 0; i < S; i++) h[i] = Vector{};
        const float *B = p.B + t * p.states + n, *C = p.C + t * p.states + n;
        Vector dt = p.dt[t], input = p.input[t], even = p.y[t], odd = {};
#pragma GCC unroll 16
        for (int i = 0; i < S; i++) {
            Vector decay = exp2(dt * a[n + i]), product = decay * h[i];
            decays[t][i] = decay;
            products[t][i] = product;
            h[i] = product + input * B[i];
            (i % 2 ? odd : even) += h[i] * C[i];
        }
        p.y[t] = even + odd;
    }
    Vector g[S], da[S] = {};
    for (int i = 0; i < S; i++) g[i] = carried[n + i];
    for (int t = p.tokens - 1; t >= 0; t--) {
        if (p.starts && t + 1 < p.tokens && p.starts[t + 1])  // what follows is another document
            for (int i = 0; i < S; i++) g[i] = Vector{};
        const float *B = p.B + t * p.states + n, *C = p.C + t * p.states + n;
        Vector *db = dB + t * p.states + n, *dc = dC + t * p.states + n;
        Vector dy = p.dy[t], dt = p.dt[t], input = p.input[t], ddt = p.ddt[t], dinput = p.dinput[t];
#pragma GCC unroll 16
        for (int i = 0; i < S; i++) {
            Vector product = products[t][i], grad = g[i] + dy * C[i];
            dc[i] += (product + input * B[i]) * dy;
            db[i] += grad * input;
            dinput += grad * B[i];
            product *= grad;
            ddt += product * a[n + i];
            if (BY_A) da[i] += product * dt;
            g[i] = grad * decays[t][i];
        }
        p.ddt[t] = ddt;
        p.dinput[t] = dinput;
    }
    if (p.starts && p.starts[0])
        for (int i = 0; i < S; i++) g[i] = Vector{};
    for (int i = 0; i < S; i++) {
        carried[n + i] = g[i];
        if (BY_A) dA[n + i] += da[i];
    }
}

void forward_states(Piece& p, const Vector* a, Vector* h) {
    int64_t n = 0, end = p.states;
    for (; n + 16 <= end; n += 16) forward_tile<16>(p, n, a, h);
    if (n + 8 <= end) forward_tile<8>(p, n, a, h), n += 8;
    if (n + 4 <= end) forward_tile<4>(p, n, a, h), n += 4;
    if (n + 2 <= end) forward_tile<2>(p, n, a, h), n += 2;
    if (n < end) forward_tile<1>(p, n, a, h);
}

template <bool BY_A>
void backward_states(Piece& p, const Vector* a, const Vector* h, Vector* g, Vector* dA, Vector* dB, Vector* dC) {
    int64_t n = 0, end = p.states;
    for (; n + 16 <= end; n += 16) backward_tile<16, BY_A>(p, n, a, h, g, dA, dB, dC);
    if (n + 8 <= end) backward_tile<8, BY_A>(p, n, a, h, g, dA, dB, dC), n += 8;
    if (n + 4 <= end) backward_tile<4, BY_A>(p, n, a, h, g, dA, dB, dC), n += 4;
    if (n + 2 <= end) backward_tile<2, BY_A>(p, n, a, h, g, dA, dB, dC), n += 2;
    if (n < end) backward_tile<1, BY_A>(p, n, a, h, g, dA, dB, dC);
}

template <bool WHOLE>
INLINE void forward_outputs(const Scan& s, const Piece& p, int64_t b, int64_t first, int64_t d, int count) {
    if (WHOLE) count = LANES;
    const Vector skip = s.D ? load(s.D, FLOAT32, d, count) : Vector{};
    for (int64_t t = 0; t < p.tokens; t++) {
        Vector y = s.D ? p.y[t] + skip * p.u[t] : p.y[t];
        if (s.z.data) {
            s.z.fetch(b, first + t + CHUNK, d);
            Vector z = s.z.get(b, first + t, d, count);
            y *= z * sigmoid(z);
        }
        s.y.put(b, first + t, d, y, count);
    }
}

void forward_group(const Scan& s, int64_t b, int64_t group, Vector* scratch) {
    const int64_t begin = group * s.group, end = smaller(begin + s.group, s.channels), N = s.states;
    const int64_t vectors = divided_up(end - begin, LANES);
    Vector *a = scratch, *h = a + vectors * N;
    float *B = (float*)(h + vectors * N), *C = B + CHUNK * N;
    for (int64_t v = 0, d = begin; d < end; v++, d += LANES) {
        int count = (int)smaller(LANES, end - d);
        gather_channels(s.A + d * N, N, count, a + v * N, LOG2E);
        if (s.initial)
            gather_channels(s.initial + (b * s.channels + d) * N, N, count, h + v * N);
        else
            memset((void*)(h + v * N), 0, sizeof(Vector) * N);
    }
    Piece p;
    p.states = N, p.B = B, p.C = C;
    for (int64_t c = 0; c < chunks_of(s); c++) {
        const int64_t first = c * CHUNK;
        p.tokens = (int)smaller(CHUNK, s.length - first);
        p.starts = s.starts ? s.starts + b * s.length + first : nullptr;
        widen_chunk(s.B, b, first, p.tokens, N, B);
        widen_chunk(s.C, b, first, p.tokens, N, C);
        for (int64_t v = 0, d = begin; d < end; v++, d += LANES) {
            int count = (int)smaller(LANES, end - d);
            if (s.borders)
                for (int64_t n = 0; n < N; n++)
                    store(s.borders, FLOAT32, ((b * chunks_of(s) + c) * N + n) * s.channels + d, h[v * N + n], count);
            if (count == LANES)
                prepare<true, false>(s, p, b, first, d, count);
            else
                prepare<false, false>(s, p, b, first, d, count);
            forward_states(p, a + v * N, h + v * N);
            if (count == LANES)
                forward_outputs<true>(s, p, b, first, d, count);
            else
                forward_outputs<false>(s, p, b, first, d, count);
        }
    }
    for (int64_t v = 0, d = begin; s.final && d < end; v++, d += LANES)
        scatter_channels(h + v * N, N, (int)smaller(LANES, end - d), s.final + (b * s.channels + d) * N);
}

template <bool WHOLE>
INLINE void backward_inputs(const Scan& s, const Piece& p, int64_t b, int64_t first, int64_t d, int count, Vector& dD,
                            Vector& dbias) {
    if (WHOLE) count = LANES;
    const Vector skip = s.D ? load(s.D, FLOAT32, d, count) : Vector{};
    Vector sum_D = {}, sum_bias = {};
    for (int64_t t = 0; t < p.tokens; t++) {
        Vector u = p.u[t], dy = p.dy[t], dinput = p.dinput[t], y = p.y[t];
        Vector du = dinput * p.dt[t], ddelta = (p.ddt[t] * LN2 + dinput * u) * p.slope[t];
        if (s.D) {
            du += skip * dy;
            sum_D += u * dy;
            y += skip * u;
        }
        sum_bias += ddelta;
        s.du.put(b, first + t, d, du, count);
        s.ddelta.put(b, first + t, d, ddelta, count);
        if (s.z.data) {
            Vector gate = p.gate[t];
            s.dz.put(b, first + t, d, p.dout[t] * y * (gate + p.z[t] * gate * (1.0f - gate)), count);
        }
    }
    dD += sum_D;
    dbias += sum_bias;
}

void backward_group(const Scan& s, int64_t b, int64_t group, Vector* scratch) {
    const int64_t begin = group * s.group, end = smaller(begin + s.group, s.channels), N = s.states;
    const int64_t vectors = divided_up(end - begin, LANES);
    Vector *a = scratch, *g = a + vectors * N, *dA = g + vectors * N, *dB = dA + vectors * N, *dC = dB + CHUNK * N;
    Vector* border = dC + CHUNK * N;
    float *B = (float*)(border + N), *C = B + CHUNK * N;
    Vector dD[128 / LANES] = {}, dbias[128 / LANES] = {};
    for (int64_t v = 0, d = begin; d < end; v++, d += LANES) {
        int count = (int)smaller(LANES, end - d);
        gather_channels(s.A + d * N, N, count, a + v * N, LOG2E);
        memset((void*)(dA + v * N), 0, sizeof(Vector) * N);
        if (s.dfinal)
            gather_channels(s.dfinal + (b * s.channels + d) * N, N, count, g + v * N);
        else
            memset((void*)(g + v * N), 0, sizeof(Vector) * N);
    }
    Piece p;
    p.states = N, p.B = B, p.C = C;
    for (int64_t c = chunks_of(s) - 1; c >= 0; c--) {
        const int64_t first = c * CHUNK;
        p.tokens = (int)smaller(CHUNK, s.length - first);
        p.starts = s.starts ? s.starts + b * s.length + first : nullptr;
        widen_chunk(s.B, b, first, p.tokens, N, B);
        widen_chunk(s.C, b, first, p.tokens, N, C);
        memset((void*)dB, 0, sizeof(Vector) * 2 * CHUNK * N);
        for (int64_t v = 0, d = begin; d < end; v++, d += LANES) {
            int count = (int)smaller(LANES, end - d);
            for (int64_t n = 0; n < N; n++)
                border[n] = load(s.borders, FLOAT32, ((b * chunks_of(s) + c) * N + n) * s.channels + d, count);
            if (count == LANES)
                prepare<true, true>(s, p, b, first, d, count);
            else
                prepare<false, true>(s, p, b, first, d, count);
            const auto states = s.dA ? backward_states<true> : backward_states<false>;
            states(p, a + v * N, border, g + v * N, dA + v * N, dB, dC);
            if (count == LANES)
                backward_inputs<true>(s, p, b, first, d, count, dD[v], dbias[v]);
            else
                backward_inputs<false>(s, p, b, first, d, count, dD[v], dbias[v]);
        }
        const int64_t at = ((group * s.batch + b) * s.length + first) * N;
        sums(dB, p.tokens * N, s.parts_B + at);
        sums(dC, p.tokens * N, s.parts_C + at);
    }
    for (int64_t v = 0, d = begin; d < end; v++, d += LANES) {
        int count = (int)smaller(LANES, end - d);
        if (s.dA) scatter_channels(dA + v * N, N, count, s.dA + (b * s.channels + d) * N);
        if (s.dinitial) scatter_channels(g + v * N, N, count, s.dinitial + (b * s.channels + d) * N);
        if (s.dD) store(s.dD, FLOAT32, b * s.channels + d, dD[v], count);
        if (s.dbias) store(s.dbias, FLOAT32, b * s.channels + d, dbias[v], count);
    }
}

template <typename Work>
void for_each_group(const Scan& s, Work work) {
    const int64_t groups = divided_up(s.channels, s.group), pieces = s.batch * groups;
#pragma omp parallel for num_threads((int)s.threads) schedule(dynamic, 1) if (s.threads > 1 && pieces > 1)
    for (int64_t i = 0; i < pieces; i++)
        work(s, i / groups, i % groups, (Vector*)(s.scratch + omp_get_thread_num() * scratch_size(s)));
}

// Sums over groups, in their order.
void add_groups(const Scan& s, const float* parts, const Rows& to, int64_t b, int64_t t) {
    const int64_t groups = divided_up(s.channels, s.group), stride = s.batch * s.length * s.states;
    for (int64_t n = 0; n < s.states; n += LANES) {
        const int count = (int)smaller(LANES, s.states - n);
        const float* part = parts + (b * s.length + t) * s.states + n;
        Vector sum = load(part, FLOAT32, 0, count);
        for (int64_t g = 1; g < groups; g++) sum += load(part, FLOAT32, g * stride, count);
        to.put(b, t, n, sum, count);
    }
}

}  // namespace

extern "C" int64_t foretell_scan_chunk() { return CHUNK; }
extern "C" int64_t foretell_scan_scratch(const Scan* s) { return scratch_size(*s); }
extern "C" void foretell_scan_forward(const Scan* s) { for_each_group(*s, forward_group); }

extern "C" void foretell_scan_backward(const Scan* s) {
    for_each_group(*s, backward_group);
    const int64_t tokens = s->batch * s->length;
#pragma omp parallel for num_threads((int)s->threads) schedule(static) if (s->threads > 1 && tokens > 256)
    for (int64_t i = 0; i < tokens; i++) {
        add_groups(*s, s->parts_B, s->dB, i / s->length, i % s->length);
        add_groups(*s, s->parts_C, s->dC, i / s->length, i % s->length);
    }
}

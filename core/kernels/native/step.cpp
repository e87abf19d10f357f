// One token further for a batch of rows, in place: the recurrences of Mamba-1 and Mamba-2 and the short convolution.
//
// The states of a channel lie side by side, so vectors run over them; what belongs to a channel alone is computed for
// LANES channels at once. Arrays are (batch, channels): Rows with time 0. No result depends on the number of threads.
#include "vector.h"

namespace {

const float LOG2E = 1.44269504f;
const int64_t BLOCK = 1 << 15;  // state numbers that are worth a thread

struct ScanStep {
    int64_t batch, channels, states, threads;
    float* state;                  // (batch, channels, states)
    Rows u, delta, B, C, z, y;     // z may be absent
    const float *A_log, *D, *bias;  // (channels, states), (channels) or null, (channels) or null
};

struct HeadStep {
    int64_t batch, heads, width, states, groups, threads;
    float* state;                   // (batch, heads, width, states)
    Rows x, delta, B, C, y;         // x and y: (batch, heads, width) with `time` between heads; B and C likewise by group
    const float *A_log, *D, *bias;  // (heads), (heads) or null, (heads) or null
};

struct ConvStep {
    int64_t batch, channels, taps;
    Rows x, state, y;            // state (batch, taps - 1, channels), oldest first
    const float *weight, *bias;  // (channels, taps), (channels) or null
};

// h <- decay h + input B over the N states of one channel; returns h * C by lane.
template <typename Decay>
INLINE Vector move_state(float* h, int64_t N, Decay decay, float input, const Rows& B, const Rows& C, int64_t b,
                         int64_t group) {
    Vector read = {};
    for (int64_t n = 0; n < N; n += LANES) {
        const int count = (int)smaller(LANES, N - n);
        Vector state = load(h, FLOAT32, n, count) * decay(n, count) + input * B.get(b, group, n, count);
        read += state * C.get(b, group, n, count);
        store(h, FLOAT32, n, state, count);
    }
    return read;
}

void scan_channels(const ScanStep& s, int64_t d, float* A) {  // A: LANES * states
    const int count = (int)smaller(LANES, s.channels - d);
    const int64_t N = s.states;
    for (int64_t i = 0; i < count * N; i += LANES) {
        const int some = (int)smaller(LANES, count * N - i);
        store(A, FLOAT32, i, -LOG2E * exponential(load(s.A_log + d * N, FLOAT32, i, some)), some);
    }
    const Vector bias = s.bias ? load(s.bias, FLOAT32, d, count) : Vector{};
    const Vector skip = s.D ? load(s.D, FLOAT32, d, count) : Vector{};
    for (int64_t b = 0; b < s.batch; b++) {
        Vector u = s.u.get(b, 0, d, count), dt = softplus(s.delta.get(b, 0, d, count) + bias), input = dt * u;
        Vector read[LANES] = {}, y;
        for (int i = 0; i < count; i++) {
            auto decay = [&](int64_t n, int some) { return exp2(dt[i] * load(A, FLOAT32, i * N + n, some)); };
            read[i] = move_state(s.state + (b * s.channels + d + i) * N, N, decay, input[i], s.B, s.C, b, 0);
        }
        sums(read, LANES, (float*)&y);
        if (s.D) y += skip * u;
        if (s.z.data) {
            Vector z = s.z.get(b, 0, d, count);
            y *= z * sigmoid(z);
        }
        s.y.put(b, 0, d, y, count);
    }
}

void move_head(const HeadStep& s, int64_t b, int64_t head) {
    const int64_t P = s.width, N = s.states, group = head / (s.heads / s.groups);
    const float dt = softplus(splat(s.delta.get_one(b, 0, head) + (s.bias ? s.bias[head] : 0.0f)))[0];
    const Vector same = exponential(-dt * exponential(splat(s.A_log[head])));
    auto decay = [&](int64_t, int) { return same; };
    for (int64_t p = 0; p < P; p += LANES) {
        const int count = (int)smaller(LANES, P - p);
        Vector x = s.x.get(b, head, p, count), read[LANES] = {}, y;
        float* h = s.state + ((b * s.heads + head) * P + p) * N;
        for (int i = 0; i < count; i++) read[i] = move_state(h + i * N, N, decay, dt * x[i], s.B, s.C, b, group);
        sums(read, LANES, (float*)&y);
        if (s.D) y += s.D[head] * x;
        s.y.put(b, head, p, y, count);
    }
}

}  // namespace

// scratch (ceil(channels / LANES), LANES * states)
extern "C" void foretell_selective_scan_step(const ScanStep* s, float* scratch) {
    const int64_t blocks = divided_up(s->channels, LANES);
    const bool many = s->threads > 1 && s->batch * s->channels * s->states > 2 * BLOCK;
#pragma omp parallel for num_threads((int)s->threads) schedule(static) if (many)
    for (int64_t i = 0; i < blocks; i++) scan_channels(*s, i * LANES, scratch + i * LANES * s->states);
}

extern "C" void foretell_ssd_step(const HeadStep* s) {
    const bool many = s->threads > 1 && s->batch * s->heads * s->width * s->states > 2 * BLOCK;
#pragma omp parallel for num_threads((int)s->threads) schedule(static) if (many)
    for (int64_t i = 0; i < s->batch * s->heads; i++) move_head(*s, i / s->heads, i % s->heads);
}

// silu(bias + sum_k w[k] x[k]) over the kept inputs and the new one, which takes the place of the oldest.
extern "C" void foretell_conv_step(const ConvStep* s) {
    const int64_t taps = s->taps;
    Vector weight[16];
    for (int64_t d = 0; d < s->channels; d += LANES) {
        const int count = (int)smaller(LANES, s->channels - d);
        const Vector bias = s->bias ? load(s->bias, FLOAT32, d, count) : Vector{};
        gather_channels(s->weight + d * taps, taps, count, weight);
        for (int64_t b = 0; b < s->batch; b++) {
            Vector x = s->x.get(b, 0, d, count), sum = bias + weight[taps - 1] * x;
            for (int64_t k = 0; k + 1 < taps; k++) {
                sum += weight[k] * s->state.get(b, k, d, count);
                s->state.put(b, k, d, k + 2 < taps ? s->state.get(b, k + 1, d, count) : x, count);
            }
            s->y.put(b, 0, d, sum * sigmoid(sum), count);
        }
    }
}

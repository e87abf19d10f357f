// Depthwise causal convolution with SiLU, forward and backward: y[t] = silu(bias + sum_k w[k] x[t - taps + 1 + k]).
//
// Vectors run over channels; a row's group of channels is one piece of work, so that no result depends on the number of
// threads. Inputs before the row come from `initial`; those of another document are 0.
#include "vector.h"

namespace {

const int CHUNK = 64;  // tokens; the backward holds one gradient for each
const int MOST_TAPS = 16;
const int GROUP = 128;  // channels

struct Convolution {
    int64_t batch, length, channels, taps, threads;
    Rows x, initial, y;          // initial (batch, taps - 1, channels) may be absent
    const float *weight, *bias;  // (channels, taps), (channels) or null
    const uint8_t* starts;       // (batch, length): a document starts here
    Rows dy, dx, dinitial;
    float *dweight, *dbias;  // (batch, channels, taps), (batch, channels)
};

// One vector of channels of one row.
template <int TAPS>
struct Lane {
    const Convolution& s;
    int64_t b, d;
    int count;
    const uint8_t* row_starts;
    Vector weight[TAPS ? TAPS : MOST_TAPS], bias;

    Lane(const Convolution& s, int64_t b, int64_t d) : s(s), b(b), d(d), count((int)smaller(LANES, s.channels - d)) {
        row_starts = s.starts ? s.starts + b * s.length : nullptr;
        gather_channels(s.weight + d * taps(), taps(), count, weight);
        bias = s.bias ? load(s.bias, FLOAT32, d, count) : Vector{};
    }

    int taps() const { return TAPS ? TAPS : (int)s.taps; }
    bool starts(int64_t t) const { return row_starts && t >= 0 && t < s.length && row_starts[t]; }

    Vector input(int64_t t) const {
        if (t >= 0) return s.x.get(b, t, d, count);
        return s.initial.data ? s.initial.get(b, t + taps() - 1, d, count) : Vector{};
    }

    // The taps - 1 inputs before token t, oldest first.
    void window_before(int64_t t, Vector* window) const {
        bool here = true;
        for (int k = taps() - 2; k >= 0; k--) {
            int64_t at = t - taps() + 1 + k;
            here = here && !starts(at + 1);
            window[k] = here ? input(at) : Vector{};
        }
    }
};

INLINE void push(Vector* window, int size, Vector x) {
    for (int k = 0; k + 1 < size; k++) window[k] = window[k + 1];
    if (size) window[size - 1] = x;
}

template <int TAPS>
void forward(const Convolution& s, int64_t b, int64_t group) {
    for (int64_t first = 0; first < s.length; first += CHUNK) {
        const int64_t stop = smaller(first + CHUNK, s.length);
        for (int64_t d = group * GROUP; d < smaller((group + 1) * GROUP, s.channels); d += LANES) {
            const Lane<TAPS> lane(s, b, d);
            const int taps = lane.taps();
            Vector window[MOST_TAPS];
            lane.window_before(first, window);
            for (int64_t t = first; t < stop; t++) {
                s.x.fetch(b, t + CHUNK, d);
                if (lane.starts(t))
                    for (int k = 0; k < taps - 1; k++) window[k] = Vector{};
                Vector x = s.x.get(b, t, d, lane.count), sum = lane.bias + lane.weight[taps - 1] * x;
                for (int k = 0; k < taps - 1; k++) sum += lane.weight[k] * window[k];
                push(window, taps - 1, x);
                s.y.put(b, t, d, sum * sigmoid(sum), lane.count);
            }
        }
    }
}

template <int TAPS>
void backward(const Convolution& s, int64_t b, int64_t group) {
    const int64_t begin = group * GROUP, end = smaller(begin + GROUP, s.channels);
    Vector dweight[GROUP / LANES][MOST_TAPS] = {}, dbias[GROUP / LANES] = {}, after[GROUP / LANES][MOST_TAPS] = {};
    for (int64_t first = (s.length - 1) / CHUNK * CHUNK; first >= 0; first -= CHUNK) {
        const int64_t stop = smaller(first + CHUNK, s.length);
        for (int64_t d = begin, v = 0; d < end; d += LANES, v++) {
            const Lane<TAPS> lane(s, b, d);
            const int taps = lane.taps();
            Vector window[MOST_TAPS], dsums[CHUNK], dw[TAPS ? TAPS : MOST_TAPS] = {}, db = {};
            lane.window_before(first, window);
            for (int64_t t = first; t < stop; t++) {
                s.x.fetch(b, t - CHUNK, d);
                s.dy.fetch(b, t - CHUNK, d);
                if (lane.starts(t))
                    for (int k = 0; k < taps - 1; k++) window[k] = Vector{};
                Vector x = s.x.get(b, t, d, lane.count), sum = lane.bias + lane.weight[taps - 1] * x;
                for (int k = 0; k < taps - 1; k++) sum += lane.weight[k] * window[k];
                Vector gate = sigmoid(sum);
                Vector dsum = s.dy.get(b, t, d, lane.count) * (gate + sum * gate * (1.0f - gate));
                for (int k = 0; k < taps - 1; k++) dw[k] += dsum * window[k];
                dw[taps - 1] += dsum * x;
                db += dsum;
                dsums[t - first] = dsum;
                push(window, taps - 1, x);
            }
            for (int k = 0; k < taps; k++) dweight[v][k] += dw[k];
            dbias[v] += db;
            Vector* later = window;  // dsum of the taps - 1 tokens after t, the furthest first
            for (int k = 0; k < taps - 1; k++) later[k] = after[v][k];
            for (int64_t t = stop - 1; t >= (first ? first : 1 - taps); t--) {
                if (lane.starts(t + 1))
                    for (int k = 0; k < taps - 1; k++) later[k] = Vector{};
                Vector dsum = t >= 0 ? dsums[t - first] : Vector{}, dx = lane.weight[taps - 1] * dsum;
                for (int k = 0; k < taps - 1; k++) dx += lane.weight[k] * later[k];
                push(later, taps - 1, dsum);
                if (t >= 0)
                    s.dx.put(b, t, d, dx, lane.count);
                else if (s.dinitial.data)
                    s.dinitial.put(b, t + taps - 1, d, dx, lane.count);
            }
            for (int k = 0; k < taps - 1; k++) after[v][k] = later[k];
        }
    }
    for (int64_t d = begin, v = 0; d < end; d += LANES, v++) {
        const int count = (int)smaller(LANES, end - d);
        scatter_channels(dweight[v], s.taps, count, s.dweight + (b * s.channels + d) * s.taps);
        store(s.dbias, FLOAT32, b * s.channels + d, dbias[v], count);
    }
}

template <typename Work>
void for_each_group(const Convolution& s, Work work) {
    const int64_t groups = divided_up(s.channels, GROUP), pieces = s.batch * groups;
#pragma omp parallel for num_threads((int)s.threads) schedule(static) if (s.threads > 1 && pieces > 1)
    for (int64_t i = 0; i < pieces; i++) work(s, i / groups, i % groups);
}

}  // namespace

extern "C" void foretell_conv_forward(const Convolution* s) { for_each_group(*s, s->taps == 4 ? forward<4> : forward<0>); }

extern "C" void foretell_conv_backward(const Convolution* s) {
    for_each_group(*s, s->taps == 4 ? backward<4> : backward<0>);
}

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
    float *dweight, *dbias;  // (batch, channels, taps), (batch, channels); both null where nobody wants them
};

// One vector of channels of one row; TAPS 0 for any number, WHOLE where the vector has no lanes to spare.
template <int TAPS, bool WHOLE>
struct Lane {
    const Convolution& s;
    int64_t b, d;
    const uint8_t* row_starts;
    Vector weight[TAPS ? TAPS : MOST_TAPS], bias;

    Lane(const Convolution& s, int64_t b, int64_t d) : s(s), b(b), d(d) {
        row_starts = s.starts ? s.starts + b * s.length : nullptr;
        gather_channels(s.weight + d * taps(), taps(), count(), weight);
        bias = s.bias ? load(s.bias, FLOAT32, d, count()) : Vector{};
    }

    int count() const { return WHOLE ? LANES : (int)(s.channels - d); }
    int taps() const { return TAPS ? TAPS : (int)s.taps; }
    bool starts(int64_t t) const { return row_starts && t >= 0 && t < s.length && row_starts[t]; }

    Vector input(int64_t t) const {
        if (t >= 0) return s.x.get(b, t, d, count());
        return s.initial.data ? s.initial.get(b, t + taps() - 1, d, count()) : Vector{};
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

template <int TAPS, bool WHOLE>
void forward_lane(const Convolution& s, int64_t b, int64_t d, int64_t first, int64_t stop) {
    const Lane<TAPS, WHOLE> lane(s, b, d);
    const int taps = lane.taps();
    Vector window[MOST_TAPS];
    lane.window_before(first, window);
    for (int64_t t = first; t < stop; t++) {
        s.x.fetch(b, t + CHUNK, d);
        if (lane.starts(t))
            for (int k = 0; k < taps - 1; k++) window[k] = Vector{};
        Vector x = s.x.get(b, t, d, lane.count()), sum = lane.bias + lane.weight[taps - 1] * x;
        for (int k = 0; k < taps - 1; k++) sum += lane.weight[k] * window[k];
        push(window, taps - 1, x);
        s.y.put(b, t, d, sum * sigmoid(sum), lane.count());
    }
}

// What is carried from a chunk to the one before it, for one vector of channels: sums over time, and the gradients of
// the convolution's sums at the first taps - 1 tokens of the chunk, the furthest first.
struct Carried {
    Vector dweight[MOST_TAPS], dbias, later[MOST_TAPS];
};

template <int TAPS, bool WHOLE, bool SHARED>
void backward_lane(const Convolution& s, int64_t b, int64_t d, int64_t first, int64_t stop, Carried& carried) {
    const Lane<TAPS, WHOLE> lane(s, b, d);
    const int taps = lane.taps();
    Vector window[MOST_TAPS], dsums[CHUNK], dweight[TAPS ? TAPS : MOST_TAPS] = {}, dbias = {};
    lane.window_before(first, window);
    for (int64_t t = first; t < stop; t++) {
        s.x.fetch(b, t - CHUNK, d);
        s.dy.fetch(b, t - CHUNK, d);
        if (lane.starts(t))
            for (int k = 0; k < taps - 1; k++) window[k] = Vector{};
        Vector x = s.x.get(b, t, d, lane.count()), sum = lane.bias + lane.weight[taps - 1] * x;
        for (int k = 0; k < taps - 1; k++) sum += lane.weight[k] * window[k];
        Vector gate = sigmoid(sum);
        Vector dsum = s.dy.get(b, t, d, lane.count()) * (gate + sum * gate * (1.0f - gate));
        if (SHARED) {
            for (int k = 0; k < taps - 1; k++) dweight[k] += dsum * window[k];
            dweight[taps - 1] += dsum * x;
            dbias += dsum;
        }
        dsums[t - first] = dsum;
        push(window, taps - 1, x);
    }
    if (SHARED) {
        for (int k = 0; k < taps; k++) carried.dweight[k] += dweight[k];
        carried.dbias += dbias;
    }
    Vector* later = window;
    for (int k = 0; k < taps - 1; k++) later[k] = carried.later[k];
    for (int64_t t = stop - 1; t >= (first ? first : 1 - taps); t--) {
        if (lane.starts(t + 1))
            for (int k = 0; k < taps - 1; k++) later[k] = Vector{};
        Vector dsum = t >= 0 ? dsums[t - first] : Vector{}, dx = lane.weight[taps - 1] * dsum;
        for (int k = 0; k < taps - 1; k++) dx += lane.weight[k] * later[k];
        push(later, taps - 1, dsum);
        if (t >= 0)
            s.dx.put(b, t, d, dx, lane.count());
        else if (s.dinitial.data)
            s.dinitial.put(b, t + taps - 1, d, dx, lane.count());
    }
    for (int k = 0; k < taps - 1; k++) carried.later[k] = later[k];
}

template <int TAPS>
void forward(const Convolution& s, int64_t b, int64_t group) {
    const int64_t begin = group * GROUP, end = smaller(begin + GROUP, s.channels);
    for (int64_t first = 0; first < s.length; first += CHUNK) {
        const int64_t stop = smaller(first + CHUNK, s.length);
        for (int64_t d = begin; d < end; d += LANES)
            (d + LANES <= end ? forward_lane<TAPS, true> : forward_lane<TAPS, false>)(s, b, d, first, stop);
    }
}

template <int TAPS, bool SHARED>
void backward(const Convolution& s, int64_t b, int64_t group) {
    const int64_t begin = group * GROUP, end = smaller(begin + GROUP, s.channels);
    Carried carried[GROUP / LANES] = {};
    for (int64_t first = (s.length - 1) / CHUNK * CHUNK; first >= 0; first -= CHUNK) {
        const int64_t stop = smaller(first + CHUNK, s.length);
        for (int64_t d = begin, v = 0; d < end; d += LANES, v++)
            (d + LANES <= end ? backward_lane<TAPS, true, SHARED>
                              : backward_lane<TAPS, false, SHARED>)(s, b, d, first, stop, carried[v]);
    }
    for (int64_t d = begin, v = 0; SHARED && d < end; d += LANES, v++) {
        const int count = (int)smaller(LANES, end - d);
        scatter_channels(carried[v].dweight, s.taps, count, s.dweight + (b * s.channels + d) * s.taps);
        store(s.dbias, FLOAT32, b * s.channels + d, carried[v].dbias, count);
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
    if (s->dweight)
        for_each_group(*s, s->taps == 4 ? backward<4, true> : backward<0, true>);
    else
        for_each_group(*s, s->taps == 4 ? backward<4, false> : backward<0, false>);
}

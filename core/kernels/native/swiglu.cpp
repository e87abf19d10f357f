// The gate of the MLP: rows of x (n, 2 h), value then gate, to value * silu(gate) (n, h), and the gradient of that.
#include "vector.h"

struct SwiGLU {
    int64_t dtype, rows, hidden, threads;
    const void* x;   // (n, 2 h)
    void* y;         // (n, h)
    const void* dy;  // as y
    void* dx;        // as x
};

template <typename Part> static void each_part(const SwiGLU& s, Part part) {
    int threads = s.rows * s.hidden < 1 << 14 ? 1 : (int)s.threads;  // a few rows are done before a thread has woken up
    #pragma omp parallel for num_threads(threads)
    for (int64_t row = 0; row < s.rows; row++)
        for (int64_t i = 0; i < s.hidden; i += LANES)
            part(row * 2 * s.hidden + i, row * s.hidden + i, (int)(s.hidden - i < LANES ? s.hidden - i : LANES));
}

template <int64_t D> static void forward(const SwiGLU& s) {
    each_part(s, [&](int64_t from, int64_t to, int count) {
        Vector value = load(s.x, D, from, count), gate = load(s.x, D, from + s.hidden, count);
        store(s.y, D, to, value * gate * sigmoid(gate), count);
    });
}

template <int64_t D> static void backward(const SwiGLU& s) {
    each_part(s, [&](int64_t from, int64_t to, int count) {
        Vector value = load(s.x, D, from, count), gate = load(s.x, D, from + s.hidden, count);
        Vector grad = load(s.dy, D, to, count), open = sigmoid(gate);
        store(s.dx, D, from, grad * gate * open, count);
        store(s.dx, D, from + s.hidden, grad * value * open * (1.0f + gate * (1.0f - open)), count);
    });
}

extern "C" void foretell_swiglu_forward(const SwiGLU* s) {
    s->dtype == FLOAT32 ? forward<FLOAT32>(*s) : forward<BFLOAT16>(*s);
}

extern "C" void foretell_swiglu_backward(const SwiGLU* s) {
    s->dtype == FLOAT32 ? backward<FLOAT32>(*s) : backward<BFLOAT16>(*s);
}

// The transcendental functions of vector.h over arrays, so that their error can be measured.
#include "vector.h"

template <typename Function>
static void map(const float* x, float* y, int64_t n, Function function) {
    for (int64_t i = 0; i < n; i += LANES) {
        int count = n - i < LANES ? (int)(n - i) : LANES;
        store(y, FLOAT32, i, function(load(x, FLOAT32, i, count)), count);
    }
}

extern "C" void foretell_exp2(const float* x, float* y, int64_t n) { map(x, y, n, exp2); }
extern "C" void foretell_exp(const float* x, float* y, int64_t n) { map(x, y, n, exponential); }
extern "C" void foretell_sigmoid(const float* x, float* y, int64_t n) { map(x, y, n, sigmoid); }
extern "C" void foretell_softplus(const float* x, float* y, int64_t n) { map(x, y, n, softplus); }

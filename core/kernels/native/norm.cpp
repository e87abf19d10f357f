// RMSNorm, plain and gated, forward and backward, in one pass over memory each:
//
//     v = x or x silu(z)        y = v / sqrt(mean(v^2) + eps) * weight        over each of `groups` parts of a row
//
// The backward computes v again instead of reading it. Sums over rows are made by blocks of rows, so that no result
// depends on the number of threads.
#include <cmath>

#include "vector.h"

namespace {

const int64_t AHEAD = 2;  // rows fetched into the cache before they are read: the CPU would come too late

struct Norm {
    int64_t rows, width, groups, block, threads;
    double eps;
    Rows x, z, y;         // (1, rows, width); z is the gate or absent
    const float* weight;  // (width)
    Rows dy, dx, dz;
    float* dweight;  // (blocks, width)
    float* scratch;  // (threads, 3 width + 3 LANES)

    int64_t part() const { return width / groups; }
};

INLINE int lanes_left(int64_t c, int64_t n) { return (int)smaller(n - c, LANES); }

// v of one part of a row from element `at` on, and the sum of its squares; gates keep sigmoid(z).
INLINE float read_part(const Norm& n, int64_t row, int64_t at, float* v, float* gates) {
    Vector squares = {};
    for (int64_t c = 0; c < n.part(); c += LANES) {
        const int count = lanes_left(c, n.part());
        n.x.fetch(0, row + AHEAD, at + c);
        Vector here = n.x.get(0, row, at + c, count);
        if (n.z.data) {
            n.z.fetch(0, row + AHEAD, at + c);
            Vector z = n.z.get(0, row, at + c, count), gate = sigmoid(z);
            store(gates + c, gate);
            here *= z * gate;
        }
        store(v + c, here);
        squares += here * here;
    }
    return sum(squares);
}

INLINE float inverse_root(const Norm& n, float squares) {
    return 1.0f / std::sqrt(squares / (float)n.part() + (float)n.eps);
}

void forward_row(const Norm& n, int64_t row, float* v) {
    for (int64_t at = 0; at < n.width; at += n.part()) {
        const float scale = inverse_root(n, read_part(n, row, at, v, v + n.width + LANES));
        for (int64_t c = 0; c < n.part(); c += LANES) {
            const int count = lanes_left(c, n.part());
            n.y.put(0, row, at + c, load(v + c) * scale * load(n.weight, FLOAT32, at + c, count), count);
        }
    }
}

void backward_row(const Norm& n, int64_t row, float* v, float* dweight) {
    float *gates = v + n.width + LANES, *weighted = gates + n.width + LANES;
    for (int64_t at = 0; at < n.width; at += n.part()) {
        const float scale = inverse_root(n, read_part(n, row, at, v, gates));
        Vector products = {};
        for (int64_t c = 0; c < n.part(); c += LANES) {
            const int count = lanes_left(c, n.part());
            n.dy.fetch(0, row + AHEAD, at + c);
            Vector grad = n.dy.get(0, row, at + c, count), here = load(v + c);
            Vector by_product = grad * load(n.weight, FLOAT32, at + c, count);
            store(weighted + c, by_product);
            products += by_product * here;
            store(dweight, FLOAT32, at + c, load(dweight, FLOAT32, at + c, count) + grad * here * scale, count);
        }
        const float pull = scale * scale * scale * sum(products) / (float)n.part();
        for (int64_t c = 0; c < n.part(); c += LANES) {
            const int count = lanes_left(c, n.part());
            Vector dv = scale * load(weighted + c) - pull * load(v + c);
            if (n.z.data) {
                Vector x = n.x.get(0, row, at + c, count), z = n.z.get(0, row, at + c, count), gate = load(gates + c);
                n.dz.put(0, row, at + c, dv * x * gate * (1.0f + z * (1.0f - gate)), count);
                dv *= z * gate;
            }
            n.dx.put(0, row, at + c, dv, count);
        }
    }
}

template <class Work>
void by_blocks(const Norm& n, Work work) {
    const int64_t blocks = divided_up(n.rows, n.block);
#pragma omp parallel for num_threads((int)n.threads)
    for (int64_t b = 0; b < blocks; b++) {
        float* memory = n.scratch + omp_get_thread_num() * 3 * (n.width + LANES);
        work(b, b * n.block, smaller(n.rows, (b + 1) * n.block), memory);
    }
}

}  // namespace

extern "C" {

int64_t foretell_norm_scratch(const Norm* n) { return n->threads * 3 * (n->width + LANES); }

void foretell_norm_forward(const Norm* n) {
    by_blocks(*n, [n](int64_t, int64_t first, int64_t stop, float* memory) {
        for (int64_t row = first; row < stop; row++) forward_row(*n, row, memory);
    });
}

void foretell_norm_backward(const Norm* n) {
    by_blocks(*n, [n](int64_t b, int64_t first, int64_t stop, float* memory) {
        float* dweight = n->dweight + b * n->width;
        for (int64_t c = 0; c < n->width; c++) dweight[c] = 0;
        for (int64_t row = first; row < stop; row++) backward_row(*n, row, memory, dweight);
    });
}
}

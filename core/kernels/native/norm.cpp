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
    float* dweight;  // (blocks, width), or null where nobody wants it
    float* scratch;  // (threads, 3 width + 3 LANES)
};

// body(c, count) for each vector of n elements; whole vectors have a constant count.
template <class Body>
INLINE void over_vectors(int64_t n, Body body) {
    int64_t c = 0;
    for (; c + LANES <= n; c += LANES) body(c, LANES);
    if (c < n) body(c, (int)(n - c));
}

// One of a row's parts, `at` on.
template <bool gated>
struct Part {
    const Rows x, z;
    const float* const weight;
    const int64_t width;
    const float eps;
    float *const v, *const gates, *const weighted;
    int64_t row, at;

    Part(const Norm& n, float* memory)
        : x(n.x), z(n.z), weight(n.weight), width(n.width / n.groups), eps((float)n.eps), v(memory),
          gates(v + n.width + LANES), weighted(gates + n.width + LANES), row(0), at(0) {}

    // v and sigmoid(z); returns what v is divided by the root of
    float read() {
        Vector squares = {};
        over_vectors(width, [&](int64_t c, int count) {
            x.fetch(0, row + AHEAD, at + c);
            Vector here = x.get(0, row, at + c, count);
            if (gated) {
                z.fetch(0, row + AHEAD, at + c);
                Vector gate = z.get(0, row, at + c, count), open = sigmoid(gate);
                store(gates + c, open);
                here *= gate * open;
            }
            store(v + c, here);
            squares += here * here;
        });
        return sum(squares) / (float)width + eps;
    }

    void forward(const Rows y) {
        const float scale = 1.0f / std::sqrt(read());
        over_vectors(width, [&](int64_t c, int count) {
            y.put(0, row, at + c, load(v + c) * scale * load(weight, FLOAT32, at + c, count), count);
        });
    }

    template <bool weighs>
    void backward(const Rows dy, const Rows dx, const Rows dz, float* dweight) {
        const float scale = 1.0f / std::sqrt(read());
        Vector products = {};
        over_vectors(width, [&](int64_t c, int count) {
            dy.fetch(0, row + AHEAD, at + c);
            Vector grad = dy.get(0, row, at + c, count), here = load(v + c);
            Vector by_product = grad * load(weight, FLOAT32, at + c, count);
            store(weighted + c, by_product);
            products += by_product * here;
            if (weighs)
                store(dweight, FLOAT32, at + c, load(dweight, FLOAT32, at + c, count) + grad * here * scale, count);
        });
        const float pull = scale * scale * scale * sum(products) / (float)width;
        over_vectors(width, [&](int64_t c, int count) {
            Vector dv = scale * load(weighted + c) - pull * load(v + c);
            if (gated) {
                Vector here = x.get(0, row, at + c, count), gate = z.get(0, row, at + c, count), open = load(gates + c);
                dz.put(0, row, at + c, dv * here * open * (1.0f + gate * (1.0f - open)), count);
                dv *= gate * open;
            }
            dx.put(0, row, at + c, dv, count);
        });
    }
};

template <bool gated>
void run(const Norm& n, bool backward) {
    const int64_t blocks = divided_up(n.rows, n.block);
#pragma omp parallel for num_threads((int)n.threads)
    for (int64_t b = 0; b < blocks; b++) {
        Part<gated> part(n, n.scratch + omp_get_thread_num() * 3 * (n.width + LANES));
        float* dweight = backward && n.dweight ? n.dweight + b * n.width : nullptr;
        for (int64_t c = 0; dweight && c < n.width; c++) dweight[c] = 0;
        for (part.row = b * n.block; part.row < smaller(n.rows, (b + 1) * n.block); part.row++)
            for (part.at = 0; part.at < n.width; part.at += part.width)
                if (!backward)
                    part.forward(n.y);
                else if (dweight)
                    part.template backward<true>(n.dy, n.dx, n.dz, dweight);
                else
                    part.template backward<false>(n.dy, n.dx, n.dz, dweight);
    }
}

}  // namespace

extern "C" {

int64_t foretell_norm_scratch(const Norm* n) { return n->threads * 3 * (n->width + LANES); }

void foretell_norm_forward(const Norm* n) { n->z.data ? run<true>(*n, false) : run<false>(*n, false); }

void foretell_norm_backward(const Norm* n) { n->z.data ? run<true>(*n, true) : run<false>(*n, true); }
}

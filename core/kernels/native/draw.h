// One symbol from a row of logits: temperature, top-k, top-p and min-p, then the inverse of the cumulative distribution,
// as core/decoding/sampling.py defines them.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "vector.h"

struct Sampling {
    double temperature, top_p, min_p;
    int64_t top_k;
};

struct Drawn {
    int64_t symbol;  // -1 where none is allowed
    float nats, masked;
};

// out = exp((x - shift) * factor), padded with zeros to whole vectors; returns the sum over the first n.
INLINE double exponentials(const float* x, int64_t n, float shift, float factor, float* out) {
    double total = 0;
    for (int64_t i = 0; i < n; i += LANES) {
        int count = n - i < LANES ? (int)(n - i) : LANES;
        store(out + i, exponential((load(x, FLOAT32, i, count) - shift) * factor));
        for (int j = 0; j < count; j++) total += out[i + j];
    }
    return total;
}

// Zero for all but the likeliest symbols (equals by id): the first k, and of those the ones before which less than p of
// the probability lies.
static void keep_likeliest(float* weights, int64_t n, int64_t k, double p) {
    static thread_local std::vector<int64_t> order;
    order.resize(n);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [weights](int64_t a, int64_t b) {
        return weights[a] > weights[b] || (weights[a] == weights[b] && a < b);
    });
    if (k == 0 || k > n) k = n;
    double total = 0, before = 0;
    for (int64_t i = 0; i < k; i++) total += weights[order[i]];
    for (int64_t i = 0; i < n; i++) {
        double weight = weights[order[i]];
        if (i >= k || before >= p * total) weights[order[i]] = 0;
        before += weight;
    }
}

// logits (n); refused (n) bytes, of which any but 0 forbids a symbol; own, weights: room for n and LANES floats each.
static Drawn draw(const float* logits, int64_t n, const uint8_t* refused, const uint8_t* allowed, const Sampling& how,
                  double uniform, float* own, float* weights) {
    int64_t best = -1, likeliest = 0;
    for (int64_t i = 0; i < n; i++) {
        if (logits[i] > logits[likeliest]) likeliest = i;
        if (!refused[i] && (!allowed || allowed[i]) && (best < 0 || logits[i] > logits[best])) best = i;
    }
    if (best < 0) return {-1, 0, 0};
    double total = exponentials(logits, n, logits[likeliest], 1, own), taken = 0;
    for (int64_t i = 0; i < n; i++)
        if (refused[i] || (allowed && !allowed[i])) taken += own[i];
    int64_t symbol = best;
    if (how.temperature > 0) {
        exponentials(logits, n, logits[best], (float)(1 / how.temperature), weights);
        for (int64_t i = 0; i < n; i++)
            if (refused[i] || (allowed && !allowed[i])) weights[i] = 0;
        if (std::isfinite(total) && (how.top_k || how.top_p < 1)) keep_likeliest(weights, n, how.top_k, how.top_p);
        double sum = 0, reached = 0;
        for (int64_t i = 0; i < n; i++) {
            if (weights[i] < how.min_p) weights[i] = 0;  // the likeliest has weight 1
            sum += weights[i];
        }
        for (int64_t i = 0; i < n; i++) {
            reached += weights[i];
            if (weights[i] > 0) symbol = i;
            if (reached > uniform * sum) break;
        }
    }
    return {symbol, (float)(std::log(total) + logits[likeliest] - logits[symbol]), (float)(taken / total)};
}

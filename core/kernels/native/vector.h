// What the kernels share: vectors of floats as wide as the CPU's registers, loads and stores of float32 and bfloat16 by
// a dtype known at run time, and the few transcendental functions, without intrinsics.
#pragma once

#include <cstdint>
#include <cstring>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Integers __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));

#define INLINE static inline __attribute__((always_inline))

enum DType : int64_t { FLOAT32 = 0, BFLOAT16 = 1 };

INLINE Vector splat(float x) { return x - Vector{}; }  // x + 0 would cost an addition, for the sake of -0
INLINE Bits bits_of(Vector x) { return (Bits)x; }

INLINE Vector load(const float* from) {
    Vector x;
    memcpy(&x, from, sizeof x);
    return x;
}

INLINE void store(float* to, Vector x) { memcpy(to, &x, sizeof x); }

INLINE Vector widen(Halves halves) { return (Vector)(__builtin_convertvector(halves, Bits) << 16); }

// Round to nearest even; NaN stays NaN whatever its payload.
INLINE Halves narrow(Vector x) {
#ifdef __AVX512BF16__
    return (Halves)_mm512_cvtneps_pbh((__m512)x);
#endif
    Bits bits = bits_of(x);
    Bits rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    Bits quiet = (bits >> 16) | 0x40u;
    return __builtin_convertvector((Bits)(x != x) ? quiet : rounded, Halves);
}

// `count` lanes from element `at` of an array of dtype; the others are 0.
INLINE Vector load(const void* from, int64_t dtype, int64_t at, int count = LANES) {
    if (dtype == FLOAT32) {
        const float* p = (const float*)from + at;
        if (count == LANES) return load(p);
        Vector x = {};
        memcpy(&x, p, 4 * (size_t)count);
        return x;
    }
    const uint16_t* p = (const uint16_t*)from + at;
    Halves halves = {};
    if (count == LANES) {  // apart from parts, which go through memory
        memcpy(&halves, p, sizeof halves);
        return widen(halves);
    }
    memcpy(&halves, p, 2 * (size_t)count);
    return widen(halves);
}

// Whole vectors apart from parts: one copy of variable length would be made by a slow string instruction.
INLINE void store(void* to, int64_t dtype, int64_t at, Vector x, int count = LANES) {
    if (dtype == FLOAT32) {
        float* p = (float*)to + at;
        if (count == LANES)
            store(p, x);
        else
            memcpy(p, &x, 4 * (size_t)count);
        return;
    }
    uint16_t* p = (uint16_t*)to + at;
    Halves halves = narrow(x);
    if (count == LANES)
        memcpy(p, &halves, sizeof halves);
    else
        memcpy(p, &halves, 2 * (size_t)count);
}

INLINE float load_one(const void* from, int64_t dtype, int64_t at) {
    if (dtype == FLOAT32) return ((const float*)from)[at];
    uint32_t bits = (uint32_t)((const uint16_t*)from)[at] << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

INLINE void store_one(void* to, int64_t dtype, int64_t at, float x) {
    if (dtype == FLOAT32) {
        ((float*)to)[at] = x;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &x, 4);
    bits = x != x ? (bits >> 16) | 0x40u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    ((uint16_t*)to)[at] = (uint16_t)bits;
}

// A fixed tree of additions, neighbours first: the order does not depend on the compiler.
INLINE float sum(Vector x) {
    float part[LANES];
    memcpy(part, &x, sizeof x);
    for (int width = 1; width < LANES; width *= 2)
        for (int i = 0; i < LANES; i += 2 * width) part[i] += part[i + width];
    return part[0];
}

#ifdef __AVX512F__
// Lane i of the result is the sum of lanes i and i + W of a where i has no bit W, else of i - W and i of b.
template <int W>
INLINE Vector fold(Vector a, Vector b) {
    Integers low, high;
    for (int i = 0; i < LANES; i++) low[i] = i & W ? LANES + i - W : i, high[i] = i & W ? LANES + i : i + W;
    return (Vector)_mm512_permutex2var_ps((__m512)a, (__m512i)low, (__m512)b) +
           (Vector)_mm512_permutex2var_ps((__m512)a, (__m512i)high, (__m512)b);
}

template <int W>
INLINE Vector fold_all(const Vector* x) {  // 2 W vectors
    if constexpr (W == 1)
        return fold<1>(x[0], x[1]);
    else
        return fold<W>(fold_all<W / 2>(x), fold_all<W / 2>(x + W));
}
#endif

// The sums of n vectors.
INLINE void sums(const Vector* x, int64_t n, float* to) {
    int64_t i = 0;
#ifdef __AVX512F__
    for (; i + LANES <= n; i += LANES) store(to + i, fold_all<LANES / 2>(x + i));
#endif
    for (; i < n; i++) to[i] = sum(x[i]);
}

// Exponentials. x is split into a multiple of a power of 2 and a rest; a polynomial, 1 at 0, minimax of the relative
// error, has the rest. Relative errors: both below 2.5e-7 (4 ULP), exp2 for x in [-126, 127], exponential for
// x in [-87, 88]; beyond, where results are denormal or in the last binade, 0 or inf may come early. NaN stays NaN.
#ifdef __AVX512DQ__

// Multiples of 1/16, their fraction by a table, and a polynomial of degree 3, whose slope at 0 is exact: a slow decay is
// not sped up.
const float SHIFT = 786432.0f;  // 1.5 * 2^23 / 16: a sum with it has 16 times the other part in its low bits

// 2^y p for y a multiple of 1/16.
INLINE Vector scaled(Vector p, Vector y) {
    const Vector table = {
        1.0f, 1.04427373f, 1.09050775f, 1.13878858f, 1.18920708f, 1.24185777f, 1.29683959f, 1.35425556f,
        1.41421354f, 1.47682619f, 1.54221082f, 1.61049032f, 1.68179286f, 1.75625217f, 1.8340081f, 1.91520655f};
    Vector fraction = (Vector)_mm512_permutexvar_ps((__m512i)(y + SHIFT), (__m512)table);
    return (Vector)_mm512_scalef_ps((__m512)(p * fraction), (__m512)y);
}

INLINE Vector exp2(Vector x) {
    Vector r = (Vector)_mm512_reduce_ps((__m512)x, 4 << 4);  // x - round(16 x) / 16; 0 for inf
    return scaled(((5.550428116e-02f * r + 2.402342699e-01f) * r + 0.693147181f) * r + 1.0f, x - r);
}

INLINE Vector exponential(Vector x) {
    const __m512 low = _mm512_set1_ps(-200.0f), high = _mm512_set1_ps(200.0f);
    x = (Vector)_mm512_min_ps(high, _mm512_max_ps(low, (__m512)x));
    Vector y = (Vector)_mm512_roundscale_ps((__m512)(x * 1.44269504f), 4 << 4);
    Vector r = (x - y * 0.693359375f) + y * 2.12194440e-4f;  // log 2 in two parts: the first product is exact
    return scaled(((1.666671846e-01f * r + 5.000161574e-01f) * r + 1.0f) * r + 1.0f, y);
}

#else

// 2^r for |r| <= 1/2.
INLINE Vector polynomial(Vector r) {
    Vector p = splat(1.326472725e-03f);
    p = p * r + 9.671512688e-03f;
    p = p * r + 5.550733744e-02f;
    p = p * r + 2.402224208e-01f;
    p = p * r + 6.931469776e-01f;
    return p * r + 1.0f;
}

// A sum with 1.5 * 2^23 + 127 has the rounded value + 127 in its low bits: the exponent field of a power of 2.
const float SHIFT = 12582912.0f + 127.0f;

INLINE Vector clamp(Vector x, float low, float high) {  // NaN stays NaN
    x = x < low ? splat(low) : x;
    return x > high ? splat(high) : x;
}

INLINE Vector exp2(Vector x) {
    x = clamp(x, -127.0f, 128.0f);
    Vector shifted = x + SHIFT;
    return polynomial(x - (shifted - SHIFT)) * (Vector)(bits_of(shifted) << 23);
}

INLINE Vector exponential(Vector x) {
    x = clamp(x, -88.0296919f, 88.7228391f);
    Vector shifted = x * 1.44269504f + SHIFT, n = shifted - SHIFT;
    Vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // log 2 in two parts: the first product is exact
    return polynomial(r * 1.44269504f) * (Vector)(bits_of(shifted) << 23);
}

#endif

// 1 / x for x in [1, 2].
INLINE Vector reciprocal(Vector x) {
#ifdef __AVX512F__
    Vector guess = (Vector)_mm512_rcp14_ps((__m512)x);  // a step of Newton's doubles its 14 bits
    return guess * (2.0f - x * guess);
#else
    return 1.0f / x;
#endif
}

// By exp(-|x|), which does not overflow.
INLINE Vector sigmoid(Vector x) {
    Vector e = exponential(x < 0.0f ? x : -x);
    return (x < 0.0f ? e : splat(1.0f)) * reciprocal(1.0f + e);
}

// log(1 + e) for e in [0, 1]: e times a polynomial of degree 8, minimax of the relative error.
INLINE Vector log1p(Vector e) {
    Vector p = splat(5.232694791e-03f);
    p = p * e - 2.950524178e-02f;
    p = p * e + 7.822595848e-02f;
    p = p * e - 1.366324653e-01f;
    p = p * e + 1.910600722e-01f;
    p = p * e - 2.484298237e-01f;
    p = p * e + 3.331909684e-01f;
    p = p * e - 4.999949314e-01f;
    p = p * e + 9.999999699e-01f;
    return p * e;
}

// log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)).
INLINE Vector softplus(Vector x) {
    return (x < 0.0f ? splat(0.0f) : x) + log1p(exponential(x < 0.0f ? x : -x));
}

// An array (batch, time, channels) with neighbouring channels in neighbouring elements; strides in elements. Null data
// mean that there is none.
struct Rows {
    void* data;
    int64_t dtype, batch, time;

    int64_t at(int64_t b, int64_t t, int64_t d) const { return b * batch + t * time + d; }
    Vector get(int64_t b, int64_t t, int64_t d, int count) const { return load(data, dtype, at(b, t, d), count); }
    float get_one(int64_t b, int64_t t, int64_t d) const { return load_one(data, dtype, at(b, t, d)); }
    void fetch(int64_t b, int64_t t, int64_t d) const {
        __builtin_prefetch((const char*)data + at(b, t, d) * (dtype == FLOAT32 ? 4 : 2));
    }
    void put(int64_t b, int64_t t, int64_t d, Vector x, int count) const { store(data, dtype, at(b, t, d), x, count); }
};

// A matrix (channels, n), n numbers side by side, of `count` channels -> n vectors over channels; and back.
INLINE void gather_channels(const float* from, int64_t n, int count, Vector* to, float factor = 1) {
    for (int64_t i = 0; i < n; i++) {
        float lanes[LANES] = {};
        for (int lane = 0; lane < count; lane++) lanes[lane] = from[lane * n + i] * factor;
        to[i] = load(lanes);
    }
}

INLINE void scatter_channels(const Vector* from, int64_t n, int count, float* to) {
    for (int64_t i = 0; i < n; i++)
        for (int lane = 0; lane < count; lane++) to[lane * n + i] = from[i][lane];
}

INLINE int64_t divided_up(int64_t n, int64_t by) { return (n + by - 1) / by; }
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

#ifdef _OPENMP
extern "C" int omp_get_thread_num();
#else
INLINE int omp_get_thread_num() { return 0; }
#endif

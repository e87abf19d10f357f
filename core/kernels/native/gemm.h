// Products of small matrices that lie in the cache, float32 or bfloat16 operands, float32 sums.
//
// A Unit is what one step of the contraction takes: a float, or a Pair of bfloat16 where the CPU multiplies those.
#pragma once

#include "vector.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif
#if defined(__AVX512BF16__)
#define HAS_PAIRS 1
#else
#define HAS_PAIRS 0
#endif

typedef uint32_t Pair;

template <typename Unit> struct Of;
template <> struct Of<float> { static const int elements = 1; };
template <> struct Of<Pair> { static const int elements = 2; };

INLINE Vector multiply_add(Vector sum, float a, const float* b) { return sum + a * load(b); }

INLINE Vector multiply_add(Vector sum, Pair a, const Pair* b) {
#if HAS_PAIRS
    return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32((int)a), (__m512bh)_mm512_loadu_si512(b));
#else
    (void)a, (void)b;
    return sum;
#endif
}

// To bfloat16 as `narrow` does, but subnormal numbers become 0, as they are in multiply_add.
INLINE Halves brief(Vector x) {
#if HAS_PAIRS
    return (Halves)_mm512_cvtneps_pbh((__m512)x);
#else
    return narrow(x);
#endif
}

// Pairs of bfloat16, the first of each in the low half.
INLINE Bits paired(Halves low, Halves high) {
#if HAS_PAIRS
    __m512i a = _mm512_cvtepu16_epi32((__m256i)low), b = _mm512_cvtepu16_epi32((__m256i)high);
    return (Bits)_mm512_or_si512(a, _mm512_slli_epi32(b, 16));
#else
    return __builtin_convertvector(low, Bits) | (__builtin_convertvector(high, Bits) << 16);
#endif
}

INLINE float largest(Vector x) {
#if defined(__AVX512F__)
    return _mm512_reduce_max_ps((__m512)x);
#else
    float part[LANES], most;
    memcpy(part, &x, sizeof x);
    most = part[0];
    for (int i = 1; i < LANES; i++) most = part[i] > most ? part[i] : most;
    return most;
#endif
}

const int ROWS = 4, COLUMNS = LANES == 16 ? 4 : 2;  // of a block of sums that fits into the registers, in vectors

template <typename Unit, int N>
INLINE void block(const Unit* a, int64_t a_row, int64_t a_k, const Unit* b, int64_t b_k, float* c, int64_t c_row,
                  int64_t k, bool add) {
    Vector sums[ROWS][N];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < N; j++) sums[i][j] = add ? load(c + i * c_row + j * LANES) : Vector{};
    for (int64_t s = 0; s < k; s++)
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < N; j++)
                sums[i][j] = multiply_add(sums[i][j], a[i * a_row + s * a_k], b + s * b_k + j * LANES);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < N; j++) store(c + i * c_row + j * LANES, sums[i][j]);
}

// c (m, n) = or += a (m, k) b (k, n). Unit (i, s) of a is a[i * a_row + s * a_k], (s, j) of b is b[s * b_k + j];
// k counts units. m is a multiple of ROWS, n of LANES.
template <typename Unit>
static void product(const Unit* a, int64_t a_row, int64_t a_k, const Unit* b, int64_t b_k, float* c, int64_t c_row,
                    int64_t m, int64_t n, int64_t k, bool add) {
    for (int64_t j = 0; j < n;) {
        int64_t vectors = (n - j) / LANES;
        for (int64_t i = 0; i < m; i += ROWS) {
            const Unit* rows = a + i * a_row;
            float* out = c + i * c_row + j;
            if (vectors >= COLUMNS) block<Unit, COLUMNS>(rows, a_row, a_k, b + j, b_k, out, c_row, k, add);
            else if (vectors == 3) block<Unit, 3>(rows, a_row, a_k, b + j, b_k, out, c_row, k, add);
            else if (vectors == 2) block<Unit, 2>(rows, a_row, a_k, b + j, b_k, out, c_row, k, add);
            else block<Unit, 1>(rows, a_row, a_k, b + j, b_k, out, c_row, k, add);
        }
        j += LANES * (vectors < COLUMNS ? vectors : COLUMNS);
    }
}

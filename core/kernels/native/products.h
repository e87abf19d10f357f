// Products of small matrices that stay in the cache, for kernels that work on what they multiply in between.
//
// A matrix is an array of 32-bit units: a float, or a pair of bfloat16 that are neighbours along the summed axis, which
// the CPU multiplies and adds to float32 in one instruction. Of a product's two factors the left is kept by rows
// (row, unit), the right by depth (unit, column); one is the other's transpose. Sizes are whole multiples of PAD.
#pragma once

#include <utility>

#include "vector.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
constexpr bool HAS_PAIRS = true;
#else
constexpr bool HAS_PAIRS = false;
#endif

INLINE Integers lane_numbers() {
    Integers numbers{};
    for (int i = 0; i < LANES; i++) numbers[i] = i;
    return numbers;
}

// Of a tile: rows, and vectors a row. The sums and what they are made of stay in registers.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int ROWS = 4, COLUMNS = 4;
#else
constexpr int ROWS = 4, COLUMNS = 2;
#endif
constexpr int PAD = 2 * LANES;

template <int N>
struct Count {
    static constexpr int value = N;
};

// Calls body(Count<vectors>, column) for columns [from, to), 1 to COLUMNS vectors at a time.
template <class Body>
INLINE void over_columns(int from, int to, Body body) {
    for (; from + COLUMNS * LANES <= to; from += COLUMNS * LANES) body(Count<COLUMNS>{}, from);
    switch ((to - from) / LANES) {
        case 3: return body(Count<3>{}, from);
        case 2: return body(Count<2>{}, from);
        case 1: return body(Count<1>{}, from);
    }
}

template <int C>
struct Tile {
    Vector at[ROWS][C];
};

// Keeps the compiler from loading x anew for each use. [Half of a product's time: a load takes as long as a product.]
INLINE Vector in_register(Vector x) {
#if defined(__AVX512F__)
    asm("" : "+v"(x));
#elif defined(__x86_64__)
    asm("" : "+x"(x));
#elif defined(__aarch64__)
    asm("" : "+w"(x));
#endif
    return x;
}

template <bool pairs>
INLINE Vector multiply_add(Vector left, Vector right, Vector to) {
#ifdef __AVX512BF16__
    if (pairs) return (Vector)_mm512_dpbf16_ps((__m512)to, (__m512bh)left, (__m512bh)right);
#endif
    return to + left * right;
}

// One unit in every lane; as a number it may be anything, so that no float arithmetic may touch it.
INLINE Vector broadcast(const float* unit) {
    uint32_t bits;
    memcpy(&bits, unit, sizeof bits);
    return (Vector)(Bits{} + bits);
}

// tile += left (ROWS, units [begin, end)) right (units, C vectors)
template <bool pairs, int C>
INLINE void add_product(Tile<C>& tile, const float* left, int left_row, const float* right, int right_row, int begin,
                        int end) {
    for (int k = begin; k < end; k++) {
        Vector columns[C];
        for (int c = 0; c < C; c++) columns[c] = in_register(load(right + k * right_row + c * LANES));
        for (int r = 0; r < ROWS; r++) {
            Vector one = broadcast(left + r * left_row + k);
            for (int c = 0; c < C; c++) tile.at[r][c] = multiply_add<pairs>(one, columns[c], tile.at[r][c]);
        }
    }
}

template <int C>
INLINE void scale_rows(Tile<C>& tile, const float* by) {
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < C; c++) tile.at[r][c] *= by[r];
}

template <int C>
INLINE void put(const Tile<C>& tile, float* to, int row) {
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < C; c++) store(to + r * row + c * LANES, tile.at[r][c]);
}

// Two rows of floats as one row of pairs (first, second); the first row itself where pairs is false.
template <bool pairs>
INLINE Vector paired(Vector first, Vector second) {
#ifdef __AVX512BF16__
    if (pairs) {
        const __m512i turns = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                                               6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        __m512bh halves = _mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
        return (Vector)_mm512_permutexvar_epi16(turns, (__m512i)halves);
    }
#endif
    return first;
}

// A vector of one row into that row's units, `at` counting floats.
template <bool pairs>
INLINE void store_row(float* row, int at, Vector x) {
    if (pairs) {
        Halves halves = narrow(x);
        memcpy((uint16_t*)row + at, &halves, sizeof halves);
    } else {
        store(row + at, x);
    }
}

template <bool pairs>
INLINE Vector load_row(const float* row, int at) {
    if (!pairs) return load(row + at);
    Halves halves;
    memcpy(&halves, (const uint16_t*)row + at, sizeof halves);
    return widen(halves);
}

// What `paired` has put together: the first row, or the second.
template <bool pairs>
INLINE Vector taken_apart(Vector units, bool second) {
    if (!pairs) return units;
    return (Vector)(second ? bits_of(units) & 0xffff0000u : bits_of(units) << 16);
}

// (rows, columns) floats -> the left factor (rows, columns / 2) or, where pairs is false, a copy.
template <bool pairs>
INLINE void by_rows(float* to, const float* from, int rows, int columns) {
    for (int i = 0; i < rows * columns; i += LANES) store_row<pairs>(to, i, load(from + i));
}

// (depth, columns) floats -> the right factor (depth / 2, columns).
template <bool pairs>
INLINE void by_depth(float* to, const float* from, int depth, int columns) {
    constexpr int step = pairs ? 2 : 1;
    for (int k = 0; k < depth; k += step)
        for (int i = 0; i < columns; i += LANES) {
            const float* at = from + k * columns + i;
            store(to + k / step * columns + i, paired<pairs>(load(at), load(at + (step - 1) * columns)));
        }
}

// Lanes whose number has the bit `distance` of a are swapped with those of b that do not.
template <int distance, size_t... l>
INLINE void exchange(Vector& a, Vector& b, std::index_sequence<l...>) {
#ifdef __clang__
    Vector first = __builtin_shufflevector(a, b, (l & distance ? LANES + l - distance : l)...);
    b = __builtin_shufflevector(a, b, (l & distance ? LANES + l : l + distance)...);
#else
    Vector first = __builtin_shuffle(a, b, Integers{(int32_t)(l & distance ? LANES + l - distance : l)...});
    b = __builtin_shuffle(a, b, Integers{(int32_t)(l & distance ? LANES + l : l + distance)...});
#endif
    a = first;
}

template <int distance>
INLINE void exchange_all(Vector* rows) {
    for (int i = 0; i < LANES; i++)
        if (!(i & distance)) exchange<distance>(rows[i], rows[i + distance], std::make_index_sequence<LANES>{});
}

template <int distance>
INLINE void exchange_and_add(Vector* rows) {
    for (int i = 0; i < LANES; i += 2 * distance) {
        exchange<distance>(rows[i], rows[i + distance], std::make_index_sequence<LANES>{});
        rows[i] += rows[i + distance];
    }
}

// The sum of each of LANES vectors.
INLINE Vector sums(const float* vectors) {
    Vector rows[LANES];
    for (int i = 0; i < LANES; i++) rows[i] = load(vectors + i * LANES);
    exchange_and_add<1>(rows);
    exchange_and_add<2>(rows);
    if (LANES > 4) exchange_and_add<4 % LANES>(rows);
    if (LANES > 8) exchange_and_add<8 % LANES>(rows);
    return rows[0];
}

// (rows, columns) -> (columns, rows), of floats or units
INLINE void transpose(float* to, const float* from, int rows, int columns) {
    for (int i = 0; i < rows; i += LANES)
        for (int j = 0; j < columns; j += LANES) {
            Vector block[LANES];
            for (int r = 0; r < LANES; r++) block[r] = load(from + (i + r) * columns + j);
            exchange_all<1>(block);
            exchange_all<2>(block);
            if (LANES > 4) exchange_all<4 % LANES>(block);
            if (LANES > 8) exchange_all<8 % LANES>(block);
            for (int r = 0; r < LANES; r++) store(to + (j + r) * rows + i, block[r]);
        }
}

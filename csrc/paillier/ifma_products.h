// Products of whole numbers in AVX-512 IFMA registers: radix 2^52, 8 numbers side by side, one per 64-bit lane, digit-major.
// Only pair_ifma.cpp may include it, inside its guard: what is compiled with these instructions stays in that one object.
//
// Products are scanned by columns in tiles of 4 x 4 digits, Montgomery reduction interleaved: 14 accumulators and 8 operands stay
// in registers whatever the length, so nothing spills. A multiply-add reads the low 52 bits of its factors and adds 52 bits to a
// 64-bit accumulator, which takes 4096 of them: a column has at most 2 * 3 * MAX_DIGITS = 480.
//
// digits is a multiple of 4 with R = 2^(52 digits) >= 2^12 n. Every digit that is stored is below 2^52.
#pragma once

#include <immintrin.h>

#include "paillier/pair.h"

#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 warns of the vectors that its own header leaves undefined on purpose
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

// The attribute stands on every function and the build has no -mavx512 flag, so that no inline function or template of another
// header can be compiled with these instructions and then be shared with the portable code.
#define VFL_IFMA __attribute__((target("avx512f,avx512ifma")))
#define VFL_INLINE VFL_IFMA inline __attribute__((always_inline))

namespace vfl {
namespace {

using V = __m512i;
constexpr int LANES = 8;
constexpr int RADIX = 52;
constexpr int TILE = 4;

VFL_INLINE V load(const word* block, int digit) { return _mm512_loadu_si512(block + digit * LANES); }
VFL_INLINE V spread(const word* row, int digit) { return _mm512_set1_epi64(static_cast<long long>(row[digit])); }
VFL_INLINE void store(word* block, int digit, V x) { _mm512_storeu_si512(block + digit * LANES, x); }
VFL_INLINE V low_digit(V x) { return _mm512_and_si512(x, _mm512_set1_epi64((1LL << RADIX) - 1)); }
// Columns are signed: subtracting a component leaves negative ones, whose low bits and floor are still what is needed.
VFL_INLINE V carry_of(V x) { return _mm512_srai_epi64(x, RADIX); }

// Columns k..k+6 of low halves and k+1..k+7 of high halves.
struct Columns {
    V low[2 * TILE - 1];
    V high[2 * TILE - 1];
};

VFL_INLINE void clear(Columns& c) {
#pragma GCC unroll 8
    for (int i = 0; i < 2 * TILE - 1; ++i) c.low[i] = c.high[i] = _mm512_setzero_si512();
}

enum class Second { per_lane, broadcast };

// Which columns of a tile are wanted: all 8, 0 to 3, or 3 to 7.
enum class Part { all, low, high };
constexpr bool wanted(Part part, int column) { return part == Part::all || (part == Part::low ? column < TILE : column >= TILE - 1); }

// c += x[xi..xi+3] * y[yi..yi+3]
template <Second kind, Part part = Part::all>
VFL_INLINE void add_tile(Columns& c, const word* x, int xi, const word* y, int yi) {
    const V own[TILE] = {load(x, xi), load(x, xi + 1), load(x, xi + 2), load(x, xi + 3)};
#pragma GCC unroll 4
    for (int j = 0; j < TILE; ++j) {
        const V factor = kind == Second::broadcast ? spread(y, yi + j) : load(y, yi + j);
#pragma GCC unroll 4
        for (int i = 0; i < TILE; ++i) {
            if (wanted(part, i + j)) c.low[i + j] = _mm512_madd52lo_epu64(c.low[i + j], own[i], factor);
        }
#pragma GCC unroll 4
        for (int i = 0; i < TILE; ++i) {
            if (wanted(part, i + j + 1)) c.high[i + j] = _mm512_madd52hi_epu64(c.high[i + j], own[i], factor);
        }
    }
}

// The products x_i * x_j, i < j, of a tile with itself; and its squares x_i^2.
VFL_INLINE void add_cross_terms(Columns& c, const word* x, int xi) {
#pragma GCC unroll 4
    for (int j = 1; j < TILE; ++j) {
        const V factor = load(x, xi + j);
#pragma GCC unroll 4
        for (int i = 0; i < j; ++i) {
            c.low[i + j] = _mm512_madd52lo_epu64(c.low[i + j], load(x, xi + i), factor);
            c.high[i + j] = _mm512_madd52hi_epu64(c.high[i + j], load(x, xi + i), factor);
        }
    }
}

VFL_INLINE void add_squares(Columns& c, const word* x, int xi) {
#pragma GCC unroll 4
    for (int i = 0; i < TILE; ++i) {
        c.low[2 * i] = _mm512_madd52lo_epu64(c.low[2 * i], load(x, xi + i), load(x, xi + i));
        c.high[2 * i] = _mm512_madd52hi_epu64(c.high[2 * i], load(x, xi + i), load(x, xi + i));
    }
}

// sum[0..7] += columns, and the columns are cleared.
VFL_INLINE void settle(V* sum, Columns& c) {
#pragma GCC unroll 8
    for (int i = 0; i < 2 * TILE - 1; ++i) {
        sum[i] = _mm512_add_epi64(sum[i], c.low[i]);
        sum[i + 1] = _mm512_add_epi64(sum[i + 1], c.high[i]);
    }
    clear(c);
}

VFL_INLINE void settle_twice(V* sum, Columns& c) {
#pragma GCC unroll 8
    for (int i = 0; i < 2 * TILE - 1; ++i) {
        sum[i] = _mm512_add_epi64(sum[i], _mm512_add_epi64(c.low[i], c.low[i]));
        sum[i + 1] = _mm512_add_epi64(sum[i + 1], _mm512_add_epi64(c.high[i], c.high[i]));
    }
    clear(c);
}

// Four quotient digits q = (sum * n') mod 2^52, each making its column divisible by 2^52; the carry goes up to sum[4].
VFL_INLINE void quotients(V* sum, word* q, int at, const word* n, V n_neg_inv) {
    const V n0 = spread(n, 0), n1 = spread(n, 1), n2 = spread(n, 2), n3 = spread(n, 3), zero = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int i = 0; i < TILE; ++i) {
        const V digit = _mm512_madd52lo_epu64(zero, sum[i], n_neg_inv);
        store(q, at + i, digit);
        sum[i] = _mm512_madd52lo_epu64(sum[i], digit, n0);
        sum[i + 1] = _mm512_add_epi64(_mm512_madd52hi_epu64(sum[i + 1], digit, n0), carry_of(sum[i]));
        sum[i + 1] = _mm512_madd52lo_epu64(sum[i + 1], digit, n1);
        sum[i + 2] = _mm512_madd52hi_epu64(sum[i + 2], digit, n1);
        sum[i + 2] = _mm512_madd52lo_epu64(sum[i + 2], digit, n2);
        sum[i + 3] = _mm512_madd52hi_epu64(sum[i + 3], digit, n2);
        sum[i + 3] = _mm512_madd52lo_epu64(sum[i + 3], digit, n3);
        sum[i + 4] = _mm512_madd52hi_epu64(sum[i + 4], digit, n3);
    }
}

VFL_INLINE void shift_columns(V* sum) {
#pragma GCC unroll 4
    for (int i = 0; i < TILE; ++i) {
        sum[i] = sum[i + TILE];
        sum[i + TILE] = _mm512_setzero_si512();
    }
}

// What is multiplied: nothing (redc), x*y, x*y + u*v, or x^2.
enum class Terms { none, one, two, square };

template <Terms terms, Second kind>
VFL_INLINE void add_products(V* sum, Columns& c, int first, int last, int diagonal, const word* x, const word* y, const word* u,
                             const word* v) {
    if (terms == Terms::square) {  // what lies off the diagonal counts twice
        int s = first;
        for (; s < diagonal - s; ++s) add_tile<Second::per_lane>(c, x, s * TILE, x, (diagonal - s) * TILE);
        if (s == diagonal - s && s <= last) add_cross_terms(c, x, s * TILE);
        settle_twice(sum, c);
        if (s == diagonal - s && s <= last) add_squares(c, x, s * TILE);
        return;
    }
    if (terms == Terms::none) return;
    for (int s = first; s <= last; ++s) {
        add_tile<kind>(c, x, s * TILE, y, (diagonal - s) * TILE);
        if (terms == Terms::two) add_tile<kind>(c, u, s * TILE, v, (diagonal - s) * TILE);
    }
}

// r = (P + A + q*n) / R, where P is the products' sum and A = +-low + R*high; low (digits per lane) and high (one number for
// all lanes) may be null. q (per lane) receives the quotient. r may be x, y, u or v: a tile is written after its last use.
// Range: P < 2^8 * n * R keeps r < 2^8 * n + n + high. `tiles` = digits / 4, a constant in the sizes that matter.
template <Terms terms, Second kind, bool minus>
VFL_INLINE void montgomery(const Modulus& m, int tiles, word* r, word* q, const word* x, const word* y, const word* u, const word* v,
                           const word* low, const word* high) {
    const word* n = m.n.data();
    const V n_neg_inv = _mm512_set1_epi64(static_cast<long long>(m.n_neg_inv));
    V sum[2 * TILE];
    Columns c;
    clear(c);
#pragma GCC unroll 8
    for (int i = 0; i < 2 * TILE; ++i) sum[i] = _mm512_setzero_si512();
    for (int diagonal = 0; diagonal < tiles; ++diagonal) {
        add_products<terms, kind>(sum, c, 0, diagonal, diagonal, x, y, u, v);
        for (int s = 0; s < diagonal; ++s) add_tile<Second::broadcast>(c, q, s * TILE, n, (diagonal - s) * TILE);
        if (low) {
#pragma GCC unroll 4
            for (int i = 0; i < TILE; ++i) {
                const V digit = load(low, diagonal * TILE + i);
                sum[i] = minus ? _mm512_sub_epi64(sum[i], digit) : _mm512_add_epi64(sum[i], digit);
            }
        }
        settle(sum, c);
        quotients(sum, q, diagonal * TILE, n, n_neg_inv);
        shift_columns(sum);
    }
    V carry = _mm512_setzero_si512();
    for (int diagonal = tiles; diagonal < 2 * tiles; ++diagonal) {
        add_products<terms, kind>(sum, c, diagonal - tiles + 1, tiles - 1, diagonal, x, y, u, v);
        for (int s = diagonal - tiles + 1; s < tiles; ++s) add_tile<Second::broadcast>(c, q, s * TILE, n, (diagonal - s) * TILE);
        settle(sum, c);
#pragma GCC unroll 4
        for (int i = 0; i < TILE; ++i) {
            const int digit = (diagonal - tiles) * TILE + i;
            V total = _mm512_add_epi64(sum[i], carry);
            if (high) total = _mm512_add_epi64(total, spread(high, digit));
            carry = carry_of(total);
            store(r, digit, low_digit(total));
        }
        shift_columns(sum);
    }
    VFL_CHECK(_mm512_test_epi64_mask(carry, carry) == 0);
}

// q = floor(x*y / R) or one less: columns from digits-1 on, so that what is left out is below R (digits < 2^44).
template <Second kind>
VFL_INLINE void high_product(int tiles, word* q, const word* x, const word* y) {
    V sum[2 * TILE];
    Columns c;
    clear(c);
#pragma GCC unroll 8
    for (int i = 0; i < 2 * TILE; ++i) sum[i] = _mm512_setzero_si512();
    for (int s = 0; s + 1 < tiles; ++s) {  // column digits-1 has one high half of the diagonal before it
        const int last = (tiles - 1 - s) * TILE - 1;
        const V factor = kind == Second::broadcast ? spread(y, last) : load(y, last);
        c.high[TILE - 2] = _mm512_madd52hi_epu64(c.high[TILE - 2], load(x, (s + 1) * TILE - 1), factor);
    }
    for (int s = 0; s < tiles; ++s) add_tile<kind, Part::high>(c, x, s * TILE, y, (tiles - 1 - s) * TILE);
    settle(sum, c);
    V carry = carry_of(sum[TILE - 1]);
    shift_columns(sum);
    for (int diagonal = tiles; diagonal < 2 * tiles; ++diagonal) {
        for (int s = diagonal - tiles + 1; s < tiles; ++s) add_tile<kind>(c, x, s * TILE, y, (diagonal - s) * TILE);
        settle(sum, c);
#pragma GCC unroll 4
        for (int i = 0; i < TILE; ++i) {
            const V total = _mm512_add_epi64(sum[i], carry);
            carry = carry_of(total);
            store(q, (diagonal - tiles) * TILE + i, low_digit(total));
        }
        shift_columns(sum);
    }
}

// r = (x*y - q*n + high) mod R, with -n as R - n; `high` (digits per lane) may be null. r is none of the operands.
template <Second kind>
VFL_INLINE void remainder(const Modulus& m, int tiles, word* r, const word* x, const word* y, const word* q, const word* high) {
    const word* minus_n = m.complement.data();
    V sum[2 * TILE], carry = _mm512_setzero_si512();
    Columns c;
    clear(c);
#pragma GCC unroll 8
    for (int i = 0; i < 2 * TILE; ++i) sum[i] = _mm512_setzero_si512();
    for (int diagonal = 0; diagonal < tiles; ++diagonal) {
        if (diagonal + 1 < tiles) {
            for (int s = 0; s <= diagonal; ++s) {
                add_tile<kind>(c, x, s * TILE, y, (diagonal - s) * TILE);
                add_tile<Second::broadcast>(c, q, s * TILE, minus_n, (diagonal - s) * TILE);
            }
        } else {
            for (int s = 0; s <= diagonal; ++s) {
                add_tile<kind, Part::low>(c, x, s * TILE, y, (diagonal - s) * TILE);
                add_tile<Second::broadcast, Part::low>(c, q, s * TILE, minus_n, (diagonal - s) * TILE);
            }
        }
        settle(sum, c);
#pragma GCC unroll 4
        for (int i = 0; i < TILE; ++i) {
            V total = _mm512_add_epi64(sum[i], carry);
            if (high) total = _mm512_add_epi64(total, load(high, diagonal * TILE + i));
            carry = carry_of(total);
            store(r, diagonal * TILE + i, low_digit(total));
        }
        shift_columns(sum);
    }
}

}  // namespace
}  // namespace vfl

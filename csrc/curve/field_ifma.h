// Field elements modulo p = 2^255 - 19, eight side by side: five digits of radix 2^51 in AVX-512 IFMA registers. Only curve_ifma.cpp includes it.
//
// A multiply-add reads the low 52 bits of its factors, so every operand is tight (digits below 2^51 + 2^15): sums and differences are carried
// at once. Its high half has weight 2^52 = 2 * 2^51 and is doubled where columns are put together. README.md §8 has the ranges.
#pragma once

#include <immintrin.h>

#include "curve/curve.h"

#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 warns of the vectors that its own header leaves undefined on purpose
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

// The attribute stands on every function and the build has no -mavx512 flag (paillier/ifma_products.h).
#ifndef VFL_IFMA  // given where the instructions are emulated
#define VFL_IFMA __attribute__((target("avx512f,avx512ifma")))
#define VFL_INLINE VFL_IFMA inline __attribute__((always_inline))
#endif

namespace vfl {
namespace {

struct Field {
    using V = __m512i;
    struct Element {
        V v[DIGITS];
    };
    using Mask = unsigned;  // a bit a lane
    using Words = V;
    static constexpr int lanes = 8;

    VFL_INLINE static V word_of(word x) { return _mm512_set1_epi64(static_cast<long long>(x)); }
    VFL_INLINE static V low(V x) { return _mm512_and_si512(x, word_of((word{1} << FIELD_RADIX) - 1)); }
    VFL_INLINE static V high(V x) { return _mm512_srli_epi64(x, FIELD_RADIX); }
    VFL_INLINE static V times_19(V x) { return _mm512_add_epi64(x, _mm512_add_epi64(_mm512_slli_epi64(x, 1), _mm512_slli_epi64(x, 4))); }

    VFL_INLINE static Words load_words(const word* block) { return _mm512_loadu_si512(block); }
    VFL_INLINE static Element load(const word* block, int at = 0) {
        Element r;
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) r.v[i] = load_words(block + (at * DIGITS + i) * lanes);
        return r;
    }
    VFL_INLINE static void store(word* block, int at, const Element& x) {
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) _mm512_storeu_si512(block + (at * DIGITS + i) * lanes, x.v[i]);
    }
    VFL_INLINE static Element spread(const word* row) { return {{word_of(row[0]), word_of(row[1]), word_of(row[2]), word_of(row[3]), word_of(row[4])}}; }
    VFL_INLINE static Element small(word value) {
        const V zero = _mm512_setzero_si512();
        return {{word_of(value), zero, zero, zero, zero}};
    }

    VFL_IFMA static void check_tight([[maybe_unused]] const Element& x) {
#ifdef VFL_VERIFY
        word digits[DIGITS * lanes];
        store(digits, 0, x);
        for (word digit : digits) VFL_CHECK(digit < (word{1} << FIELD_RADIX) + (word{1} << 15));
#endif
    }

    // Tight, for digits below 2^61: the carry into digit 0 is below 19 * 2^10, into the others below 2^10.
    VFL_INLINE static Element pass(const Element& a) {
        Element r;
        r.v[0] = _mm512_add_epi64(low(a.v[0]), times_19(high(a.v[4])));
#pragma GCC unroll 4
        for (int i = 1; i < DIGITS; ++i) r.v[i] = _mm512_add_epi64(low(a.v[i]), high(a.v[i - 1]));
        check_tight(r);
        return r;
    }
    VFL_INLINE static Element carried(const Element& a) { return a; }  // sums and differences are tight already

    VFL_INLINE static Element add(const Element& a, const Element& b) {
        Element r;
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) r.v[i] = _mm512_add_epi64(a.v[i], b.v[i]);
        return pass(r);
    }
    // a + 2p - b, whose digits 2^52 - 38 and 2^52 - 2 are above those of b.
    VFL_INLINE static Element sub(const Element& a, const Element& b) {
        Element r;
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) {
            r.v[i] = _mm512_sub_epi64(_mm512_add_epi64(a.v[i], word_of((word{1} << 52) - (i ? 2 : 38))), b.v[i]);
        }
        return pass(r);
    }
    VFL_INLINE static Element negate(const Element& a) { return sub(small(0), a); }

    // Columns of low and of high halves: below 5 * 2^52 each, so that a column is below 15 * 2^52 and with 19 times another below 2^61.
    VFL_INLINE static Element folded(const V* lows, const V* highs) {
        V column[2 * DIGITS];
        column[0] = lows[0];
#pragma GCC unroll 8
        for (int k = 1; k < 2 * DIGITS - 1; ++k) column[k] = _mm512_add_epi64(lows[k], _mm512_slli_epi64(highs[k - 1], 1));
        column[2 * DIGITS - 1] = _mm512_slli_epi64(highs[2 * DIGITS - 2], 1);
        Element r;
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) r.v[i] = _mm512_add_epi64(column[i], times_19(column[i + DIGITS]));
        return pass(r);
    }

    VFL_INLINE static Element mul(const Element& a, const Element& b) {
        V lows[2 * DIGITS - 1], highs[2 * DIGITS - 1];
#pragma GCC unroll 9
        for (int k = 0; k < 2 * DIGITS - 1; ++k) lows[k] = highs[k] = _mm512_setzero_si512();
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) {
#pragma GCC unroll 5
            for (int j = 0; j < DIGITS; ++j) {
                lows[i + j] = _mm512_madd52lo_epu64(lows[i + j], a.v[i], b.v[j]);
                highs[i + j] = _mm512_madd52hi_epu64(highs[i + j], a.v[i], b.v[j]);
            }
        }
        return folded(lows, highs);
    }

    // Products of different digits once, and doubled.
    VFL_INLINE static Element sqr(const Element& a) {
        V lows[2 * DIGITS - 1], highs[2 * DIGITS - 1];
#pragma GCC unroll 9
        for (int k = 0; k < 2 * DIGITS - 1; ++k) lows[k] = highs[k] = _mm512_setzero_si512();
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) {
#pragma GCC unroll 5
            for (int j = i + 1; j < DIGITS; ++j) {
                lows[i + j] = _mm512_madd52lo_epu64(lows[i + j], a.v[i], a.v[j]);
                highs[i + j] = _mm512_madd52hi_epu64(highs[i + j], a.v[i], a.v[j]);
            }
        }
#pragma GCC unroll 9
        for (int k = 0; k < 2 * DIGITS - 1; ++k) lows[k] = _mm512_slli_epi64(lows[k], 1), highs[k] = _mm512_slli_epi64(highs[k], 1);
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) {
            lows[2 * i] = _mm512_madd52lo_epu64(lows[2 * i], a.v[i], a.v[i]);
            highs[2 * i] = _mm512_madd52hi_epu64(highs[2 * i], a.v[i], a.v[i]);
        }
        return folded(lows, highs);
    }

    // Digits in [0, 2^51) of the residue in [0, p).
    VFL_IFMA static Element canonical(const Element& a) {
        Element r = pass(pass(a));  // below 2p
        V carry = word_of(19);      // r + 19 reaches 2^255 where r >= p
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) carry = high(_mm512_add_epi64(r.v[i], carry));
        carry = times_19(carry);
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) {
            const V digit = _mm512_add_epi64(r.v[i], carry);
            carry = high(digit);
            r.v[i] = low(digit);
        }
        return r;
    }

    VFL_INLINE static V any(const Element& a) {
        return _mm512_or_si512(_mm512_or_si512(_mm512_or_si512(a.v[0], a.v[1]), _mm512_or_si512(a.v[2], a.v[3])), a.v[4]);
    }
    VFL_INLINE static Mask equals(Words x, word y) { return _mm512_cmpeq_epi64_mask(x, word_of(y)); }
    VFL_INLINE static Mask is_zero(const Element& a) { return equals(any(canonical(a)), 0); }
    VFL_INLINE static Mask is_odd(const Element& a) { return _mm512_test_epi64_mask(canonical(a).v[0], word_of(1)); }
    VFL_INLINE static Element select(Mask mask, const Element& yes, const Element& no) {
        Element r;
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) r.v[i] = _mm512_mask_blend_epi64(static_cast<__mmask8>(mask), no.v[i], yes.v[i]);
        return r;
    }
    VFL_INLINE static Mask load_mask(const word* x) { return _mm512_test_epi64_mask(load_words(x), word_of(~word{0})); }
    VFL_INLINE static void store_mask(word* x, Mask mask) { _mm512_storeu_si512(x, _mm512_maskz_set1_epi64(static_cast<__mmask8>(mask), -1)); }

    // Low 64 bits of the residue.
    VFL_INLINE static void store_key(word* key, const Element& a) {
        const Element c = canonical(a);
        _mm512_storeu_si512(key, _mm512_or_si512(c.v[0], _mm512_slli_epi64(c.v[1], FIELD_RADIX)));
    }

    // The 255 low bits of an encoding; `valid` where it is a canonical field element that is even.
    VFL_INLINE static Element load_code(const word* code, Mask& valid) {
        const Element r = load_residue(code), c = canonical(r);
        V differs = high(_mm512_srli_epi64(load_words(code + 3 * lanes), 12));  // bit 255
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) differs = _mm512_or_si512(differs, _mm512_xor_si512(r.v[i], c.v[i]));
        valid = equals(_mm512_or_si512(differs, _mm512_and_si512(r.v[0], word_of(1))), 0);
        return r;
    }
    // y and the parity of x; `valid` where y is canonical.
    VFL_INLINE static Element load_signed_code(const word* code, Mask& odd, Mask& valid) {
        const Element r = load_residue(code), c = canonical(r);
        V differs = _mm512_setzero_si512();
#pragma GCC unroll 5
        for (int i = 0; i < DIGITS; ++i) differs = _mm512_or_si512(differs, _mm512_xor_si512(r.v[i], c.v[i]));
        valid = equals(differs, 0);
        odd = _mm512_test_epi64_mask(load_words(code + 3 * lanes), word_of(word{1} << 63));
        return r;
    }
    VFL_INLINE static void store_signed_code(word* code, const Element& canonical_digits, Mask odd) {
        store_code(code, canonical_digits);
        const V sign = _mm512_maskz_set1_epi64(static_cast<__mmask8>(odd), static_cast<long long>(word{1} << 63));
        _mm512_storeu_si512(code + 3 * lanes, _mm512_or_si512(load_words(code + 3 * lanes), sign));
    }
    VFL_INLINE static Element load_residue(const word* code) {
        const V w0 = load_words(code), w1 = load_words(code + lanes), w2 = load_words(code + 2 * lanes), w3 = load_words(code + 3 * lanes);
        return {{low(w0), low(_mm512_or_si512(_mm512_srli_epi64(w0, 51), _mm512_slli_epi64(w1, 13))),
                 low(_mm512_or_si512(_mm512_srli_epi64(w1, 38), _mm512_slli_epi64(w2, 26))),
                 low(_mm512_or_si512(_mm512_srli_epi64(w2, 25), _mm512_slli_epi64(w3, 39))), low(_mm512_srli_epi64(w3, 12))}};
    }
    VFL_INLINE static void store_code(word* code, const Element& c) {
        _mm512_storeu_si512(code, _mm512_or_si512(c.v[0], _mm512_slli_epi64(c.v[1], 51)));
        _mm512_storeu_si512(code + lanes, _mm512_or_si512(_mm512_srli_epi64(c.v[1], 13), _mm512_slli_epi64(c.v[2], 38)));
        _mm512_storeu_si512(code + 2 * lanes, _mm512_or_si512(_mm512_srli_epi64(c.v[2], 26), _mm512_slli_epi64(c.v[3], 25)));
        _mm512_storeu_si512(code + 3 * lanes, _mm512_or_si512(_mm512_srli_epi64(c.v[3], 39), _mm512_slli_epi64(c.v[4], 12)));
    }
};

}  // namespace
}  // namespace vfl

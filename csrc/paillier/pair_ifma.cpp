// AVX-512 IFMA kernel: what pair.h asks for, 8 pairs side by side. Its products are in ifma_products.h.
#include "paillier/pair.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <cstddef>
#include <cstdint>

#include "paillier/ifma_products.h"

namespace vfl {

bool cpu_has_ifma();  // dispatch.cpp

namespace {

using Block = word[MAX_DIGITS * LANES];

#ifdef VFL_VERIFY
// Digits below 2^52, and the number below 2^8 * R / 2^12 < R/16 whatever n is.
VFL_IFMA void check_digits(const Modulus& m, const word* a) {
    for (int i = 0; i < m.digits * LANES; ++i) VFL_CHECK(a[i] >> RADIX == 0);
    for (int lane = 0; lane < LANES; ++lane) VFL_CHECK(a[(m.digits - 1) * LANES + lane] >> (RADIX - 4) == 0);
}
#else
inline void check_digits(const Modulus&, const word*) {}
#endif

VFL_INLINE void copy(word* r, const word* x, int digits) {
    for (int i = 0; i < digits; ++i) store(r, i, load(x, i));
}

// T0 -> r0 needs a0 and b0 until T1 is done, so it waits in a block of its own.
template <int known>
VFL_IFMA void mul_n(const Modulus& m, word* r, const word* a, const word* b) {
    const int tiles = known ? known : m.digits / TILE, component = tiles * TILE * LANES;
    alignas(64) Block t0, q, unused;
    montgomery<Terms::one, Second::per_lane, false>(m, tiles, t0, q, a, b, nullptr, nullptr, nullptr, nullptr);
    montgomery<Terms::two, Second::per_lane, true>(m, tiles, r + component, unused, a, b + component, a + component, b, q, m.n.data());
    copy(r, t0, tiles * TILE);
}

template <int known>
VFL_IFMA void sqr_n(const Modulus& m, word* r, const word* a) {
    const int tiles = known ? known : m.digits / TILE, component = tiles * TILE * LANES;
    alignas(64) Block t0, q, unused, twice;
    montgomery<Terms::square, Second::per_lane, false>(m, tiles, t0, q, a, a, nullptr, nullptr, nullptr, nullptr);
    V carry = _mm512_setzero_si512();
    for (int i = 0; i < tiles * TILE; ++i) {  // 2*a0 < R/8
        const V total = _mm512_add_epi64(_mm512_add_epi64(load(a, i), load(a, i)), carry);
        carry = carry_of(total);
        store(twice, i, low_digit(total));
    }
    montgomery<Terms::one, Second::per_lane, true>(m, tiles, r + component, unused, twice, a + component, nullptr, nullptr, q, m.n.data());
    copy(r, t0, tiles * TILE);
}

template <int known>
VFL_IFMA void mul_residue_n(const Modulus& m, word* r, const word* a, const word* b) {
    const int tiles = known ? known : m.digits / TILE, component = tiles * TILE * LANES;
    alignas(64) Block t0, q, unused;
    montgomery<Terms::one, Second::per_lane, false>(m, tiles, t0, q, a, b, nullptr, nullptr, nullptr, nullptr);
    montgomery<Terms::one, Second::per_lane, true>(m, tiles, r + component, unused, a + component, b, nullptr, nullptr, q, m.n.data());
    copy(r, t0, tiles * TILE);
}

template <int known>
VFL_IFMA void redc_n(const Modulus& m, word* r, const word* a) {
    const int tiles = known ? known : m.digits / TILE, component = tiles * TILE * LANES;
    alignas(64) Block t0, t1, q, unused;
    montgomery<Terms::none, Second::per_lane, false>(m, tiles, t0, q, a, a, nullptr, nullptr, a, nullptr);
    copy(t1, a + component, tiles * TILE);
    // T1 = a1 - m: one addend is a1, the other takes the place of the product
    for (int i = 0; i < tiles * TILE; ++i) store(t1, i, _mm512_sub_epi64(load(t1, i), load(q, i)));
    montgomery<Terms::none, Second::per_lane, false>(m, tiles, r + component, unused, t1, t1, nullptr, nullptr, t1, m.n.data());
    copy(r, t0, tiles * TILE);
}

template <int known>
VFL_IFMA void redc_mul_n(const Modulus& m, word* r, const word* a, const word* b) {
    const int tiles = known ? known : m.digits / TILE;
    alignas(64) Block q;
    montgomery<Terms::one, Second::per_lane, false>(m, tiles, r, q, a, b, nullptr, nullptr, nullptr, nullptr);
}

// factor: digits of b, then those of floor(b*R/n); per lane in block form, or one row for all lanes.
template <int known, Second kind>
VFL_INLINE void mul_factor_of(const Modulus& m, word* r, const word* a, const word* factor) {
    const int tiles = known ? known : m.digits / TILE, component = tiles * TILE * LANES;
    const word* quotient = factor + (kind == Second::broadcast ? tiles * TILE : component);
    alignas(64) Block q0, q1;
    high_product<kind>(tiles, q0, a, quotient);
    remainder<kind>(m, tiles, r, a, factor, q0, nullptr);
    high_product<kind>(tiles, q1, a + component, quotient);
    remainder<kind>(m, tiles, r + component, a + component, factor, q1, q0);
}

template <int known>
VFL_IFMA void mul_factor_n(const Modulus& m, word* r, const word* a, const word* factor) {
    mul_factor_of<known, Second::per_lane>(m, r, a, factor);
}

template <int known>
VFL_IFMA void mul_factor_broadcast_n(const Modulus& m, word* r, const word* a, const word* factor) {
    mul_factor_of<known, Second::broadcast>(m, r, a, factor);
}

// (a + q*n) / R and q: with a = b*R mod n the first is b, and q = (b*R - a) / n = floor(b*R/n) because q < R.
template <int known>
VFL_IFMA void factor_n(const Modulus& m, word* factor, const word* a) {
    const int tiles = known ? known : m.digits / TILE, component = tiles * TILE * LANES;
    montgomery<Terms::none, Second::per_lane, false>(m, tiles, factor, factor + component, a, a, nullptr, nullptr, a, nullptr);
}

// The tile counts in use as constants, so that the loops over them are compiled for each; any other length takes the last line.
#define VFL_FOR_TILES(m, function, ...)                 \
    switch ((m).digits / TILE) {                        \
        case 5: return function<5>(__VA_ARGS__);        \
        case 8: return function<8>(__VA_ARGS__);        \
        case 10: return function<10>(__VA_ARGS__);      \
        case 15: return function<15>(__VA_ARGS__);      \
        case 20: return function<20>(__VA_ARGS__);      \
        default: return function<0>(__VA_ARGS__);       \
    }

void check_pair(const Modulus& m, const word* a) {
    check_digits(m, a);
    check_digits(m, a + m.digits * LANES);
}

void mul(const Modulus& m, word* r, const word* a, const word* b) {
    check_pair(m, a), check_pair(m, b);
    VFL_FOR_TILES(m, mul_n, m, r, a, b)
}

void sqr(const Modulus& m, word* r, const word* a) {
    check_pair(m, a);
    VFL_FOR_TILES(m, sqr_n, m, r, a)
}

void mul_residue(const Modulus& m, word* r, const word* a, const word* b) {
    check_pair(m, a), check_digits(m, b);
    VFL_FOR_TILES(m, mul_residue_n, m, r, a, b)
}

// Digits of a whole R, as a quotient may have; and of b, which is below n.
void mul_factor(const Modulus& m, word* r, const word* a, const word* factor) {
    check_pair(m, a), check_digits(m, factor);
    VFL_FOR_TILES(m, mul_factor_n, m, r, a, factor)
}

void mul_factor_broadcast(const Modulus& m, word* r, const word* a, const word* factor) {
    check_pair(m, a);
    VFL_FOR_TILES(m, mul_factor_broadcast_n, m, r, a, factor)
}

void factor_of(const Modulus& m, word* factor, const word* a) {
    check_digits(m, a);
    VFL_FOR_TILES(m, factor_n, m, factor, a)
}

void redc(const Modulus& m, word* r, const word* a) {
    check_pair(m, a);
    VFL_FOR_TILES(m, redc_n, m, r, a)
}

void redc_mul(const Modulus& m, word* r, const word* a, const word* b) {
    check_digits(m, a);
    VFL_FOR_TILES(m, redc_mul_n, m, r, a, b)
}

VFL_IFMA void add(const Modulus& m, word* r, const word* a, const word* b) {
    V carry = _mm512_setzero_si512();
    for (int i = 0; i < m.digits; ++i) {
        const V total = _mm512_add_epi64(_mm512_add_epi64(load(a, i), load(b, i)), carry);
        carry = carry_of(total);
        store(r, i, low_digit(total));
    }
    VFL_CHECK(_mm512_test_epi64_mask(carry, carry) == 0);
}

VFL_IFMA void negate(const Modulus& m, word* r, const word* a) {
    V carry = _mm512_setzero_si512();
    for (int i = 0; i < m.digits; ++i) {
        const V multiple = _mm512_slli_epi64(spread(m.n.data(), i), 2);
        const V total = _mm512_add_epi64(_mm512_sub_epi64(multiple, load(a, i)), carry);
        carry = carry_of(total);
        store(r, i, low_digit(total));
    }
    VFL_CHECK(_mm512_test_epi64_mask(carry, carry) == 0);
}

// x -= multiple of n by 2^shift in the lanes where that leaves no negative number; there `taken` grows by 2^shift.
template <unsigned shift>
VFL_INLINE void subtract_where_it_fits(const Modulus& m, word* x, V& taken) {
    alignas(64) word difference[MAX_DIGITS * LANES];
    V borrow = _mm512_setzero_si512();
    for (int i = 0; i < m.digits; ++i) {
        const V total = _mm512_add_epi64(_mm512_sub_epi64(load(x, i), _mm512_slli_epi64(spread(m.n.data(), i), shift)), borrow);
        borrow = carry_of(total);
        store(difference, i, low_digit(total));
    }
    const __mmask8 keep = _mm512_cmplt_epi64_mask(borrow, _mm512_setzero_si512());
    for (int i = 0; i < m.digits; ++i) store(x, i, _mm512_mask_blend_epi64(keep, load(difference, i), load(x, i)));
    taken = _mm512_mask_blend_epi64(keep, _mm512_add_epi64(taken, _mm512_set1_epi64(1LL << shift)), taken);
}

// sum[0..left+right) = x * y, digits normalised; x per lane, y per lane or the same in all of them.
template <int left, int right>
VFL_INLINE void short_product(V* sum, const V* x, const V* y) {
#pragma GCC unroll 8
    for (int i = 0; i < left + right; ++i) sum[i] = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int i = 0; i < left; ++i) {
#pragma GCC unroll 4
        for (int j = 0; j < right; ++j) {
            sum[i + j] = _mm512_madd52lo_epu64(sum[i + j], x[i], y[j]);
            sum[i + j + 1] = _mm512_madd52hi_epu64(sum[i + j + 1], x[i], y[j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i + 1 < left + right; ++i) {
        sum[i + 1] = _mm512_add_epi64(sum[i + 1], carry_of(sum[i]));
        sum[i] = low_digit(sum[i]);
    }
}

// The quotient is that of x's upper digits by n, to two digits behind the point, times s.
VFL_IFMA void add_multiple(const Modulus& m, word* r, const word* x, const word* s) {
    check_digits(m, r), check_digits(m, x);
    const int t = m.used_digits();
    const word *minus_n = m.complement.data(), *reciprocal = m.reciprocal.data();
    const V zero = _mm512_setzero_si512(), factor = load(s, 0), s2[2] = {low_digit(factor), _mm512_srli_epi64(factor, RADIX)};
    const V top[4] = {load(x, t - 3), load(x, t - 2), load(x, t - 1), t < m.digits ? load(x, t) : zero};
    const V inverse[3] = {spread(reciprocal, 0), spread(reciprocal, 1), spread(reciprocal, 2)};
    V ratio[7], product[5];
    short_product<4, 3>(ratio, top, inverse);           // x * B^2 / n from digit 3 on
    short_product<2, 3>(product, s2, ratio + 3);        // its product with s: the quotient from digit 2 on
    const V q0 = product[2], q1 = product[3];
    V carry = zero, x1 = zero, x2 = zero, n1 = zero, n2 = zero;  // the digits one and two below
    for (int i = 0; i < m.digits; ++i) {
        const V x0 = load(x, i), n0 = spread(minus_n, i);
        V total = _mm512_add_epi64(load(r, i), carry), other = _mm512_madd52lo_epu64(zero, n0, q0);
        total = _mm512_madd52hi_epu64(_mm512_madd52lo_epu64(total, x0, s2[0]), x1, s2[0]);
        other = _mm512_madd52hi_epu64(other, n1, q0);
        total = _mm512_madd52hi_epu64(_mm512_madd52lo_epu64(total, x1, s2[1]), x2, s2[1]);
        other = _mm512_madd52hi_epu64(_mm512_madd52lo_epu64(other, n1, q1), n2, q1);
        total = _mm512_add_epi64(total, other);
        carry = carry_of(total);
        store(r, i, low_digit(total));
        x2 = x1, x1 = x0, n2 = n1, n1 = n0;
    }
    V taken = zero;
    subtract_where_it_fits<3>(m, r, taken);
    subtract_where_it_fits<2>(m, r, taken);
    check_digits(m, r);
}

VFL_IFMA void canonical(const Modulus& m, word* r, const word* add, word* taken) {
    check_digits(m, r);
    V carry = add ? load(add, 0) : _mm512_setzero_si512(), count = _mm512_setzero_si512();
    for (int i = 0; i < m.digits; ++i) {
        const V total = _mm512_add_epi64(load(r, i), carry);
        carry = carry_of(total);
        store(r, i, low_digit(total));
    }
    subtract_where_it_fits<3>(m, r, count);
    subtract_where_it_fits<2>(m, r, count);
    subtract_where_it_fits<1>(m, r, count);
    subtract_where_it_fits<0>(m, r, count);
    if (taken) store(taken, 0, count);
}

// out = table[chosen], every entry read: acc |= entry & mask, 16 registers at a time.
VFL_IFMA void pick(word* out, const word* table, int entries, std::size_t words, word chosen) {
    constexpr int WIDTH = 16;
    for (std::size_t at = 0; at < words; at += WIDTH * LANES) {
        const int vectors = static_cast<int>(words - at < WIDTH * LANES ? (words - at) / LANES : WIDTH);
        V acc[WIDTH];
#pragma GCC unroll 16
        for (int i = 0; i < WIDTH; ++i) acc[i] = _mm512_setzero_si512();
        for (int entry = 0; entry < entries; ++entry) {
            const V mask = _mm512_set1_epi64(static_cast<long long>(mask_if_equal(static_cast<word>(entry), chosen)));
            const word* source = table + static_cast<std::size_t>(entry) * words + at;
            if (vectors == WIDTH) {
#pragma GCC unroll 16
                for (int i = 0; i < WIDTH; ++i) acc[i] = _mm512_ternarylogic_epi64(acc[i], load(source, i), mask, 0xf8);
            } else {
#pragma GCC unroll 16
                for (int i = 0; i < WIDTH; ++i) {
                    if (i < vectors) acc[i] = _mm512_ternarylogic_epi64(acc[i], load(source, i), mask, 0xf8);
                }
            }
        }
#pragma GCC unroll 16
        for (int i = 0; i < WIDTH; ++i) {
            if (i < vectors) store(out + at, i, acc[i]);
        }
    }
}

// `count` multiply-adds that do not wait for each other, rounded up to 16.
VFL_IFMA void multiply_adds(std::size_t count) {
    V acc[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) acc[i] = _mm512_set1_epi64(i);
    for (std::size_t done = 0; done < count; done += 16) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) acc[i] = _mm512_madd52lo_epu64(acc[i], acc[i], acc[i]);
    }
    V all = acc[0];
#pragma GCC unroll 16
    for (int i = 1; i < 16; ++i) all = _mm512_xor_si512(all, acc[i]);
    __asm__ __volatile__("" : : "v"(all));
}

// At most 4094 additions of digits below 2^52 to one below 2^52 stay below 2^64.
VFL_IFMA void accumulate_row(const Modulus& m, word* acc, const word* x) {
    int i = 0;
    for (; i + LANES <= m.digits; i += LANES) {
        _mm512_storeu_si512(acc + i, _mm512_add_epi64(_mm512_loadu_si512(acc + i), _mm512_loadu_si512(x + i)));
    }
    for (; i < m.digits; ++i) acc[i] += x[i];
}

// Normalises the digits. Where R leaves little room above n (1024 bits: 16) it also takes off h * n, h the part above |n| bits,
// until that is 0: each time the excess at least halves. Variable time, for test sizes only: the offered ones leave 32 bits.
void carry_row(const Modulus& m, word* acc) {
    word carry = 0;
    for (int i = 0; i < m.digits; ++i) {
        const word total = acc[i] + carry;
        VFL_CHECK(total >= carry);
        acc[i] = total & ((word{1} << RADIX) - 1);
        carry = total >> RADIX;
    }
    VFL_CHECK(carry == 0);
    const int top = m.used_digits() - 1;
    const int bits = top * RADIX + 64 - __builtin_clzll(m.n[static_cast<std::size_t>(top)] | 1);
    if (m.digits * RADIX - bits >= 32) return;
    for (;;) {
        word excess = acc[top] >> (bits - top * RADIX);
        for (int i = top + 1; i < m.digits; ++i) excess |= acc[i] << (RADIX * (i - top) - (bits - top * RADIX));
        if (!excess) return;
        __extension__ __int128 borrow = 0;
        for (int i = 0; i < m.digits; ++i) {
            const auto total = borrow + acc[i] - static_cast<decltype(borrow)>(excess) * m.n[static_cast<std::size_t>(i)];
            acc[i] = static_cast<word>(total) & ((word{1} << RADIX) - 1);
            borrow = total >> RADIX;
        }
    }
}

VFL_INLINE void transpose(V* v) {
    V pairs[LANES], quads[LANES];
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 2) {
        pairs[i] = _mm512_unpacklo_epi64(v[i], v[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi64(v[i], v[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < LANES; i += 4) {
#pragma GCC unroll 2
        for (int j = 0; j < 2; ++j) {
            quads[i + j] = _mm512_shuffle_i64x2(pairs[i + j], pairs[i + j + 2], 0x88);
            quads[i + j + 2] = _mm512_shuffle_i64x2(pairs[i + j], pairs[i + j + 2], 0xdd);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        v[i] = _mm512_shuffle_i64x2(quads[i], quads[i + 4], 0x88);
        v[i + 4] = _mm512_shuffle_i64x2(quads[i], quads[i + 4], 0xdd);
    }
}

VFL_IFMA void gather(word* block, const word* const* rows, int words) {
    for (int at = 0; at < words; at += LANES) {
        const __mmask8 mask = static_cast<__mmask8>(words - at >= LANES ? 0xff : (1 << (words - at)) - 1);
        V v[LANES];
#pragma GCC unroll 8
        for (int lane = 0; lane < LANES; ++lane) v[lane] = _mm512_maskz_loadu_epi64(mask, rows[lane] + at);
        transpose(v);
#pragma GCC unroll 8
        for (int i = 0; i < LANES; ++i) {
            if (mask >> i & 1) store(block, at + i, v[i]);
        }
    }
}

VFL_IFMA void scatter(word* const* rows, const word* block, int words) {
    for (int at = 0; at < words; at += LANES) {
        const __mmask8 mask = static_cast<__mmask8>(words - at >= LANES ? 0xff : (1 << (words - at)) - 1);
        V v[LANES];
#pragma GCC unroll 8
        for (int i = 0; i < LANES; ++i) v[i] = mask >> i & 1 ? load(block, at + i) : _mm512_setzero_si512();
        transpose(v);
#pragma GCC unroll 8
        for (int lane = 0; lane < LANES; ++lane) _mm512_mask_storeu_epi64(rows[lane] + at, mask, v[lane]);
    }
}

// 13 bits above the limbs of n at least, so that an import chunk stays below R/16 and 4094 logarithms below R, in whole tiles.
int digits(int bits) {
    const int whole = (bits + 63) / 64 * 64;
    return ((whole + 13 + RADIX - 1) / RADIX + TILE - 1) / TILE * TILE;
}

}  // namespace

// For the curve's kernel too.
void gather_by_8(word* block, const word* const* rows, int words) { gather(block, rows, words); }
void scatter_by_8(word* const* rows, const word* block, int words) { scatter(rows, block, words); }

extern const Kernel ifma_kernel = {
    "ifma", LANES, RADIX, digits, cpu_has_ifma, mul, sqr, mul_residue, mul_factor, mul_factor_broadcast,
    factor_of, redc, redc_mul, add, negate, add_multiple, canonical, accumulate_row, carry_row, gather, scatter, pick, multiply_adds,
};

}  // namespace vfl

#endif

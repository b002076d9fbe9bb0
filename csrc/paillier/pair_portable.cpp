// Portable kernel: 64-bit limbs, one number at a time; GMP's basecase products where the build found GMP.
//
// digits = limbs + 1, so R = 2^64 * N >= 2^64 * n: nothing needs a final subtraction, and a sum of 2^60 residues still fits.
// All functions are constant time: the GMP calls used are its side-channel silent ones and addmul_1.
#include <algorithm>
#include <cstring>

#include "paillier/pair.h"

#ifdef VFL_HAVE_GMP
#include <gmp.h>
#endif

namespace vfl {
namespace {

constexpr int MAX_PRODUCT = 2 * MAX_DIGITS + 2;

#ifdef VFL_HAVE_GMP

static_assert(sizeof(mp_limb_t) == sizeof(word) && GMP_NAIL_BITS == 0, "GMP with 64-bit limbs");

inline mp_limb_t* gmp(word* x) { return reinterpret_cast<mp_limb_t*>(x); }
inline const mp_limb_t* gmp(const word* x) { return reinterpret_cast<const mp_limb_t*>(x); }

inline word addmul(word* acc, const word* b, word a, int n) { return mpn_addmul_1(gmp(acc), gmp(b), n, a); }

inline void multiply(word* r, const word* a, const word* b, int n) {
    mp_limb_t scratch[4 * MAX_DIGITS];
    VFL_CHECK(mpn_sec_mul_itch(n, n) <= 4 * MAX_DIGITS);
    mpn_sec_mul(gmp(r), gmp(a), n, gmp(b), n, scratch);
}

inline void square(word* r, const word* a, int n) {
    mp_limb_t scratch[4 * MAX_DIGITS];
    VFL_CHECK(mpn_sec_sqr_itch(n) <= 4 * MAX_DIGITS);
    mpn_sec_sqr(gmp(r), gmp(a), n, scratch);
}

inline word add_n(word* r, const word* a, const word* b, int n) { return mpn_add_n(gmp(r), gmp(a), gmp(b), n); }

#else

inline word addmul(word* acc, const word* b, word a, int n) {
    word carry = 0;
    for (int i = 0; i < n; ++i) {
        const wide sum = static_cast<wide>(a) * b[i] + acc[i] + carry;
        acc[i] = static_cast<word>(sum);
        carry = static_cast<word>(sum >> 64);
    }
    return carry;
}

inline void multiply(word* r, const word* a, const word* b, int n) {
    std::memset(r, 0, sizeof(word) * static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) r[i + n] = addmul(r + i, a, b[i], n);
}

inline void square(word* r, const word* a, int n) { multiply(r, a, a, n); }

inline word add_n(word* r, const word* a, const word* b, int n) {
    word carry = 0;
    for (int i = 0; i < n; ++i) {
        const wide sum = static_cast<wide>(a[i]) + b[i] + carry;
        r[i] = static_cast<word>(sum);
        carry = static_cast<word>(sum >> 64);
    }
    return carry;
}

#endif

// r = (t + q*n) / R with q = t * n' mod R; t has 2*digits limbs and is destroyed. r <= t/R + n.
inline void reduce(const Modulus& m, word* r, word* t, word* q) {
    const int digits = m.digits;
    for (int i = 0; i < digits; ++i) {
        q[i] = t[i] * m.n_neg_inv;
        t[i] = addmul(t + i, m.n.data(), q[i], digits);  // the limb becomes 0: its place keeps the carry out of limb i+digits-1
    }
    const word carry = add_n(r, t + digits, t, digits);
    VFL_CHECK(carry == 0);
    (void)carry;
}

// t += n*R - q: the carry of the first component into the second, kept non-negative because n*R > q.
inline void subtract_carry(const Modulus& m, word* t, const word* q) {
    add_n(t + m.digits, t + m.digits, m.n.data(), m.digits);
    word borrow = subtract(t, t, q, m.digits);
    for (int i = m.digits; i < 2 * m.digits; ++i) {
        const word old = t[i];
        t[i] = old - borrow;
        borrow = static_cast<word>(old < borrow);
    }
    VFL_CHECK(borrow == 0);
}

inline void check_range(const Modulus& m, const word* a) {
    VFL_CHECK(a[m.digits - 1] < 256 || m.limbs == 1);
    (void)m, (void)a;
}

// The second halves of mul, sqr and mul_residue: both reductions, given T0 and T1 without the carry.
inline void finish(const Modulus& m, word* r, word* t0, word* t1) {
    word q[MAX_DIGITS], unused[MAX_DIGITS];
    reduce(m, r, t0, q);
    subtract_carry(m, t1, q);
    reduce(m, r + m.digits, t1, unused);
}

void mul(const Modulus& m, word* r, const word* a, const word* b) {
    const int digits = m.digits;
    check_range(m, a), check_range(m, a + digits), check_range(m, b), check_range(m, b + digits);
    word t0[MAX_PRODUCT], t1[MAX_PRODUCT], cross[MAX_PRODUCT];
    multiply(t0, a, b, digits);
    multiply(t1, a, b + digits, digits);
    multiply(cross, a + digits, b, digits);
    add_n(t1, t1, cross, 2 * digits);
    finish(m, r, t0, t1);
}

void sqr(const Modulus& m, word* r, const word* a) {
    const int digits = m.digits;
    check_range(m, a), check_range(m, a + digits);
    word t0[MAX_PRODUCT], t1[MAX_PRODUCT];
    square(t0, a, digits);
    multiply(t1, a, a + digits, digits);
    add_n(t1, t1, t1, 2 * digits);
    finish(m, r, t0, t1);
}

void mul_residue(const Modulus& m, word* r, const word* a, const word* b) {
    const int digits = m.digits;
    check_range(m, a), check_range(m, a + digits), check_range(m, b);
    word t0[MAX_PRODUCT], t1[MAX_PRODUCT];
    multiply(t0, a, b, digits);
    multiply(t1, a + digits, b, digits);
    finish(m, r, t0, t1);
}

// q = floor(x*y / R) or one less: columns from digits-2 on, so that what is left out is below R. Needs digits >= 2.
inline void high_product(word* q, const word* x, const word* y, int digits) {
    word acc[MAX_DIGITS + 3] = {0};  // from column digits-2
    for (int i = 0; i < digits; ++i) {
        const int first = std::max(0, digits - 2 - i), size = digits - first, at = first + i - (digits - 2);
        acc[at + size] = addmul(acc + at, x + first, y[i], size);
    }
    std::memcpy(q, acc + 2, sizeof(word) * static_cast<std::size_t>(digits));
}

// r = (x*y - q*n) mod R.
inline void remainder(const Modulus& m, word* r, const word* x, const word* y, const word* q) {
    std::memset(r, 0, sizeof(word) * static_cast<std::size_t>(m.digits));
    for (int i = 0; i < m.digits; ++i) {
        addmul(r + i, x, y[i], m.digits - i);
        addmul(r + i, m.complement.data(), q[i], m.digits - i);
    }
}

void mul_factor(const Modulus& m, word* r, const word* a, const word* factor) {
    const int digits = m.digits;
    check_range(m, a), check_range(m, a + digits);
    word q0[MAX_DIGITS], q1[MAX_DIGITS];
    VFL_CHECK(factor[digits - 1] == 0);  // b < n
    high_product(q0, a, factor + digits, digits);
    high_product(q1, a + digits, factor + digits, digits);
    remainder(m, r, a, factor, q0);
    remainder(m, r + digits, a + digits, factor, q1);
    add_n(r + digits, r + digits, q0, digits);
    check_range(m, r), check_range(m, r + digits);
}

// (a + q*n) / R and q: with a = b*R mod n the first is b, and q = (b*R - a) / n = floor(b*R/n) because q < R.
void factor_of(const Modulus& m, word* factor, const word* a) {
    const std::size_t bytes = sizeof(word) * static_cast<std::size_t>(m.digits);
    word t[MAX_PRODUCT];
    std::memcpy(t, a, bytes);
    std::memset(t + m.digits, 0, bytes);
    reduce(m, factor, t, factor + m.digits);
}

void redc(const Modulus& m, word* r, const word* a) {
    const std::size_t bytes = sizeof(word) * static_cast<std::size_t>(m.digits);
    word t0[MAX_PRODUCT], t1[MAX_PRODUCT];
    std::memcpy(t0, a, bytes);
    std::memset(t0 + m.digits, 0, bytes);
    std::memcpy(t1, a + m.digits, bytes);
    std::memset(t1 + m.digits, 0, bytes);
    finish(m, r, t0, t1);
}

void redc_mul(const Modulus& m, word* r, const word* a, const word* b) {
    check_range(m, a);
    word t[MAX_PRODUCT], q[MAX_DIGITS];
    multiply(t, a, b, m.digits);
    reduce(m, r, t, q);
}

void add(const Modulus& m, word* r, const word* a, const word* b) {
    const word carry = add_n(r, a, b, m.digits);
    VFL_CHECK(carry == 0);
    (void)carry;
}

void negate(const Modulus& m, word* r, const word* a) {
    word multiple[MAX_DIGITS];
    add_n(multiple, m.n.data(), m.n.data(), m.digits);
    add_n(multiple, multiple, multiple, m.digits);
    const word borrow = subtract(r, multiple, a, m.digits);
    VFL_CHECK(borrow == 0);
    (void)borrow;
}

// r -= n * 2^shift where that leaves no negative number; returns 2^shift then, else 0.
inline word subtract_where_it_fits(const Modulus& m, word* r, int shift) {
    word multiple[MAX_DIGITS], difference[MAX_DIGITS], low = 0;
    for (int i = 0; i < m.digits; ++i) {
        const word digit = m.n[static_cast<std::size_t>(i)];
        multiple[i] = digit << shift | low;
        low = shift ? digit >> (64 - shift) : 0;
    }
    const word fits = subtract(difference, r, multiple, m.digits) - 1;  // ~0 when no borrow was left
    select(r, difference, fits, m.digits);
    return (fits & 1) << shift;
}

// The quotient is that of x's upper digits by n, to two digits behind the point, times s.
void add_multiple(const Modulus& m, word* r, const word* x, const word* s) {
    const int t = m.used_digits();
    word ratio[7] = {0}, product[4] = {0};
    for (int j = 0; j < 3; ++j) ratio[j + 4] = addmul(ratio + j, x + t - 3, m.reciprocal[static_cast<std::size_t>(j)], 4);
    product[3] = addmul(product, ratio + 3, *s, 3);
    addmul(r, x, *s, m.digits);
    addmul(r, m.complement.data(), product[2], m.digits);
    addmul(r + 1, m.complement.data(), product[3], m.digits - 1);
    for (int shift : {3, 2}) subtract_where_it_fits(m, r, shift);
}

void canonical(const Modulus& m, word* r, const word* add, word* taken) {
    word count = 0;
    if (add) increment(r, *add, m.digits);
    for (int shift = 4; shift-- > 0;) count += subtract_where_it_fits(m, r, shift);
    if (taken) *taken = count;
}

void accumulate_row(const Modulus& m, word* acc, const word* x) { add_n(acc, acc, x, m.digits); }

void carry_row(const Modulus&, word*) {}

void gather(word* block, const word* const* rows, int words) {
    std::memcpy(block, rows[0], sizeof(word) * static_cast<std::size_t>(words));
}

void scatter(word* const* rows, const word* block, int words) {
    std::memcpy(rows[0], block, sizeof(word) * static_cast<std::size_t>(words));
}

void pick(word* out, const word* table, int entries, std::size_t words, word chosen) {
    std::memset(out, 0, sizeof(word) * words);
    for (int entry = 0; entry < entries; ++entry) {
        const word mask = mask_if_equal(static_cast<word>(entry), chosen);
        const word* source = table + static_cast<std::size_t>(entry) * words;
        for (std::size_t w = 0; w < words; ++w) out[w] |= source[w] & mask;
    }
}

void multiply_adds(std::size_t count) {
    constexpr int LIMBS = 32;
    word acc[LIMBS] = {1}, x[LIMBS] = {3};
    for (std::size_t done = 0; done < count; done += LIMBS) acc[0] ^= addmul(acc, x, done | 1, LIMBS);
    __asm__ __volatile__("" : : "r"(acc[0]));
}

int digits(int bits) { return (bits + 63) / 64 + 1; }

bool supported() { return true; }

}  // namespace

const Kernel portable_kernel = {
    "portable", 1, 64, digits, supported, mul, sqr, mul_residue, mul_factor, mul_factor,
    factor_of, redc, redc_mul, add, negate, add_multiple, canonical, accumulate_row, carry_row, gather, scatter, pick, multiply_adds,
};

}  // namespace vfl

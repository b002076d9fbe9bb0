// Field elements modulo p = 2^255 - 19, one at a time: five digits of radix 2^51, products in 128 bits. Only curve_portable.cpp includes it.
//
// "Tight": digits below 2^51 + 2^13, what products and `carried` give. Operands of products have digits below 2^54: a column is at most
// 5 * 19 * 2^108 < 2^115. README.md §8 has the table. Constant time, all of it.
#pragma once

#include "curve/curve.h"

namespace vfl {
namespace {

struct Field {
    struct Element {
        word v[DIGITS];
    };
    using Mask = word;  // ~0 or 0
    using Words = word;
    static constexpr int lanes = 1;
    static constexpr word LOW = (word{1} << FIELD_RADIX) - 1;

    static Element load(const word* block, int at = 0) { return spread(block + at * DIGITS); }
    static void store(word* block, int at, const Element& x) { std::memcpy(block + at * DIGITS, x.v, sizeof x.v); }
    static Element spread(const word* row) {
        Element x;
        std::memcpy(x.v, row, sizeof x.v);
        return x;
    }
    static Element small(word value) { return {{value, 0, 0, 0, 0}}; }

    static void check([[maybe_unused]] const Element& x, [[maybe_unused]] int bits) {
#ifdef VFL_VERIFY
        for (word digit : x.v) VFL_CHECK(digit >> bits == 0);
#endif
    }
    static void check_tight([[maybe_unused]] const Element& x) {
#ifdef VFL_VERIFY
        for (word digit : x.v) VFL_CHECK(digit < (word{1} << FIELD_RADIX) + (word{1} << 13));
#endif
    }

    // Digits add up: no carry.
    static Element add(const Element& a, const Element& b) {
        Element r;
        for (int i = 0; i < DIGITS; ++i) r.v[i] = a.v[i] + b.v[i];
        return r;
    }
    // a + 4p - b, for b of digits at most those of 4p, 2^53 - 76 and 2^53 - 4.
    static Element sub(const Element& a, const Element& b) {
        constexpr word FIRST = (word{1} << 53) - 76, OTHER = (word{1} << 53) - 4;
        Element r;
        for (int i = 0; i < DIGITS; ++i) {
            VFL_CHECK(b.v[i] <= (i ? OTHER : FIRST));
            r.v[i] = a.v[i] + (i ? OTHER : FIRST) - b.v[i];
        }
        return r;
    }
    static Element negate(const Element& a) { return carried(sub(small(0), a)); }

    // Tight again, for digits below 2^59: the carry into digit 0 is below 19 * 2^8 then, into the others below 2^8.
    static Element carried(const Element& a) {
        Element r;
        word carry = 19 * (a.v[4] >> FIELD_RADIX);
        for (int i = 0; i < DIGITS; ++i) {
            r.v[i] = (a.v[i] & LOW) + carry;
            carry = a.v[i] >> FIELD_RADIX;
        }
        return r;
    }

    static Element mul(const Element& a, const Element& b) {
        check(a, 54), check(b, 54);
        const word *x = a.v, *y = b.v;
        const word y1 = 19 * y[1], y2 = 19 * y[2], y3 = 19 * y[3], y4 = 19 * y[4];
        wide c[DIGITS];
        c[0] = W(x[0]) * y[0] + W(x[1]) * y4 + W(x[2]) * y3 + W(x[3]) * y2 + W(x[4]) * y1;
        c[1] = W(x[0]) * y[1] + W(x[1]) * y[0] + W(x[2]) * y4 + W(x[3]) * y3 + W(x[4]) * y2;
        c[2] = W(x[0]) * y[2] + W(x[1]) * y[1] + W(x[2]) * y[0] + W(x[3]) * y4 + W(x[4]) * y3;
        c[3] = W(x[0]) * y[3] + W(x[1]) * y[2] + W(x[2]) * y[1] + W(x[3]) * y[0] + W(x[4]) * y4;
        c[4] = W(x[0]) * y[4] + W(x[1]) * y[3] + W(x[2]) * y[2] + W(x[3]) * y[1] + W(x[4]) * y[0];
        return reduced(c);
    }

    static Element sqr(const Element& a) {
        check(a, 54);
        const word* x = a.v;
        const word x0 = 2 * x[0], x1 = 2 * x[1], x3 = 19 * x[3], x4 = 19 * x[4];
        wide c[DIGITS];
        c[0] = W(x[0]) * x[0] + W(x1) * x4 + W(2 * x[2]) * x3;
        c[1] = W(x0) * x[1] + W(2 * x[2]) * x4 + W(x[3]) * x3;
        c[2] = W(x0) * x[2] + W(x[1]) * x[1] + W(2 * x[3]) * x4;
        c[3] = W(x0) * x[3] + W(x1) * x[2] + W(x[4]) * x4;
        c[4] = W(x0) * x[4] + W(x1) * x[3] + W(x[2]) * x[2];
        return reduced(c);
    }

    // Digits in [0, 2^51) of the residue in [0, p).
    static Element canonical(const Element& a) {
        Element r = carried(carried(a));  // below 2p
        word carry = 19;                  // r + 19 reaches 2^255 where r >= p
        for (word digit : r.v) carry = (digit + carry) >> FIELD_RADIX;
        carry *= 19;
        for (word& digit : r.v) {
            digit += carry;
            carry = digit >> FIELD_RADIX;
            digit &= LOW;
        }
        return r;
    }

    static Mask is_zero(const Element& a) {
        const Element c = canonical(a);
        return mask_if_equal(c.v[0] | c.v[1] | c.v[2] | c.v[3] | c.v[4], 0);
    }
    static Mask is_odd(const Element& a) { return 0 - (canonical(a).v[0] & 1); }
    static Mask equals(Words x, word y) { return mask_if_equal(x, y); }
    static Element select(Mask mask, const Element& yes, const Element& no) {
        Element r = no;
        vfl::select(r.v, yes.v, mask, DIGITS);
        return r;
    }

    static Words load_words(const word* x) { return *x; }
    static Mask load_mask(const word* x) { return *x; }
    static void store_mask(word* x, Mask mask) { *x = mask; }

    // Low 64 bits of the residue.
    static void store_key(word* key, const Element& a) {
        const Element c = canonical(a);
        *key = c.v[0] | c.v[1] << FIELD_RADIX;
    }

    // The 255 low bits of an encoding; `valid` where it is a canonical field element that is even.
    static Element load_code(const word* code, Mask& valid) {
        const Element r = load_residue(code), c = canonical(r);
        word differs = code[3] >> 63;
        for (int i = 0; i < DIGITS; ++i) differs |= r.v[i] ^ c.v[i];
        valid = mask_if_equal(differs | (r.v[0] & 1), 0);
        return r;
    }
    // y and the parity of x; `valid` where y is canonical.
    static Element load_signed_code(const word* code, Mask& odd, Mask& valid) {
        const Element r = load_residue(code), c = canonical(r);
        word differs = 0;
        for (int i = 0; i < DIGITS; ++i) differs |= r.v[i] ^ c.v[i];
        valid = mask_if_equal(differs, 0);
        odd = 0 - (code[3] >> 63);
        return r;
    }
    static void store_signed_code(word* code, const Element& canonical_digits, Mask odd) {
        store_code(code, canonical_digits);
        code[3] |= odd << 63;
    }
    static Element load_residue(const word* code) {
        Element r;
        const word low[CODE_WORDS] = {code[0], code[1], code[2], code[3] & (~word{0} >> 1)};
        to_digits(r.v, DIGITS, FIELD_RADIX, low, CODE_WORDS);
        return r;
    }
    static void store_code(word* code, const Element& canonical_digits) { to_limbs(code, CODE_WORDS, canonical_digits.v, DIGITS, FIELD_RADIX); }

  private:
    static wide W(word x) { return x; }

    // Columns below 2^115, so that every carry fits a word; the last one into digit 1 is below 19 * 2^60 / 2^51 < 2^14.
    static Element reduced(wide* c) {
        for (int i = 1; i < DIGITS; ++i) {
            c[i] += static_cast<word>(c[i - 1] >> FIELD_RADIX);
            c[i - 1] &= LOW;
        }
        Element r;
        for (int i = 0; i < DIGITS; ++i) r.v[i] = static_cast<word>(c[i]) & LOW;
        const wide top = static_cast<wide>(19) * static_cast<word>(c[4] >> FIELD_RADIX) + r.v[0];
        r.v[0] = static_cast<word>(top) & LOW;
        r.v[1] += static_cast<word>(top >> FIELD_RADIX);
        check_tight(r);
        return r;
    }
};

}  // namespace
}  // namespace vfl

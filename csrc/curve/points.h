// Formulas for points, over any field F of a kernel: each kernel's file includes this once, after it has defined F and VFL_POINT, the
// attribute of its functions. Twisted Edwards, a = -1, extended coordinates (Hisil, Wong, Carter, Dawson 2008); ristretto255 (RFC 9496).
//
// F has Element and Mask, one value a lane; load, store, spread; add and sub, whose results are operands of products only; mul, sqr, carried,
// which are tight; negate, select, is_zero, is_odd, equals. README.md §8 has the ranges.
#pragma once

#include "curve/curve.h"

namespace vfl {
namespace {

constexpr word D2[DIGITS] = {0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff};                  // 2d
constexpr word D[DIGITS] = {0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff};                   // d
constexpr word SQRT_M1[DIGITS] = {0x61b274a0ea0b0, 0xd5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d};              // sqrt(-1)
constexpr word SQRT_AD_MINUS_ONE[DIGITS] = {0x7f6a0497b2e1b, 0x1836f0a97afd2, 0x7d747f6be7638, 0x456079e7e6498, 0x376931bf2b834};   // sqrt(-d - 1)
constexpr word INVSQRT_A_MINUS_D[DIGITS] = {0xfdaa805d40ea, 0x2eb482e57d339, 0x7610274bc58, 0x6510b613dc8ff, 0x786c8905cfaff};      // 1/sqrt(-1 - d)
constexpr word ONE_MINUS_D_SQUARED[DIGITS] = {0x409c1945fc176, 0x719abc6a1fc4f, 0x1c37f90b20684, 0x6bccca55eedf, 0x29072a8b2b3e};   // 1 - d^2
constexpr word D_MINUS_ONE_SQUARED[DIGITS] = {0x55aaa44ed4d20, 0x59603c3332635, 0x26d3baf4a7928, 0x120a66e6997a9, 0x5968b37af66c2};  // (d - 1)^2

constexpr word MONTGOMERY_A = 486662;
constexpr word ORDER[CODE_WORDS] = {0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0, 0x1000000000000000};  // of the prime-order group

template <class F>
struct Point {
    typename F::Element x, y, z, t;
};

// (y + x, y - x, 2dxy) of an affine point.
template <class F>
struct Prepared {
    typename F::Element plus, minus, t2d;
};

// (Y + X, Y - X, 2Z, 2dT): an operand that is no affine point, made ready.
template <class F>
struct Cached {
    typename F::Element plus, minus, z2, t2d;
};

template <class F>
VFL_POINT Point<F> load_point(const word* block) {
    return {F::load(block, 0), F::load(block, 1), F::load(block, 2), F::load(block, 3)};
}

template <class F>
VFL_POINT void store_point(word* block, const Point<F>& p) {
    F::store(block, 0, p.x), F::store(block, 1, p.y), F::store(block, 2, p.z), F::store(block, 3, p.t);
}

template <class F>
VFL_POINT Point<F> identity() {
    return {F::small(0), F::small(1), F::small(1), F::small(0)};
}

// The common end of all additions: E, F, G, H of Hisil et al.
template <class F>
VFL_POINT Point<F> completed(const typename F::Element& e, const typename F::Element& f, const typename F::Element& g,
                             const typename F::Element& h) {
    return {F::mul(e, f), F::mul(g, h), F::mul(f, g), F::mul(e, h)};
}

template <class F>
VFL_POINT Point<F> plus(const Point<F>& p, const Prepared<F>& q) {
    const auto a = F::mul(F::sub(p.y, p.x), q.minus), b = F::mul(F::add(p.y, p.x), q.plus), c = F::mul(p.t, q.t2d);
    const auto d = F::add(p.z, p.z);
    return completed<F>(F::sub(b, a), F::sub(d, c), F::add(d, c), F::add(b, a));
}

template <class F>
VFL_POINT Cached<F> cached(const Point<F>& p) {
    return {F::carried(F::add(p.y, p.x)), F::carried(F::sub(p.y, p.x)), F::carried(F::add(p.z, p.z)), F::mul(p.t, F::spread(D2))};
}

template <class F>
VFL_POINT Point<F> plus(const Point<F>& p, const Cached<F>& q) {
    const auto a = F::mul(F::sub(p.y, p.x), q.minus), b = F::mul(F::add(p.y, p.x), q.plus), c = F::mul(p.t, q.t2d);
    const auto d = F::mul(p.z, q.z2);
    return completed<F>(F::sub(b, a), F::sub(d, c), F::add(d, c), F::add(b, a));
}

// Without T, which a doubling does not read: for one more doubling.
template <class F>
VFL_POINT void double_xyz(Point<F>& p) {
    const auto a = F::sqr(p.x), b = F::sqr(p.y), zz = F::sqr(p.z), s = F::sqr(F::add(p.x, p.y));
    const auto h = F::add(a, b), g = F::sub(a, b), e = F::sub(h, s), f = F::add(F::add(zz, zz), g);
    p.x = F::mul(e, f), p.y = F::mul(g, h), p.z = F::mul(f, g);
}

template <class F>
VFL_POINT Point<F> doubled(const Point<F>& p) {
    const auto a = F::sqr(p.x), b = F::sqr(p.y), zz = F::sqr(p.z), s = F::sqr(F::add(p.x, p.y));
    const auto h = F::add(a, b), g = F::sub(a, b);
    return completed<F>(F::sub(h, s), F::add(F::add(zz, zz), g), g, h);
}

// 16 times the point: the next window of a multiplication.
template <class F>
VFL_POINT Point<F> next_window(Point<F> p) {
    for (int i = 0; i < 3; ++i) double_xyz<F>(p);
    return doubled<F>(p);
}

template <class F>
VFL_POINT Point<F> negated(const Point<F>& p) {
    return {F::negate(p.x), p.y, p.z, F::negate(p.t)};
}

// --- powers of field elements ---------------------------------------------------------------------------------------

template <class F>
VFL_POINT typename F::Element squared(typename F::Element a, int times) {
    for (int i = 0; i < times; ++i) a = F::sqr(a);
    return a;
}

// a^(2^250 - 1), and a^11 on the way.
template <class F>
VFL_POINT typename F::Element power_250(const typename F::Element& a, typename F::Element& a11) {
    const auto a2 = F::sqr(a), a9 = F::mul(a, squared<F>(a2, 2));
    a11 = F::mul(a2, a9);
    const auto b5 = F::mul(a9, F::sqr(a11)), b10 = F::mul(b5, squared<F>(b5, 5)), b20 = F::mul(b10, squared<F>(b10, 10));
    const auto b40 = F::mul(b20, squared<F>(b20, 20)), b50 = F::mul(b10, squared<F>(b40, 10));
    const auto b100 = F::mul(b50, squared<F>(b50, 50)), b200 = F::mul(b100, squared<F>(b100, 100));
    return F::mul(b50, squared<F>(b200, 50));
}

template <class F>
VFL_POINT typename F::Element inverted(const typename F::Element& a) {
    typename F::Element a11;
    const auto top = power_250<F>(a, a11);
    return F::mul(a11, squared<F>(top, 5));  // 2^255 - 32 + 11
}

// a^((p - 5) / 8)
template <class F>
VFL_POINT typename F::Element power_58(const typename F::Element& a) {
    typename F::Element a11;
    return F::mul(a, squared<F>(power_250<F>(a, a11), 2));
}

template <class F>
VFL_POINT typename F::Mask equal_elements(const typename F::Element& a, const typename F::Element& b) {
    return F::is_zero(F::sub(a, b));
}

template <class F>
VFL_POINT typename F::Element absolute(const typename F::Element& a) {
    return F::select(F::is_odd(a), F::negate(a), a);
}

// RFC 9496 section 4.2: sqrt(u/v), not negative, where that is a square (`square` is ~0), else sqrt(sqrt(-1) * u/v).
template <class F>
VFL_POINT typename F::Element sqrt_ratio(const typename F::Element& u, const typename F::Element& v, typename F::Mask& square) {
    const auto i = F::spread(SQRT_M1), v3 = F::mul(F::sqr(v), v), v7 = F::mul(F::sqr(v3), v);
    auto r = F::mul(F::mul(u, v3), power_58<F>(F::mul(u, v7)));
    const auto check = F::mul(v, F::sqr(r)), minus = F::negate(u);
    const auto right = equal_elements<F>(check, u), flipped = equal_elements<F>(check, minus);
    const auto flipped_i = equal_elements<F>(check, F::mul(minus, i));
    r = F::select(flipped | flipped_i, F::mul(r, i), r);
    square = right | flipped;
    return absolute<F>(r);
}

// --- ristretto255 ---------------------------------------------------------------------------------------------------

// RFC 9496 section 4.3.1; `s` below 2^255, of which `valid` says whether it is below p and even.
template <class F>
VFL_POINT Point<F> decoded(const typename F::Element& s, typename F::Mask& valid) {
    const auto one = F::small(1), ss = F::sqr(s), u1 = F::carried(F::sub(one, ss)), u2 = F::carried(F::add(one, ss)), u2u2 = F::sqr(u2);
    const auto v = F::carried(F::sub(F::negate(F::mul(F::spread(D), F::sqr(u1))), u2u2));
    typename F::Mask square;
    const auto inverse = sqrt_ratio<F>(one, F::mul(v, u2u2), square), x_part = F::mul(inverse, u2), y_part = F::mul(F::mul(inverse, x_part), v);
    const auto x = absolute<F>(F::mul(F::add(s, s), x_part)), y = F::mul(u1, y_part), t = F::mul(x, y);
    valid = valid & square & ~F::is_odd(t) & ~F::is_zero(y);
    return {x, y, one, t};
}

// RFC 9496 section 4.3.2; canonical digits.
template <class F>
VFL_POINT typename F::Element encoded(const Point<F>& p) {
    const auto u1 = F::mul(F::add(p.z, p.y), F::sub(p.z, p.y)), u2 = F::mul(p.x, p.y);
    typename F::Mask square;
    const auto inverse = sqrt_ratio<F>(F::small(1), F::mul(u1, F::sqr(u2)), square);
    const auto den1 = F::mul(inverse, u1), den2 = F::mul(inverse, u2), z_inverse = F::mul(F::mul(den1, den2), p.t);
    const auto i = F::spread(SQRT_M1), ix = F::mul(p.x, i), iy = F::mul(p.y, i), enchanted = F::mul(den1, F::spread(INVSQRT_A_MINUS_D));
    const auto rotate = F::is_odd(F::mul(p.t, z_inverse));
    const auto x = F::select(rotate, iy, p.x), den = F::select(rotate, enchanted, den2);
    auto y = F::select(rotate, ix, p.y);
    y = F::select(F::is_odd(F::mul(x, z_inverse)), F::negate(y), y);
    return F::canonical(absolute<F>(F::mul(den, F::sub(p.z, y))));
}

// What the encoding of twice a point is made of: 2P = (e*h, f*g, f*h, e*g) up to a common factor, so its encoding needs the inverse of
// e*f*g*h only, which many points share, and no square root (Hamburg 2015, section 7, and the batched form in RFC 9496's notes).
template <class F>
struct Doubling {
    typename F::Element e, f, g, h;

    VFL_POINT explicit Doubling(const Point<F>& p) {
        const auto xx = F::sqr(p.x), yy = F::sqr(p.y), zz = F::sqr(p.z), xy = F::mul(p.x, p.y), dtt = F::mul(F::spread(D), F::sqr(p.t));
        e = F::carried(F::add(xy, xy)), g = F::carried(F::add(yy, xx));
        f = F::carried(F::add(zz, dtt)), h = F::carried(F::sub(zz, dtt));
    }
    VFL_POINT typename F::Element product() const { return F::mul(F::mul(e, g), F::mul(f, h)); }
};

// The encoding of twice a point by the inverse of `Doubling::product`; canonical digits.
template <class F>
VFL_POINT typename F::Element encoded_double(const Point<F>& p, const typename F::Element& inverse) {
    const Doubling<F> half(p);
    const auto eg = F::mul(half.e, half.g), fh = F::mul(half.f, half.h), z_inverse = F::mul(eg, inverse), t_inverse = F::mul(fh, inverse);
    const auto i = F::spread(SQRT_M1);
    const auto rotate = F::is_odd(F::mul(eg, z_inverse));
    const auto e = F::select(rotate, half.g, half.e), h = F::select(rotate, F::mul(half.f, i), half.h);
    const auto magic = F::select(rotate, i, F::spread(INVSQRT_A_MINUS_D));
    auto g = F::select(rotate, F::negate(half.e), half.g);
    g = F::select(F::is_odd(F::mul(F::mul(h, e), z_inverse)), F::negate(g), g);
    const auto s = F::mul(F::sub(h, g), F::mul(magic, F::mul(g, t_inverse)));
    return F::canonical(absolute<F>(F::select(F::is_zero(eg), F::small(0), s)));
}

// RFC 9496 section 4.3.4: MAP of one field element.
template <class F>
VFL_POINT Point<F> mapped(const typename F::Element& t) {
    const auto one = F::small(1), d = F::spread(D), r = F::mul(F::spread(SQRT_M1), F::sqr(t));
    const auto u = F::mul(F::add(r, one), F::spread(ONE_MINUS_D_SQUARED));
    const auto v = F::mul(F::negate(F::carried(F::add(one, F::mul(r, d)))), F::carried(F::add(r, d)));
    typename F::Mask square;
    auto s = sqrt_ratio<F>(u, v, square);
    s = F::select(square, s, F::negate(absolute<F>(F::mul(s, t))));
    const auto c = F::select(square, F::negate(one), r);
    const auto n = F::carried(F::sub(F::mul(F::mul(c, F::carried(F::sub(r, one))), F::spread(D_MINUS_ONE_SQUARED)), v)), ss = F::sqr(s);
    const auto w0 = F::mul(F::add(s, s), v), w1 = F::mul(n, F::spread(SQRT_AD_MINUS_ONE));
    const auto w2 = F::carried(F::sub(one, ss)), w3 = F::carried(F::add(one, ss));
    return {F::mul(w0, w3), F::mul(w2, w1), F::mul(w1, w3), F::mul(w0, w2)};
}

// RFC 9496 section 4.3.3.
template <class F>
VFL_POINT typename F::Mask same_element(const Point<F>& p, const Point<F>& q) {
    return equal_elements<F>(F::mul(p.x, q.y), F::mul(p.y, q.x)) | equal_elements<F>(F::mul(p.y, q.y), F::mul(p.x, q.x));
}

// --- edwards25519 by itself (RFC 8032, RFC 9380) ---------------------------------------------------------------------

// x of the point with y = n/m, of the asked sign; `valid` where there is one.
template <class F>
VFL_POINT Point<F> recovered(const typename F::Element& n, const typename F::Element& m, typename F::Mask odd, typename F::Mask& valid) {
    const auto nn = F::sqr(n), mm = F::sqr(m);
    typename F::Mask square;
    const auto root = sqrt_ratio<F>(F::carried(F::sub(nn, mm)), F::carried(F::add(F::mul(F::spread(D), nn), mm)), square);
    const auto x = F::select(odd, F::negate(root), root);
    valid = valid & square;
    return {F::mul(x, m), n, m, F::mul(x, n)};
}

// Eight times Elligator 2 of r (RFC 9380 section 6.7.1, Z = 2), with the sign of x as given: u1 = -A/w with w = 1 + 2r^2, and where
// u1^3 + A*u1^2 + u1 = -A*(A^2 - A^2*w + w^2)/w^3 is no square, u = -u1 - A. w is not 0, because -1/2 is no square.
template <class F>
VFL_POINT Point<F> edwards_of(const typename F::Element& r, typename F::Mask odd) {
    const auto one = F::small(1), a = F::small(MONTGOMERY_A), rr = F::sqr(r), w = F::carried(F::add(one, F::add(rr, rr)));
    const auto ww = F::sqr(w), aa = F::sqr(a), minus_a = F::negate(a);
    const auto curve = F::mul(minus_a, F::carried(F::add(F::sub(aa, F::mul(aa, w)), ww)));
    typename F::Mask square, valid = ~(square & 0);
    sqrt_ratio<F>(curve, F::mul(ww, w), square);
    const auto u = F::select(square, minus_a, F::mul(a, F::sub(one, w)));  // over w
    const Point<F> p = recovered<F>(F::carried(F::sub(u, w)), F::carried(F::add(u, w)), odd, valid);
    return doubled<F>(doubled<F>(doubled<F>(p)));
}

// --- multiples ------------------------------------------------------------------------------------------------------

// Signed digits of 4 bits, -8 to 8, as magnitude and sign (~0 where negative), of scalars below 2^(4 * windows - 1): one lane's.
inline void recode(word* magnitude, word* negative, const word* scalar, std::size_t stride, int windows) {
    word carry = 0;
    for (int w = 0; w < windows; ++w) {
        const int bit = 4 * w, limb = bit / 64;
        const word nibble = (scalar[static_cast<std::size_t>(limb) * stride] >> (bit % 64) & 15) + carry;  // to 16
        carry = w + 1 < windows ? (nibble + 7) >> 4 : 0;                                                  // from 9 on
        const word digit = nibble - (carry << 4), sign = 0 - (digit >> 63);
        magnitude[static_cast<std::size_t>(w) * stride] = (digit ^ sign) - sign;
        negative[static_cast<std::size_t>(w) * stride] = sign;
    }
}

// Digits of all lanes, [window * lanes + lane].
template <class F>
struct Digits {
    word magnitude[WINDOWS * F::lanes], negative[WINDOWS * F::lanes];

    Digits(const word* scalars, int windows) {
        for (int lane = 0; lane < F::lanes; ++lane) recode(magnitude + lane, negative + lane, scalars + lane, F::lanes, windows);
    }
    ~Digits() { wipe(this, sizeof *this); }
};

template <class F>
VFL_POINT Point<F> multiple(const Point<F>& p, const word* scalars, int windows) {
    const Digits<F> digits(scalars, windows);
    Cached<F> table[WINDOW_ENTRIES];
    Point<F> sum = p;
    table[0] = cached<F>(p);
    for (int e = 1; e < WINDOW_ENTRIES; ++e) {
        sum = plus<F>(sum, table[0]);
        table[e] = cached<F>(sum);
    }
    sum = identity<F>();
    for (int w = windows - 1; w >= 0; --w) {
        if (w < windows - 1) sum = next_window<F>(sum);
        Cached<F> chosen = {F::small(1), F::small(1), F::small(2), F::small(0)};
        const auto magnitude = F::load_words(digits.magnitude + w * F::lanes);
        const auto negative = F::load_mask(digits.negative + w * F::lanes);
        for (int e = 0; e < WINDOW_ENTRIES; ++e) {
            const auto mask = F::equals(magnitude, static_cast<word>(e + 1));
            chosen.plus = F::select(mask, table[e].plus, chosen.plus);
            chosen.minus = F::select(mask, table[e].minus, chosen.minus);
            chosen.z2 = F::select(mask, table[e].z2, chosen.z2);
            chosen.t2d = F::select(mask, table[e].t2d, chosen.t2d);
        }
        sum = plus<F>(sum, Cached<F>{F::select(negative, chosen.minus, chosen.plus), F::select(negative, chosen.plus, chosen.minus), chosen.z2,
                                     F::select(negative, F::negate(chosen.t2d), chosen.t2d)});
    }
    wipe(table, sizeof table);
    return sum;
}

// sum + scalar * base, or - where `flip`, from the table of the base.
template <class F>
VFL_POINT Point<F> plus_multiple_of_base(Point<F> sum, const word* table, const word* scalars, int windows, typename F::Mask flip) {
    const Digits<F> digits(scalars, windows);
    for (int w = 0; w < windows; ++w) {
        Prepared<F> chosen = {F::small(1), F::small(1), F::small(0)};
        const auto magnitude = F::load_words(digits.magnitude + w * F::lanes);
        const auto negative = F::load_mask(digits.negative + w * F::lanes) ^ flip;
        for (int e = 0; e < WINDOW_ENTRIES; ++e) {
            const auto mask = F::equals(magnitude, static_cast<word>(e + 1));
            const word* entry = table + (w * WINDOW_ENTRIES + e) * PREPARED_WORDS;
            chosen.plus = F::select(mask, F::spread(entry), chosen.plus);
            chosen.minus = F::select(mask, F::spread(entry + DIGITS), chosen.minus);
            chosen.t2d = F::select(mask, F::spread(entry + 2 * DIGITS), chosen.t2d);
        }
        sum = plus<F>(sum, Prepared<F>{F::select(negative, chosen.minus, chosen.plus), F::select(negative, chosen.plus, chosen.minus),
                                       F::select(negative, F::negate(chosen.t2d), chosen.t2d)});
    }
    return sum;
}

// Whether a point lies in the prime-order group: the order times it is the identity. The order is no secret; half its digits are 0.
template <class F>
VFL_POINT typename F::Mask torsion_free(const Point<F>& p) {
    word magnitude[WINDOWS], negative[WINDOWS];
    recode(magnitude, negative, ORDER, 1, WINDOWS);
    Point<F> multiples[WINDOW_ENTRIES] = {p}, sum = identity<F>();
    const Cached<F> one = cached<F>(p);
    for (int e = 1; e < WINDOW_ENTRIES; ++e) multiples[e] = plus<F>(multiples[e - 1], one);
    for (int w = WINDOWS - 1; w >= 0; --w) {
        sum = next_window<F>(sum);
        if (!magnitude[w]) continue;
        const Point<F>& own = multiples[magnitude[w] - 1];
        sum = plus<F>(sum, cached<F>(negative[w] ? negated<F>(own) : own));
    }
    return F::is_zero(sum.x) & equal_elements<F>(sum.y, sum.z);
}

// --- both neighbours at many distances ------------------------------------------------------------------------------

// y(P + Q) = (yy + xx)/(1 - e) and y(P - Q) = (yy - xx)/(1 + e) with xx = x1 x2, yy = y1 y2, e = d x1 y1 x2 y2: one inverse of 1 - e^2,
// which is not 0 (d is no square), gives both.
template <class F>
VFL_POINT void neighbours(word* keys, const word* affine, const word* rows, int count) {
    const auto x = F::load(affine, 0), y = F::load(affine, 1), dxy = F::mul(F::load(affine, 2), F::spread(D)), one = F::small(1);
    typename F::Element e[MAX_STEPS], prefix[MAX_STEPS + 1];
    prefix[0] = one;
    for (int k = 0; k < count; ++k) {
        e[k] = F::mul(dxy, F::spread(rows + k * PREPARED_WORDS + 2 * DIGITS));
        prefix[k + 1] = F::mul(prefix[k], F::sub(one, F::sqr(e[k])));
    }
    auto inverse = inverted<F>(prefix[count]);
    for (int k = count - 1; k >= 0; --k) {
        const word* row = rows + k * PREPARED_WORDS;
        const auto own = F::mul(inverse, prefix[k]), xx = F::mul(x, F::spread(row)), yy = F::mul(y, F::spread(row + DIGITS));
        inverse = F::mul(inverse, F::sub(one, F::sqr(e[k])));
        F::store_key(keys + 2 * k * F::lanes, F::mul(F::mul(F::add(yy, xx), F::add(one, e[k])), own));
        F::store_key(keys + (2 * k + 1) * F::lanes, F::mul(F::mul(F::sub(yy, xx), F::sub(one, e[k])), own));
    }
}

}  // namespace
}  // namespace vfl

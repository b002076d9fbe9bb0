// The table of functions of a kernel: points.h over whole blocks. Each kernel's file includes it once, after points.h.
#pragma once

#include "curve/points.h"

namespace vfl {
namespace {

template <class F>
struct Blocks {
    VFL_POINT static void add(word* r, const word* a, const word* b) { store_point<F>(r, plus<F>(load_point<F>(a), cached<F>(load_point<F>(b)))); }
    VFL_POINT static void add_prepared(word* r, const word* a, const word* p) {
        store_point<F>(r, plus<F>(load_point<F>(a), Prepared<F>{F::load(p, 0), F::load(p, 1), F::load(p, 2)}));
    }
    VFL_POINT static void add_prepared_broadcast(word* r, const word* a, const word* p) {
        store_point<F>(r, plus<F>(load_point<F>(a), Prepared<F>{F::spread(p), F::spread(p + DIGITS), F::spread(p + 2 * DIGITS)}));
    }
    VFL_POINT static void negate(word* r, const word* a) { store_point<F>(r, negated<F>(load_point<F>(a))); }

    VFL_POINT static void mul(word* r, const word* a, const word* b) { F::store(r, 0, F::mul(F::load(a), F::load(b))); }
    VFL_POINT static void invert(word* r, const word* a) { F::store(r, 0, inverted<F>(F::load(a))); }

    VFL_POINT static void prepare(word* prepared, const word* a, const word* inverse_z) {
        const Point<F> p = load_point<F>(a);
        const auto z = F::load(inverse_z), x = F::mul(p.x, z), y = F::mul(p.y, z);
        F::store(prepared, 0, F::carried(F::add(y, x)));
        F::store(prepared, 1, F::carried(F::sub(y, x)));
        F::store(prepared, 2, F::mul(F::mul(x, y), F::spread(D2)));
    }

    VFL_POINT static void flatten(word* affine, const word* a, const word* inverse_z) {
        const Point<F> p = load_point<F>(a);
        const auto z = F::load(inverse_z), x = F::mul(p.x, z), y = F::mul(p.y, z);
        F::store(affine, 0, x), F::store(affine, 1, y), F::store(affine, 2, F::mul(x, y));
    }
    VFL_POINT static void key(word* keys, const word* affine) { F::store_key(keys, F::load(affine, 1)); }
    VFL_POINT static void steps(word* keys, const word* affine, const word* rows, int count) { neighbours<F>(keys, affine, rows, count); }

    VFL_POINT static void multiply(word* r, const word* a, const word* scalars, int windows) {
        store_point<F>(r, multiple<F>(load_point<F>(a), scalars, windows));
    }
    VFL_POINT static void add_multiple_of_base(word* r, const word* table, const word* scalars, int windows, const word* negative) {
        store_point<F>(r, plus_multiple_of_base<F>(load_point<F>(r), table, scalars, windows, F::load_mask(negative)));
    }

    VFL_POINT static void decode(word* r, word* valid, const word* codes) {
        typename F::Mask is_valid;
        const auto s = F::load_code(codes, is_valid);
        store_point<F>(r, decoded<F>(s, is_valid));
        F::store_mask(valid, is_valid);
    }
    VFL_POINT static void encode(word* codes, const word* a) { F::store_code(codes, encoded<F>(load_point<F>(a))); }
    VFL_POINT static void double_product(word* r, const word* a) {
        const auto product = Doubling<F>(load_point<F>(a)).product();
        F::store(r, 0, F::select(F::is_zero(product), F::small(1), product));
    }
    VFL_POINT static void encode_double(word* codes, const word* a, const word* inverse) {
        F::store_code(codes, encoded_double<F>(load_point<F>(a), F::load(inverse)));
    }
    VFL_POINT static void from_uniform(word* r, const word* codes) {
        const Point<F> p = mapped<F>(F::load_residue(codes)), q = mapped<F>(F::load_residue(codes + CODE_WORDS * F::lanes));
        store_point<F>(r, plus<F>(p, cached<F>(q)));
    }
    VFL_POINT static void decode_edwards(word* r, word* valid, const word* codes) {
        typename F::Mask odd, is_valid;
        const auto y = F::load_signed_code(codes, odd, is_valid);
        const Point<F> p = recovered<F>(y, F::small(1), odd, is_valid);
        store_point<F>(r, p);
        F::store_mask(valid, is_valid & ~F::is_zero(p.x) & torsion_free<F>(p));
    }
    VFL_POINT static void encode_edwards(word* codes, const word* affine) {
        F::store_signed_code(codes, F::canonical(F::load(affine, 1)), F::is_odd(F::load(affine, 0)));
    }
    VFL_POINT static void edwards_from_uniform(word* r, const word* codes) {
        typename F::Mask odd, is_valid;
        F::load_signed_code(codes, odd, is_valid);
        store_point<F>(r, edwards_of<F>(F::load_residue(codes), odd));
    }
    VFL_POINT static void equal(word* same, const word* a, const word* b) {
        F::store_mask(same, same_element<F>(load_point<F>(a), load_point<F>(b)));
    }

    static constexpr CurveKernel table(const char* name, bool (*supported)(), void (*gather)(word*, const word* const*, int),
                                       void (*scatter)(word* const*, const word*, int)) {
        return {name,    F::lanes, supported, add,      add_prepared,         add_prepared_broadcast, negate, mul,          invert, prepare,
                flatten, key,      steps,     multiply, add_multiple_of_base, decode,                 encode, from_uniform, equal,  gather,
                scatter, decode_edwards, encode_edwards, edwards_from_uniform, double_product, encode_double};
    }
};

}  // namespace
}  // namespace vfl

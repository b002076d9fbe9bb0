// Batched arithmetic on rows of points: encodings, sums, multiples, multiples of a fixed base.
//
// Elements of a Curve are `points` points in a row; where a count is of points, an element counts that often. Scalars are CODE_WORDS limbs
// below 2^253. Every function shares its rows over `threads` threads and draws no randomness.
#pragma once

#include "curve/curve_group.h"

namespace vfl {

// rows = the points of ristretto255 encodings; valid = 1 for those that are canonical (RFC 9496), else 0.
void decode_points(const Curve& c, word* rows, word* valid, const word* codes, std::size_t count, int threads);
void encode_points(const Curve& c, word* codes, const word* rows, std::size_t count, int threads);
// codes = the encodings of twice the points: a twelfth of the work.
void encode_double_points(const Curve& c, word* codes, const word* rows, std::size_t count, int threads);
// rows = the one-way map of 8 uniform limbs each.
void points_from_uniform(const Curve& c, word* rows, const word* uniform, std::size_t count, int threads);
// same = 1 where two points stand for the same element, else 0.
void equal_points(const Curve& c, word* same, const word* a, const word* b, std::size_t count, int threads);

// The same for edwards25519 in its own encoding: valid = 1 for points of the prime-order group other than the identity.
void decode_edwards_points(const Curve& c, word* rows, word* valid, const word* codes, std::size_t count, int threads);
void encode_edwards_points(const Curve& c, word* codes, const word* rows, std::size_t count, int threads);
// rows = eight times Elligator 2 of 4 uniform limbs each.
void edwards_points_from_uniform(const Curve& c, word* rows, const word* uniform, std::size_t count, int threads);

// r = a + b, element by element; b_stride 0 repeats the single element b.
void add_elements(const Curve& c, word* r, const word* a, const word* b, std::size_t b_stride, std::size_t count, int threads);
void negate_points(const Curve& c, word* r, const word* a, std::size_t count, int threads);
// r = the sum of all elements (one row).
void sum_elements(const Curve& c, word* r, const word* a, std::size_t count, int threads);
// The points made affine, with one inversion for many: ready to be added, or as (x, y, xy).
void prepare_points(const Curve& c, word* prepared, const word* a, std::size_t count, int threads);
void flatten_points(const Curve& c, word* affine, const word* a, std::size_t count, int threads);

// r = scalar * a, all points of an element by the same scalar; stride 0 repeats one scalar. Constant time for a number of windows.
void multiply_elements(const Curve& c, word* r, const word* a, const word* scalars, std::size_t stride, int windows, std::size_t count, int threads);

// table = TABLE_WORDS of the multiples of a point.
void base_table(const Curve& c, word* table, const word* point, int threads);

// One addition of multiples of a fixed base to one point of every element: scalars as above, `negative` (~0 or 0 an element) or null.
struct BaseTerm {
    int point;  // of the element
    const word* table;
    const word* scalars;
    int windows;
    const word* negative;
};

// r = start + the terms; start may be null (the identity). Constant time.
void add_base_terms(const Curve& c, word* r, const word* start, const BaseTerm* terms, std::size_t n_terms, std::size_t count, int threads);

}  // namespace vfl

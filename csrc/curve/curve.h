// The contract: CurveKernel (function table) for points of edwards25519, as representatives of ristretto255 elements (RFC 9496).
//
// A field element has DIGITS digits of radix 2^51. A point is (X, Y, Z, T), x = X/Z, y = Y/Z, xy = T/Z: POINT_WORDS words, in row form
// one after the other, in block form digit-major over the lanes as numbers modulo n^2 are (paillier/pair.h). A prepared point is affine,
// (y + x, y - x, 2dxy). Encodings and scalars are 4 limbs, little-endian. README.md §8 has the derivation and the ranges.
#pragma once

#include "core/limbs.h"

namespace vfl {

constexpr int DIGITS = 5;
constexpr int FIELD_RADIX = 51;
constexpr int POINT_WORDS = 4 * DIGITS;
constexpr int PREPARED_WORDS = 3 * DIGITS;
constexpr int CODE_WORDS = 4;        // limbs of an encoding or a scalar
constexpr int WINDOWS = 64;          // signed digits of 4 bits that a scalar below 2^253 has
constexpr int WINDOW_ENTRIES = 8;    // multiples 1..8 of a base; a digit is from -8 to 8
constexpr int MAX_STEPS = 128;       // additions that share an inversion in `steps`
constexpr int TABLE_WORDS = WINDOWS * WINDOW_ENTRIES * PREPARED_WORDS;  // of a fixed base: (d * 16^w) * base, prepared

// Digits at rest are below 2^51 + 2^13 ("tight"). The result of a point function may be an operand.
struct CurveKernel {
    const char* name;
    int lanes;
    bool (*supported)();

    void (*add)(word* r, const word* a, const word* b);
    void (*add_prepared)(word* r, const word* a, const word* prepared);            // per lane, in block form
    void (*add_prepared_broadcast)(word* r, const word* a, const word* prepared);  // one row for all lanes
    void (*negate)(word* r, const word* a);

    // Field elements, one a lane: what batch inversion is made of.
    void (*mul)(word* r, const word* a, const word* b);
    void (*invert)(word* r, const word* a);  // a^(p - 2): 0 for 0

    void (*prepare)(word* prepared, const word* a, const word* inverse_z);
    void (*flatten)(word* affine, const word* a, const word* inverse_z);  // (x, y, xy)

    void (*key)(word* keys, const word* affine);  // low 64 bits of the canonical y, one word a lane
    // The keys of P + Q_k and P - Q_k, at [(2k + 0 or 1) * lanes + lane]: P = (x, y, xy), a lane each, Q_k the same
    // for all, `count` rows (x, y, xy) up to MAX_STEPS.
    void (*steps)(word* keys, const word* affine, const word* rows, int count);

    // r = scalar * a, by `windows` signed digits of 4 bits; scalars in block form, below 2^(4 * windows - 1). Constant time.
    void (*multiply)(word* r, const word* a, const word* scalars, int windows);
    // r += scalar * base, or -= `negative` is ~0 (one word a lane, null: nowhere), from a table of TABLE_WORDS. Constant time.
    void (*add_multiple_of_base)(word* r, const word* table, const word* scalars, int windows, const word* negative);

    // ristretto255: decode gives ~0 a lane in `valid` for a canonical encoding of an element, else 0 and no point worth having.
    void (*decode)(word* r, word* valid, const word* codes);
    void (*encode)(word* codes, const word* a);
    void (*from_uniform)(word* r, const word* codes);  // 8 limbs a lane: the one-way map of RFC 9496 section 4.3.4
    // ~0 a lane where two points stand for the same element.
    void (*equal)(word* same, const word* a, const word* b);

    void (*gather)(word* block, const word* const* rows, int words);
    void (*scatter)(word* const* rows, const word* block, int words);

    // edwards25519 in its own encoding (RFC 8032), of points in the prime-order group other than the identity; encode takes (x, y, xy).
    void (*decode_edwards)(word* r, word* valid, const word* codes);
    void (*encode_edwards)(word* codes, const word* affine);
    void (*edwards_from_uniform)(word* r, const word* codes);  // 4 limbs a lane: Elligator 2, the cofactor cleared

    // Encodings of twice a point, many by one inversion: what to invert (1 where it would be 0), and the encoding by its inverse.
    void (*double_product)(word* r, const word* a);
    void (*encode_double)(word* codes, const word* a, const word* inverse);
};

extern const CurveKernel portable_curve;

// The kernels this build has, best first, ended by nullptr (dispatch.cpp).
const CurveKernel* const* curve_kernels();

}  // namespace vfl

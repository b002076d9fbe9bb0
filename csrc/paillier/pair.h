// The contract: Modulus (precomputed constants) and Kernel (function table) for numbers modulo n^2 held as pairs.
//
// A pair (a0, a1) stands for a0 + a1*n modulo n^2, in Montgomery form with R = 2^(radix*digits). Neither component is
// canonical. Stored ("row") form: 2*digits words, a0 then a1. Working ("block") form: digit-major over the kernel's lanes,
// word d of lane j at [d*lanes + j]. README.md has the derivation and the ranges.
#pragma once

#include <vector>

#include "core/limbs.h"

namespace vfl {

constexpr int MAX_DIGITS = 80;  // 4096 bits: 65 limbs of 64 bits, or 80 digits of 52

struct Kernel;

// A number of which only R-sized lazy ranges are known is called a residue; "canonical" means in [0, n).
struct Modulus {
    const Kernel* kernel = nullptr;
    int digits = 0;                // digits of one residue
    int limbs = 0;                 // 64-bit limbs of one canonical residue
    word n_neg_inv = 0;            // -n^-1 modulo 2^radix
    std::vector<word> n;           // digits
    std::vector<word> complement;  // R - n, digits: adding a multiple of it modulo R takes off that multiple of n
    std::vector<word> n_limbs;     // limbs
    std::vector<word> reciprocal;  // floor(B^(t+2) / n), 3 digits, B = 2^radix and t the digits of n in use; empty where t < 3
    std::vector<word> r_squared;   // R^2 mod n, digits
    std::vector<word> one;         // R mod n^2 as a pair: the row of the number 1
    std::vector<word> chunks;      // pairs of 2^(64*limbs*i) * R^2 mod n^2: what import multiplies limb chunk i by

    int row() const { return 2 * digits; }
    void set_complement();  // from n and the kernel
    int used_digits() const {
        int used = digits;
        while (used > 1 && n[static_cast<std::size_t>(used - 1)] == 0) --used;
        return used;
    }
    int n_chunks() const { return static_cast<int>(chunks.size()) / row(); }
};

// Ranges, with N = 2^(64*limbs) (n itself for the sizes in use): operands are < 2^8 * N in each component; results are
// r0 < 2n and r1 < 4n unless said, of normalised digits, for operands < 16n (R >= 2^12 n). The result may be an operand.
struct Kernel {
    const char* name;
    int lanes;
    int radix;
    int (*digits)(int bits);  // for an n of that many bits
    bool (*supported)();

    void (*mul)(const Modulus&, word* r, const word* a, const word* b);          // pair * pair / R
    void (*sqr)(const Modulus&, word* r, const word* a);                         // pair^2 / R
    void (*mul_residue)(const Modulus&, word* r, const word* a, const word* b);  // pair * (b, 0) / R, b per lane

    // pair * (b, 0), without the R: `factor` holds the digits of b < n and those of floor(b*R/n), the quotient known in advance, per
    // lane in block form or (broadcast) as one row for all lanes. r0 < 3n, r1 < 3n + a0 for operands below R/16. r is no operand.
    void (*mul_factor)(const Modulus&, word* r, const word* a, const word* factor);
    void (*mul_factor_broadcast)(const Modulus&, word* r, const word* a, const word* factor);
    void (*factor_of)(const Modulus&, word* factor, const word* a);  // the factor of b, from a = b*R mod n, canonical

    void (*redc)(const Modulus&, word* r, const word* a);                        // pair / R: out of Montgomery form
    // One residue: a * b / R mod n, for a < 16n and b < R; the result is below a*b/R + n, so < 2n where a*b < n*R.
    void (*redc_mul)(const Modulus&, word* r, const word* a, const word* b);

    void (*add)(const Modulus&, word* r, const word* a, const word* b);          // one residue: a + b
    void (*negate)(const Modulus&, word* r, const word* a);                      // one residue: 4n - a, a < 4n

    // One residue: r += x * s modulo n, s < 2^64 one word a lane; r < 10n before, below 4n after; x < 16n. Needs the reciprocal.
    void (*add_multiple)(const Modulus&, word* r, const word* x, const word* s);

    // One residue below 16n (plus `add`, one word a lane, unless null) to [0, n), in place; taken (one word a lane, unless null) = how
    // often n was taken off. Constant time.
    void (*canonical)(const Modulus&, word* r, const word* add, word* taken);

    // Row arithmetic on the logarithmic component: acc += x without reduction, at most 2^12 - 2 times between two calls
    // of carry_row, which normalises digits and brings acc below R/16.
    void (*accumulate_row)(const Modulus&, word* acc, const word* x);
    void (*carry_row)(const Modulus&, word* acc);

    void (*gather)(word* block, const word* const* rows, int words);   // rows of all lanes -> block
    void (*scatter)(word* const* rows, const word* block, int words);  // block -> rows of all lanes

    // out = table[chosen], entries of `words` words (whole blocks), every one of them read. Constant time.
    void (*pick)(word* out, const word* table, int entries, std::size_t words, word chosen);

    void (*multiply_adds)(std::size_t count);  // the processor's own rate, for benchmarks: so many independent ones
};

// -n modulo R: all digits inverted, plus 1; n is odd, so that this carries nowhere.
inline void Modulus::set_complement() {
    const word mask = kernel->radix == 64 ? ~word{0} : (word{1} << kernel->radix) - 1;
    complement = n;
    for (word& digit : complement) digit = ~digit & mask;
    complement[0] += 1;
}

extern const Kernel portable_kernel;

// The kernels this build has, best first, ended by nullptr (dispatch.cpp).
const Kernel* const* kernels();

}  // namespace vfl

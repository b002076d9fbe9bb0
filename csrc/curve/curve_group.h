// Vectors of curve points as a group for the coded product (product/group.h): an element is one point or several, added one by one, as
// the two halves of an ElGamal ciphertext are.
#pragma once

#include <vector>

#include "core/lanes.h"
#include "curve/curve.h"
#include "product/group.h"

namespace vfl {

struct Curve {
    const CurveKernel* kernel = nullptr;
    int points = 1;          // of an element
    std::vector<word> zero;  // the row of the identity

    Curve(const CurveKernel* k, int n_points) : kernel(k), points(n_points), zero(static_cast<std::size_t>(n_points) * POINT_WORDS, 0) {
        for (std::size_t at = 0; at < zero.size(); at += POINT_WORDS) zero[at + DIGITS] = zero[at + 2 * DIGITS] = 1;  // (0, 1, 1, 0)
    }
};

inline Lanes lanes_of(const Curve& c) { return {c.kernel->lanes, c.kernel->gather, c.kernel->scatter}; }
inline int row_words(const Curve& c) { return c.points * POINT_WORDS; }
inline int prepared_words(const Curve& c) { return c.points * PREPARED_WORDS; }
inline int operand_words(const Curve& c) { return prepared_words(c); }
inline const word* zero_of(const Curve& c) { return c.zero.data(); }

inline void add(const Curve& c, word* r, const word* a, const word* b) {
    const int step = POINT_WORDS * c.kernel->lanes;
    for (int i = 0; i < c.points; ++i) c.kernel->add(r + i * step, a + i * step, b + i * step);
}
inline void add_prepared(const Curve& c, word* r, const word* a, const word* prepared) {
    const int step = POINT_WORDS * c.kernel->lanes, width = PREPARED_WORDS * c.kernel->lanes;
    for (int i = 0; i < c.points; ++i) c.kernel->add_prepared(r + i * step, a + i * step, prepared + i * width);
}
inline void add_prepared_broadcast(const Curve& c, word* r, const word* a, const word* prepared) {
    const int step = POINT_WORDS * c.kernel->lanes;
    for (int i = 0; i < c.points; ++i) c.kernel->add_prepared_broadcast(r + i * step, a + i * step, prepared + i * PREPARED_WORDS);
}

template <>
struct Refinement<Curve> : NoRefinement {
    using NoRefinement::NoRefinement;
};

}  // namespace vfl

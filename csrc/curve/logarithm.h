// Small discrete logarithms: m of m*G, |m| up to a bound, by baby steps and giant steps from 0 outward, many values side by side.
//
// All is done with 4*m*G: four times a representative is the same point for every representative of a ristretto255 element. The table has
// the multiples 0 ... reach of 4*G by the low 64 bits of y, which does not tell j from -j. A found m is checked against the point.
#pragma once

#include "curve/point_rows.h"

namespace vfl {

class Logarithms {
  public:
    // A table of at least 2^bits multiples of `base`, one point; 8 <= bits <= 23.
    Logarithms(const Curve& curve, const word* base, int bits, int threads);

    // Largest multiple in the table.
    std::int64_t reach() const { return reach_; }

    // values[i] = m with points[i] = m*base and found[i] = 1, or found[i] = 0 where no |m| <= bound is one; bound <= 2^61.
    void find(std::int64_t* values, word* found, const word* points, std::size_t count, std::int64_t bound, int threads) const;

  private:
    struct Search;

    void fill(const word* affine, std::size_t n_centres, int threads);
    void insert(word key, word multiple);
    std::size_t slot_of(word key) const { return static_cast<std::size_t>(key >> shift_); }
    std::int64_t giant() const { return 2 * reach_ + 1; }  // the step after which the table begins anew

    Curve curve_;
    std::vector<word> base_table_;   // of 4*base
    std::vector<word> giants_;       // (x, y, xy) of k * giant() * 4*base, k from 0
    std::vector<word> window_;       // the step between two centres of a search, as a point
    std::vector<word> slots_;        // high 40 bits of a key's rest, 24 bits of multiple + 1; 0: free
    std::int64_t reach_ = 0;
    int shift_ = 0;
};

}  // namespace vfl

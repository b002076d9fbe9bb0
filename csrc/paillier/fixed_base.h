// Fixed-base powers base^alpha by a table of factors and logarithms: one product and one addition per window.
#pragma once

#include "paillier/pair_group.h"

namespace vfl {

class FixedBase {
  public:
    // base: one row; room for exponents of `alpha_bits` bits in windows of `window` bits (1..12).
    FixedBase(const Modulus& m, const word* base, int alpha_bits, int window, int threads);

    // The entries, 3*digits words each, for the caller to complete: they hold pairs in their first 2*digits and are to hold what
    // factor_rows makes of those, which needs the inverses of the residues.
    word* entries() { return table_.get(); }
    std::size_t n_entries() const { return static_cast<std::size_t>(windows_) << window_; }

    int alpha_limbs() const { return alpha_limbs_; }

    // In every lane: block `from` (a pair) times base^alpha's residue, and logs[lane] += its logarithms; alphas: `size` limbs a lane,
    // so that short exponents cost fewer windows. Returns which of the blocks `from` and `to` holds the product.
    int multiply(const Modulus& m, Workspace<Modulus>& space, int from, int to, int factor, word* const* logs, const Rows& alphas, int size) const;

  private:
    const word* entry(int window, unsigned digit) const {
        return table_.get() + ((static_cast<std::size_t>(window) << window_) + digit) * static_cast<std::size_t>(width_);
    }

    int window_, windows_, alpha_limbs_, width_;
    Scratch table_;
};

}  // namespace vfl

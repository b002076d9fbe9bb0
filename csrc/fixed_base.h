// Fixed-base powers base^alpha by a table of (residue, lambda) pairs: one product and one addition per window.
#pragma once

#include "lanes.h"

namespace vfl {

class FixedBase {
  public:
    // base: one row; room for exponents of `alpha_bits` bits in windows of `window` bits (1..12).
    FixedBase(const Modulus& m, const word* base, int alpha_bits, int window, int threads);

    // Completes the table: logarithms need the inverses of the residues (rows of logarithms in, see paillier.h).
    word* entries() { return table_.get(); }
    std::size_t n_entries() const { return static_cast<std::size_t>(windows_) << window_; }

    int alpha_limbs() const { return alpha_limbs_; }

    // In every lane: block (a pair) *= base^alpha's residues, and logs[lane] += its logarithms; alphas: `size` limbs a lane,
    // so that short exponents cost fewer windows.
    void multiply(const Modulus& m, word* block, word* const* logs, const Rows& alphas, int size, Workspace& space, int scratch) const;

  private:
    const word* entry(int window, unsigned digit) const {
        return table_.get() + ((static_cast<std::size_t>(window) << window_) + digit) * static_cast<std::size_t>(row_);
    }

    int window_, windows_, alpha_limbs_, row_;
    Scratch table_;
};

}  // namespace vfl

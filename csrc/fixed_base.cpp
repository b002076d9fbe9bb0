#include "fixed_base.h"

#include "parallel.h"

namespace vfl {

FixedBase::FixedBase(const Modulus& m, const word* base, int alpha_bits, int window, int threads)
    : window_(window), windows_((alpha_bits + window - 1) / window), alpha_limbs_((alpha_bits + 63) / 64), row_(m.row()),
      table_(n_entries() * static_cast<std::size_t>(m.row())) {
    // Powers base^(2^(window*j)) one after the other, then every window's multiples side by side.
    const std::size_t bytes = sizeof(word) * static_cast<std::size_t>(row_);
    const std::size_t stride = static_cast<std::size_t>(row_) << window_;
    Workspace space(m, 1);
    space.broadcast(0, base, row_);
    for (int j = 0; j < windows_; ++j) {
        word* entries = table_.get() + static_cast<std::size_t>(j) * stride;
        std::memcpy(entries, m.one.data(), bytes);
        space.store(0, entries + row_, 0, 0, 1, row_);
        for (int s = 0; s < window_ && j + 1 < windows_; ++s) m.kernel->sqr(m, space.block(0), space.block(0));
    }
    parallel_for(threads, static_cast<std::size_t>(windows_), 8, [&](std::size_t begin, std::size_t end) {
        Workspace own(m, 2);
        for_lanes(m, begin, end, [&](std::size_t first, int active) {
            own.load(0, table_.get() + row_, stride, first, active, row_);
            own.load(1, table_.get() + row_, stride, first, active, row_);
            for (std::size_t digit = 2; digit < std::size_t{1} << window_; ++digit) {
                m.kernel->mul(m, own.block(1), own.block(1), own.block(0));
                own.store(1, table_.get() + digit * static_cast<std::size_t>(row_), stride, first, active, row_);
            }
        });
    });
}

void FixedBase::multiply(const Modulus& m, word* block, word* const* logs, const Rows& alphas, int size, Workspace& space,
                         int scratch) const {
    const Kernel& k = *m.kernel;
    const int windows = std::min(windows_, (size * 64 + window_ - 1) / window_);
    for (int j = 0; j < windows; ++j) {
        Rows entries{};
        for (std::size_t lane = 0; lane < static_cast<std::size_t>(k.lanes); ++lane) {
            entries[lane] = entry(j, bits_at(alphas[lane], size, j * window_, window_));
            k.accumulate_row(m, logs[lane], entries[lane] + m.digits);
        }
        k.gather(space.block(scratch), entries.data(), m.digits);
        k.mul_residue(m, block, block, space.block(scratch));
    }
}

}  // namespace vfl

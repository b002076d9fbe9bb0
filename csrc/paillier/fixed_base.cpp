#include "paillier/fixed_base.h"

#include "core/parallel.h"

namespace vfl {

FixedBase::FixedBase(const Modulus& m, const word* base, int alpha_bits, int window, int threads)
    : window_(window), windows_((alpha_bits + window - 1) / window), alpha_limbs_((alpha_bits + 63) / 64), width_(3 * m.digits),
      table_(n_entries() * static_cast<std::size_t>(width_)) {
    // Powers base^(2^(window*j)) one after the other, then every window's multiples side by side.
    const std::size_t bytes = sizeof(word) * static_cast<std::size_t>(m.row());
    const std::size_t width = static_cast<std::size_t>(width_), stride = width << window_;
    Workspace<Modulus> space(m, 1);
    space.broadcast(0, base, m.row());
    for (int j = 0; j < windows_; ++j) {
        word* entries = table_.get() + static_cast<std::size_t>(j) * stride;
        std::memcpy(entries, m.one.data(), bytes);
        space.store(0, entries + width, 0, 0, 1, m.row());
        for (int s = 0; s < window_ && j + 1 < windows_; ++s) m.kernel->sqr(m, space.block(0), space.block(0));
    }
    parallel_for(threads, static_cast<std::size_t>(windows_), 8, [&](std::size_t begin, std::size_t end) {
        Workspace<Modulus> own(m, 2);
        for_lanes(m, begin, end, [&](std::size_t first, int active) {
            own.load(0, table_.get() + width, stride, first, active, m.row());
            own.load(1, table_.get() + width, stride, first, active, m.row());
            for (std::size_t digit = 2; digit < std::size_t{1} << window_; ++digit) {
                m.kernel->mul(m, own.block(1), own.block(1), own.block(0));
                own.store(1, table_.get() + digit * width, stride, first, active, m.row());
            }
        });
    });
}

int FixedBase::multiply(const Modulus& m, Workspace<Modulus>& space, int from, int to, int factor, word* const* logs, const Rows& alphas,
                        int size) const {
    const Kernel& k = *m.kernel;
    const int windows = std::min(windows_, (size * 64 + window_ - 1) / window_);
    const auto entries_of = [&](int j) {
        Rows entries{};
        for (std::size_t lane = 0; lane < static_cast<std::size_t>(k.lanes); ++lane) {
            entries[lane] = entry(j, bits_at(alphas[lane], size, j * window_, window_));
            prefetch<Access::read>(entries[lane], static_cast<std::size_t>(width_));
        }
        return entries;
    };
    Rows entries = entries_of(0);
    for (int j = 0; j < windows; ++j) {
        const Rows next = j + 1 < windows ? entries_of(j + 1) : entries;  // asked for a product ahead: the table is larger than the caches
        for (std::size_t lane = 0; lane < static_cast<std::size_t>(k.lanes); ++lane) {
            k.accumulate_row(m, logs[lane], entries[lane] + m.row());
        }
        k.gather(space.block(factor), entries.data(), m.row());
        k.mul_factor(m, space.block(to), space.block(from), space.block(factor));
        std::swap(from, to);
        entries = next;
    }
    return from;
}

}  // namespace vfl

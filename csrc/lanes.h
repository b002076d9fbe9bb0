// Moving rows in and out of a kernel's lanes: blocks, strided loads, queued products.
#pragma once

#include <array>

#include "pair.h"
#include "scratch.h"

namespace vfl {

using Rows = std::array<const word*, MAX_LANES>;
using RowsOut = std::array<word*, MAX_LANES>;

// Row pointers base + (first + lane)*stride for `active` lanes; the idle lanes repeat the last row, so that they compute
// something harmless.
inline Rows rows_at(const Modulus& m, const word* base, std::size_t stride, std::size_t first, int active) {
    Rows rows{};
    for (int lane = 0; lane < m.kernel->lanes; ++lane) {
        rows[static_cast<std::size_t>(lane)] = base + (first + static_cast<std::size_t>(lane < active ? lane : active - 1)) * stride;
    }
    return rows;
}

// As rows_at for results; the idle lanes write to `sink`.
inline RowsOut rows_out(const Modulus& m, word* base, std::size_t stride, std::size_t first, int active, word* sink) {
    RowsOut rows{};
    for (int lane = 0; lane < m.kernel->lanes; ++lane) {
        rows[static_cast<std::size_t>(lane)] = lane < active ? base + (first + static_cast<std::size_t>(lane)) * stride : sink;
    }
    return rows;
}

// The working memory of one thread: blocks of one pair per lane.
class Workspace {
  public:
    Workspace(const Modulus& m, int n_blocks, bool secret = false)
        : m_(m), words_(static_cast<std::size_t>(m.row()) * static_cast<std::size_t>(m.kernel->lanes)),
          scratch_(words_ * static_cast<std::size_t>(n_blocks) + static_cast<std::size_t>(m.row()), secret),
          sink_(scratch_.get() + words_ * static_cast<std::size_t>(n_blocks)) {}

    word* block(int i) { return scratch_.get() + words_ * static_cast<std::size_t>(i); }
    word* second(int i) { return block(i) + words_ / 2; }  // the second component of block i
    word* sink() { return sink_; }

    void load(int i, const word* base, std::size_t stride, std::size_t first, int active, int words) {
        m_.kernel->gather(block(i), rows_at(m_, base, stride, first, active).data(), words);
    }
    void store(int i, word* base, std::size_t stride, std::size_t first, int active, int words) {
        m_.kernel->scatter(rows_out(m_, base, stride, first, active, sink_).data(), block(i), words);
    }
    // The same number in every lane.
    void broadcast(int i, const word* row, int words) { load(i, row, 0, 0, 1, words); }

  private:
    const Modulus& m_;
    std::size_t words_;
    Scratch scratch_;
    word* sink_;
};

// Calls body(first, active) for the groups of up to `lanes` items of [begin, end).
template <class Body>
void for_lanes(const Modulus& m, std::size_t begin, std::size_t end, Body body) {
    const std::size_t lanes = static_cast<std::size_t>(m.kernel->lanes);
    for (std::size_t first = begin; first < end; first += lanes) {
        body(first, static_cast<int>(end - first < lanes ? end - first : lanes));
    }
}

// Queue of independent pair products dst *= src on rows, run a vector at a time. Until flush(), no queued dst may be another
// job's dst or src.
class Products {
  public:
    explicit Products(const Modulus& m) : m_(m), space_(m, 2) {}

    void push(word* dst, const word* src) {
        dst_[static_cast<std::size_t>(count_)] = dst;
        src_[static_cast<std::size_t>(count_)] = src;
        if (++count_ == m_.kernel->lanes) flush();
    }

    void flush() {
        if (!count_) return;
        Rows left{}, right{};
        RowsOut out{};
        for (std::size_t lane = 0; lane < static_cast<std::size_t>(m_.kernel->lanes); ++lane) {
            const std::size_t job = lane < static_cast<std::size_t>(count_) ? lane : 0;
            left[lane] = dst_[job];
            right[lane] = src_[job];
            out[lane] = job == lane ? dst_[job] : space_.sink();
        }
        const Kernel& k = *m_.kernel;
        k.gather(space_.block(0), left.data(), m_.row());
        k.gather(space_.block(1), right.data(), m_.row());
        k.mul(m_, space_.block(0), space_.block(0), space_.block(1));
        k.scatter(out.data(), space_.block(0), m_.row());
        count_ = 0;
    }

  private:
    const Modulus& m_;
    Workspace space_;
    RowsOut dst_{};
    Rows src_{};
    int count_ = 0;
};

}  // namespace vfl

// Moving rows in and out of a kernel's lanes: blocks, strided loads. For any arithmetic G that says how it lays numbers side by side:
//
//     Lanes lanes_of(const G&)       how many, and how rows become blocks and blocks rows
//     int row_words(const G&)        words of a number at rest
#pragma once

#include <array>

#include "core/scratch.h"

namespace vfl {

// How a kernel lays numbers side by side.
struct Lanes {
    int count;
    void (*gather)(word* block, const word* const* rows, int words);
    void (*scatter)(word* const* rows, const word* block, int words);
};

using Rows = std::array<const word*, MAX_LANES>;
using RowsOut = std::array<word*, MAX_LANES>;

// Row pointers base + (first + lane)*stride for `active` lanes; the idle lanes repeat the last row, so that they compute
// something harmless.
template <class G>
Rows rows_at(const G& g, const word* base, std::size_t stride, std::size_t first, int active) {
    Rows rows{};
    for (int lane = 0, n = lanes_of(g).count; lane < n; ++lane) {
        rows[static_cast<std::size_t>(lane)] = base + (first + static_cast<std::size_t>(lane < active ? lane : active - 1)) * stride;
    }
    return rows;
}

// As rows_at for results; the idle lanes write to `sink`.
template <class G>
RowsOut rows_out(const G& g, word* base, std::size_t stride, std::size_t first, int active, word* sink) {
    RowsOut rows{};
    for (int lane = 0, n = lanes_of(g).count; lane < n; ++lane) {
        rows[static_cast<std::size_t>(lane)] = lane < active ? base + (first + static_cast<std::size_t>(lane)) * stride : sink;
    }
    return rows;
}

// The working memory of one thread: blocks of one number per lane.
template <class G>
class Workspace {
  public:
    Workspace(const G& g, int n_blocks, bool secret = false)
        : g_(g), lanes_(lanes_of(g)), words_(static_cast<std::size_t>(row_words(g)) * static_cast<std::size_t>(lanes_.count)),
          scratch_(words_ * static_cast<std::size_t>(n_blocks) + static_cast<std::size_t>(row_words(g)), secret),
          sink_(scratch_.get() + words_ * static_cast<std::size_t>(n_blocks)) {}

    word* block(int i) { return scratch_.get() + words_ * static_cast<std::size_t>(i); }
    word* second(int i) { return block(i) + words_ / 2; }  // the second half of block i: of a pair, its second component
    word* sink() { return sink_; }

    void load(int i, const word* base, std::size_t stride, std::size_t first, int active, int words) {
        lanes_.gather(block(i), rows_at(g_, base, stride, first, active).data(), words);
    }
    void store(int i, word* base, std::size_t stride, std::size_t first, int active, int words) {
        lanes_.scatter(rows_out(g_, base, stride, first, active, sink_).data(), block(i), words);
    }
    // The same number in every lane.
    void broadcast(int i, const word* row, int words) { load(i, row, 0, 0, 1, words); }

  private:
    const G& g_;
    const Lanes lanes_;
    std::size_t words_;
    Scratch scratch_;
    word* sink_;
};

// Calls body(first, active) for the groups of up to `lanes` items of [begin, end).
template <class G, class Body>
void for_lanes(const G& g, std::size_t begin, std::size_t end, Body body) {
    const std::size_t lanes = static_cast<std::size_t>(lanes_of(g).count);
    for (std::size_t first = begin; first < end; first += lanes) {
        body(first, static_cast<int>(end - first < lanes ? end - first : lanes));
    }
}

}  // namespace vfl

// A group, written additively, as the coded product knows it. A type G is one when these stand beside it:
//
//     Lanes lanes_of(const G&)                            how numbers stand side by side (core/lanes.h)
//     int row_words(const G&)                             words of an element at rest
//     int prepared_words(const G&)                        words of an element that was made ready to be added many times
//     int operand_words(const G&)                         how many of those, from the first, go into a lane
//     const word* zero_of(const G&)                       the row of the identity
//     void add(const G&, word* r, const word* a, const word* b)                    block + block; r may be an operand
//     void add_prepared(const G&, word* r, const word* a, const word* prepared)    block + operands in block form; r is no operand
//     void add_prepared_broadcast(const G&, word* r, const word* a, const word* prepared)    the same operand, one row, in every lane
//     struct Refinement<G>                                what elements have besides their rows (below)
//
// All of them work on whole blocks, one call for all lanes: a table of functions costs nothing there. Elements that are doubled are
// added to themselves; nothing here negates, because positive and negative exponents are kept apart.
#pragma once

#include "core/lanes.h"

namespace vfl {

struct CodedBlock;

// A part of an element that adds up by itself and is folded into the sums of a block's classes at the end: the logarithms of pairs
// modulo n^2. A group without such a part has `NoRefinement`.
//
//     Refinement(const G&, const CodedBlock&)             of one block's buckets
//     void add(std::size_t pattern, const word* prepared) an element beyond a bucket's first
//     void fold(word* sums)                               into one row for each feature and class
template <class G>
struct Refinement;

struct NoRefinement {
    template <class G>
    NoRefinement(const G&, const CodedBlock&) {}
    void add(std::size_t, const word*) {}
    void fold(word*) {}
};

// Queue of independent sums dst += src on rows, run a vector at a time. Until flush(), no queued dst may be another job's dst or src.
template <class G>
class Sums {
  public:
    explicit Sums(const G& g) : g_(g), lanes_(lanes_of(g)), space_(g, 2) {}

    void push(word* dst, const word* src) {
        dst_[static_cast<std::size_t>(count_)] = dst;
        src_[static_cast<std::size_t>(count_)] = src;
        if (++count_ == lanes_.count) flush();
    }

    void flush() {
        if (!count_) return;
        Rows left{}, right{};
        RowsOut out{};
        for (std::size_t lane = 0; lane < static_cast<std::size_t>(lanes_.count); ++lane) {
            const std::size_t job = lane < static_cast<std::size_t>(count_) ? lane : 0;
            left[lane] = dst_[job];
            right[lane] = src_[job];
            out[lane] = job == lane ? dst_[job] : space_.sink();
        }
        const int words = row_words(g_);
        lanes_.gather(space_.block(0), left.data(), words);
        lanes_.gather(space_.block(1), right.data(), words);
        add(g_, space_.block(0), space_.block(0), space_.block(1));
        lanes_.scatter(out.data(), space_.block(0), words);
        count_ = 0;
    }

  private:
    const G& g_;
    const Lanes lanes_;
    Workspace<G> space_;
    RowsOut dst_{};
    Rows src_{};
    int count_ = 0;
};

}  // namespace vfl

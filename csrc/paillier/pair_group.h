// Pairs modulo n^2 as a group for the coded product (product/group.h). An element made ready is the factor (b, floor(b*R/n)) of its
// residue and its logarithm (factor_rows); residues are multiplied bucket by bucket, logarithms only added.
#pragma once

#include <numeric>
#include <vector>

#include "paillier/pair.h"
#include "product/coded_product.h"
#include "product/group.h"

namespace vfl {

inline Lanes lanes_of(const Modulus& m) { return {m.kernel->lanes, m.kernel->gather, m.kernel->scatter}; }
inline int row_words(const Modulus& m) { return m.row(); }
inline int prepared_words(const Modulus& m) { return 3 * m.digits; }
inline int operand_words(const Modulus& m) { return m.row(); }
inline const word* zero_of(const Modulus& m) { return m.one.data(); }  // encrypted sums are products
inline void add(const Modulus& m, word* r, const word* a, const word* b) { m.kernel->mul(m, r, a, b); }
inline void add_prepared(const Modulus& m, word* r, const word* a, const word* factor) { m.kernel->mul_factor(m, r, a, factor); }
inline void add_prepared_broadcast(const Modulus& m, word* r, const word* a, const word* factor) {
    m.kernel->mul_factor_broadcast(m, r, a, factor);
}

constexpr unsigned MAX_ACCUMULATED = 4094;  // logarithms added between two carries (pair.h)

// Sums of logarithms by joint class of some features.
class LogTensor {
  public:
    LogTensor(const Modulus& m, std::size_t size) : m_(m), counts_(size, 0), logs_(size * static_cast<std::size_t>(m.digits)) {}

    std::size_t size() const { return counts_.size(); }
    word* log(std::size_t i) { return logs_.get() + i * static_cast<std::size_t>(m_.digits); }

    void add(std::size_t i, const word* log_row) {
        m_.kernel->accumulate_row(m_, log(i), log_row);
        if (++counts_[i] == MAX_ACCUMULATED) carry(i);
    }
    void carry(std::size_t i) {
        m_.kernel->carry_row(m_, log(i));
        counts_[i] = 1;
    }

  private:
    const Modulus& m_;
    std::vector<std::uint16_t> counts_;
    Scratch logs_;
};

// The logarithms of one block's buckets, kept by the patterns of its lower and of its upper half of features alone: the class sums
// need no more, and two small tables stay in the cache.
template <>
struct Refinement<Modulus> {
    Refinement(const Modulus& m, const CodedBlock& block)
        : m_(m), block_(block), n_lower_(product_of(block.class_counts.data(), block.class_counts.size() / 2)), lower_(m, n_lower_),
          upper_(m, block.n_patterns() / n_lower_) {}

    void add(std::size_t pattern, const word* prepared) {
        const word* log = prepared + m_.row();
        if (block_.class_counts.size() > 1) lower_.add(pattern % n_lower_, log);
        upper_.add(pattern / n_lower_, log);
    }

    // sums (X0, X1) of every feature and class become (X0, X1 + X0*Lambda), Lambda the sum of the class's logarithms.
    void fold(word* sums) {
        const std::size_t row = static_cast<std::size_t>(m_.row()), digits = static_cast<std::size_t>(m_.digits);
        const std::size_t half = block_.class_counts.size() / 2, n_classes = static_cast<std::size_t>(
            std::accumulate(block_.class_counts.begin(), block_.class_counts.end(), 0));
        Scratch logs(n_classes * digits);
        std::size_t first = 0;
        for (std::size_t f = 0; f < block_.class_counts.size(); ++f) {
            LogTensor& from = f < half ? lower_ : upper_;
            const std::size_t stride = product_of(block_.class_counts.data() + (f < half ? 0 : half), f < half ? f : f - half);
            const std::size_t count = static_cast<std::size_t>(block_.class_counts[f]);
            for (std::size_t i = 0; i < from.size(); ++i) {
                from.carry(i);
                word* own = logs.get() + (first + i / stride % count) * digits;
                m_.kernel->accumulate_row(m_, own, from.log(i));
                m_.kernel->carry_row(m_, own);
            }
            first += count;
        }
        Workspace<Modulus> space(m_, 2);
        for_lanes(m_, 0, n_classes, [&](std::size_t at, int active) {
            const Kernel& k = *m_.kernel;
            space.load(0, sums, row, at, active, m_.row());
            space.load(1, logs.get(), digits, at, active, m_.digits);
            k.redc_mul(m_, space.block(1), space.block(0), space.block(1));
            k.add(m_, space.second(0), space.second(0), space.block(1));
            space.store(0, sums, row, at, active, m_.row());
        });
    }

  private:
    const Modulus& m_;
    const CodedBlock& block_;
    std::size_t n_lower_;
    LogTensor lower_, upper_;
};

}  // namespace vfl

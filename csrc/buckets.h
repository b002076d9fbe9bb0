// The buckets of one block: pairs by pattern, and the logarithms of what was multiplied into them.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "coded_product.h"
#include "lanes.h"

namespace vfl {

constexpr unsigned MAX_ACCUMULATED = 4094;  // logarithms added between two carries (pair.h)

// Pairs by joint class of some features, each in use or not. The memory is not cleared: what is not in use is not read.
class Tensor {
  public:
    Tensor(const Modulus& m, word* memory, std::size_t size) : row_(static_cast<std::size_t>(m.row())), memory_(memory), used_(size, 0) {}

    std::size_t size() const { return used_.size(); }
    bool used(std::size_t i) const { return used_[i] != 0; }
    void set_used(std::size_t i) { used_[i] = 1; }
    bool is_mostly_used() const { return static_cast<std::size_t>(std::count(used_.begin(), used_.end(), 1)) * 4 >= size() * 3; }
    word* pair(std::size_t i) { return memory_ + i * row_; }
    const word* pair(std::size_t i) const { return memory_ + i * row_; }

    void set(std::size_t i, const word* row) {
        std::memcpy(pair(i), row, sizeof(word) * row_);
        used_[i] = 1;
    }

    void ask_for(std::size_t i) const { prefetch<Access::write>(pair(i), row_); }

  private:
    std::size_t row_;
    word* memory_;
    std::vector<unsigned char> used_;
};

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

inline std::size_t product_of(const int* counts, std::size_t n) {
    std::size_t product = 1;
    for (std::size_t i = 0; i < n; ++i) product *= static_cast<std::size_t>(counts[i]);
    return product;
}

// The buckets of one block. Residues are multiplied by pattern; logarithms, which are only added, are kept by the patterns of the
// block's lower and of its upper half alone: the class sums need no more, and two small tables stay in the cache.
class Buckets {
  public:
    Buckets(const Modulus& m, word* memory, const CodedBlock& block)
        : m_(m), block_(block), n_lower_(product_of(block.class_counts.data(), block.class_counts.size() / 2)),
          tensor_(m, memory, block.n_patterns()), lower_(m, n_lower_), upper_(m, block.n_patterns() / n_lower_) {}

    Tensor& tensor() { return tensor_; }

    // Adds the logarithm of `row`; returns true when this is the bucket's first row, which is then already in place as a pair.
    bool enter(std::size_t pattern, const CodedRows& vector, std::size_t row) {
        const std::size_t width = static_cast<std::size_t>(m_.row()), digits = static_cast<std::size_t>(m_.digits);
        if (!tensor_.used(pattern)) {
            tensor_.set(pattern, vector.rows + row * width);
            return true;
        }
        const word* log = vector.factors + row * (width + digits) + width;
        if (block_.class_counts.size() > 1) lower_.add(pattern % n_lower_, log);
        upper_.add(pattern / n_lower_, log);
        return false;
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
        Workspace space(m_, 2);
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
    Tensor tensor_;
    LogTensor lower_, upper_;
};

}  // namespace vfl

// The buckets of one block: elements by pattern, and what the group keeps besides (group.h).
#pragma once

#include <algorithm>
#include <vector>

#include "product/coded_product.h"
#include "product/group.h"

namespace vfl {

// Elements by joint class of some features, each in use or not. The memory is not cleared: what is not in use is not read.
class Tensor {
  public:
    Tensor(std::size_t row, word* memory, std::size_t size) : row_(row), memory_(memory), used_(size, 0) {}

    std::size_t size() const { return used_.size(); }
    bool used(std::size_t i) const { return used_[i] != 0; }
    void set_used(std::size_t i) { used_[i] = 1; }
    bool is_mostly_used() const { return static_cast<std::size_t>(std::count(used_.begin(), used_.end(), 1)) * 4 >= size() * 3; }
    word* at(std::size_t i) { return memory_ + i * row_; }
    const word* at(std::size_t i) const { return memory_ + i * row_; }

    void set(std::size_t i, const word* row) {
        std::memcpy(at(i), row, sizeof(word) * row_);
        used_[i] = 1;
    }

    void ask_for(std::size_t i) const { prefetch<Access::write>(at(i), row_); }

  private:
    std::size_t row_;
    word* memory_;
    std::vector<unsigned char> used_;
};

template <class G>
class Buckets {
  public:
    Buckets(const G& g, word* memory, const CodedBlock& block)
        : row_(static_cast<std::size_t>(row_words(g))), prepared_(static_cast<std::size_t>(prepared_words(g))),
          tensor_(row_, memory, block.n_patterns()), refinement_(g, block) {}

    Tensor& tensor() { return tensor_; }

    // Returns true when this is the bucket's first row, which is then already in place; else the row is still to be added to it.
    bool enter(std::size_t pattern, const CodedRows& vector, std::size_t row) {
        if (!tensor_.used(pattern)) {
            tensor_.set(pattern, vector.rows + row * row_);
            return true;
        }
        refinement_.add(pattern, vector.prepared + row * prepared_);
        return false;
    }

    // Into the sums of every feature and class.
    void fold(word* sums) { refinement_.fold(sums); }

  private:
    std::size_t row_, prepared_;
    Tensor tensor_;
    Refinement<G> refinement_;
};

}  // namespace vfl

// The coded product Z^T [[g]] over a group G (group.h): bucket phase, collapse phase, combine phase. The functions are templates, defined
// in class_sums.h and combine.h and instantiated once a group, beside it.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "core/limbs.h"

namespace vfl {

inline std::size_t product_of(const int* counts, std::size_t n) {
    std::size_t product = 1;
    for (std::size_t i = 0; i < n; ++i) product *= static_cast<std::size_t>(counts[i]);
    return product;
}

// A block of features whose joint class is one mixed-radix number, feature 0 varying fastest.
struct CodedBlock {
    std::vector<int> class_counts;         // of its features; their product is the number of patterns, at most 2^16
    const std::uint16_t* patterns = nullptr;
    const std::uint32_t* rows = nullptr;   // sparse: the ascending rows of the `entries` patterns; null: all rows
    std::size_t entries = 0;
    int modal = -1;                        // pattern whose rows are left out (-1: none)
    std::size_t first_class = 0;           // where its features' class sums start in the output

    std::size_t n_patterns() const { return product_of(class_counts.data(), class_counts.size()); }
};

// Nanoseconds of the two phases, added up over all threads.
struct PhaseTimes {
    std::atomic<std::uint64_t> bucket{0}, collapse{0};
};

// The encrypted vector, twice: rows, and made ready to be added.
struct CodedRows {
    const word* rows;
    const word* prepared;
    std::size_t count;
};

// sums = for every block, feature and class: the sum of its rows, without those of the modal pattern.
// Rows are split into `segments` pieces when there are few blocks.
template <class G>
void class_sums(const G& g, word* sums, std::size_t n_classes, const CodedRows& vector, const std::vector<CodedBlock>& blocks,
                std::size_t segments, int threads, PhaseTimes& times);

// One output of the combine phase: sum over classes v of exponents[v] * (class sum first_class + v).
struct CodedColumn {
    std::size_t first_class;
    std::size_t n_classes;
    const std::int64_t* exponents;
};

// positive_j / negative_j = sums of the class sums with the positive / absolute negative exponents of column j.
template <class G>
void combine_columns(const G& g, word* positive, word* negative, const word* sums, const std::vector<CodedColumn>& columns,
                     int threads);

}  // namespace vfl

// The coded product Z^T [[g]]: bucket phase, collapse phase, combine phase.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "pair.h"

namespace vfl {

// A block of features whose joint class is one mixed-radix number, feature 0 varying fastest.
struct CodedBlock {
    std::vector<int> class_counts;         // of its features; their product is the number of patterns, at most 2^16
    const std::uint16_t* patterns = nullptr;
    const std::uint32_t* rows = nullptr;   // sparse: the ascending rows of the `entries` patterns; null: all rows
    std::size_t entries = 0;
    int modal = -1;                        // pattern whose rows are left out (-1: none)
    std::size_t first_class = 0;           // where its features' class sums start in the output

    std::size_t n_patterns() const;
};

// Nanoseconds of the two phases, added up over all threads.
struct PhaseTimes {
    std::atomic<std::uint64_t> bucket{0}, collapse{0};
};

// The encrypted vector, twice: rows, and what factor_rows made of them.
struct CodedRows {
    const word* rows;
    const word* factors;
    std::size_t count;
};

// sums = for every block, feature and class: the product of the ciphertexts of its rows, without those of the modal pattern.
// Rows are split into `segments` pieces when there are few blocks.
void class_sums(const Modulus& m, word* sums, std::size_t n_classes, const CodedRows& vector, const std::vector<CodedBlock>& blocks,
                std::size_t segments, int threads, PhaseTimes& times);

// One output of the combine phase: sum over classes v of exponents[v] * (class sum first_class + v).
struct CodedColumn {
    std::size_t first_class;
    std::size_t n_classes;
    const std::int64_t* exponents;
};

// positive_j / negative_j = products of the class sums with the positive / absolute negative exponents of column j.
void combine_columns(const Modulus& m, word* positive, word* negative, const word* sums, const std::vector<CodedColumn>& columns,
                     int threads);

}  // namespace vfl

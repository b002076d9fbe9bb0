// What a coded product takes from Python, over any group: blocks of patterns, columns of exponents, phase times.
#pragma once

#include <algorithm>
#include <limits>
#include <utility>

#include "bindings/arrays.h"
#include "product/coded_product.h"

namespace vfl::bindings {

constexpr std::size_t MAX_PATTERNS = 65536, MAX_SEGMENTS = 65536;

using Patterns = py::array_t<std::uint16_t, PLAIN>;
using RowList = py::array_t<std::uint32_t, PLAIN>;
using BlockTuple = std::tuple<std::vector<int>, Patterns, py::object, int>;

inline vfl::CodedBlock make_block(const std::vector<int>& counts, const Patterns& patterns, const py::object& rows, int modal,
                           std::size_t first_class, std::size_t n_rows) {
    vfl::CodedBlock block;
    block.class_counts = counts;
    block.modal = modal;
    block.first_class = first_class;
    block.entries = static_cast<std::size_t>(patterns.size());
    block.patterns = patterns.data();
    std::size_t n_patterns = 1;
    for (int count : counts) {
        require(count >= 1 && static_cast<std::size_t>(count) <= MAX_PATTERNS / n_patterns, "a block has 1 to 65536 patterns");
        n_patterns *= static_cast<std::size_t>(count);
    }
    require(!counts.empty(), "a block without features");
    if (rows.is_none()) {
        require(block.entries == n_rows, "a dense block has one pattern a row");
    } else {
        require(is_plain<RowList>(rows), "rows must be a C-contiguous, aligned uint32 array");
        const RowList list = py::reinterpret_borrow<RowList>(rows);
        require(static_cast<std::size_t>(list.size()) == block.entries, "a sparse block has one pattern an entry");
        block.rows = list.data();
        for (std::size_t i = 0; i < block.entries; ++i) {
            require(block.rows[i] < n_rows && (i == 0 || block.rows[i - 1] < block.rows[i]), "rows must ascend within the table");
        }
    }
    for (std::size_t i = 0; i < block.entries; ++i) require(block.patterns[i] < n_patterns, "pattern above the block's count");
    return block;
}

struct Blocks {
    std::vector<vfl::CodedBlock> blocks;
    std::size_t n_classes = 0;
};

inline Blocks make_blocks(const std::vector<BlockTuple>& tuples, std::size_t n_rows, std::size_t segments) {
    require(!tuples.empty() && n_rows > 0, "no rows or no blocks");
    require(segments > 0 && segments <= std::max(n_rows, MAX_SEGMENTS), "no segments, or more than rows");
    Blocks made;
    for (const auto& [counts, patterns, rows, modal] : tuples) {
        made.blocks.push_back(make_block(counts, patterns, rows, modal, made.n_classes, n_rows));
        for (int count : counts) made.n_classes += static_cast<std::size_t>(count);
    }
    return made;
}

// Two phases' nanoseconds over all threads are added to `times`, if that is not None.
inline word* phase_times(const py::object& times) {
    if (times.is_none()) return nullptr;
    require(is_plain<Words>(times), "times must be a C-contiguous, aligned uint64 array");
    Words phases = py::reinterpret_borrow<Words>(times);
    require(phases.ndim() == 1 && phases.size() == 2, "times has two phases");
    return phases.mutable_data();
}

// sums, n_classes rows: of the vector's rows by class.
template <class G>
void class_sums_into(const G& g, word* sums, const vfl::CodedRows& vector, const Blocks& blocks, std::size_t segments, int threads, word* spent) {
    vfl::PhaseTimes phases;
    vfl::class_sums(g, sums, blocks.n_classes, vector, blocks.blocks, segments, threads, phases);
    if (!spent) return;
    spent[0] += phases.bucket;
    spent[1] += phases.collapse;
}

inline std::vector<vfl::CodedColumn> make_columns(std::size_t rows, const Integers& first_classes, const Integers& n_classes, const Integers& exponents) {
    const std::size_t count = static_cast<std::size_t>(first_classes.size());
    require(exponents.ndim() == 2 && static_cast<std::size_t>(exponents.shape(0)) == count && n_classes.size() == first_classes.size(),
            "one row of exponents a column");
    std::vector<vfl::CodedColumn> columns;
    for (std::size_t j = 0; j < count; ++j) {
        const std::int64_t first = first_classes.data()[j], classes = n_classes.data()[j];
        require(first >= 0 && classes >= 1 && static_cast<std::size_t>(first + classes) <= rows && classes <= exponents.shape(1),
                "a column's classes lie outside the class sums");
        const std::int64_t* own = exponents.data() + j * static_cast<std::size_t>(exponents.shape(1));
        require(std::find(own, own + classes, std::numeric_limits<std::int64_t>::min()) == own + classes, "an exponent without a negative");
        columns.push_back({static_cast<std::size_t>(first), static_cast<std::size_t>(classes), own});
    }
    return columns;
}

}  // namespace vfl::bindings

// Combine phase: integer combinations of class sums, a column each.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/parallel.h"
#include "product/coded_product.h"
#include "product/group.h"

namespace vfl {

// A queued step of a column's combine program: dst += src, or dst = src.
struct Step {
    word* dst;
    const word* src;
    bool copy;
};

// Appends the steps of out += gap*acc, by doubling in `power`.
inline void raise(std::vector<Step>& program, word* out, const word* acc, word* power, std::uint64_t gap, bool& fresh) {
    const word* base = acc;
    for (bool first = true; gap; gap >>= 1, first = false) {
        if (!first) {
            if (base == acc) {
                program.push_back({power, acc, true});
                base = power;
            }
            program.push_back({power, power, false});
        }
        if (gap & 1) {
            program.push_back({out, base, fresh});
            fresh = false;
        }
    }
}

// The steps of out = sum of |e_v|*S_v over the exponents of one sign: classes in falling order, each gap between
// neighbours one multiple of the running sum (suffix sums for ordinal codes).
template <class G>
std::vector<Step> program_for(const G& g, const CodedColumn& column, const word* sums, int sign, word* out, word* acc, word* power) {
    const std::size_t row = static_cast<std::size_t>(row_words(g));
    std::vector<std::pair<std::int64_t, std::size_t>> order;
    for (std::size_t v = 0; v < column.n_classes; ++v) {
        const std::int64_t exponent = column.exponents[v] * sign;
        const word* source = sums + (column.first_class + v) * row;
        if (exponent > 0 && std::memcmp(source, zero_of(g), sizeof(word) * row) != 0) order.emplace_back(exponent, v);
    }
    std::sort(order.begin(), order.end(), [](const auto& x, const auto& y) { return x.first > y.first; });
    std::vector<Step> program;
    bool fresh_out = true;
    for (std::size_t i = 0; i < order.size(); ++i) {
        program.push_back({acc, sums + (column.first_class + order[i].second) * row, i == 0});
        const std::int64_t next = i + 1 < order.size() ? order[i + 1].first : 0;
        raise(program, out, acc, power, static_cast<std::uint64_t>(order[i].first - next), fresh_out);
    }
    if (fresh_out) program.push_back({out, zero_of(g), true});
    return program;
}

// Runs the programs of several columns in step, so that their additions share vectors.
template <class G>
void run(const G& g, Sums<G>& queue, const std::vector<std::vector<Step>>& programs) {
    std::size_t longest = 0;
    for (const auto& program : programs) longest = std::max(longest, program.size());
    for (std::size_t i = 0; i < longest; ++i) {
        for (const auto& program : programs) {
            if (i >= program.size()) continue;
            if (program[i].copy) {
                std::memcpy(program[i].dst, program[i].src, sizeof(word) * static_cast<std::size_t>(row_words(g)));
            } else {
                queue.push(program[i].dst, program[i].src);
            }
        }
        queue.flush();
    }
}

template <class G>
void combine_columns(const G& g, word* positive, word* negative, const word* sums, const std::vector<CodedColumn>& columns,
                     int threads) {
    const std::size_t row = static_cast<std::size_t>(row_words(g));
    parallel_for(threads, columns.size(), 32, [&](std::size_t begin, std::size_t end) {
        Sums<G> queue(g);
        Scratch registers((end - begin) * 2 * row);
        for (int sign : {1, -1}) {
            word* out = sign > 0 ? positive : negative;
            std::vector<std::vector<Step>> programs;
            for (std::size_t j = begin; j < end; ++j) {
                word* own = registers.get() + (j - begin) * 2 * row;
                programs.push_back(program_for(g, columns[j], sums, sign, out + j * row, own, own + row));
            }
            run(g, queue, programs);
        }
    });
}

}  // namespace vfl

// Collapse phase: a tensor of buckets summed down to one element per feature and class.
#pragma once

#include <cstring>
#include <numeric>

#include "product/buckets.h"

namespace vfl {

// dst += src where src is in use; the first source of a target is copied.
template <class G>
void merge(Sums<G>& queue, Tensor& dst, std::size_t i, const Tensor& src, std::size_t j) {
    if (!src.used(j)) return;
    if (dst.used(i)) {
        queue.push(dst.at(i), src.at(j));
    } else {
        dst.set(i, src.at(j));
    }
}

// A tensor seen as a matrix: entry (i, t) stands at i*step + t*stride. Its rows are summed over t.
struct Marginal {
    std::size_t size, step, terms, stride;
    std::size_t at(std::size_t i, std::size_t t) const { return i * step + t * stride; }
};

// Into how many parts to split the terms, so that few lanes stay idle: `size` sums alone may not fill whole vectors.
inline std::size_t parts_for(const Marginal& sums, std::size_t lanes) {
    const auto vectors = [&](std::size_t parts) {
        return (sums.size * parts + lanes - 1) / lanes * ((sums.terms + parts - 1) / parts) + (sums.size * (parts - 1) + lanes - 1) / lanes;
    };
    std::size_t best = 1;
    for (std::size_t parts = 2; parts <= lanes && parts <= sums.terms; parts *= 2) {
        if (vectors(parts) < vectors(best)) best = parts;
    }
    return best;
}

// dst[i] = sum of the row i, each lane one sum or a part of one, whose running sum stays in the lane. For full tensors:
// what is not in use is added as zero.
template <class G>
void marginalize_lanes(const G& g, Sums<G>& queue, Tensor& dst, const Tensor& src, const Marginal& sums) {
    const std::size_t lanes = static_cast<std::size_t>(lanes_of(g).count), row = static_cast<std::size_t>(row_words(g));
    const std::size_t parts = parts_for(sums, lanes), length = (sums.terms + parts - 1) / parts;
    Scratch memory(sums.size * parts * row, false, false);
    Tensor partial(row, memory.get(), sums.size * parts);
    Workspace<G> space(g, 2);
    for_lanes(g, 0, partial.size(), [&](std::size_t first, int active) {
        bool fresh = true;
        for (std::size_t t = 0; t < length; ++t) {
            Rows rows{};
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                const std::size_t own = first + lane, term = own / sums.size * length + t;
                rows[lane] = zero_of(g);
                if (static_cast<int>(lane) >= active || term >= sums.terms || !src.used(sums.at(own % sums.size, term))) continue;
                rows[lane] = src.at(sums.at(own % sums.size, term));
                partial.set_used(own);
            }
            lanes_of(g).gather(space.block(fresh ? 0 : 1), rows.data(), row_words(g));
            if (!fresh) add(g, space.block(0), space.block(0), space.block(1));
            fresh = false;
        }
        space.store(0, partial.at(0), row, first, active, row_words(g));
    });
    for (std::size_t part = 0; part < parts; ++part) {
        for (std::size_t i = 0; i < sums.size; ++i) merge(queue, dst, i, partial, part * sums.size + i);
        queue.flush();
    }
}

template <class G>
void marginalize(const G& g, Sums<G>& queue, Tensor& dst, const Tensor& src, const Marginal& sums) {
    if (src.is_mostly_used()) return marginalize_lanes(g, queue, dst, src, sums);
    for (std::size_t t = 0; t < sums.terms; ++t) {
        for (std::size_t i = 0; i < sums.size; ++i) merge(queue, dst, i, src, sums.at(i, t));
        queue.flush();
    }
}

// Collapse phase: sums the bucket tensor over the features down to one row per feature and class, by halves.
template <class G>
void collapse(const G& g, Sums<G>& queue, const Tensor& tensor, const int* counts, std::size_t n_features, word* sums) {
    const std::size_t row = static_cast<std::size_t>(row_words(g));
    if (n_features == 1) {
        for (std::size_t v = 0; v < tensor.size(); ++v) {
            std::memcpy(sums + v * row, tensor.used(v) ? tensor.at(v) : zero_of(g), sizeof(word) * row);
        }
        return;
    }
    const std::size_t half = n_features / 2, low_size = product_of(counts, half), high_size = tensor.size() / low_size;
    const std::size_t classes = static_cast<std::size_t>(std::accumulate(counts, counts + half, 0));
    Scratch memory((low_size + high_size) * row, false, false);
    Tensor low(row, memory.get(), low_size), high(row, memory.get() + low_size * row, high_size);
    marginalize(g, queue, low, tensor, {low_size, 1, high_size, low_size});
    marginalize(g, queue, high, tensor, {high_size, low_size, low_size, 1});
    collapse(g, queue, low, counts, half, sums);
    collapse(g, queue, high, counts + half, n_features - half, sums + classes * row);
}

}  // namespace vfl

// Batched arithmetic on rows of points, threads over pieces of rows, lanes within a piece.
#include "curve/point_rows.h"

#include "core/parallel.h"

namespace vfl {
namespace {

constexpr std::size_t CHAIN = 256;  // blocks that share one field inversion

// Calls body(space, first, active) for the groups of lanes of [0, count), a workspace of `blocks` elements a thread's piece.
template <class Body>
void each_group(const Curve& c, int blocks, bool secret, std::size_t count, int threads, Body body) {
    parallel_for(threads, count, grain_for(count, threads, c.kernel->lanes), [&](std::size_t begin, std::size_t end) {
        Workspace<Curve> space(c, blocks, secret);
        for_lanes(c, begin, end, [&](std::size_t first, int active) { body(space, first, active); });
    });
}

Curve single(const Curve& c) { return Curve(c.kernel, 1); }

void put_flags(word* flags, const word* masks, std::size_t first, int active) {
    for (int lane = 0; lane < active; ++lane) flags[first + static_cast<std::size_t>(lane)] = masks[lane] & 1;
}

void decoded_by(const Curve& c, void (*decode)(word*, word*, const word*), word* rows, word* valid, const word* codes, std::size_t count,
                int threads) {
    const Curve one = single(c);
    each_group(one, 2, false, count, threads, [&](Workspace<Curve>& space, std::size_t first, int active) {
        word masks[MAX_LANES];
        space.load(1, codes, CODE_WORDS, first, active, CODE_WORDS);
        decode(space.block(0), masks, space.block(1));
        space.store(0, rows, POINT_WORDS, first, active, POINT_WORDS);
        put_flags(valid, masks, first, active);
    });
}

// Rows of `width` words by a function of rows of `from` words, at most as wide as a point.
void mapped_by(const Curve& c, void (*function)(word*, const word*), word* rows, int width, const word* given, int from, std::size_t count,
               int threads) {
    const Curve one = single(c);
    each_group(one, 2, true, count, threads, [&](Workspace<Curve>& space, std::size_t first, int active) {
        space.load(1, given, static_cast<std::size_t>(from), first, active, from);
        function(space.block(0), space.block(1));
        space.store(0, rows, static_cast<std::size_t>(width), first, active, width);
    });
}

void z_of(word* r, const word* a, std::size_t width) { std::memcpy(r, a + 2 * width, sizeof(word) * width); }

// result = made(point, 1/factor(point)) of every point, `words` words each: Montgomery's trick along the blocks of a chain, in every lane
// by itself. `factor` null: its Z.
void by_inverse(const Curve& c, void (*factor)(word*, const word*), void (*made)(word*, const word*, const word*), word* result, int words,
                const word* a, std::size_t count, int threads) {
    const Curve one = single(c);
    const CurveKernel& k = *c.kernel;
    const std::size_t lanes = static_cast<std::size_t>(k.lanes), width = DIGITS * lanes;
    parallel_for(threads, count, CHAIN * lanes, [&](std::size_t begin, std::size_t end) {
        Workspace<Curve> space(one, 2, true);
        Scratch products((CHAIN + 1) * width, true, false);  // prefix products of the factors, behind a 1
        Scratch inverse(3 * width, true);
        word* own = inverse.get() + 2 * width;
        const auto factor_of = [&] { factor ? factor(own, space.block(0)) : z_of(own, space.block(0), width); };
        for (std::size_t at = 0; at < width; ++at) products.get()[at] = at < lanes ? 1 : 0;
        std::size_t blocks = 0;
        for_lanes(one, begin, end, [&](std::size_t first, int active) {
            space.load(0, a, POINT_WORDS, first, active, POINT_WORDS);
            factor_of();
            word* prefix = products.get() + blocks++ * width;
            k.mul(prefix + width, prefix, own);
        });
        k.invert(inverse.get(), products.get() + blocks * width);
        while (blocks--) {
            const std::size_t first = begin + blocks * lanes;
            const int active = static_cast<int>(std::min(lanes, end - first));
            space.load(0, a, POINT_WORDS, first, active, POINT_WORDS);
            factor_of();
            k.mul(inverse.get() + width, inverse.get(), products.get() + blocks * width);
            k.mul(inverse.get(), inverse.get(), own);
            made(space.block(1), space.block(0), inverse.get() + width);
            space.store(1, result, static_cast<std::size_t>(words), first, active, words);
        }
    });
}

}  // namespace

void decode_points(const Curve& c, word* rows, word* valid, const word* codes, std::size_t count, int threads) {
    decoded_by(c, c.kernel->decode, rows, valid, codes, count, threads);
}

void decode_edwards_points(const Curve& c, word* rows, word* valid, const word* codes, std::size_t count, int threads) {
    decoded_by(c, c.kernel->decode_edwards, rows, valid, codes, count, threads);
}

void encode_points(const Curve& c, word* codes, const word* rows, std::size_t count, int threads) {
    mapped_by(c, c.kernel->encode, codes, CODE_WORDS, rows, POINT_WORDS, count, threads);
}

void encode_double_points(const Curve& c, word* codes, const word* rows, std::size_t count, int threads) {
    by_inverse(c, c.kernel->double_product, c.kernel->encode_double, codes, CODE_WORDS, rows, count, threads);
}

void encode_edwards_points(const Curve& c, word* codes, const word* rows, std::size_t count, int threads) {
    Scratch affine(count * PREPARED_WORDS, true, false);
    flatten_points(c, affine.get(), rows, count, threads);
    mapped_by(c, c.kernel->encode_edwards, codes, CODE_WORDS, affine.get(), PREPARED_WORDS, count, threads);
}

void points_from_uniform(const Curve& c, word* rows, const word* uniform, std::size_t count, int threads) {
    mapped_by(c, c.kernel->from_uniform, rows, POINT_WORDS, uniform, 2 * CODE_WORDS, count, threads);
}

void edwards_points_from_uniform(const Curve& c, word* rows, const word* uniform, std::size_t count, int threads) {
    mapped_by(c, c.kernel->edwards_from_uniform, rows, POINT_WORDS, uniform, CODE_WORDS, count, threads);
}

void equal_points(const Curve& c, word* same, const word* a, const word* b, std::size_t count, int threads) {
    const Curve one = single(c);
    each_group(one, 2, false, count, threads, [&](Workspace<Curve>& space, std::size_t first, int active) {
        word masks[MAX_LANES];
        space.load(0, a, POINT_WORDS, first, active, POINT_WORDS);
        space.load(1, b, POINT_WORDS, first, active, POINT_WORDS);
        c.kernel->equal(masks, space.block(0), space.block(1));
        put_flags(same, masks, first, active);
    });
}

void add_elements(const Curve& c, word* r, const word* a, const word* b, std::size_t b_stride, std::size_t count, int threads) {
    const std::size_t row = static_cast<std::size_t>(row_words(c));
    each_group(c, 2, false, count, threads, [&](Workspace<Curve>& space, std::size_t first, int active) {
        space.load(0, a, row, first, active, row_words(c));
        space.load(1, b, b_stride, first, active, row_words(c));
        add(c, space.block(0), space.block(0), space.block(1));
        space.store(0, r, row, first, active, row_words(c));
    });
}

void negate_points(const Curve& c, word* r, const word* a, std::size_t count, int threads) {
    mapped_by(c, c.kernel->negate, r, POINT_WORDS, a, POINT_WORDS, count, threads);
}

// By halves, so that the lanes are full as long as there are rows.
void sum_elements(const Curve& c, word* r, const word* a, std::size_t count, int threads) {
    const std::size_t row = static_cast<std::size_t>(row_words(c));
    if (count == 0) return static_cast<void>(std::memcpy(r, zero_of(c), sizeof(word) * row));
    Scratch sums((count + 1) / 2 * row, false, false);
    std::size_t half = count / 2;
    add_elements(c, sums.get(), a, a + half * row, row, half, threads);
    if (count % 2) std::memcpy(sums.get() + half * row, a + (count - 1) * row, sizeof(word) * row);
    for (std::size_t left = half + count % 2; left > 1; left = half + left % 2) {
        half = left / 2;
        add_elements(c, sums.get(), sums.get(), sums.get() + (left - half) * row, row, half, threads);
    }
    std::memcpy(r, sums.get(), sizeof(word) * row);
}

void prepare_points(const Curve& c, word* prepared, const word* a, std::size_t count, int threads) {
    by_inverse(c, nullptr, c.kernel->prepare, prepared, PREPARED_WORDS, a, count, threads);
}

void flatten_points(const Curve& c, word* affine, const word* a, std::size_t count, int threads) {
    by_inverse(c, nullptr, c.kernel->flatten, affine, PREPARED_WORDS, a, count, threads);
}

void multiply_elements(const Curve& c, word* r, const word* a, const word* scalars, std::size_t stride, int windows, std::size_t count,
                       int threads) {
    const std::size_t row = static_cast<std::size_t>(row_words(c)), step = POINT_WORDS * static_cast<std::size_t>(c.kernel->lanes);
    each_group(c, 2, true, count, threads, [&](Workspace<Curve>& space, std::size_t first, int active) {
        space.load(0, a, row, first, active, row_words(c));
        space.load(1, scalars, stride, first, active, CODE_WORDS);
        for (int i = 0; i < c.points; ++i) {
            word* point = space.block(0) + static_cast<std::size_t>(i) * step;
            c.kernel->multiply(point, point, space.block(1), windows);
        }
        space.store(0, r, row, first, active, row_words(c));
    });
}

void base_table(const Curve& c, word* table, const word* point, int threads) {
    const Curve one = single(c);
    Scratch rows(WINDOWS * WINDOW_ENTRIES * POINT_WORDS);
    const word* base = point;
    for (int w = 0; w < WINDOWS; ++w) {
        word* own = rows.get() + w * WINDOW_ENTRIES * POINT_WORDS;
        if (w) {  // 16 times the base before
            add_elements(one, own, base + (WINDOW_ENTRIES - 1) * POINT_WORDS, base + (WINDOW_ENTRIES - 1) * POINT_WORDS, POINT_WORDS, 1, 1);
        } else {
            std::memcpy(own, point, sizeof(word) * POINT_WORDS);
        }
        for (int e = 1; e < WINDOW_ENTRIES; ++e) add_elements(one, own + e * POINT_WORDS, own + (e - 1) * POINT_WORDS, own, POINT_WORDS, 1, 1);
        base = own;
    }
    prepare_points(one, table, rows.get(), WINDOWS * WINDOW_ENTRIES, threads);
}

void add_base_terms(const Curve& c, word* r, const word* start, const BaseTerm* terms, std::size_t n_terms, std::size_t count, int threads) {
    const std::size_t row = static_cast<std::size_t>(row_words(c)), step = POINT_WORDS * static_cast<std::size_t>(c.kernel->lanes);
    each_group(c, 2, true, count, threads, [&](Workspace<Curve>& space, std::size_t first, int active) {
        space.load(0, start ? start : zero_of(c), start ? row : 0, first, active, row_words(c));
        for (const BaseTerm* term = terms; term < terms + n_terms; ++term) {
            word flips[MAX_LANES] = {};
            for (int lane = 0; term->negative && lane < active; ++lane) flips[lane] = term->negative[first + static_cast<std::size_t>(lane)];
            space.load(1, term->scalars, CODE_WORDS, first, active, CODE_WORDS);
            word* point = space.block(0) + static_cast<std::size_t>(term->point) * step;
            c.kernel->add_multiple_of_base(point, term->table, space.block(1), term->windows, flips);
            wipe(flips, sizeof flips);
        }
        space.store(0, r, row, first, active, row_words(c));
    });
}

}  // namespace vfl

// Limbs in and out of the lanes of pairs, and loops over rows: what the batched functions share.
#pragma once

#include "core/parallel.h"
#include "paillier/pair_group.h"

namespace vfl {

inline std::size_t at(std::size_t index, int width) { return index * static_cast<std::size_t>(width); }

// Runs body(space, first, active) over all groups of lanes, threads sharing the groups.
template <class Body>
void for_rows(const Modulus& m, std::size_t count, int threads, int n_blocks, Body body) {
    parallel_for(threads, count, grain_for(count, threads, m.kernel->lanes), [&](std::size_t begin, std::size_t end) {
        Workspace<Modulus> space(m, n_blocks);
        for_lanes(m, begin, end, [&](std::size_t first, int active) { body(space, first, active); });
    });
}

// Block `to` (first component) = one residue per lane, read from `size` <= m.limbs limbs at limbs + lane*stride.
inline void load_limbs(const Modulus& m, Workspace<Modulus>& space, int to, const word* limbs, std::size_t stride, int size, int active) {
    word digits[MAX_LANES][MAX_DIGITS];
    Rows rows{};
    for (int lane = 0; lane < m.kernel->lanes; ++lane) {
        const word* source = limbs + static_cast<std::size_t>(lane < active ? lane : active - 1) * stride;
        to_digits(digits[lane], m.digits, m.kernel->radix, source, size);
        rows[static_cast<std::size_t>(lane)] = digits[lane];
    }
    m.kernel->gather(space.block(to), rows.data(), m.digits);
    wipe(digits, sizeof digits[0] * static_cast<std::size_t>(m.kernel->lanes));
}

// Block `to` = the numbers of `size` limbs at limbs + lane*size, as Montgomery pairs: sum over chunks of chunk * constant.
// Uses blocks to+1 and to+2. The result is < n_chunks * 2n in each component.
inline void import_block(const Modulus& m, Workspace<Modulus>& space, int to, const word* limbs, int size, int active) {
    const Kernel& k = *m.kernel;
    for (int chunk = 0; chunk * m.limbs < size; ++chunk) {
        const int width = std::min(m.limbs, size - chunk * m.limbs);
        load_limbs(m, space, to + 1, limbs + chunk * m.limbs, static_cast<std::size_t>(size), width, active);
        space.broadcast(to + 2, m.chunks.data() + chunk * m.row(), m.row());
        if (chunk == 0) {
            k.mul_residue(m, space.block(to), space.block(to + 2), space.block(to + 1));
            continue;
        }
        k.mul_residue(m, space.block(to + 2), space.block(to + 2), space.block(to + 1));
        k.add(m, space.block(to), space.block(to), space.block(to + 2));
        k.add(m, space.second(to), space.second(to), space.second(to + 2));
    }
}

// The limbs of each lane's digits, to out + lane*stride; both are wiped.
inline void store_limbs(const Modulus& m, const word* block, int words, word* out, std::size_t stride, int active) {
    word digits[MAX_LANES][2 * MAX_DIGITS];
    RowsOut rows{};
    for (int lane = 0; lane < m.kernel->lanes; ++lane) rows[static_cast<std::size_t>(lane)] = digits[lane];
    m.kernel->scatter(rows.data(), block, words);
    for (int lane = 0; lane < active; ++lane) {
        for (int part = 0; part * m.digits < words; ++part) {
            to_limbs(out + static_cast<std::size_t>(lane) * stride + part * m.limbs, m.limbs, digits[lane] + part * m.digits, m.digits,
                     m.kernel->radix);
        }
    }
    wipe(digits, sizeof digits[0] * static_cast<std::size_t>(m.kernel->lanes));
}

// The canonical residue of each lane of a block component (< 16n, in place), to out + lane*stride (limbs words).
inline void store_residues(const Modulus& m, word* component, word* out, std::size_t stride, int active) {
    m.kernel->canonical(m, component, nullptr, nullptr);
    store_limbs(m, component, m.digits, out, stride, active);
}

// The canonical pair of each lane of a block that is already out of Montgomery form, in place, each half `limbs` words, to
// out + lane*2*limbs. The first component's overflow is a carry into the second.
inline void store_pairs(const Modulus& m, word* block, word* out, int active) {
    word carry[MAX_LANES];
    m.kernel->canonical(m, block, nullptr, carry);
    m.kernel->canonical(m, block + m.digits * m.kernel->lanes, carry, nullptr);
    store_limbs(m, block, m.row(), out, static_cast<std::size_t>(2 * m.limbs), active);
    wipe(carry, sizeof carry);
}

}  // namespace vfl

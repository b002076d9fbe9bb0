#include "paillier/blocks.h"
#include "paillier/paillier.h"

namespace vfl {
namespace {

void set_one_digit(word* row, int digits) {
    std::memset(row, 0, sizeof(word) * static_cast<std::size_t>(digits));
    row[0] = 1;
}

int window_for(int bits) { return bits <= 24 ? 2 : bits <= 80 ? 3 : bits <= 240 ? 4 : 5; }

int longest_exponent(const word* exponents, int size, std::size_t stride, std::size_t count) {
    int bits = 0;
    for (std::size_t i = 0; i < (stride ? count : 1); ++i) {
        for (int limb = size; limb-- > 0;) {
            const word value = exponents[i * stride + static_cast<std::size_t>(limb)];
            if (!value) continue;
            bits = std::max(bits, limb * 64 + 64 - __builtin_clzll(value));
            break;
        }
    }
    return bits;
}

}  // namespace

void import_rows(const Modulus& m, word* rows, const word* limbs, int size, std::size_t count, int threads) {
    for_rows(m, count, threads, 3, [&](Workspace<Modulus>& space, std::size_t first, int active) {
        import_block(m, space, 0, limbs + at(first, size), size, active);
        space.store(0, rows, static_cast<std::size_t>(m.row()), first, active, m.row());
    });
}

void export_rows(const Modulus& m, word* limbs, const word* rows, std::size_t count, int threads) {
    for_rows(m, count, threads, 1, [&](Workspace<Modulus>& space, std::size_t first, int active) {
        word pairs[MAX_LANES * 2 * MAX_DIGITS];
        space.load(0, rows, static_cast<std::size_t>(m.row()), first, active, m.row());
        m.kernel->redc(m, space.block(0), space.block(0));
        store_pairs(m, space.block(0), pairs, active);
        for (int lane = 0; lane < active; ++lane) {
            const word* pair = pairs + at(static_cast<std::size_t>(lane), 2 * m.limbs);
            multiply_add(limbs + at(first + static_cast<std::size_t>(lane), 2 * m.limbs), pair + m.limbs, m.n_limbs.data(), pair, m.limbs);
        }
    });
}

void multiply_rows(const Modulus& m, word* r, const word* a, const word* b, std::size_t b_stride, std::size_t count, int threads) {
    const std::size_t stride = static_cast<std::size_t>(m.row());
    for_rows(m, count, threads, 2, [&](Workspace<Modulus>& space, std::size_t first, int active) {
        space.load(0, a, stride, first, active, m.row());
        space.load(1, b, b_stride, first, active, m.row());
        m.kernel->mul(m, space.block(0), space.block(0), space.block(1));
        space.store(0, r, stride, first, active, m.row());
    });
}

void add_plain_rows(const Modulus& m, word* r, const word* a, const word* plain, std::size_t count, int threads) {
    const std::size_t stride = static_cast<std::size_t>(m.row());
    for_rows(m, count, threads, 3, [&](Workspace<Modulus>& space, std::size_t first, int active) {
        const Kernel& k = *m.kernel;
        space.load(0, a, stride, first, active, m.row());
        load_limbs(m, space, 1, plain + at(first, m.limbs), static_cast<std::size_t>(m.limbs), m.limbs, active);
        space.broadcast(2, m.r_squared.data(), m.digits);
        k.redc_mul(m, space.block(1), space.block(1), space.block(2));
        k.redc_mul(m, space.block(1), space.block(1), space.block(0));  // a0 * plain
        k.add(m, space.second(0), space.second(0), space.block(1));
        space.broadcast(2, m.one.data(), m.digits);
        k.redc_mul(m, space.second(0), space.second(0), space.block(2));  // times R over R: below 2n again
        space.store(0, r, stride, first, active, m.row());
    });
}

void add_small_rows(const Modulus& m, word* r, const word* a, const std::int64_t* values, std::size_t count, int threads) {
    const std::size_t stride = static_cast<std::size_t>(m.row()), lanes = static_cast<std::size_t>(m.kernel->lanes);
    for_rows(m, count, threads, 2, [&](Workspace<Modulus>& space, std::size_t first, int active) {
        word magnitude[MAX_LANES], negative[MAX_LANES];
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const std::int64_t value = values[first + std::min(lane, static_cast<std::size_t>(active - 1))];
            negative[lane] = static_cast<word>(value >> 63);  // ~0 or 0
            magnitude[lane] = (static_cast<word>(value) ^ negative[lane]) - negative[lane];
        }
        space.load(0, a, stride, first, active, m.row());
        word* factor = space.block(1);  // a0, or 4n - a0 where the value is negative
        m.kernel->negate(m, factor, space.block(0));
        for (std::size_t i = 0; i < static_cast<std::size_t>(m.digits) * lanes; i += lanes) {
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                const word own = space.block(0)[i + lane];
                factor[i + lane] = own ^ (negative[lane] & (own ^ factor[i + lane]));
            }
        }
        m.kernel->add_multiple(m, space.second(0), factor, magnitude);
        space.store(0, r, stride, first, active, m.row());
    });
}

void power_rows_var(const Modulus& m, word* r, const word* a, const word* exponents, int size, std::size_t stride, std::size_t count,
                    int threads) {
    const int bits = longest_exponent(exponents, size, stride, count), window = window_for(bits);
    const std::size_t row = static_cast<std::size_t>(m.row()), lanes = static_cast<std::size_t>(m.kernel->lanes);
    const std::size_t entries = std::size_t{1} << window;
    for_rows(m, count, threads, 3, [&](Workspace<Modulus>& space, std::size_t first, int active) {
        const Kernel& k = *m.kernel;
        Scratch table(entries * lanes * row);
        space.load(1, a, row, first, active, m.row());
        space.broadcast(0, m.one.data(), m.row());
        for (std::size_t entry = 0; entry < entries; ++entry) {  // table[lane][entry] = a^entry
            space.store(0, table.get() + entry * row, entries * row, 0, static_cast<int>(lanes), m.row());
            k.mul(m, space.block(0), space.block(0), space.block(1));
        }
        space.broadcast(0, m.one.data(), m.row());
        for (int position = (bits + window - 1) / window; position-- > 0;) {
            for (int s = 0; s < window; ++s) k.sqr(m, space.block(0), space.block(0));
            Rows chosen{};
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                const std::size_t item = first + std::min(lane, static_cast<std::size_t>(active - 1));
                const unsigned digit = bits_at(exponents + item * stride, size, position * window, window);
                chosen[lane] = table.get() + (lane * entries + digit) * row;
            }
            k.gather(space.block(1), chosen.data(), m.row());
            k.mul(m, space.block(0), space.block(0), space.block(1));
        }
        space.store(0, r, row, first, active, m.row());
    });
}

void product_of_rows(const Modulus& m, word* r, const word* a, std::size_t count, int threads) {
    const std::size_t row = static_cast<std::size_t>(m.row()), lanes = static_cast<std::size_t>(m.kernel->lanes);
    const std::size_t grain = std::max(grain_for(count, threads, m.kernel->lanes), lanes * 4);
    const std::size_t pieces = (count + grain - 1) / grain;
    Scratch partial(pieces * lanes * row);  // one partial product per piece and lane
    parallel_for(threads, count, grain, [&](std::size_t begin, std::size_t end) {
        Workspace<Modulus> space(m, 2);
        word* mine = partial.get() + begin / grain * lanes * row;
        const Rows none{};
        space.broadcast(0, m.one.data(), m.row());
        for_lanes(m, begin, end, [&](std::size_t first, int active) {
            Rows rows = none;
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                rows[lane] = static_cast<int>(lane) < active ? a + (first + lane) * row : m.one.data();
            }
            m.kernel->gather(space.block(1), rows.data(), m.row());
            m.kernel->mul(m, space.block(0), space.block(0), space.block(1));
        });
        space.store(0, mine, row, 0, static_cast<int>(lanes), m.row());
    });
    Sums<Modulus> products(m);
    for (std::size_t i = 1; i < pieces * lanes; ++i) {
        products.push(partial.get(), partial.get() + i * row);
        products.flush();
    }
    std::memcpy(r, partial.get(), sizeof(word) * row);
}

void chain_rows(const Modulus& m, word* prefixes, word* totals, const word* rows, std::size_t count, std::size_t chain, int threads) {
    const std::size_t row = static_cast<std::size_t>(m.row()), digits = static_cast<std::size_t>(m.digits);
    const std::size_t lanes = static_cast<std::size_t>(m.kernel->lanes), n_chains = (count + chain - 1) / chain;
    parallel_for(threads, n_chains, lanes, [&](std::size_t begin, std::size_t end) {
        Workspace<Modulus> space(m, 2);
        Scratch one_digit(digits);
        set_one_digit(one_digit.get(), m.digits);
        for (std::size_t step = 0; step < chain; ++step) {
            Rows in{};
            RowsOut out{};
            for (std::size_t lane = 0; lane < lanes; ++lane) {  // a lane whose chain has ended multiplies by 1
                const std::size_t item = (begin + lane) * chain + step;
                const bool live = begin + lane < end && item < count;
                in[lane] = live ? rows + item * row : m.one.data();
                out[lane] = live ? prefixes + item * digits : space.sink();
            }
            m.kernel->gather(space.block(1), in.data(), m.digits);
            if (step == 0) {
                std::memcpy(space.block(0), space.block(1), sizeof(word) * digits * lanes);
            } else {
                m.kernel->redc_mul(m, space.block(0), space.block(0), space.block(1));
            }
            m.kernel->scatter(out.data(), space.block(0), m.digits);
        }
        space.broadcast(1, one_digit.get(), m.digits);
        m.kernel->redc_mul(m, space.block(0), space.block(0), space.block(1));
        store_residues(m, space.block(0), totals + at(begin, m.limbs), static_cast<std::size_t>(m.limbs), static_cast<int>(end - begin));
    });
}

void unchain_rows(const Modulus& m, word* inverses, const word* prefixes, const word* inverted_totals, const word* rows,
                  std::size_t count, std::size_t chain, int threads) {
    const std::size_t row = static_cast<std::size_t>(m.row()), digits = static_cast<std::size_t>(m.digits);
    const std::size_t lanes = static_cast<std::size_t>(m.kernel->lanes), n_chains = (count + chain - 1) / chain;
    parallel_for(threads, n_chains, lanes, [&](std::size_t begin, std::size_t end) {
        Workspace<Modulus> space(m, 3);
        load_limbs(m, space, 0, inverted_totals + at(begin, m.limbs), static_cast<std::size_t>(m.limbs), m.limbs,
                   static_cast<int>(end - begin));
        space.broadcast(1, m.r_squared.data(), m.digits);
        m.kernel->redc_mul(m, space.block(0), space.block(0), space.block(1));
        for (std::size_t step = chain; step-- > 0;) {  // block 0: inverse of the prefix that ends at this step
            Rows before{}, own{};
            RowsOut out{};
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                const std::size_t item = (begin + lane) * chain + step;
                const bool live = begin + lane < end && item < count;
                before[lane] = live && step > 0 ? prefixes + (item - 1) * digits : m.one.data();
                own[lane] = live ? rows + item * row : m.one.data();
                out[lane] = live ? inverses + item * digits : space.sink();
            }
            m.kernel->gather(space.block(1), before.data(), m.digits);
            m.kernel->gather(space.block(2), own.data(), m.digits);
            m.kernel->redc_mul(m, space.block(1), space.block(1), space.block(0));
            m.kernel->scatter(out.data(), space.block(1), m.digits);
            m.kernel->redc_mul(m, space.block(0), space.block(0), space.block(2));
        }
    });
}

void factor_rows(const Modulus& m, word* r, const word* rows, const word* inverses, std::size_t count, int threads) {
    const std::size_t row = static_cast<std::size_t>(m.row()), digits = static_cast<std::size_t>(m.digits);
    for_rows(m, count, threads, 4, [&](Workspace<Modulus>& space, std::size_t first, int active) {
        const Kernel& k = *m.kernel;
        word taken[MAX_LANES];
        space.load(0, rows, row, first, active, m.row());
        space.load(1, inverses, digits, first, active, m.digits);
        k.canonical(m, space.block(0), nullptr, taken);
        k.canonical(m, space.second(0), taken, nullptr);  // what was taken off the first component is a carry into the second
        k.factor_of(m, space.block(2), space.block(0));
        // lambda * R = (a1 - floor(b*R/n)) / a0 * R, since b*R = a0 + floor(b*R/n)*n
        k.redc_mul(m, space.block(3), space.block(1), space.second(2));  // < 3n
        k.negate(m, space.block(3), space.block(3));
        k.redc_mul(m, space.block(1), space.block(1), space.second(0));
        k.add(m, space.block(3), space.block(3), space.block(1));
        k.canonical(m, space.block(3), nullptr, nullptr);
        space.store(2, r, row + digits, first, active, m.row());
        space.store(3, r + row, row + digits, first, active, m.digits);
    });
}

void invert_rows(const Modulus& m, word* r, const word* rows, const word* inverses, std::size_t count, int threads) {
    const std::size_t row = static_cast<std::size_t>(m.row());
    for_rows(m, count, threads, 3, [&](Workspace<Modulus>& space, std::size_t first, int active) {
        const Kernel& k = *m.kernel;
        space.load(0, rows, row, first, active, m.row());
        space.load(1, inverses, static_cast<std::size_t>(m.digits), first, active, m.digits);
        k.mul_residue(m, space.block(0), space.block(0), space.block(1));  // 1 + kappa*n, in Montgomery form
        k.redc(m, space.block(0), space.block(0));
        word pairs[MAX_LANES * 2 * MAX_DIGITS];
        store_pairs(m, space.block(0), pairs, active);                     // (1, kappa)
        load_limbs(m, space, 2, pairs + m.limbs, static_cast<std::size_t>(2 * m.limbs), m.limbs, active);
        space.broadcast(0, m.r_squared.data(), m.digits);
        k.redc_mul(m, space.block(2), space.block(2), space.block(0));
        k.redc_mul(m, space.block(2), space.block(2), space.block(1));     // x0 * kappa
        k.negate(m, space.second(1), space.block(2));                      // (x0, -x0*kappa)
        space.store(1, r, row, first, active, m.row());
    });
}

void encrypt_rows(const Modulus& m, const FixedBase& base, word* r, const word* start, const word* plain, const word* alphas,
                  int alpha_size, std::size_t count, int threads) {
    const std::size_t row = static_cast<std::size_t>(m.row()), lanes = static_cast<std::size_t>(m.kernel->lanes);
    for_rows(m, count, threads, 3, [&](Workspace<Modulus>& space, std::size_t first, int active) {
        const Kernel& k = *m.kernel;
        if (start) {
            space.load(0, start, row, first, active, m.row());
        } else {
            space.broadcast(0, m.one.data(), m.row());
        }
        word logs[MAX_LANES][MAX_DIGITS];
        RowsOut log_rows{};
        Rows log_in{};
        for (std::size_t lane = 0; lane < lanes; ++lane) log_in[lane] = log_rows[lane] = logs[lane];
        std::memset(logs, 0, sizeof logs);
        if (plain) {
            load_limbs(m, space, 1, plain + at(first, m.limbs), static_cast<std::size_t>(m.limbs), m.limbs, active);
            space.broadcast(2, m.r_squared.data(), m.digits);
            k.redc_mul(m, space.block(1), space.block(1), space.block(2));
            k.scatter(log_rows.data(), space.block(1), m.digits);
        }
        const Rows exponents = rows_at(m, alphas, static_cast<std::size_t>(alpha_size), first, active);
        const int last = base.multiply(m, space, 0, 1, 2, log_rows.data(), exponents, alpha_size);
        for (std::size_t lane = 0; lane < lanes; ++lane) k.carry_row(m, logs[lane]);
        k.gather(space.block(2), log_in.data(), m.digits);
        k.redc_mul(m, space.block(2), space.block(last), space.block(2));
        k.add(m, space.second(last), space.second(last), space.block(2));  // < 7n + 2n
        space.store(last, r, row, first, active, m.row());
        wipe(logs, sizeof logs);
    });
}

void pack_rows(const Modulus& m, word* r, const word* a, std::size_t count, std::size_t slots, int slot_bits, int threads) {
    const std::size_t row = static_cast<std::size_t>(m.row()), lanes = static_cast<std::size_t>(m.kernel->lanes);
    for_rows(m, (count + slots - 1) / slots, threads, 2, [&](Workspace<Modulus>& space, std::size_t first, int active) {
        space.broadcast(0, m.one.data(), m.row());
        for (std::size_t slot = slots; slot-- > 0;) {  // Horner from the top slot; missing slots hold 1
            for (int s = 0; s < slot_bits; ++s) m.kernel->sqr(m, space.block(0), space.block(0));
            Rows rows{};
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                const std::size_t item = (first + std::min(lane, static_cast<std::size_t>(active - 1))) * slots + slot;
                rows[lane] = item < count ? a + item * row : m.one.data();
            }
            m.kernel->gather(space.block(1), rows.data(), m.row());
            m.kernel->mul(m, space.block(0), space.block(0), space.block(1));
        }
        space.store(0, r, row, first, active, m.row());
    });
}

}  // namespace vfl

#include "paillier.h"

#include "lanes.h"
#include "parallel.h"

namespace vfl {
namespace {

std::size_t at(std::size_t index, int width) { return index * static_cast<std::size_t>(width); }

// Runs body(space, first, active) over all groups of lanes, threads sharing the groups.
template <class Body>
void for_rows(const Modulus& m, std::size_t count, int threads, int n_blocks, Body body) {
    parallel_for(threads, count, grain_for(count, threads, m.kernel->lanes), [&](std::size_t begin, std::size_t end) {
        Workspace space(m, n_blocks);
        for_lanes(m, begin, end, [&](std::size_t first, int active) { body(space, first, active); });
    });
}

// Block `to` (first component) = one residue per lane, read from `size` <= m.limbs limbs at limbs + lane*stride.
void load_limbs(const Modulus& m, Workspace& space, int to, const word* limbs, std::size_t stride, int size, int active) {
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
void import_block(const Modulus& m, Workspace& space, int to, const word* limbs, int size, int active) {
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
void store_limbs(const Modulus& m, const word* block, int words, word* out, std::size_t stride, int active) {
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
void store_residues(const Modulus& m, word* component, word* out, std::size_t stride, int active) {
    m.kernel->canonical(m, component, nullptr, nullptr);
    store_limbs(m, component, m.digits, out, stride, active);
}

// The canonical pair of each lane of a block that is already out of Montgomery form, in place, each half `limbs` words, to
// out + lane*2*limbs. The first component's overflow is a carry into the second.
void store_pairs(const Modulus& m, word* block, word* out, int active) {
    word carry[MAX_LANES];
    m.kernel->canonical(m, block, nullptr, carry);
    m.kernel->canonical(m, block + m.digits * m.kernel->lanes, carry, nullptr);
    store_limbs(m, block, m.row(), out, static_cast<std::size_t>(2 * m.limbs), active);
    wipe(carry, sizeof carry);
}

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
    for_rows(m, count, threads, 3, [&](Workspace& space, std::size_t first, int active) {
        import_block(m, space, 0, limbs + at(first, size), size, active);
        space.store(0, rows, static_cast<std::size_t>(m.row()), first, active, m.row());
    });
}

void export_rows(const Modulus& m, word* limbs, const word* rows, std::size_t count, int threads) {
    for_rows(m, count, threads, 1, [&](Workspace& space, std::size_t first, int active) {
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
    for_rows(m, count, threads, 2, [&](Workspace& space, std::size_t first, int active) {
        space.load(0, a, stride, first, active, m.row());
        space.load(1, b, b_stride, first, active, m.row());
        m.kernel->mul(m, space.block(0), space.block(0), space.block(1));
        space.store(0, r, stride, first, active, m.row());
    });
}

void add_plain_rows(const Modulus& m, word* r, const word* a, const word* plain, std::size_t count, int threads) {
    const std::size_t stride = static_cast<std::size_t>(m.row());
    for_rows(m, count, threads, 3, [&](Workspace& space, std::size_t first, int active) {
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
    for_rows(m, count, threads, 2, [&](Workspace& space, std::size_t first, int active) {
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
    for_rows(m, count, threads, 3, [&](Workspace& space, std::size_t first, int active) {
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
        Workspace space(m, 2);
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
    Products products(m);
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
        Workspace space(m, 2);
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
        Workspace space(m, 3);
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
    for_rows(m, count, threads, 4, [&](Workspace& space, std::size_t first, int active) {
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
    for_rows(m, count, threads, 3, [&](Workspace& space, std::size_t first, int active) {
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
    for_rows(m, count, threads, 3, [&](Workspace& space, std::size_t first, int active) {
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
    for_rows(m, (count + slots - 1) / slots, threads, 2, [&](Workspace& space, std::size_t first, int active) {
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

Branch::~Branch() {
    for (std::vector<word>* secret : {&prime.n, &prime.complement, &prime.n_limbs, &prime.reciprocal, &prime.r_squared, &prime.one,
                                      &prime.chunks, &exponent, &scale}) {
        wipe(secret->data(), secret->size() * sizeof(word));
    }
}

PrivateKey::~PrivateKey() { wipe(q_inverse.data(), q_inverse.size() * sizeof(word)); }

namespace {

constexpr int SECRET_WINDOW = 4;  // 5 saves a fifth of the products and reads twice as much table
constexpr int SECRET_ENTRIES = 1 << SECRET_WINDOW;

// Block 0 = block 0 ^ exponent, by fixed windows; every table entry is read for every window. Uses block 1.
void power_constant_time(const Modulus& m, Workspace& space, const std::vector<word>& exponent) {
    const Kernel& k = *m.kernel;
    const std::size_t words = static_cast<std::size_t>(m.row()) * static_cast<std::size_t>(k.lanes);
    const std::size_t bytes = words * sizeof(word);
    Scratch table(words * SECRET_ENTRIES, true);
    const auto entry = [&](int i) { return table.get() + static_cast<std::size_t>(i) * words; };
    space.broadcast(1, m.one.data(), m.row());
    std::memcpy(entry(0), space.block(1), bytes);
    std::memcpy(entry(1), space.block(0), bytes);
    for (int i = 2; i < SECRET_ENTRIES; i += 2) {
        k.sqr(m, entry(i), entry(i / 2));
        k.mul(m, entry(i + 1), entry(i), space.block(0));
    }
    const int size = static_cast<int>(exponent.size()), top = (size * 64 + SECRET_WINDOW - 1) / SECRET_WINDOW - 1;
    const auto digit = [&](int position) { return bits_at(exponent.data(), size, position * SECRET_WINDOW, SECRET_WINDOW); };
    k.pick(space.block(0), table.get(), SECRET_ENTRIES, words, digit(top));
    for (int position = top; position-- > 0;) {
        for (int s = 0; s < SECRET_WINDOW; ++s) k.sqr(m, space.block(0), space.block(0));
        k.pick(space.block(1), table.get(), SECRET_ENTRIES, words, digit(position));
        k.mul(m, space.block(0), space.block(0), space.block(1));
    }
}

// residues[lane] = L(c^(p-1)) * scale mod p, canonical limbs; returns 0 when c^(p-1) is 1 modulo p in every active lane.
word decrypt_branch(const Branch& branch, Workspace& space, word* residues, const word* ciphertexts, int size, int active) {
    const Modulus& m = branch.prime;
    import_block(m, space, 0, ciphertexts, size, active);
    power_constant_time(m, space, branch.exponent);
    m.kernel->redc(m, space.block(0), space.block(0));
    word pairs[MAX_LANES * 2 * MAX_DIGITS], fault = 0;
    store_pairs(m, space.block(0), pairs, active);  // (1, L)
    for (int lane = 0; lane < active; ++lane) {
        const word* low = pairs + at(static_cast<std::size_t>(lane), 2 * m.limbs);
        fault |= low[0] ^ 1;
        for (int i = 1; i < m.limbs; ++i) fault |= low[i];
    }
    load_limbs(m, space, 1, pairs + m.limbs, static_cast<std::size_t>(2 * m.limbs), m.limbs, active);
    space.broadcast(2, branch.scale.data(), m.digits);
    m.kernel->redc_mul(m, space.block(1), space.block(1), space.block(2));
    store_residues(m, space.block(1), residues, static_cast<std::size_t>(m.limbs), active);
    wipe(pairs, sizeof pairs);
    return fault;
}

}  // namespace

bool decrypt_limbs(const PrivateKey& key, word* plain, const word* ciphertexts, std::size_t count, int threads) {
    const Modulus &p = key.p.prime, &q = key.q.prime;
    const int size = 2 * key.limbs, limbs = p.limbs;
    std::atomic<word> fault{0};
    parallel_for(threads, count, static_cast<std::size_t>(p.kernel->lanes), [&](std::size_t begin, std::size_t end) {
        const int active = static_cast<int>(end - begin);
        const std::size_t lanes = static_cast<std::size_t>(p.kernel->lanes), words = static_cast<std::size_t>(limbs);
        Workspace p_space(p, 3, true), q_space(q, 3, true);
        Scratch mod_p(lanes * words, true), mod_q(lanes * words, true), product(2 * words, true);
        word wrong = decrypt_branch(key.p, p_space, mod_p.get(), ciphertexts + at(begin, size), size, active);
        wrong |= decrypt_branch(key.q, q_space, mod_q.get(), ciphertexts + at(begin, size), size, active);
        fault |= wrong;
        // m = m_q + q * ((m_p - m_q) / q mod p); q < 2p, so that 4p - m_q is positive
        load_limbs(p, p_space, 0, mod_p.get(), static_cast<std::size_t>(limbs), limbs, active);
        load_limbs(p, p_space, 1, mod_q.get(), static_cast<std::size_t>(limbs), limbs, active);
        p.kernel->negate(p, p_space.block(1), p_space.block(1));
        p.kernel->add(p, p_space.block(0), p_space.block(0), p_space.block(1));
        p_space.broadcast(1, key.q_inverse.data(), p.digits);
        p.kernel->redc_mul(p, p_space.block(0), p_space.block(0), p_space.block(1));
        store_residues(p, p_space.block(0), mod_p.get(), static_cast<std::size_t>(limbs), active);
        for (std::size_t lane = 0; lane < static_cast<std::size_t>(active); ++lane) {
            const std::size_t offset = lane * static_cast<std::size_t>(limbs);
            multiply_add(product.get(), mod_p.get() + offset, q.n_limbs.data(), mod_q.get() + offset, limbs);
            std::memcpy(plain + at(begin + lane, key.limbs), product.get(), sizeof(word) * static_cast<std::size_t>(key.limbs));
        }
    });
    if (fault) wipe(plain, count * static_cast<std::size_t>(key.limbs) * sizeof(word));
    return !fault;
}

}  // namespace vfl

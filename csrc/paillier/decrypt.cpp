#include "paillier/blocks.h"
#include "paillier/paillier.h"

namespace vfl {

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
void power_constant_time(const Modulus& m, Workspace<Modulus>& space, const std::vector<word>& exponent) {
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
word decrypt_branch(const Branch& branch, Workspace<Modulus>& space, word* residues, const word* ciphertexts, int size, int active) {
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
        Workspace<Modulus> p_space(p, 3, true), q_space(q, 3, true);
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

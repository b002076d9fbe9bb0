// Batched Paillier arithmetic on rows: import, export, products, powers, inverses, encryption, CRT decryption.
//
// Rows are pairs (see pair.h), `count` of them, contiguous; at rest a0 < 4n and a1 < 10n. Ciphertexts in limbs are 2*limbs words, plaintexts `limbs` words,
// little-endian. Every function shares its rows over `threads` threads and draws no randomness.
#pragma once

#include "paillier/fixed_base.h"
#include "paillier/pair.h"

namespace vfl {

// rows = ciphertexts given in limbs; each < n^2 (the caller has checked). `size` limbs each: n_chunks * limbs at most.
void import_rows(const Modulus& m, word* rows, const word* limbs, int size, std::size_t count, int threads);

// limbs = canonical ciphertexts, 2*limbs words each.
void export_rows(const Modulus& m, word* limbs, const word* rows, std::size_t count, int threads);

// r = a * b, row by row; b_stride 0 repeats the single row b.
void multiply_rows(const Modulus& m, word* r, const word* a, const word* b, std::size_t b_stride, std::size_t count, int threads);

// r = a * (1 + n)^plain: adds plaintexts (limbs words each, < n) to the encrypted values.
void add_plain_rows(const Modulus& m, word* r, const word* a, const word* plain, std::size_t count, int threads);

// The same for small plaintexts of either sign; needs the modulus's reciprocal.
void add_small_rows(const Modulus& m, word* r, const word* a, const std::int64_t* values, std::size_t count, int threads);

// r = a^exponent, exponents of `size` limbs each; stride 0 repeats one exponent. Time depends on the longest exponent.
void power_rows_var(const Modulus& m, word* r, const word* a, const word* exponents, int size, std::size_t stride, std::size_t count,
                    int threads);

// r = product of all rows (one row); count >= 1.
void product_of_rows(const Modulus& m, word* r, const word* a, std::size_t count, int threads);

// Batch inversion of the first components modulo n, in two halves around one inversion per chain that the caller does:
// chain_rows writes prefix products of each chain (n_chains chains of equal length, the last may be shorter) and each chain's
// total in canonical limbs; unchain_rows takes the inverses of the totals and writes, for the row of c, c0^-1 * R (one residue).
void chain_rows(const Modulus& m, word* prefixes, word* totals, const word* rows, std::size_t count, std::size_t chain, int threads);
void unchain_rows(const Modulus& m, word* inverses, const word* prefixes, const word* inverted_totals, const word* rows,
                  std::size_t count, std::size_t chain, int threads);

// r = rows of 3*digits words: the factor (b, floor(b*R/n)) of b, canonical, and lambda * R, lambda < n, where the number that the row
// stands for is b * (1 + lambda*n); `inverses` from unchain_rows.
void factor_rows(const Modulus& m, word* r, const word* rows, const word* inverses, std::size_t count, int threads);

// r = a^-1 modulo n^2; `inverses` from unchain_rows.
void invert_rows(const Modulus& m, word* r, const word* rows, const word* inverses, std::size_t count, int threads);

// r = start * (1 + n)^plain * base^alpha; start and plain may be null (1 and 0); exponents of alpha_size limbs.
void encrypt_rows(const Modulus& m, const FixedBase& base, word* r, const word* start, const word* plain, const word* alphas,
                  int alpha_size, std::size_t count, int threads);

// r = packed rows: r_i = product over j < slots of a_(i*slots + j)^(2^(slot_bits*j)); the last group may be short.
void pack_rows(const Modulus& m, word* r, const word* a, std::size_t count, std::size_t slots, int slot_bits, int threads);

// One CRT branch of decryption and what joins the two. Secret; wiped on destruction.
struct Branch {
    Modulus prime;
    std::vector<word> exponent;  // p - 1, limbs
    std::vector<word> scale;     // L(g^(p-1))^-1 * R mod p, digits
    ~Branch();
};
struct PrivateKey {
    Branch p, q;
    std::vector<word> q_inverse;  // q^-1 * R mod p, digits of p
    int limbs = 0;                // of n
    ~PrivateKey();
};

// plain = decryptions (limbs words each). Constant time in the key. Returns false, with all of `plain` wiped, when a branch does
// not give 1 modulo its prime: a fault, or a ciphertext that is not a unit.
bool decrypt_limbs(const PrivateKey& key, word* plain, const word* ciphertexts, std::size_t count, int threads);

}  // namespace vfl

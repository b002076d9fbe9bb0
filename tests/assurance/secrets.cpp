// Decryption by the portable kernel with the key marked undefined, for valgrind's memcheck: it reports every branch and every address
// that depends on undefined memory, so each report is a place where time depends on the key (Langley's ctgrind).
//
// secrets FILE [marked|unmarked|leaky]: the file has the constants of a key and ciphertexts as test_secrets.py writes them. `leaky` raises
// to the secret exponent by the core's power for public exponents.
#include <valgrind/memcheck.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>

#include "paillier/paillier.h"

namespace {

using vfl::word;

std::vector<word> read_words(std::istream& in) {
    std::size_t count = 0;
    in >> count;
    std::vector<word> words(count);
    for (word& value : words) in >> value;
    return words;
}

void read_branch(std::istream& in, vfl::Branch& branch) {
    vfl::Modulus& m = branch.prime;
    m.kernel = &vfl::portable_kernel;
    in >> m.limbs >> m.n_neg_inv;
    m.n = read_words(in);
    m.digits = static_cast<int>(m.n.size());
    m.set_complement();
    for (std::vector<word>* part : {&m.n_limbs, &m.reciprocal, &m.r_squared, &m.one, &m.chunks, &branch.exponent, &branch.scale}) {
        *part = read_words(in);
    }
}

void hide(const std::vector<word>& words) { VALGRIND_MAKE_MEM_UNDEFINED(words.data(), words.size() * sizeof(word)); }

void hide(vfl::Branch& branch) {
    vfl::Modulus& m = branch.prime;
    VALGRIND_MAKE_MEM_UNDEFINED(&m.n_neg_inv, sizeof m.n_neg_inv);
    for (const std::vector<word>* part : {&m.n, &m.complement, &m.n_limbs, &m.reciprocal, &m.r_squared, &m.one, &m.chunks, &branch.exponent,
                                          &branch.scale}) {
        hide(*part);
    }
}

void show(std::vector<word>& words) { VALGRIND_MAKE_MEM_DEFINED(words.data(), words.size() * sizeof(word)); }

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) return 2;
    const std::string what = arguments[2];
    std::ifstream in(arguments[1]);
    vfl::PrivateKey key;
    in >> key.limbs;
    read_branch(in, key.p);
    read_branch(in, key.q);
    key.q_inverse = read_words(in);
    const std::vector<word> ciphertexts = read_words(in);
    if (!in) return 2;
    if (what != "unmarked") {
        hide(key.p);
        hide(key.q);
        hide(key.q_inverse);
    }
    const std::size_t n = ciphertexts.size() / static_cast<std::size_t>(2 * key.limbs);
    std::vector<word> plain(n * static_cast<std::size_t>(key.limbs));
    bool sound = true;
    if (what == "leaky") {
        const vfl::Modulus& m = key.p.prime;
        std::vector<word> rows(static_cast<std::size_t>(m.row()), 1);
        vfl::power_rows_var(m, rows.data(), rows.data(), key.p.exponent.data(), m.limbs, 0, 1, 1);
    } else {
        sound = vfl::decrypt_limbs(key, plain.data(), ciphertexts.data(), n, 1);
        VALGRIND_MAKE_MEM_DEFINED(&sound, sizeof sound);  // whether the key opens a ciphertext is told to whoever asks
    }
    std::vector<word> bits(plain.size());
    VALGRIND_GET_VBITS(plain.data(), bits.data(), plain.size() * sizeof(word));
    bool hidden = false;
    for (const word value : bits) hidden |= value != 0;
    show(plain);
    std::printf("%s %d", sound ? "sound" : "unsound", hidden);
    for (const word value : plain) std::printf(" %llu", static_cast<unsigned long long>(value));
    std::printf("\n");
}

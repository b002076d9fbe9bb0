// The private key: decryption by both primes.
#include <utility>

#include "bindings/arrays.h"
#include "paillier/paillier.h"

namespace vfl::bindings {
namespace {

class Decryptor {
  public:
    Decryptor(int limbs, const py::tuple& p, const py::tuple& q, const Words& q_inverse) {
        fill_branch(key_.p, p);
        fill_branch(key_.q, q);
        key_.q_inverse = to_vector(q_inverse);
        key_.limbs = limbs;
        require(key_.p.prime.limbs == key_.q.prime.limbs && limbs <= 2 * key_.p.prime.limbs &&
                    key_.q_inverse.size() == static_cast<std::size_t>(key_.p.prime.digits),
                "primes of different lengths");
    }

    std::pair<Words, bool> decrypt(const Words& ciphertexts, int threads) const {
        const std::size_t count = check_limbs(ciphertexts, static_cast<std::size_t>(2 * key_.limbs), "ciphertexts of the wrong width");
        Words plain = new_limbs(count, key_.limbs);
        word* out = plain.mutable_data();
        bool sound;
        {
            py::gil_scoped_release release;
            sound = vfl::decrypt_limbs(key_, out, ciphertexts.data(), count, threads);
        }
        return {plain, sound};
    }

  private:
    static void fill_branch(vfl::Branch& branch, const py::tuple& parts) {
        require(parts.size() == 11, "a branch has a modulus, an exponent and a scale");
        fill_modulus(branch.prime, parts[0].cast<std::string>(), parts[1].cast<int>(), parts[2].cast<Words>(), parts[3].cast<Words>(),
                     parts[4].cast<word>(), parts[5].cast<Words>(), parts[6].cast<Words>(), parts[7].cast<Words>(), parts[8].cast<Words>());
        branch.exponent = to_vector(parts[9].cast<Words>());
        branch.scale = to_vector(parts[10].cast<Words>());
        require(branch.scale.size() == static_cast<std::size_t>(branch.prime.digits), "scale of the wrong width");
    }

    vfl::PrivateKey key_;
};

}  // namespace

void bind_keys(py::module_& module) {
    py::class_<Decryptor>(module, "Decryptor").def(py::init<int, const py::tuple&, const py::tuple&, const Words&>()).def("decrypt", &Decryptor::decrypt);
}

}  // namespace vfl::bindings

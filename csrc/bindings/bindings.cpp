// The Python face of the core: checks shapes, releases the GIL, calls the batched functions.
#include "bindings/arrays.h"

namespace vfl::bindings {

const Kernel* find_kernel(const std::string& name) {
    for (const Kernel* const* k = kernels(); *k; ++k) {
        if (name == (*k)->name && (*k)->supported()) return *k;
    }
    throw std::invalid_argument("no such kernel on this machine: " + name);
}

void fill_modulus(Modulus& m, const std::string& kernel, int limbs, const Words& n, const Words& n_limbs, word n_neg_inv,
                  const Words& reciprocal, const Words& r_squared, const Words& one, const Words& chunks) {
    m.kernel = find_kernel(kernel);
    m.digits = static_cast<int>(n.size());
    m.limbs = limbs;
    const std::size_t digits = static_cast<std::size_t>(m.digits);
    require(m.digits >= 2 && m.digits <= MAX_DIGITS && limbs >= 1 && limbs < MAX_DIGITS, "modulus too long for the core");
    require(m.digits == m.kernel->digits(64 * limbs) && static_cast<int>(n_limbs.size()) == limbs, "limbs and digits disagree");
    require(static_cast<std::size_t>(r_squared.size()) == digits && static_cast<std::size_t>(one.size()) == 2 * digits &&
                chunks.size() > 0 && static_cast<std::size_t>(chunks.size()) % (2 * digits) == 0,
            "constants of the wrong length");
    m.n = to_vector(n);
    m.set_complement();
    m.n_limbs = to_vector(n_limbs);
    m.n_neg_inv = n_neg_inv;
    require(reciprocal.size() == 0 || (reciprocal.size() == 3 && m.used_digits() >= 3), "a reciprocal has three digits");
    m.reciprocal = to_vector(reciprocal);
    m.r_squared = to_vector(r_squared);
    m.one = to_vector(one);
    m.chunks = to_vector(chunks);
}

namespace {

std::vector<py::tuple> kernel_list() {
    std::vector<py::tuple> list;
    for (const Kernel* const* k = kernels(); *k; ++k) {
        list.push_back(py::make_tuple((*k)->name, (*k)->lanes, (*k)->radix, (*k)->supported()));
    }
    return list;
}

void bind_kernels(py::module_& module) {
    module.def("kernels", &kernel_list);
    module.def("multiply_adds", [](const std::string& kernel, std::size_t count) {
        require(count <= std::size_t{1} << 40, "too many multiply-adds");
        const Kernel* chosen = find_kernel(kernel);
        py::gil_scoped_release release;
        chosen->multiply_adds(count);
    });
    module.def("digits", [](const std::string& kernel, int bits) { return find_kernel(kernel)->digits(bits); });
}

}  // namespace
}  // namespace vfl::bindings

PYBIND11_MODULE(_core, module) {
    using namespace vfl::bindings;
    module.doc() = "Paillier and ristretto255 arithmetic on batches of 64-bit limbs; see csrc/README.md.";
#ifdef VFL_HAVE_GMP
    module.attr("has_gmp") = true;
#else
    module.attr("has_gmp") = false;
#endif
    bind_kernels(module);
    ModulusClass modulus(module, "Modulus");
    modulus
        .def(py::init([](const std::string& kernel, int limbs, const Words& n, const Words& n_limbs, vfl::word n_neg_inv,
                         const Words& reciprocal, const Words& r_squared, const Words& one, const Words& chunks) {
            auto m = std::make_shared<vfl::Modulus>();
            fill_modulus(*m, kernel, limbs, n, n_limbs, n_neg_inv, reciprocal, r_squared, one, chunks);
            return m;
        }))
        .def_readonly("digits", &vfl::Modulus::digits);
    bind_rows(module, modulus);
    bind_product(modulus);
    bind_keys(module);
    bind_curve(module);
}

// Rows of pairs: import, export, arithmetic, inverses, fixed bases.
#include "bindings/arrays.h"

#include "paillier/paillier.h"
#include "paillier/probe.h"

namespace vfl::bindings {
namespace {

constexpr std::size_t MAX_PACKED_BITS = 64 * MAX_DIGITS, MAX_REPEATS = 1 << 20;

Words import_rows(const Modulus& m, const Words& limbs, int threads) {
    require(limbs.ndim() == 2 && length(limbs, 1) <= static_cast<std::size_t>(m.n_chunks() * m.limbs), "numbers too long for this modulus");
    Words rows = new_rows(m, length(limbs));
    word* out = rows.mutable_data();
    const int size = static_cast<int>(length(limbs, 1));
    const std::size_t count = length(limbs);
    py::gil_scoped_release release;
    vfl::import_rows(m, out, limbs.data(), size, count, threads);
    return rows;
}

Words export_rows(const Modulus& m, const Words& rows, int threads) {
    const std::size_t count = check_rows(m, rows);
    Words limbs = new_limbs(count, 2 * m.limbs);
    word* out = limbs.mutable_data();
    py::gil_scoped_release release;
    vfl::export_rows(m, out, rows.data(), count, threads);
    return limbs;
}

Words multiply_rows(const Modulus& m, const Words& a, const Words& b, int threads) {
    const std::size_t count = check_rows(m, a), other = check_rows(m, b);
    require(other == count || other == 1, "vectors of different lengths");
    Words rows = new_rows(m, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::multiply_rows(m, out, a.data(), b.data(), other == count ? static_cast<std::size_t>(m.row()) : 0, count, threads);
    return rows;
}

Words add_plain_rows(const Modulus& m, const Words& a, const Words& plain, int threads) {
    const std::size_t count = check_rows(m, a);
    require(check_limbs(plain, static_cast<std::size_t>(m.limbs), "plaintexts must have shape (count, limbs)") == count,
            "as many plaintexts as ciphertexts");
    Words rows = new_rows(m, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::add_plain_rows(m, out, a.data(), plain.data(), count, threads);
    return rows;
}

Words add_small_rows(const Modulus& m, const Words& a, const Integers& values, int threads) {
    const std::size_t count = check_rows(m, a);
    require(values.ndim() == 1 && static_cast<std::size_t>(values.size()) == count, "as many plaintexts as ciphertexts");
    require(!m.reciprocal.empty(), "the modulus is too short for this addition");
    Words rows = new_rows(m, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::add_small_rows(m, out, a.data(), values.data(), count, threads);
    return rows;
}

Words power_rows(const Modulus& m, const Words& a, const Words& exponents, int threads) {
    const std::size_t count = check_rows(m, a);
    require(exponents.ndim() == 2 && (length(exponents) == count || length(exponents) == 1) && length(exponents, 1) >= 1,
            "exponents must have shape (count or 1, limbs)");
    const int size = static_cast<int>(length(exponents, 1));
    const std::size_t stride = length(exponents) == count ? length(exponents, 1) : 0;
    Words rows = new_rows(m, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    if (count) vfl::power_rows_var(m, out, a.data(), exponents.data(), size, stride, count, threads);
    return rows;
}

Words product_of_rows(const Modulus& m, const Words& a, int threads) {
    const std::size_t count = check_rows(m, a);
    require(count > 0, "product of no rows");
    Words rows = new_rows(m, 1);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::product_of_rows(m, out, a.data(), count, threads);
    return rows;
}

// For benchmarks: one kernel function, `times` times on one group of lanes.
Words repeat_kernel(const Modulus& m, const std::string& operation, const Words& a, const Words& b, std::size_t times) {
    const std::size_t lanes = static_cast<std::size_t>(m.kernel->lanes);
    require(check_rows(m, a) == lanes && check_rows(m, b) == lanes, "one row a lane");
    require(times <= MAX_REPEATS, "too many repeats");
    Words rows = new_rows(m, lanes);
    word* out = rows.mutable_data();
    bool known = false;
    {
        py::gil_scoped_release release;
        known = vfl::repeat_kernel(m, operation, out, a.data(), b.data(), times);
    }
    require(known, "no such operation");
    return rows;
}

std::pair<Words, Words> chain_rows(const Modulus& m, const Words& rows, std::size_t chain, int threads) {
    const std::size_t count = check_rows(m, rows);
    require(count > 0 && chain > 0 && chain <= count, "no rows to invert, or a chain longer than they are");
    Words prefixes = new_limbs(count, m.digits), totals = new_limbs((count + chain - 1) / chain, m.limbs);
    word *prefix = prefixes.mutable_data(), *total = totals.mutable_data();
    {
        py::gil_scoped_release release;
        vfl::chain_rows(m, prefix, total, rows.data(), count, chain, threads);
    }
    return {prefixes, totals};
}

Words unchain_rows(const Modulus& m, const Words& prefixes, const Words& inverted, const Words& rows, std::size_t chain, int threads) {
    const std::size_t count = check_rows(m, rows);
    require(check_limbs(prefixes, static_cast<std::size_t>(m.digits), "prefixes of the wrong width") == count, "as many prefixes as rows");
    require(chain > 0 && chain <= count, "a chain longer than the rows");
    require(check_limbs(inverted, static_cast<std::size_t>(m.limbs), "inverses of the wrong width") == (count + chain - 1) / chain,
            "one inverse a chain");
    Words inverses = new_limbs(count, m.digits);
    word* out = inverses.mutable_data();
    py::gil_scoped_release release;
    vfl::unchain_rows(m, out, prefixes.data(), inverted.data(), rows.data(), count, chain, threads);
    return inverses;
}

template <void (*Function)(const Modulus&, word*, const word*, const word*, std::size_t, int)>
Words with_inverses(const Modulus& m, const Words& rows, const Words& inverses, int threads, int parts) {
    const std::size_t count = check_rows(m, rows);
    require(check_limbs(inverses, static_cast<std::size_t>(m.digits), "inverses of the wrong width") == count, "as many inverses as rows");
    Words result({static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(parts), static_cast<py::ssize_t>(m.digits)});
    word* out = result.mutable_data();
    py::gil_scoped_release release;
    Function(m, out, rows.data(), inverses.data(), count, threads);
    return result;
}

Words factor_rows(const Modulus& m, const Words& rows, const Words& inverses, int threads) {
    return with_inverses<vfl::factor_rows>(m, rows, inverses, threads, 3);
}

Words invert_rows(const Modulus& m, const Words& rows, const Words& inverses, int threads) {
    return with_inverses<vfl::invert_rows>(m, rows, inverses, threads, 2);
}

// A fixed base under construction: the table as rows, then completed with their factors and logarithms.
class BaseTable {
  public:
    BaseTable(ModulusPtr m, const Words& base, int alpha_bits, int window, int threads) : m_(std::move(m)) {
        require(check_rows(*m_, base) == 1, "one base");
        require(window >= 1 && window <= 12 && alpha_bits >= 1 && alpha_bits / window < 4000, "window or exponent length out of range");
        const word* row = base.data();
        py::gil_scoped_release release;
        base_ = std::make_unique<vfl::FixedBase>(*m_, row, alpha_bits, window, threads);
    }

    // The table, shared memory: each entry a row and room for what is to take its place (Modulus.factors).
    Words entries(py::object self) {
        return Words({static_cast<py::ssize_t>(base_->n_entries()), py::ssize_t{3}, static_cast<py::ssize_t>(m_->digits)}, base_->entries(), self);
    }

    Words encrypt(const py::object& start, const py::object& plain, const Words& alphas, int threads) const {
        require(alphas.ndim() == 2 && length(alphas, 1) >= 1 && length(alphas, 1) <= static_cast<std::size_t>(base_->alpha_limbs()),
                "exponents longer than the table");
        const std::size_t count = length(alphas);
        const int size = static_cast<int>(length(alphas, 1));
        Words start_rows, plain_limbs;
        if (!start.is_none()) {
            start_rows = start.cast<Words>();
            require(check_rows(*m_, start_rows) == count, "as many exponents as ciphertexts");
        }
        if (!plain.is_none()) {
            plain_limbs = plain.cast<Words>();
            require(check_limbs(plain_limbs, static_cast<std::size_t>(m_->limbs), "plaintexts of the wrong width") == count,
                    "as many exponents as plaintexts");
        }
        Words rows = new_rows(*m_, count);
        word* out = rows.mutable_data();
        const word* from = start.is_none() ? nullptr : start_rows.data();
        const word* add = plain.is_none() ? nullptr : plain_limbs.data();
        py::gil_scoped_release release;
        vfl::encrypt_rows(*m_, *base_, out, from, add, alphas.data(), size, count, threads);
        return rows;
    }

  private:
    ModulusPtr m_;
    std::unique_ptr<vfl::FixedBase> base_;
};

Words pack_rows(const Modulus& m, const Words& a, std::size_t slots, int slot_bits, int threads) {
    const std::size_t count = check_rows(m, a);
    require(slots > 0 && slot_bits > 0, "slots and slot_bits must be positive");
    require(slots <= MAX_PACKED_BITS / static_cast<std::size_t>(slot_bits), "more slots than a plaintext has");
    Words rows = new_rows(m, (count + slots - 1) / slots);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::pack_rows(m, out, a.data(), count, slots, slot_bits, threads);
    return rows;
}

}  // namespace

void bind_rows(py::module_& module, ModulusClass& modulus) {
    modulus.def("import_rows", &import_rows)
        .def("export_rows", &export_rows)
        .def("multiply", &multiply_rows)
        .def("add_plain", &add_plain_rows)
        .def("add_small", &add_small_rows)
        .def("power", &power_rows)
        .def("product", &product_of_rows)
        .def("repeat", &repeat_kernel)
        .def("chain", &chain_rows)
        .def("unchain", &unchain_rows)
        .def("factors", &factor_rows)
        .def("invert", &invert_rows)
        .def("pack", &pack_rows);
    py::class_<BaseTable>(module, "BaseTable")
        .def(py::init<ModulusPtr, const Words&, int, int, int>())
        .def("entries", [](py::object self) { return self.cast<BaseTable&>().entries(self); })
        .def("encrypt", &BaseTable::encrypt);
}

}  // namespace vfl::bindings

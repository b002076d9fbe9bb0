// The Python face of the core: checks shapes, releases the GIL, calls the batched functions. The only file that knows Python.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>

#include "coded_product.h"
#include "paillier.h"
#include "probe.h"

namespace py = pybind11;
using vfl::word;

namespace {

// C-contiguous, aligned, native arrays: pybind11 copies others where no value can change, and rejects the rest.
constexpr int PLAIN = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
using Words = py::array_t<word, PLAIN>;
using Integers = py::array_t<std::int64_t, PLAIN>;
using ModulusPtr = std::shared_ptr<vfl::Modulus>;
constexpr std::size_t MAX_PACKED_BITS = 64 * vfl::MAX_DIGITS, MAX_PATTERNS = 65536, MAX_SEGMENTS = 65536, MAX_REPEATS = 1 << 20;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

// Whether an object is such an array as it stands: for those that are borrowed, not copied.
template <class Array>
bool is_plain(const py::object& object) {
    return py::isinstance<Array>(object) && (py::reinterpret_borrow<Array>(object).flags() & PLAIN) == PLAIN;
}

std::size_t length(const Words& array, int axis = 0) { return static_cast<std::size_t>(array.shape(axis)); }

// An array of shape (count, width), any count.
std::size_t check_limbs(const Words& array, std::size_t width, const char* message) {
    require(array.ndim() == 2 && length(array, 1) == width, message);
    return length(array);
}

std::size_t check_rows(const vfl::Modulus& m, const Words& array) {
    require(array.ndim() == 3 && length(array, 1) == 2 && length(array, 2) == static_cast<std::size_t>(m.digits),
            "rows must have shape (count, 2, digits)");
    return length(array);
}

Words new_rows(const vfl::Modulus& m, std::size_t count) {
    return Words({static_cast<py::ssize_t>(count), py::ssize_t{2}, static_cast<py::ssize_t>(m.digits)});
}

Words new_limbs(std::size_t count, int width) { return Words({static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(width)}); }

std::vector<word> to_vector(const Words& array) { return std::vector<word>(array.data(), array.data() + array.size()); }

const vfl::Kernel* find_kernel(const std::string& name) {
    for (const vfl::Kernel* const* k = vfl::kernels(); *k; ++k) {
        if (name == (*k)->name && (*k)->supported()) return *k;
    }
    throw std::invalid_argument("no such kernel on this machine: " + name);
}

void fill_modulus(vfl::Modulus& m, const std::string& kernel, int limbs, const Words& n, const Words& n_limbs, word n_neg_inv,
                  const Words& reciprocal, const Words& r_squared, const Words& one, const Words& chunks) {
    m.kernel = find_kernel(kernel);
    m.digits = static_cast<int>(n.size());
    m.limbs = limbs;
    const std::size_t digits = static_cast<std::size_t>(m.digits);
    require(m.digits >= 2 && m.digits <= vfl::MAX_DIGITS && limbs >= 1 && limbs < vfl::MAX_DIGITS, "modulus too long for the core");
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

Words import_rows(const vfl::Modulus& m, const Words& limbs, int threads) {
    require(limbs.ndim() == 2 && length(limbs, 1) <= static_cast<std::size_t>(m.n_chunks() * m.limbs), "numbers too long for this modulus");
    Words rows = new_rows(m, length(limbs));
    word* out = rows.mutable_data();
    const int size = static_cast<int>(length(limbs, 1));
    const std::size_t count = length(limbs);
    py::gil_scoped_release release;
    vfl::import_rows(m, out, limbs.data(), size, count, threads);
    return rows;
}

Words export_rows(const vfl::Modulus& m, const Words& rows, int threads) {
    const std::size_t count = check_rows(m, rows);
    Words limbs = new_limbs(count, 2 * m.limbs);
    word* out = limbs.mutable_data();
    py::gil_scoped_release release;
    vfl::export_rows(m, out, rows.data(), count, threads);
    return limbs;
}

Words multiply_rows(const vfl::Modulus& m, const Words& a, const Words& b, int threads) {
    const std::size_t count = check_rows(m, a), other = check_rows(m, b);
    require(other == count || other == 1, "vectors of different lengths");
    Words rows = new_rows(m, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::multiply_rows(m, out, a.data(), b.data(), other == count ? static_cast<std::size_t>(m.row()) : 0, count, threads);
    return rows;
}

Words add_plain_rows(const vfl::Modulus& m, const Words& a, const Words& plain, int threads) {
    const std::size_t count = check_rows(m, a);
    require(check_limbs(plain, static_cast<std::size_t>(m.limbs), "plaintexts must have shape (count, limbs)") == count,
            "as many plaintexts as ciphertexts");
    Words rows = new_rows(m, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::add_plain_rows(m, out, a.data(), plain.data(), count, threads);
    return rows;
}

Words add_small_rows(const vfl::Modulus& m, const Words& a, const Integers& values, int threads) {
    const std::size_t count = check_rows(m, a);
    require(values.ndim() == 1 && static_cast<std::size_t>(values.size()) == count, "as many plaintexts as ciphertexts");
    require(!m.reciprocal.empty(), "the modulus is too short for this addition");
    Words rows = new_rows(m, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::add_small_rows(m, out, a.data(), values.data(), count, threads);
    return rows;
}

Words power_rows(const vfl::Modulus& m, const Words& a, const Words& exponents, int threads) {
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

Words product_of_rows(const vfl::Modulus& m, const Words& a, int threads) {
    const std::size_t count = check_rows(m, a);
    require(count > 0, "product of no rows");
    Words rows = new_rows(m, 1);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::product_of_rows(m, out, a.data(), count, threads);
    return rows;
}

// For benchmarks: one kernel function, `times` times on one group of lanes.
Words repeat_kernel(const vfl::Modulus& m, const std::string& operation, const Words& a, const Words& b, std::size_t times) {
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

std::pair<Words, Words> chain_rows(const vfl::Modulus& m, const Words& rows, std::size_t chain, int threads) {
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

Words unchain_rows(const vfl::Modulus& m, const Words& prefixes, const Words& inverted, const Words& rows, std::size_t chain, int threads) {
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

template <void (*Function)(const vfl::Modulus&, word*, const word*, const word*, std::size_t, int)>
Words with_inverses(const vfl::Modulus& m, const Words& rows, const Words& inverses, int threads, int parts) {
    const std::size_t count = check_rows(m, rows);
    require(check_limbs(inverses, static_cast<std::size_t>(m.digits), "inverses of the wrong width") == count, "as many inverses as rows");
    Words result({static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(parts), static_cast<py::ssize_t>(m.digits)});
    word* out = result.mutable_data();
    py::gil_scoped_release release;
    Function(m, out, rows.data(), inverses.data(), count, threads);
    return result;
}

Words factor_rows(const vfl::Modulus& m, const Words& rows, const Words& inverses, int threads) {
    return with_inverses<vfl::factor_rows>(m, rows, inverses, threads, 3);
}

Words invert_rows(const vfl::Modulus& m, const Words& rows, const Words& inverses, int threads) {
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

Words pack_rows(const vfl::Modulus& m, const Words& a, std::size_t slots, int slot_bits, int threads) {
    const std::size_t count = check_rows(m, a);
    require(slots > 0 && slot_bits > 0, "slots and slot_bits must be positive");
    require(slots <= MAX_PACKED_BITS / static_cast<std::size_t>(slot_bits), "more slots than a plaintext has");
    Words rows = new_rows(m, (count + slots - 1) / slots);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::pack_rows(m, out, a.data(), count, slots, slot_bits, threads);
    return rows;
}

using Patterns = py::array_t<std::uint16_t, PLAIN>;
using RowList = py::array_t<std::uint32_t, PLAIN>;
using BlockTuple = std::tuple<std::vector<int>, Patterns, py::object, int>;

vfl::CodedBlock make_block(const std::vector<int>& counts, const Patterns& patterns, const py::object& rows, int modal,
                           std::size_t first_class, std::size_t n_rows) {
    vfl::CodedBlock block;
    block.class_counts = counts;
    block.modal = modal;
    block.first_class = first_class;
    block.entries = static_cast<std::size_t>(patterns.size());
    block.patterns = patterns.data();
    std::size_t n_patterns = 1;
    for (int count : counts) {
        require(count >= 1 && static_cast<std::size_t>(count) <= MAX_PATTERNS / n_patterns, "a block has 1 to 65536 patterns");
        n_patterns *= static_cast<std::size_t>(count);
    }
    require(!counts.empty(), "a block without features");
    if (rows.is_none()) {
        require(block.entries == n_rows, "a dense block has one pattern a row");
    } else {
        require(is_plain<RowList>(rows), "rows must be a C-contiguous, aligned uint32 array");
        const RowList list = py::reinterpret_borrow<RowList>(rows);
        require(static_cast<std::size_t>(list.size()) == block.entries, "a sparse block has one pattern an entry");
        block.rows = list.data();
        for (std::size_t i = 0; i < block.entries; ++i) {
            require(block.rows[i] < n_rows && (i == 0 || block.rows[i - 1] < block.rows[i]), "rows must ascend within the table");
        }
    }
    for (std::size_t i = 0; i < block.entries; ++i) require(block.patterns[i] < n_patterns, "pattern above the block's count");
    return block;
}

// `times`, if it is not None, gets the nanoseconds of the bucket and the collapse phase, over all threads, added.
Words class_sums(const vfl::Modulus& m, const Words& rows, const Words& factors, const std::vector<BlockTuple>& tuples,
                 std::size_t segments, int threads, const py::object& times) {
    const std::size_t n_rows = check_rows(m, rows);
    require(factors.ndim() == 3 && length(factors) == n_rows && length(factors, 1) == 3 && length(factors, 2) == length(rows, 2),
            "factors must have shape (rows, 3, digits)");
    require(!tuples.empty() && n_rows > 0, "no rows or no blocks");
    require(segments > 0 && segments <= std::max(n_rows, MAX_SEGMENTS), "no segments, or more than rows");
    std::vector<vfl::CodedBlock> blocks;
    std::size_t n_classes = 0;
    for (const auto& [counts, patterns, rows, modal] : tuples) {
        blocks.push_back(make_block(counts, patterns, rows, modal, n_classes, n_rows));
        for (int count : counts) n_classes += static_cast<std::size_t>(count);
    }
    word* spent = nullptr;
    if (!times.is_none()) {
        require(is_plain<Words>(times), "times must be a C-contiguous, aligned uint64 array");
        Words phases = py::reinterpret_borrow<Words>(times);
        require(phases.ndim() == 1 && phases.size() == 2, "times has two phases");
        spent = phases.mutable_data();
    }
    Words sums = new_rows(m, n_classes);
    word* out = sums.mutable_data();
    py::gil_scoped_release release;
    vfl::PhaseTimes phases;
    vfl::class_sums(m, out, n_classes, {rows.data(), factors.data(), n_rows}, blocks, segments, threads, phases);
    if (spent) {
        spent[0] += phases.bucket;
        spent[1] += phases.collapse;
    }
    return sums;
}

std::pair<Words, Words> combine_columns(const vfl::Modulus& m, const Words& sums, const Integers& first_classes, const Integers& n_classes,
                                        const Integers& exponents, int threads) {
    const std::size_t rows = check_rows(m, sums), count = static_cast<std::size_t>(first_classes.size());
    require(exponents.ndim() == 2 && static_cast<std::size_t>(exponents.shape(0)) == count && n_classes.size() == first_classes.size(),
            "one row of exponents a column");
    std::vector<vfl::CodedColumn> columns;
    for (std::size_t j = 0; j < count; ++j) {
        const std::int64_t first = first_classes.data()[j], classes = n_classes.data()[j];
        require(first >= 0 && classes >= 1 && static_cast<std::size_t>(first + classes) <= rows && classes <= exponents.shape(1),
                "a column's classes lie outside the class sums");
        const std::int64_t* own = exponents.data() + j * static_cast<std::size_t>(exponents.shape(1));
        require(std::find(own, own + classes, std::numeric_limits<std::int64_t>::min()) == own + classes, "an exponent without a negative");
        columns.push_back({static_cast<std::size_t>(first), static_cast<std::size_t>(classes), own});
    }
    Words positive = new_rows(m, count), negative = new_rows(m, count);
    word *plus = positive.mutable_data(), *minus = negative.mutable_data();
    {
        py::gil_scoped_release release;
        vfl::combine_columns(m, plus, minus, sums.data(), columns, threads);
    }
    return {positive, negative};
}

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

std::vector<py::tuple> kernel_list() {
    std::vector<py::tuple> list;
    for (const vfl::Kernel* const* k = vfl::kernels(); *k; ++k) {
        list.push_back(py::make_tuple((*k)->name, (*k)->lanes, (*k)->radix, (*k)->supported()));
    }
    return list;
}

}  // namespace

PYBIND11_MODULE(_core, module) {
    module.doc() = "Paillier arithmetic on batches of 64-bit limbs; see csrc/README.md.";
#ifdef VFL_HAVE_GMP
    module.attr("has_gmp") = true;
#else
    module.attr("has_gmp") = false;
#endif
    module.def("kernels", &kernel_list);
    module.def("multiply_adds", [](const std::string& kernel, std::size_t count) {
        require(count <= std::size_t{1} << 40, "too many multiply-adds");
        const vfl::Kernel* chosen = find_kernel(kernel);
        py::gil_scoped_release release;
        chosen->multiply_adds(count);
    });
    module.def("digits", [](const std::string& kernel, int bits) { return find_kernel(kernel)->digits(bits); });

    py::class_<vfl::Modulus, ModulusPtr>(module, "Modulus")
        .def(py::init([](const std::string& kernel, int limbs, const Words& n, const Words& n_limbs, word n_neg_inv,
                         const Words& reciprocal, const Words& r_squared, const Words& one, const Words& chunks) {
            auto m = std::make_shared<vfl::Modulus>();
            fill_modulus(*m, kernel, limbs, n, n_limbs, n_neg_inv, reciprocal, r_squared, one, chunks);
            return m;
        }))
        .def_readonly("digits", &vfl::Modulus::digits)
        .def("import_rows", &import_rows)
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
        .def("pack", &pack_rows)
        .def("class_sums", &class_sums, py::arg("rows"), py::arg("factors"), py::arg("blocks"), py::arg("segments"), py::arg("threads"),
             py::arg("times") = py::none())
        .def("combine", &combine_columns);

    py::class_<BaseTable>(module, "BaseTable")
        .def(py::init<ModulusPtr, const Words&, int, int, int>())
        .def("entries", [](py::object self) { return self.cast<BaseTable&>().entries(self); })
        .def("encrypt", &BaseTable::encrypt);

    py::class_<Decryptor>(module, "Decryptor").def(py::init<int, const py::tuple&, const py::tuple&, const Words&>()).def("decrypt", &Decryptor::decrypt);
}

// Points of edwards25519 as ristretto255: encodings, sums, multiples, the coded product.
#include "bindings/coded.h"

#include "curve/logarithm.h"
#include "curve/point_rows.h"

namespace vfl::bindings {
namespace {

constexpr int MOST_POINTS = 16;  // of an element

const CurveKernel* find_curve_kernel(const std::string& name) {
    for (const CurveKernel* const* k = curve_kernels(); *k; ++k) {
        if (name == (*k)->name && (*k)->supported()) return *k;
    }
    throw std::invalid_argument("no such kernel on this machine: " + name);
}

std::size_t check_elements(const Curve& c, const Words& rows) {
    require(rows.ndim() == 3 && length(rows, 1) == static_cast<std::size_t>(c.points) && length(rows, 2) == POINT_WORDS,
            "rows must have shape (count, points, 20)");
    for (const word* digit = rows.data(); digit < rows.data() + rows.size(); ++digit) {
        require(*digit >> (FIELD_RADIX + 1) == 0, "a digit is too large for a point at rest");
    }
    return length(rows);
}

Words new_elements(const Curve& c, std::size_t count, int words = POINT_WORDS) {
    return Words({static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(c.points), static_cast<py::ssize_t>(words)});
}

Words new_flags(std::size_t count) { return Words(static_cast<py::ssize_t>(count)); }

// Scalars below 2^(4*windows - 1): 4 limbs a row, as many as elements, or one.
std::size_t check_scalars(const Words& scalars, int windows, std::size_t count) {
    require(windows >= 1 && windows <= WINDOWS, "1 to 64 windows");
    const std::size_t given = check_limbs(scalars, CODE_WORDS, "scalars must have shape (count, 4)");
    require(given == count || given == 1, "as many scalars as elements, or one");
    for (std::size_t i = 0; i < given; ++i) {
        word above = 0;  // no branch on a scalar
        for (int limb = 0; limb < CODE_WORDS; ++limb) {
            const int first = 4 * windows - 1 - 64 * limb;
            above |= first >= 64 ? 0 : scalars.data()[i * CODE_WORDS + static_cast<std::size_t>(limb)] >> (first > 0 ? first : 0);
        }
        require(above == 0, "a scalar is too long for these windows");
    }
    return given == count ? CODE_WORDS : 0;
}

std::pair<Words, Words> decode(const Curve& c, const Words& codes, int threads) {
    const std::size_t points = static_cast<std::size_t>(c.points);
    require(codes.ndim() == 2 && length(codes, 1) == CODE_WORDS * points, "encodings must have shape (count, 4 * points)");
    const std::size_t count = length(codes);
    Words rows = new_elements(c, count), valid = new_flags(count * points);
    word *out = rows.mutable_data(), *flags = valid.mutable_data();
    {
        py::gil_scoped_release release;
        vfl::decode_points(c, out, flags, codes.data(), count * points, threads);
    }
    return {rows, valid};
}

Words encode(const Curve& c, const Words& rows, int threads) {
    const std::size_t count = check_elements(c, rows);
    Words codes = new_limbs(count, CODE_WORDS * c.points);
    word* out = codes.mutable_data();
    py::gil_scoped_release release;
    vfl::encode_points(c, out, rows.data(), count * static_cast<std::size_t>(c.points), threads);
    return codes;
}

Words encode_double(const Curve& c, const Words& rows, int threads) {
    const std::size_t count = check_elements(c, rows);
    Words codes = new_limbs(count, CODE_WORDS * c.points);
    word* out = codes.mutable_data();
    py::gil_scoped_release release;
    vfl::encode_double_points(c, out, rows.data(), count * static_cast<std::size_t>(c.points), threads);
    return codes;
}

std::pair<Words, Words> decode_edwards(const Curve& c, const Words& codes, int threads) {
    require(c.points == 1, "for elements of one point");
    const std::size_t count = check_limbs(codes, CODE_WORDS, "encodings must have shape (count, 4)");
    Words rows = new_elements(c, count), valid = new_flags(count);
    word *out = rows.mutable_data(), *flags = valid.mutable_data();
    {
        py::gil_scoped_release release;
        vfl::decode_edwards_points(c, out, flags, codes.data(), count, threads);
    }
    return {rows, valid};
}

Words encode_edwards(const Curve& c, const Words& rows, int threads) {
    require(c.points == 1, "for elements of one point");
    const std::size_t count = check_elements(c, rows);
    Words codes = new_limbs(count, CODE_WORDS);
    word* out = codes.mutable_data();
    py::gil_scoped_release release;
    vfl::encode_edwards_points(c, out, rows.data(), count, threads);
    return codes;
}

Words edwards_from_uniform(const Curve& c, const Words& uniform, int threads) {
    require(c.points == 1, "for elements of one point");
    const std::size_t count = check_limbs(uniform, CODE_WORDS, "uniform numbers must have shape (count, 4)");
    Words rows = new_elements(c, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::edwards_points_from_uniform(c, out, uniform.data(), count, threads);
    return rows;
}

Words from_uniform(const Curve& c, const Words& uniform, int threads) {
    require(c.points == 1, "for elements of one point");
    const std::size_t count = check_limbs(uniform, 2 * CODE_WORDS, "uniform numbers must have shape (count, 8)");
    Words rows = new_elements(c, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::points_from_uniform(c, out, uniform.data(), count, threads);
    return rows;
}

Words equal(const Curve& c, const Words& a, const Words& b, int threads) {
    const std::size_t count = check_elements(c, a) * static_cast<std::size_t>(c.points);
    require(check_elements(c, b) == length(a), "vectors of different lengths");
    Words same = new_flags(count);
    word* out = same.mutable_data();
    py::gil_scoped_release release;
    vfl::equal_points(c, out, a.data(), b.data(), count, threads);
    return same;
}

Words add(const Curve& c, const Words& a, const Words& b, int threads) {
    const std::size_t count = check_elements(c, a), other = check_elements(c, b);
    require(other == count || other == 1, "vectors of different lengths");
    Words rows = new_elements(c, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::add_elements(c, out, a.data(), b.data(), other == count ? static_cast<std::size_t>(row_words(c)) : 0, count, threads);
    return rows;
}

Words negate(const Curve& c, const Words& a, int threads) {
    const std::size_t count = check_elements(c, a);
    Words rows = new_elements(c, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::negate_points(c, out, a.data(), count * static_cast<std::size_t>(c.points), threads);
    return rows;
}

Words sum(const Curve& c, const Words& a, int threads) {
    const std::size_t count = check_elements(c, a);
    Words rows = new_elements(c, 1);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::sum_elements(c, out, a.data(), count, threads);
    return rows;
}

Words prepare(const Curve& c, const Words& a, int threads) {
    const std::size_t count = check_elements(c, a);
    Words prepared = new_elements(c, count, PREPARED_WORDS);
    word* out = prepared.mutable_data();
    py::gil_scoped_release release;
    vfl::prepare_points(c, out, a.data(), count * static_cast<std::size_t>(c.points), threads);
    return prepared;
}

Words multiply(const Curve& c, const Words& a, const Words& scalars, int windows, int threads) {
    const std::size_t count = check_elements(c, a), stride = check_scalars(scalars, windows, count);
    Words rows = new_elements(c, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::multiply_elements(c, out, a.data(), scalars.data(), stride, windows, count, threads);
    return rows;
}

Words base_table(const Curve& c, const Words& point, int threads) {
    require(c.points == 1 && check_elements(c, point) == 1, "one point");
    Words table(static_cast<py::ssize_t>(TABLE_WORDS));
    word* out = table.mutable_data();
    py::gil_scoped_release release;
    vfl::base_table(c, out, point.data(), threads);
    return table;
}

// A term: the point of the element, the table, scalars, windows, and the elements in which it is taken off (~0, else 0) or None.
using TermTuple = std::tuple<int, Words, Words, int, py::object>;

Words add_base_terms(const Curve& c, const py::object& start, std::size_t count, const std::vector<TermTuple>& tuples, int threads) {
    Words from;
    if (!start.is_none()) {
        from = start.cast<Words>();
        require(check_elements(c, from) == count, "as many elements as are asked for");
    }
    std::vector<vfl::BaseTerm> terms;
    for (const auto& [point, table, scalars, windows, negative] : tuples) {
        require(point >= 0 && point < c.points && table.size() == TABLE_WORDS, "a point of the element, and a table of a base");
        require(check_scalars(scalars, windows, count) == CODE_WORDS || count == 1, "a scalar for every element");
        const word* flips = nullptr;
        if (!negative.is_none()) {
            require(is_plain<Words>(negative), "signs must be a C-contiguous, aligned uint64 array");
            const Words signs = py::reinterpret_borrow<Words>(negative);
            require(signs.ndim() == 1 && length(signs) == count, "a sign for every element");
            flips = signs.data();
        }
        terms.push_back({point, table.data(), scalars.data(), windows, flips});
    }
    Words rows = new_elements(c, count);
    word* out = rows.mutable_data();
    py::gil_scoped_release release;
    vfl::add_base_terms(c, out, start.is_none() ? nullptr : from.data(), terms.data(), terms.size(), count, threads);
    return rows;
}

Words class_sums(const Curve& c, const Words& rows, const Words& prepared, const std::vector<BlockTuple>& tuples, std::size_t segments,
                 int threads, const py::object& times) {
    const std::size_t n_rows = check_elements(c, rows);
    require(prepared.ndim() == 3 && length(prepared) == n_rows && length(prepared, 1) == length(rows, 1) && length(prepared, 2) == PREPARED_WORDS,
            "prepared rows must have shape (rows, points, 15)");
    const Blocks blocks = make_blocks(tuples, n_rows, segments);
    word* spent = phase_times(times);
    Words sums = new_elements(c, blocks.n_classes);
    word* out = sums.mutable_data();
    py::gil_scoped_release release;
    class_sums_into(c, out, {rows.data(), prepared.data(), n_rows}, blocks, segments, threads, spent);
    return sums;
}

std::pair<Words, Words> combine(const Curve& c, const Words& sums, const Integers& first, const Integers& counts, const Integers& exponents,
                                int threads) {
    const std::vector<vfl::CodedColumn> columns = make_columns(check_elements(c, sums), first, counts, exponents);
    Words positive = new_elements(c, columns.size()), negative = new_elements(c, columns.size());
    word *plus = positive.mutable_data(), *minus = negative.mutable_data();
    {
        py::gil_scoped_release release;
        vfl::combine_columns(c, plus, minus, sums.data(), columns, threads);
    }
    return {positive, negative};
}

class LogarithmTable {
  public:
    LogarithmTable(const Curve& c, const Words& base, int bits, int threads) : curve_(c.kernel, 1) {
        require(check_elements(curve_, base) == 1, "one point");
        require(bits >= 8 && bits <= 23, "from 8 to 23 bits");
        py::gil_scoped_release release;
        table_ = std::make_unique<vfl::Logarithms>(curve_, base.data(), bits, threads);
    }

    std::int64_t reach() const { return table_->reach(); }

    std::pair<Integers, Words> find(const Words& points, std::int64_t bound, int threads) const {
        const std::size_t count = check_elements(curve_, points);
        require(bound >= 0 && bound <= std::int64_t{1} << 61, "a bound from 0 to 2^61");
        Integers values(static_cast<py::ssize_t>(count));
        Words found = new_flags(count);
        std::int64_t* out = values.mutable_data();
        word* flags = found.mutable_data();
        {
            py::gil_scoped_release release;
            table_->find(out, flags, points.data(), count, bound, threads);
        }
        return {values, found};
    }

  private:
    Curve curve_;
    std::unique_ptr<vfl::Logarithms> table_;
};

}  // namespace

void bind_curve(py::module_& module) {
    module.def("curve_kernels", [] {
        std::vector<py::tuple> list;
        for (const CurveKernel* const* k = curve_kernels(); *k; ++k) list.push_back(py::make_tuple((*k)->name, (*k)->lanes, (*k)->supported()));
        return list;
    });
    py::class_<LogarithmTable>(module, "LogarithmTable")
        .def(py::init<const Curve&, const Words&, int, int>())
        .def_property_readonly("reach", &LogarithmTable::reach)
        .def("find", &LogarithmTable::find);
    py::class_<Curve>(module, "Curve")
        .def(py::init([](const std::string& kernel, int points) {
            require(points >= 1 && points <= MOST_POINTS, "1 to 16 points an element");
            return Curve(find_curve_kernel(kernel), points);
        }))
        .def_readonly("points", &Curve::points)
        .def("decode", &decode)
        .def("encode", &encode)
        .def("encode_double", &encode_double)
        .def("from_uniform", &from_uniform)
        .def("decode_edwards", &decode_edwards)
        .def("encode_edwards", &encode_edwards)
        .def("edwards_from_uniform", &edwards_from_uniform)
        .def("equal", &equal)
        .def("add", &add)
        .def("negate", &negate)
        .def("sum", &sum)
        .def("prepare", &prepare)
        .def("multiply", &multiply)
        .def("base_table", &base_table)
        .def("add_base_terms", &add_base_terms)
        .def("class_sums", &class_sums, py::arg("rows"), py::arg("prepared"), py::arg("blocks"), py::arg("segments"), py::arg("threads"),
             py::arg("times") = py::none())
        .def("combine", &combine);
}

}  // namespace vfl::bindings

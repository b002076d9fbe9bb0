// The coded product over pairs modulo n^2.
#include "bindings/coded.h"

namespace vfl::bindings {
namespace {

Words class_sums(const Modulus& m, const Words& rows, const Words& factors, const std::vector<BlockTuple>& tuples,
                 std::size_t segments, int threads, const py::object& times) {
    const std::size_t n_rows = check_rows(m, rows);
    require(factors.ndim() == 3 && length(factors) == n_rows && length(factors, 1) == 3 && length(factors, 2) == length(rows, 2),
            "factors must have shape (rows, 3, digits)");
    const Blocks blocks = make_blocks(tuples, n_rows, segments);
    word* spent = phase_times(times);
    Words sums = new_rows(m, blocks.n_classes);
    word* out = sums.mutable_data();
    py::gil_scoped_release release;
    class_sums_into(m, out, {rows.data(), factors.data(), n_rows}, blocks, segments, threads, spent);
    return sums;
}

std::pair<Words, Words> combine_columns(const Modulus& m, const Words& sums, const Integers& first_classes, const Integers& n_classes,
                                        const Integers& exponents, int threads) {
    const std::vector<vfl::CodedColumn> columns = make_columns(check_rows(m, sums), first_classes, n_classes, exponents);
    Words positive = new_rows(m, columns.size()), negative = new_rows(m, columns.size());
    word *plus = positive.mutable_data(), *minus = negative.mutable_data();
    {
        py::gil_scoped_release release;
        vfl::combine_columns(m, plus, minus, sums.data(), columns, threads);
    }
    return {positive, negative};
}

}  // namespace

void bind_product(ModulusClass& modulus) {
    modulus
        .def("class_sums", &class_sums, py::arg("rows"), py::arg("factors"), py::arg("blocks"), py::arg("segments"), py::arg("threads"),
             py::arg("times") = py::none())
        .def("combine", &combine_columns);
}

}  // namespace vfl::bindings

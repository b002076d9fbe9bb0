// Arrays as they come from Python: checked shapes, new ones for results. Only what stands in this folder knows Python.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "paillier/pair.h"

namespace vfl::bindings {

namespace py = pybind11;

// C-contiguous, aligned, native arrays: pybind11 copies others where no value can change, and rejects the rest.
constexpr int PLAIN = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
using Words = py::array_t<word, PLAIN>;
using Integers = py::array_t<std::int64_t, PLAIN>;
using ModulusPtr = std::shared_ptr<Modulus>;

inline void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

// Whether an object is such an array as it stands: for those that are borrowed, not copied.
template <class Array>
bool is_plain(const py::object& object) {
    return py::isinstance<Array>(object) && (py::reinterpret_borrow<Array>(object).flags() & PLAIN) == PLAIN;
}

inline std::size_t length(const Words& array, int axis = 0) { return static_cast<std::size_t>(array.shape(axis)); }

// An array of shape (count, width), any count.
inline std::size_t check_limbs(const Words& array, std::size_t width, const char* message) {
    require(array.ndim() == 2 && length(array, 1) == width, message);
    return length(array);
}

inline std::size_t check_rows(const Modulus& m, const Words& array) {
    require(array.ndim() == 3 && length(array, 1) == 2 && length(array, 2) == static_cast<std::size_t>(m.digits),
            "rows must have shape (count, 2, digits)");
    return length(array);
}

inline Words new_rows(const Modulus& m, std::size_t count) {
    return Words({static_cast<py::ssize_t>(count), py::ssize_t{2}, static_cast<py::ssize_t>(m.digits)});
}

inline Words new_limbs(std::size_t count, int width) { return Words({static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(width)}); }

inline std::vector<word> to_vector(const Words& array) { return std::vector<word>(array.data(), array.data() + array.size()); }

using ModulusClass = py::class_<Modulus, ModulusPtr>;

// The kernel of that name, if this machine runs it.
const Kernel* find_kernel(const std::string& name);
void fill_modulus(Modulus& m, const std::string& kernel, int limbs, const Words& n, const Words& n_limbs, word n_neg_inv,
                  const Words& reciprocal, const Words& r_squared, const Words& one, const Words& chunks);

// What each file adds to the module.
void bind_rows(py::module_& module, ModulusClass& modulus);
void bind_product(ModulusClass& modulus);
void bind_keys(py::module_& module);
void bind_curve(py::module_& module);

}  // namespace vfl::bindings

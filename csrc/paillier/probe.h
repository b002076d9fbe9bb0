// One kernel function run many times on one group of lanes, in the cache: what benchmarks measure and check.
#pragma once

#include <string>

#include "paillier/pair.h"

namespace vfl {

// r = rows of `lanes` pairs: `times` times a = operation(a, b). `b` has as many pairs (a factor is a pair of its parts; redc_mul takes
// the first components). Returns false for an operation of another name.
bool repeat_kernel(const Modulus& m, const std::string& operation, word* r, const word* a, const word* b, std::size_t times);

}  // namespace vfl

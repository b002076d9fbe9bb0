// Both kernels of the curve behind one C function, for tests that know points as Python integers. Blocks go through as they are.
#include "curve/curve.h"

namespace vfl {

extern const CurveKernel ifma_curve;

bool cpu_has_ifma() { return true; }
void gather_by_8(word* block, const word* const* rows, int words) {
    for (int lane = 0; lane < 8; ++lane) {
        for (int w = 0; w < words; ++w) block[w * 8 + lane] = rows[lane][w];
    }
}
void scatter_by_8(word* const* rows, const word* block, int words) {
    for (int lane = 0; lane < 8; ++lane) {
        for (int w = 0; w < words; ++w) rows[lane][w] = block[w * 8 + lane];
    }
}

}  // namespace vfl

using vfl::word;

extern "C" int curve_call(int vector, const char* function, word* out, const word* a, const word* b, const word* c, int n) {
    const vfl::CurveKernel& k = vector ? vfl::ifma_curve : vfl::portable_curve;
    const auto is = [&](const char* name) { return !std::strcmp(function, name); };
    if (is("lanes")) return k.lanes;
    if (is("add")) return k.add(out, a, b), 1;
    if (is("add_prepared")) return k.add_prepared(out, a, b), 1;
    if (is("add_prepared_broadcast")) return k.add_prepared_broadcast(out, a, b), 1;
    if (is("negate")) return k.negate(out, a), 1;
    if (is("mul")) return k.mul(out, a, b), 1;
    if (is("invert")) return k.invert(out, a), 1;
    if (is("prepare")) return k.prepare(out, a, b), 1;
    if (is("flatten")) return k.flatten(out, a, b), 1;
    if (is("key")) return k.key(out, a), 1;
    if (is("steps")) return k.steps(out, a, b, n), 1;
    if (is("multiply")) return k.multiply(out, a, b, n), 1;
    if (is("add_multiple_of_base")) return k.add_multiple_of_base(out, a, b, n, c), 1;
    if (is("decode")) return k.decode(out, out + vfl::POINT_WORDS * k.lanes, a), 1;
    if (is("encode")) return k.encode(out, a), 1;
    if (is("double_product")) return k.double_product(out, a), 1;
    if (is("encode_double")) return k.encode_double(out, a, b), 1;
    if (is("from_uniform")) return k.from_uniform(out, a), 1;
    if (is("decode_edwards")) return k.decode_edwards(out, out + vfl::POINT_WORDS * k.lanes, a), 1;
    if (is("encode_edwards")) return k.encode_edwards(out, a), 1;
    if (is("edwards_from_uniform")) return k.edwards_from_uniform(out, a), 1;
    if (is("equal")) return k.equal(out, a, b), 1;
    return 0;
}

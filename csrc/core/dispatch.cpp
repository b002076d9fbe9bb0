// The only file that looks at the CPU: which kernels this build and this machine have. Chosen once per key, never per product.
#include "curve/curve.h"
#include "paillier/pair.h"

namespace vfl {

#if defined(__x86_64__) && defined(__GNUC__)

extern const Kernel ifma_kernel;
extern const CurveKernel ifma_curve;

bool cpu_has_ifma() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma"); }

const Kernel* const* kernels() {
    static const Kernel* const all[] = {&ifma_kernel, &portable_kernel, nullptr};
    return all;
}

const CurveKernel* const* curve_kernels() {
    static const CurveKernel* const all[] = {&ifma_curve, &portable_curve, nullptr};
    return all;
}

#else

const Kernel* const* kernels() {
    static const Kernel* const all[] = {&portable_kernel, nullptr};
    return all;
}

const CurveKernel* const* curve_kernels() {
    static const CurveKernel* const all[] = {&portable_curve, nullptr};
    return all;
}

#endif

}  // namespace vfl

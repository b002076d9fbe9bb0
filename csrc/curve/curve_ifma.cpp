// AVX-512 IFMA kernel of the curve: eight points side by side.
#include "curve/curve.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include "curve/field_ifma.h"

#define VFL_POINT VFL_IFMA
#include "curve/kernel.h"

namespace vfl {

bool cpu_has_ifma();                                                    // dispatch.cpp
void gather_by_8(word* block, const word* const* rows, int words);      // pair_ifma.cpp
void scatter_by_8(word* const* rows, const word* block, int words);

extern const CurveKernel ifma_curve = Blocks<Field>::table("ifma", cpu_has_ifma, gather_by_8, scatter_by_8);

}  // namespace vfl

#endif

// Portable kernel of the curve: one point at a time, products in 128 bits.
#define VFL_POINT

#include "curve/field_portable.h"
#include "curve/kernel.h"

namespace vfl {
namespace {

bool always() { return true; }
void gather(word* block, const word* const* rows, int words) { std::memcpy(block, rows[0], sizeof(word) * static_cast<std::size_t>(words)); }
void scatter(word* const* rows, const word* block, int words) { std::memcpy(rows[0], block, sizeof(word) * static_cast<std::size_t>(words)); }

}  // namespace

extern const CurveKernel portable_curve = Blocks<Field>::table("portable", always, gather, scatter);

}  // namespace vfl

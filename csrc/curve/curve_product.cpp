// The coded product over points.
#include "curve/curve_group.h"
#include "product/class_sums.h"
#include "product/combine.h"

namespace vfl {

template void class_sums(const Curve&, word*, std::size_t, const CodedRows&, const std::vector<CodedBlock>&, std::size_t, int, PhaseTimes&);
template void combine_columns(const Curve&, word*, word*, const word*, const std::vector<CodedColumn>&, int);

}  // namespace vfl

#include "paillier/probe.h"

#include <utility>

#include "paillier/pair_group.h"

namespace vfl {

bool repeat_kernel(const Modulus& m, const std::string& operation, word* r, const word* a, const word* b, std::size_t times) {
    const Kernel& k = *m.kernel;
    const std::size_t row = static_cast<std::size_t>(m.row());
    Workspace<Modulus> space(m, 3);
    int from = 0, to = 1;
    space.load(0, a, row, 0, k.lanes, m.row());
    space.load(1, a, row, 0, k.lanes, m.row());
    space.load(2, b, row, 0, k.lanes, m.row());
    for (std::size_t i = 0; i < times; ++i) {
        word *x = space.block(from), *y = space.block(to), *other = space.block(2);
        if (operation == "mul") {
            k.mul(m, y, x, other);
        } else if (operation == "sqr") {
            k.sqr(m, y, x);
        } else if (operation == "mul_residue") {
            k.mul_residue(m, y, x, other);
        } else if (operation == "mul_factor") {
            k.mul_factor(m, y, x, other);
        } else if (operation == "mul_factor_broadcast") {
            k.mul_factor_broadcast(m, y, x, b);
        } else if (operation == "redc_mul") {
            k.redc_mul(m, y, x, other);
        } else {
            return false;
        }
        std::swap(from, to);
    }
    space.store(from, r, row, 0, k.lanes, m.row());
    return true;
}

}  // namespace vfl

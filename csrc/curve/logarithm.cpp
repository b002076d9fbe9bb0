// Baby steps in a hash table, giant steps by `steps` of the kernel.
#include "curve/logarithm.h"

#include <array>

#include "core/parallel.h"

namespace vfl {
namespace {

constexpr std::size_t GIANTS = 1 << 15;  // steps from a centre in either direction: 4 MB of points
constexpr int MULTIPLE_BITS = 24;
constexpr int SMALL_WINDOWS = 17;  // of numbers below 2^64
constexpr word MULTIPLE_MASK = (word{1} << MULTIPLE_BITS) - 1;

// rows[i] = i * point, by doubling the list.
void multiples(const Curve& c, word* rows, const word* point, std::size_t count, int threads) {
    std::vector<word> jump(point, point + POINT_WORDS);  // as many times the point as there are rows
    std::memcpy(rows, zero_of(c), sizeof(word) * POINT_WORDS);
    for (std::size_t made = 1; made < count; made *= 2) {
        add_elements(c, rows + made * POINT_WORDS, rows, jump.data(), 0, std::min(made, count - made), threads);
        add_elements(c, jump.data(), jump.data(), jump.data(), 0, 1, 1);
    }
}

std::vector<word> affine_multiples(const Curve& c, const word* point, std::size_t count, int threads) {
    Scratch rows(count * POINT_WORDS, false, false);
    std::vector<word> affine(count * PREPARED_WORDS);
    multiples(c, rows.get(), point, count, threads);
    flatten_points(c, affine.data(), rows.get(), count, threads);
    return affine;
}

std::vector<word> times(const Curve& c, const word* point, std::uint64_t factor) {
    const word scalar[CODE_WORDS] = {factor, 0, 0, 0};
    std::vector<word> r(POINT_WORDS);
    multiply_elements(c, r.data(), point, scalar, 0, SMALL_WINDOWS, 1, 1);
    return r;
}

}  // namespace

// The values of one group of lanes.
struct Logarithms::Search {
    const Logarithms& table;
    const word* points;  // four times those whose logarithms are wanted
    int count;
    std::int64_t bound;
    int open;
    std::int64_t centre = 0;  // of the window of steps
    std::array<std::int64_t*, MAX_LANES> values{};
    std::array<word*, MAX_LANES> found{};
    std::vector<word> keys;

    Search(const Logarithms& t, const word* p, int n, std::int64_t b)
        : table(t), points(p), count(n), bound(b), open(n), keys(2 * MAX_STEPS * static_cast<std::size_t>(t.curve_.kernel->lanes)) {}

    void run(const word* affine);
    void near(const word* affine);
    void walk(const word* affine, std::int64_t furthest);
    void look_up(std::int64_t first_step, int steps, int directions);
    bool accept(int lane, std::int64_t value);
};

Logarithms::Logarithms(const Curve& curve, const word* base, int bits, int threads) : curve_(curve.kernel, 1) {
    const std::size_t per_centre = 2 * MAX_STEPS - 1, n_centres = (std::size_t{1} << bits) / per_centre + 1;
    const std::vector<word> four = times(curve_, base, 4);
    reach_ = static_cast<std::int64_t>((n_centres - 1) * per_centre + MAX_STEPS - 1);
    shift_ = 64 - (bits + 1);
    slots_.assign(std::size_t{1} << (bits + 1), 0);
    base_table_.resize(TABLE_WORDS);
    base_table(curve_, base_table_.data(), four.data(), threads);
    giants_ = affine_multiples(curve_, four.data(), MAX_STEPS, threads);  // for the table itself: steps of one
    const std::vector<word> step = times(curve_, four.data(), per_centre);
    fill(affine_multiples(curve_, step.data(), n_centres, threads).data(), n_centres, threads);
    const std::vector<word> far = times(curve_, four.data(), static_cast<std::uint64_t>(giant()));
    giants_ = affine_multiples(curve_, far.data(), GIANTS, threads);
    window_ = times(curve_, far.data(), 2 * GIANTS - 1);
}

void Logarithms::fill(const word* affine, std::size_t n_centres, int threads) {
    const std::size_t lanes = static_cast<std::size_t>(curve_.kernel->lanes), per_group = 2 * MAX_STEPS * lanes;
    Scratch keys((n_centres + lanes - 1) / lanes * per_group, false, false);
    parallel_for(threads, n_centres, 16 * lanes, [&](std::size_t begin, std::size_t end) {
        Workspace<Curve> space(curve_, 1);
        for_lanes(curve_, begin, end, [&](std::size_t first, int active) {
            space.load(0, affine, PREPARED_WORDS, first, active, PREPARED_WORDS);
            curve_.kernel->steps(keys.get() + first / lanes * per_group, space.block(0), giants_.data(), MAX_STEPS);
        });
    });
    for (std::size_t i = 0; i < n_centres; ++i) {
        const word* own = keys.get() + i / lanes * per_group + i % lanes;
        const word centre = i * (2 * MAX_STEPS - 1);
        for (std::size_t k = 0; k < MAX_STEPS; ++k) {
            insert(own[2 * k * lanes], centre + k);
            if (i && k) insert(own[(2 * k + 1) * lanes], centre - k);
        }
    }
}

void Logarithms::insert(word key, word multiple) {
    std::size_t slot = slot_of(key);
    while (slots_[slot]) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = key << MULTIPLE_BITS | (multiple + 1);
}

void Logarithms::find(std::int64_t* values, word* found, const word* points, std::size_t count, std::int64_t bound, int threads) const {
    const std::size_t lanes = static_cast<std::size_t>(curve_.kernel->lanes);
    Scratch fourfold(count * POINT_WORDS, true, false), affine(count * PREPARED_WORDS, true, false);
    add_elements(curve_, fourfold.get(), points, points, POINT_WORDS, count, threads);
    add_elements(curve_, fourfold.get(), fourfold.get(), fourfold.get(), POINT_WORDS, count, threads);
    flatten_points(curve_, affine.get(), fourfold.get(), count, threads);
    parallel_for(threads, count, lanes, [&](std::size_t begin, std::size_t end) {
        Search search(*this, fourfold.get() + begin * POINT_WORDS, static_cast<int>(end - begin), bound);
        for (std::size_t i = begin; i < end; ++i) {
            values[i] = 0, found[i] = 0;
            search.values[i - begin] = values + i, search.found[i - begin] = found + i;
        }
        search.run(affine.get() + begin * PREPARED_WORDS);
    });
}

void Logarithms::Search::run(const word* affine) {
    const std::int64_t window = static_cast<std::int64_t>(2 * GIANTS - 1), furthest = bound / table.giant() + 1;
    near(affine);
    for (std::int64_t w = 0; open && (w < 0 ? -w : w) * window - static_cast<std::int64_t>(GIANTS) <= furthest; w = w > 0 ? -w : 1 - w) {
        centre = w * window;  // 0, 1, -1, 2, -2, ... windows
        if (w == 0) {
            walk(affine, furthest);
            continue;
        }
        std::vector<word> offset = times(table.curve_, table.window_.data(), static_cast<std::uint64_t>(w < 0 ? -w : w));
        if (w > 0) negate_points(table.curve_, offset.data(), offset.data(), 1, 1);
        Scratch moved(static_cast<std::size_t>(count) * POINT_WORDS, true), flat(static_cast<std::size_t>(count) * PREPARED_WORDS, true);
        add_elements(table.curve_, moved.get(), points, offset.data(), 0, static_cast<std::size_t>(count), 1);
        flatten_points(table.curve_, flat.get(), moved.get(), static_cast<std::size_t>(count), 1);
        walk(flat.get(), static_cast<std::int64_t>(GIANTS));
    }
}

// Those in reach of the table.
void Logarithms::Search::near(const word* affine) {
    Workspace<Curve> space(table.curve_, 1, true);
    space.load(0, affine, PREPARED_WORDS, 0, count, PREPARED_WORDS);
    table.curve_.kernel->key(keys.data(), space.block(0));
    look_up(0, 1, 1);
}

// The giant steps from the centre in both directions, up to `furthest` of them.
void Logarithms::Search::walk(const word* affine, std::int64_t furthest) {
    Workspace<Curve> space(table.curve_, 1, true);
    space.load(0, affine, PREPARED_WORDS, 0, count, PREPARED_WORDS);
    for (std::int64_t first = 0; first < static_cast<std::int64_t>(GIANTS) && first <= furthest && open; first += MAX_STEPS) {
        const int steps = static_cast<int>(std::min<std::int64_t>(MAX_STEPS, furthest - first + 1));
        table.curve_.kernel->steps(keys.data(), space.block(0), table.giants_.data() + static_cast<std::size_t>(first) * PREPARED_WORDS, steps);
        look_up(first, steps, 2);
    }
}

void Logarithms::Search::look_up(std::int64_t first_step, int steps, int directions) {
    const int lanes = table.curve_.kernel->lanes, n_keys = steps * directions * lanes;
    const std::vector<word>& slots = table.slots_;
    for (int at = 0; at < n_keys; ++at) __builtin_prefetch(slots.data() + table.slot_of(keys[static_cast<std::size_t>(at)]));
    for (int at = 0; at < n_keys && open; ++at) {
        const int lane = at % lanes, step = at / lanes / directions;
        if (lane >= count || *found[static_cast<std::size_t>(lane)]) continue;
        const word key = keys[static_cast<std::size_t>(at)];
        // P + k*giant = +-j in the first direction, P - k*giant = +-j in the second; P is the value less the centre
        const std::int64_t k = at / lanes % directions ? first_step + step : -(first_step + step), around = (centre + k) * table.giant();
        for (std::size_t slot = table.slot_of(key); slots[slot]; slot = (slot + 1) & (slots.size() - 1)) {
            if ((slots[slot] ^ key << MULTIPLE_BITS) >> MULTIPLE_BITS) continue;
            const std::int64_t j = static_cast<std::int64_t>(slots[slot] & MULTIPLE_MASK) - 1;
            if (accept(lane, around + j) || accept(lane, around - j)) break;
        }
    }
}

// Whether the lane's value is `value`; it is closed then.
bool Logarithms::Search::accept(int lane, std::int64_t value) {
    if (value > bound || value < -bound) return false;
    const word scalar[CODE_WORDS] = {static_cast<word>(value < 0 ? -value : value), 0, 0, 0}, negative = value < 0 ? ~word{0} : 0;
    const BaseTerm term = {0, table.base_table_.data(), scalar, SMALL_WINDOWS, &negative};
    word point[POINT_WORDS], same = 0;
    add_base_terms(table.curve_, point, nullptr, &term, 1, 1, 1);
    equal_points(table.curve_, &same, point, points + static_cast<std::size_t>(lane) * POINT_WORDS, 1, 1);
    if (!same) return false;
    *values[static_cast<std::size_t>(lane)] = value;
    *found[static_cast<std::size_t>(lane)] = 1;
    --open;
    return true;
}

}  // namespace vfl

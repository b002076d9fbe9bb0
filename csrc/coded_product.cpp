#include "coded_product.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>

#include "buckets.h"
#include "parallel.h"

namespace vfl {
namespace {

constexpr std::size_t PREFETCH_STEPS = 2;  // rows ahead: one row's products take about as long as the last-level cache

// One block's bucket phase over one segment of the rows: entries [begin, end) of block.patterns.
struct Job {
    const CodedBlock* block;
    std::size_t segment, begin, end;

    Job(const CodedBlock& b, std::size_t segment_, std::size_t first_row, std::size_t last_row)
        : block(&b), segment(segment_), begin(first_row), end(last_row) {
        if (!b.rows) return;
        const std::uint32_t* last = b.rows + b.entries;
        begin = static_cast<std::size_t>(std::lower_bound(b.rows, last, first_row) - b.rows);
        end = static_cast<std::size_t>(std::lower_bound(b.rows, last, last_row) - b.rows);
    }
};

// All jobs in groups of at most `lanes`. A group stays within one segment, so that dense blocks share their multiplicand, unless
// that leaves more than an eighth of the lanes idle: then lanes take different segments, at a tenth more an insertion.
std::vector<std::vector<Job>> group_jobs(const std::vector<CodedBlock>& blocks, std::size_t n_rows, std::size_t segments, std::size_t lanes) {
    const std::size_t length = (n_rows + segments - 1) / segments;
    const bool mixed = (blocks.size() + lanes - 1) / lanes * lanes * 8 > blocks.size() * 9;
    std::vector<std::vector<Job>> groups;
    for (std::size_t segment = 0; segment < segments; ++segment) {
        for (std::size_t b = 0; b < blocks.size(); ++b) {
            const bool starts = b == 0 && (segment == 0 || !mixed);
            if (starts || groups.back().size() == lanes) groups.emplace_back();
            groups.back().emplace_back(blocks[b], segment, std::min(n_rows, segment * length), std::min(n_rows, (segment + 1) * length));
        }
    }
    return groups;
}

// Bucket phase of up to `lanes` jobs side by side.
void fill_buckets(const Modulus& m, std::vector<Buckets>& buckets, const std::vector<Job>& jobs, const CodedRows& vector) {
    const Kernel& k = *m.kernel;
    const std::size_t width = 3 * static_cast<std::size_t>(m.digits), lanes = static_cast<std::size_t>(k.lanes);
    std::size_t steps = 0;
    bool same_rows = true;
    for (const Job& job : jobs) {
        steps = std::max(steps, job.end - job.begin);
        same_rows &= job.block->rows == nullptr && job.segment == jobs[0].segment;
    }
    Workspace space(m, 3);
    for (std::size_t step = 0; step < steps; ++step) {
        Rows factors{}, current{};
        RowsOut target{};
        bool work = false;
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            factors[lane] = vector.factors;  // an idle lane computes something that nobody reads
            current[lane] = m.one.data();
            target[lane] = space.sink();
            if (lane >= jobs.size() || jobs[lane].begin + step >= jobs[lane].end) continue;
            const CodedBlock& block = *jobs[lane].block;
            const std::size_t entry = jobs[lane].begin + step, pattern = block.patterns[entry];
            if (static_cast<int>(pattern) == block.modal) continue;
            const std::size_t row = block.rows ? block.rows[entry] : entry;
            if (buckets[lane].enter(pattern, vector, row)) continue;
            factors[lane] = vector.factors + row * width;
            current[lane] = target[lane] = buckets[lane].tensor().pair(pattern);
            work = true;
        }
        for (std::size_t lane = 0; lane < jobs.size(); ++lane) {
            const std::size_t next = jobs[lane].begin + step + PREFETCH_STEPS;
            if (next < jobs[lane].end) buckets[lane].tensor().ask_for(jobs[lane].block->patterns[next]);
        }
        if (!work) continue;
        k.gather(space.block(0), current.data(), m.row());
        if (same_rows) {
            k.mul_factor_broadcast(m, space.block(1), space.block(0), vector.factors + (jobs[0].begin + step) * width);
        } else {
            k.gather(space.block(2), factors.data(), m.row());
            k.mul_factor(m, space.block(1), space.block(0), space.block(2));
        }
        k.scatter(target.data(), space.block(1), m.row());
    }
}

// dst *= src where src is in use; the first source of a target is copied.
void merge(Products& products, Tensor& dst, std::size_t i, const Tensor& src, std::size_t j) {
    if (!src.used(j)) return;
    if (dst.used(i)) {
        products.push(dst.pair(i), src.pair(j));
    } else {
        dst.set(i, src.pair(j));
    }
}

// A tensor seen as a matrix: entry (i, t) stands at i*step + t*stride. Its rows are summed over t.
struct Marginal {
    std::size_t size, step, terms, stride;
    std::size_t at(std::size_t i, std::size_t t) const { return i * step + t * stride; }
};

// Into how many parts to split the terms, so that few lanes stay idle: `size` sums alone may not fill whole vectors.
std::size_t parts_for(const Marginal& sums, std::size_t lanes) {
    const auto vectors = [&](std::size_t parts) {
        return (sums.size * parts + lanes - 1) / lanes * ((sums.terms + parts - 1) / parts) + (sums.size * (parts - 1) + lanes - 1) / lanes;
    };
    std::size_t best = 1;
    for (std::size_t parts = 2; parts <= lanes && parts <= sums.terms; parts *= 2) {
        if (vectors(parts) < vectors(best)) best = parts;
    }
    return best;
}

// dst[i] = product of the row i, each lane one sum or a part of one, whose running product stays in the lane. For full tensors:
// what is not in use is multiplied as the number 1.
void marginalize_lanes(const Modulus& m, Products& products, Tensor& dst, const Tensor& src, const Marginal& sums) {
    const std::size_t lanes = static_cast<std::size_t>(m.kernel->lanes), row = static_cast<std::size_t>(m.row());
    const std::size_t parts = parts_for(sums, lanes), length = (sums.terms + parts - 1) / parts;
    Scratch memory(sums.size * parts * row, false, false);
    Tensor partial(m, memory.get(), sums.size * parts);
    Workspace space(m, 2);
    for_lanes(m, 0, partial.size(), [&](std::size_t first, int active) {
        bool fresh = true;
        for (std::size_t t = 0; t < length; ++t) {
            Rows rows{};
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                const std::size_t own = first + lane, term = own / sums.size * length + t;
                rows[lane] = m.one.data();
                if (static_cast<int>(lane) >= active || term >= sums.terms || !src.used(sums.at(own % sums.size, term))) continue;
                rows[lane] = src.pair(sums.at(own % sums.size, term));
                partial.set_used(own);
            }
            m.kernel->gather(space.block(fresh ? 0 : 1), rows.data(), m.row());
            if (!fresh) m.kernel->mul(m, space.block(0), space.block(0), space.block(1));
            fresh = false;
        }
        space.store(0, partial.pair(0), row, first, active, m.row());
    });
    for (std::size_t part = 0; part < parts; ++part) {
        for (std::size_t i = 0; i < sums.size; ++i) merge(products, dst, i, partial, part * sums.size + i);
        products.flush();
    }
}

void marginalize(const Modulus& m, Products& products, Tensor& dst, const Tensor& src, const Marginal& sums) {
    if (src.is_mostly_used()) return marginalize_lanes(m, products, dst, src, sums);
    for (std::size_t t = 0; t < sums.terms; ++t) {
        for (std::size_t i = 0; i < sums.size; ++i) merge(products, dst, i, src, sums.at(i, t));
        products.flush();
    }
}

// Collapse phase: sums the bucket tensor over the features down to one row per feature and class, by halves.
void collapse(const Modulus& m, Products& products, const Tensor& tensor, const int* counts, std::size_t n_features, word* sums) {
    const std::size_t row = static_cast<std::size_t>(m.row());
    if (n_features == 1) {
        for (std::size_t v = 0; v < tensor.size(); ++v) {
            std::memcpy(sums + v * row, tensor.used(v) ? tensor.pair(v) : m.one.data(), sizeof(word) * row);
        }
        return;
    }
    const std::size_t half = n_features / 2, low_size = product_of(counts, half), high_size = tensor.size() / low_size;
    const std::size_t classes = static_cast<std::size_t>(std::accumulate(counts, counts + half, 0));
    Scratch memory((low_size + high_size) * row, false, false);
    Tensor low(m, memory.get(), low_size), high(m, memory.get() + low_size * row, high_size);
    marginalize(m, products, low, tensor, {low_size, 1, high_size, low_size});
    marginalize(m, products, high, tensor, {high_size, low_size, low_size, 1});
    collapse(m, products, low, counts, half, sums);
    collapse(m, products, high, counts + half, n_features - half, sums + classes * row);
}

// Adds the nanoseconds from its making to its end.
class Stopwatch {
  public:
    explicit Stopwatch(std::atomic<std::uint64_t>& sum) : sum_(sum), start_(std::chrono::steady_clock::now()) {}
    Stopwatch(const Stopwatch&) = delete;
    Stopwatch& operator=(const Stopwatch&) = delete;
    ~Stopwatch() {
        const auto spent = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start_);
        sum_ += static_cast<std::uint64_t>(spent.count());
    }

  private:
    std::atomic<std::uint64_t>& sum_;
    const std::chrono::steady_clock::time_point start_;
};

// A queued step of a column's combine program: dst *= src, or dst = src.
struct Step {
    word* dst;
    const word* src;
    bool copy;
};

// Appends the steps of out *= acc^gap, by squaring in `power`.
void raise(std::vector<Step>& program, word* out, const word* acc, word* power, std::uint64_t gap, bool& fresh) {
    const word* base = acc;
    for (bool first = true; gap; gap >>= 1, first = false) {
        if (!first) {
            if (base == acc) {
                program.push_back({power, acc, true});
                base = power;
            }
            program.push_back({power, power, false});
        }
        if (gap & 1) {
            program.push_back({out, base, fresh});
            fresh = false;
        }
    }
}

// The steps of out = product of S_v^|e_v| over the exponents of one sign: classes in falling order, each gap between
// neighbours one power of the running product (suffix sums for ordinal codes).
std::vector<Step> program_for(const Modulus& m, const CodedColumn& column, const word* sums, int sign, word* out, word* acc, word* power) {
    const std::size_t row = static_cast<std::size_t>(m.row());
    std::vector<std::pair<std::int64_t, std::size_t>> order;
    for (std::size_t v = 0; v < column.n_classes; ++v) {
        const std::int64_t exponent = column.exponents[v] * sign;
        const word* source = sums + (column.first_class + v) * row;
        if (exponent > 0 && std::memcmp(source, m.one.data(), sizeof(word) * row) != 0) order.emplace_back(exponent, v);
    }
    std::sort(order.begin(), order.end(), [](const auto& x, const auto& y) { return x.first > y.first; });
    std::vector<Step> program;
    bool fresh_out = true;
    for (std::size_t i = 0; i < order.size(); ++i) {
        program.push_back({acc, sums + (column.first_class + order[i].second) * row, i == 0});
        const std::int64_t next = i + 1 < order.size() ? order[i + 1].first : 0;
        raise(program, out, acc, power, static_cast<std::uint64_t>(order[i].first - next), fresh_out);
    }
    if (fresh_out) program.push_back({out, m.one.data(), true});
    return program;
}

// Runs the programs of several columns in step, so that their products share vectors.
void run(const Modulus& m, Products& products, const std::vector<std::vector<Step>>& programs) {
    std::size_t longest = 0;
    for (const auto& program : programs) longest = std::max(longest, program.size());
    for (std::size_t i = 0; i < longest; ++i) {
        for (const auto& program : programs) {
            if (i >= program.size()) continue;
            if (program[i].copy) {
                std::memcpy(program[i].dst, program[i].src, sizeof(word) * static_cast<std::size_t>(m.row()));
            } else {
                products.push(program[i].dst, program[i].src);
            }
        }
        products.flush();
    }
}

}  // namespace

std::size_t CodedBlock::n_patterns() const { return product_of(class_counts.data(), class_counts.size()); }

void class_sums(const Modulus& m, word* sums, std::size_t n_classes, const CodedRows& vector, const std::vector<CodedBlock>& blocks,
                std::size_t segments, int threads, PhaseTimes& times) {
    const std::size_t row = static_cast<std::size_t>(m.row()), lanes = static_cast<std::size_t>(m.kernel->lanes);
    const std::vector<std::vector<Job>> groups = group_jobs(blocks, vector.count, segments, lanes);
    Scratch partial((segments - 1) * n_classes * row);
    const std::size_t workers = std::min(static_cast<std::size_t>(std::max(threads, 1)), groups.size());
    std::vector<std::unique_ptr<Scratch>> rooms(workers);  // of each, for its buckets, kept between groups
    std::size_t most = 0;
    for (const std::vector<Job>& jobs : groups) {
        std::size_t patterns = 0;
        for (const Job& job : jobs) patterns += job.block->n_patterns();
        most = std::max(most, patterns);
    }
    parallel_for(threads, groups.size(), 1, [&](std::size_t group, std::size_t, std::size_t worker) {
        const std::vector<Job>& jobs = groups[group];
        std::unique_ptr<Scratch>& room = rooms[worker];
        std::vector<Buckets> buckets;
        buckets.reserve(jobs.size());
        {
            const Stopwatch watch(times.bucket);
            if (!room) room = std::make_unique<Scratch>(most * row, false, false);
            word* memory = room->get();
            for (const Job& job : jobs) {
                buckets.emplace_back(m, memory, *job.block);
                memory += job.block->n_patterns() * row;
            }
            fill_buckets(m, buckets, jobs, vector);
        }
        const Stopwatch watch(times.collapse);
        Products products(m);
        for (std::size_t j = 0; j < jobs.size(); ++j) {
            const CodedBlock& block = *jobs[j].block;
            word* target = (jobs[j].segment == 0 ? sums : partial.get() + (jobs[j].segment - 1) * n_classes * row) + block.first_class * row;
            collapse(m, products, buckets[j].tensor(), block.class_counts.data(), block.class_counts.size(), target);
            buckets[j].fold(target);
        }
    });
    parallel_for(threads, n_classes, 256, [&](std::size_t begin, std::size_t end) {
        const Stopwatch watch(times.collapse);
        Products products(m);
        for (std::size_t segment = 1; segment < segments; ++segment) {
            for (std::size_t i = begin; i < end; ++i) {
                products.push(sums + i * row, partial.get() + ((segment - 1) * n_classes + i) * row);
            }
            products.flush();
        }
    });
}

void combine_columns(const Modulus& m, word* positive, word* negative, const word* sums, const std::vector<CodedColumn>& columns,
                     int threads) {
    const std::size_t row = static_cast<std::size_t>(m.row());
    parallel_for(threads, columns.size(), 32, [&](std::size_t begin, std::size_t end) {
        Products products(m);
        Scratch registers((end - begin) * 2 * row);
        for (int sign : {1, -1}) {
            word* out = sign > 0 ? positive : negative;
            std::vector<std::vector<Step>> programs;
            for (std::size_t j = begin; j < end; ++j) {
                word* own = registers.get() + (j - begin) * 2 * row;
                programs.push_back(program_for(m, columns[j], sums, sign, out + j * row, own, own + row));
            }
            run(m, products, programs);
        }
    });
}

}  // namespace vfl

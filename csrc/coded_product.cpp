#include "coded_product.h"

#include <algorithm>
#include <chrono>

#include "lanes.h"
#include "parallel.h"

namespace vfl {
namespace {

constexpr unsigned MAX_ACCUMULATED = 4094;  // logarithms added between two carries (pair.h)

// The buckets of one block: a pair, a sum of logarithms and a number of insertions for every pattern.
class Buckets {
  public:
    Buckets(const Modulus& m, std::size_t n_patterns)
        : m_(m), counts_(n_patterns, 0), pairs_(n_patterns * static_cast<std::size_t>(m.row())),
          logs_(n_patterns * static_cast<std::size_t>(m.digits)) {}

    std::size_t size() const { return counts_.size(); }
    bool used(std::size_t i) const { return counts_[i] != 0; }
    word* pair(std::size_t i) { return pairs_.get() + i * static_cast<std::size_t>(m_.row()); }
    void mark_used(std::size_t i) { counts_[i] = 1; }

    // Adds the logarithm of `row`; returns true when this is the bucket's first row, whose residue is then already in place.
    bool enter(std::size_t i, const word* row) {
        word* log = logs_.get() + i * static_cast<std::size_t>(m_.digits);
        if (counts_[i] == 0) {
            const std::size_t bytes = sizeof(word) * static_cast<std::size_t>(m_.digits);
            counts_[i] = 1;
            std::memcpy(pair(i), row, bytes);
            std::memset(pair(i) + m_.digits, 0, bytes);
            std::memcpy(log, row + m_.digits, bytes);
            return true;
        }
        m_.kernel->accumulate_row(m_, log, row + m_.digits);
        if (++counts_[i] == MAX_ACCUMULATED) {
            m_.kernel->carry_row(m_, log);
            counts_[i] = 1;
        }
        return false;
    }

    // Asks for a bucket's cache lines ahead of `enter`: buckets of a large block live in the last-level cache.
    void prefetch(std::size_t i) const {
        constexpr int line = 64 / sizeof(word);
        const word* pair = pairs_.get() + i * static_cast<std::size_t>(m_.row());
        const word* log = logs_.get() + i * static_cast<std::size_t>(m_.digits);
        for (int w = 0; w < m_.row(); w += line) __builtin_prefetch(pair + w, 1);
        for (int w = 0; w < m_.digits; w += line) __builtin_prefetch(log + w, 1);
    }

    // (X0, X1 + X0*Lambda) in every used bucket.
    void fold() {
        const std::size_t lanes = static_cast<std::size_t>(m_.kernel->lanes);
        Workspace space(m_, 2);
        std::vector<std::size_t> pending;
        for (std::size_t i = 0; i <= size(); ++i) {
            if (i < size() && used(i)) pending.push_back(i);
            if (pending.size() == lanes || (i == size() && !pending.empty())) {
                fold_lanes(space, pending);
                pending.clear();
            }
        }
    }

  private:
    void fold_lanes(Workspace& space, const std::vector<std::size_t>& chosen) {
        Rows in{}, logs{};
        RowsOut out{};
        for (std::size_t lane = 0; lane < static_cast<std::size_t>(m_.kernel->lanes); ++lane) {
            const bool live = lane < chosen.size();
            const std::size_t i = chosen[live ? lane : 0];
            word* log = logs_.get() + i * static_cast<std::size_t>(m_.digits);
            if (live) m_.kernel->carry_row(m_, log);
            in[lane] = pair(i);
            logs[lane] = log;
            out[lane] = live ? pair(i) : space.sink();
        }
        const Kernel& k = *m_.kernel;
        k.gather(space.block(0), in.data(), m_.row());
        k.gather(space.block(1), logs.data(), m_.digits);
        k.redc_mul(m_, space.block(1), space.block(0), space.block(1));
        k.add(m_, space.second(0), space.second(0), space.block(1));
        k.scatter(out.data(), space.block(0), m_.row());
    }

    const Modulus& m_;
    std::vector<std::uint16_t> counts_;
    Scratch pairs_, logs_;
};

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
void fill_buckets(const Modulus& m, std::vector<Buckets>& buckets, const std::vector<Job>& jobs, const word* log_rows) {
    const Kernel& k = *m.kernel;
    const std::size_t row = static_cast<std::size_t>(m.row()), lanes = static_cast<std::size_t>(k.lanes);
    std::size_t steps = 0;
    bool same_rows = true;
    for (const Job& job : jobs) {
        steps = std::max(steps, job.end - job.begin);
        same_rows &= job.block->rows == nullptr && job.segment == jobs[0].segment;
    }
    Workspace space(m, 2);
    for (std::size_t step = 0; step < steps; ++step) {
        Rows residues{}, current{};
        RowsOut target{};
        bool work = false;
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            residues[lane] = current[lane] = m.one.data();  // an idle lane multiplies 1 by 1
            target[lane] = space.sink();
            if (lane >= jobs.size() || jobs[lane].begin + step >= jobs[lane].end) continue;
            const CodedBlock& block = *jobs[lane].block;
            const std::size_t entry = jobs[lane].begin + step, pattern = block.patterns[entry];
            if (static_cast<int>(pattern) == block.modal) continue;
            const word* source = log_rows + (block.rows ? block.rows[entry] : entry) * row;
            if (buckets[lane].enter(pattern, source)) continue;
            residues[lane] = source;
            current[lane] = target[lane] = buckets[lane].pair(pattern);
            work = true;
        }
        for (std::size_t lane = 0; lane < jobs.size(); ++lane) {
            const std::size_t next = jobs[lane].begin + step + 1;
            if (next < jobs[lane].end) buckets[lane].prefetch(jobs[lane].block->patterns[next]);
        }
        if (!work) continue;
        if (lanes == 1) {
            k.mul_residue(m, target[0], current[0], residues[0]);
            continue;
        }
        k.gather(space.block(0), current.data(), m.row());
        if (same_rows) {
            k.mul_residue_broadcast(m, space.block(0), space.block(0), log_rows + (jobs[0].begin + step) * row);
        } else {
            k.gather(space.block(1), residues.data(), m.digits);
            k.mul_residue(m, space.block(0), space.block(0), space.block(1));
        }
        k.scatter(target.data(), space.block(0), m.row());
    }
}

// dst *= src where src is in use; the first source of a target is copied.
void merge(const Modulus& m, Products& products, Buckets& dst, std::size_t i, Buckets& src, std::size_t j) {
    if (!src.used(j)) return;
    if (dst.used(i)) {
        products.push(dst.pair(i), src.pair(j));
    } else {
        std::memcpy(dst.pair(i), src.pair(j), sizeof(word) * static_cast<std::size_t>(m.row()));
        dst.mark_used(i);
    }
}

// Collapse phase: sums the bucket tensor over features [first, last) down to one row per feature and class, by halves.
void collapse(const Modulus& m, Products& products, Buckets& tensor, const int* counts, std::size_t n_features, word* sums) {
    const std::size_t row = static_cast<std::size_t>(m.row());
    if (n_features == 1) {
        for (std::size_t v = 0; v < tensor.size(); ++v) {
            std::memcpy(sums + v * row, tensor.used(v) ? tensor.pair(v) : m.one.data(), sizeof(word) * row);
        }
        return;
    }
    const std::size_t half = n_features / 2;
    std::size_t low_size = 1, classes = 0;
    for (std::size_t f = 0; f < half; ++f) {
        low_size *= static_cast<std::size_t>(counts[f]);
        classes += static_cast<std::size_t>(counts[f]);
    }
    const std::size_t high_size = tensor.size() / low_size;
    Buckets low(m, low_size), high(m, high_size);
    for (std::size_t h = 0; h < high_size; ++h) {
        for (std::size_t l = 0; l < low_size; ++l) merge(m, products, low, l, tensor, h * low_size + l);
        products.flush();
    }
    for (std::size_t l = 0; l < low_size; ++l) {
        for (std::size_t h = 0; h < high_size; ++h) merge(m, products, high, h, tensor, h * low_size + l);
        products.flush();
    }
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

std::size_t CodedBlock::n_patterns() const {
    std::size_t product = 1;
    for (int count : class_counts) product *= static_cast<std::size_t>(count);
    return product;
}

void class_sums(const Modulus& m, word* sums, std::size_t n_classes, const word* log_rows, std::size_t n_rows,
                const std::vector<CodedBlock>& blocks, std::size_t segments, int threads, PhaseTimes& times) {
    const std::size_t row = static_cast<std::size_t>(m.row()), lanes = static_cast<std::size_t>(m.kernel->lanes);
    const std::vector<std::vector<Job>> groups = group_jobs(blocks, n_rows, segments, lanes);
    Scratch partial((segments - 1) * n_classes * row);
    parallel_for(threads, groups.size(), 1, [&](std::size_t group, std::size_t) {
        const std::vector<Job>& jobs = groups[group];
        std::vector<Buckets> buckets;
        buckets.reserve(jobs.size());
        {
            const Stopwatch watch(times.bucket);
            for (const Job& job : jobs) buckets.emplace_back(m, job.block->n_patterns());
            fill_buckets(m, buckets, jobs, log_rows);
        }
        const Stopwatch watch(times.collapse);
        Products products(m);
        for (std::size_t j = 0; j < jobs.size(); ++j) {
            const CodedBlock& block = *jobs[j].block;
            word* target = jobs[j].segment == 0 ? sums : partial.get() + (jobs[j].segment - 1) * n_classes * row;
            buckets[j].fold();
            collapse(m, products, buckets[j], block.class_counts.data(), block.class_counts.size(), target + block.first_class * row);
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

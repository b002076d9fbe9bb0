// Bucket phase, and the class sums of all blocks.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>

#include "core/parallel.h"
#include "product/buckets.h"
#include "product/collapse.h"

namespace vfl {

constexpr std::size_t PREFETCH_STEPS = 2;  // rows ahead: one row's additions take about as long as the last-level cache

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
inline std::vector<std::vector<Job>> group_jobs(const std::vector<CodedBlock>& blocks, std::size_t n_rows, std::size_t segments, std::size_t lanes) {
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
template <class G>
void fill_buckets(const G& g, std::vector<Buckets<G>>& buckets, const std::vector<Job>& jobs, const CodedRows& vector) {
    const Lanes side = lanes_of(g);
    const std::size_t width = static_cast<std::size_t>(prepared_words(g)), lanes = static_cast<std::size_t>(side.count);
    std::size_t steps = 0;
    bool same_rows = true;
    for (const Job& job : jobs) {
        steps = std::max(steps, job.end - job.begin);
        same_rows &= job.block->rows == nullptr && job.segment == jobs[0].segment;
    }
    Workspace<G> space(g, 3);
    for (std::size_t step = 0; step < steps; ++step) {
        Rows operands{}, current{};
        RowsOut target{};
        bool work = false;
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            operands[lane] = vector.prepared;  // an idle lane computes something that nobody reads
            current[lane] = zero_of(g);
            target[lane] = space.sink();
            if (lane >= jobs.size() || jobs[lane].begin + step >= jobs[lane].end) continue;
            const CodedBlock& block = *jobs[lane].block;
            const std::size_t entry = jobs[lane].begin + step, pattern = block.patterns[entry];
            if (static_cast<int>(pattern) == block.modal) continue;
            const std::size_t row = block.rows ? block.rows[entry] : entry;
            if (buckets[lane].enter(pattern, vector, row)) continue;
            operands[lane] = vector.prepared + row * width;
            current[lane] = target[lane] = buckets[lane].tensor().at(pattern);
            work = true;
        }
        for (std::size_t lane = 0; lane < jobs.size(); ++lane) {
            const std::size_t next = jobs[lane].begin + step + PREFETCH_STEPS;
            if (next < jobs[lane].end) buckets[lane].tensor().ask_for(jobs[lane].block->patterns[next]);
        }
        if (!work) continue;
        side.gather(space.block(0), current.data(), row_words(g));
        if (same_rows) {
            add_prepared_broadcast(g, space.block(1), space.block(0), vector.prepared + (jobs[0].begin + step) * width);
        } else {
            side.gather(space.block(2), operands.data(), operand_words(g));
            add_prepared(g, space.block(1), space.block(0), space.block(2));
        }
        side.scatter(target.data(), space.block(1), row_words(g));
    }
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

template <class G>
void class_sums(const G& g, word* sums, std::size_t n_classes, const CodedRows& vector, const std::vector<CodedBlock>& blocks,
                std::size_t segments, int threads, PhaseTimes& times) {
    const std::size_t row = static_cast<std::size_t>(row_words(g)), lanes = static_cast<std::size_t>(lanes_of(g).count);
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
        std::vector<Buckets<G>> buckets;
        buckets.reserve(jobs.size());
        {
            const Stopwatch watch(times.bucket);
            if (!room) room = std::make_unique<Scratch>(most * row, false, false);
            word* memory = room->get();
            for (const Job& job : jobs) {
                buckets.emplace_back(g, memory, *job.block);
                memory += job.block->n_patterns() * row;
            }
            fill_buckets(g, buckets, jobs, vector);
        }
        const Stopwatch watch(times.collapse);
        Sums<G> queue(g);
        for (std::size_t j = 0; j < jobs.size(); ++j) {
            const CodedBlock& block = *jobs[j].block;
            word* target = (jobs[j].segment == 0 ? sums : partial.get() + (jobs[j].segment - 1) * n_classes * row) + block.first_class * row;
            collapse(g, queue, buckets[j].tensor(), block.class_counts.data(), block.class_counts.size(), target);
            buckets[j].fold(target);
        }
    });
    parallel_for(threads, n_classes, 256, [&](std::size_t begin, std::size_t end) {
        const Stopwatch watch(times.collapse);
        Sums<G> queue(g);
        for (std::size_t segment = 1; segment < segments; ++segment) {
            for (std::size_t i = begin; i < end; ++i) {
                queue.push(sums + i * row, partial.get() + ((segment - 1) * n_classes + i) * row);
            }
            queue.flush();
        }
    });
}

}  // namespace vfl

// parallel_for over std::thread: the only place that starts threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace vfl {

// Calls body(begin, end), or body(begin, end, worker) with worker below `threads` telling who runs it, on pieces of at most `grain`
// items that cover [0, count), from up to `threads` threads; the first exception stops the hand-out and is thrown here.
template <class Body>
void parallel_for(int threads, std::size_t count, std::size_t grain, Body body) {
    grain = std::max<std::size_t>(grain, 1);
    const std::size_t pieces = (count + grain - 1) / grain;
    std::atomic<std::size_t> next{0};
    std::exception_ptr failure;
    std::mutex guard;
    auto work = [&](std::size_t worker) {
        try {
            for (std::size_t piece; (piece = next.fetch_add(1)) < pieces;) {
                if constexpr (std::is_invocable_v<Body, std::size_t, std::size_t, std::size_t>) {
                    body(piece * grain, std::min(count, (piece + 1) * grain), worker);
                } else {
                    body(piece * grain, std::min(count, (piece + 1) * grain));
                }
            }
        } catch (...) {
            std::lock_guard<std::mutex> lock(guard);
            if (!failure) failure = std::current_exception();
            next = pieces;
        }
    };
    std::vector<std::thread> team;
    const std::size_t extra = std::min<std::size_t>(static_cast<std::size_t>(std::max(threads, 1)), pieces);
    try {
        for (std::size_t i = 1; i < extra; ++i) team.emplace_back(work, i);
    } catch (...) {  // no more threads to be had: fewer do the same work
    }
    work(0);
    for (std::thread& member : team) member.join();
    if (failure) std::rethrow_exception(failure);
}

// A piece size that gives every thread several pieces and keeps whole vectors of lanes together.
inline std::size_t grain_for(std::size_t count, int threads, int lanes) {
    const std::size_t pieces = static_cast<std::size_t>(std::max(threads, 1)) * 8;
    const std::size_t step = static_cast<std::size_t>(lanes);
    const std::size_t grain = std::min<std::size_t>((count + pieces - 1) / pieces, 1024);
    return std::max(step, (grain + step - 1) / step * step);
}

}  // namespace vfl

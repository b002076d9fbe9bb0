// Working memory: arrays of words that are aligned, wiped when they held a secret, on large pages when they are large.
#pragma once

#include <memory>
#include <new>

#include "core/limbs.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace vfl {

constexpr std::size_t CACHE_LINE = 64;  // bytes

enum class Access { read, write };

// Asks for words ahead of their use, into the second level of the caches: the first has no room beside a kernel's blocks.
template <Access access>
inline void prefetch(const word* first, std::size_t words) {
    for (std::size_t w = 0; w < words; w += CACHE_LINE / sizeof(word)) __builtin_prefetch(first + w, access == Access::write, 2);
}

// Zeroed unless `clear` is false; wiped on release when it held a secret.
class Scratch {
  public:
    explicit Scratch(std::size_t words, bool secret = false, bool clear = true)
        : bytes_(words * sizeof(word)), secret_(secret), data_(allocate(bytes_), Release{alignment(bytes_)}) {
        if (clear) std::memset(data_.get(), 0, bytes_);
    }
    ~Scratch() {
        if (secret_ && data_) wipe(data_.get(), bytes_);
    }
    Scratch(Scratch&&) = default;
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    word* get() { return data_.get(); }
    const word* get() const { return data_.get(); }

  private:
    static constexpr std::size_t LARGE_PAGE = std::size_t{1} << 21;

    struct Release {
        std::align_val_t alignment;
        void operator()(word* p) const { ::operator delete(p, alignment); }
    };

    static std::align_val_t alignment(std::size_t bytes) { return std::align_val_t{bytes >= 2 * LARGE_PAGE ? LARGE_PAGE : CACHE_LINE}; }

    // Buckets and tables of powers are read at random: on small pages every other access would miss the translation buffer.
    static word* allocate(std::size_t bytes) {
        void* memory = ::operator new(bytes ? bytes : 1, alignment(bytes));
#if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (bytes >= 2 * LARGE_PAGE) (void)::madvise(memory, bytes / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);  // advice: may be refused
#endif
        return static_cast<word*>(memory);
    }

    std::size_t bytes_;
    bool secret_;
    std::unique_ptr<word, Release> data_;
};

}  // namespace vfl

// operator new that fails once, at the k-th call for `least` bytes or more after vfl_fail_at(k, least); for LD_PRELOAD in front of the
// C++ library's. Counts those calls, and what is not freed.
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {
std::atomic<long> left{0}, calls{0}, live{0};
std::atomic<std::size_t> at_least{0};

void* allocate(std::size_t size, std::size_t alignment = 0) {
    if (size >= at_least) {
        ++calls;
        if (left.load() > 0 && --left == 0) return nullptr;
    }
    if (size == 0) size = 1;
    void* memory = alignment ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment) : std::malloc(size);
    if (memory) ++live;
    return memory;
}

void* or_throw(void* memory) {
    if (!memory) throw std::bad_alloc();
    return memory;
}

void release(void* memory) {
    if (memory) --live;
    std::free(memory);
}
}  // namespace

extern "C" {
void vfl_fail_at(long k, std::size_t least) {
    at_least = least;
    left = k;
}
long vfl_calls() { return calls; }
long vfl_live() { return live; }
}

void* operator new(std::size_t size) { return or_throw(allocate(size)); }
void* operator new[](std::size_t size) { return or_throw(allocate(size)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new(std::size_t size, std::align_val_t a) { return or_throw(allocate(size, static_cast<std::size_t>(a))); }
void* operator new[](std::size_t size, std::align_val_t a) { return or_throw(allocate(size, static_cast<std::size_t>(a))); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }

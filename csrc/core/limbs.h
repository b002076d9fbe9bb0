// Limbs, radix conversion, secure wipe: integers as arrays of 64-bit words, least significant first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace vfl {

using word = std::uint64_t;

constexpr int MAX_LANES = 8;  // numbers side by side in any kernel

__extension__ using wide = unsigned __int128;

// VFL_CHECK states a range that the derivation in README.md proves; a debug build (VFL_VERIFY) checks it.
#ifdef VFL_VERIFY
#define VFL_CHECK(condition) ((condition) ? (void)0 : std::abort())
#else
#define VFL_CHECK(condition) ((void)0)
#endif

// Overwrites memory that held a secret; the compiler may not remove it.
inline void wipe(void* memory, std::size_t bytes) {
    if (bytes) std::memset(memory, 0, bytes);  // an empty vector's pointer may be null
    __asm__ __volatile__("" : : "r"(memory) : "memory");
}

// digits[0..count) of `radix` bits each = the integer in limbs[0..size); size * 64 <= count * radix.
inline void to_digits(word* digits, int count, int radix, const word* limbs, int size) {
    const word mask = radix == 64 ? ~word{0} : (word{1} << radix) - 1;
    for (int i = 0; i < count; ++i) {
        const int bit = i * radix, limb = bit / 64, shift = bit % 64;
        word value = limb < size ? limbs[limb] >> shift : 0;
        if (shift && limb + 1 < size) value |= limbs[limb + 1] << (64 - shift);
        digits[i] = value & mask;
    }
}

// limbs[0..size) = the integer in digits[0..count), each digit < 2^radix, the integer < 2^(64 size).
inline void to_limbs(word* limbs, int size, const word* digits, int count, int radix) {
    std::memset(limbs, 0, sizeof(word) * static_cast<std::size_t>(size));
    for (int i = 0; i < count; ++i) {
        const int bit = i * radix, limb = bit / 64, shift = bit % 64;
        if (limb < size) limbs[limb] |= digits[i] << shift;
        if (shift && limb + 1 < size) limbs[limb + 1] |= digits[i] >> (64 - shift);
    }
}

// x - y over `size` limbs into r; returns the borrow. Constant time.
inline word subtract(word* r, const word* x, const word* y, int size) {
    word borrow = 0;
    for (int i = 0; i < size; ++i) {
        const wide difference = static_cast<wide>(x[i]) - y[i] - borrow;
        r[i] = static_cast<word>(difference);
        borrow = static_cast<word>(difference >> 64) & 1;
    }
    return borrow;
}

// x = mask ? y : x over `size` limbs; mask is 0 or ~0. Constant time.
inline void select(word* x, const word* y, word mask, int size) {
    for (int i = 0; i < size; ++i) x[i] ^= mask & (x[i] ^ y[i]);
}

// ~0 where a = b, else 0. Constant time.
inline word mask_if_equal(word a, word b) {
    const word difference = a ^ b;
    return ((difference | (0 - difference)) >> 63) - 1;
}

// x += y for a single word y. Constant time.
inline void increment(word* x, word y, int size) {
    for (int i = 0; i < size; ++i) {
        x[i] += y;
        y = static_cast<word>(x[i] < y);
    }
}

// r[0..2 size) = a * b + c, all of `size` limbs; r overlaps nothing. Constant time.
inline void multiply_add(word* r, const word* a, const word* b, const word* c, int size) {
    std::memcpy(r, c, sizeof(word) * static_cast<std::size_t>(size));
    std::memset(r + size, 0, sizeof(word) * static_cast<std::size_t>(size));
    for (int i = 0; i < size; ++i) {
        word carry = 0;
        for (int j = 0; j < size; ++j) {
            const wide sum = static_cast<wide>(a[j]) * b[i] + r[i + j] + carry;
            r[i + j] = static_cast<word>(sum);
            carry = static_cast<word>(sum >> 64);
        }
        r[i + size] = carry;
    }
}

// Bits [first, first + width) of an integer of `size` limbs, width <= 32; bits beyond its end are 0.
inline unsigned bits_at(const word* limbs, int size, int first, int width) {
    const int limb = first / 64, shift = first % 64;
    word value = limb < size ? limbs[limb] >> shift : 0;
    if (shift && limb + 1 < size) value |= limbs[limb + 1] << (64 - shift);
    return static_cast<unsigned>(value & ((word{1} << width) - 1));
}

}  // namespace vfl

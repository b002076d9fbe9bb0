// The AVX-512 functions that the curve's vector kernel uses, in plain C++: its logic runs on every processor, its speed does not.
#pragma once

#include <cstdint>
#include <cstring>

struct __m512i {
    std::uint64_t lane[8];
};
using __mmask8 = unsigned char;

template <class Operation>
inline __m512i each_lane(Operation operation) {
    __m512i r;
    for (int i = 0; i < 8; ++i) r.lane[i] = operation(i);
    return r;
}

template <class Condition>
inline __mmask8 lanes_where(Condition condition) {
    unsigned mask = 0;
    for (int i = 0; i < 8; ++i) mask |= static_cast<unsigned>(condition(i)) << i;
    return static_cast<__mmask8>(mask);
}

inline __m512i _mm512_loadu_si512(const void* memory) {
    __m512i r;
    std::memcpy(&r, memory, sizeof r);
    return r;
}
inline void _mm512_storeu_si512(void* memory, __m512i x) { std::memcpy(memory, &x, sizeof x); }
inline __m512i _mm512_set1_epi64(long long x) { return each_lane([&](int) { return static_cast<std::uint64_t>(x); }); }
inline __m512i _mm512_setzero_si512() { return _mm512_set1_epi64(0); }
inline __m512i _mm512_maskz_set1_epi64(__mmask8 k, long long x) { return each_lane([&](int i) { return k >> i & 1 ? static_cast<std::uint64_t>(x) : 0; }); }
inline __m512i _mm512_add_epi64(__m512i a, __m512i b) { return each_lane([&](int i) { return a.lane[i] + b.lane[i]; }); }
inline __m512i _mm512_sub_epi64(__m512i a, __m512i b) { return each_lane([&](int i) { return a.lane[i] - b.lane[i]; }); }
inline __m512i _mm512_and_si512(__m512i a, __m512i b) { return each_lane([&](int i) { return a.lane[i] & b.lane[i]; }); }
inline __m512i _mm512_or_si512(__m512i a, __m512i b) { return each_lane([&](int i) { return a.lane[i] | b.lane[i]; }); }
inline __m512i _mm512_xor_si512(__m512i a, __m512i b) { return each_lane([&](int i) { return a.lane[i] ^ b.lane[i]; }); }
inline __m512i _mm512_srli_epi64(__m512i a, unsigned n) { return each_lane([&](int i) { return n < 64 ? a.lane[i] >> n : 0; }); }
inline __m512i _mm512_slli_epi64(__m512i a, unsigned n) { return each_lane([&](int i) { return n < 64 ? a.lane[i] << n : 0; }); }
inline __m512i _mm512_mask_blend_epi64(__mmask8 k, __m512i a, __m512i b) { return each_lane([&](int i) { return k >> i & 1 ? b.lane[i] : a.lane[i]; }); }
inline __mmask8 _mm512_cmpeq_epi64_mask(__m512i a, __m512i b) { return lanes_where([&](int i) { return a.lane[i] == b.lane[i]; }); }
inline __mmask8 _mm512_test_epi64_mask(__m512i a, __m512i b) { return lanes_where([&](int i) { return (a.lane[i] & b.lane[i]) != 0; }); }

__extension__ using product_of_digits = unsigned __int128;

inline product_of_digits digits_product(std::uint64_t a, std::uint64_t b) {  // of the low 52 bits: what is above is not seen
    constexpr std::uint64_t LOW = (std::uint64_t{1} << 52) - 1;
    return static_cast<product_of_digits>(a & LOW) * (b & LOW);
}
inline __m512i _mm512_madd52lo_epu64(__m512i sum, __m512i a, __m512i b) {
    return each_lane([&](int i) { return sum.lane[i] + (static_cast<std::uint64_t>(digits_product(a.lane[i], b.lane[i])) & ((std::uint64_t{1} << 52) - 1)); });
}
inline __m512i _mm512_madd52hi_epu64(__m512i sum, __m512i a, __m512i b) {
    return each_lane([&](int i) { return sum.lane[i] + static_cast<std::uint64_t>(digits_product(a.lane[i], b.lane[i]) >> 52); });
}

/* AVX-512F without IFMA: eight points at a time. */
#include <immintrin.h>
#include <stdint.h>

#define LANES 8
typedef uint64_t vector __attribute__((vector_size(64)));
static inline __attribute__((always_inline)) vector mul32(vector a, vector b) {
  return (vector)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}

#include "lanes10.h"

const vivarium_kernel vivarium_avx512 = {"avx512f", multiply, map, expand};

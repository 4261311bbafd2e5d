/* AVX2: four points at a time. */
#include <immintrin.h>
#include <stdint.h>

#define LANES 4
typedef uint64_t vector __attribute__((vector_size(32)));
static inline __attribute__((always_inline)) vector mul32(vector a, vector b) {
  return (vector)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}

#include "lanes10.h"

const vivarium_kernel vivarium_avx2 = {"avx2", multiply, map, expand};

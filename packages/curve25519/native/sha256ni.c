/* SHA-256 by the SHA extensions of x86-64; compiled with -msha -msse4.1, called only where both are. */
#include "sha256.h"

#include <immintrin.h>

void vivarium_sha256_ni(uint32_t state[8], const uint8_t *blocks, size_t count) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  /* The instructions want ABEF and CDGH. */
  __m128i t = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
  __m128i cdgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
  __m128i abef = _mm_alignr_epi8(t, cdgh, 8);
  cdgh = _mm_blend_epi16(cdgh, t, 0xf0);
  for (; count > 0; count--, blocks += 64) {
    const __m128i abef0 = abef, cdgh0 = cdgh;
    __m128i m[4];
    for (int i = 0; i < 4; i++) {
      m[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(blocks + 16 * i)), swap);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      const __m128i k = _mm_loadu_si128((const __m128i *)(vivarium_sha256_k + 4 * i));
      const __m128i w = _mm_add_epi32(m[i & 3], k);
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, w);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(w, 0x0e));
      if (i < 12) {
        /* w[t] = s1(w[t-2]) + w[t-7] + s0(w[t-15]) + w[t-16], four at a time. */
        const __m128i s0 = _mm_sha256msg1_epu32(m[i & 3], m[(i + 1) & 3]);
        const __m128i w7 = _mm_alignr_epi8(m[(i + 3) & 3], m[(i + 2) & 3], 4);
        m[i & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(s0, w7), m[(i + 3) & 3]);
      }
    }
    abef = _mm_add_epi32(abef, abef0);
    cdgh = _mm_add_epi32(cdgh, cdgh0);
  }
  t = _mm_shuffle_epi32(abef, 0x1b);
  cdgh = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(t, cdgh, 0xf0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(cdgh, t, 8));
}

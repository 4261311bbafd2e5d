/*
 * Several points at a time by 32-bit products: radix 2^25.5, ten limbs in 64-bit lanes. Included by avx2.c
 * (four lanes) and avx512.c (eight), which define LANES, vector and mul32 (the product of the low halves).
 *
 * Bounds. Limbs are of 26 and 25 bits by turns. A carried limb is below 2^26 + 2^14 (2^25 + 2^14 for the odd
 * ones). Sums are not carried, below 2^27.1; differences are biased by 2 p, below 2^27.6; nineteen times that is
 * below 2^32, and ten products of such limbs below 2^63. No sum or difference is taken of another one.
 */
#include "kernel.h"

#include <string.h>

typedef vector v;
typedef struct { v l[10]; } fe;

#define INLINE static inline __attribute__((always_inline))
#define GROUPS 64
#define M26 ((1u << 26) - 1)
#define M25 ((1u << 25) - 1)

INLINE v set1(uint64_t x) { return (v){0} + x; }

INLINE fe carry(fe a) {
  /* Two chains, from limb 0 and limb 4, and back to the beginning. */
#define STEP(i, j, bits, mask) \
  a.l[j] += a.l[i] >> bits;    \
  a.l[i] &= set1(mask);
  STEP(0, 1, 26, M26) STEP(4, 5, 26, M26)
  STEP(1, 2, 25, M25) STEP(5, 6, 25, M25)
  STEP(2, 3, 26, M26) STEP(6, 7, 26, M26)
  STEP(3, 4, 25, M25) STEP(7, 8, 25, M25)
  STEP(4, 5, 26, M26) STEP(8, 9, 26, M26)
  v top = a.l[9] >> 25;
  a.l[9] &= set1(M25);
  /* 19 top: it may have more than 32 bits. */
  a.l[0] += top + (top << 1) + (top << 4);
  STEP(0, 1, 26, M26)
#undef STEP
  return a;
}

INLINE fe plus(fe a, fe b) {
  fe r;
  for (int i = 0; i < 10; i++) r.l[i] = a.l[i] + b.l[i];
  return r;
}

/* a - b + 2 p. */
INLINE fe minus(fe a, fe b) {
  fe r;
  for (int i = 0; i < 10; i++) {
    r.l[i] = a.l[i] + set1(2 * (uint64_t)(i == 0 ? M26 - 18 : i % 2 == 0 ? M26 : M25)) - b.l[i];
  }
  return r;
}

/* The carried product. Two odd limbs meet with a factor of two, columns from 10 on with one of 19. */
INLINE fe mul_here(fe f, fe g) {
  v g19[10], f2[10], h[10];
  for (int i = 1; i < 10; i++) g19[i] = mul32(g.l[i], set1(19));
  for (int i = 1; i < 10; i += 2) f2[i] = f.l[i] + f.l[i];
#define P(i, j)                                                      \
  mul32((i) % 2 == 1 && (j) % 2 == 1 ? f2[i] : f.l[i], (i) + (j) >= 10 ? g19[j] : g.l[j])
#define COLUMN(k)                                                                            \
  h[k] = P(0, k) + P(1, (k + 9) % 10) + P(2, (k + 8) % 10) + P(3, (k + 7) % 10) +            \
         P(4, (k + 6) % 10) + P(5, (k + 5) % 10) + P(6, (k + 4) % 10) + P(7, (k + 3) % 10) + \
         P(8, (k + 2) % 10) + P(9, (k + 1) % 10);
  COLUMN(0) COLUMN(1) COLUMN(2) COLUMN(3) COLUMN(4)
  COLUMN(5) COLUMN(6) COLUMN(7) COLUMN(8) COLUMN(9)
#undef COLUMN
#undef P
  fe r;
  for (int i = 0; i < 10; i++) r.l[i] = h[i];
  return carry(r);
}

/* The carried square: products of two different limbs once, doubled. */
INLINE fe sqr_here(fe f) {
  v d[10], f19[10], f38[10];
  for (int i = 0; i < 10; i++) d[i] = f.l[i] + f.l[i];
  for (int i = 5; i < 10; i++) f19[i] = mul32(f.l[i], set1(19));
  for (int i = 5; i < 10; i += 2) f38[i] = f19[i] + f19[i];
#define F(i) f.l[i]
  fe r;
  /* Where an odd limb meets an odd one there is another factor of two. Odd limbs are below 2^26.6, so that
   * four or 38 times one is below 2^32. */
  v d2_1 = d[1] + d[1], d2_3 = d[3] + d[3], d2_5 = d[5] + d[5], d2_7 = d[7] + d[7];
  r.l[0] = mul32(F(0), F(0)) + mul32(d2_1, f19[9]) + mul32(d[2], f19[8]) + mul32(d2_3, f19[7]) +
           mul32(d[4], f19[6]) + mul32(d[5], f19[5]);
  r.l[1] = mul32(d[0], F(1)) + mul32(d[2], f19[9]) + mul32(d[3], f19[8]) + mul32(d[4], f19[7]) +
           mul32(d[5], f19[6]);
  r.l[2] = mul32(d[0], F(2)) + mul32(d[1], F(1)) + mul32(d2_3, f19[9]) + mul32(d[4], f19[8]) +
           mul32(d2_5, f19[7]) + mul32(F(6), f19[6]);
  r.l[3] = mul32(d[0], F(3)) + mul32(d[1], F(2)) + mul32(d[4], f19[9]) + mul32(d[5], f19[8]) +
           mul32(d[6], f19[7]);
  r.l[4] = mul32(d[0], F(4)) + mul32(d2_1, F(3)) + mul32(F(2), F(2)) + mul32(d2_5, f19[9]) +
           mul32(d[6], f19[8]) + mul32(d[7], f19[7]);
  r.l[5] = mul32(d[0], F(5)) + mul32(d[1], F(4)) + mul32(d[2], F(3)) + mul32(d[6], f19[9]) +
           mul32(d[7], f19[8]);
  r.l[6] = mul32(d[0], F(6)) + mul32(d2_1, F(5)) + mul32(d[2], F(4)) + mul32(d[3], F(3)) +
           mul32(d2_7, f19[9]) + mul32(F(8), f19[8]);
  r.l[7] = mul32(d[0], F(7)) + mul32(d[1], F(6)) + mul32(d[2], F(5)) + mul32(d[3], F(4)) +
           mul32(d[8], f19[9]);
  r.l[8] = mul32(d[0], F(8)) + mul32(d2_1, F(7)) + mul32(d[2], F(6)) + mul32(d2_3, F(5)) +
           mul32(F(4), F(4)) + mul32(F(9), f38[9]);
  r.l[9] = mul32(d[0], F(9)) + mul32(d[1], F(8)) + mul32(d[2], F(7)) + mul32(d[3], F(6)) +
           mul32(d[4], F(5));
#undef F
  return carry(r);
}

/* The ladder has them inline, which makes it half as fast again; elsewhere they are called. */
static __attribute__((noinline)) fe mul(fe f, fe g) { return mul_here(f, g); }
static __attribute__((noinline)) fe sqr(fe f) { return sqr_here(f); }

/* c + k a, carried, for k below 2^20. */
INLINE fe small(fe c, fe a, uint64_t k) {
  fe r;
  for (int i = 0; i < 10; i++) r.l[i] = c.l[i] + mul32(a.l[i], set1(k));
  return carry(r);
}

/* b where the mask is all ones. */
INLINE fe select_fe(v mask, fe a, fe b) {
  fe r;
  for (int i = 0; i < 10; i++) r.l[i] = a.l[i] ^ ((a.l[i] ^ b.l[i]) & mask);
  return r;
}

static fe constant(uint64_t x) {
  fe r;
  for (int i = 0; i < 10; i++) r.l[i] = set1(i == 0 ? x : 0);
  return r;
}

static fe sqr_times(fe a, int n) {
  for (int i = 0; i < n; i++) a = sqr(a);
  return a;
}

/* a^(2^250 - 1), and a^11: the common part of inversion and of the Legendre symbol. */
static fe pow250(fe a, fe *a11) {
  fe t0 = sqr(a);
  fe t1 = mul(a, sqr_times(t0, 2));
  *a11 = mul(t0, t1);
  fe t2 = mul(t1, sqr(*a11));
  fe t3 = mul(sqr_times(t2, 5), t2);
  fe t4 = mul(sqr_times(t3, 10), t3);
  fe t5 = mul(sqr_times(t4, 20), t4);
  fe t6 = mul(sqr_times(t5, 10), t3);
  fe t7 = mul(sqr_times(t6, 50), t6);
  fe t8 = mul(sqr_times(t7, 100), t7);
  return mul(sqr_times(t8, 50), t6);
}

/* a^(2^255 - 21). */
static fe invert(fe a) {
  fe a11, t = pow250(a, &a11);
  return mul(sqr_times(t, 5), a11);
}

/* a^(2^254 - 10): 1, 0 or p - 1. */
static fe legendre(fe a) {
  fe a11, t = pow250(a, &a11);
  fe a2 = sqr(a);
  return mul(sqr_times(t, 4), mul(sqr(a2), a2));
}

/* The one representative below p. */
static fe freeze(fe a) {
  a = carry(carry(a));
  v q = (a.l[0] + 19) >> 26;
  for (int i = 1; i < 10; i++) q = (a.l[i] + q) >> (i % 2 == 0 ? 26 : 25);
  a.l[0] += 19 * q;
  for (int i = 0; i < 9; i++) {
    a.l[i + 1] += a.l[i] >> (i % 2 == 0 ? 26 : 25);
    a.l[i] &= set1(i % 2 == 0 ? M26 : M25);
  }
  a.l[9] &= set1(M25);
  return a;
}

/* All ones in lanes that are zero. */
static v is_zero(fe a) {
  a = freeze(a);
  v any = a.l[0];
  for (int i = 1; i < 10; i++) any |= a.l[i];
  return (v)(any == set1(0));
}

static const uint8_t offset_of[10] = {0, 26, 51, 77, 102, 128, 153, 179, 204, 230};

/* Bits from `offset` on of little-endian words, of which there are `words`. */
static uint64_t bits_at(const uint64_t *w, int words, int offset, int count) {
  int i = offset / 64, s = offset % 64;
  uint64_t x = i < words ? w[i] >> s : 0;
  if (s + count > 64 && i + 1 < words) x |= w[i + 1] << (64 - s);
  return x & (((uint64_t)1 << count) - 1);
}

/* Lanes that are not there repeat the last point. RFC 7748: bit 255 is ignored. */
static fe load(const uint8_t *points, size_t n) {
  uint64_t lanes[10][LANES] __attribute__((aligned(64)));
  for (size_t i = 0; i < LANES; i++) {
    uint64_t w[4];
    memcpy(w, points + 32 * (i < n ? i : n - 1), 32);
    for (int k = 0; k < 10; k++) lanes[k][i] = bits_at(w, 4, offset_of[k], k % 2 == 0 ? 26 : 25);
  }
  fe r;
  memcpy(&r, lanes, sizeof r);
  return r;
}

static void store(uint8_t *out, fe a, size_t n) {
  uint64_t lanes[10][LANES] __attribute__((aligned(64)));
  a = freeze(a);
  memcpy(lanes, &a, sizeof lanes);
  for (size_t i = 0; i < LANES && i < n; i++) {
    uint64_t w[4] = {0};
    for (int k = 0; k < 10; k++) {
      int at = offset_of[k] / 64, s = offset_of[k] % 64;
      w[at] |= lanes[k][i] << s;
      if (s > 38 && at < 3) w[at + 1] |= lanes[k][i] >> (64 - s);
    }
    memcpy(out + 32 * i, w, 32);
  }
}

/* X and Z of [2]P out of X+Z and X-Z. */
INLINE void twice(fe a, fe b, fe *x, fe *z) {
  fe aa = sqr_here(a), bb = sqr_here(b);
  fe e = minus(aa, bb);
  *x = mul_here(aa, bb);
  *z = mul_here(e, small(aa, e, 121665));
}

/* As in ifma.c: X+Z and X-Z of both points, and a selection of the doubling's input. */
static __attribute__((noinline)) void ladder(const uint8_t scalar[32], fe x1, fe *x, fe *z) {
  const fe one = constant(1);
  fe a3 = plus(x1, one), b3 = minus(x1, one);
  fe x4, z4;
  twice(a3, b3, &x4, &z4);
  fe a2 = plus(x4, z4), b2 = minus(x4, z4);
  uint64_t before = 1;
  for (int i = 253; i >= 3; i--) {
    uint64_t bit = (scalar[i >> 3] >> (i & 7)) & 1;
    v mask = set1(-(bit ^ before));
    before = bit;
    fe da = mul_here(b3, a2), cb = mul_here(a3, b2);
    fe a = select_fe(mask, a2, a3), b = select_fe(mask, b2, b3);
    fe x5 = sqr_here(plus(da, cb)), z5 = mul_here(sqr_here(minus(da, cb)), x1);
    twice(a, b, &x4, &z4);
    a2 = plus(x4, z4);
    b2 = minus(x4, z4);
    a3 = plus(x5, z5);
    b3 = minus(x5, z5);
  }
  v mask = set1(-before);
  fe a = select_fe(mask, a2, a3), b = select_fe(mask, b2, b3);
  for (int i = 0; i < 3; i++) {
    twice(a, b, &x4, &z4);
    a = plus(x4, z4);
    b = minus(x4, z4);
  }
  *x = x4;
  *z = z4;
}

/* out = num / den for every group; a denominator of zero gives zero and spoils no other lane. */
static void divide(const fe *num, const fe *den, fe *out, size_t groups) {
  fe prefix[GROUPS], fixed[GROUPS];
  v zero[GROUPS];
  const fe one = constant(1), none = constant(0);
  for (size_t g = 0; g < groups; g++) {
    zero[g] = is_zero(den[g]);
    fixed[g] = select_fe(zero[g], den[g], one);
    prefix[g] = g == 0 ? fixed[0] : mul(prefix[g - 1], fixed[g]);
  }
  fe inverse = invert(prefix[groups - 1]);
  for (size_t g = groups; g-- > 0;) {
    fe own = g == 0 ? inverse : mul(inverse, prefix[g - 1]);
    inverse = mul(inverse, fixed[g]);
    out[g] = select_fe(zero[g], mul(own, num[g]), none);
  }
}

static void multiply(const uint8_t scalar[32], const uint8_t *points, uint8_t *out, size_t n) {
  fe x[GROUPS], z[GROUPS];
  uint8_t k[32];
  memcpy(k, scalar, 32);
  for (size_t at = 0; at < n;) {
    size_t groups = 0, first = at;
    for (; groups < GROUPS && at < n; groups++, at += LANES) {
      ladder(k, load(points + 32 * at, n - at), &x[groups], &z[groups]);
    }
    divide(x, z, x, groups);
    for (size_t g = 0; g < groups; g++) {
      size_t i = first + g * LANES;
      store(out + 32 * i, x[g], n - i);
    }
  }
  /* Not optimised away: the compiler cannot know that nobody reads it. */
  memset(k, 0, sizeof k);
  __asm__ volatile("" : : "r"(k) : "memory");
}

/* 48 bytes big-endian mod p: 2^255 = 19. */
static void reduce_lane(uint64_t out[10][LANES], size_t lane, const uint8_t bytes[48]) {
  uint64_t w[6];
  for (int i = 0; i < 6; i++) {
    uint64_t x;
    memcpy(&x, bytes + 40 - 8 * i, 8);
    w[i] = __builtin_bswap64(x);
  }
  for (int k = 0; k < 10; k++) {
    int count = k % 2 == 0 ? 26 : 25;
    out[k][lane] = bits_at(w, 6, offset_of[k], count) + 19 * bits_at(w, 6, 255 + offset_of[k], count);
  }
}

/* Elligator 2, as in ifma.c. */
static void map(const uint8_t *elements, uint8_t *out, size_t n) {
  fe num[GROUPS], den[GROUPS];
  const uint64_t A = 486662;
  for (size_t at = 0; at < n;) {
    size_t groups = 0, first = at;
    for (; groups < GROUPS && at < n; groups++, at += LANES) {
      uint64_t lanes[10][LANES] __attribute__((aligned(64)));
      for (size_t i = 0; i < LANES; i++) {
        reduce_lane(lanes, i, elements + 48 * (at + i < n ? at + i : n - 1));
      }
      fe r;
      memcpy(&r, lanes, sizeof r);
      const fe none = constant(0);
      fe rr = sqr(carry(r));
      fe rr2 = carry(plus(rr, rr));
      fe d = carry(plus(rr2, constant(1)));
      /* -A d (d^2 - 2 A^2 r^2) */
      fe a2rr2 = small(none, small(none, rr2, A), A);
      fe inner = minus(sqr(d), a2rr2);
      fe minus_ad = carry(minus(none, small(none, d, A)));
      fe chi = freeze(legendre(mul(minus_ad, inner)));
      /* p - 1 is the only one of 0, 1, p - 1 with a second limb. */
      v no = (v)(chi.l[1] != set1(0));
      fe minus_a = carry(minus(none, constant(A)));
      num[groups] = select_fe(no, minus_a, mul(minus_a, rr2));
      den[groups] = d;
    }
    divide(num, den, num, groups);
    for (size_t g = 0; g < groups; g++) {
      size_t i = first + g * LANES;
      store(out + 32 * i, num[g], n - i);
    }
  }
}

static void expand(const uint8_t *items, const uint32_t *offsets, size_t n, const uint8_t *dst,
                   size_t dst_length, uint8_t *out) {
  for (size_t i = 0; i < n; i++) {
    vivarium_expand_one(items + offsets[i], offsets[i + 1] - offsets[i], dst, dst_length, out + 48 * i);
  }
}

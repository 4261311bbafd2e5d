/*
 * AVX-512 IFMA: eight points at a time, radix 2^51, five limbs.
 *
 * Bounds. A carried limb is below 2^51 + 2^15, so that vpmadd52, which reads 52 bits, loses nothing. A
 * product's columns stay uncarried below 2^59; sums of two of them, and differences biased by 256 p, are
 * below 2^61, and one parallel pass of carries brings them back.
 */
#include "kernel.h"

#include <immintrin.h>
#include <string.h>

typedef __m512i v;
typedef struct { v l[5]; } fe;

#define INLINE static inline __attribute__((always_inline))
#define LANES 8
#define GROUPS 64
static const uint64_t mask51 = ((uint64_t)1 << 51) - 1;

INLINE v set1(uint64_t x) { return _mm512_set1_epi64((long long)x); }
INLINE v add(v a, v b) { return _mm512_add_epi64(a, b); }
INLINE v sub(v a, v b) { return _mm512_sub_epi64(a, b); }
INLINE v lo(v c, v a, v b) { return _mm512_madd52lo_epu64(c, a, b); }
INLINE v hi(v c, v a, v b) { return _mm512_madd52hi_epu64(c, a, b); }
/* gcc would turn the multiplication into shifts and sums, which cost more. */
INLINE v times19(v x) {
  v r;
  __asm__("vpmullq %2, %1, %0" : "=v"(r) : "v"(x), "v"(set1(19)));
  return r;
}

/* One pass: limbs below 2^61 to limbs below 2^51 + 2^15. */
INLINE fe carry(fe a) {
  const v m = set1(mask51);
  v t0 = _mm512_srli_epi64(a.l[0], 51), t1 = _mm512_srli_epi64(a.l[1], 51);
  v t2 = _mm512_srli_epi64(a.l[2], 51), t3 = _mm512_srli_epi64(a.l[3], 51);
  v t4 = _mm512_srli_epi64(a.l[4], 51);
  fe r;
  r.l[0] = lo(_mm512_and_si512(a.l[0], m), t4, set1(19));
  r.l[1] = add(_mm512_and_si512(a.l[1], m), t0);
  r.l[2] = add(_mm512_and_si512(a.l[2], m), t1);
  r.l[3] = add(_mm512_and_si512(a.l[3], m), t2);
  r.l[4] = add(_mm512_and_si512(a.l[4], m), t3);
  return r;
}

INLINE fe plus(fe a, fe b) {
  fe r;
  for (int i = 0; i < 5; i++) r.l[i] = add(a.l[i], b.l[i]);
  return r;
}

/* a - b + 256 p: positive for columns of b below 2^59. */
INLINE fe minus(fe a, fe b) {
  const v first = set1(256 * (mask51 - 18)), rest = set1(256 * mask51);
  fe r;
  r.l[0] = sub(add(a.l[0], first), b.l[0]);
  for (int i = 1; i < 5; i++) r.l[i] = sub(add(a.l[i], rest), b.l[i]);
  return r;
}

/*
 * Both carried; the result is not. A high half has the weight 2^52, two columns' worth, so the high halves of
 * a column are summed, doubled, and the low halves added on top; columns 5 to 9 have the weight 2^255 = 19.
 */
INLINE fe mul(fe a, fe b) {
  const v z = _mm512_setzero_si512();
#define A(i) a.l[i]
#define B(i) b.l[i]
  v h5 = hi(z, A(0), B(4)), h6 = hi(z, A(1), B(4)), h7 = hi(z, A(2), B(4)), h8 = hi(z, A(3), B(4)), h9 = hi(z, A(4), B(4));
  v h4 = hi(z, A(0), B(3)), h3 = hi(z, A(0), B(2)), h2 = hi(z, A(0), B(1)), h1 = hi(z, A(0), B(0));
  h5 = hi(h5, A(1), B(3)); h6 = hi(h6, A(2), B(3)); h7 = hi(h7, A(3), B(3)); h8 = hi(h8, A(4), B(3));
  h4 = hi(h4, A(1), B(2)); h3 = hi(h3, A(1), B(1)); h2 = hi(h2, A(1), B(0));
  h5 = hi(h5, A(2), B(2)); h6 = hi(h6, A(3), B(2)); h7 = hi(h7, A(4), B(2));
  h4 = hi(h4, A(2), B(1)); h3 = hi(h3, A(2), B(0));
  h5 = hi(h5, A(3), B(1)); h6 = hi(h6, A(4), B(1)); h4 = hi(h4, A(3), B(0));
  h5 = hi(h5, A(4), B(0));
  h5 = add(h5, h5); h6 = add(h6, h6); h7 = add(h7, h7); h8 = add(h8, h8); h9 = add(h9, h9);
  h5 = lo(h5, A(1), B(4)); h6 = lo(h6, A(2), B(4)); h7 = lo(h7, A(3), B(4)); h8 = lo(h8, A(4), B(4));
  h9 = times19(h9);
  h5 = lo(h5, A(2), B(3)); h6 = lo(h6, A(3), B(3)); h7 = lo(h7, A(4), B(3));
  h8 = times19(h8);
  h5 = lo(h5, A(3), B(2)); h6 = lo(h6, A(4), B(2)); h7 = times19(h7);
  h5 = lo(h5, A(4), B(1)); h6 = times19(h6); h5 = times19(h5);
  h1 = add(h1, h1); h2 = add(h2, h2); h3 = add(h3, h3); h4 = add(h4, h4);
  h4 = add(h4, h9); h3 = add(h3, h8); h2 = add(h2, h7); h1 = add(h1, h6);
  fe r;
  h4 = lo(h4, A(0), B(4)); h3 = lo(h3, A(0), B(3)); h2 = lo(h2, A(0), B(2)); h1 = lo(h1, A(0), B(1)); r.l[0] = lo(h5, A(0), B(0));
  h4 = lo(h4, A(1), B(3)); h3 = lo(h3, A(1), B(2)); h2 = lo(h2, A(1), B(1)); r.l[1] = lo(h1, A(1), B(0));
  h4 = lo(h4, A(2), B(2)); h3 = lo(h3, A(2), B(1)); r.l[2] = lo(h2, A(2), B(0));
  h4 = lo(h4, A(3), B(1)); r.l[3] = lo(h3, A(3), B(0));
  r.l[4] = lo(h4, A(4), B(0));
  return r;
}

/* Carried; the result is not. Cross products once, doubled as sums: a doubled limb would not fit. */
INLINE fe sqr(fe a) {
  const v z = _mm512_setzero_si512();
  /* Cross products: high halves of column k - 1, twice, and low halves of column k, once. */
  v c5 = hi(z, A(0), A(4)), c6 = hi(z, A(1), A(4)), c7 = hi(z, A(2), A(4)), c8 = hi(z, A(3), A(4));
  v c4 = hi(z, A(0), A(3)), c3 = hi(z, A(0), A(2)), c2 = hi(z, A(0), A(1));
  c5 = hi(c5, A(1), A(3)); c6 = hi(c6, A(2), A(3)); c4 = hi(c4, A(1), A(2));
  v s5 = hi(z, A(2), A(2)), s7 = hi(z, A(3), A(3)), s9 = hi(z, A(4), A(4)), s3 = hi(z, A(1), A(1)), s1 = hi(z, A(0), A(0));
  /* A column is 2 (2 cross high + cross low) + 2 square high + square low. */
  c5 = add(c5, c5); c6 = add(c6, c6); c7 = add(c7, c7); c8 = add(c8, c8);
  c4 = add(c4, c4); c3 = add(c3, c3); c2 = add(c2, c2);
  c5 = lo(add(c5, s5), A(1), A(4)); c6 = lo(c6, A(2), A(4)); c7 = lo(add(c7, s7), A(3), A(4));
  c4 = lo(c4, A(0), A(4)); c3 = lo(add(c3, s3), A(0), A(3)); c2 = lo(c2, A(0), A(2)); v c1 = lo(s1, A(0), A(1));
  c5 = lo(c5, A(2), A(3)); c4 = lo(c4, A(1), A(3)); c3 = lo(c3, A(1), A(2));
  c5 = add(c5, c5); c6 = add(c6, c6); c7 = add(c7, c7); c8 = add(c8, c8); v c9 = add(s9, s9);
  c4 = add(c4, c4); c3 = add(c3, c3); c2 = add(c2, c2); c1 = add(c1, c1);
  c6 = lo(c6, A(3), A(3)); c8 = lo(c8, A(4), A(4));
  c5 = times19(c5); c6 = times19(c6); c7 = times19(c7); c8 = times19(c8); c9 = times19(c9);
  fe r;
  r.l[0] = lo(c5, A(0), A(0));
  r.l[1] = add(c1, c6);
  r.l[2] = lo(add(c2, c7), A(1), A(1));
  r.l[3] = add(c3, c8);
  r.l[4] = lo(add(c4, c9), A(2), A(2));
  return r;
}

/* c + k a for a small k and carried a; the result is not carried. */
INLINE fe small(fe c, fe a, uint64_t k) {
  const v b = set1(k), z = _mm512_setzero_si512();
  v h0 = hi(z, A(0), b), h1 = hi(z, A(1), b), h2 = hi(z, A(2), b), h3 = hi(z, A(3), b), h4 = hi(z, A(4), b);
  fe r;
  r.l[0] = lo(lo(c.l[0], h4, set1(38)), A(0), b);
  r.l[1] = lo(add(c.l[1], add(h0, h0)), A(1), b);
  r.l[2] = lo(add(c.l[2], add(h1, h1)), A(2), b);
  r.l[3] = lo(add(c.l[3], add(h2, h2)), A(3), b);
  r.l[4] = lo(add(c.l[4], add(h3, h3)), A(4), b);
  return r;
}
#undef A
#undef B

INLINE fe mulc(fe a, fe b) { return carry(mul(a, b)); }
INLINE fe sqrc(fe a) { return carry(sqr(a)); }

INLINE fe select_fe(__mmask8 m, fe a, fe b) {
  fe r;
  for (int i = 0; i < 5; i++) r.l[i] = _mm512_mask_blend_epi64(m, a.l[i], b.l[i]);
  return r;
}

static fe constant(uint64_t x) {
  fe r;
  r.l[0] = set1(x);
  for (int i = 1; i < 5; i++) r.l[i] = _mm512_setzero_si512();
  return r;
}

static __attribute__((noinline)) fe sqr_times(fe a, int n) {
  for (int i = 0; i < n; i++) a = sqrc(a);
  return a;
}

/* a^(2^250 - 1), and a^11: the common part of inversion and of the Legendre symbol. */
static fe pow250(fe a, fe *a11) {
  fe t0 = sqrc(a);                       /* 2 */
  fe t1 = mulc(a, sqr_times(t0, 2));     /* 9 */
  *a11 = mulc(t0, t1);                   /* 11 */
  fe t2 = mulc(t1, sqrc(*a11));          /* 2^5 - 1 */
  fe t3 = mulc(sqr_times(t2, 5), t2);    /* 2^10 - 1 */
  fe t4 = mulc(sqr_times(t3, 10), t3);   /* 2^20 - 1 */
  fe t5 = mulc(sqr_times(t4, 20), t4);   /* 2^40 - 1 */
  fe t6 = mulc(sqr_times(t5, 10), t3);   /* 2^50 - 1 */
  fe t7 = mulc(sqr_times(t6, 50), t6);   /* 2^100 - 1 */
  fe t8 = mulc(sqr_times(t7, 100), t7);  /* 2^200 - 1 */
  return mulc(sqr_times(t8, 50), t6);    /* 2^250 - 1 */
}

/* a^(p-2) = a^(2^255 - 21). */
static fe invert(fe a) {
  fe a11, t = pow250(a, &a11);
  return mulc(sqr_times(t, 5), a11);
}

/* a^((p-1)/2) = a^(2^254 - 10): 1, 0 or p - 1. */
static fe legendre(fe a) {
  fe a11, t = pow250(a, &a11);
  /* 2^254 - 10 = 16 (2^250 - 1) + 6 */
  fe a2 = sqrc(a);
  return mulc(sqr_times(t, 4), mulc(sqrc(a2), a2));
}

/* The one representative below p, limbs below 2^51. */
static fe freeze(fe a) {
  const v m = set1(mask51);
  a = carry(carry(a));
  /* q = 1 if a >= p: the carry out of a + 19. */
  v q = _mm512_srli_epi64(add(a.l[0], set1(19)), 51);
  for (int i = 1; i < 5; i++) q = _mm512_srli_epi64(add(a.l[i], q), 51);
  a.l[0] = add(a.l[0], times19(q));
  for (int i = 0; i < 4; i++) {
    a.l[i + 1] = add(a.l[i + 1], _mm512_srli_epi64(a.l[i], 51));
    a.l[i] = _mm512_and_si512(a.l[i], m);
  }
  a.l[4] = _mm512_and_si512(a.l[4], m);
  return a;
}

static __mmask8 is_zero(fe a) {
  a = freeze(a);
  v any = a.l[0];
  for (int i = 1; i < 5; i++) any = _mm512_or_si512(any, a.l[i]);
  return _mm512_cmpeq_epi64_mask(any, _mm512_setzero_si512());
}

static void load_lane(uint64_t out[5][LANES], int lane, const uint8_t *bytes) {
  uint64_t w[4];
  memcpy(w, bytes, 32);
  out[0][lane] = w[0] & mask51;
  out[1][lane] = ((w[0] >> 51) | (w[1] << 13)) & mask51;
  out[2][lane] = ((w[1] >> 38) | (w[2] << 26)) & mask51;
  out[3][lane] = ((w[2] >> 25) | (w[3] << 39)) & mask51;
  /* RFC 7748: bit 255 is ignored. */
  out[4][lane] = (w[3] >> 12) & mask51;
}

/* Lanes that are not there repeat the last point. */
static fe load(const uint8_t *points, size_t n) {
  uint64_t lanes[5][LANES] __attribute__((aligned(64)));
  for (int i = 0; i < LANES; i++) load_lane(lanes, i, points + 32 * ((size_t)i < n ? (size_t)i : n - 1));
  fe r;
  for (int i = 0; i < 5; i++) r.l[i] = _mm512_load_si512(lanes[i]);
  return r;
}

static void store(uint8_t *out, fe a, size_t n) {
  uint64_t lanes[5][LANES] __attribute__((aligned(64)));
  a = freeze(a);
  for (int i = 0; i < 5; i++) _mm512_store_si512(lanes[i], a.l[i]);
  for (size_t i = 0; i < LANES && i < n; i++) {
    uint64_t w[4];
    w[0] = lanes[0][i] | (lanes[1][i] << 51);
    w[1] = (lanes[1][i] >> 13) | (lanes[2][i] << 38);
    w[2] = (lanes[2][i] >> 26) | (lanes[3][i] << 25);
    w[3] = (lanes[3][i] >> 39) | (lanes[4][i] << 12);
    memcpy(out + 32 * i, w, 32);
  }
}

/* X and Z of [2]P out of X+Z and X-Z, uncarried. */
INLINE void twice(fe a, fe b, fe *x, fe *z) {
  fe aa = sqr(a), bb = sqr(b);
  fe e = carry(minus(aa, bb));
  *x = mul(carry(aa), carry(bb));
  *z = mul(e, carry(small(aa, e, 121665)));
}

/*
 * The ladder on eight points. It keeps X+Z and X-Z of both points. The differential addition is symmetric
 * in them, so only the input of the doubling is selected, by a mask from the bit and the one before it.
 */
static __attribute__((noinline)) void ladder(const uint8_t scalar[32], fe x1, fe *x, fe *z) {
  const fe one = constant(1);
  fe a3 = carry(plus(x1, one)), b3 = carry(minus(x1, one));
  fe x4, z4;
  twice(a3, b3, &x4, &z4); /* bit 254 is one */
  fe a2 = carry(plus(x4, z4)), b2 = carry(minus(x4, z4));
  unsigned before = 1;
  for (int i = 253; i >= 3; i--) {
    unsigned bit = (scalar[i >> 3] >> (i & 7)) & 1;
    __mmask8 m = (__mmask8)(0u - (bit ^ before));
    before = bit;
    fe da = mul(b3, a2), cb = mul(a3, b2);
    fe a = select_fe(m, a2, a3), b = select_fe(m, b2, b3);
    fe s = carry(plus(da, cb)), t = carry(minus(da, cb));
    fe x5 = sqr(s), z5 = mul(sqrc(t), x1);
    twice(a, b, &x4, &z4);
    a2 = carry(plus(x4, z4));
    b2 = carry(minus(x4, z4));
    a3 = carry(plus(x5, z5));
    b3 = carry(minus(x5, z5));
  }
  __mmask8 m = (__mmask8)(0u - before);
  fe a = select_fe(m, a2, a3), b = select_fe(m, b2, b3);
  for (int i = 0; i < 3; i++) { /* bits 2 to 0 are zero */
    twice(a, b, &x4, &z4);
    a = carry(plus(x4, z4));
    b = carry(minus(x4, z4));
  }
  *x = carry(x4);
  *z = carry(z4);
}

/* out = num / den for every group; a denominator of zero gives zero and spoils no other lane. */
static void divide(const fe *num, const fe *den, fe *out, size_t groups) {
  fe prefix[GROUPS], fixed[GROUPS];
  __mmask8 zero[GROUPS];
  const fe one = constant(1), none = constant(0);
  for (size_t g = 0; g < groups; g++) {
    zero[g] = is_zero(den[g]);
    fixed[g] = select_fe(zero[g], den[g], one);
    prefix[g] = g == 0 ? fixed[0] : mulc(prefix[g - 1], fixed[g]);
  }
  fe inverse = invert(prefix[groups - 1]);
  for (size_t g = groups; g-- > 0;) {
    fe own = g == 0 ? inverse : mulc(inverse, prefix[g - 1]);
    inverse = mulc(inverse, fixed[g]);
    out[g] = select_fe(zero[g], mulc(own, num[g]), none);
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

/* 48 bytes big-endian mod p, as carried limbs of one lane. */
static void reduce_lane(uint64_t out[5][LANES], int lane, const uint8_t bytes[48]) {
  uint64_t w[6];
  for (int i = 0; i < 6; i++) {
    uint64_t x;
    memcpy(&x, bytes + 40 - 8 * i, 8);
    w[i] = __builtin_bswap64(x);
  }
  const uint64_t l[8] = {
      w[0] & mask51,
      ((w[0] >> 51) | (w[1] << 13)) & mask51,
      ((w[1] >> 38) | (w[2] << 26)) & mask51,
      ((w[2] >> 25) | (w[3] << 39)) & mask51,
      (w[3] >> 12) & mask51,
      ((w[3] >> 63) | (w[4] << 1)) & mask51,
      ((w[4] >> 50) | (w[5] << 14)) & mask51,
      w[5] >> 37,
  };
  for (int i = 0; i < 5; i++) out[i][lane] = l[i] + (i < 3 ? 19 * l[i + 5] : 0);
}

/*
 * Elligator 2 (RFC 9380 section 6.7.1): with d = 1 + 2 r^2, u is -A / d where that is on the curve, and
 * -2 A r^2 / d elsewhere. d is never 0, since -1/2 is not a square.
 */
static void map(const uint8_t *elements, uint8_t *out, size_t n) {
  fe num[GROUPS], den[GROUPS];
  const uint64_t A = 486662;
  for (size_t at = 0; at < n;) {
    size_t groups = 0, first = at;
    for (; groups < GROUPS && at < n; groups++, at += LANES) {
      uint64_t lanes[5][LANES] __attribute__((aligned(64)));
      for (size_t i = 0; i < LANES; i++) {
        size_t j = at + i < n ? at + i : n - 1;
        reduce_lane(lanes, (int)i, elements + 48 * j);
      }
      fe r;
      for (int i = 0; i < 5; i++) r.l[i] = _mm512_load_si512(lanes[i]);
      const fe none = constant(0);
      fe rr = sqrc(carry(r));
      fe rr2 = carry(plus(rr, rr));
      fe d = carry(plus(rr2, constant(1)));
      /* -A d (d^2 - 2 A^2 r^2) */
      fe a2rr2 = carry(small(none, carry(small(none, rr2, A)), A));
      fe inner = carry(minus(sqr(d), a2rr2));
      fe minus_ad = carry(minus(none, carry(small(none, d, A))));
      fe chi = freeze(legendre(mulc(minus_ad, inner)));
      /* p - 1 is the only one of 0, 1, p - 1 with a second limb. */
      __mmask8 no = _mm512_test_epi64_mask(chi.l[1], chi.l[1]);
      fe minus_a = carry(minus(none, constant(A)));
      num[groups] = select_fe(no, minus_a, mulc(minus_a, rr2));
      den[groups] = d;
    }
    divide(num, den, num, groups);
    for (size_t g = 0; g < groups; g++) {
      size_t i = first + g * LANES;
      store(out + 32 * i, num[g], n - i);
    }
  }
}

#include "sha512x8.h"

const vivarium_kernel vivarium_ifma = {"avx512ifma", multiply, map, expand};

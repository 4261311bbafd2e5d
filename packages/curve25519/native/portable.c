/*
 * Any 64-bit processor with a compiler that has 128-bit integers: radix 2^51, five limbs, one point at a
 * time.
 */
#include "kernel.h"

#include <string.h>

typedef unsigned __int128 u128;
typedef struct { uint64_t l[5]; } fe;

#define CHUNK 512
static const uint64_t mask51 = ((uint64_t)1 << 51) - 1;

static inline uint64_t read64(const uint8_t *p) {
  uint64_t x = 0;
  for (int i = 7; i >= 0; i--) x = x << 8 | p[i];
  return x;
}

static inline void write64(uint8_t *p, uint64_t x) {
  for (int i = 0; i < 8; i++) p[i] = (uint8_t)(x >> (8 * i));
}

static inline fe carry(fe a) {
  uint64_t t[5];
  fe r;
  for (int i = 0; i < 5; i++) t[i] = a.l[i] >> 51;
  r.l[0] = (a.l[0] & mask51) + 19 * t[4];
  for (int i = 1; i < 5; i++) r.l[i] = (a.l[i] & mask51) + t[i - 1];
  return r;
}

/* Sums stay below 2^53 and are taken by mul as they are. */
static inline fe plus(fe a, fe b) {
  fe r;
  for (int i = 0; i < 5; i++) r.l[i] = a.l[i] + b.l[i];
  return r;
}

/* a - b + 8 p, carried. */
static inline fe minus(fe a, fe b) {
  fe r;
  r.l[0] = a.l[0] + 8 * (mask51 - 18) - b.l[0];
  for (int i = 1; i < 5; i++) r.l[i] = a.l[i] + 8 * mask51 - b.l[i];
  return carry(r);
}

static inline fe reduce(u128 c[5]) {
  fe r;
  for (int i = 0; i < 4; i++) {
    c[i + 1] += (uint64_t)(c[i] >> 51);
    r.l[i] = (uint64_t)c[i] & mask51;
  }
  uint64_t top = (uint64_t)(c[4] >> 51);
  r.l[4] = (uint64_t)c[4] & mask51;
  r.l[0] += 19 * top;
  r.l[1] += r.l[0] >> 51;
  r.l[0] &= mask51;
  return r;
}

static inline fe mul(fe a, fe b) {
  u128 c[5];
  uint64_t b1 = 19 * b.l[1], b2 = 19 * b.l[2], b3 = 19 * b.l[3], b4 = 19 * b.l[4];
  c[0] = (u128)a.l[0] * b.l[0] + (u128)a.l[1] * b4 + (u128)a.l[2] * b3 + (u128)a.l[3] * b2 + (u128)a.l[4] * b1;
  c[1] = (u128)a.l[0] * b.l[1] + (u128)a.l[1] * b.l[0] + (u128)a.l[2] * b4 + (u128)a.l[3] * b3 + (u128)a.l[4] * b2;
  c[2] = (u128)a.l[0] * b.l[2] + (u128)a.l[1] * b.l[1] + (u128)a.l[2] * b.l[0] + (u128)a.l[3] * b4 + (u128)a.l[4] * b3;
  c[3] = (u128)a.l[0] * b.l[3] + (u128)a.l[1] * b.l[2] + (u128)a.l[2] * b.l[1] + (u128)a.l[3] * b.l[0] + (u128)a.l[4] * b4;
  c[4] = (u128)a.l[0] * b.l[4] + (u128)a.l[1] * b.l[3] + (u128)a.l[2] * b.l[2] + (u128)a.l[3] * b.l[1] + (u128)a.l[4] * b.l[0];
  return reduce(c);
}

static inline fe sqr(fe a) {
  u128 c[5];
  uint64_t d0 = 2 * a.l[0], d1 = 2 * a.l[1], d2 = 2 * a.l[2];
  uint64_t e3 = 19 * a.l[3], e4 = 19 * a.l[4];
  c[0] = (u128)a.l[0] * a.l[0] + (u128)d1 * e4 + (u128)d2 * e3;
  c[1] = (u128)d0 * a.l[1] + (u128)d2 * e4 + (u128)a.l[3] * e3;
  c[2] = (u128)d0 * a.l[2] + (u128)a.l[1] * a.l[1] + (u128)(2 * a.l[3]) * e4;
  c[3] = (u128)d0 * a.l[3] + (u128)d1 * a.l[2] + (u128)a.l[4] * e4;
  c[4] = (u128)d0 * a.l[4] + (u128)d1 * a.l[3] + (u128)a.l[2] * a.l[2];
  return reduce(c);
}

static inline fe small(fe a, uint64_t k) {
  u128 c[5];
  for (int i = 0; i < 5; i++) c[i] = (u128)a.l[i] * k;
  return reduce(c);
}

static inline fe constant(uint64_t x) {
  fe r = {{x, 0, 0, 0, 0}};
  return r;
}

static inline fe pick(uint64_t choice, fe a, fe b) {
  const uint64_t m = 0 - choice;
  fe r;
  for (int i = 0; i < 5; i++) r.l[i] = a.l[i] ^ (m & (a.l[i] ^ b.l[i]));
  return r;
}

static fe sqr_times(fe a, int n) {
  for (int i = 0; i < n; i++) a = sqr(a);
  return a;
}

static fe pow250(fe a, fe *a11) {
  fe t0 = sqr(a), t1 = mul(a, sqr_times(t0, 2));
  *a11 = mul(t0, t1);
  fe t2 = mul(t1, sqr(*a11)), t3 = mul(sqr_times(t2, 5), t2), t4 = mul(sqr_times(t3, 10), t3);
  fe t5 = mul(sqr_times(t4, 20), t4), t6 = mul(sqr_times(t5, 10), t3);
  fe t7 = mul(sqr_times(t6, 50), t6), t8 = mul(sqr_times(t7, 100), t7);
  return mul(sqr_times(t8, 50), t6);
}

static fe invert(fe a) {
  fe a11, t = pow250(a, &a11);
  return mul(sqr_times(t, 5), a11);
}

static fe legendre(fe a) {
  fe a11, t = pow250(a, &a11), a2 = sqr(a);
  return mul(sqr_times(t, 4), mul(sqr(a2), a2));
}

static fe freeze(fe a) {
  a = carry(carry(a));
  uint64_t q = (a.l[0] + 19) >> 51;
  for (int i = 1; i < 5; i++) q = (a.l[i] + q) >> 51;
  a.l[0] += 19 * q;
  for (int i = 0; i < 4; i++) {
    a.l[i + 1] += a.l[i] >> 51;
    a.l[i] &= mask51;
  }
  a.l[4] &= mask51;
  return a;
}

static uint64_t is_zero(fe a) {
  a = freeze(a);
  return (a.l[0] | a.l[1] | a.l[2] | a.l[3] | a.l[4]) == 0;
}

static fe load(const uint8_t *p) {
  uint64_t w0 = read64(p), w1 = read64(p + 8), w2 = read64(p + 16), w3 = read64(p + 24);
  fe r = {{w0 & mask51, ((w0 >> 51) | (w1 << 13)) & mask51, ((w1 >> 38) | (w2 << 26)) & mask51,
           ((w2 >> 25) | (w3 << 39)) & mask51, (w3 >> 12) & mask51}};
  return r;
}

static void store(uint8_t *out, fe a) {
  a = freeze(a);
  write64(out, a.l[0] | (a.l[1] << 51));
  write64(out + 8, (a.l[1] >> 13) | (a.l[2] << 38));
  write64(out + 16, (a.l[2] >> 26) | (a.l[3] << 25));
  write64(out + 24, (a.l[3] >> 39) | (a.l[4] << 12));
}

static inline void twice(fe a, fe b, fe *x, fe *z) {
  fe aa = sqr(a), bb = sqr(b), e = minus(aa, bb);
  *x = mul(aa, bb);
  *z = mul(e, plus(aa, small(e, 121665)));
}

static void ladder(const uint8_t scalar[32], fe x1, fe *x, fe *z) {
  fe a3 = plus(x1, constant(1)), b3 = minus(x1, constant(1)), x4, z4;
  twice(a3, b3, &x4, &z4);
  fe a2 = plus(x4, z4), b2 = minus(x4, z4);
  uint64_t before = 1;
  for (int i = 253; i >= 3; i--) {
    uint64_t bit = (scalar[i >> 3] >> (i & 7)) & 1, choice = bit ^ before;
    before = bit;
    fe da = mul(b3, a2), cb = mul(a3, b2);
    twice(pick(choice, a2, a3), pick(choice, b2, b3), &x4, &z4);
    fe x5 = sqr(plus(da, cb)), z5 = mul(sqr(minus(da, cb)), x1);
    a2 = plus(x4, z4);
    b2 = minus(x4, z4);
    a3 = plus(x5, z5);
    b3 = minus(x5, z5);
  }
  fe a = pick(before, a2, a3), b = pick(before, b2, b3);
  for (int i = 0; i < 3; i++) {
    twice(a, b, &x4, &z4);
    a = plus(x4, z4);
    b = minus(x4, z4);
  }
  *x = x4;
  *z = z4;
}

static void divide(const fe *num, const fe *den, fe *out, size_t n) {
  static _Thread_local fe prefix[CHUNK], fixed[CHUNK];
  for (size_t i = 0; i < n; i++) {
    fixed[i] = pick(is_zero(den[i]), den[i], constant(1));
    prefix[i] = i == 0 ? fixed[0] : mul(prefix[i - 1], fixed[i]);
  }
  fe inverse = invert(prefix[n - 1]);
  for (size_t i = n; i-- > 0;) {
    fe own = i == 0 ? inverse : mul(inverse, prefix[i - 1]);
    inverse = mul(inverse, fixed[i]);
    out[i] = pick(is_zero(den[i]), mul(own, num[i]), constant(0));
  }
}

static void multiply(const uint8_t scalar[32], const uint8_t *points, uint8_t *out, size_t n) {
  static _Thread_local fe x[CHUNK], z[CHUNK];
  for (size_t at = 0; at < n; at += CHUNK) {
    size_t count = n - at < CHUNK ? n - at : CHUNK;
    for (size_t i = 0; i < count; i++) ladder(scalar, load(points + 32 * (at + i)), &x[i], &z[i]);
    divide(x, z, x, count);
    for (size_t i = 0; i < count; i++) store(out + 32 * (at + i), x[i]);
  }
}

static fe element(const uint8_t bytes[48]) {
  uint64_t w[6];
  for (int i = 0; i < 6; i++) {
    w[i] = 0;
    for (int k = 0; k < 8; k++) w[i] = w[i] << 8 | bytes[40 - 8 * i + k];
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
  fe r;
  for (int i = 0; i < 5; i++) r.l[i] = l[i] + (i < 3 ? 19 * l[i + 5] : 0);
  return carry(r);
}

static void map(const uint8_t *elements, uint8_t *out, size_t n) {
  static _Thread_local fe num[CHUNK], den[CHUNK];
  const uint64_t A = 486662;
  for (size_t at = 0; at < n; at += CHUNK) {
    size_t count = n - at < CHUNK ? n - at : CHUNK;
    for (size_t i = 0; i < count; i++) {
      fe rr = sqr(element(elements + 48 * (at + i))), rr2 = carry(plus(rr, rr));
      fe d = carry(plus(rr2, constant(1)));
      fe inner = minus(sqr(d), small(small(rr2, A), A));
      fe minus_ad = minus(constant(0), small(d, A));
      fe chi = freeze(legendre(mul(minus_ad, inner)));
      fe minus_a = minus(constant(0), constant(A));
      num[i] = pick(chi.l[1] != 0, minus_a, mul(minus_a, rr2));
      den[i] = d;
    }
    divide(num, den, num, count);
    for (size_t i = 0; i < count; i++) store(out + 32 * (at + i), num[i]);
  }
}

/* SHA-512 (FIPS 180-4), one message at a time. */
const uint64_t vivarium_sha512_k[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817};

static inline uint64_t ror(uint64_t x, int n) { return x >> n | x << (64 - n); }

static void compress(uint64_t h[8], const uint8_t *block) {
  uint64_t w[80], s[8];
  for (int i = 0; i < 16; i++) {
    w[i] = 0;
    for (int k = 0; k < 8; k++) w[i] = w[i] << 8 | block[8 * i + k];
  }
  for (int i = 16; i < 80; i++) {
    uint64_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (ror(a, 1) ^ ror(a, 8) ^ a >> 7) + w[i - 7] + (ror(b, 19) ^ ror(b, 61) ^ b >> 6);
  }
  memcpy(s, h, sizeof s);
  for (int i = 0; i < 80; i++) {
    uint64_t t1 = s[7] + (ror(s[4], 14) ^ ror(s[4], 18) ^ ror(s[4], 41)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + vivarium_sha512_k[i] + w[i];
    uint64_t t2 = (ror(s[0], 28) ^ ror(s[0], 34) ^ ror(s[0], 39)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += t1;
    s[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) h[i] += s[i];
}

typedef struct { uint64_t h[8]; uint8_t block[128]; size_t length; } sha512;

static void sha_init(sha512 *s) {
  static const uint64_t iv[8] = {
      0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
      0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
  memcpy(s->h, iv, sizeof iv);
  s->length = 0;
}

static void sha_add(sha512 *s, const uint8_t *data, size_t n) {
  for (size_t i = 0; i < n;) {
    size_t at = s->length % 128, take = n - i < 128 - at ? n - i : 128 - at;
    memcpy(s->block + at, data + i, take);
    s->length += take;
    i += take;
    if (s->length % 128 == 0) compress(s->h, s->block);
  }
}

static void sha_end(sha512 *s, uint8_t out[64]) {
  uint64_t bits = (uint64_t)s->length * 8;
  uint8_t tail[16] = {0};
  const uint8_t one = 0x80, zero = 0;
  sha_add(s, &one, 1);
  while (s->length % 128 != 112) sha_add(s, &zero, 1);
  for (int i = 0; i < 8; i++) tail[8 + i] = (uint8_t)(bits >> (56 - 8 * i));
  sha_add(s, tail, 16);
  for (int i = 0; i < 64; i++) out[i] = (uint8_t)(s->h[i / 8] >> (56 - 8 * (i % 8)));
}

void vivarium_expand_one(const uint8_t *item, size_t length, const uint8_t *dst, size_t dst_length,
                         uint8_t out[48]) {
  static const uint8_t pad[128] = {0}, size[3] = {0, 48, 0}, one = 1;
  const uint8_t last = (uint8_t)dst_length;
  uint8_t digest[64];
  sha512 s;
  sha_init(&s);
  sha_add(&s, pad, 128);
  sha_add(&s, item, length);
  sha_add(&s, size, 3);
  sha_add(&s, dst, dst_length);
  sha_add(&s, &last, 1);
  sha_end(&s, digest);
  sha_init(&s);
  sha_add(&s, digest, 64);
  sha_add(&s, &one, 1);
  sha_add(&s, dst, dst_length);
  sha_add(&s, &last, 1);
  sha_end(&s, digest);
  memcpy(out, digest, 48);
}

static void expand(const uint8_t *items, const uint32_t *offsets, size_t n, const uint8_t *dst,
                   size_t dst_length, uint8_t *out) {
  for (size_t i = 0; i < n; i++) {
    vivarium_expand_one(items + offsets[i], offsets[i + 1] - offsets[i], dst, dst_length, out + 48 * i);
  }
}

const vivarium_kernel vivarium_portable = {"portable", multiply, map, expand};

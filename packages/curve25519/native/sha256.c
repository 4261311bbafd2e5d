/* No branch or address depends on what is hashed, only on lengths. */
#include "sha256.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define BLOCK 64

const uint32_t vivarium_sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static uint32_t load32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store32(uint8_t *p, uint32_t x) {
  p[0] = (uint8_t)(x >> 24); p[1] = (uint8_t)(x >> 16); p[2] = (uint8_t)(x >> 8); p[3] = (uint8_t)x;
}

static uint32_t ror(uint32_t x, int n) { return x >> n | x << (32 - n); }

void vivarium_sha256_portable(uint32_t state[8], const uint8_t *blocks, size_t count) {
  for (; count > 0; count--, blocks += BLOCK) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++) w[i] = load32(blocks + 4 * i);
    for (int i = 16; i < 64; i++) {
      uint32_t s0 = ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3;
      uint32_t s1 = ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
      uint32_t t1 = h + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + ((e & f) ^ (~e & g)) +
                    vivarium_sha256_k[i] + w[i];
      uint32_t t2 = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d;
    state[4] += e; state[5] += f; state[6] += g; state[7] += h;
  }
}

static sha256_compress fastest(void) {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1) && __get_cpuid(1, &a, &b, &c, &d) &&
      (c >> 19 & 1)) {
    return vivarium_sha256_ni;
  }
#endif
  return vivarium_sha256_portable;
}

static int wide(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
#else
  return 0;
#endif
}

/* Ends a message whose first `before` bytes are in the state already; `tail` of `length` has the rest. */
static void finish(sha256_compress compress, uint32_t state[8], const uint8_t *tail, size_t length,
                   uint64_t before, uint8_t *out, size_t width) {
  uint8_t last[2 * BLOCK] = {0};
  size_t whole = length / BLOCK, rest = length % BLOCK;
  compress(state, tail, whole);
  memcpy(last, tail + whole * BLOCK, rest);
  last[rest] = 0x80;
  size_t blocks = rest + 9 > BLOCK ? 2 : 1;
  uint64_t bits = 8 * (before + length);
  store32(last + blocks * BLOCK - 8, (uint32_t)(bits >> 32));
  store32(last + blocks * BLOCK - 4, (uint32_t)bits);
  compress(state, last, blocks);
  uint8_t digest[32];
  for (int i = 0; i < 8; i++) store32(digest + 4 * i, state[i]);
  memcpy(out, digest, width);
}

void vivarium_digest(const uint8_t *prefix, size_t prefix_length, const uint8_t *records,
                     size_t record_bytes, size_t n, uint8_t *out, size_t width) {
  const sha256_compress compress = fastest();
  uint32_t start[8], state[8];
  uint8_t tail[2 * BLOCK];
  const size_t whole = prefix_length / BLOCK, rest = prefix_length % BLOCK;
  memcpy(start, initial, sizeof start);
  compress(start, prefix, whole);
  memcpy(tail, prefix + whole * BLOCK, rest);
  size_t i = 0;
#if defined(__x86_64__)
  for (const int sixteen = wide(); sixteen && i < n; i += 16) {
    vivarium_digest16(start, whole * BLOCK, tail, rest, records + i * record_bytes, record_bytes,
                      n - i < 16 ? n - i : 16, out + i * width, width);
  }
#endif
  for (; i < n; i++) {
    memcpy(tail + rest, records + i * record_bytes, record_bytes);
    memcpy(state, start, sizeof state);
    finish(compress, state, tail, rest + record_bytes, whole * BLOCK, out + i * width, width);
  }
}

/* Items up to this length are framed in one piece. */
#define SHORT 252

void vivarium_keyed(const uint8_t key[32], const uint8_t *items, const uint32_t *offsets, size_t n,
                    uint8_t *out, size_t width) {
  const sha256_compress compress = fastest();
  uint32_t inner[8], outer[8], state[8];
  uint8_t pad[BLOCK], framed[SHORT + 4], digest[32];
  memset(pad, 0x36, sizeof pad);
  for (int i = 0; i < 32; i++) pad[i] ^= key[i];
  memcpy(inner, initial, sizeof inner);
  compress(inner, pad, 1);
  for (int i = 0; i < BLOCK; i++) pad[i] ^= 0x36 ^ 0x5c;
  memcpy(outer, initial, sizeof outer);
  compress(outer, pad, 1);
  const int sixteen = wide();
  for (size_t i = 0; i < n; i++) {
#if defined(__x86_64__)
    if (sixteen && i % 16 == 0) {
      const size_t count = n - i < 16 ? n - i : 16;
      if (vivarium_keyed16(inner, outer, items, offsets + i, count, out + i * width, width)) {
        i += count - 1;
        continue;
      }
    }
#endif
    const uint8_t *item = items + offsets[i];
    const size_t length = offsets[i + 1] - offsets[i];
    store32(framed, (uint32_t)length);
    memcpy(state, inner, sizeof state);
    if (length <= SHORT) {
      memcpy(framed + 4, item, length);
      finish(compress, state, framed, length + 4, BLOCK, digest, sizeof digest);
    } else {
      /* The first block has the length; what follows is hashed where it lies. */
      memcpy(framed + 4, item, BLOCK - 4);
      compress(state, framed, 1);
      finish(compress, state, item + BLOCK - 4, length - (BLOCK - 4), 2 * BLOCK, digest, sizeof digest);
    }
    memcpy(state, outer, sizeof state);
    finish(compress, state, digest, sizeof digest, BLOCK, out + i * width, width);
  }
  /* Not optimised away: the compiler cannot know that nobody reads them. */
  memset(pad, 0, sizeof pad);
  memset(inner, 0, sizeof inner);
  memset(outer, 0, sizeof outer);
  __asm__ volatile("" : : "r"(pad), "r"(inner), "r"(outer) : "memory");
}

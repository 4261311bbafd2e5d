/*
 * SHA-256 of sixteen messages at a time by AVX-512; compiled with -mavx512f -mavx512bw, called only where both
 * are. Messages of more than LONGEST bytes are the caller's.
 */
#include "sha256.h"

#include <immintrin.h>
#include <string.h>

#define LANES 16
#define BLOCK 64
#define MAX_BLOCKS 4

typedef __m512i v;

#define ROR(x, n) _mm512_ror_epi32(x, n)
#define XOR3(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0x96)

static inline v add(v a, v b) { return _mm512_add_epi32(a, b); }
static inline v set1(uint32_t x) { return _mm512_set1_epi32((int)x); }

/* Lanes outside of `active` keep their state: their message has ended. */
static void compress(v state[8], v w[16], __mmask16 active) {
  v a = state[0], b = state[1], c = state[2], d = state[3];
  v e = state[4], f = state[5], g = state[6], h = state[7];
#pragma GCC unroll 64
  for (int i = 0; i < 64; i++) {
    if (i >= 16) {
      v x = w[(i + 1) & 15], y = w[(i + 14) & 15];
      v s0 = XOR3(ROR(x, 7), ROR(x, 18), _mm512_srli_epi32(x, 3));
      v s1 = XOR3(ROR(y, 17), ROR(y, 19), _mm512_srli_epi32(y, 10));
      w[i & 15] = add(add(w[i & 15], s0), add(w[(i + 9) & 15], s1));
    }
    v s1 = XOR3(ROR(e, 6), ROR(e, 11), ROR(e, 25));
    v ch = _mm512_ternarylogic_epi32(e, f, g, 0xca);
    v t1 = add(add(h, s1), add(ch, add(set1(vivarium_sha256_k[i]), w[i & 15])));
    v s0 = XOR3(ROR(a, 2), ROR(a, 13), ROR(a, 22));
    v maj = _mm512_ternarylogic_epi32(a, b, c, 0xe8);
    h = g; g = f; f = e; e = add(d, t1); d = c; c = b; b = a; a = add(t1, add(s0, maj));
  }
  const v r[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; i++) state[i] = _mm512_mask_add_epi32(state[i], active, state[i], r[i]);
}

static void spread(v state[8], const uint32_t one[8]) {
  for (int i = 0; i < 8; i++) state[i] = set1(one[i]);
}

/* Ends the message of `length` bytes in `buffer`. Returns its blocks. */
static size_t pad(uint8_t *buffer, size_t length, uint64_t before) {
  const size_t blocks = (length + 9 + BLOCK - 1) / BLOCK;
  memset(buffer + length, 0, blocks * BLOCK - length);
  buffer[length] = 0x80;
  const uint64_t bits = __builtin_bswap64(8 * (before + length));
  memcpy(buffer + blocks * BLOCK - 8, &bits, 8);
  return blocks;
}

static void hash(v state[8], uint8_t (*const buffers)[MAX_BLOCKS * BLOCK], const size_t blocks[LANES]) {
  uint32_t words[16][LANES] __attribute__((aligned(64)));
  size_t most = 0;
  for (int i = 0; i < LANES; i++) most = blocks[i] > most ? blocks[i] : most;
  for (size_t block = 0; block < most; block++) {
    __mmask16 active = 0;
    for (int lane = 0; lane < LANES; lane++) {
      active |= (__mmask16)((block < blocks[lane]) << lane);
      for (int i = 0; i < 16; i++) {
        uint32_t x;
        memcpy(&x, buffers[lane] + block * BLOCK + 4 * i, 4);
        words[i][lane] = __builtin_bswap32(x);
      }
    }
    v w[16];
    for (int i = 0; i < 16; i++) w[i] = _mm512_load_si512(words[i]);
    compress(state, w, active);
  }
}

static void put(const v state[8], uint8_t *out, size_t width, size_t count) {
  uint32_t words[8][LANES] __attribute__((aligned(64)));
  for (int i = 0; i < 8; i++) _mm512_store_si512(words[i], state[i]);
  for (size_t lane = 0; lane < count; lane++) {
    uint32_t digest[8];
    for (int i = 0; i < 8; i++) digest[i] = __builtin_bswap32(words[i][lane]);
    memcpy(out + lane * width, digest, width);
  }
}

void vivarium_digest16(const uint32_t start[8], uint64_t before, const uint8_t *rest, size_t rest_length,
                       const uint8_t *records, size_t record_bytes, size_t count, uint8_t *out,
                       size_t width) {
  uint8_t buffers[LANES][MAX_BLOCKS * BLOCK];
  size_t blocks[LANES];
  v state[8];
  for (size_t i = 0; i < LANES; i++) {
    memcpy(buffers[i], rest, rest_length);
    memcpy(buffers[i] + rest_length, records + (i < count ? i : count - 1) * record_bytes, record_bytes);
    blocks[i] = pad(buffers[i], rest_length + record_bytes, before);
  }
  spread(state, start);
  hash(state, buffers, blocks);
  put(state, out, width, count);
}

int vivarium_keyed16(const uint32_t inner[8], const uint32_t outer[8], const uint8_t *items,
                     const uint32_t *offsets, size_t count, uint8_t *out, size_t width) {
  uint8_t buffers[LANES][MAX_BLOCKS * BLOCK];
  size_t blocks[LANES];
  v state[8];
  for (size_t i = 0; i < LANES; i++) {
    const size_t j = i < count ? i : count - 1;
    const uint32_t length = offsets[j + 1] - offsets[j];
    if (length + 4 + 9 > sizeof buffers[i]) return 0;
    const uint32_t framed = __builtin_bswap32(length);
    memcpy(buffers[i], &framed, 4);
    memcpy(buffers[i] + 4, items + offsets[j], length);
    blocks[i] = pad(buffers[i], length + 4, BLOCK);
  }
  spread(state, inner);
  hash(state, buffers, blocks);
  /* The inner digest is the outer message: no bytes in between. */
  v w[16];
  for (int i = 0; i < 8; i++) w[i] = state[i];
  w[8] = set1(0x80000000);
  for (int i = 9; i < 15; i++) w[i] = set1(0);
  w[15] = set1(8 * (BLOCK + 32));
  spread(state, outer);
  compress(state, w, 0xffff);
  put(state, out, width, count);
  return 1;
}

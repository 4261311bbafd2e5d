/*
 * expand_message_xmd with SHA-512 (RFC 9380 section 5.3.1) for eight items at a time, one element of 48
 * bytes each: b_0 = H(Z_pad || msg || I2OSP(48, 2) || 0 || DST'), b_1 = H(b_0 || 1 || DST').
 * Included by ifma.c alone. Items are the party's own and lengths are not hidden.
 */
#define BLOCK 128
#define MAX_BLOCKS 8

static const uint64_t sha512_iv[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

#define ROR(x, n) _mm512_ror_epi64(x, n)
#define XOR3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)

/* Lanes outside of `active` keep their state: their message has ended. */
static void sha512_compress8(v state[8], uint8_t (*const blocks)[MAX_BLOCKS * BLOCK], size_t block,
                             __mmask8 active) {
  uint64_t words[16][LANES] __attribute__((aligned(64)));
  for (int lane = 0; lane < LANES; lane++) {
    for (int i = 0; i < 16; i++) {
      uint64_t x;
      memcpy(&x, blocks[lane] + block * BLOCK + 8 * i, 8);
      words[i][lane] = __builtin_bswap64(x);
    }
  }
  v w[16];
  for (int i = 0; i < 16; i++) w[i] = _mm512_load_si512(words[i]);
  v a = state[0], b = state[1], c = state[2], d = state[3];
  v e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 80; i++) {
    if (i >= 16) {
      v x = w[(i + 1) & 15], y = w[(i + 14) & 15];
      v s0 = XOR3(ROR(x, 1), ROR(x, 8), _mm512_srli_epi64(x, 7));
      v s1 = XOR3(ROR(y, 19), ROR(y, 61), _mm512_srli_epi64(y, 6));
      w[i & 15] = add(add(w[i & 15], s0), add(w[(i + 9) & 15], s1));
    }
    v s1 = XOR3(ROR(e, 14), ROR(e, 18), ROR(e, 41));
    v ch = _mm512_ternarylogic_epi64(e, f, g, 0xca);
    v t1 = add(add(add(h, s1), add(ch, set1(vivarium_sha512_k[i]))), w[i & 15]);
    v s0 = XOR3(ROR(a, 28), ROR(a, 34), ROR(a, 39));
    v maj = _mm512_ternarylogic_epi64(a, b, c, 0xe8);
    h = g; g = f; f = e; e = add(d, t1); d = c; c = b; b = a; a = add(t1, add(s0, maj));
  }
  const v r[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; i++) state[i] = _mm512_mask_add_epi64(state[i], active, state[i], r[i]);
}

/* Ends a message of `length` bytes after `before` bytes that are hashed already. Returns its blocks. */
static size_t sha512_pad(uint8_t *buffer, size_t length, size_t before) {
  size_t blocks = (length + 17 + BLOCK - 1) / BLOCK;
  memset(buffer + length, 0, blocks * BLOCK - length);
  buffer[length] = 0x80;
  uint64_t bits = __builtin_bswap64((uint64_t)(length + before) * 8);
  memcpy(buffer + blocks * BLOCK - 8, &bits, 8);
  return blocks;
}

static size_t put_dst(uint8_t *at, const uint8_t *dst, size_t dst_length) {
  memcpy(at, dst, dst_length);
  at[dst_length] = (uint8_t)dst_length;
  return dst_length + 1;
}

static void expand(const uint8_t *items, const uint32_t *offsets, size_t n, const uint8_t *dst,
                   size_t dst_length, uint8_t *out) {
  static _Thread_local uint8_t buffers[LANES][MAX_BLOCKS * BLOCK];
  v start[8];
  for (int i = 0; i < 8; i++) start[i] = set1(sha512_iv[i]);
  /* Z_pad: one block of zeros, the same for all. */
  for (int i = 0; i < LANES; i++) memset(buffers[i], 0, BLOCK);
  sha512_compress8(start, buffers, 0, 0xff);
  for (size_t at = 0; at < n; at += LANES) {
    size_t blocks[LANES], most = 0;
    int wide = 1;
    for (size_t i = 0; i < LANES; i++) {
      size_t j = at + i < n ? at + i : n - 1;
      size_t length = offsets[j + 1] - offsets[j];
      if (length + 4 + dst_length + 17 > MAX_BLOCKS * BLOCK) { wide = 0; break; }
      uint8_t *buffer = buffers[i];
      memcpy(buffer, items + offsets[j], length);
      buffer[length] = 0; buffer[length + 1] = 48; buffer[length + 2] = 0;
      size_t whole = length + 3 + put_dst(buffer + length + 3, dst, dst_length);
      blocks[i] = sha512_pad(buffer, whole, BLOCK);
      if (blocks[i] > most) most = blocks[i];
    }
    if (!wide) { /* an item of over a kilobyte: one at a time */
      for (size_t i = 0; i < LANES && at + i < n; i++) {
        size_t j = at + i;
        vivarium_expand_one(items + offsets[j], offsets[j + 1] - offsets[j], dst, dst_length,
                            out + 48 * j);
      }
      continue;
    }
    v state[8];
    memcpy(state, start, sizeof state);
    for (size_t block = 0; block < most; block++) {
      __mmask8 active = 0;
      for (int i = 0; i < LANES; i++) active |= (__mmask8)((block < blocks[i]) << i);
      sha512_compress8(state, buffers, block, active);
    }
    uint64_t digest[8][LANES] __attribute__((aligned(64)));
    for (int i = 0; i < 8; i++) _mm512_store_si512(digest[i], state[i]);
    size_t count = 0;
    for (int i = 0; i < LANES; i++) {
      uint8_t *buffer = buffers[i];
      for (int k = 0; k < 8; k++) {
        uint64_t x = __builtin_bswap64(digest[k][i]);
        memcpy(buffer + 8 * k, &x, 8);
      }
      buffer[64] = 1;
      count = sha512_pad(buffer, 65 + put_dst(buffer + 65, dst, dst_length), 0);
    }
    for (int i = 0; i < 8; i++) state[i] = set1(sha512_iv[i]);
    for (size_t block = 0; block < count; block++) sha512_compress8(state, buffers, block, 0xff);
    for (int i = 0; i < 6; i++) _mm512_store_si512(digest[i], state[i]);
    for (size_t i = 0; i < LANES && at + i < n; i++) {
      for (int k = 0; k < 6; k++) {
        uint64_t x = __builtin_bswap64(digest[k][i]);
        memcpy(out + 48 * (at + i) + 8 * k, &x, 8);
      }
    }
  }
}

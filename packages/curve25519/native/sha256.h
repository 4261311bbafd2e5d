/* SHA-256 (FIPS 180-4) of many short messages, and HMAC-SHA-256 (RFC 2104) of many under one key. */
#ifndef VIVARIUM_SHA256_H
#define VIVARIUM_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef void (*sha256_compress)(uint32_t state[8], const uint8_t *blocks, size_t count);

extern const uint32_t vivarium_sha256_k[64];
void vivarium_sha256_portable(uint32_t state[8], const uint8_t *blocks, size_t count);
#if defined(__x86_64__)
void vivarium_sha256_ni(uint32_t state[8], const uint8_t *blocks, size_t count);

/* At most 16 at once; see vivarium_digest and vivarium_keyed, with the states behind the prefix and the pads. */
void vivarium_digest16(const uint32_t start[8], uint64_t before, const uint8_t *rest, size_t rest_length,
                       const uint8_t *records, size_t record_bytes, size_t count, uint8_t *out,
                       size_t width);
/* Returns 0, and does nothing, if one of the items is too long for it. */
int vivarium_keyed16(const uint32_t inner[8], const uint32_t outer[8], const uint8_t *items,
                     const uint32_t *offsets, size_t count, uint8_t *out, size_t width);
#endif

/* The first `width` bytes of SHA-256(prefix || record) for n records of at most 64 bytes. */
void vivarium_digest(const uint8_t *prefix, size_t prefix_length, const uint8_t *records,
                     size_t record_bytes, size_t n, uint8_t *out, size_t width);

/* The first `width` bytes of HMAC-SHA-256(key, u32be(length) || item) for n items. */
void vivarium_keyed(const uint8_t key[32], const uint8_t *items, const uint32_t *offsets, size_t n,
                    uint8_t *out, size_t width);

#endif

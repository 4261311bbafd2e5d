/*
 * One clamped scalar times many u-coordinates of curve25519 (RFC 7748), and hash to curve (RFC 9380
 * curve25519_XMD:SHA-512_ELL2_NU_, cofactor not cleared), for one instruction set each.
 *
 * No function branches or addresses memory by the scalar. Branches on points depend on public data.
 */
#ifndef VIVARIUM_CURVE25519_KERNEL_H
#define VIVARIUM_CURVE25519_KERNEL_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  const char *name;
  /* 32 n bytes in, 32 n bytes out; a product that does not exist is 32 zero bytes. */
  void (*multiply)(const uint8_t scalar[32], const uint8_t *points, uint8_t *out, size_t n);
  /* n field elements of 48 bytes, big-endian, to n u-coordinates. */
  void (*map)(const uint8_t *elements, uint8_t *out, size_t n);
  /* n items to n elements of 48 bytes: expand_message_xmd with SHA-512 and one element. */
  void (*expand)(const uint8_t *items, const uint32_t *offsets, size_t n, const uint8_t *dst,
                 size_t dst_length, uint8_t *out);
} vivarium_kernel;

extern const vivarium_kernel vivarium_portable;
#if defined(__x86_64__)
extern const vivarium_kernel vivarium_ifma;
extern const vivarium_kernel vivarium_avx512;
extern const vivarium_kernel vivarium_avx2;
#endif

/* What all share. */
extern const uint64_t vivarium_sha512_k[80];
void vivarium_expand_one(const uint8_t *item, size_t length, const uint8_t *dst, size_t dst_length,
                         uint8_t out[48]);

#endif

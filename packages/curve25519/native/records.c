#include "records.h"

#include <string.h>

/* Look-ups whose memory is asked for before any is needed. */
#define FLIGHT 32
#define NONE 0xffffffffu

static uint64_t load64(const uint8_t *p) {
  uint64_t x;
  memcpy(&x, p, 8);
  return x;
}

static uint64_t fold(uint64_t a, uint64_t b) {
  unsigned __int128 p = (unsigned __int128)a * b;
  return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* Seeded: records come from a peer, who could otherwise choose a million that fall into one slot. */
static uint32_t hash_of(const vivarium_records *t, const uint8_t *record) {
  uint64_t h = t->seeds[0];
  for (size_t i = 0; i + 8 <= t->width; i += 8) h = fold(h ^ load64(record + i), t->seeds[1] | 1);
  h = fold(h ^ load64(record + t->width - 8) ^ t->seeds[3], t->seeds[2] | 1);
  return (uint32_t)h;
}

/* The slot of the record, or the free one where it belongs. */
static size_t slot_of(const vivarium_records *t, uint32_t hash, const uint8_t *record) {
  size_t slot = hash & t->mask;
  for (;;) {
    uint32_t index = t->slots[2 * slot + 1];
    if (index == 0) return slot;
    if (t->slots[2 * slot] == hash && index <= t->size &&
        memcmp(t->records + (size_t)(index - 1) * t->width, record, t->width) == 0) {
      return slot;
    }
    slot = (slot + 1) & t->mask;
  }
}

/* Hashes of a flight, with their slots, and records of the same hash, on their way into the cache. */
static void ask(const vivarium_records *t, const uint8_t *source, size_t n, uint32_t *hashes) {
  for (size_t i = 0; i < n; i++) {
    hashes[i] = hash_of(t, source + i * t->width);
    __builtin_prefetch(t->slots + 2 * (size_t)(hashes[i] & t->mask));
  }
  for (size_t i = 0; i < n; i++) {
    size_t slot = hashes[i] & t->mask;
    uint32_t index = t->slots[2 * slot + 1];
    if (index != 0 && t->slots[2 * slot] == hashes[i] && index <= t->size) {
      __builtin_prefetch(t->records + (size_t)(index - 1) * t->width);
    }
  }
}

void vivarium_records_add(vivarium_records *t, const uint8_t *source, size_t n, uint32_t *out) {
  uint32_t hashes[FLIGHT];
  for (size_t at = 0; at < n; at += FLIGHT) {
    const size_t count = n - at < FLIGHT ? n - at : FLIGHT;
    ask(t, source + at * t->width, count, hashes);
    for (size_t i = 0; i < count; i++) {
      const uint8_t *record = source + (at + i) * t->width;
      size_t slot = slot_of(t, hashes[i], record);
      uint32_t index = t->slots[2 * slot + 1];
      if (index == 0) {
        uint8_t *to = t->records + t->size * t->width;
        if (to != record) memcpy(to, record, t->width);
        index = (uint32_t)++t->size;
        t->slots[2 * slot] = hashes[i];
        t->slots[2 * slot + 1] = index;
      } else if (out == NULL) {
        return;
      }
      if (out != NULL) out[at + i] = index - 1;
    }
  }
}

void vivarium_records_find(const vivarium_records *t, const uint8_t *source, size_t n, uint32_t *out) {
  uint32_t hashes[FLIGHT];
  for (size_t at = 0; at < n; at += FLIGHT) {
    const size_t count = n - at < FLIGHT ? n - at : FLIGHT;
    ask(t, source + at * t->width, count, hashes);
    for (size_t i = 0; i < count; i++) {
      size_t slot = slot_of(t, hashes[i], source + (at + i) * t->width);
      uint32_t index = t->slots[2 * slot + 1];
      out[at + i] = index == 0 ? NONE : index - 1;
    }
  }
}

int vivarium_records_gather(const uint8_t *records, size_t count, size_t width, const uint32_t *order,
                            size_t n, uint8_t *out) {
  for (size_t i = 0; i < n; i++) {
    if (i + FLIGHT < n && order[i + FLIGHT] < count) {
      __builtin_prefetch(records + (size_t)order[i + FLIGHT] * width);
    }
    /* Read once: another thread could change it between check and use. */
    const uint32_t index = *(const volatile uint32_t *)(order + i);
    if (index >= count) return 0;
    memcpy(out + i * width, records + (size_t)index * width, width);
  }
  return 1;
}

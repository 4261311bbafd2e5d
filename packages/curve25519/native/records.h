/* Sets of fixed-width records on tables that JavaScript owns: open addressing, look-ups in flight together. */
#ifndef VIVARIUM_RECORDS_H
#define VIVARIUM_RECORDS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t *slots; /* pairs of hash and index + 1; an index of 0 is free */
  uint32_t mask;   /* slots - 1 */
  uint64_t seeds[4];
  uint8_t *records;
  size_t width; /* 8 to 64 */
  size_t size;  /* records in the table */
} vivarium_records;

/*
 * Adds n records; `out` gets the index of each. Without `out` the source is the table's own records, in
 * place, and the first that equals an earlier one ends it. At most half of the slots may be taken after.
 */
void vivarium_records_add(vivarium_records *table, const uint8_t *source, size_t n, uint32_t *out);
/* `out` gets the index of each of n records, or 2^32 - 1. */
void vivarium_records_find(const vivarium_records *table, const uint8_t *source, size_t n, uint32_t *out);
/* Records order[0], order[1], … of `count`. Returns 0 for an index that is not below it. */
int vivarium_records_gather(const uint8_t *records, size_t count, size_t width, const uint32_t *order,
                            size_t n, uint8_t *out);

#endif

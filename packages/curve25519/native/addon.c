/*
 * The addon: plain Node-API version 8, synchronous, for worker threads. It checks what would be memory
 * unsafe; everything else is checked in TypeScript.
 */
#include <node_api.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "records.h"
#include "sha256.h"

#define ITEM_LIMIT 65536

#define KERNELS 4

static const vivarium_kernel *kernels[KERNELS];
static size_t kernel_count;

static napi_value fail(napi_env env, const char *message) {
  napi_throw_error(env, NULL, message);
  return NULL;
}

/* A Uint8Array or Uint32Array over any buffer, shared ones included: no copy. */
static int view(napi_env env, napi_value value, napi_typedarray_type wanted, void **data, size_t *length) {
  napi_typedarray_type type;
  bool typed = false;
  return napi_is_typedarray(env, value, &typed) == napi_ok && typed &&
         napi_get_typedarray_info(env, value, &type, length, data, NULL, NULL) == napi_ok && type == wanted;
}

static const vivarium_kernel *kernel_of(napi_env env, napi_value value) {
  uint32_t index;
  if (napi_get_value_uint32(env, value, &index) != napi_ok || index >= kernel_count) return NULL;
  return kernels[index];
}

/* multiply(kernel, scalar: Uint8Array(32), points: Uint8Array(32 n), out: Uint8Array(32 n)) */
static napi_value multiply(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  size_t argc = 4, scalar_length, points_length, out_length;
  void *scalar, *points, *out;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc != 4) return fail(env, "multiply takes 4 arguments");
  const vivarium_kernel *kernel = kernel_of(env, argv[0]);
  if (kernel == NULL || !view(env, argv[1], napi_uint8_array, &scalar, &scalar_length) ||
      !view(env, argv[2], napi_uint8_array, &points, &points_length) ||
      !view(env, argv[3], napi_uint8_array, &out, &out_length) || scalar_length != 32 ||
      points_length % 32 != 0 || out_length != points_length) {
    return fail(env, "multiply: bad arguments");
  }
  if (points_length > 0) kernel->multiply(scalar, points, out, points_length / 32);
  return NULL;
}

/* Offsets that rise from 0 to `length`. A copy: another thread could change shared ones after the check. */
static uint32_t *own_offsets(const uint32_t *offsets, size_t n, size_t length) {
  uint32_t *own = malloc((n + 1) * sizeof *own);
  if (own == NULL) return NULL;
  memcpy(own, offsets, (n + 1) * sizeof *own);
  int ok = own[0] == 0 && own[n] == length;
  for (size_t i = 0; ok && i < n; i++) ok = own[i] <= own[i + 1] && own[i + 1] - own[i] <= ITEM_LIMIT;
  if (ok) return own;
  free(own);
  return NULL;
}

/* hash(kernel, items: Uint8Array, offsets: Uint32Array(n + 1), dst: Uint8Array, out: Uint8Array(32 n)) */
static napi_value hash(napi_env env, napi_callback_info info) {
  napi_value argv[5];
  size_t argc = 5, items_length, offsets_length, dst_length, out_length;
  void *items, *offsets, *dst, *out;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc != 5) return fail(env, "hash takes 5 arguments");
  const vivarium_kernel *kernel = kernel_of(env, argv[0]);
  if (kernel == NULL || !view(env, argv[1], napi_uint8_array, &items, &items_length) ||
      !view(env, argv[2], napi_uint32_array, &offsets, &offsets_length) ||
      !view(env, argv[3], napi_uint8_array, &dst, &dst_length) ||
      !view(env, argv[4], napi_uint8_array, &out, &out_length) || offsets_length == 0 ||
      dst_length == 0 || dst_length > 255 || out_length != 32 * (offsets_length - 1)) {
    return fail(env, "hash: bad arguments");
  }
  const size_t n = offsets_length - 1;
  if (n == 0) return NULL;
  uint32_t *own = own_offsets(offsets, n, items_length);
  uint8_t *elements = malloc(n * 48);
  int ok = own != NULL && elements != NULL;
  if (ok) {
    kernel->expand(items, own, n, dst, dst_length, elements);
    kernel->map(elements, out, n);
  }
  free(own);
  free(elements);
  return ok ? NULL : fail(env, "hash: bad offsets or no memory");
}

/* digest(prefix: Uint8Array, records: Uint8Array, recordBytes, width, out: Uint8Array(width n)) */
static napi_value digest(napi_env env, napi_callback_info info) {
  napi_value argv[5];
  size_t argc = 5, prefix_length, records_length, out_length;
  void *prefix, *records, *out;
  uint32_t record_bytes, width;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc != 5) return fail(env, "digest takes 5 arguments");
  if (!view(env, argv[0], napi_uint8_array, &prefix, &prefix_length) ||
      !view(env, argv[1], napi_uint8_array, &records, &records_length) ||
      napi_get_value_uint32(env, argv[2], &record_bytes) != napi_ok || record_bytes == 0 || record_bytes > 64 ||
      napi_get_value_uint32(env, argv[3], &width) != napi_ok || width == 0 || width > 32 ||
      !view(env, argv[4], napi_uint8_array, &out, &out_length) || records_length % record_bytes != 0 ||
      out_length != records_length / record_bytes * width) {
    return fail(env, "digest: bad arguments");
  }
  if (records_length > 0) vivarium_digest(prefix, prefix_length, records, record_bytes, records_length / record_bytes, out, width);
  return NULL;
}

/* keyed(key: Uint8Array(32), items: Uint8Array, offsets: Uint32Array(n + 1), width, out: Uint8Array(width n)) */
static napi_value keyed(napi_env env, napi_callback_info info) {
  napi_value argv[5];
  size_t argc = 5, key_length, items_length, offsets_length, out_length;
  void *key, *items, *offsets, *out;
  uint32_t width;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc != 5) return fail(env, "keyed takes 5 arguments");
  if (!view(env, argv[0], napi_uint8_array, &key, &key_length) || key_length != 32 ||
      !view(env, argv[1], napi_uint8_array, &items, &items_length) ||
      !view(env, argv[2], napi_uint32_array, &offsets, &offsets_length) || offsets_length == 0 ||
      napi_get_value_uint32(env, argv[3], &width) != napi_ok || width == 0 || width > 32 ||
      !view(env, argv[4], napi_uint8_array, &out, &out_length) || out_length != width * (offsets_length - 1)) {
    return fail(env, "keyed: bad arguments");
  }
  const size_t n = offsets_length - 1;
  if (n == 0) return NULL;
  uint32_t *own = own_offsets(offsets, n, items_length);
  if (own == NULL) return fail(env, "keyed: bad offsets or no memory");
  vivarium_keyed(key, items, own, n, out, width);
  free(own);
  return NULL;
}

/*
 * The table of records(slots: Uint32Array(2 * 2^k), seeds: Uint8Array(32), width, records: Uint8Array, size,
 * source: Uint8Array(width n), out: Uint32Array(n)), as both functions below take it.
 */
static int table_of(napi_env env, napi_callback_info info, vivarium_records *table, uint8_t **source,
                    size_t *n, uint32_t **out, size_t *out_length, int adding) {
  napi_value argv[7];
  size_t argc = 7, slots_length, seeds_length, records_length, source_length;
  void *seeds;
  uint32_t width, size;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc != 7 ||
      !view(env, argv[0], napi_uint32_array, (void **)&table->slots, &slots_length) ||
      slots_length < 4 || (slots_length & (slots_length - 1)) != 0 || slots_length > (size_t)1 << 32 ||
      !view(env, argv[1], napi_uint8_array, &seeds, &seeds_length) || seeds_length != sizeof table->seeds ||
      napi_get_value_uint32(env, argv[2], &width) != napi_ok || width < 8 || width > 64 ||
      !view(env, argv[3], napi_uint8_array, (void **)&table->records, &records_length) ||
      napi_get_value_uint32(env, argv[4], &size) != napi_ok || (size_t)size * width > records_length ||
      !view(env, argv[5], napi_uint8_array, (void **)source, &source_length) || source_length % width != 0 ||
      !view(env, argv[6], napi_uint32_array, (void **)out, out_length)) {
    return 0;
  }
  memcpy(table->seeds, seeds, sizeof table->seeds);
  table->mask = (uint32_t)(slots_length / 2 - 1);
  table->width = width;
  table->size = size;
  *n = source_length / width;
  /* Free slots must remain, or a look-up would not end; and every new record must have its place. */
  const size_t most = (size_t)size + (adding ? *n : 0);
  return 2 * most <= slots_length / 2 && most * width <= records_length;
}

/* recordsAdd(table..., source, out) gives the new size; with an empty `out`, source is the records. */
static napi_value records_add(napi_env env, napi_callback_info info) {
  vivarium_records table;
  uint8_t *source;
  uint32_t *out;
  size_t n, out_length;
  napi_value result;
  if (!table_of(env, info, &table, &source, &n, &out, &out_length, 1) || (out_length != 0 && out_length != n) ||
      (out_length == 0 && n != 0 && source != table.records)) {
    return fail(env, "recordsAdd: bad arguments");
  }
  vivarium_records_add(&table, source, n, out_length == 0 ? NULL : out);
  return napi_create_uint32(env, (uint32_t)table.size, &result) == napi_ok ? result : NULL;
}

/* recordsFind(table..., source, out: Uint32Array(n)): the index of each, or 2^32 - 1. */
static napi_value records_find(napi_env env, napi_callback_info info) {
  vivarium_records table;
  uint8_t *source;
  uint32_t *out;
  size_t n, out_length;
  if (!table_of(env, info, &table, &source, &n, &out, &out_length, 0) || out_length != n) {
    return fail(env, "recordsFind: bad arguments");
  }
  vivarium_records_find(&table, source, n, out);
  return NULL;
}

/* gather(records: Uint8Array, width, order: Uint32Array(n), out: Uint8Array(width n)) */
static napi_value gather(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  size_t argc = 4, records_length, order_length, out_length;
  void *records, *order, *out;
  uint32_t width;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc != 4 ||
      !view(env, argv[0], napi_uint8_array, &records, &records_length) ||
      napi_get_value_uint32(env, argv[1], &width) != napi_ok || width == 0 || width > 64 ||
      !view(env, argv[2], napi_uint32_array, &order, &order_length) ||
      !view(env, argv[3], napi_uint8_array, &out, &out_length) || out_length != width * order_length ||
      !vivarium_records_gather(records, records_length / width, width, order, order_length, out)) {
    return fail(env, "gather: bad arguments");
  }
  return NULL;
}

/* The kernels that this processor can run, fastest first. */
static size_t find_kernels(const vivarium_kernel *found[KERNELS]) {
  size_t count = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma")) {
    found[count++] = &vivarium_ifma;
  }
  if (__builtin_cpu_supports("avx512f")) found[count++] = &vivarium_avx512;
  if (__builtin_cpu_supports("avx2")) found[count++] = &vivarium_avx2;
#endif
  found[count++] = &vivarium_portable;
  return count;
}

NAPI_MODULE_INIT() {
  napi_value names, function;
  /* Each thread of the process loads the module again. */
  const vivarium_kernel *found[KERNELS] = {NULL};
  const size_t count = find_kernels(found);
  memcpy(kernels, found, sizeof found);
  kernel_count = count;
  if (napi_create_array(env, &names) != napi_ok) return NULL;
  for (size_t i = 0; i < count; i++) {
    napi_value name;
    if (napi_create_string_utf8(env, found[i]->name, NAPI_AUTO_LENGTH, &name) != napi_ok) return NULL;
    napi_set_element(env, names, (uint32_t)i, name);
  }
  napi_set_named_property(env, exports, "kernels", names);
  napi_create_function(env, "multiply", NAPI_AUTO_LENGTH, multiply, NULL, &function);
  napi_set_named_property(env, exports, "multiply", function);
  napi_create_function(env, "hash", NAPI_AUTO_LENGTH, hash, NULL, &function);
  napi_set_named_property(env, exports, "hash", function);
  napi_create_function(env, "digest", NAPI_AUTO_LENGTH, digest, NULL, &function);
  napi_set_named_property(env, exports, "digest", function);
  napi_create_function(env, "keyed", NAPI_AUTO_LENGTH, keyed, NULL, &function);
  napi_set_named_property(env, exports, "keyed", function);
  napi_create_function(env, "recordsAdd", NAPI_AUTO_LENGTH, records_add, NULL, &function);
  napi_set_named_property(env, exports, "recordsAdd", function);
  napi_create_function(env, "recordsFind", NAPI_AUTO_LENGTH, records_find, NULL, &function);
  napi_set_named_property(env, exports, "recordsFind", function);
  napi_create_function(env, "gather", NAPI_AUTO_LENGTH, gather, NULL, &function);
  napi_set_named_property(env, exports, "gather", function);
  return exports;
}

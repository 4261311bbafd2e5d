/*
 * The addon: plain Node-API version 8, synchronous, for worker threads. It checks what would be memory
 * unsafe; everything else is checked in TypeScript.
 */
#include <node_api.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "sha256.h"

#define ITEM_LIMIT 65536

static const vivarium_kernel *kernels[2];
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

static int ifma_here(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma");
#else
  return 0;
#endif
}

NAPI_MODULE_INIT() {
  napi_value names, function;
  /* Each thread of the process loads the module again. */
  size_t count = 0;
  const vivarium_kernel *found[2];
#if defined(__x86_64__)
  if (ifma_here()) found[count++] = &vivarium_ifma;
#endif
  found[count++] = &vivarium_portable;
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
  return exports;
}

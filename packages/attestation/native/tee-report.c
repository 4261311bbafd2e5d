/*
 * Reports of the TEEs that have no interface of plain files: reads 64 bytes of report data on standard
 * input, writes the report on standard output. One ioctl each; nothing is judged here.
 *
 *   tee-report csv|snp|tdreport|nitro|occlum [device]
 *
 * Output: csv 4,096 bytes; snp u32le length of the report, report, table of certificates;
 * tdreport 1,024 bytes; nitro and occlum the document or quote.
 * Exit codes: 0 done, 1 the device refuses, 2 wrong use, 3 the device is absent or not permitted.
 *
 * Sources: Linux include/uapi/linux/{sev-guest,tdx-guest,nsm}.h; Hygon csv-guest driver; Occlum
 * src/libos/src/fs/dev_fs/dev_sgx.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

static int failed(const char *device) {
  int code = errno;
  fprintf(stderr, "%s: %s\n", device, strerror(code));
  return code == ENOENT || code == EACCES || code == EPERM || code == ENXIO || code == ENODEV ? 3 : 1;
}

static int put(const void *data, size_t size) {
  return fwrite(data, 1, size, stdout) == size && fflush(stdout) == 0 ? 0 : 1;
}

/* sev-guest.h: SNP_GET_EXT_REPORT */
struct snp_report_req { uint8_t user_data[64]; uint32_t vmpl; uint8_t rsvd[28]; };
struct snp_ext_report_req { struct snp_report_req data; uint64_t certs_address; uint32_t certs_len; };
struct snp_guest_request { uint8_t msg_version; uint64_t req_data; uint64_t resp_data; uint64_t exitinfo2; };
#define SNP_GET_EXT_REPORT _IOWR('S', 0x2, struct snp_guest_request)

static int snp(int fd, const char *device, const uint8_t *input) {
  static uint8_t response[4000];
  static uint8_t certificates[64 * 1024] __attribute__((aligned(4096)));
  struct snp_ext_report_req request = {0};
  struct snp_guest_request guest = {0};
  uint32_t size, status;
  memcpy(request.data.user_data, input, 64);
  request.certs_address = (uint64_t)(uintptr_t)certificates;
  request.certs_len = sizeof certificates;
  guest.msg_version = 1;
  guest.req_data = (uint64_t)(uintptr_t)&request;
  guest.resp_data = (uint64_t)(uintptr_t)response;
  if (ioctl(fd, SNP_GET_EXT_REPORT, &guest) != 0) return failed(device);
  /* MSG_REPORT_RSP: status, size, 24 reserved bytes, report. */
  memcpy(&status, response, 4);
  memcpy(&size, response + 4, 4);
  if (status != 0 || size == 0 || size > sizeof response - 32) {
    fprintf(stderr, "%s: the firmware answers with status %u\n", device, status);
    return 1;
  }
  return put(&size, 4) || put(response + 32, size) || put(certificates, request.certs_len);
}

/* tdx-guest.h: TDX_CMD_GET_REPORT0 */
struct tdx_report_req { uint8_t reportdata[64]; uint8_t tdreport[1024]; };
#define TDX_CMD_GET_REPORT0 _IOWR('T', 1, struct tdx_report_req)

static int tdreport(int fd, const char *device, const uint8_t *input) {
  struct tdx_report_req request = {{0}, {0}};
  memcpy(request.reportdata, input, 64);
  if (ioctl(fd, TDX_CMD_GET_REPORT0, &request) != 0) return failed(device);
  return put(request.tdreport, sizeof request.tdreport);
}

/* csv-guest: the buffer goes in as user data, mnonce and their SM3, and comes out as the report. */
struct csv_report_req { uint8_t *report_data; int len; };
#define CSV_CMD_GET_REPORT _IOWR('D', 1, struct csv_report_req)
void sm3(const uint8_t *data, size_t size, uint8_t digest[32]);

static int csv(int fd, const char *device, const uint8_t *input) {
  static uint8_t buffer[4096];
  struct csv_report_req request = {buffer, sizeof buffer};
  memcpy(buffer, input, 64);
  /* The nonce of this very report: the driver's answer carries it back. */
  if (getrandom(buffer + 64, 16, 0) != 16) return failed("getrandom");
  sm3(buffer, 80, buffer + 80);
  if (ioctl(fd, CSV_CMD_GET_REPORT, &request) != 0) return failed(device);
  return put(buffer, sizeof buffer);
}

/* nsm.h: a CBOR request and a CBOR response. */
struct nsm_raw { struct iovec request; struct iovec response; };
#define NSM_IOCTL_RAW _IOWR(0x0A, 0x0, struct nsm_raw)

static int nitro(int fd, const char *device, const uint8_t *input) {
  /* {"Attestation": {"user_data": bytes, "nonce": null, "public_key": null}} */
  static const uint8_t head[] = "\xa1\x6b" "Attestation" "\xa3\x69" "user_data" "\x58\x40";
  static const uint8_t tail[] = "\x65" "nonce" "\xf6\x6a" "public_key" "\xf6";
  static uint8_t request[128], response[12288];
  struct nsm_raw raw;
  size_t at = 0, i;
  memcpy(request, head, sizeof head - 1), at = sizeof head - 1;
  memcpy(request + at, input, 64), at += 64;
  memcpy(request + at, tail, sizeof tail - 1), at += sizeof tail - 1;
  raw.request.iov_base = request, raw.request.iov_len = at;
  raw.response.iov_base = response, raw.response.iov_len = sizeof response;
  if (ioctl(fd, NSM_IOCTL_RAW, &raw) != 0) return failed(device);
  /* {"Attestation": {"document": bytes}}: the document is what follows its name. */
  static const uint8_t name[] = "\xa1\x6b" "Attestation" "\xa1\x68" "document\x59";
  size_t length = raw.response.iov_len;
  for (i = 0; i < sizeof name - 1; i++) {
    if (i >= length || response[i] != name[i]) {
      fprintf(stderr, "%s: the answer is not an attestation document\n", device);
      return 1;
    }
  }
  if (i + 2 > length) return 1;
  size_t size = (size_t)response[i] << 8 | response[i + 1];
  if (i + 2 + size > length) {
    fprintf(stderr, "%s: the document is cut off\n", device);
    return 1;
  }
  return put(response + i + 2, size);
}

/* Occlum: SGXIOC_GET_DCAP_QUOTE_SIZE and SGXIOC_GEN_DCAP_QUOTE. */
struct occlum_quote { uint8_t *report_data; uint32_t *quote_len; uint8_t *quote_buf; };
#define SGXIOC_GET_DCAP_QUOTE_SIZE _IOR('s', 7, uint32_t)
#define SGXIOC_GEN_DCAP_QUOTE _IOWR('s', 8, struct occlum_quote)

static int occlum(int fd, const char *device, const uint8_t *input) {
  uint32_t size = 0;
  if (ioctl(fd, SGXIOC_GET_DCAP_QUOTE_SIZE, &size) != 0) return failed(device);
  if (size == 0 || size > 64 * 1024) {
    fprintf(stderr, "%s: a quote of %u bytes\n", device, size);
    return 1;
  }
  uint8_t *quote = calloc(1, size), data[64];
  struct occlum_quote request = {data, &size, quote};
  memcpy(data, input, 64);
  if (quote == NULL || ioctl(fd, SGXIOC_GEN_DCAP_QUOTE, &request) != 0) return failed(device);
  return put(quote, size);
}

static const struct {
  const char *name, *device;
  int (*get)(int, const char *, const uint8_t *);
} kinds[] = {
  {"csv", "/dev/csv-guest", csv},     {"snp", "/dev/sev-guest", snp},
  {"tdreport", "/dev/tdx_guest", tdreport}, {"nitro", "/dev/nsm", nitro},
  {"occlum", "/dev/sgx", occlum},
};

int main(int argc, char **argv) {
  uint8_t input[65];
  size_t i;
  for (i = 0; argc >= 2 && i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(argv[1], kinds[i].name) != 0) continue;
    if (fread(input, 1, sizeof input, stdin) != 64) break;
    const char *device = argc > 2 ? argv[2] : kinds[i].device;
    int fd = open(device, O_RDWR | O_CLOEXEC);
    return fd < 0 ? failed(device) : kinds[i].get(fd, device, input);
  }
  fprintf(stderr, "use: tee-report csv|snp|tdreport|nitro|occlum [device] < 64 bytes\n");
  return 2;
}

/* SM3 (GB/T 32905-2016), for CSV only. */
#define ROL(x, n) ((uint32_t)((x) << ((n) & 31) | (x) >> ((32 - ((n) & 31)) & 31)))

static void sm3_block(uint32_t state[8], const uint8_t block[64]) {
  uint32_t w[68], v[8], j;
  for (j = 0; j < 16; j++) {
    w[j] = (uint32_t)block[4 * j] << 24 | (uint32_t)block[4 * j + 1] << 16 |
           (uint32_t)block[4 * j + 2] << 8 | block[4 * j + 3];
  }
  for (j = 16; j < 68; j++) {
    uint32_t x = w[j - 16] ^ w[j - 9] ^ ROL(w[j - 3], 15);
    w[j] = (x ^ ROL(x, 15) ^ ROL(x, 23)) ^ ROL(w[j - 13], 7) ^ w[j - 6];
  }
  memcpy(v, state, sizeof v);
  for (j = 0; j < 64; j++) {
    uint32_t t = j < 16 ? 0x79cc4519u : 0x7a879d8au;
    uint32_t ss1 = ROL(ROL(v[0], 12) + v[4] + ROL(t, j), 7), ss2 = ss1 ^ ROL(v[0], 12);
    uint32_t ff = j < 16 ? v[0] ^ v[1] ^ v[2] : (v[0] & v[1]) | (v[0] & v[2]) | (v[1] & v[2]);
    uint32_t gg = j < 16 ? v[4] ^ v[5] ^ v[6] : (v[4] & v[5]) | (~v[4] & v[6]);
    uint32_t tt1 = ff + v[3] + ss2 + (w[j] ^ w[j + 4]), tt2 = gg + v[7] + ss1 + w[j];
    v[3] = v[2], v[2] = ROL(v[1], 9), v[1] = v[0], v[0] = tt1;
    v[7] = v[6], v[6] = ROL(v[5], 19), v[5] = v[4], v[4] = tt2 ^ ROL(tt2, 9) ^ ROL(tt2, 17);
  }
  for (j = 0; j < 8; j++) state[j] ^= v[j];
}

void sm3(const uint8_t *data, size_t size, uint8_t digest[32]) {
  uint32_t state[8] = {0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600,
                       0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e};
  uint8_t block[64];
  size_t at = 0, i;
  for (; size - at >= 64; at += 64) sm3_block(state, data + at);
  memset(block, 0, sizeof block);
  memcpy(block, data + at, size - at);
  block[size - at] = 0x80;
  if (size - at >= 56) {
    sm3_block(state, block);
    memset(block, 0, sizeof block);
  }
  for (i = 0; i < 8; i++) block[56 + i] = (uint8_t)((uint64_t)size * 8 >> (56 - 8 * i));
  sm3_block(state, block);
  for (i = 0; i < 32; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

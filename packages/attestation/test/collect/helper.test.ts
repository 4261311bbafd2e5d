/**
 * The C program that asks devices, compiled here and run on a kernel of our own: a library in front of
 * `ioctl` answers as the drivers do, and checks what it is asked.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { buildTeeReport, type HelperKind, helperAttester } from "../../src/collect/index.ts";
import { sm3 } from "../../src/sm/sm3.ts";

const compiler = spawnSync("cc", ["--version"]).status === 0;
if (!compiler) console.warn("SKIPPED: the program that asks devices: there is no C compiler");

const binding = Uint8Array.from({ length: 64 }, (_, i) => i * 3);
const device = "/dev/null";

/** Sources: as in native/tee-report.c. The numbers are spelled out, so that a wrong one is found. */
const drivers = String.raw`
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#ifndef FAIL
#define FAIL 0
#endif
int ioctl(int fd, unsigned long request, ...) {
  va_list list; va_start(list, request); uint8_t *arg = va_arg(list, uint8_t *); va_end(list);
  (void)fd;
  if (FAIL) { errno = FAIL; return -1; }
  if (request == 0xc0205302) { /* SNP_GET_EXT_REPORT */
    uint64_t in, out, certs; uint32_t size = 1184;
    memcpy(&in, arg + 8, 8); memcpy(&out, arg + 16, 8);
    if (arg[0] != 1) { errno = EINVAL; return -1; }
    uint8_t *req = (uint8_t *)in, *resp = (uint8_t *)out;
    memcpy(&certs, req + 96, 8);
    memcpy(resp + 4, &size, 4);
    resp[32] = 3;
    memcpy(resp + 32 + 0x50, req, 64);
    memset((void *)certs, 0xcc, 8);
    return 0;
  }
  if (request == 0xc0104401) { /* CSV_CMD_GET_REPORT: left as it is, so that the input shows */
    return 0;
  }
  if (request == 0xc0200a00) { /* NSM_IOCTL_RAW */
    struct iovec *v = (struct iovec *)arg;
    uint8_t *q = v[0].iov_base, *r = v[1].iov_base;
    static const uint8_t head[] = "\xa1\x6b" "Attestation" "\xa1\x68" "document\x59";
    size_t n = sizeof head - 1;
    memcpy(r, head, n);
    r[n] = v[0].iov_len >> 8; r[n + 1] = v[0].iov_len & 255;
    memcpy(r + n + 2, q, v[0].iov_len);
    v[1].iov_len = n + 2 + v[0].iov_len;
    return 0;
  }
  if (request == 0x80047307) { uint32_t size = 100; memcpy(arg, &size, 4); return 0; }
  if (request == 0xc0187308) {
    uint64_t data, quote; memcpy(&data, arg, 8); memcpy(&quote, arg + 16, 8);
    memcpy((void *)quote, (void *)data, 64);
    return 0;
  }
  errno = ENOTTY;
  return -1;
}
`;

describe.skipIf(!compiler)("the program that asks devices", () => {
  const directory = mkdtempSync(join(tmpdir(), "vivarium-helper-"));
  let real: string;

  /** The program with these drivers in front of it. */
  function withDrivers(name: string, ...flags: readonly string[]): string {
    const source = join(directory, `${name}.c`);
    const library = join(directory, `${name}.so`);
    const program = join(directory, name);
    writeFileSync(source, drivers);
    const built = spawnSync("cc", ["-shared", "-fPIC", ...flags, "-o", library, source]);
    if (built.status !== 0) throw new Error(built.stderr.toString());
    writeFileSync(program, `#!/bin/sh\nLD_PRELOAD=${library} exec ${real} "$@"\n`);
    chmodSync(program, 0o700);
    return program;
  }

  beforeAll(async () => {
    real = await buildTeeReport(join(directory, "programs"));
    expect(await buildTeeReport(join(directory, "programs"))).toBe(real);
  });

  const collect = async (kind: HelperKind, program: string) =>
    await (await helperAttester({ kind, program, device })).collect(binding);

  test("SEV-SNP: the report and the host's certificates", async () => {
    const evidence = await collect("snp", withDrivers("snp"));
    expect(evidence.type).toBe("snp");
    expect(evidence.bytes).toHaveLength(1184);
    expect(evidence.bytes[0]).toBe(3);
    expect(evidence.bytes.slice(0x50, 0x90)).toEqual(binding);
    expect(evidence.attachments["certificates"]?.[0]).toBe(0xcc);
  });

  test("CSV: data, nonce, and their SM3", async () => {
    const program = withDrivers("csv");
    const { type, bytes } = await collect("csv", program);
    expect(type).toBe("csv");
    expect(bytes).toHaveLength(4096);
    expect(bytes.slice(0, 64)).toEqual(binding);
    expect(bytes.slice(80, 112)).toEqual(sm3(bytes.slice(0, 80)));
    const again = await collect("csv", program);
    expect(again.bytes.slice(64, 80)).not.toEqual(bytes.slice(64, 80));
  });

  test("Nitro: user data in CBOR, the document out of CBOR", async () => {
    const { type, bytes } = await collect("nitro", withDrivers("nitro"));
    expect(type).toBe("nitro");
    const text = Buffer.from(bytes).toString("latin1");
    expect(text.startsWith("\xa1\x6bAttestation\xa3\x69user_data\x58\x40")).toBe(true);
    expect(bytes.slice(26, 90)).toEqual(binding);
    expect(text.endsWith("\x65nonce\xf6\x6apublic_key\xf6")).toBe(true);
  });

  test("Occlum: the quote", async () => {
    const { type, bytes } = await collect("occlum", withDrivers("occlum"));
    expect(type).toBe("sgx");
    expect(bytes).toHaveLength(100);
    expect(bytes.slice(0, 64)).toEqual(binding);
  });

  test.each<HelperKind>(["snp", "csv", "nitro", "occlum"])(
    "%s: a refusal names the device",
    async (kind) => {
      const made = collect(kind, withDrivers("busy", "-DFAIL=EBUSY"));
      await expect(made).rejects.toThrow(/\/dev\/null: Device or resource busy/);
      // Without drivers: not such a device at all.
      await expect(collect(kind, real)).rejects.toMatchObject({ code: "unavailable" });
    },
  );

  test("an absent device is named before anything runs", async () => {
    const made = helperAttester({ kind: "csv", program: real });
    await expect(made).rejects.toThrow("/dev/csv-guest is absent");
  });
});

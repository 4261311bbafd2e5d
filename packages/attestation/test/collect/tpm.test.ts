/** TPM quotes through our own commands: on a real software TPM, and from TPMs that lie. */
import { createServer, type Server, type Socket } from "node:net";
import { concat, toHex, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { afterEach, describe, expect, test } from "vitest";
import { readTpmAk, tpmAttester } from "../../src/collect/index.ts";
import { createAk, nvDefine, nvRead, nvWrite, readPublic } from "../../src/collect/tpm/commands.ts";
import { openTpm } from "../../src/collect/tpm/device.ts";
import { mergeCollateral, readCollateralForm } from "../../src/forms/index.ts";
import { assessEvidence } from "../../src/index.ts";
import { tpmVerifier } from "../../src/tpm/index.ts";
import { noTpm, type SoftwareTpm, startTpm } from "./swtpm.ts";

const crypto = nodeCrypto();
const binding = Uint8Array.from({ length: 64 }, (_, i) => i);
const verify = (
  evidence: Parameters<ReturnType<typeof tpmVerifier>["verify"]>[0],
  ak: Uint8Array,
) => tpmVerifier().verify(evidence, { crypto, now: Date.now(), collateral: { ak } });

describe.skipIf(noTpm !== undefined)("a software TPM", () => {
  const withTpm =
    (work: (tpm: SoftwareTpm) => Promise<void>): (() => Promise<void>) =>
    async () => {
      await using tpm = await startTpm();
      await work(tpm);
    };

  test(
    "quotes a binding, and the verifier takes it as what it is",
    withTpm(async ({ address }) => {
      const evidence = await tpmAttester({ address }).collect(binding);
      const verified = await verify(evidence, await readTpmAk({ address }));
      expect(verified).toMatchObject({ type: "tpm", isolation: "none", binding: "session" });
      expect(verified.relaxations).toEqual([]);
      expect(verified.reportData).toEqual(await crypto.digest("SHA-256", binding));
      expect(Object.keys(verified.measurements)).toHaveLength(16);
    }),
  );

  test(
    "has the same key each time, and another than the next TPM",
    withTpm(async ({ address }) => {
      const key = await readTpmAk({ address });
      expect(await readTpmAk({ address })).toEqual(key);
      await using other = await startTpm();
      expect(await readTpmAk({ address: other.address })).not.toEqual(key);
      const stranger = await tpmAttester({ address: other.address }).collect(binding);
      await expect(verify(stranger, key)).rejects.toMatchObject({ code: "not-genuine" });
      // Files of both: each may be the peer, and only a policy's root says which one.
      const keys = [key, await readTpmAk({ address: other.address })].map(readCollateralForm);
      const collateral = mergeCollateral(keys);
      const verified = await tpmVerifier().verify(stranger, {
        crypto,
        now: Date.now(),
        collateral,
      });
      expect(verified.relaxations).toEqual([]);
    }),
  );

  test(
    "an extended PCR is another measurement, which a policy sees",
    withTpm(async (tpm) => {
      const attester = tpmAttester({ address: tpm.address, pcrs: [4, 11] });
      const ak = await readTpmAk(tpm);
      const before = await verify(await attester.collect(binding), ak);
      tpm.tool("tpm2_pcrextend", `11:sha256=${"ab".repeat(32)}`);
      const after = await verify(await attester.collect(binding), ak);
      expect(after.measurements["pcr04"]).toEqual(before.measurements["pcr04"]);
      const extended = new Uint8Array(64).fill(0xab, 32);
      expect(after.measurements["pcr11"]).toEqual(await crypto.digest("SHA-256", extended));
    }),
  );

  test(
    "a persistent RSA key made by tpm2-tools quotes as well, in another bank",
    withTpm(async (tpm) => {
      tpm.tool("tpm2_createek", "-c", "ek.ctx", "-G", "ecc");
      tpm.tool("tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", "-G", "rsa", "-g", "sha256");
      tpm.tool("tpm2_flushcontext", "-t");
      tpm.tool("tpm2_evictcontrol", "-C", "o", "-c", "ak.ctx", "0x81010002");
      const options = { address: tpm.address, key: 0x8101_0002 };
      const evidence = await tpmAttester({ ...options, bank: "SHA-384", pcrs: [0, 7] }).collect(
        binding,
      );
      const verified = await verify(evidence, await readTpmAk(options));
      expect(verified.measurements["pcr07"]).toHaveLength(48);
    }),
  );

  test(
    "sends the firmware's log along, which must explain the firmware's PCRs",
    withTpm(async (tpm) => {
      // What firmware does: it extends a PCR and writes that down. Here tpm2-tools are the firmware.
      const events = [0, 4, 4, 7].map((register, i) => ({
        register,
        digest: new Uint8Array(32).fill(i + 1),
      }));
      for (const { register, digest } of events) {
        tpm.tool("tpm2_pcrextend", `${register}:sha256=${toHex(digest)}`);
      }
      const options = { address: tpm.address, pcrs: [0, 4, 7, 11] };
      const ak = await readTpmAk(options);
      const eventLog = firmwareLog(events);
      const evidence = await tpmAttester({ ...options, eventLog }).collect(binding);
      const { claims } = await verify(evidence, ak);
      expect(claims["tpm"]).toMatchObject({
        eventlog: { events: 4, explained: ["pcr00", "pcr04", "pcr07", "pcr11"], unexplained: [] },
      });
      const without = firmwareLog(events.slice(0, 3));
      const other = await tpmAttester({ ...options, eventLog: without }).collect(binding);
      await expect(verify(other, ak)).rejects.toThrow(/tpm\.eventlog\.pcr-7/);

      // A running system goes on in its own PCRs, which the firmware's log knows nothing of...
      tpm.tool("tpm2_pcrextend", `11:sha256=${"ab".repeat(32)}`);
      const later = await verify(await tpmAttester({ ...options, eventLog }).collect(binding), ak);
      expect(later.claims["tpm"]).toMatchObject({ eventlog: { unexplained: ["pcr11"] } });
      // ... and what it does to the firmware's shows.
      tpm.tool("tpm2_pcrextend", `4:sha256=${"ab".repeat(32)}`);
      const changed = await tpmAttester({ ...options, eventLog }).collect(binding);
      await expect(verify(changed, ak)).rejects.toThrow(/tpm\.eventlog\.pcr-4/);
    }),
  );

  test(
    "leaves no key behind: thirty quotes on a TPM that holds three",
    withTpm(async ({ address }) => {
      const attester = tpmAttester({ address, pcrs: [0] });
      for (let i = 0; i < 30; i++) await attester.collect(binding);
    }),
  );

  test(
    "writes and reads an NV index of many chunks",
    withTpm(async ({ address }) => {
      await using device = await openTpm({ address });
      const data = Uint8Array.from({ length: 1300 }, (_, i) => i * 7);
      await nvDefine(device, 0x0140_0002, data.length);
      await nvWrite(device, 0x0140_0002, data.subarray(0, 900));
      expect((await nvRead(device, 0x0140_0002)).subarray(0, 900)).toEqual(data.subarray(0, 900));
    }),
  );

  test(
    "says what a refusal means",
    withTpm(async ({ address }) => {
      await using device = await openTpm({ address });
      await expect(readPublic(device, 0x8101_0009)).rejects.toMatchObject({
        code: "unavailable",
        message: expect.stringContaining("no such handle"),
      });
      const keys = [await createAk(device), await createAk(device), await createAk(device)];
      expect(new Set(keys.map(({ handle }) => handle)).size).toBe(3);
      await expect(createAk(device)).rejects.toThrow(/memory is full/);
    }),
  );

  test(
    "many at once take turns",
    withTpm(async ({ address }) => {
      await using device = await openTpm({ address });
      const { handle, publicArea } = await createAk(device);
      const all = await Promise.all(Array.from({ length: 20 }, () => readPublic(device, handle)));
      for (const area of all) expect(area).toEqual(publicArea);
    }),
  );

  test(
    "alone it is never accepted: its key must be named",
    withTpm(async ({ address }) => {
      const evidence = await tpmAttester({ address }).collect(binding);
      const assessment = await assessEvidence(evidence, {
        verifiers: [tpmVerifier()],
        crypto,
        now: Date.now(),
        collateral: {},
      });
      expect(assessment.accepted).toBe(false);
      expect(assessment.findings.find(({ rule }) => rule === "tpm.ak")?.ok).toBe(false);
    }),
  );
});

describe("a TPM that is none", () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  async function fake(answer: (socket: Socket, command: Uint8Array) => void): Promise<string> {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (command: Uint8Array) => answer(socket, command));
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    return `tcp:127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  }

  const header = (size: number, code = 0): Uint8Array =>
    Uint8Array.of(0x80, 0x01, 0, 0, size >> 8, size & 0xff, 0, 0, code >> 8, code & 0xff);

  test.each<[string, (socket: Socket) => void]>([
    ["says nothing", () => {}],
    ["hangs up", (socket) => void socket.destroy()],
    ["claims less than a header", (socket) => void socket.write(header(4))],
    ["claims more than a TPM has", (socket) => void socket.write(header(0x7000))],
    [
      "sends more than it claims",
      (socket) => void socket.write(new Uint8Array([...header(10), 0])),
    ],
    ["sends without end", (socket) => void socket.write(new Uint8Array(100_000).fill(0xff))],
    ["stops in the middle", (socket) => void socket.write(header(200))],
    ["answers an empty success", (socket) => void socket.write(header(10))],
    ["answers for ever to try again", (socket) => void socket.write(header(10, 0x922))],
  ])("that %s costs an error, and no more", async (_, answer) => {
    const address = await fake(answer);
    const collected = tpmAttester({ address, timeoutMs: 200 }).collect(binding);
    await expect(collected).rejects.toMatchObject({ domain: "attestation" });
  });

  test("is not used again after it failed", async () => {
    const address = await fake((socket) => void socket.write(header(4)));
    await using device = await openTpm({ address, timeoutMs: 200 });
    await expect(device.transmit(header(10))).rejects.toThrow(/does not answer as a TPM/);
    await expect(device.transmit(header(10))).rejects.toThrow(/no longer usable/);
  });

  test("can be given up", async () => {
    const address = await fake(() => {});
    const stop = new AbortController();
    const collected = tpmAttester({ address }).collect(binding, { signal: stop.signal });
    setTimeout(() => stop.abort(), 50);
    await expect(collected).rejects.toMatchObject({ code: "unavailable" });
  });

  test.each([
    ["/dev/no-such-tpm", /absent/],
    ["tcp:127.0.0.1", /not an address/],
    ["tcp:127.0.0.1:1", /nothing listens/],
    ["unix:/no/such/socket", /absent/],
  ])("%s is named", async (address, reason) => {
    await expect(tpmAttester({ address }).collect(binding)).rejects.toThrow(reason);
  });

  test.each([[[]], [[24]], [[-1]], [[0.5]], [[3, 3]]])("PCRs %j are refused", (pcrs) => {
    expect(() => tpmAttester({ address: "/dev/tpmrm0", pcrs })).toThrow(/each once/);
  });
});

/** A crypto-agile log with a SHA-256 bank: the Spec ID event, then one event an extension. */
function firmwareLog(
  events: readonly { readonly register: number; readonly digest: Uint8Array }[],
): Uint8Array {
  const u32 = (n: number): Uint8Array =>
    Uint8Array.of(n & 0xff, (n >> 8) & 0xff, (n >> 16) & 0xff, n >>> 24);
  const spec = concat(
    utf8("Spec ID Event03\0"),
    new Uint8Array(8),
    u32(1),
    Uint8Array.of(0x0b, 0, 32, 0),
    Uint8Array.of(0),
  );
  const head = concat(u32(0), u32(3), new Uint8Array(20), u32(spec.length), spec);
  const rest = events.map(({ register, digest }) =>
    concat(u32(register), u32(0x0d), u32(1), Uint8Array.of(0x0b, 0), digest, u32(0)),
  );
  return concat(head, ...rest);
}

/**
 * Sealing and opening of files beside `openssl speed -evp aes-256-gcm`, interleaved: one thread, chunks of
 * 1 MiB, rates per second of CPU time, as `openssl speed` counts too.
 */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRandom } from "@vivarium/core";
import {
  type ByteStore,
  openSealedFile,
  openSealedFileAt,
  Secret,
  sealFile,
  sealFileAt,
  secretKeyWrapper,
} from "@vivarium/seal";
import { type Benchmark, type Figure, figure, measure } from "./benchmark.ts";

const runs = 7;
const mebibyte = 1024 * 1024;
const fileMebibytes = 128;
const pieceMebibytes = 4;
const sampleSeconds = 0.5;

const wrapper = secretKeyWrapper("bench", new Secret(systemRandom().bytes(32)));
const name = "bench";
const sealing = { name, version: 1, type: "application/octet-stream", wrapper } as const;
const opening = { ...sealing, minimumVersion: 1 } as const;

/** Memory that is there already: what is measured is sealing, not the allocator. */
function fixedStore(): ByteStore {
  const held = new Uint8Array((fileMebibytes + 1) * mebibyte).fill(1);
  let size = 0;
  return {
    size: async () => size,
    read: async (offset, length) => held.subarray(offset, Math.min(size, offset + length)),
    write: async (offset, bytes) => {
      held.set(bytes, offset);
      size = Math.max(size, offset + bytes.length);
    },
    sync: async () => {},
  };
}

function* content(piece: Uint8Array): Generator<Uint8Array> {
  for (let i = 0; i < fileMebibytes; i += pieceMebibytes) yield piece;
}

/** Bytes per second of CPU time. */
async function rateOf(work: () => Promise<void>): Promise<number> {
  let files = 0;
  const { cpuSeconds } = await measure(async () => {
    const until = performance.now() + 1000 * sampleSeconds;
    do {
      await work();
      files++;
    } while (performance.now() < until);
  });
  return (files * fileMebibytes * mebibyte) / cpuSeconds;
}

/** Of `openssl speed`, bytes per second; undefined without the program. */
function opensslRate(direction: readonly string[]): number | undefined {
  const args = ["speed", ...direction, "-evp", "aes-256-gcm", "-bytes", `${mebibyte}`];
  const { stdout, status } = spawnSync("openssl", [...args, "-seconds", "1"], { encoding: "utf8" });
  const text = status === 0 ? (stdout.trim().split(/\s+/).at(-1) ?? "") : "";
  const rate = Number(text.replace(/k$/, "")) * 1000;
  return rate > 0 ? rate : undefined;
}

export const benchmark: Benchmark = {
  name: "broker",
  async run() {
    const piece = new Uint8Array(pieceMebibytes * mebibyte).fill(0xa5);
    const target = new Uint8Array(pieceMebibytes * mebibyte).fill(1);
    const store = fixedStore();
    await sealFile(store, content(piece), sealing);
    // As openssl speed, which keeps nothing of what it makes either.
    const nowhere = { ...store, size: async () => 0, write: async () => {} };
    const seal = (): Promise<void> => sealFile(nowhere, content(piece), sealing);
    const open = async (): Promise<void> => {
      await using file = await openSealedFile(store, opening);
      for (let at = 0; at < file.length; at += target.length) await file.readInto(at, target);
    };
    const rates: Record<"seal" | "open" | "encrypt" | "decrypt", number[]> = {
      seal: [],
      open: [],
      encrypt: [],
      decrypt: [],
    };
    // The first round warms up and does not count.
    for (let round = 0; round <= runs; round++) {
      const [encrypt, decrypt] = [opensslRate([]), opensslRate(["-decrypt"])];
      const [sealed, opened] = [await rateOf(seal), await rateOf(open)];
      if (round === 0) continue;
      rates.seal.push(sealed);
      rates.open.push(opened);
      if (encrypt !== undefined) rates.encrypt.push(encrypt);
      if (decrypt !== undefined) rates.decrypt.push(decrypt);
    }
    const gigabytes = (all: readonly number[]): number[] => all.map((rate) => rate / 1e9);
    const figures: Figure[] = [
      figure("broker.seal_throughput", gigabytes(rates.seal), "GB/CPU-s"),
      figure("broker.open_throughput", gigabytes(rates.open), "GB/CPU-s"),
    ];
    const compare = (what: string, ours: readonly number[], theirs: readonly number[]): void => {
      if (theirs.length < ours.length) return;
      figures.push(figure(`broker.openssl_${what}`, gigabytes(theirs), "GB/CPU-s"));
      const ratios = ours.map((rate, i) => rate / (theirs[i] as number));
      const verb = what === "encrypt" ? "seal" : "open";
      figures.push(figure(`broker.${verb}_ratio_vs_openssl`, ratios, "ratio"));
    };
    compare("encrypt", rates.seal, rates.encrypt);
    compare("decrypt", rates.open, rates.decrypt);
    figures.push(...(await onDisk(piece, target)));
    return {
      engine: "node:crypto AES-256-GCM, one thread",
      runs,
      figures,
      notes: [
        `a file of ${fileMebibytes} MiB in chunks of 1 MiB, in pieces of ${pieceMebibytes} MiB: keys, wrapping, header and copies included; sealed to nowhere, opened from memory`,
        "`openssl speed` encrypts one buffer of 1 MiB in place, again and again; its program runs for a second in every round",
        "on disk: wall time of a file of the same size, synced, in the directory for temporary files; opened from the page cache",
        ...(rates.encrypt.length === 0 ? ["there is no openssl program here: no comparison"] : []),
      ],
    };
  },
};

async function onDisk(piece: Uint8Array, target: Uint8Array): Promise<readonly Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "vivarium-bench-"));
  const path = join(directory, "file");
  const seals: number[] = [];
  const opens: number[] = [];
  const gigabytes = (fileMebibytes * mebibyte) / 1e9;
  try {
    for (let run = 0; run <= runs; run++) {
      const sealed = await measure(() => sealFileAt(path, content(piece), sealing));
      const opened = await measure(async () => {
        await using file = await openSealedFileAt(path, opening);
        for (let at = 0; at < file.length; at += target.length) await file.readInto(at, target);
      });
      if (run === 0) continue;
      seals.push(gigabytes / sealed.wallSeconds);
      opens.push(gigabytes / opened.wallSeconds);
    }
  } finally {
    await rm(directory, { recursive: true });
  }
  return [
    figure("broker.seal_to_disk", seals, "GB/s"),
    figure("broker.open_from_disk", opens, "GB/s"),
  ];
}

/**
 * The curve on one core: every engine of ours, `openssl speed` and libsodium, interleaved in one run. All
 * rates are per second of CPU time, as `openssl speed` counts too.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { systemRandom, toHex, utf8 } from "@vivarium/core";
import { type Curve25519Engine, freshScalar, surveyEngines } from "@vivarium/curve25519";
import { type Benchmark, type Figure, figure, measure, median } from "./benchmark.ts";
import { opensslRate } from "./openssl.ts";
import { installPeer } from "./peers.ts";

const peer = { name: "sodium-native", version: "5.1.0" };
const runs = 7;
const batch = 4096;
const pointBytes = 32;
const sampleSeconds = 0.25;

/** As PSI has it: a label and a session id in hexadecimal. */
const dst = utf8(`bench hash-to-curve ${toHex(systemRandom().bytes(32))}`);

/** Items as in the PSI benchmark, and their points. */
function items(): { readonly bytes: Uint8Array; readonly offsets: Uint32Array } {
  const texts = Array.from({ length: batch }, (_, i) => `user-${i.toString(36)}@example.org`);
  const offsets = new Uint32Array(batch + 1);
  for (const [i, text] of texts.entries()) offsets[i + 1] = (offsets[i] as number) + text.length;
  return { bytes: utf8(texts.join("")), offsets };
}

/** Operations per second of CPU time, out of at least `sampleSeconds` of them. */
async function rateOf(count: number, work: () => void): Promise<number> {
  let calls = 0;
  const { cpuSeconds } = await measure(() => {
    const until = performance.now() + 1000 * sampleSeconds;
    do {
      work();
      calls++;
    } while (performance.now() < until);
  });
  return (calls * count) / cpuSeconds;
}

/** What is used of sodium-native. */
interface Sodium {
  crypto_scalarmult(out: Buffer, scalar: Buffer, point: Buffer): void;
}

function sodiumWork(sodium: Sodium, points: Uint8Array): () => void {
  const scalar = Buffer.from(systemRandom().bytes(32));
  const out = Buffer.alloc(pointBytes);
  const all = Buffer.from(points);
  const inputs = Array.from({ length: 256 }, (_, i) => all.subarray(32 * i, 32 * (i + 1)));
  return () => {
    for (const input of inputs) sodium.crypto_scalarmult(out, scalar, input);
  };
}

/** Cycles per second, by a chain of dependent multiplications of three cycles each. */
function clockRate(): number {
  const rounds = 4_000_000;
  let best = 0;
  for (let repeat = 0; repeat < 5; repeat++) {
    let x = 3;
    const begin = process.cpuUsage();
    for (let i = 0; i < rounds; i++) {
      x = Math.imul(x, x);
      x = Math.imul(x, x);
      x = Math.imul(x, x);
      x = Math.imul(x, x);
      x = Math.imul(x, x);
      x = Math.imul(x, x);
      x = Math.imul(x, x);
      x = Math.imul(x, x);
    }
    const { user, system } = process.cpuUsage(begin);
    // x stays odd: the compiler cannot drop the chain.
    if ((x & 1) === 1) best = Math.max(best, (24 * rounds) / ((user + system) / 1e6));
  }
  return best;
}

/**
 * Cycles that one multiplication keeps the multiplier ports busy, at least (12,550 vpmadd52 and 1,430
 * vpmullq for eight points): two 512-bit products a cycle on Zen 5 (family 26), one on Zen 4 (family 25).
 */
function portBound(): number | undefined {
  let info = "";
  try {
    info = readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return undefined;
  }
  if (!info.includes("AuthenticAMD")) return undefined;
  const family = /cpu family\s*: (\d+)/.exec(info)?.[1];
  return family === "26" ? 6_990 : family === "25" ? 13_980 : undefined;
}

interface Contender {
  readonly name: string;
  readonly multiply: () => void;
  readonly multiplyCount: number;
  readonly hash?: () => void;
  readonly hashCount?: number;
}

function contender(engine: Curve25519Engine): Contender {
  // The slow ones would spend the whole sample in one batch.
  const count = engine.name === "noble" ? 32 : engine.name === "node" ? 256 : batch;
  const { bytes, offsets } = items();
  const some = offsets.slice(0, count + 1);
  const input = bytes.slice(0, some[count]);
  const points = engine.hashToCurve(input, some, dst);
  const scalar = freshScalar(systemRandom());
  return {
    name: engine.name,
    multiply: () => void engine.multiply(scalar, points),
    multiplyCount: count,
    hash: () => void engine.hashToCurve(input, some, dst),
    hashCount: count,
  };
}

export const benchmark: Benchmark = {
  name: "curve25519",
  async run() {
    const survey = surveyEngines();
    const working = survey
      .filter(({ problem }) => problem === undefined)
      .map(({ engine }) => engine);
    const contenders = working.map(contender);
    const directory = await installPeer(peer);
    if (directory !== undefined) {
      const sodium = createRequire(import.meta.url)(directory) as Sodium;
      const { bytes, offsets } = items();
      const points = working[0]?.hashToCurve(bytes, offsets, dst) ?? new Uint8Array();
      const multiply = sodiumWork(sodium, points);
      contenders.push({ name: "libsodium", multiply, multiplyCount: 256 });
    }
    const multiplied = new Map<string, number[]>();
    const hashed = new Map<string, number[]>();
    const openssl: number[] = [];
    const clock = clockRate();
    // The first round warms up and does not count.
    for (let round = 0; round <= runs; round++) {
      const keep = (into: Map<string, number[]>, name: string, rate: number): void => {
        if (round > 0) into.set(name, [...(into.get(name) ?? []), rate]);
      };
      for (const { name, multiply, multiplyCount, hash, hashCount } of contenders) {
        keep(multiplied, name, await rateOf(multiplyCount, multiply));
        if (hash !== undefined) keep(hashed, name, await rateOf(hashCount ?? 0, hash));
      }
      const rate = opensslRate();
      if (rate !== undefined && round > 0) openssl.push(rate);
    }
    const figures: Figure[] = [];
    for (const [name, rates] of multiplied) {
      figures.push(figure(`curve25519.${name}_multiplications`, rates, "1/s"));
    }
    if (openssl.length > 0) figures.push(figure("curve25519.openssl_speed", openssl, "1/s"));
    for (const [name, rates] of hashed) {
      figures.push(figure(`curve25519.${name}_hashes_to_curve`, rates, "1/s"));
    }
    const compare = (rates: readonly number[], with_: string, others?: readonly number[]): void => {
      if (others === undefined || others.length === 0) return;
      const ratios = rates.map((rate, i) => rate / (others[i] ?? median(others)));
      figures.push(figure(`curve25519.${with_}`, ratios, "ratio"));
    };
    for (const name of ["ifma", "avx512", "avx2", "portable"]) {
      const rates = multiplied.get(name);
      if (rates === undefined) continue;
      compare(rates, `${name}_ratio_vs_openssl`, openssl);
      compare(rates, `${name}_ratio_vs_noble`, multiplied.get("noble"));
      compare(rates, `${name}_ratio_vs_libsodium`, multiplied.get("libsodium"));
    }
    const ifma = multiplied.get("ifma");
    const bound = portBound();
    if (ifma !== undefined) {
      const cycles = ifma.map((rate) => clock / rate);
      figures.push(figure("curve25519.ifma_cycles", cycles, "cycles"));
      if (bound !== undefined) {
        const shares = cycles.map((cycle) => bound / cycle);
        figures.push(figure("curve25519.ifma_share_of_port_bound", shares, "ratio"));
      }
    }
    return {
      engine: working.map(({ name }) => name).join(", "),
      runs,
      figures,
      notes: [
        "one thread, rates per second of CPU time; batches of 4,096 points (256 for node and libsodium, 32 for noble), checks of points included",
        "`openssl speed ecdhx25519` is OpenSSL's own figure, its program run for a second in every round",
        "hash to curve is curve25519_XMD:SHA-512_ELL2_NU_ of items of about 20 bytes, expand_message_xmd included",
        bound === undefined
          ? "the multiplier ports of this processor are not known to this benchmark: no share of their bound"
          : `the multiplier ports need ${bound.toLocaleString("en-US")} cycles for one multiplication on this processor (6,990 on Zen 5, which issues two 512-bit products a cycle; twice that on Zen 4, which issues one); clock by a chain of dependent multiplications: ${(clock / 1e9).toFixed(2)} GHz`,
        ...survey.flatMap(({ engine, problem }) =>
          problem === undefined ? [] : [`${engine.name} does not run here: ${problem}`],
        ),
        ...(openssl.length === 0 ? ["there is no openssl program here: no comparison"] : []),
        ...(directory === undefined ? [`${peer.name} could not be installed: no comparison`] : []),
      ],
      versions: { [peer.name]: peer.version },
    };
  },
};

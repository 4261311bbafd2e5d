/** What a run will take: time from a calibration of this machine, bytes exactly, memory about. */

import { type Random, systemRandom, utf8 } from "@vivarium/core";
import { type Curve25519Engine, freshScalar, selectEngine } from "@vivarium/curve25519";
import { keyedTagBytes } from "./attested.ts";
import { configFields, hasPayload, type PsiConfig, protocolOf } from "./config.ts";
import { inlineExecutor } from "./executor.ts";
import type { PsiBatch } from "./input.ts";
import { payloadBytes } from "./payload.ts";
import { runRole } from "./run.ts";
import { sealBytes } from "./sealing.ts";
import type { Link } from "./session.ts";
import { tagBytes } from "./truncate.ts";

/** Seconds of one core per operation. */
export interface PsiCalibration {
  readonly engine: Curve25519Engine["name"];
  readonly multiply: number;
  readonly hash: number;
  /** Of everything else, for each item of either set, on each side. */
  readonly rest: number;
  /** Of protocol `attested`, all of it, for each item of either set. */
  readonly keyed: number;
}

export interface PsiPlan {
  /** Of the slower side, in seconds, without reading tables and without the network. */
  readonly seconds: number;
  readonly cpuSeconds: { readonly receiver: number; readonly sender: number };
  /** Frames with items: exact. Control frames and the channel come on top, less than a percent. */
  readonly bytes: { readonly toSender: number; readonly toReceiver: number };
  /** Peak of the process, about. */
  readonly memoryBytes: { readonly receiver: number; readonly sender: number };
}

/** Node.js with this program and DuckDB with its limit's usual part. */
const baseMemory = 260e6;
const engineBatch = 1_024;
const trialItems = 16_384;

/**
 * Measures this machine, on one core, in about two seconds: multiplications, hashing, and small runs of the
 * real protocol between two parties in this process.
 */
export async function calibratePsi(random: Random = systemRandom()): Promise<PsiCalibration> {
  const { engine } = selectEngine();
  const { bytes, offsets } = trialBatch(engineBatch);
  const dst = utf8("calibration");
  const points = engine.hashToCurve(bytes, offsets, dst);
  const scalar = freshScalar(random);
  const multiply = perCall(0.5, () => engine.multiply(scalar, points)) / engineBatch;
  const hash = perCall(0.3, () => engine.hashToCurve(bytes, offsets, dst)) / engineBatch;
  // The slow engines need not show more of the same.
  const items = multiply > 1e-5 ? trialItems / 32 : trialItems;
  await trial(items, "ecdh");
  const ecdh = await trial(items, "ecdh");
  await trial(4 * items, "attested");
  const keyed = (await trial(4 * items, "attested")) / (8 * items);
  // Two sides with two multiplications for each of their items, and one hash.
  const rest = Math.max(0, (ecdh - items * (4 * multiply + 2 * hash)) / (4 * items));
  return { engine: engine.name, multiply, hash, rest, keyed };
}

/**
 * @param sizes distinct items of the two sides.
 * @param cores of each side.
 * @throws PsiError `invalid-argument` for a configuration that makes no sense.
 */
export function planPsi(
  config: PsiConfig,
  sizes: { readonly receiver: number; readonly sender: number },
  calibration: PsiCalibration,
  cores: number,
): PsiPlan {
  configFields(config);
  const { receiver: n, sender: m } = sizes;
  const { multiply, hash, rest, keyed } = calibration;
  const both = config.resultTo === "both" && config.mode === "intersection" ? Math.ceil(m / 8) : 0;
  if (protocolOf(config) === "attested") {
    const width = keyedTagBytes(config.maxItems);
    const seconds = keyed * (n + m);
    return {
      seconds,
      cpuSeconds: { receiver: seconds, sender: seconds },
      bytes: { toSender: both, toReceiver: width * m },
      memoryBytes: {
        receiver: baseMemory + ownMemory(n, width) + m,
        sender: baseMemory + ownMemory(m, width) + (4 + width) * m,
      },
    };
  }
  const width = tagBytes(n, m);
  const payload = payloadBytes(config);
  const mults = hasPayload(config)
    ? { receiver: 2 * n, sender: n + m }
    : { receiver: n + m, sender: n + m };
  const side = (own: number, count: number): { cpu: number; wall: number } => {
    const curve = multiply * count + hash * own;
    // What is not arithmetic runs in one thread.
    const other = rest * (n + m);
    return { cpu: curve + other, wall: Math.max(curve / cores, 0) + other };
  };
  const receiver = side(n, mults.receiver);
  const sender = side(m, mults.sender);
  const toReceiver =
    payload === undefined ? 32 * m + width * n : 32 * n + (width + payload + sealBytes) * m;
  const peer = (own: number, other: number): number =>
    ownMemory(own, 32) + (4 + width) * own + (32 + width) * other + slots(other) + slots(own);
  return {
    seconds: Math.max(receiver.wall, sender.wall),
    cpuSeconds: { receiver: receiver.cpu, sender: sender.cpu },
    bytes: { toSender: 32 * n + both, toReceiver },
    memoryBytes: {
      receiver: baseMemory + peer(n, m),
      sender: baseMemory + peer(m, n) + (payload ?? 0) * m,
    },
  };
}

/** Bytes of a hash table: slots of eight bytes, at most half of them taken. */
function slots(records: number): number {
  return 8 * 2 ** Math.ceil(Math.log2(2 * records + 2));
}

/** Records, their table, rows and which record each is. */
function ownMemory(items: number, width: number): number {
  return (width + 8) * items + slots(items);
}

/** CPU seconds of a call. */
function perCall(seconds: number, work: () => void): number {
  work();
  const begin = process.cpuUsage();
  let calls = 0;
  let spent = 0;
  while (spent < seconds) {
    work();
    calls++;
    const { user, system } = process.cpuUsage(begin);
    spent = (user + system) / 1e6;
  }
  return spent / calls;
}

function trialBatch(items: number): PsiBatch {
  const texts = Array.from({ length: items }, (_, i) => `user-${i.toString(36)}@example.org`);
  const offsets = new Uint32Array(items + 1);
  for (const [i, text] of texts.entries()) offsets[i + 1] = (offsets[i] as number) + text.length;
  return { bytes: utf8(texts.join("")), offsets, rows: Uint32Array.from(texts, (_, i) => i) };
}

/** CPU seconds of both sides of a run in this process. */
async function trial(items: number, protocol: "ecdh" | "attested"): Promise<number> {
  const config: PsiConfig = {
    protocol,
    mode: "intersection",
    resultTo: "receiver",
    keys: { encoding: "calibration", columns: [{ name: "item", normalise: [] }] },
    maxItems: items,
    minItems: 0,
  };
  const batch = trialBatch(items);
  async function* input(): AsyncGenerator<PsiBatch> {
    yield batch;
  }
  const [receiver, sender] = pipes();
  const options = { config, teeTrust: "accepted", inputKeys: items } as const;
  const begin = process.cpuUsage();
  await Promise.all([
    runRole("receiver", receiver, { ...options, input: input(), executor: inlineExecutor() }),
    runRole("sender", sender, { ...options, input: input(), executor: inlineExecutor() }),
  ]);
  const { user, system } = process.cpuUsage(begin);
  return (user + system) / 1e6;
}

/** Two ends in this process. The items are made up: nothing here is secret. */
function pipes(): readonly [Link, Link] {
  const end = (): {
    given: Promise<AsyncIterable<Uint8Array>>;
    give: (s: AsyncIterable<Uint8Array>) => void;
  } => {
    let give: (stream: AsyncIterable<Uint8Array>) => void = () => undefined;
    const given = new Promise<AsyncIterable<Uint8Array>>((resolve) => {
      give = resolve;
    });
    return { given, give };
  };
  const [a, b] = [end(), end()];
  const link = (own: typeof a, peer: typeof a): Link => ({
    connect(outgoing) {
      own.give(outgoing);
      return (async function* () {
        yield* await peer.given;
      })();
    },
    exportKey: (context, length) =>
      Uint8Array.from({ length }, (_, i) => context[i % context.length] as number),
  });
  return [link(a, b), link(b, a)];
}

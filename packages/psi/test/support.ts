/** An in-test link: two ends that share an exporter, with every frame on record and on a leash. */
import { createHash } from "node:crypto";
import { lengthPrefixed, utf8 } from "@vivarium/core";
import {
  type PsiBatch,
  type PsiConfig,
  type PsiOptions,
  type PsiResult,
  runRole,
} from "../src/index.ts";
import { Outbox } from "../src/outbox.ts";
import type { Link } from "../src/session.ts";

export const config: PsiConfig = {
  mode: "intersection",
  resultTo: "both",
  keys: { encoding: "test/1", columns: [{ name: "key", normalise: ["trim/1"] }] },
  maxItems: 100_000,
  minItems: 0,
};

/** Sees or replaces a frame on its way; undefined cuts the connection. */
export type Tap = (
  frame: Uint8Array,
  from: "receiver" | "sender",
  index: number,
) => Uint8Array | undefined;

export interface LinkPair {
  readonly receiver: Link;
  readonly sender: Link;
  readonly frames: { from: "receiver" | "sender"; frame: Uint8Array }[];
}

let channels = 0;

export function linkPair(tap: Tap = (frame) => frame): LinkPair {
  const secret = `channel ${channels++}`;
  const frames: LinkPair["frames"] = [];
  const pipes = { receiver: new Outbox(4), sender: new Outbox(4) };
  let cut: () => void = () => undefined;
  const broken = new Promise<never>((_, reject) => {
    cut = () => reject(new Error("cut"));
  });
  broken.catch(() => undefined);
  const end = (role: "receiver" | "sender", peer: "receiver" | "sender"): Link => ({
    connect(outgoing) {
      void (async () => {
        let index = 0;
        for await (const frame of outgoing) {
          const passed = tap(Uint8Array.from(frame), role, index++);
          if (passed === undefined) return cut();
          frames.push({ from: role, frame: passed });
          await pipes[role].push(passed);
        }
        pipes[role].end();
      })();
      const source = pipes[peer][Symbol.asyncIterator]();
      return (async function* () {
        for (;;) {
          const next = await Promise.race([source.next(), broken]);
          if (next.done === true) return;
          yield next.value;
        }
      })();
    },
    exportKey: (context, length) =>
      new Uint8Array(
        createHash("sha512").update(lengthPrefixed(secret, context)).digest().subarray(0, length),
      ),
  });
  return { receiver: end("receiver", "sender"), sender: end("sender", "receiver"), frames };
}

export function batchOf(items: readonly string[], firstRow = 0): PsiBatch {
  const encoded = items.map(utf8);
  const offsets = new Uint32Array(items.length + 1);
  for (const [i, one] of encoded.entries()) offsets[i + 1] = (offsets[i] as number) + one.length;
  const bytes = new Uint8Array(offsets[items.length] as number);
  for (const [i, one] of encoded.entries()) bytes.set(one, offsets[i]);
  return { bytes, offsets, rows: Uint32Array.from(items, (_, i) => firstRow + i) };
}

/** Batches of a few items each. */
export async function* input(items: readonly string[], size = 700): AsyncGenerator<PsiBatch> {
  for (let i = 0; i < items.length; i += size) yield batchOf(items.slice(i, i + size), i);
}

export type Settled = PromiseSettledResult<PsiResult>;

/** Runs both roles to their ends. */
export async function runBoth(
  pair: LinkPair,
  receiver: Partial<PsiOptions> & { readonly items: readonly string[] },
  sender: Partial<PsiOptions> & { readonly items: readonly string[] },
): Promise<[Settled, Settled]> {
  const options = ({ items, ...rest }: Partial<PsiOptions> & { items: readonly string[] }) => ({
    config,
    input: input(items),
    ...rest,
  });
  return await Promise.allSettled([
    runRole("receiver", pair.receiver, options(receiver)),
    runRole("sender", pair.sender, options(sender)),
  ]);
}

export function resultOf(settled: Settled): PsiResult {
  if (settled.status === "rejected") throw settled.reason;
  return settled.value;
}

export function codeOf(settled: Settled): string {
  if (settled.status === "fulfilled") return "no error";
  return (settled.reason as { code?: string }).code ?? String(settled.reason);
}

/** One run of the protocol, in either role, from Hello to the last agreement. */
import { concat } from "@vivarium/core";
import { freshScalar, pointBytes } from "@vivarium/curve25519";
import { agreeOnConfig, agreeOnEnd, agreeOnSizes } from "./agree.ts";
import { keyedTagBytes, receiveKeyed, requireTrust, sendKeyed, sessionKey } from "./attested.ts";
import type { SavedSession } from "./checkpoint.ts";
import { configDigest, hasPayload, type PsiRole, protocolOf } from "./config.ts";
import type { DistinctRecords } from "./dedup.ts";
import { PsiError, toPsiError } from "./errors.ts";
import { type Payloads, receivePayloads, sendPayloads } from "./oprf.ts";
import {
  type PsiOptions,
  type PsiResult,
  type ResolvedOptions,
  resolveOptions,
} from "./options.ts";
import { PayloadStore } from "./payload.ts";
import { ProgressMeter } from "./progress.ts";
import { type Outcome, receive } from "./receiver.ts";
import { requireSameInput, requireSameRun } from "./resume.ts";
import { hashInput, type RunBase } from "./rounds.ts";
import { send } from "./sender.ts";
import { type Link, Session } from "./session.ts";

/**
 * Runs a role over a link. Either both sides get a result, exact and of the same run, or both get an
 * error and nothing else.
 * @throws PsiError
 */
export async function runRole(role: PsiRole, link: Link, options: PsiOptions): Promise<PsiResult> {
  const resolved = resolveOptions(options);
  requireTrust(role, resolved.config, resolved.teeTrust);
  // Checked before the peer hears of us: a mistake of our own is not its failure.
  const digest = configDigest(resolved.config);
  const { signal } = resolved;
  if (signal?.aborted === true) throw cancelled(signal);
  const session = new Session(link, resolved.clock, resolved.idleTimeoutMs);
  const onAbort = (): void => {
    if (signal !== undefined) session.fail(cancelled(signal));
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const result = await session.guard(play(role, link, session, resolved, digest));
    await session.finish();
    return result;
  } catch (thrown) {
    const error = toPsiError(thrown);
    await session.abort(error);
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

async function play(
  role: PsiRole,
  link: Link,
  session: Session,
  options: ResolvedOptions,
  digest: Uint8Array<ArrayBuffer>,
): Promise<PsiResult> {
  const meter = new ProgressMeter(options.clock, session, options.onProgress);
  meter.begin("waiting");
  // Before the peer hears of us: a slip must not cost the checkpoint.
  const { config } = options;
  const ecdh = protocolOf(config) === "ecdh" && !hasPayload(config);
  const saved = ecdh ? await options.checkpoint?.load() : undefined;
  if (saved !== undefined) requireSameRun(saved, role, digest);
  const { id, resumed } = await agreeOnConfig(session, link, role, options, saved);
  // The peer has not this session any more: it will never go on.
  if (saved !== undefined && resumed === undefined) await options.checkpoint?.clear();
  const run = { session, options, meter, id };
  const played = await (ecdh
    ? playEcdh(role, run, digest, resumed)
    : hasPayload(config)
      ? playPayloads(role, run)
      : playAttested(role, link, run));
  const { own, digest: inputDigest, outcome, peerItems } = played;
  const counts = { own: own.size, peer: peerItems };
  const transcript = await agreeOnEnd(session, role, id, counts, [
    ...(resumed === undefined ? [] : [resumed.roundOne]),
  ]);
  const rows =
    outcome.marked === undefined ? undefined : own.rowsOf(outcome.marked, options.duplicates);
  return {
    ...(played.statistics === undefined ? {} : { statistics: played.statistics }),
    ...(played.labels === undefined || rows === undefined || outcome.marked === undefined
      ? {}
      : { labels: labelsOf(own.indicesOf(rows, outcome.marked), played.labels) }),
    role,
    protocol: protocolOf(options.config),
    mode: options.config.mode,
    resultTo: options.config.resultTo,
    matches: outcome.matches,
    rows,
    keys: own.keys,
    items: own.size,
    peerItems,
    resumed: resumed !== undefined,
    bytesSent: session.bytesSent,
    bytesReceived: session.bytesReceived,
    timings: meter.elapsed(),
    session: id,
    configDigest: digest,
    transcript,
    inputDigest,
  };
}

/** Labels of rows, one after the other. */
function labelsOf(
  indices: Uint32Array,
  labels: ReadonlyMap<number, Uint8Array>,
): { readonly bytes: Uint8Array; readonly offsets: Uint32Array } {
  const parts = Array.from(indices, (index) => labels.get(index) as Uint8Array);
  const offsets = new Uint32Array(parts.length + 1);
  for (const [i, part] of parts.entries()) offsets[i + 1] = (offsets[i] as number) + part.length;
  return { bytes: concat(...parts), offsets };
}

interface Played extends Payloads {
  readonly own: DistinctRecords;
  readonly digest: Uint8Array<ArrayBuffer>;
  readonly outcome: Outcome;
  readonly peerItems: number;
}

async function playEcdh(
  role: PsiRole,
  base: RunBase,
  configDigest: Uint8Array<ArrayBuffer>,
  resumed: SavedSession | undefined,
): Promise<Played> {
  const { session, options, id } = base;
  const { own, digest } = await hashInput(base, pointBytes, (items, offsets) =>
    options.executor.hash(items, offsets, id),
  );
  if (resumed !== undefined) requireSameInput(resumed, digest, own.size);
  const peerItems = await agreeOnSizes(session, own.size, options);
  const scalar = resumed?.scalar ?? freshScalar(options.random);
  const save = async (order: Uint32Array, points: Uint8Array<ArrayBuffer>): Promise<void> => {
    const digests = { configDigest, inputDigest: digest, roundOne: session.transcript(role, id) };
    await options.checkpoint?.save({ role, id, scalar, order, points, ...digests });
  };
  const run = { ...base, scalar, save, ...(resumed === undefined ? {} : { resumed }) };
  const outcome = await (role === "receiver" ? receive : send)(run, own, peerItems);
  return { own, digest, outcome, peerItems };
}

async function playPayloads(role: PsiRole, base: RunBase): Promise<Played> {
  const { session, options, id } = base;
  const store =
    role === "sender" ? new PayloadStore(options.config, options.inputKeys ?? 1024) : undefined;
  const { own, digest } = await hashInput(
    base,
    pointBytes,
    (items, offsets) => options.executor.hash(items, offsets, id),
    store,
  );
  const peerItems = await agreeOnSizes(session, own.size, options);
  if (store === undefined) {
    const { labels, statistics, ...outcome } = await receivePayloads(base, own, peerItems);
    return {
      ...{ own, digest, outcome, peerItems },
      ...(labels === undefined ? {} : { labels }),
      ...(statistics === undefined ? {} : { statistics }),
    };
  }
  const run = { ...base, scalar: freshScalar(options.random) };
  return { own, digest, outcome: await sendPayloads(run, own, store, peerItems), peerItems };
}

async function playAttested(role: PsiRole, link: Link, run: RunBase): Promise<Played> {
  const { session, options, id } = run;
  const key = sessionKey(link, id);
  const width = keyedTagBytes(options.config.maxItems);
  const { own, digest } = await hashInput(run, width, (items, offsets) =>
    options.executor.keyed(key, items, offsets, width),
  );
  const peerItems = await agreeOnSizes(session, own.size, options);
  const outcome = await (role === "receiver" ? receiveKeyed : sendKeyed)(run, own, peerItems);
  return { own, digest, outcome, peerItems };
}

function cancelled(signal: AbortSignal): PsiError {
  return new PsiError("aborted", "The run was cancelled.", { cause: signal.reason });
}

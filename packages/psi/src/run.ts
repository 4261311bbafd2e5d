/** One run of the protocol, in either role, from Hello to the last agreement. */
import { freshScalar, pointBytes } from "@vivarium/curve25519";
import { agreeOnConfig, agreeOnEnd, agreeOnSizes } from "./agree.ts";
import { keyedTagBytes, receiveKeyed, requireTrust, sendKeyed, sessionKey } from "./attested.ts";
import type { SavedSession } from "./checkpoint.ts";
import { configDigest, type PsiRole, protocolOf } from "./config.ts";
import type { DistinctRecords } from "./dedup.ts";
import { PsiError, toPsiError } from "./errors.ts";
import {
  type PsiOptions,
  type PsiResult,
  type ResolvedOptions,
  resolveOptions,
} from "./options.ts";
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
  requireTrust(resolved.config, resolved.teeTrust);
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
  const meter = new ProgressMeter(options.clock, options.onProgress);
  meter.begin("waiting");
  // Before the peer hears of us: a slip must not cost the checkpoint.
  const ecdh = protocolOf(options.config) === "ecdh";
  const saved = ecdh ? await options.checkpoint?.load() : undefined;
  if (saved !== undefined) requireSameRun(saved, role, digest);
  const { id, resumed } = await agreeOnConfig(session, link, role, options, saved);
  // The peer has not this session any more: it will never go on.
  if (saved !== undefined && resumed === undefined) await options.checkpoint?.clear();
  const run = { session, options, meter, id };
  const played = await (ecdh
    ? playEcdh(role, run, digest, resumed)
    : playAttested(role, link, run));
  const { own, digest: inputDigest, outcome, peerItems } = played;
  const counts = { own: own.size, peer: peerItems };
  const transcript = await agreeOnEnd(session, role, id, counts, [
    ...(resumed === undefined ? [] : [resumed.roundOne]),
  ]);
  return {
    role,
    protocol: protocolOf(options.config),
    mode: options.config.mode,
    resultTo: options.config.resultTo,
    matches: outcome.matches,
    rows: outcome.marked === undefined ? undefined : own.rowsOf(outcome.marked, options.duplicates),
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

interface Played {
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

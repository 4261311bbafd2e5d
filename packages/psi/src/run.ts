/** One run of the protocol, in either role, from Hello to the last agreement. */
import { freshScalar } from "@vivarium/curve25519";
import { agreeOnConfig, agreeOnEnd, agreeOnSizes } from "./agree.ts";
import { configDigest, type PsiRole } from "./config.ts";
import { PsiError, toPsiError } from "./errors.ts";
import {
  type PsiOptions,
  type PsiResult,
  type ResolvedOptions,
  resolveOptions,
} from "./options.ts";
import { ProgressMeter } from "./progress.ts";
import { receive } from "./receiver.ts";
import { hashInput } from "./rounds.ts";
import { send } from "./sender.ts";
import { type Link, Session } from "./session.ts";

/**
 * Runs a role over a link. Either both sides get a result, exact and of the same run, or both get an
 * error and nothing else.
 * @throws PsiError
 */
export async function runRole(role: PsiRole, link: Link, options: PsiOptions): Promise<PsiResult> {
  const resolved = resolveOptions(options);
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
  const id = await agreeOnConfig(session, link, role, options);
  const input = await hashInput({ session, options, meter, id });
  const { own } = input;
  const peerItems = await agreeOnSizes(session, own.size, options);
  const run = { session, options, meter, id, scalar: freshScalar(options.random) };
  const outcome = await (role === "receiver" ? receive : send)(run, own, peerItems);
  const counts = { own: own.size, peer: peerItems };
  const transcript = await agreeOnEnd(session, role, id, counts);
  return {
    role,
    mode: options.config.mode,
    resultTo: options.config.resultTo,
    matches: outcome.matches,
    rows: outcome.marked === undefined ? undefined : own.rowsOf(outcome.marked, options.duplicates),
    keys: own.keys,
    items: own.size,
    peerItems,
    bytesSent: session.bytesSent,
    bytesReceived: session.bytesReceived,
    timings: meter.elapsed(),
    session: id,
    configDigest: digest,
    transcript,
    inputDigest: input.digest,
  };
}

function cancelled(signal: AbortSignal): PsiError {
  return new PsiError("aborted", "The run was cancelled.", { cause: signal.reason });
}

/**
 * Protocol `attested`: the sender sends keyed hashes of its items, the receiver compares them with its
 * own. The key is the session's, known to both trust domains and to nobody else, so that what keeps the
 * sender's set from the receiver's operator is the receiver's TEE and no cryptography: the name of the
 * protocol is in configuration, result and receipt. Far faster than ECDH, and nothing of the receiver's
 * set leaves it but its size and, with `resultTo: both`, the result.
 */
import { createHash, createSecretKey, type KeyObject } from "node:crypto";
import type { Policy } from "@vivarium/attestation";
import { encode, labels, lengthPrefixed } from "@vivarium/core";
import { gatherRecords, noRecord } from "@vivarium/curve25519";
import { toBitmap } from "./bitmap.ts";
import type { PsiMode, PsiProtocol, PsiRole } from "./config.ts";
import type { DistinctRecords } from "./dedup.ts";
import { PsiError } from "./errors.ts";
import { psiLimits } from "./limits.ts";
import type { Outcome } from "./receiver.ts";
import { type RunBase, ranges, sendRecords } from "./rounds.ts";
import { receiveResult } from "./sender.ts";
import type { Link } from "./session.ts";
import { randomPermutation } from "./shuffle.ts";
import { tagBytes } from "./truncate.ts";

/**
 * Trusting the peer's TEE is a choice of this side's policy, and a choice that must be there.
 * @throws PsiError `not-allowed`.
 */
export function requireTrust(
  role: PsiRole,
  config: { readonly protocol?: PsiProtocol; readonly mode: PsiMode },
  teeTrust: "accepted" | undefined,
): void {
  if (!trustsTee(role, config) || teeTrust === "accepted") return;
  throw new PsiError(
    "not-allowed",
    "This run trusts the peer's TEE with data of this side (protocol attested, or numbers in mode sum), " +
      'which the policy does not allow: add "psi.attested" to allow, or choose another protocol or mode.',
  );
}

/** Whether what this side sends is kept from the peer's operator by the peer's TEE alone. */
export function trustsTee(
  role: PsiRole,
  { protocol, mode }: { readonly protocol?: PsiProtocol; readonly mode: PsiMode },
): boolean {
  return protocol === "attested" || (mode === "sum" && role === "sender");
}

/** Name of the relaxation by which a policy trusts the peer's TEE with this side's items. */
export const teeTrustRelaxation = "psi.attested";

/**
 * What a policy says of a peer: accepted only if every record that its evidence could satisfy says so, for
 * a result does not tell which one it was.
 */
export function teeTrustOf(policy: Policy, peerRole: PsiRole): "accepted" | undefined {
  const records = policy.roles[peerRole]?.accept ?? [];
  const accepted =
    records.length > 0 && records.every(({ allow }) => allow?.includes(teeTrustRelaxation));
  return accepted ? "accepted" : undefined;
}

/** The key of a session: never a session of another channel's, or another run's. */
export function sessionKey(link: Link, session: Uint8Array): KeyObject {
  const context = createHash("sha256").update(lengthPrefixed(labels.psiKeyed, session)).digest();
  const bytes = link.exportKey(context, 32);
  try {
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

/**
 * Bytes of a keyed hash. Agreed sizes are not known yet when the first item is hashed, so it follows
 * from `maxItems`: at most maxItems² pairs between the sets and as many within both.
 */
export function keyedTagBytes(maxItems: number): number {
  return tagBytes(maxItems, 2 * maxItems);
}

/** The sender's only round: its distinct tags, permuted as a whole. */
export async function sendKeyed(run: RunBase, own: DistinctRecords, n: number): Promise<Outcome> {
  const { meter, options } = run;
  const m = own.size;
  const order = randomPermutation(m, options.random);
  meter.begin("mask", m);
  await sendRecords(run, "tags", gatherRecords(own.records, own.width, order), own.width);
  meter.add("mask", m, m);
  return receiveResult(run, order, Math.min(n, m));
}

/** The receiver compares each frame as it comes: the peer's tags are never all in memory. */
export async function receiveKeyed(
  run: RunBase,
  own: DistinctRecords,
  m: number,
): Promise<Outcome> {
  const { session, options, meter } = run;
  const { mode, resultTo } = options.config;
  const { width, size } = own;
  const marked = new Uint8Array(size);
  const theirs = new Uint8Array(m);
  let matches = 0;
  meter.begin("match", m);
  for (const [from, to] of ranges(m)) {
    const frame = await session.receive("tags", (to - from) * width);
    if (frame.length !== (to - from) * width) {
      throw new PsiError("protocol", `A tags frame has not the ${to - from} entries agreed on.`);
    }
    const found = own.find(frame);
    for (let i = 0; i < found.length; i++) {
      const index = found[i] as number;
      if (index === noRecord) continue;
      if (marked[index] === 1) {
        throw new PsiError("duplicate-point", `The peer sent tag ${from + i} a second time.`);
      }
      marked[index] = 1;
      theirs[from + i] = 1;
      matches++;
    }
    meter.add("match", to - from, m);
  }
  if (resultTo === "both" && mode === "cardinality") {
    await session.send("count", encode({ matches }));
  } else if (resultTo === "both") {
    const bitmap = toBitmap(theirs);
    for (const [from, to] of ranges(bitmap.length, psiLimits.bitmapFrameBytes)) {
      await session.send("bitmap", bitmap.subarray(from, to));
    }
  }
  return { matches, marked: mode === "cardinality" ? undefined : marked };
}

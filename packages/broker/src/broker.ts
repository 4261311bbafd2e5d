/**
 * The broker: changes and releases, one after the other, each in the audit log before anybody hears
 * of it. No audit, no release.
 */
import {
  createInstanceAppraiser,
  type Finding,
  type InstanceEvidence,
  InstanceResult,
  type PolicyRecord,
  type Revocations,
  type Verifier,
} from "@vivarium/attestation";
import { type Clock, type Crypto, fromBase64Url, toHex } from "@vivarium/core";
import { type AuditEvent, type AuditField, decodeEntry, encodeEntry } from "./audit/entry.ts";
import type { AuditLog } from "./audit/log.ts";
import type { LogReader } from "./audit/read.ts";
import { BrokerError } from "./errors.ts";
import {
  type BrokerState,
  decodeState,
  encodeSecret,
  encodeState,
  parseReleasePolicy,
  type Resource,
  requireOwner,
  requireResourceName,
} from "./resource.ts";
import type { StateFile } from "./state-file.ts";

export interface BrokerOptions {
  readonly file: StateFile;
  /** Of this broker alone: its last entry tells which version the store must have. */
  readonly log: AuditLog;
  /** The same log, verified, as it is now. */
  readonly reader: LogReader;
  readonly verifiers: readonly Verifier[];
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly revocations?: Revocations;
}

export interface NewResource {
  readonly name: string;
  readonly owner: string;
  /** As it comes from a file; see `parseReleasePolicy`. */
  readonly policy: unknown;
  /** 1 byte to 256 KiB. Copied. */
  readonly secret: Uint8Array;
  /** Milliseconds since the epoch; null for none. */
  readonly expiresAt: number | null;
}

/** What an instance asks with: evidence that has verified, and the digest of the key to wrap to. */
export interface ReleaseRequest<T> {
  readonly name: string;
  readonly evidence: InstanceEvidence;
  /** 32 bytes; must be that of the key in the evidence. */
  readonly keyDigest: Uint8Array;
  /** Encrypts to that key. The secret is zeroed when it resolves. */
  readonly wrap: (secret: Uint8Array) => Promise<T>;
}

/** A resource without its secret. */
export type ResourceInfo = Omit<Resource, "secret">;

export interface Broker {
  /** @throws BrokerError `exists`, `invalid-argument`, `limit-exceeded`, `unavailable`. */
  put(resource: NewResource): Promise<ResourceInfo>;
  /** A new secret under the same name and policy. @throws BrokerError `not-found`, … */
  rotate(name: string, secret: Uint8Array): Promise<ResourceInfo>;
  setPolicy(name: string, policy: unknown): Promise<ResourceInfo>;
  /** For good: the secret is forgotten, the name stays taken. */
  revoke(name: string): Promise<ResourceInfo>;
  list(): readonly ResourceInfo[];
  /**
   * Releases a secret: held against the policy now, written to the log, then wrapped.
   * @throws BrokerError `refused` (with the findings in the log only), `not-found`, `unavailable`.
   */
  release<T>(request: ReleaseRequest<T>): Promise<T>;
}

/** Text of a finding in the log. */
const maxFindingText = 512;
const maxFindings = 20;

/**
 * Opens the store and holds it against the log. @throws BrokerError `rolled-back` if either is older
 * than the other: then nothing is served.
 */
export async function openBroker(options: BrokerOptions): Promise<Broker> {
  const { file, log, verifiers, crypto, clock } = options;
  const appraiser = createInstanceAppraiser(options);
  let state: BrokerState = await load(options);
  let stale = false;
  let turn: Promise<unknown> = Promise.resolve();

  const exclusively = <T>(run: () => Promise<T>): Promise<T> => {
    const result = turn.then(run);
    turn = result.catch(() => {});
    return result;
  };

  const append = async (
    event: AuditEvent,
    version: number,
    fields: Readonly<Record<string, AuditField>>,
  ): Promise<void> => {
    await log.append(encodeEntry(event, clock.now(), { ...fields, store: version }));
  };

  /** After a failure the store may be one change ahead of the log: it is made up for. */
  const reconcile = async (): Promise<void> => {
    if (!stale) return;
    const found = await readState(file, verifiers);
    if (found.version === state.version + 1) {
      await append("change", found.version, { action: "recovered", resource: "-" });
    } else if (found.version !== state.version) {
      throw rolledBack(found.version, state.version);
    }
    state = found;
    stale = false;
  };

  const change = (
    name: string,
    action: string,
    edit: (before: Resource | undefined) => Resource,
  ): Promise<ResourceInfo> =>
    exclusively(async () => {
      requireResourceName(name);
      await reconcile();
      const after = edit(state.resources.find((resource) => resource.name === name));
      const others = state.resources.filter((resource) => resource.name !== name);
      const next: BrokerState = { version: state.version + 1, resources: [...others, after] };
      const bytes = encodeState(next);
      const records = JSON.stringify(after.policy);
      const policy = await crypto.digest("SHA-256", new TextEncoder().encode(records));
      stale = true;
      try {
        await file.write(next.version, bytes);
      } catch (cause) {
        throw new BrokerError("unavailable", "The broker's store could not be written.", { cause });
      } finally {
        bytes.fill(0);
      }
      await append("change", next.version, {
        action,
        resource: name,
        owner: after.owner,
        number: after.number,
        policy: toHex(policy),
        isolation: after.policy.isolation,
      });
      state = next;
      stale = false;
      return infoOf(after);
    });

  const existing = (name: string, before: Resource | undefined): Resource => {
    if (before === undefined) throw new BrokerError("not-found", `There is no resource ${name}.`);
    if (before.revoked) throw new BrokerError("refused", `The resource ${name} was revoked.`);
    return before;
  };

  await exclusively(() => append("start", state.version, { resources: state.resources.length }));

  return {
    put: ({ name, owner, policy, secret, expiresAt }) =>
      change(name, "put", (before) => {
        if (before !== undefined) {
          throw new BrokerError("exists", `There is a resource ${name} already; rotate it.`);
        }
        if (expiresAt !== null && !(Number.isSafeInteger(expiresAt) && expiresAt > clock.now())) {
          throw new BrokerError("invalid-argument", "A resource ends in the future, or never.");
        }
        return {
          name,
          owner: requireOwner(owner),
          policy: parseReleasePolicy(policy, verifiers),
          secret: encodeSecret(secret),
          number: 1,
          expiresAt,
          revoked: false,
        };
      }),
    rotate: (name, secret) =>
      change(name, "rotate", (before) => {
        const resource = existing(name, before);
        return { ...resource, secret: encodeSecret(secret), number: resource.number + 1 };
      }),
    setPolicy: (name, policy) =>
      change(name, "policy", (before) => ({
        ...existing(name, before),
        policy: parseReleasePolicy(policy, verifiers),
      })),
    revoke: (name) =>
      change(name, "revoke", (before) => ({
        ...existing(name, before),
        secret: "",
        revoked: true,
      })),
    list: () => state.resources.map(infoOf),

    async release({ name, evidence, keyDigest, wrap }) {
      requireResourceName(name);
      if (stale) await exclusively(reconcile);
      const { version, resources } = state;
      const resource = resources.find((one) => one.name === name);
      if (resource === undefined) {
        throw new BrokerError("not-found", `There is no resource ${name}.`);
      }
      const about = {
        resource: name,
        number: resource.number,
        identity: resource.policy.identity,
        tee: evidence.tee,
        isolation: evidence.isolation,
        evidence: evidence.evidenceDigest,
        key: toHex(keyDigest),
      };
      const refuse = async (findings: readonly Finding[]): Promise<never> => {
        await append("refusal", version, { ...about, findings: findingsText(findings) });
        throw new BrokerError("refused", `The policy of ${name} refuses the release.`);
      };
      const early = earlyRefusal(resource, evidence, toHex(keyDigest), clock.now());
      if (early !== undefined) return await refuse([early]);
      const { policy } = resource;
      const appraisal = await appraiser.appraise(evidence, policy.accept as PolicyRecord[]);
      if (!appraisal.accepted) return await refuse(appraisal.findings);
      const { result } = appraisal;
      InstanceResult.requireValid(result, clock);
      await append("release", version, {
        ...about,
        policy: result.policyDigest,
        tcb: result.tcb.status,
        expiresAt: result.expiresAt,
      });
      // The log may have been slow, and the owner may have changed its mind meanwhile.
      const now = state.resources.find((one) => one.name === name);
      if (now !== resource || clock.now() >= result.expiresAt) {
        return await refuse([
          finding("release.current", "the same resource and evidence", "changed meanwhile"),
        ]);
      }
      const secret = fromBase64Url(resource.secret);
      try {
        return await wrap(secret);
      } finally {
        secret.fill(0);
      }
    },
  };
}

/** What needs no look at the measurements. */
function earlyRefusal(
  { revoked, expiresAt, policy }: Resource,
  evidence: InstanceEvidence,
  keyDigest: string,
  now: number,
): Finding | undefined {
  if (revoked) return finding("resource.revoked", "not revoked", "revoked");
  if (expiresAt !== null && now >= expiresAt) {
    return finding("resource.expires", "not over", new Date(expiresAt).toISOString());
  }
  if (!policy.isolation.includes(evidence.isolation)) {
    return finding("resource.isolation", policy.isolation.join(" or "), evidence.isolation);
  }
  // Another key than the one in the evidence would hand the secret to whoever asks.
  if (keyDigest !== evidence.keyDigest) {
    return finding("resource.key", evidence.keyDigest, keyDigest);
  }
  return undefined;
}

function finding(rule: string, expected: string, actual: string): Finding {
  return { rule, ok: false, expected, actual };
}

function findingsText(findings: readonly Finding[]): readonly string[] {
  return findings
    .slice(0, maxFindings)
    .map(({ rule, expected, actual }) =>
      `${rule}: expected ${expected}, actual ${actual}`.slice(0, maxFindingText),
    );
}

function infoOf({ secret: _, ...info }: Resource): ResourceInfo {
  return info;
}

async function readState(file: StateFile, verifiers: readonly Verifier[]): Promise<BrokerState> {
  const found = await file.read();
  if (found === undefined) return { version: 0, resources: [] };
  try {
    const state = decodeState(found.bytes, verifiers);
    if (state.version !== found.version) {
      throw new BrokerError("malformed", "The broker's store contradicts its own version.");
    }
    return state;
  } finally {
    found.bytes.fill(0);
  }
}

async function load({ file, log, reader, verifiers, clock }: BrokerOptions): Promise<BrokerState> {
  const { size } = reader.checkpoint;
  if (size !== log.size) {
    throw new BrokerError("forked", "The audit log and what was verified of it are not the same.");
  }
  let logged = 0;
  for await (const { entry } of reader.entries(Math.max(0, size - 1), size)) {
    const { store } = decodeEntry(entry).fields;
    if (typeof store !== "number") {
      throw new BrokerError("malformed", "The last entry of the audit log is not the broker's.");
    }
    logged = store;
  }
  const state = await readState(file, verifiers);
  if (state.version === logged + 1) {
    // A crash between the store and the log: nobody was told, and now it is in the log.
    const fields = { action: "recovered", resource: "-", store: state.version };
    await log.append(encodeEntry("change", clock.now(), fields));
  } else if (state.version !== logged) {
    throw rolledBack(state.version, logged);
  }
  return state;
}

function rolledBack(store: number, logged: number): BrokerError {
  return new BrokerError(
    "rolled-back",
    `The broker's store is at version ${store}, its audit log at ${logged}: one of them was set back.`,
  );
}

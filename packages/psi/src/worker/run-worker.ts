/** The whole run of a PSI trust domain: meet, agree, match, write, sign. */
import { availableParallelism } from "node:os";
import {
  AttestationResult,
  type Collateral,
  checkPolicy,
  createAppraiser,
} from "@vivarium/attestation";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { type Channel, createEndpoint, createSessionRegistry } from "@vivarium/channel";
import { selectEngine } from "@vivarium/curve25519";
import { Secret, secretKeyWrapper } from "@vivarium/seal";
import { type KeyColumn, openTable, type Table } from "@vivarium/tables";
import { createReleaseGate, type TrustDomain } from "@vivarium/workers";
import { requireTrust, teeTrustOf } from "../attested.ts";
import { type PsiChannel, runReceiver, runSender } from "../channel.ts";
import { type PsiCheckpoint, sealedCheckpoint } from "../checkpoint.ts";
import type { PsiKeys } from "../config.ts";
import { PsiError } from "../errors.ts";
import { poolExecutor, type TaskPool } from "../executor.ts";
import { createPsiReceipt } from "../receipt.ts";
import { type PsiWorkerConfig, readWorkerConfig } from "./config.ts";
import {
  asEncodable,
  type PsiWorkerEvent,
  type PsiWorkerSummary,
  peerSummary,
  progressEvent,
} from "./events.ts";
import { meetPeer } from "./meet.ts";
import { payloadColumns, statisticsOf, writeResult } from "./output.ts";

/** @throws PsiError, TablesError, ChannelError: whatever ended the run, then nothing was written. */
export async function runWorker(domain: TrustDomain): Promise<PsiWorkerSummary> {
  const config = readWorkerConfig(domain.config);
  // A policy that pins too little would refuse every peer later; its owner should hear of it now.
  checkPolicy(domain.policy, everyVerifier());
  const role = roleOf(domain.role);
  const learns = role === "receiver" || config.resultTo === "both";
  if (
    (config.mode === "intersection" || config.mode === "labels") &&
    learns &&
    config.output === undefined
  ) {
    throw new PsiError(
      "invalid-argument",
      "This side learns the intersection: it needs an output.",
    );
  }
  // Before the peer hears of us, and before the table is read.
  requireTrust(role, config, teeTrust(domain, role));
  const emit = (event: PsiWorkerEvent): void => domain.emit(asEncodable(event));
  const checkpoint = await checkpointOf(domain, config);
  // A table that cannot be read must not cost the peer a handshake.
  await using table = await open(config, role, domain.signal);
  const sessions = createSessionRegistry({ clock: domain.clock });
  try {
    for (;;) {
      const channel = await meetPeer({
        ...config,
        endpoint: endpointOf(domain, role, sessions, config.collateral),
        tls: domain.tls,
        clock: domain.clock,
        log: domain.log,
        signal: domain.signal,
        emit,
      });
      try {
        return await overChannel(domain, role, config, table, channel, emit, checkpoint);
      } catch (thrown) {
        if (checkpoint === undefined || !isInterruption(thrown)) throw thrown;
        emit({ type: "interrupted", message: (thrown as Error).message });
      } finally {
        await channel.close("the run has ended");
      }
    }
  } finally {
    sessions.close();
  }
}

/** What the next connection may mend; a peer that gave up or lied is not asked again. */
function isInterruption(thrown: unknown): boolean {
  return thrown instanceof PsiError && thrown.code === "connection-lost";
}

/** The key comes over the launcher's own link, after the start: it is in no configuration or digest. */
async function checkpointOf(
  domain: TrustDomain,
  { checkpoint: directory }: PsiWorkerConfig,
): Promise<PsiCheckpoint | undefined> {
  if (directory === undefined) return undefined;
  let key: unknown;
  for await (const message of domain.messages) {
    key = message;
    break;
  }
  if (!(key instanceof Uint8Array) || key.length !== 32) {
    throw new PsiError("invalid-argument", "The key of the checkpoint must be 32 bytes.");
  }
  const wrapper = secretKeyWrapper("psi checkpoint", new Secret(key));
  key.fill(0);
  return sealedCheckpoint({ directory, wrapper });
}

async function overChannel(
  domain: TrustDomain,
  role: "receiver" | "sender",
  config: PsiWorkerConfig,
  table: Table,
  channel: Channel,
  emit: (event: PsiWorkerEvent) => void,
  checkpoint: PsiCheckpoint | undefined,
): Promise<PsiWorkerSummary> {
  const { clock, crypto, random, signal } = domain;
  const peer = attested(channel);
  emit({ type: "attested", peer: peerSummary(peer) });
  const { engine } = selectEngine(config.engine);
  const trust = teeTrust(domain, role);
  const result = await (role === "receiver" ? runReceiver : runSender)(released(channel, domain), {
    ...(trust === undefined ? {} : { teeTrust: trust }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
    config: {
      ...(config.protocol === undefined ? {} : { protocol: config.protocol }),
      mode: config.mode,
      ...(config.labels === undefined ? {} : { labels: config.labels }),
      ...(config.sum === undefined ? {} : { sum: config.sum }),
      resultTo: config.resultTo,
      keys: table.description as unknown as PsiKeys,
      maxItems: config.maxItems,
      minItems: config.minItems,
    },
    input: table.batches(),
    // With several identifiers a row, how many keys there are is known at the end.
    ...(config.input.match === "any" ? {} : { inputKeys: table.rows }),
    executor: poolExecutor(releasedPool(channel, domain), {
      engine: engine.name,
      threads: availableParallelism(),
      signal,
    }),
    onProgress: (progress) => emit(progressEvent(progress)),
    ...{ signal, clock, random },
  });
  const rowsWritten = await writeResult(config, result, table.counts.rows, signal);
  const receipt = await createPsiReceipt(result, {
    ...{ crypto, clock, random, peer },
    signer: domain.signer,
    receiptSigner: domain.receiptSigner,
    delegation: domain.delegation(),
  });
  // The output is on the disk: only now nobody needs the session any more.
  await checkpoint?.clear();
  const { protocol, mode, resultTo, keys, items, peerItems } = result;
  const { bytesSent, bytesReceived, timings } = result;
  return {
    ...{
      role,
      protocol,
      mode,
      resultTo,
      keys,
      items,
      peerItems,
      bytesSent,
      bytesReceived,
      timings,
    },
    matches: result.matches ?? null,
    statistics: statisticsOf(config, result),
    rows: table.counts.rows,
    missing: table.counts.missing,
    invalid: table.counts.invalid,
    resumed: result.resumed,
    rowsWritten,
    engine: engine.name,
    peer: peerSummary(peer),
    receipt: receipt.bytes,
    inputSalt: receipt.inputSalt,
  };
}

function teeTrust({ policy }: TrustDomain, role: "receiver" | "sender"): "accepted" | undefined {
  return teeTrustOf(policy, role === "receiver" ? "sender" : "receiver");
}

/** The newest result: re-attestation replaces it while the run goes on. */
function attested(channel: Channel): AttestationResult {
  const { peer } = channel;
  if (!AttestationResult.is(peer)) {
    throw new PsiError("invalid-argument", "The peer of this channel has not been attested.");
  }
  return peer;
}

/** The channel with its session keys behind the release gate. */
function released(channel: Channel, { clock }: TrustDomain): PsiChannel {
  const gate = createReleaseGate({ clock });
  return {
    get peer() {
      return channel.peer;
    },
    closed: channel.closed,
    stream: channel.stream.bind(channel),
    serve: channel.serve.bind(channel),
    exportKey: (context, length) => gate.key(attested(channel), channel, context, length),
  };
}

/** Every batch of work is a release of its own: work ends with the peer's attestation. */
function releasedPool(channel: Channel, { clock, pool }: TrustDomain): TaskPool {
  const gate = createReleaseGate({ clock });
  return {
    run: (name, input, options) =>
      gate.task(attested(channel), channel, pool, name, input, options),
  };
}

function open(
  config: PsiWorkerConfig,
  role: "receiver" | "sender",
  signal: AbortSignal,
): Promise<Table> {
  // Names of normalisers are checked by tables, which knows them.
  const keys = config.input.keys as readonly KeyColumn[];
  const payload = role === "sender" ? payloadColumns(config) : undefined;
  return openTable({
    ...config.input,
    keys,
    signal,
    ...(payload === undefined ? {} : { payload }),
  });
}

function endpointOf(
  domain: TrustDomain,
  role: "receiver" | "sender",
  sessions: ReturnType<typeof createSessionRegistry>,
  collateral: Collateral | undefined,
) {
  const { crypto, clock, random, log, policy, statement, attester, workload } = domain;
  return createEndpoint({
    mode: "mutual",
    role,
    peerRole: role === "receiver" ? "sender" : "receiver",
    ...{ workload, statement, attester, policy, crypto, clock, random, log, sessions },
    identity: { delegation: () => domain.delegation(), signer: domain.signer },
    appraiser: createAppraiser({ verifiers: everyVerifier(), crypto, clock }),
    ...(collateral === undefined ? {} : { collateral }),
  });
}

function roleOf(role: string): "receiver" | "sender" {
  if (role === "receiver" || role === "sender") return role;
  throw new PsiError("invalid-argument", "The role must be receiver or sender.");
}

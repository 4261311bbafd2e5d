/** An aggregator and its participants in this process, over attested channels of memory. */
import {
  createAppraiser,
  createDelegation,
  fingerprint,
  type Policy,
  type Statement,
} from "@vivarium/attestation";
import { simulatedAttester, simulatedVerifier } from "@vivarium/attestation/simulated";
import {
  type Channel,
  createEndpoint,
  createSessionRegistry,
  createTlsIdentity,
  memoryTransportPair,
  type TlsIdentity,
} from "@vivarium/channel";
import { type Signer, silentLog, systemClock, systemRandom, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import {
  type AggregatorOptions,
  aggregate,
  type FederatedResult,
  runIdOf,
  welcome,
} from "../src/aggregator.ts";
import { memoryJournal } from "../src/journal.ts";
import { examplesOf } from "../src/learn/examples.ts";
import { linearSize, linearTrainer } from "../src/learn/linear.ts";
import type { Trainer } from "../src/learn/trainer.ts";
import { Members } from "../src/members.ts";
import { volatileMemory } from "../src/memory.ts";
import { type ParticipantOptions, participate } from "../src/participant.ts";
import type { FederatedPlan } from "../src/plan.ts";
import { memorySpool } from "../src/spool.ts";

export const crypto = nodeCrypto();
export const random = systemRandom();
const clock = systemClock();
const digest = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const measured = {
  code: digest(1),
  runtime: digest(2),
  flags: digest(3),
  policy: digest(4),
  config: digest(5),
};
const root = await crypto.generateSigner("ES256");

export interface Party {
  readonly identity: Signer;
  readonly worker: Signer;
  readonly tls: TlsIdentity;
  readonly statement: Statement;
  readonly fingerprint: string;
}

export async function party(): Promise<Party> {
  const worker = await crypto.generateSigner("ES256");
  const identity = await crypto.generateSigner("ES256");
  const tls = await createTlsIdentity({ clock });
  const keys = {
    tls: tls.spki,
    signing: worker.publicKey,
    hpke: digest(9),
    receipt: worker.publicKey,
  };
  return {
    ...{ identity, worker, tls },
    statement: { ...measured, keys },
    fingerprint: await fingerprint(crypto, identity.publicKey),
  };
}

const policy = async (peers: readonly Party[], role: string): Promise<Policy> => ({
  version: 1,
  name: "federated test",
  roles: {
    [role]: {
      identities: peers.map((peer) => peer.fingerprint),
      accept: [
        {
          type: "simulated",
          isolation: "simulated",
          binding: "session",
          root: await fingerprint(crypto, root.publicKey),
          measurements: { code: [toHex(measured.code)], runtime: [toHex(measured.runtime)] },
          minimumSvn: { svn: 1 },
          tcb: ["UpToDate"],
          debug: false,
          maxAgeSeconds: 600,
        },
      ],
    },
  },
});

async function open(
  own: Party,
  role: string,
  peerRole: string,
  peers: readonly Party[],
  transport: ReturnType<typeof memoryTransportPair>[0],
): Promise<Channel> {
  const now = clock.now();
  const delegation = await createDelegation(own.identity, {
    worker: own.worker.publicKey,
    code: own.statement.code,
    workload: "federated",
    notBefore: now - 1_000,
    notAfter: now + 3_600_000,
  });
  const endpoint = createEndpoint({
    ...{ mode: "mutual", role, peerRole, workload: "federated" },
    ...{ crypto, clock, random, log: silentLog },
    policy: await policy(peers, peerRole),
    statement: own.statement,
    attester: simulatedAttester({ root, crypto, clock, measured, svn: 3 }),
    identity: { delegation: () => delegation, signer: own.worker },
    appraiser: createAppraiser({ verifiers: [simulatedVerifier()], crypto, clock }),
    sessions: createSessionRegistry({ clock }),
  });
  return await endpoint.open(transport);
}

/** A channel between both: the aggregator's end, then the participant's. */
export async function connect(
  aggregator: Party,
  participant: Party,
): Promise<readonly [Channel, Channel]> {
  const [client, server] = memoryTransportPair({
    clientKey: participant.tls.spki,
    serverKey: aggregator.tls.spki,
  });
  return await Promise.all([
    open(aggregator, "aggregator", "participant", [participant], server),
    open(participant, "participant", "aggregator", [aggregator], client),
  ]);
}

export const plan = (changes: Partial<FederatedPlan> = {}): FederatedPlan => ({
  name: "test",
  model: { kind: "linear", classes: 2, features: 4, input: "numbers" },
  training: { epochs: 2, batchSize: 8, learningRate: 0.5, l2: 0 },
  strategy: { name: "fedavg", settings: {}, clipNorm: null },
  privacy: null,
  rounds: 3,
  minAvailable: 3,
  sampleSize: 3,
  minResponses: 3,
  graceMs: 200,
  deadlineMs: 20_000,
  evaluateEvery: 1,
  patience: 0,
  seed: 7,
  ...changes,
});

/** Rows of two classes that a line separates, another cloud for each owner. */
export function rowsOf(owner: number, count = 40) {
  let state = owner * 7919 + 1;
  const draw = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  return Array.from({ length: count }, () => {
    const numbers = [draw(), draw(), draw(), draw() + owner / 10];
    const [a = 0, b = 0, c = 0] = numbers;
    return { numbers, label: a - b + c / 2 > 0 ? 1 : 0 };
  });
}

export function trainerOf(owner: number): Trainer {
  const rows = rowsOf(owner);
  return linearTrainer(2, examplesOf(rows.slice(0, 30), 4, 2), examplesOf(rows.slice(30), 4, 2));
}

export const initial = (): Float32Array => new Float32Array(linearSize(4, 2));

export interface Side {
  readonly party: Party;
  readonly options: ParticipantOptions;
}

export async function sides(
  count: number,
  changes: (i: number) => Partial<ParticipantOptions> = () => ({}),
): Promise<Side[]> {
  return await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const own = await party();
      const options: ParticipantOptions = {
        plan: plan(),
        trainer: trainerOf(i),
        memory: volatileMemory(),
        cohort: { identities: "any", minimum: 1 },
        identity: own.fingerprint,
        signal: new AbortController().signal,
        ...{ crypto, random },
        ...changes(i),
      };
      return { party: own, options };
    }),
  );
}

export type Run = Omit<AggregatorOptions, "members"> & { readonly members: Members };

export function runOptions(changes: Partial<Run> = {}): Run {
  return {
    plan: plan(),
    initial: initial(),
    members: new Members(),
    journal: memoryJournal(),
    spool: memorySpool(),
    signal: new AbortController().signal,
    sign: async (body) => new TextEncoder().encode(JSON.stringify(body)),
    ...{ crypto, random },
    ...changes,
  };
}

/** Connects a participant; resolves when the aggregator has let it in. */
export async function join(
  aggregator: Party,
  run: Run,
  id: string,
  { party: own, options }: Side,
): Promise<{ readonly ended: Promise<string>; readonly channel: Channel }> {
  const [server, client] = await connect(aggregator, own);
  const ended = participate(client, options).then(
    () => "over",
    (error: Error) => error.message,
  );
  await welcome(server, {
    plan: run.plan,
    run: id,
    members: run.members,
    size: run.initial.length,
  });
  return { ended, channel: client };
}

/** A whole run. */
export async function runAll(run: Run, all: readonly Side[]): Promise<FederatedResult> {
  const aggregator = await party();
  const id = await runIdOf(run.journal, random);
  const joined = Promise.all(all.map((side) => join(aggregator, run, id, side)));
  joined.catch(() => undefined);
  const result = await aggregate(run, id);
  for (const { ended } of await joined) await ended;
  return result;
}

export const hexOf = (values: Float32Array): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("hex");

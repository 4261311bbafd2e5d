/** The whole run of an aggregator's trust domain: let participants in, do the rounds, write the model. */
import { writeFile } from "node:fs/promises";
import { AttestationResult, checkPolicy } from "@vivarium/attestation";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import {
  createSessionRegistry,
  type Endpoint,
  listenTls,
  type TlsListener,
} from "@vivarium/channel";
import { endorseReceiptKey, receiptParty, signReceipt } from "@vivarium/seal";
import { encodeLinear } from "@vivarium/tensors";
import type { TrustDomain } from "@vivarium/workers";
import { aggregate, type RoundReceiptBody, runIdOf, welcome } from "../aggregator.ts";
import { FederatedError } from "../errors.ts";
import { type Journal, memoryJournal, sealedJournal } from "../journal.ts";
import { initialParameters } from "../learn/model.ts";
import { type Member, Members } from "../members.ts";
import { fileSpool, memorySpool } from "../spool.ts";
import { endpointOf, stateOpener } from "./common.ts";
import type { FederatedWorkerConfig } from "./config.ts";
import {
  type AggregatorSummary,
  asEncodable,
  type FederatedWorkerEvent,
  peerRecord,
  refusal,
} from "./events.ts";

export const roundReceiptKind = "federated/round";

/** @throws FederatedError, ChannelError, SealError: whatever ended the run; a sealed state can go on. */
export async function runAggregator(
  domain: TrustDomain,
  config: FederatedWorkerConfig,
): Promise<AggregatorSummary> {
  const { plan, listen, output, state } = config;
  checkPolicy(domain.policy, everyVerifier());
  if (listen === undefined) {
    throw new FederatedError("invalid-argument", "An aggregator listens; participants connect.");
  }
  const { crypto, clock, random, signal, log, tls } = domain;
  const emit = (event: FederatedWorkerEvent): void => domain.emit(asEncodable(event));
  const open = state === undefined ? undefined : await stateOpener(domain, state);
  const journal: Journal =
    open === undefined
      ? memoryJournal()
      : sealedJournal(open("aggregator-model"), open("aggregator-set"));
  const run = await runIdOf(journal, random);
  const members = new Members();
  const sessions = createSessionRegistry({ clock });
  const initial = initialParameters(plan);
  await using listener = await listenTls({ ...listen, key: tls, clock, log });
  emit({ type: "waiting", how: "listen", address: `${listener.address}:${listener.port}` });
  void admit(listener, endpointOf(domain, "aggregator", sessions, config), {
    ...{ plan, run, members, signal, emit },
    size: initial.length,
  });
  try {
    const result = await aggregate(
      {
        ...{ plan, initial, members, journal, crypto, random, signal },
        spool: state === undefined ? memorySpool() : fileSpool(state),
        sign: (body, cohort) => sign(domain, body, cohort),
        onReceipt: async (round, receipt) => emit({ type: "receipt", round, receipt }),
        onEvent: emit,
      },
      run,
    );
    const { parameters, ...rest } = result;
    if (output !== undefined)
      await writeFile(output, encodeLinear(plan.name, { ...plan.model, parameters }), {
        mode: 0o600,
      });
    return { role: "aggregator", ...rest, parameters: parameters.length, output: output ?? null };
  } finally {
    sessions.close();
  }
}

interface Admission {
  readonly plan: FederatedWorkerConfig["plan"];
  readonly run: string;
  readonly members: Members;
  readonly size: number;
  readonly signal: AbortSignal;
  readonly emit: (event: FederatedWorkerEvent) => void;
}

/** Whoever comes, while the rounds go on. One that is refused costs the run nothing. */
async function admit(
  listener: TlsListener,
  endpoint: Endpoint,
  admission: Admission,
): Promise<void> {
  const { signal, emit } = admission;
  for await (const transport of listener.accept()) {
    void (async () => {
      const channel = await endpoint.open(transport, { signal });
      try {
        if (AttestationResult.is(channel.peer))
          emit({ type: "attested", peer: peerRecord(channel.peer) });
        const member = await welcome(channel, admission);
        if (member === undefined) return await channel.close("this participant is in quarantine");
        const { identity, examples } = member;
        emit({ type: "joined", participant: identity, examples });
        void channel.closed.then(() => emit({ type: "left", participant: identity }));
      } catch (thrown) {
        await channel.close("not accepted");
        throw thrown;
      }
      return undefined;
    })().catch((thrown: unknown) => {
      if (!signal.aborted) emit(refusal(thrown));
    });
  }
}

async function sign(
  domain: TrustDomain,
  body: RoundReceiptBody,
  cohort: readonly Member[],
): Promise<Uint8Array> {
  const { signer, receiptSigner, clock } = domain;
  const content = {
    kind: roundReceiptKind,
    issuedAt: clock.now(),
    body,
    commitments: {},
    // A receipt names at most 64 parties; the set's digest in the body covers all.
    parties: cohort.slice(0, 64).map(({ attestation }) => receiptParty(attestation)),
  };
  const endorsement = await endorseReceiptKey(signer, receiptSigner.publicKey);
  return await signReceipt(content, receiptSigner, domain.delegation(), endorsement);
}

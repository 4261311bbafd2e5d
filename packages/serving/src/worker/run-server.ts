/** The whole life of a serving trust domain: load, listen, answer, drain. */
import { AttestationResult, createAppraiser } from "@vivarium/attestation";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import {
  createEndpoint,
  createSessionRegistry,
  type Endpoint,
  listenTls,
  type SessionRegistry,
} from "@vivarium/channel";
import {
  endorseReceiptKey,
  type KeyWrapper,
  Secret,
  secretKeyWrapper,
  signReceipt,
} from "@vivarium/seal";
import type { TrustDomain } from "@vivarium/workers";
import { type AnswerReceiptInput, serveChannel } from "../channel.ts";
import { ServingCore } from "../core.ts";
import { ServingError } from "../errors.ts";
import { type RestServer, serveRest } from "../rest/http.ts";
import type { ServingWorkerConfig } from "./config.ts";
import { asEncodable, refusal, type ServingSummary, type ServingWorkerEvent } from "./events.ts";

export const answerReceiptKind = "serving/answer";

/** @throws ServingError `bad-model` if no model can be served at the start. */
export async function runServer(
  domain: TrustDomain,
  config: ServingWorkerConfig,
): Promise<ServingSummary> {
  const { clock, crypto, random, signal, log, tls } = domain;
  const emit = (event: ServingWorkerEvent): void => domain.emit(asEncodable(event));
  const wrapper = config.sealed ? await modelKey(domain) : undefined;
  const { repository: root, policies, labels, digests } = config;
  await using core = new ServingCore({
    repository: {
      root,
      ...(policies === undefined ? {} : { policies }),
      ...(labels === undefined ? {} : { labels }),
      ...(digests === undefined ? {} : { digests }),
      ...(wrapper === undefined ? {} : { wrapper }),
    },
    clock,
    batching: config.batching,
  });
  await refresh(core, emit);
  if (core.models().length === 0) {
    throw new ServingError(
      "bad-model",
      `No model of ${root} can be served; the reasons are above.`,
    );
  }
  const sessions = createSessionRegistry({ clock });
  const endpoint = endpointOf(domain, sessions, config);
  await using listener = await listenTls({ ...config.listen, key: tls, clock, log });
  const rest: RestServer | undefined =
    config.rest === undefined ? undefined : await serveRest({ ...config.rest, core, version: "1" });
  emit({
    type: "ready",
    address: `${listener.address}:${listener.port}`,
    rest: rest === undefined ? null : `${rest.address}:${rest.port}`,
  });
  void (async () => {
    for await (const transport of listener.accept()) {
      endpoint.open(transport, { signal }).then(
        (channel) => {
          emit({
            type: "client",
            channel: channel.id,
            attested: AttestationResult.is(channel.peer),
          });
          serveChannel(channel, { core, crypto, random, sign: (input) => sign(domain, input) });
        },
        (thrown: unknown) => {
          if (!signal.aborted) emit(refusal(thrown));
        },
      );
    }
  })();
  await untilStopped(core, config.pollMs, signal, emit);
  await rest?.[Symbol.asyncDispose]();
  const { requests, failures } = core.stats();
  sessions.close();
  return { requests, failures };
}

async function untilStopped(
  core: ServingCore,
  pollMs: number,
  signal: AbortSignal,
  emit: (event: ServingWorkerEvent) => void,
): Promise<void> {
  while (!signal.aborted) {
    await new Promise<void>((resolve) => {
      const timer = pollMs > 0 ? setTimeout(resolve, pollMs) : undefined;
      signal.addEventListener(
        "abort",
        () => {
          clearTimeout(timer);
          resolve();
        },
        { once: true },
      );
    });
    if (!signal.aborted) await refresh(core, emit);
  }
}

/** A repository that cannot be read now leaves what is loaded. */
async function refresh(
  core: ServingCore,
  emit: (event: ServingWorkerEvent) => void,
): Promise<void> {
  try {
    const { loaded, unloaded, broken } = await core.refresh();
    const record = ({ name, version, digest, sealed }: (typeof loaded)[number]) => ({
      name,
      version,
      digest,
      sealed,
    });
    for (const model of loaded) emit({ type: "loaded", model: record(model) });
    for (const model of unloaded) emit({ type: "unloaded", model: record(model) });
    for (const model of broken) emit({ type: "broken", ...model });
  } catch (thrown) {
    emit({ type: "broken", name: "", version: 0, reason: (thrown as Error).message });
  }
}

async function modelKey(domain: TrustDomain): Promise<KeyWrapper | undefined> {
  for await (const message of domain.messages) {
    if (message === null) return undefined;
    if (!(message instanceof Uint8Array) || message.length !== 32) break;
    const wrapper = secretKeyWrapper("models", new Secret(message));
    message.fill(0);
    return wrapper;
  }
  throw new ServingError("invalid-argument", "The key of the models must be 32 bytes.");
}

function endpointOf(
  domain: TrustDomain,
  sessions: SessionRegistry,
  { clients, collateral }: ServingWorkerConfig,
): Endpoint {
  const { crypto, clock, random, log, policy, statement, attester, workload } = domain;
  const own = {
    ...{ role: "server", peerRole: "client", workload, statement, attester },
    ...{ crypto, clock, random, log, sessions },
    identity: { delegation: () => domain.delegation(), signer: domain.signer },
  };
  if (clients === "any")
    return createEndpoint({ ...own, mode: "client-verifies-server", side: "server" });
  return createEndpoint({
    ...own,
    mode: "mutual",
    policy,
    appraiser: createAppraiser({ verifiers: everyVerifier(), crypto, clock }),
    ...(collateral === undefined ? {} : { collateral }),
  });
}

async function sign(
  domain: TrustDomain,
  { model, commitments }: AnswerReceiptInput,
): Promise<Uint8Array> {
  const { signer, receiptSigner, clock } = domain;
  const { name, version, digest } = model;
  const content = {
    kind: answerReceiptKind,
    issuedAt: clock.now(),
    body: { protocol: "vivarium serving/1", model: name, version, digest },
    commitments,
    parties: [],
  };
  const endorsement = await endorseReceiptKey(signer, receiptSigner.publicKey);
  return await signReceipt(content, receiptSigner, domain.delegation(), endorsement);
}

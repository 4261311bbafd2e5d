/** The roles over an attested channel. */
import { AttestationResult } from "@vivarium/attestation";
import { type Channel, defineStream, handleStream, type StreamMethod } from "@vivarium/channel";
import { trustsTee } from "./attested.ts";
import type { PsiRole } from "./config.ts";
import { PsiError } from "./errors.ts";
import type { PsiOptions, PsiResult } from "./options.ts";
import { runRole } from "./run.ts";
import type { Link } from "./session.ts";

/** What is used of a channel. */
export type PsiChannel = Pick<Channel, "exportKey" | "peer" | "stream" | "serve" | "closed">;

const psiStream: StreamMethod<null> = defineStream<null>("psi/2", { parseParams: () => null });

/**
 * Runs the receiver over a channel. The peer runs {@link runSender} on its end.
 * @throws PsiError
 * @example const { matches, rows } = await runReceiver(channel, { config, input: table.batches() });
 */
export async function runReceiver(channel: PsiChannel, options: PsiOptions): Promise<PsiResult> {
  requireAttested(channel, "receiver", options);
  const link: Link = {
    connect: (outgoing) => channel.stream(psiStream, outgoing, { params: null }),
    exportKey: (context, length) => channel.exportKey(context, length),
  };
  return await runRole("receiver", link, options);
}

/**
 * Runs the sender over a channel. The peer runs {@link runReceiver} on its end.
 * @throws PsiError
 */
export async function runSender(channel: PsiChannel, options: PsiOptions): Promise<PsiResult> {
  requireAttested(channel, "sender", options);
  let stop: () => void = () => undefined;
  const link: Link = {
    connect(outgoing) {
      const incoming = new Promise<AsyncIterable<Uint8Array>>((resolve, reject) => {
        stop = channel.serve([
          handleStream(psiStream, (stream) => {
            // One run: a second stream must find nobody.
            stop();
            resolve(stream);
            return outgoing;
          }),
        ]);
        void channel.closed.then(({ code }) => {
          reject(
            new PsiError("connection-lost", `The channel ended (${code}) before the run began.`),
          );
        });
      });
      incoming.catch(() => undefined);
      return (async function* () {
        yield* await incoming;
      })();
    },
    exportKey: (context, length) => channel.exportKey(context, length),
  };
  try {
    return await runRole("sender", link, options);
  } finally {
    stop();
  }
}

/** The semi-honest protocol leans on the peer running the published code: nobody else gets a run. */
function requireAttested({ peer }: PsiChannel, role: PsiRole, { config }: PsiOptions): void {
  if (!AttestationResult.is(peer)) {
    throw new PsiError("invalid-argument", "The peer of this channel has not been attested.");
  }
  if (trustsTee(role, config) && peer.isolation === "none") {
    throw new PsiError(
      "not-allowed",
      `The peer's ${peer.tee} isolates nothing, so its operator could read what this run trusts it with.`,
    );
  }
}

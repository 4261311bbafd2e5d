/** The contract of a channel. Endpoints make them; nothing else does. */
import type { AttestationResult } from "@vivarium/attestation";
import type { Encodable } from "@vivarium/core";
import type { ChannelErrorCode } from "./errors.ts";
import type { CallMethod, Handlers, StreamMethod } from "./methods.ts";
import type { UnattestedPeer } from "./peer.ts";

/** Why a channel is no more. */
export interface ChannelClosed {
  readonly code: ChannelErrorCode;
  readonly message: string;
}

export interface CallLimits {
  readonly signal?: AbortSignal;
  /** From now; crosses the wire, so that the peer stops too. None by default. */
  readonly timeoutMs?: number;
}

/** An encrypted connection to a peer whose evidence has been accepted, by both sides' policies. */
export interface Channel extends AsyncDisposable {
  /** The result in force: after a re-attestation the newest. */
  readonly peer: AttestationResult | UnattestedPeer;
  /** Equal at both ends, and of no use to others: hexadecimal digest of both bindings. */
  readonly id: string;
  /** TLS role of this end. */
  readonly role: "client" | "server";
  /** Never rejects. */
  readonly closed: Promise<ChannelClosed>;
  /** True until the first sign of an end, drain included. */
  readonly open: boolean;
  /**
   * @throws ChannelError `closed`, `expired`, `revoked`, `timeout`, `aborted`, `limit-exceeded`,
   * `connection-failed`, `remote`; or an error that the method declares.
   */
  call<Req extends Encodable, Res extends Encodable>(
    method: CallMethod<Req, Res>,
    request: Req,
    options?: CallLimits,
  ): Promise<Res>;
  /**
   * Bidirectional byte messages; boundaries are kept and messages are not copied: whoever sends one
   * gives it away. Starts at once. Ends when the peer's handler ends; leaving the loop cancels.
   * The iterable throws what {@link call} throws.
   */
  stream<Params extends Encodable>(
    method: StreamMethod<Params>,
    outgoing: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options?: CallLimits & { readonly params?: Params },
  ): AsyncIterableIterator<Uint8Array>;
  /** Registers handlers. Calls that came before wait, up to a limit. The function removes them. */
  serve(handlers: Handlers): () => void;
  /** Keying material for the workload, equal at both ends. @param length bytes, 1 to 1,024. */
  exportKey(context: Uint8Array, length: number): Uint8Array;
  /** Asks the peer for fresh evidence. Resolves with the new result in {@link peer}. */
  reattest(): Promise<void>;
  /** Takes no new calls, lets running ones finish, then closes. */
  close(reason?: string): Promise<void>;
}

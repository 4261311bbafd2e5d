/** What two ends agree to call each other by: methods with their types, and handlers for them. */
import type { AttestationResult } from "@vivarium/attestation";
import { type Encodable, type ErrorClass, utf8 } from "@vivarium/core";
import { ChannelError } from "./errors.ts";
import { maxMethodNameBytes } from "./limits.ts";
import type { UnattestedPeer } from "./peer.ts";

/** A request and its response. */
export interface CallMethod<Req extends Encodable, Res extends Encodable> {
  readonly kind: "call";
  readonly name: string;
  /** Errors that may cross the wire with code and message; all others become `remote`. */
  readonly errors: readonly ErrorClass[];
  readonly parseRequest: (value: Encodable) => Req;
  readonly parseResponse: (value: Encodable) => Res;
}

/** Byte messages in both directions at once, with parameters in front. */
export interface StreamMethod<Params extends Encodable = Encodable> {
  readonly kind: "stream";
  readonly name: string;
  readonly errors: readonly ErrorClass[];
  readonly parseParams: (value: Encodable) => Params;
}

export interface CallOptions<Req, Res> {
  readonly errors?: readonly ErrorClass[];
  /** Checks what the peer sent; without it the handler gets any decodable value as `Req`. */
  readonly parseRequest?: (value: Encodable) => Req;
  readonly parseResponse?: (value: Encodable) => Res;
}

/** @throws ChannelError `protocol` for a name that is empty or over 128 bytes. */
export function defineCall<Req extends Encodable, Res extends Encodable>(
  name: string,
  options: CallOptions<Req, Res> = {},
): CallMethod<Req, Res> {
  return {
    kind: "call",
    name: checkedName(name),
    errors: options.errors ?? [],
    parseRequest: options.parseRequest ?? ((value) => value as Req),
    parseResponse: options.parseResponse ?? ((value) => value as Res),
  };
}

/** @throws ChannelError `protocol` for a name that is empty or over 128 bytes. */
export function defineStream<Params extends Encodable = Encodable>(
  name: string,
  options: {
    readonly errors?: readonly ErrorClass[];
    readonly parseParams?: (value: Encodable) => Params;
  } = {},
): StreamMethod<Params> {
  return {
    kind: "stream",
    name: checkedName(name),
    errors: options.errors ?? [],
    parseParams: options.parseParams ?? ((value) => value as Params),
  };
}

function checkedName(name: string): string {
  if (name.length === 0 || utf8(name).length > maxMethodNameBytes) {
    throw new ChannelError("protocol", `A method's name has 1 to ${maxMethodNameBytes} bytes.`);
  }
  return name;
}

/** What a handler knows of its call. */
export interface CallContext {
  /** Fires when the caller cancels, the deadline passes or the channel closes. */
  readonly signal: AbortSignal;
  /** Who calls, as of now. */
  readonly peer: AttestationResult | UnattestedPeer;
  /** Milliseconds since the epoch by our clock, if the caller set a deadline. */
  readonly deadline: number | undefined;
}

export interface StreamContext<Params extends Encodable = Encodable> extends CallContext {
  readonly params: Params;
}

/** A method with what answers it. Made by {@link handle} and {@link handleStream}. */
export type Handler = CallHandler | StreamHandler;
export type Handlers = readonly Handler[];

export interface CallHandler {
  readonly kind: "call";
  readonly name: string;
  readonly errors: readonly ErrorClass[];
  readonly run: (request: Encodable, context: CallContext) => Promise<Encodable>;
}

export interface StreamHandler {
  readonly kind: "stream";
  readonly name: string;
  readonly errors: readonly ErrorClass[];
  readonly run: (
    incoming: AsyncIterable<Uint8Array>,
    context: StreamContext,
  ) => AsyncIterable<Uint8Array>;
}

export function handle<Req extends Encodable, Res extends Encodable>(
  method: CallMethod<Req, Res>,
  run: (request: Req, context: CallContext) => Promise<Res> | Res,
): CallHandler {
  return {
    kind: "call",
    name: method.name,
    errors: method.errors,
    run: async (request, context) => await run(method.parseRequest(request), context),
  };
}

/** The stream ends for both sides when the returned iterable ends. */
export function handleStream<Params extends Encodable>(
  method: StreamMethod<Params>,
  run: (
    incoming: AsyncIterable<Uint8Array>,
    context: StreamContext<Params>,
  ) => AsyncIterable<Uint8Array>,
): StreamHandler {
  return {
    kind: "stream",
    name: method.name,
    errors: method.errors,
    run: (incoming, context) =>
      run(incoming, { ...context, params: method.parseParams(context.params) }),
  };
}

/** Attested channels: TLS 1.3 with typed calls and streams, open only after both verdicts. */
export type { CallLimits, Channel, ChannelClosed } from "./channel-types.ts";
export type { Endpoint } from "./endpoint.ts";
export { createEndpoint } from "./endpoint.ts";
export type { ChannelErrorCode } from "./errors.ts";
export { ChannelError, channelErrorClass, channelErrorCodes } from "./errors.ts";
export type {
  Binder,
  BindingInput,
  ChannelMode,
  RebindingInput,
  TlsRole,
} from "./handshake/binding.ts";
export { renewedBinding, sessionBinding } from "./handshake/binding.ts";
export type { ChannelIdentity } from "./handshake/identity.ts";
export type { ChannelLimits } from "./limits.ts";
export { defaultChannelLimits } from "./limits.ts";
export type { MemoryTransportOptions } from "./memory.ts";
export { memoryTransportPair } from "./memory.ts";
export type {
  CallContext,
  CallHandler,
  CallMethod,
  CallOptions,
  Handler,
  Handlers,
  StreamContext,
  StreamHandler,
  StreamMethod,
} from "./methods.ts";
export { defineCall, defineStream, handle, handleStream } from "./methods.ts";
export type {
  AttestedServerOptions,
  Attesting,
  EndpointOptions,
  MutualOptions,
  Verifying,
  VerifyingClientOptions,
} from "./options.ts";
export { UnattestedPeer } from "./peer.ts";
export type { Session, SessionRegistry } from "./sessions.ts";
export { createSessionRegistry } from "./sessions.ts";
export type { ConnectTlsOptions } from "./tls/connect.ts";
export { connectTls } from "./tls/connect.ts";
export type { DialTlsOptions } from "./tls/dial.ts";
export { dialTls } from "./tls/dial.ts";
export type { ServiceCertificate, TlsIdentity } from "./tls/identity.ts";
export { createServiceCertificate, createTlsIdentity } from "./tls/identity.ts";
export type { ListenerLimits, ListenTlsOptions, TlsListener } from "./tls/listen.ts";
export { defaultListenerLimits, listenTls } from "./tls/listen.ts";
export type { Transport, TransportConsumer } from "./transport.ts";

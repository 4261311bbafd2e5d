/** Releases secrets to attested instances only; the audit log is at `@vivarium/broker/audit`. */
export type { AdminCall, AdminServer } from "./admin.ts";
export { callAdmin, serveAdmin } from "./admin.ts";
export type { Broker, BrokerOptions, NewResource, ReleaseRequest, ResourceInfo } from "./broker.ts";
export { openBroker } from "./broker.ts";
export type { BrokerErrorCode } from "./errors.ts";
export { BrokerError, brokerErrorClass, brokerErrorCodes } from "./errors.ts";
export type { BrokerState, ReleasePolicy, Resource } from "./resource.ts";
export { parseReleasePolicy } from "./resource.ts";
export type { StateFile } from "./state-file.ts";
export { sealedStateFile } from "./state-file.ts";

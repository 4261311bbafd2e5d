/** Errors of this package; the audit log is at `@vivarium/broker/audit`. */
export type { BrokerErrorCode } from "./errors.ts";
export { BrokerError, brokerErrorClass, brokerErrorCodes } from "./errors.ts";

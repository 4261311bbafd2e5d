/** RA-TLS certificates: evidence bound to a certificate's key, for interoperation. */
export type { RaTlsFormat, RaTlsOptions, VerifiedRaTls } from "./verify.ts";
export { raTlsOids, raTlsVerifiers, readRaTls, verifyRaTls } from "./verify.ts";

/** Tokens of other attestation services: trustee, Veraison, Intel Trust Authority, Azure Attestation. */
export { looksLikeToken } from "./jws.ts";
export type { TokenKind, TokenStatus, TokenSubmodule } from "./kinds.ts";
export { tokenKinds } from "./kinds.ts";
export type { TokenIssuer, VerifiedToken, VerifyTokenOptions } from "./verify.ts";
export { tokenKindOf, verifyToken } from "./verify.ts";

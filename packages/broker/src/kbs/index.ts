/** The broker behind the key broker protocol of Confidential Containers (RCAR). */
export type { KbsOptions, KbsServer } from "./server.ts";
export { kbsLimits, serveKbs } from "./server.ts";

/** Where workers get secrets from: a key broker that wants evidence, Vault, a directory of files. */
export type { FileSourceOptions } from "./file.ts";
export { fileSource } from "./file.ts";
export type { KbsSourceOptions } from "./kbs.ts";
export { kbsSource } from "./kbs.ts";
export type { VaultKvOptions, VaultOptions, VaultTransitOptions } from "./vault.ts";
export { vaultKvSource, vaultTransitWrapper } from "./vault.ts";

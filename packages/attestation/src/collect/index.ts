/** Node only: keys in files, and (with the hardware verifiers) the attesters of each platform. */
export type { KeyFileKind, KeyFileOptions } from "./key-file.ts";
export { openDevelopmentRoot, openKeyFile } from "./key-file.ts";
